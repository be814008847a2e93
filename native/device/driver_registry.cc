#include "device/driver_registry.h"

#include <dlfcn.h>

#include <map>
#include <memory>

namespace xbarax {
namespace {

template <typename Function>
bool Resolve(void* handle, const char* symbol, Function* function, std::string* missing) {
  *function = reinterpret_cast<Function>(dlsym(handle, symbol));
  if (*function == nullptr) *missing += (missing->empty() ? "" : ", ") + std::string(symbol);
  return *function != nullptr;
}

// What has been opened. Two paths may lead to one library, by a link: the loader then gives the
// same handle, and both must wait for the same mutex.
struct Registry {
  std::mutex mutex;
  std::map<std::string, FunctionLibrary*> by_path;
  std::map<void*, std::unique_ptr<FunctionLibrary>> by_handle;
};

void* OpenHandle(const std::string& path, std::string* error) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* why = dlerror();
    *error = why == nullptr ? path + ": cannot be opened" : why;
  }
  return handle;
}

std::unique_ptr<FunctionLibrary> ResolveAll(void* handle, const std::string& path,
                                            std::string* error) {
  auto library = std::make_unique<FunctionLibrary>();
  std::string missing;
  Resolve(handle, "user_implementation_mul", &library->mul, &missing);
  Resolve(handle, "user_implementation_add", &library->add, &missing);
  Resolve(handle, "user_implementation_write", &library->write, &missing);
  if (!missing.empty()) {
    *error = path + " does not export " + missing;
    return nullptr;
  }
  return library;
}

}  // namespace

FunctionLibrary* OpenFunctionLibrary(const std::string& path, std::string* error) {
  // Never destroyed: XLA's threads may outlive static destructors.
  static auto* registry = new Registry;
  std::lock_guard<std::mutex> lock(registry->mutex);
  auto known = registry->by_path.find(path);
  if (known != registry->by_path.end()) return known->second;
  void* handle = OpenHandle(path, error);
  if (handle == nullptr) return nullptr;
  std::unique_ptr<FunctionLibrary>& library = registry->by_handle[handle];
  if (library == nullptr) library = ResolveAll(handle, path, error);
  if (library == nullptr) {
    registry->by_handle.erase(handle);
    dlclose(handle);
    return nullptr;
  }
  registry->by_path[path] = library.get();
  return library.get();
}

void MulRows(FunctionLibrary& library, const float* g, const float* x, float* y, std::size_t rows,
             unsigned out, unsigned in) {
  std::lock_guard<std::mutex> lock(library.one_call_at_a_time);
  for (std::size_t row = 0; row < rows; ++row) library.mul(g, x + row * in, y + row * out, out, in);
}

}  // namespace xbarax
