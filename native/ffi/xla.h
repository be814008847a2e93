// What the handlers share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "kernels/parallel.h"
#include "xla/ffi/api/ffi.h"

namespace xbarax {

namespace ffi = xla::ffi;

using Dims = ffi::Span<const int64_t>;

class XlaExecutor : public Executor {
 public:
  explicit XlaExecutor(ffi::ThreadPool pool) : pool_(pool) {}
  std::size_t threads() const override {
    return static_cast<std::size_t>(std::max<int64_t>(pool_.num_threads(), 1));
  }
  void Schedule(std::function<void()> task) override { pool_.Schedule(std::move(task)); }

 private:
  ffi::ThreadPool pool_;
};

inline std::string Shape(Dims dims, const char* type = "float32") {
  std::string text = std::string(type) + "[";
  for (size_t i = 0; i < dims.size(); ++i) text += (i ? "," : "") + std::to_string(dims[i]);
  return text + "]";
}

}  // namespace xbarax
