// XLA's handlers of arrays with resistive wires.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <string>

#include "ffi/xla.h"
#include "kernels/circuit.h"

namespace xbarax {
namespace {

// Cells (*batch, M, N), and for each array what its wires have, (*batch).
template <ffi::DataType type>
bool Match(const ffi::Buffer<type>& cells, const ffi::Buffer<type>& wires) {
  const Dims dims = cells.dimensions(), batch = wires.dimensions();
  return batch.size() + 2 == dims.size() && std::equal(batch.begin(), batch.end(), dims.begin());
}

template <ffi::DataType type>
bool Same(const ffi::Buffer<type>& one, const ffi::Buffer<type>& other) {
  const Dims a = one.dimensions(), b = other.dimensions();
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin());
}

template <ffi::DataType type, class... Buffers>
ffi::Error NoMatch(const std::string& name, const Buffers&... buffers) {
  const char* word = type == ffi::DataType::F64 ? "float64" : "float32";
  std::string shapes;
  ((shapes += " " + Shape(buffers.dimensions(), word)), ...);
  return ffi::Error::InvalidArgument("xbarax " + name + ": operands that do not match:" + shapes);
}

ffi::Error Done(const std::string& name, const std::function<void()>& solve) {
  try {
    solve();
  } catch (const std::bad_alloc&) {
    return ffi::Error(ffi::ErrorCode::kResourceExhausted, "xbarax " + name + ": out of memory");
  }
  return ffi::Error::Success();
}

template <ffi::DataType type>
Circuits<ffi::NativeType<type>> CircuitsOf(const ffi::Buffer<type>& g,
                                           const ffi::Buffer<type>& word_line,
                                           const ffi::Buffer<type>& bit_line) {
  const Dims dims = g.dimensions();
  return {g.typed_data(),
          word_line.typed_data(),
          bit_line.typed_data(),
          word_line.element_count(),
          static_cast<std::size_t>(dims[dims.size() - 2]),
          static_cast<std::size_t>(dims[dims.size() - 1])};
}

// g, effective (*batch, M, N), word_line and bit_line (*batch).
template <ffi::DataType type>
ffi::Error EffectiveImpl(ffi::ThreadPool pool, ffi::Buffer<type> g, ffi::Buffer<type> word_line,
                         ffi::Buffer<type> bit_line, ffi::Result<ffi::Buffer<type>> effective) {
  const std::string name = "effective_conductance";
  if (!Same(g, *effective) || !Match(g, word_line) || !Match(g, bit_line))
    return NoMatch<type>(name, g, word_line, bit_line, *effective);
  XlaExecutor executor(pool);
  return Done(name, [&] {
    EffectiveConductance(CircuitsOf(g, word_line, bit_line), effective->typed_data(), executor);
  });
}

// Before these a cotangent like g, and results like g, word_line and bit_line.
template <ffi::DataType type>
ffi::Error PullImpl(ffi::ThreadPool pool, ffi::Buffer<type> cotangent, ffi::Buffer<type> g,
                    ffi::Buffer<type> word_line, ffi::Buffer<type> bit_line,
                    ffi::Result<ffi::Buffer<type>> by_g,
                    ffi::Result<ffi::Buffer<type>> by_word_line,
                    ffi::Result<ffi::Buffer<type>> by_bit_line) {
  const std::string name = "pull_effective_conductance";
  const bool given = Same(g, cotangent) && Match(g, word_line) && Match(g, bit_line);
  if (!given || !Same(g, *by_g) || !Match(g, *by_word_line) || !Match(g, *by_bit_line))
    return NoMatch<type>(name, cotangent, g, word_line, bit_line, *by_g, *by_word_line,
                         *by_bit_line);
  XlaExecutor executor(pool);
  return Done(name, [&] {
    PullEffectiveConductance(
        CircuitsOf(g, word_line, bit_line), cotangent.typed_data(),
        {by_g->typed_data(), by_word_line->typed_data(), by_bit_line->typed_data()}, executor);
  });
}

// voltage (*batch, n, M), currents (*batch, n, M, N), the others as above.
template <ffi::DataType type>
ffi::Error CurrentsImpl(ffi::ThreadPool pool, ffi::Buffer<type> g, ffi::Buffer<type> voltage,
                        ffi::Buffer<type> word_line, ffi::Buffer<type> bit_line,
                        ffi::Result<ffi::Buffer<type>> currents) {
  const std::string name = "cell_currents";
  const Dims dims = g.dimensions(), from = voltage.dimensions(), to = currents->dimensions();
  const std::size_t rank = dims.size();
  const bool given = Match(g, word_line) && Match(g, bit_line) && from.size() == rank &&
                     std::equal(dims.begin(), dims.end() - 2, from.begin()) &&
                     from[rank - 1] == dims[rank - 2];
  if (!given || to.size() != rank + 1 || !std::equal(from.begin(), from.end(), to.begin()) ||
      to[rank] != dims[rank - 1])
    return NoMatch<type>(name, g, voltage, word_line, bit_line, *currents);
  XlaExecutor executor(pool);
  return Done(name, [&] {
    CellCurrents(CircuitsOf(g, word_line, bit_line), voltage.typed_data(),
                 static_cast<std::size_t>(from[rank - 2]), currents->typed_data(), executor);
  });
}

template <ffi::DataType type>
auto EffectiveBinding() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .template Arg<ffi::Buffer<type>>()
      .template Arg<ffi::Buffer<type>>()
      .template Arg<ffi::Buffer<type>>()
      .template Ret<ffi::Buffer<type>>();
}

