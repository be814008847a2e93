// XLA's handlers of layers of LIF neurons.
//
// Operands and results have the same leading batch axes, so that vmap is one call. Forward:
//
//   xs, for each layer: (membrane, current, recurrent current?, spikes, decays,
//                        input?, input bias?, recurrent?, recurrent bias?,
//                        of each array: conductances, variances?, scale, key and first step?)
//     -> the last layer's spikes, for each layer: (membrane, current, recurrent current?, spikes),
//        where it is traced: events?, for each layer: (spikes as bits, membranes of all steps or
//        state at the beginning of segments)
//
// Backward: what forward takes and its trace; cotangents of the last layer's spikes?, for each
// layer: those of its state, of its membranes?, of a hidden layer's spikes? -> xs?, for each layer:
// its state, its parameters as forward takes them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <new>
#include <numeric>
#include <string>
#include <vector>

#include "ffi/xla.h"
#include "kernels/analog_read.h"
#include "kernels/lif.h"
#include "kernels/memory.h"
#include "kernels/random.h"

namespace xbarax {
namespace {

using Ints = ffi::Span<const int64_t>;
using Floats = ffi::Span<const float>;

// Of `layers`: for each its size, flags and reset. Weights may be an array that is read, and then
// that in the backward pass, or plain weights there.
enum : int64_t {
  kRecurrent = 1,
  kInputBias = 2,
  kRecurrentBias = 4,
  kDetach = 8,
  kRecurrentReads = 16,
  kRecurrentReadsBackward = 32,
  kInputReads = 64,
  kInputReadsBackward = 128
};
constexpr std::size_t kIntsPerLayer = 3;
constexpr std::size_t kFloatsPerLayer = 3;  // of `numbers`: gain, threshold, steepness

// Of `reads`: for each array that is read, layer by layer, input first, what describes it and the
// converters of both directions; of `read_numbers`, the voltage of an input of 1, and the
// coefficients of its planes.
constexpr std::size_t kIntsPerArray = 8, kIntsPerConverters = 4;
constexpr std::size_t kIntsPerReads = kIntsPerArray + 2 * kIntsPerConverters;

// Which of the backward pass's optional operands and results there are: a word for the chain's and
// one for each layer's.
enum : int64_t { kXs = 1, kSpikes = 2 };
enum : int64_t { kMembranes = 1, kHidden = 2 };

// Takes buffers one by one, those of one of `copies` that a vmap makes.
template <class Buffers, bool kResults>
class Cursor {
 public:
  Cursor(const Buffers& buffers, std::size_t copies, std::size_t copy)
      : buffers_(buffers), copies_(copies), copy_(copy) {}

  // The next one: `count` numbers.
  template <class T>
  T* Next(const char* name, std::size_t count, ffi::DataType type = ffi::F32) {
    const std::size_t index = next_++;
    if (!error_.empty()) return nullptr;
    const auto fail = [&](const std::string& found) {
      error_ = "xbarax lif: " + std::string(kResults ? "result " : "operand ") +
               std::to_string(index) + ", " + name + ": expected " +
               std::to_string(copies_ * count) + " numbers, given " + found;
      return nullptr;
    };
    if (index >= buffers_.size()) return fail("none");
    auto found = Get(index);
    if (!found.has_value()) return fail("something else");
    const ffi::AnyBuffer buffer = Value(*found);
    if (buffer.element_type() != type || buffer.element_count() != copies_ * count)
      return fail(std::to_string(buffer.element_count()) + " (or of another type)");
    return static_cast<T*>(buffer.untyped_data()) + copy_ * count;
  }

  bool ok() const { return error_.empty(); }
  void Refuse(const std::string& why) {
    if (error_.empty()) error_ = "xbarax lif: " + why;
  }

  const std::string& Finish() {
    if (error_.empty() && next_ != buffers_.size())
      error_ = "xbarax lif: expected " + std::to_string(next_) +
               (kResults ? " results" : " operands") + ", given " + std::to_string(buffers_.size());
    return error_;
  }

