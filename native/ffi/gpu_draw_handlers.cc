// XLA's handlers of random numbers on GPUs: operands and results are those of the host's.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "ffi/xla.h"
#include "gpu/cuda.h"
#include "gpu/draws.h"
#include "kernels/random.h"

namespace xbarax {
namespace {

using U32 = ffi::Buffer<ffi::U32>;
using F32 = ffi::Buffer<ffi::F32>;

constexpr unsigned kThreads = 256;

template <class Call>
ffi::Error RunAll(cuda::Stream stream, const char* kernel, const Call& call) {
  if (call.total == 0) return ffi::Error::Success();
  const std::int64_t blocks = (call.total + kThreads - 1) / kThreads;
  if (blocks > INT32_MAX) return ffi::Error::InvalidArgument("xbarax: too many random numbers");
  const std::string why =
      cuda::Run(stream, {kernel, static_cast<unsigned>(blocks), kThreads, 0, &call});
  return why.empty() ? ffi::Error::Success() : ffi::Error::Internal("xbarax: " + why);
}

// How many numbers each key has.
ffi::ErrorOr<std::int64_t> CountOf(const U32& keys, const F32& numbers) {
  const auto total = static_cast<std::int64_t>(numbers.element_count());
  const auto n_keys = static_cast<std::int64_t>(keys.element_count()) / 2;
  if (n_keys != 0 && total % n_keys == 0) return total / n_keys;
  return ffi::Unexpected(ffi::Error::InvalidArgument(
      "xbarax random numbers: operands that do not match: keys " +
      Shape(keys.dimensions(), "uint32") + ", numbers " + Shape(numbers.dimensions())));
}

ffi::Error Draw(cuda::Stream stream, U32 keys, ffi::Result<F32> numbers, bool normal) {
  const ffi::ErrorOr<std::int64_t> count = CountOf(keys, *numbers);
  if (!count) return count.error();
  const auto total = static_cast<std::int64_t>(numbers->element_count());
  const GpuDraw draw = {keys.typed_data(), total, *count, normal, numbers->typed_data()};
  return RunAll(stream, "xbarax_draw", draw);
}

ffi::Error Uniform(cuda::Stream stream, U32 keys, ffi::Result<F32> numbers) {
  return Draw(stream, keys, numbers, false);
}

ffi::Error Normal(cuda::Stream stream, U32 keys, ffi::Result<F32> numbers) {
  return Draw(stream, keys, numbers, true);
}

ffi::Error PairedNormal(cuda::Stream stream, U32 keys, ffi::Result<F32> numbers) {
  const Dims dims = numbers->dimensions();
  if (dims.size() == 0)
    return ffi::Error::InvalidArgument("xbarax random numbers: pairs without an axis");
  const ffi::ErrorOr<std::int64_t> count = CountOf(keys, *numbers);
  if (!count) return count.error();
  if (*count == 0) return ffi::Error::Success();
  const std::int64_t line = dims.back(), lines = *count / line;
  const std::int64_t total = static_cast<std::int64_t>(numbers->element_count()) / line *
                             static_cast<std::int64_t>(Counters(static_cast<std::size_t>(line)));
  const GpuDrawPairs draw = {keys.typed_data(), total, lines, line, numbers->typed_data()};
  return RunAll(stream, "xbarax_draw_pairs", draw);
}

ffi::Error FoldIn(cuda::Stream stream, U32 keys, U32 data, ffi::Result<U32> folded) {
  const auto total = static_cast<std::int64_t>(data.element_count());
  if (static_cast<std::int64_t>(keys.element_count()) != 2 * total)
    return ffi::Error::InvalidArgument("xbarax fold_in: operands that do not match: keys " +
                                       Shape(keys.dimensions(), "uint32") + ", data " +
                                       Shape(data.dimensions(), "uint32"));
  const GpuFoldIn call = {keys.typed_data(), data.typed_data(), total, folded->typed_data()};
  return RunAll(stream, "xbarax_fold_in", call);
}

}  // namespace
}  // namespace xbarax

#define XBARAX_EXPORT __attribute__((visibility("default")))

extern "C" {

XBARAX_EXPORT XLA_FFI_Error* XbaraxUniformCuda(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxNormalCuda(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxPairedNormalCuda(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxFoldInCuda(XLA_FFI_CallFrame* call_frame);

}  // extern "C"

XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxUniformCuda, xbarax::Uniform,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::PlatformStream<xbarax::cuda::Stream>>()
                                  .Arg<xbarax::U32>()
                                  .Ret<xbarax::F32>(),
                              {ffi::Traits::kCmdBufferCompatible});
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxNormalCuda, xbarax::Normal,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::PlatformStream<xbarax::cuda::Stream>>()
                                  .Arg<xbarax::U32>()
                                  .Ret<xbarax::F32>(),
                              {ffi::Traits::kCmdBufferCompatible});
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxPairedNormalCuda, xbarax::PairedNormal,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::PlatformStream<xbarax::cuda::Stream>>()
                                  .Arg<xbarax::U32>()
                                  .Ret<xbarax::F32>(),
                              {ffi::Traits::kCmdBufferCompatible});
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxFoldInCuda, xbarax::FoldIn,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::PlatformStream<xbarax::cuda::Stream>>()
                                  .Arg<xbarax::U32>()
                                  .Arg<xbarax::U32>()
                                  .Ret<xbarax::U32>(),
                              {ffi::Traits::kCmdBufferCompatible});