template <ffi::DataType type>
auto CurrentsBinding() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .template Arg<ffi::Buffer<type>>()
      .template Arg<ffi::Buffer<type>>()
      .template Arg<ffi::Buffer<type>>()
      .template Arg<ffi::Buffer<type>>()
      .template Ret<ffi::Buffer<type>>();
}

template <ffi::DataType type>
auto PullBinding() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .template Arg<ffi::Buffer<type>>()
      .template Arg<ffi::Buffer<type>>()
      .template Arg<ffi::Buffer<type>>()
      .template Arg<ffi::Buffer<type>>()
      .template Ret<ffi::Buffer<type>>()
      .template Ret<ffi::Buffer<type>>()
      .template Ret<ffi::Buffer<type>>();
}

}  // namespace
}  // namespace xbarax

#define XBARAX_HANDLER(symbol, implementation, binding)                    \
  extern "C" __attribute__((visibility("default"))) XLA_FFI_Error* symbol( \
      XLA_FFI_CallFrame* call_frame);                                      \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(symbol, xbarax::implementation, xbarax::binding)

XBARAX_HANDLER(XbaraxEffectiveConductanceF32, EffectiveImpl<ffi::DataType::F32>,
               EffectiveBinding<ffi::DataType::F32>());
XBARAX_HANDLER(XbaraxEffectiveConductanceF64, EffectiveImpl<ffi::DataType::F64>,
               EffectiveBinding<ffi::DataType::F64>());
XBARAX_HANDLER(XbaraxPullEffectiveConductanceF32, PullImpl<ffi::DataType::F32>,
               PullBinding<ffi::DataType::F32>());
XBARAX_HANDLER(XbaraxPullEffectiveConductanceF64, PullImpl<ffi::DataType::F64>,
               PullBinding<ffi::DataType::F64>());
XBARAX_HANDLER(XbaraxCellCurrentsF32, CurrentsImpl<ffi::DataType::F32>,
               CurrentsBinding<ffi::DataType::F32>());
XBARAX_HANDLER(XbaraxCellCurrentsF64, CurrentsImpl<ffi::DataType::F64>,
               CurrentsBinding<ffi::DataType::F64>());