 private:
  auto Get(std::size_t index) const { return buffers_.template get<ffi::AnyBuffer>(index); }
  static ffi::AnyBuffer Value(const ffi::AnyBuffer& buffer) { return buffer; }
  static ffi::AnyBuffer Value(ffi::Result<ffi::AnyBuffer> buffer) { return *buffer; }

  const Buffers& buffers_;
  std::size_t copies_, copy_, next_ = 0;
  std::string error_;
};

using Operands = Cursor<ffi::RemainingArgs, false>;
using Outcomes = Cursor<ffi::RemainingRets, true>;

// What the attributes and the first operand's shape say of a call.
struct Call {
  std::size_t copies = 1, steps = 0, batch = 0, inputs = 0;
  bool driven = false;
  std::uint32_t backward_tag = 0;  // see LifReads
  Ints layers, reads;
  Floats numbers, read_numbers;

  std::size_t size() const { return layers.size() / kIntsPerLayer; }
  std::size_t size_of(std::size_t layer) const {
    return static_cast<std::size_t>(layers[kIntsPerLayer * layer]);
  }
  bool has(std::size_t layer, int64_t flag) const {
    return layers[kIntsPerLayer * layer + 1] & flag;
  }
  bool has_input(std::size_t layer) const { return layer > 0 || !driven; }
};

// Whether `reads` and `read_numbers` are those of the layers that are read.
bool DescribesReads(const Call& call) {
  std::size_t ints = 0, floats = 0;
  for (std::size_t l = 0; l < call.size(); ++l)
    for (int64_t flag : {kInputReads, kRecurrentReads}) {
      if (!call.has(l, flag)) {
        if (call.has(l, 2 * flag)) return false;  // reads backward alone
        continue;
      }
      const bool there = flag == kInputReads ? call.has_input(l) : call.has(l, kRecurrent);
      if (!there || call.reads.size() < ints + kIntsPerReads) return false;
      for (std::size_t k = 0; k < kIntsPerReads; ++k)
        if (call.reads[ints + k] < 0) return false;
      for (std::size_t k : {8, 10, 12, 14}) {
        const bool is_signed = k % 4 == 0 || call.reads[ints + k + 1] != 0;  // inputs' are
        if (call.reads[ints + k] > 24 || (is_signed && call.reads[ints + k] == 1)) return false;
      }
      if (call.reads[ints + 7] > 2) return false;
      floats += 1 + static_cast<std::size_t>(call.reads[ints]);
      ints += kIntsPerReads;
    }
  return ints == call.reads.size() && floats == call.read_numbers.size();
}

std::string Look(const ffi::RemainingArgs& args, Ints layers, Floats numbers, Ints reads,
                 Floats read_numbers, std::uint32_t backward_tag, bool driven, Call* call) {
  const std::size_t count = layers.size() / kIntsPerLayer;
  if (count == 0 || layers.size() != kIntsPerLayer * count ||
      numbers.size() != kFloatsPerLayer * count)
    return "xbarax lif: attributes that do not describe layers";
  for (std::size_t l = 0; l < count; ++l)
    if (layers[kIntsPerLayer * l] < 1 || layers[kIntsPerLayer * l + 2] < 0 ||
        layers[kIntsPerLayer * l + 2] > 2)
      return "xbarax lif: attributes that do not describe a layer";
  const auto xs = args.get<ffi::Buffer<ffi::F32>>(0);
  if (!xs.has_value() || xs->dimensions().size() < 3)
    return "xbarax lif: expected xs (*batch, steps, batch, inputs), float32";
  const Dims dims = xs->dimensions();
  const std::size_t lead = dims.size() - 3;
  *call = {};
  for (std::size_t i = 0; i < lead; ++i) call->copies *= static_cast<std::size_t>(dims[i]);
  call->steps = static_cast<std::size_t>(dims[lead]);
  call->batch = static_cast<std::size_t>(dims[lead + 1]);
  call->inputs = static_cast<std::size_t>(dims[lead + 2]);
  call->driven = driven, call->backward_tag = backward_tag, call->layers = layers,
  call->numbers = numbers;
  call->reads = reads, call->read_numbers = read_numbers;
  if (!DescribesReads(*call)) return "xbarax lif: attributes that do not describe reads";
  if (driven && call->inputs != call->size_of(0))
    return "xbarax lif: a drive of " + std::to_string(call->inputs) + " for a layer of " +
           std::to_string(call->size_of(0));
  return "";
}

LifState TakeState(const Call& call, std::size_t layer, Operands* operands) {
  const std::size_t count = call.batch * call.size_of(layer);
  LifState state = {};
  state.membrane = operands->Next<float>("membrane", count);
  state.current = operands->Next<float>("input current", count);
  if (call.has(layer, kRecurrent))
    state.recurrent = operands->Next<float>("recurrent current", count);
  state.spikes = operands->Next<float>("spikes", count);
  return state;
}

LifStateTo TakeState(const Call& call, std::size_t layer, Outcomes* outcomes) {
  const std::size_t count = call.batch * call.size_of(layer);
  LifStateTo state = {};
  state.membrane = outcomes->Next<float>("membrane", count);
  state.current = outcomes->Next<float>("input current", count);
  if (call.has(layer, kRecurrent))
    state.recurrent = outcomes->Next<float>("recurrent current", count);
  state.spikes = outcomes->Next<float>("spikes", count);
  return state;
}

// Of LifParameters, or of LifGradientsTo.
template <class Parameters, class Buffers>
Parameters TakeParameters(const Call& call, std::size_t layer, std::size_t inputs, bool input,
                          bool recurrent, Buffers* buffers) {
  const std::size_t size = call.size_of(layer);
  Parameters p = {};
  if (input) p.input = buffers->template Next<float>("input", size * inputs);
  if (call.has(layer, kInputBias)) p.input_bias = buffers->template Next<float>("input bias", size);
  if (recurrent) p.recurrent = buffers->template Next<float>("recurrent", size * size);
  if (call.has(layer, kRecurrentBias))
    p.recurrent_bias = buffers->template Next<float>("recurrent bias", size);
  return p;
}

// The arrays that are read. They stay where they are: chains point at them.
class Readers {
 public:
  explicit Readers(const Call& call)
      : call_(call), ints_(call.reads.begin()), floats_(call.read_numbers.begin()) {}

