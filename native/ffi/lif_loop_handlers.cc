// XLA's handlers of a layer of LIF neurons over time, as GPUs run it; on the host for tests.
//
// Forward: drive (*copies, time, batch, size), state, decays (*copies, 6, size), recurrent weights
//   (*copies, from, to), recurrent bias (*copies, size) -> spikes, membranes, state
// Backward: membranes (*copies, time, batch, size), its start's membrane and spikes, decays,
//   recurrent weights (*copies, to, from), derivatives by spikes and by membranes, and by the state
//   at the end -> derivatives by drive, by what the recurrent weights give, by the state
//
// A state is membrane, current, recurrent current and spikes, (*copies, batch, size). What there is
// none of is an array without elements.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "ffi/xla.h"
#include "gpu/cuda.h"
#include "gpu/lif_loop.h"

namespace xbarax {
namespace {

using F32 = ffi::Buffer<ffi::F32>;

constexpr int kThreads = 128;      // of a block, at least, where there is enough to do
constexpr int kMostThreads = 512;  // what the kernels are compiled for
constexpr int kMostParts = 8;
// Rows of recurrent weights are copied to what a block's threads share where all of them are more
// than this: they do not stay in the first cache.
constexpr std::int64_t kCachedBytes = 96 * 1024;

// Operands, or results, of a call, one after the other.
template <class Arrays>
class InOrder {
 public:
  explicit InOrder(const Arrays& arrays) : arrays_(arrays) {}

  // The part of the next array that is a copy's; null of an array without elements.
  float* Next(std::int64_t copies, std::int64_t copy) {
    if constexpr (std::is_same_v<Arrays, ffi::RemainingArgs>)
      return Part(*arrays_.template get<F32>(at_++), copies, copy);
    else
      return Part(**arrays_.template get<F32>(at_++), copies, copy);
  }
  template <class State>
  State NextState(std::int64_t copies, std::int64_t copy) {
    State state = {};
    state.membrane = Next(copies, copy), state.current = Next(copies, copy);
    state.recurrent = Next(copies, copy), state.spikes = Next(copies, copy);
    return state;
  }

 private:
  static float* Part(F32 array, std::int64_t copies, std::int64_t copy) {
    const auto count = static_cast<std::int64_t>(array.element_count());
    return count == 0 ? nullptr : array.typed_data() + copy * (count / copies);
  }

