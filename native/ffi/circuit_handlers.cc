// XLA's handlers of arrays with resistive wires.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>

#include "ffi/xla.h"
#include "kernels/circuit.h"

namespace xbarax {
namespace {

// g, effective (*batch, M, N), word_line and bit_line (*batch).
template <ffi::DataType type>
ffi::Error EffectiveImpl(ffi::ThreadPool pool, ffi::Buffer<type> g, ffi::Buffer<type> word_line,
                         ffi::Buffer<type> bit_line, ffi::Result<ffi::Buffer<type>> effective) {
  const Dims dims = g.dimensions(), to = effective->dimensions();
  const auto leads = [&](Dims batch) {
    return batch.size() + 2 == dims.size() && std::equal(batch.begin(), batch.end(), dims.begin());
  };
  const bool same = to.size() == dims.size() && std::equal(to.begin(), to.end(), dims.begin());
  if (!same || !leads(word_line.dimensions()) || !leads(bit_line.dimensions())) {
    const char* name = type == ffi::DataType::F64 ? "float64" : "float32";
    return ffi::Error::InvalidArgument(
        "xbarax effective_conductance: operands that do not match: " + Shape(dims, name) + " " +
        Shape(word_line.dimensions(), name) + " " + Shape(bit_line.dimensions(), name) + " " +
        Shape(to, name));
  }
  XlaExecutor executor(pool);
  try {
    EffectiveConductance(
        {g.typed_data(), word_line.typed_data(), bit_line.typed_data(), word_line.element_count(),
         static_cast<std::size_t>(dims[dims.size() - 2]),
         static_cast<std::size_t>(dims[dims.size() - 1])},
        effective->typed_data(), executor);
  } catch (const std::bad_alloc&) {
    return ffi::Error(ffi::ErrorCode::kResourceExhausted,
                      "xbarax effective_conductance: out of memory");
  }
  return ffi::Error::Success();
}

template <ffi::DataType type>
auto Binding() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .template Arg<ffi::Buffer<type>>()
      .template Arg<ffi::Buffer<type>>()
      .template Arg<ffi::Buffer<type>>()
      .template Ret<ffi::Buffer<type>>();
}

}  // namespace
}  // namespace xbarax

extern "C" __attribute__((visibility("default"))) XLA_FFI_Error* XbaraxEffectiveConductanceF32(
    XLA_FFI_CallFrame* call_frame);
extern "C" __attribute__((visibility("default"))) XLA_FFI_Error* XbaraxEffectiveConductanceF64(
    XLA_FFI_CallFrame* call_frame);

XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxEffectiveConductanceF32,
                              xbarax::EffectiveImpl<ffi::DataType::F32>,
                              xbarax::Binding<ffi::DataType::F32>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxEffectiveConductanceF64,
                              xbarax::EffectiveImpl<ffi::DataType::F64>,
                              xbarax::Binding<ffi::DataType::F64>());