  // Takes the operands of the next array: `size` outputs of `inputs`.
  LifReads Take(std::size_t size, std::size_t inputs, bool backward, Operands* operands) {
    const auto word = [&](std::size_t k) { return static_cast<std::size_t>(ints_[k]); };
    AnalogArray array = {};
    array.out = size, array.in = inputs;
    array.planes = word(0), array.tiles_out = word(1), array.tiles_in = word(2);
    array.lines = word(3), array.words = word(4);
    array.column = ints_[5] != 0, array.words_first = ints_[6] != 0;
    array.noise = static_cast<ReadNoise>(ints_[7]);
    array.coefficients = floats_ + 1;
    const std::size_t cells =
        array.planes * array.tiles_out * array.tiles_in * array.lines * array.words;
    array.conductance = operands->Next<float>("conductances", cells);
    if (array.noise != ReadNoise::kNone)
      array.variance = operands->Next<float>(
          "variances", array.noise == ReadNoise::kEach ? cells : std::size_t{1});
    const float* scale = operands->Next<float>("scale", 1);
    LifReads reads = {};
    if (array.noise != ReadNoise::kNone) {
      const auto* key = operands->Next<std::uint32_t>("key", 2, ffi::U32);
      const auto* step = operands->Next<std::int32_t>("first step", 1, ffi::S32);
      if (operands->ok()) MakeKeys({key[0], key[1]}, static_cast<std::uint32_t>(*step), &reads);
    }
    const std::size_t column = array.column ? 1 : 0;
    if (array.lines <= column || array.tiles_out * (array.lines - column) < array.out ||
        array.tiles_in * array.words < array.in)
      operands->Refuse("tiles that are not those of a layer");
    if (operands->ok()) {
      array.scale = *scale;
      reads.half = LevelsOf(static_cast<int>(ints_[kIntsPerArray]), true).half;
      reads.forward = &readers_.emplace_back(array, ConvertersAt(kIntsPerArray),
                                             ReadPath{false, false, AnalogResult::kSums});
      if (backward)
        reads.backward =
            &readers_.emplace_back(array, ConvertersAt(kIntsPerArray + kIntsPerConverters),
                                   ReadPath{true, false, AnalogResult::kSums});
    }
    floats_ += 1 + array.planes, ints_ += kIntsPerReads;
    return reads;
  }

