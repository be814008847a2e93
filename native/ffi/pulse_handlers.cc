// XLA's handler of pulses:
//
//   identity (*batch, 2), key (*batch, 2), states (*batch, n), pulses (*batch, n)
//     -> states (*batch, n), whether a bound cut off a step (*batch, n)
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>

#include "ffi/xla.h"
#include "kernels/pulses.h"
#include "kernels/random.h"

namespace xbarax {
namespace {

// Of `numbers`, in the order of PulsedCells.
constexpr std::size_t kNumbers = 11;

using Floats = ffi::Span<const float>;

bool Fits(Dims dims, Dims cells, std::int64_t last) {
  if (dims.size() != cells.size() || dims[dims.size() - 1] != last) return false;
  for (std::size_t i = 0; i + 1 < dims.size(); ++i)
    if (dims[i] != cells[i]) return false;
  return true;
}

ffi::Error PulseImpl(ffi::ThreadPool pool, ffi::Buffer<ffi::U32> identity,
                     ffi::Buffer<ffi::U32> key, ffi::Buffer<ffi::F32> state,
                     ffi::Buffer<ffi::S32> pulses, ffi::Result<ffi::Buffer<ffi::F32>> to,
                     ffi::Result<ffi::Buffer<ffi::PRED>> cut, Floats numbers, bool own_bounds,
                     bool lognormal, bool additive) {
  const Dims dims = state.dimensions();
  const std::int64_t n = dims.size() == 0 ? -1 : dims[dims.size() - 1];
  if (n < 0 || !Fits(pulses.dimensions(), dims, n) || !Fits(to->dimensions(), dims, n) ||
      !Fits(cut->dimensions(), dims, n) || !Fits(identity.dimensions(), dims, 2) ||
      !Fits(key.dimensions(), dims, 2))
    return ffi::Error::InvalidArgument("xbarax pulse: operands that do not match: " + Shape(dims) +
                                       " " + Shape(pulses.dimensions(), "int32"));
  if (numbers.size() != kNumbers || n > INT32_MAX)
    return ffi::Error::InvalidArgument("xbarax pulse: attributes that do not describe cells");
  const PulsedCells cells = {numbers[0],  numbers[1], numbers[2], numbers[3], numbers[4],
                             numbers[5],  numbers[6], numbers[7], numbers[8], numbers[9],
                             numbers[10], own_bounds, lognormal,  additive};
  const std::size_t count = static_cast<std::size_t>(n);
  const std::size_t arrays = count == 0 ? 0 : state.element_count() / count;
  XlaExecutor executor(pool);
  try {
    for (std::size_t i = 0; i < arrays; ++i) {
      const auto key_at = [i](const ffi::Buffer<ffi::U32>& keys) {
        return RandomKey{keys.typed_data()[2 * i], keys.typed_data()[2 * i + 1]};
      };
      Pulse(cells, key_at(identity), key_at(key), count, state.typed_data() + i * count,
            pulses.typed_data() + i * count, to->typed_data() + i * count,
            cut->typed_data() + i * count, executor);
    }
  } catch (const std::bad_alloc&) {
    return ffi::Error(ffi::ErrorCode::kResourceExhausted, "xbarax pulse: out of memory");
  }
  return ffi::Error::Success();
}

}  // namespace
}  // namespace xbarax

extern "C" __attribute__((visibility("default"))) XLA_FFI_Error* XbaraxPulse(
    XLA_FFI_CallFrame* call_frame);

XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxPulse, xbarax::PulseImpl,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::U32>>()
                                  .Arg<ffi::Buffer<ffi::U32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::PRED>>()
                                  .Attr<xbarax::Floats>("numbers")
                                  .Attr<bool>("own_bounds")
                                  .Attr<bool>("lognormal")
                                  .Attr<bool>("additive"));
