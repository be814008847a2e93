#include "gpu/cuda.h"

#include <dlfcn.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace xbarax::cuda {
namespace {

// cuda.h's names for the same, which have not changed since CUDA 4.
using Result = int;
using Context = void*;
using Module = void*;
using Function = void*;
constexpr int kCapabilityMajor = 75, kCapabilityMinor = 76;  // of CUdevice_attribute
constexpr int kMaxSharedBytesOptin = 97;                     // likewise
constexpr int kMaxDynamicSharedBytes = 8;                    // of CUfunction_attribute
constexpr std::size_t kSharedBytesOfAll = 48 * 1024;         // more must be asked for

struct Driver {
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
  d.complete = library != nullptr && Find(library, "cuStreamGetCtx", &d.stream_get_ctx) &&
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

std::mutex mutex;  // of both
std::map<int, std::vector<char>> codes;
std::map<std::pair<Context, std::string>, Function> functions;

std::string Why(const char* what, Result result) {
  const char* text = nullptr;
  TheDriver().get_error_string(result, &text);
  return std::string(what) + ": " + (text != nullptr ? text : "error " + std::to_string(result));
}

// The kernel in the current context; loads the code that is its device's.
std::string Load(Context context, const char* kernel, Function* function) {
  const Driver& d = TheDriver();
  std::lock_guard<std::mutex> lock(mutex);
  Function& known = functions[{context, kernel}];
  if (known == nullptr) {
    int device = 0, major = 0, minor = 0;
    Module module = nullptr;
    d.ctx_get_device(&device);
    d.device_get_attribute(&major, kCapabilityMajor, device);
    d.device_get_attribute(&minor, kCapabilityMinor, device);
    const auto code = codes.find(10 * major + minor);
    if (code == codes.end())
      return "no kernels were compiled for compute capability " + std::to_string(major) + "." +
             std::to_string(minor);
    if (Result r = d.module_load_data(&module, code->second.data()); r != 0)
      return Why("cuModuleLoadData", r);
    if (Result r = d.module_get_function(&known, module, kernel); r != 0)
      return Why("cuModuleGetFunction", r);
  }
  *function = known;
  return "";
}

std::string RunInContext(Context context, Stream stream, const Launch& launch) {
  const Driver& d = TheDriver();
  Function function = nullptr;
  if (std::string why = Load(context, launch.kernel, &function); !why.empty()) return why;
  if (launch.shared_bytes > kSharedBytesOfAll) {
    const int bytes = static_cast<int>(launch.shared_bytes);
    if (Result r = d.func_set_attribute(function, kMaxDynamicSharedBytes, bytes); r != 0)
      return Why("cuFuncSetAttribute", r);
  }
  void* arguments[] = {const_cast<void*>(launch.arguments)};
  const Result r =
      d.launch_kernel(function, launch.blocks, 1, 1, launch.threads, 1, 1,
                      static_cast<unsigned>(launch.shared_bytes), stream, arguments, nullptr);
  return r == 0 ? "" : Why("cuLaunchKernel", r);
}

}  // namespace

void SetCode(int capability, const void* code, std::size_t size) {
  const char* bytes = static_cast<const char*>(code);
  std::lock_guard<std::mutex> lock(mutex);
  codes[capability].assign(bytes, bytes + size);
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
