// XLA's handlers of pulses. All have the same first operands and results:
//
//   identity (*batch, 2), key (*batch, 2), states (*batch, n), what is written (*batch, n or 0)
//     -> states, what is written, int32 (*batch, 3): pulses, cells that a bound cut off, and cells
//        that wanted more pulses than an update gives
//
// Then comes what cells are asked for: counts of pulses (*batch, n); changes of conductances
// (*batch, n); or, of `Restart`, states (*batch, n), which cells are restarted (*batch, n), and
// where one more pulse up and down comes nearer (*batch, any number).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <utility>

#include "ffi/xla.h"
#include "kernels/pulses.h"
#include "kernels/random.h"

namespace xbarax {
namespace {

using Floats = ffi::Span<const float>;
using F32 = ffi::Buffer<ffi::F32>;
using U32 = ffi::Buffer<ffi::U32>;
using S32 = ffi::Buffer<ffi::S32>;

// Of `numbers`, in the order of PulsedCells.
constexpr std::size_t kNumbers = 13;

// Whether these are the axes of the cells, but for the last one.
bool Fits(Dims dims, Dims cells, std::int64_t last) {
  if (dims.size() != cells.size() || dims[dims.size() - 1] != last) return false;
  for (std::size_t i = 0; i + 1 < dims.size(); ++i)
    if (dims[i] != cells[i]) return false;
  return true;
}

// The operands and results that all have, and what describes the cells.
struct Call {
  const U32 &identity, &key;
  const F32 &state, &written;
  ffi::Result<F32>&to, &written_to;
  ffi::Result<S32>& totals;
  Floats numbers;
  bool own_bounds, lognormal, additive;

  Dims dims() const { return state.dimensions(); }
  std::int64_t n() const { return dims().size() == 0 ? -1 : dims()[dims().size() - 1]; }

