#include "gpu/cuda.h"

#include <dlfcn.h>

#include <map>
#include <mutex>
#include <utility>

namespace xbarax::cuda {
namespace {

// cuda.h's names for the same, which have not changed since CUDA 4.
using Result = int;
using Context = void*;
using Module = void*;
using Function = void*;
constexpr int kMaxSharedBytesOptin = 97;              // of CUdevice_attribute
constexpr int kMaxDynamicSharedBytes = 8;             // of CUfunction_attribute
constexpr std::size_t kSharedBytesOfAll = 48 * 1024;  // what every device has

constexpr const char* kKernels[] = {"xbarax_draw", "xbarax_draw_pairs", "xbarax_fold_in",
                                    "xbarax_lif_loop_backward", "xbarax_lif_loop_forward"};

struct Driver {
  Result (*device_get)(int*, int);
  Result (*primary_ctx_retain)(Context*, int);
  Result (*stream_get_ctx)(Stream, Context*);
  Result (*ctx_push)(Context);
  Result (*ctx_pop)(Context*);
  Result (*ctx_get_device)(int*);
  Result (*device_get_attribute)(int*, int, int);
  Result (*module_load_data)(Module*, const void*);
  Result (*module_get_function)(Function*, Module, const char*);
  Result (*func_set_attribute)(Function, int, int);
  Result (*launch_kernel)(Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                          unsigned, Stream, void**, void**);
  Result (*get_error_string)(Result, const char**);
  bool complete = false;
};

template <class Symbol>
bool Find(void* library, const char* name, Symbol* to) {
  *to = reinterpret_cast<Symbol>(dlsym(library, name));
  return *to != nullptr;
}

Driver FindDriver() {
  Driver d = {};
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  d.complete = library != nullptr && Find(library, "cuDeviceGet", &d.device_get) &&
               Find(library, "cuDevicePrimaryCtxRetain", &d.primary_ctx_retain) &&
               Find(library, "cuStreamGetCtx", &d.stream_get_ctx) &&
               Find(library, "cuCtxPushCurrent_v2", &d.ctx_push) &&
               Find(library, "cuCtxPopCurrent_v2", &d.ctx_pop) &&
               Find(library, "cuCtxGetDevice", &d.ctx_get_device) &&
               Find(library, "cuDeviceGetAttribute", &d.device_get_attribute) &&
               Find(library, "cuModuleLoadData", &d.module_load_data) &&
               Find(library, "cuModuleGetFunction", &d.module_get_function) &&
               Find(library, "cuFuncSetAttribute", &d.func_set_attribute) &&
               Find(library, "cuLaunchKernel", &d.launch_kernel) &&
               Find(library, "cuGetErrorString", &d.get_error_string);
  return d;
}

const Driver& TheDriver() {
  static const Driver driver = FindDriver();
  return driver;
}

std::mutex mutex;
std::map<std::pair<Context, std::string>, Function> functions;

std::string Why(const char* what, Result result) {
  const char* text = nullptr;
  TheDriver().get_error_string(result, &text);
  return std::string(what) + ": " + (text != nullptr ? text : "error " + std::to_string(result));
}

// Into the current context, which is a device's.
std::string LoadHere(Context context, int device, const void* code) {
  const Driver& d = TheDriver();
  Module module = nullptr;
  int shared = 0;
  if (Result r = d.module_load_data(&module, code); r != 0) return Why("cuModuleLoadData", r);
  d.device_get_attribute(&shared, kMaxSharedBytesOptin, device);
  std::lock_guard<std::mutex> lock(mutex);
  for (const char* name : kKernels) {
    Function function = nullptr;
    if (Result r = d.module_get_function(&function, module, name); r != 0)
      return Why("cuModuleGetFunction", r);
    if (Result r = d.func_set_attribute(function, kMaxDynamicSharedBytes, shared); r != 0)
      return Why("cuFuncSetAttribute", r);
    functions[{context, name}] = function;
  }
  return "";
}

std::string RunInContext(Context context, Stream stream, const Launch& launch) {
  Function function = nullptr;
  {
    std::lock_guard<std::mutex> lock(mutex);
    const auto found = functions.find({context, launch.kernel});
    if (found == functions.end()) return "the device has no kernels: JAX gained it later";
    function = found->second;
  }
  void* arguments[] = {const_cast<void*>(launch.arguments)};
  const Result r = TheDriver().launch_kernel(function, launch.blocks, 1, 1, launch.threads, 1, 1,
                                             static_cast<unsigned>(launch.shared_bytes), stream,
                                             arguments, nullptr);
  return r == 0 ? "" : Why("cuLaunchKernel", r);
}

}  // namespace

std::string Load(int ordinal, const void* code) {
  const Driver& d = TheDriver();
  if (!d.complete) return "CUDA's driver, libcuda.so.1, was not found";
  Context context = nullptr, popped = nullptr;
  int device = 0;
  if (Result r = d.device_get(&device, ordinal); r != 0) return Why("cuDeviceGet", r);
  if (Result r = d.primary_ctx_retain(&context, device); r != 0)
    return Why("cuDevicePrimaryCtxRetain", r);
  if (Result r = d.ctx_push(context); r != 0) return Why("cuCtxPushCurrent", r);
  std::string why = LoadHere(context, device, code);
  d.ctx_pop(&popped);
  return why;
}

std::size_t SharedBytes(Stream stream) {
  const Driver& d = TheDriver();
  Context context = nullptr, popped = nullptr;
  int device = 0, bytes = 0;
  if (!d.complete || d.stream_get_ctx(stream, &context) != 0 || d.ctx_push(context) != 0)
    return kSharedBytesOfAll;
  d.ctx_get_device(&device);
  const Result r = d.device_get_attribute(&bytes, kMaxSharedBytesOptin, device);
  d.ctx_pop(&popped);
  return r == 0 ? static_cast<std::size_t>(bytes) : kSharedBytesOfAll;
}

std::string Run(Stream stream, const Launch& launch) {
  const Driver& d = TheDriver();
  if (!d.complete) return "CUDA's driver, libcuda.so.1, was not found";
  Context context = nullptr, popped = nullptr;
  if (Result r = d.stream_get_ctx(stream, &context); r != 0) return Why("cuStreamGetCtx", r);
  if (Result r = d.ctx_push(context); r != 0) return Why("cuCtxPushCurrent", r);
  std::string why = RunInContext(context, stream, launch);
  d.ctx_pop(&popped);
  return why;
}

}  // namespace xbarax::cuda
