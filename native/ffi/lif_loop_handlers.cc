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

// The parts that are a copy's of a call's operands, or of its results, one after the other.
template <class Arrays>
class InOrder {
 public:
  InOrder(const Arrays& arrays, std::int64_t copies, std::int64_t copy)
      : arrays_(arrays), copies_(copies), copy_(copy) {}

  // Of the next array, that has `count` numbers for each copy.
  float* Next(std::int64_t count) {
    const std::size_t at = at_++;
    if (at >= arrays_.size()) return Fail();
    const auto found = arrays_.template get<F32>(at);
    if (!found.has_value()) return Fail();
    const F32 array = Value(*found);
    if (static_cast<std::int64_t>(array.element_count()) != copies_ * count) return Fail();
    return count == 0 ? nullptr : array.typed_data() + copy_ * count;
  }
  // The same, or null of an array without elements.
  float* Optional(std::int64_t count) {
    const bool there = at_ < arrays_.size() && arrays_.template get<F32>(at_).has_value();
    const bool none = there && Value(*arrays_.template get<F32>(at_)).element_count() == 0;
    return Next(none ? 0 : count);
  }
  template <class State>
  State NextState(const LifLoop& l) {
    const std::int64_t count = static_cast<std::int64_t>(l.batch) * l.size;
    State state = {};
    state.membrane = Next(count), state.current = Next(count);
    state.recurrent = Next(l.recurrent ? count : 0), state.spikes = Next(count);
    return state;
  }
  // Whether all fitted, and none is left.
  bool Fitted() const { return fitted_ && at_ == arrays_.size(); }

 private:
  float* Fail() {
    fitted_ = false;
    return nullptr;
  }
  static F32 Value(const F32& array) { return array; }
  static F32 Value(ffi::Result<F32> array) { return *array; }

  const Arrays& arrays_;
  std::int64_t copies_, copy_;
  std::size_t at_ = 0;
  bool fitted_ = true;
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

// What differs between the two passes.
template <class Arrays, class Results>
void Take(InOrder<Arrays>* from, InOrder<Results>* to, cuda::Stream, LifLoopForward* f) {
  LifLoop& l = f->loop;
  const std::int64_t n = l.size, all = l.time * l.batch * n;
  f->drive = from->Next(all);
  l.start = from->template NextState<LifLoopState>(l);
  l.decays = from->Next(6 * n), l.weights = from->Next(l.recurrent ? n * n : 0);
  l.bias = from->Optional(n);
  f->spikes = to->Next(all), f->membranes = to->Next(all);
  f->end = to->template NextState<LifLoopStateTo>(l);
}
template <class Arrays, class Results>
void Take(InOrder<Arrays>* from, InOrder<Results>* to, cuda::Stream stream, LifLoopBackward* b) {
  LifLoop& l = b->loop;
  const std::int64_t n = l.size, all = l.time * l.batch * n;
  l.cached = 0, l.cached = CachedRows(stream, l);  // from what is shared beside them
  b->membranes = from->Next(all);
  l.start.membrane = from->Next(l.batch * n), l.start.spikes = from->Next(l.batch * n);
  l.decays = from->Next(6 * n), l.weights = from->Next(l.recurrent ? n * n : 0);
  b->spikes_bar = from->Optional(all), b->membranes_bar = from->Optional(all);
  b->end_bar = from->template NextState<LifLoopState>(l);
  b->drive_bar = to->Next(all), b->feedback_bar = to->Next(l.recurrent ? all : 0);
  b->start_bar = to->template NextState<LifLoopStateTo>(l);
}

const char* Kernel(const LifLoopForward&) { return "xbarax_lif_loop_forward"; }
const char* Kernel(const LifLoopBackward&) { return "xbarax_lif_loop_backward"; }
int Threads(const LifLoopForward& f) { return f.loop.samples * f.loop.size; }
int Threads(const LifLoopBackward& b) { return b.loop.parts * b.loop.samples * b.loop.size; }
int SharedFloats(const LifLoopForward& f) { return LifLoopForwardShared(f.loop); }
int SharedFloats(const LifLoopBackward& b) { return LifLoopBackwardShared(b.loop); }
void RunOnHost(const LifLoopForward& f, int block, float* shared) {
  RunLifLoopForward(f, block, shared);
}
void RunOnHost(const LifLoopBackward& b, int block, float* shared) {
  RunLifLoopBackward(b, block, shared);
}

// A stream of null is the host.
template <class Call>
ffi::Error RunOne(cuda::Stream stream, const Call& call) {
  const LifLoop& l = call.loop;
  if (l.batch == 0 || l.size == 0) return ffi::Error::Success();
  const int blocks = (l.batch + l.samples - 1) / l.samples;
  const std::size_t floats = static_cast<std::size_t>(SharedFloats(call));
  if (stream == nullptr) {
    std::vector<float> shared(floats);
    for (int block = 0; block < blocks; ++block) RunOnHost(call, block, shared.data());
    return ffi::Error::Success();
  }
  const int whole_warps = std::min((Threads(call) + 31) / 32 * 32, kMostThreads);
  const std::string why =
      cuda::Run(stream, {Kernel(call), static_cast<unsigned>(blocks),
                         static_cast<unsigned>(whole_warps), floats * sizeof(float), &call});
  return why.empty() ? ffi::Error::Success() : ffi::Error::Internal("xbarax: " + why);
}

template <class Call>
ffi::Error RunAll(cuda::Stream stream, ffi::RemainingArgs args, ffi::RemainingRets rets,
                  Words words, Numbers numbers) {
  Call call = {};
  std::int64_t copies;
  const auto first = args.get<F32>(0);
  if (!first.has_value()) return ffi::Error::InvalidArgument("xbarax: a layer without operands");
  const Dims dims = first->dimensions();
  if (ffi::Error e = Describe(dims, words, numbers, &call.loop, &copies); e.failure()) return e;
  for (std::int64_t copy = 0; copy < copies; ++copy) {
    InOrder from(args, copies, copy);
    InOrder to(rets, copies, copy);
    Take(&from, &to, stream, &call);
    if (!from.Fitted() || !to.Fitted())
      return ffi::Error::InvalidArgument("xbarax: operands or results that do not match " +
                                         Shape(dims));
    if (ffi::Error e = RunOne(stream, call); e.failure()) return e;
  }
  return ffi::Error::Success();
}

constexpr auto Forward = RunAll<LifLoopForward>;
constexpr auto Backward = RunAll<LifLoopBackward>;

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