  bool Matches() const {
    if (n() < 0 || n() > INT32_MAX || numbers.size() != kNumbers) return false;
    const std::int64_t written_n = numbers[11] > 0 ? n() : 0;
    return Fits(identity.dimensions(), dims(), 2) && Fits(key.dimensions(), dims(), 2) &&
           Fits(to->dimensions(), dims(), n()) && Fits(totals->dimensions(), dims(), 3) &&
           Fits(written.dimensions(), dims(), written_n) &&
           Fits(written_to->dimensions(), dims(), written_n);
  }
  PulsedCells Cells() const {
    return {numbers[0], numbers[1], numbers[2],  numbers[3], numbers[4],  numbers[5],
            numbers[6], numbers[7], numbers[8],  numbers[9], numbers[10], own_bounds,
            lognormal,  additive,   numbers[11], numbers[12]};
  }
};

ffi::Error DoNotMatch(Dims cells, Dims asked) {
  return ffi::Error::InvalidArgument("xbarax pulse: operands that do not match: " + Shape(cells) +
                                     " " + Shape(asked));
}

std::int32_t Counter(std::int64_t total) {
  return static_cast<std::int32_t>(std::min<std::int64_t>(total, INT32_MAX));
}

// Pulses each array of a batch as `request(array)` asks.
template <class Request>
ffi::Error PulseAll(const Call& call, ffi::ThreadPool pool, const Request& request) {
  const PulsedCells cells = call.Cells();
  const std::size_t n = static_cast<std::size_t>(call.n());
  std::size_t arrays = 1;
  for (std::size_t i = 0; i + 1 < call.dims().size(); ++i)
    arrays *= static_cast<std::size_t>(call.dims()[i]);
  XlaExecutor executor(pool);
  try {
    for (std::size_t i = 0; i < arrays; ++i) {
      const auto key_at = [i](const U32& keys) {
        return RandomKey{keys.typed_data()[2 * i], keys.typed_data()[2 * i + 1]};
      };
      PulsedStates states = {call.state.typed_data() + i * n, nullptr,
                             call.to->typed_data() + i * n, nullptr};
      if (cells.written > 0) {
        states.written = call.written.typed_data() + i * n;
        states.written_to = call.written_to->typed_data() + i * n;
      }
      const PulseTotals totals =
          Pulse(cells, key_at(call.identity), key_at(call.key), n, states, request(i), executor);
      std::int32_t* to = call.totals->typed_data() + 3 * i;
      to[0] = Counter(totals.pulses), to[1] = Counter(totals.cut), to[2] = Counter(totals.capped);
    }
  } catch (const std::bad_alloc&) {
    return ffi::Error(ffi::ErrorCode::kResourceExhausted, "xbarax pulse: out of memory");
  }
  return ffi::Error::Success();
}

ffi::Error PulseImpl(ffi::ThreadPool pool, U32 identity, U32 key, F32 state, F32 written,
                     S32 counts, ffi::Result<F32> to, ffi::Result<F32> written_to,
                     ffi::Result<S32> totals, Floats numbers, bool own_bounds, bool lognormal,
                     bool additive) {
  const Call call = {identity, key,     state,      written,   to,      written_to,
                     totals,   numbers, own_bounds, lognormal, additive};
  if (!call.Matches() || !Fits(counts.dimensions(), call.dims(), call.n()))
    return DoNotMatch(state.dimensions(), counts.dimensions());
  return PulseAll(call, pool, [&](std::size_t array) {
    PulseRequest request = {};
    request.counts = counts.typed_data() + array * static_cast<std::size_t>(call.n());
    return request;
  });
}

// `asked`: the siemens of a mean step up and down, and the most pulses.
ffi::Error ChangeImpl(ffi::ThreadPool pool, U32 identity, U32 key, F32 state, F32 written,
                      F32 changes, ffi::Result<F32> to, ffi::Result<F32> written_to,
                      ffi::Result<S32> totals, Floats numbers, bool own_bounds, bool lognormal,
                      bool additive, Floats asked) {
  const Call call = {identity, key,     state,      written,   to,      written_to,
                     totals,   numbers, own_bounds, lognormal, additive};
  if (!call.Matches() || asked.size() != 3 || !Fits(changes.dimensions(), call.dims(), call.n()))
    return DoNotMatch(state.dimensions(), changes.dimensions());
  return PulseAll(call, pool, [&](std::size_t array) {
    PulseRequest request = {};
    request.changes = changes.typed_data() + array * static_cast<std::size_t>(call.n());
    request.siemens_up = asked[0], request.siemens_down = asked[1], request.most = asked[2];
    return request;
  });
}

ffi::Error RestartImpl(ffi::ThreadPool pool, U32 identity, U32 key, F32 state, F32 written,
                       F32 targets, ffi::Buffer<ffi::PRED> where, F32 rises, F32 falls,
                       ffi::Result<F32> to, ffi::Result<F32> written_to, ffi::Result<S32> totals,
                       Floats numbers, bool own_bounds, bool lognormal, bool additive, float begin,
                       bool from_symmetry) {
  const Call call = {identity, key,     state,      written,   to,      written_to,
                     totals,   numbers, own_bounds, lognormal, additive};
  const auto last = [](const F32& of) {
    return of.dimensions().size() == 0 ? -1 : of.dimensions()[of.dimensions().size() - 1];
  };
  if (!call.Matches() || !Fits(targets.dimensions(), call.dims(), call.n()) ||
      !Fits(where.dimensions(), call.dims(), call.n()) ||
      !Fits(rises.dimensions(), call.dims(), last(rises)) ||
      !Fits(falls.dimensions(), call.dims(), last(falls)))
    return DoNotMatch(state.dimensions(), targets.dimensions());
  return PulseAll(call, pool, [&](std::size_t array) {
    const std::size_t at = array * static_cast<std::size_t>(call.n());
    PulseRequest request = {};
    request.targets = targets.typed_data() + at, request.where = where.typed_data() + at;
    request.begin = begin, request.from_symmetry = from_symmetry;
    request.n_rises = static_cast<std::size_t>(last(rises));
    request.n_falls = static_cast<std::size_t>(last(falls));
    request.rises = rises.typed_data() + array * request.n_rises;
    request.falls = falls.typed_data() + array * request.n_falls;
    return request;
  });
}

// What all bind.
auto Bound() {
  return ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<U32>().Arg<U32>().Arg<F32>().Arg<F32>();
}
template <class Binding>
auto WithResults(Binding binding) {
  return std::move(binding)
      .template Ret<F32>()
      .template Ret<F32>()
      .template Ret<S32>()
      .template Attr<Floats>("numbers")
      .template Attr<bool>("own_bounds")
      .template Attr<bool>("lognormal")
      .template Attr<bool>("additive");
}

}  // namespace
}  // namespace xbarax

extern "C" {
__attribute__((visibility("default"))) XLA_FFI_Error* XbaraxPulse(XLA_FFI_CallFrame* call_frame);
__attribute__((visibility("default"))) XLA_FFI_Error* XbaraxPulseChanges(
    XLA_FFI_CallFrame* call_frame);
__attribute__((visibility("default"))) XLA_FFI_Error* XbaraxPulseRestart(
    XLA_FFI_CallFrame* call_frame);
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxPulse, xbarax::PulseImpl,
                              xbarax::WithResults(xbarax::Bound().Arg<xbarax::S32>()));

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    XbaraxPulseChanges, xbarax::ChangeImpl,
    xbarax::WithResults(xbarax::Bound().Arg<xbarax::F32>()).Attr<xbarax::Floats>("asked"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxPulseRestart, xbarax::RestartImpl,
                              xbarax::WithResults(xbarax::Bound()
                                                      .Arg<xbarax::F32>()
                                                      .Arg<ffi::Buffer<ffi::PRED>>()
                                                      .Arg<xbarax::F32>()
                                                      .Arg<xbarax::F32>())
                                  .Attr<float>("begin")
                                  .Attr<bool>("from_symmetry"));
