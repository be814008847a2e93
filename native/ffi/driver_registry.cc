#include "ffi/driver_registry.h"

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

std::unique_ptr<FunctionLibrary> Open(const std::string& path, std::string* error) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* why = dlerror();
    *error = why == nullptr ? path + ": cannot be opened" : why;
    return nullptr;
  }
  auto library = std::make_unique<FunctionLibrary>();
  std::string missing;
  Resolve(handle, "user_implementation_mul", &library->mul, &missing);
  Resolve(handle, "user_implementation_add", &library->add, &missing);
  Resolve(handle, "user_implementation_write", &library->write, &missing);
  if (!missing.empty()) {
    *error = path + " does not export " + missing;
    dlclose(handle);
    return nullptr;
  }
  return library;
}

}  // namespace

FunctionLibrary* OpenFunctionLibrary(const std::string& path, std::string* error) {
  // Never destroyed: XLA's threads may outlive static destructors.
  static auto* mutex = new std::mutex;
  static auto* opened = new std::map<std::string, std::unique_ptr<FunctionLibrary>>;
  std::lock_guard<std::mutex> lock(*mutex);
  auto found = opened->find(path);
  if (found != opened->end()) return found->second.get();
  auto library = Open(path, error);
  if (library == nullptr) return nullptr;
  return opened->emplace(path, std::move(library)).first->second.get();
}

void MulRows(FunctionLibrary& library, const float* g, const float* x, float* y, std::size_t rows,
             unsigned out, unsigned in) {
  std::lock_guard<std::mutex> lock(library.one_call_at_a_time);
  for (std::size_t row = 0; row < rows; ++row) library.mul(g, x + row * in, y + row * out, out, in);
}

}  // namespace xbarax