  const Arrays& arrays_;
  std::size_t at_ = 0;
};

using Words = ffi::Span<const std::int64_t>;  // recurrent, detach, reset
using Numbers = ffi::Span<const float>;       // gain, threshold, steepness

// What is the same for all copies: sizes, and how threads share the work.
ffi::Error Describe(Dims dims, Words words, Numbers numbers, LifLoop* l, std::int64_t* copies) {
  const std::size_t axes = dims.size();
  if (axes < 3 || words.size() != 3 || numbers.size() != 3)
    return ffi::Error::InvalidArgument("xbarax: a layer over time was given " + Shape(dims));
  if (dims[axes - 2] > INT32_MAX || dims[axes - 1] > INT32_MAX)
    return ffi::Error::InvalidArgument("xbarax: batch or layer too large: " + Shape(dims));
  *copies = 1;
  for (std::size_t i = 0; i + 3 < axes; ++i) *copies *= dims[i];
  *l = {};
  l->time = dims[axes - 3];
  l->batch = static_cast<int>(dims[axes - 2]), l->size = static_cast<int>(dims[axes - 1]);
  l->samples = std::max(1, std::min(kThreads / std::max(1, l->size), l->batch));
  l->recurrent = words[0] != 0, l->detach = words[1] != 0, l->reset = static_cast<int>(words[2]);
  const int at_once = std::max(1, l->samples * l->size / (l->size % 4 == 0 ? 4 : 1));
  l->parts = l->recurrent ? std::clamp(kMostThreads / at_once, 1, kMostParts) : 1;
  l->gain = numbers[0], l->threshold = numbers[1], l->steepness = numbers[2];
  return ffi::Error::Success();
}

// How many rows there is room for beside what else threads share.
int CachedRows(cuda::Stream stream, const LifLoop& l) {
  const std::int64_t row = static_cast<std::int64_t>(l.size) * sizeof(float), all = row * l.size;
  if (!l.recurrent || l.size % 4 != 0 || (stream != nullptr && all <= kCachedBytes)) return 0;
  const std::int64_t other = static_cast<std::int64_t>(LifLoopBackwardShared(l)) * sizeof(float);
  const auto most = static_cast<std::int64_t>(stream == nullptr ? 4096 : cuda::SharedBytes(stream));
  return static_cast<int>(std::clamp<std::int64_t>((most - other) / row, 0, l.size) / 4 * 4);
}

void RunOnHost(const LifLoopForward& call, int block, float* shared) {
  RunLifLoopForward(call, block, shared);
}
void RunOnHost(const LifLoopBackward& call, int block, float* shared) {
  RunLifLoopBackward(call, block, shared);
}

// A stream of null is the host.
template <class Call>
ffi::Error RunOne(cuda::Stream stream, const Call& call, const char* kernel, int threads,
                  int shared_floats) {
  const LifLoop& l = call.loop;
  if (l.batch == 0 || l.size == 0) return ffi::Error::Success();
  const int blocks = (l.batch + l.samples - 1) / l.samples;
  const std::size_t floats = static_cast<std::size_t>(shared_floats);
  if (stream == nullptr) {
    std::vector<float> shared(floats);
    for (int block = 0; block < blocks; ++block) RunOnHost(call, block, shared.data());
    return ffi::Error::Success();
  }
  const int whole_warps = std::min((threads + 31) / 32 * 32, kMostThreads);
  const std::string why =
      cuda::Run(stream, {kernel, static_cast<unsigned>(blocks), static_cast<unsigned>(whole_warps),
                         floats * sizeof(float), &call});
  return why.empty() ? ffi::Error::Success() : ffi::Error::Internal("xbarax: " + why);
}

ffi::Error Forward(cuda::Stream stream, ffi::RemainingArgs args, ffi::RemainingRets rets,
                   Words words, Numbers numbers) {
  LifLoopForward f = {};
  LifLoop& l = f.loop;
  std::int64_t n;
  const Dims dims = args.get<F32>(0)->dimensions();
  if (ffi::Error e = Describe(dims, words, numbers, &l, &n); e.failure()) return e;
  for (std::int64_t i = 0; i < n; ++i) {
    InOrder from(args);
    InOrder to(rets);
    f.drive = from.Next(n, i);
    l.start = from.NextState<LifLoopState>(n, i);
    l.decays = from.Next(n, i), l.weights = from.Next(n, i), l.bias = from.Next(n, i);
    f.spikes = to.Next(n, i), f.membranes = to.Next(n, i);
    f.end = to.NextState<LifLoopStateTo>(n, i);
    const ffi::Error e =
        RunOne(stream, f, "xbarax_lif_loop_forward", l.samples * l.size, LifLoopForwardShared(l));
    if (e.failure()) return e;
  }
  return ffi::Error::Success();
}

ffi::Error Backward(cuda::Stream stream, ffi::RemainingArgs args, ffi::RemainingRets rets,
                    Words words, Numbers numbers) {
  LifLoopBackward b = {};
  LifLoop& l = b.loop;
  std::int64_t n;
  const Dims dims = args.get<F32>(0)->dimensions();
  if (ffi::Error e = Describe(dims, words, numbers, &l, &n); e.failure()) return e;
  l.cached = CachedRows(stream, l);
  for (std::int64_t i = 0; i < n; ++i) {
    InOrder from(args);
    InOrder to(rets);
    b.membranes = from.Next(n, i);
    l.start.membrane = from.Next(n, i), l.start.spikes = from.Next(n, i);
    l.decays = from.Next(n, i), l.weights = from.Next(n, i);
    b.spikes_bar = from.Next(n, i), b.membranes_bar = from.Next(n, i);
    b.end_bar = from.NextState<LifLoopState>(n, i);
    b.drive_bar = to.Next(n, i), b.feedback_bar = to.Next(n, i);
    b.start_bar = to.NextState<LifLoopStateTo>(n, i);
    const ffi::Error e = RunOne(stream, b, "xbarax_lif_loop_backward", l.parts * l.samples * l.size,
                                LifLoopBackwardShared(l));
    if (e.failure()) return e;
  }
  return ffi::Error::Success();
}

template <auto run>
ffi::Error OnHost(ffi::RemainingArgs args, ffi::RemainingRets rets, Words words, Numbers numbers) {
  return run(nullptr, args, rets, words, numbers);
}

auto OnHostBinding() {
  return ffi::Ffi::Bind().RemainingArgs().RemainingRets().Attr<Words>("words").Attr<Numbers>(
      "numbers");
}
auto OnCudaBinding() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::PlatformStream<cuda::Stream>>()
      .RemainingArgs()
      .RemainingRets()
      .Attr<Words>("words")
      .Attr<Numbers>("numbers");
}

}  // namespace
}  // namespace xbarax

#define XBARAX_EXPORT __attribute__((visibility("default")))

extern "C" {

XBARAX_EXPORT XLA_FFI_Error* XbaraxLifLoopForward(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxLifLoopBackward(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxLifLoopForwardCuda(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxLifLoopBackwardCuda(XLA_FFI_CallFrame* call_frame);

}  // extern "C"

XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxLifLoopForward, xbarax::OnHost<xbarax::Forward>,
                              xbarax::OnHostBinding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxLifLoopBackward, xbarax::OnHost<xbarax::Backward>,
                              xbarax::OnHostBinding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxLifLoopForwardCuda, xbarax::Forward, xbarax::OnCudaBinding(),
                              {ffi::Traits::kCmdBufferCompatible});
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxLifLoopBackwardCuda, xbarax::Backward, xbarax::OnCudaBinding(),
                              {ffi::Traits::kCmdBufferCompatible});