 private:
  // The keys of all steps, as jax.random.fold_in makes them, and those of backward reads.
  void MakeKeys(RandomKey key, std::uint32_t first, LifReads* reads) {
    const std::size_t steps = call_.steps;
    std::vector<RandomKey>& keys = keys_.emplace_back(2 * steps, key);
    std::vector<std::uint32_t> numbers(steps);
    std::iota(numbers.begin(), numbers.end(), first);
    const auto fold = BestRandom().fold_in;
    fold(keys.data(), numbers.data(), steps, keys.data());
    std::fill(numbers.begin(), numbers.end(), call_.backward_tag);
    fold(keys.data(), numbers.data(), steps, keys.data() + steps);
    reads->keys = keys.data(), reads->backward_keys = keys.data() + steps;
  }

  Converters ConvertersAt(std::size_t k) const {
    return {floats_[0],
            static_cast<int>(ints_[k]),
            ints_[k + 1] != 0,
            static_cast<int>(ints_[k + 2]),
            ints_[k + 3] != 0,
            AdcRange::kRead,
            0,
            nullptr};
  }

  const Call& call_;
  const int64_t* ints_;
  const float* floats_;
  std::deque<AnalogReader> readers_;
  std::deque<std::vector<RandomKey>> keys_;
};

LifChain TakeChain(const Call& call, Operands* operands, Readers* readers) {
  LifChain chain{call.steps, call.batch, nullptr, {}};
  std::size_t inputs = call.inputs;
  chain.xs = operands->Next<float>("xs", call.steps * call.batch * inputs);
  for (std::size_t l = 0; l < call.size(); ++l) {
    LifLayer layer = {};
    layer.inputs = inputs, layer.size = call.size_of(l);
    layer.recurrent = call.has(l, kRecurrent), layer.detach = call.has(l, kDetach);
    layer.reset = static_cast<Reset>(call.layers[kIntsPerLayer * l + 2]);
    const float* numbers = call.numbers.begin() + kFloatsPerLayer * l;
    layer.gain = numbers[0], layer.threshold = numbers[1], layer.steepness = numbers[2];
    layer.state = TakeState(call, l, operands);
    layer.decays = operands->Next<float>("decays", 6 * layer.size);
    const bool input = call.has_input(l) && !call.has(l, kInputReadsBackward);
    const bool recurrent = layer.recurrent && !call.has(l, kRecurrentReadsBackward);
    layer.parameters = TakeParameters<LifParameters>(call, l, inputs, input, recurrent, operands);
    if (call.has(l, kInputReads))
      layer.input_reads =
          readers->Take(layer.size, inputs, call.has(l, kInputReadsBackward), operands);
    if (call.has(l, kRecurrentReads))
      layer.recurrent_reads =
          readers->Take(layer.size, layer.size, call.has(l, kRecurrentReadsBackward), operands);
    chain.layers.push_back(layer);
    inputs = layer.size;
  }
  return chain;
}

// What is kept of membranes: the steps of a segment, those at the beginning that are run again, not
// both, and whether others look at them, which wants all.
struct Kept {
  std::size_t segment, again;
  bool shown;

  static bool Holds(Ints kept, std::size_t steps) {
    return kept.size() == 3 && kept[0] >= 0 && kept[1] >= 0 && (kept[0] == 0 || kept[1] == 0) &&
           static_cast<std::size_t>(kept[1]) <= steps &&
           (kept[2] == 0 || (kept[0] == 0 && kept[1] == 0));
  }
  explicit Kept(Ints kept)
      : segment(static_cast<std::size_t>(kept[0])),
        again(static_cast<std::size_t>(kept[1])),
        shown(kept[2] != 0) {}
};

template <class Buffers>
LifTrace TakeTrace(const Call& call, const Kept& parts, Buffers* buffers) {
  const std::size_t rows = call.steps * call.batch;
  LifTrace trace = {};
  trace.segment = parts.segment, trace.again = parts.again, trace.shown = parts.shown;
  if (!call.driven)
    trace.events =
        buffers->template Next<std::uint32_t>("events", rows * EventWords(call.inputs), ffi::U32);
  const std::size_t segments = Segments(call.steps, parts.segment);
  const std::size_t kept = segments == 0 ? 0 : (segments - 1) * call.batch;
  for (std::size_t l = 0; l < call.size(); ++l) {
    const std::size_t size = call.size_of(l);
    const auto floats = [&](const char* name, std::size_t n) {
      return buffers->template Next<float>(name, n * size);
    };
    trace.spikes.push_back(
        buffers->template Next<std::uint32_t>("spikes as bits", rows * WordsOf(size), ffi::U32));
    LifStateTo states = {};
    if (parts.segment != 0) {
      states.membrane = floats("membranes at segments", kept);
      states.current = floats("input currents at segments", kept);
      if (call.has(l, kRecurrent))
        states.recurrent = floats("recurrent currents at segments", kept);
      states.spikes = floats("spikes at segments", kept);
    }
    trace.states.push_back(states);
    trace.membranes.push_back(
        parts.segment == 0 ? floats("membranes", rows - parts.again * call.batch) : nullptr);
  }
  return trace;
}

// Allocators that keep what is given back do not keep this much.
constexpr std::size_t kTakenAnew = std::size_t{1} << 25;
constexpr std::size_t kNear = std::size_t{1} << 20;

// Results lie side by side in a program's memory, or nearly: huge pages hold several. What is
// between them may be another's, whose contents stay what they are.
void MapResults(ffi::RemainingRets results) {
  struct Range {
    char *begin, *end;
    std::size_t size() const { return static_cast<std::size_t>(end - begin); }
  };
  std::vector<Range> ranges;
  for (std::size_t i = 0; i < results.size(); ++i) {
    auto result = results.get<ffi::AnyBuffer>(i);
    if (!result.has_value()) continue;
    const ffi::AnyBuffer buffer = **result;
    char* begin = static_cast<char*>(buffer.untyped_data());
    ranges.push_back({begin, begin + buffer.size_bytes()});
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  for (std::size_t i = 0, next; i < ranges.size(); i = next) {
    Range range = ranges[i];
    for (next = i + 1; next < ranges.size() && ranges[next].begin <= range.end + kNear; ++next)
      range.end = std::max(range.end, ranges[next].end);
    if (range.size() >= kTakenAnew) AskForHugePages(range.begin, range.size());
  }
}

LifTrace NoTrace(const Call& call) {
  LifTrace trace = {};
  trace.membranes.resize(call.size()), trace.spikes.resize(call.size());
  return trace;
}

// Runs `one` for each of the copies that a vmap makes.
template <class One>
ffi::Error ForEachCopy(const Call& call, const One& one) {
  try {
    for (std::size_t copy = 0; copy < call.copies; ++copy)
      if (const std::string error = one(copy); !error.empty())
        return ffi::Error::InvalidArgument(error);
  } catch (const std::bad_alloc&) {
    return ffi::Error(ffi::ErrorCode::kResourceExhausted, "xbarax lif: out of memory");
  }
  return ffi::Error::Success();
}

ffi::Error Forward(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets,
                   Ints layers, Floats numbers, Ints reads, Floats read_numbers,
                   std::uint32_t backward_tag, bool driven, bool traced, Ints kept) {
  Call call;
  if (const std::string error =
          Look(args, layers, numbers, reads, read_numbers, backward_tag, driven, &call);
      !error.empty() || !Kept::Holds(kept, call.steps))
    return ffi::Error::InvalidArgument(error.empty() ? "xbarax lif: no such trace" : error);
  XlaExecutor executor(pool);
  return ForEachCopy(call, [&](std::size_t copy) -> std::string {
    Operands operands(args, call.copies, copy);
    Outcomes outcomes(rets, call.copies, copy);
    Readers readers(call);
    const LifChain chain = TakeChain(call, &operands, &readers);
    float* spikes =
        outcomes.Next<float>("spikes", call.steps * call.batch * call.size_of(call.size() - 1));
    std::vector<LifStateTo> states;
    for (std::size_t l = 0; l < call.size(); ++l) states.push_back(TakeState(call, l, &outcomes));
    const LifTrace trace = traced ? TakeTrace(call, Kept(kept), &outcomes) : NoTrace(call);
    if (!operands.Finish().empty()) return operands.Finish();
    if (!outcomes.Finish().empty()) return outcomes.Finish();
    if (copy == 0) MapResults(rets);
    LifForward(chain, spikes, states, trace, executor);
    return "";
  });
}

ffi::Error Backward(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets,
                    Ints layers, Floats numbers, Ints reads, Floats read_numbers,
                    std::uint32_t backward_tag, bool driven, Ints wanted, Ints kept) {
  Call call;
  if (const std::string error =
          Look(args, layers, numbers, reads, read_numbers, backward_tag, driven, &call);
      !error.empty() || !Kept::Holds(kept, call.steps))
    return ffi::Error::InvalidArgument(error.empty() ? "xbarax lif: no such trace" : error);
  if (wanted.size() != 1 + call.size())
    return ffi::Error::InvalidArgument("xbarax lif: attributes that do not describe derivatives");
  XlaExecutor executor(pool);
  const std::size_t rows = call.steps * call.batch;
  return ForEachCopy(call, [&](std::size_t copy) -> std::string {
    Operands operands(args, call.copies, copy);
    Outcomes outcomes(rets, call.copies, copy);
    Readers readers(call);
    const LifChain chain = TakeChain(call, &operands, &readers);
    const LifTrace trace = TakeTrace(call, Kept(kept), &operands);
    LifCotangents given = {};
    LifResults results = {};
    const std::size_t last = call.size() - 1;
    if (wanted[0] & kSpikes)
      given.spikes = operands.Next<float>("cotangent of spikes", rows * call.size_of(last));
    if (wanted[0] & kXs) results.xs = outcomes.Next<float>("xs", rows * call.inputs);
    for (std::size_t l = 0; l <= last; ++l) {
      const std::size_t size = call.size_of(l);
      given.states.push_back(TakeState(call, l, &operands));
      const auto optional = [&](int64_t flag, const char* name) -> const float* {
        return wanted[l + 1] & flag ? operands.Next<float>(name, rows * size) : nullptr;
      };
      given.membranes.push_back(optional(kMembranes, "cotangent of membranes"));
      given.hidden.push_back(optional(kHidden, "cotangent of hidden spikes"));
      results.states.push_back(TakeState(call, l, &outcomes));
      results.parameters.push_back(TakeParameters<LifGradientsTo>(
          call, l, chain.layers[l].inputs, call.has_input(l), call.has(l, kRecurrent), &outcomes));
    }
    if (!operands.Finish().empty()) return operands.Finish();
    if (!outcomes.Finish().empty()) return outcomes.Finish();
    LifBackward(chain, trace, given, results, executor);
    return "";
  });
}

}  // namespace
}  // namespace xbarax

#define XBARAX_EXPORT __attribute__((visibility("default")))

extern "C" {
XBARAX_EXPORT XLA_FFI_Error* XbaraxLifForward(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxLifBackward(XLA_FFI_CallFrame* call_frame);
}  // extern "C"

XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxLifForward, xbarax::Forward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<xbarax::Ints>("layers")
                                  .Attr<xbarax::Floats>("numbers")
                                  .Attr<xbarax::Ints>("reads")
                                  .Attr<xbarax::Floats>("read_numbers")
                                  .Attr<std::uint32_t>("backward_tag")
                                  .Attr<bool>("driven")
                                  .Attr<bool>("traced")
                                  .Attr<xbarax::Ints>("kept"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxLifBackward, xbarax::Backward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<xbarax::Ints>("layers")
                                  .Attr<xbarax::Floats>("numbers")
                                  .Attr<xbarax::Ints>("reads")
                                  .Attr<xbarax::Floats>("read_numbers")
                                  .Attr<std::uint32_t>("backward_tag")
                                  .Attr<bool>("driven")
                                  .Attr<xbarax::Ints>("wanted")
                                  .Attr<xbarax::Ints>("kept"));
