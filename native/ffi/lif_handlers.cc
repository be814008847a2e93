// XLA's handlers of layers of LIF neurons.
//
// Operands and results have the same leading batch axes, so that vmap is one call. Forward:
//
//   xs, for each layer: (membrane, current, recurrent current?, spikes, decays,
//                        input?, input bias?, recurrent?, recurrent bias?)
//     -> the last layer's spikes, for each layer: (membrane, current, recurrent current?, spikes),
//        where it is traced: events?, for each layer: (membranes, spikes as bits)
//
// Backward: what forward takes and its trace; cotangents of the last layer's spikes?, for each
// layer: those of its state, of its membranes?, of a hidden layer's spikes? -> xs?, for each layer:
// its state, its parameters as forward takes them.
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <vector>

#include "ffi/xla.h"
#include "kernels/lif.h"

namespace xbarax {
namespace {

using Ints = ffi::Span<const int64_t>;
using Floats = ffi::Span<const float>;

// Of `layers`: for each its size, flags and reset.
enum : int64_t { kRecurrent = 1, kInputBias = 2, kRecurrentBias = 4, kDetach = 8 };
constexpr std::size_t kIntsPerLayer = 3;
constexpr std::size_t kFloatsPerLayer = 3;  // of `numbers`: gain, threshold, steepness

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
  Ints layers;
  Floats numbers;

  std::size_t size() const { return layers.size() / kIntsPerLayer; }
  std::size_t size_of(std::size_t layer) const {
    return static_cast<std::size_t>(layers[kIntsPerLayer * layer]);
  }
  bool has(std::size_t layer, int64_t flag) const {
    return layers[kIntsPerLayer * layer + 1] & flag;
  }
  bool has_input(std::size_t layer) const { return layer > 0 || !driven; }
};

std::string Look(const ffi::RemainingArgs& args, Ints layers, Floats numbers, bool driven,
                 Call* call) {
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
  call->driven = driven, call->layers = layers, call->numbers = numbers;
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
Parameters TakeParameters(const Call& call, std::size_t layer, std::size_t inputs,
                          Buffers* buffers) {
  const std::size_t size = call.size_of(layer);
  Parameters p = {};
  if (call.has_input(layer)) p.input = buffers->template Next<float>("input", size * inputs);
  if (call.has(layer, kInputBias)) p.input_bias = buffers->template Next<float>("input bias", size);
  if (call.has(layer, kRecurrent))
    p.recurrent = buffers->template Next<float>("recurrent", size * size);
  if (call.has(layer, kRecurrentBias))
    p.recurrent_bias = buffers->template Next<float>("recurrent bias", size);
  return p;
}

LifChain TakeChain(const Call& call, Operands* operands) {
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
    layer.parameters = TakeParameters<LifParameters>(call, l, inputs, operands);
    chain.layers.push_back(layer);
    inputs = layer.size;
  }
  return chain;
}

template <class Buffers>
LifTrace TakeTrace(const Call& call, Buffers* buffers) {
  const std::size_t rows = call.steps * call.batch;
  LifTrace trace = {};
  if (!call.driven)
    trace.events =
        buffers->template Next<std::uint32_t>("events", rows * Words(call.inputs), ffi::U32);
  for (std::size_t l = 0; l < call.size(); ++l) {
    const std::size_t size = call.size_of(l);
    trace.membranes.push_back(buffers->template Next<float>("membranes", rows * size));
    trace.spikes.push_back(
        buffers->template Next<std::uint32_t>("spikes as bits", rows * Words(size), ffi::U32));
  }
  return trace;
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
                   Ints layers, Floats numbers, bool driven, bool traced) {
  Call call;
  if (const std::string error = Look(args, layers, numbers, driven, &call); !error.empty())
    return ffi::Error::InvalidArgument(error);
  XlaExecutor executor(pool);
  return ForEachCopy(call, [&](std::size_t copy) -> std::string {
    Operands operands(args, call.copies, copy);
    Outcomes outcomes(rets, call.copies, copy);
    const LifChain chain = TakeChain(call, &operands);
    float* spikes =
        outcomes.Next<float>("spikes", call.steps * call.batch * call.size_of(call.size() - 1));
    std::vector<LifStateTo> states;
    for (std::size_t l = 0; l < call.size(); ++l) states.push_back(TakeState(call, l, &outcomes));
    const LifTrace trace = traced ? TakeTrace(call, &outcomes) : NoTrace(call);
    if (!operands.Finish().empty()) return operands.Finish();
    if (!outcomes.Finish().empty()) return outcomes.Finish();
    LifForward(chain, spikes, states, trace, executor);
    return "";
  });
}

ffi::Error Backward(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets,
                    Ints layers, Floats numbers, bool driven, Ints wanted) {
  Call call;
  if (const std::string error = Look(args, layers, numbers, driven, &call); !error.empty())
    return ffi::Error::InvalidArgument(error);
  if (wanted.size() != 1 + call.size())
    return ffi::Error::InvalidArgument("xbarax lif: attributes that do not describe derivatives");
  XlaExecutor executor(pool);
  const std::size_t rows = call.steps * call.batch;
  return ForEachCopy(call, [&](std::size_t copy) -> std::string {
    Operands operands(args, call.copies, copy);
    Outcomes outcomes(rets, call.copies, copy);
    const LifChain chain = TakeChain(call, &operands);
    const LifTrace trace = TakeTrace(call, &operands);
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
      results.parameters.push_back(
          TakeParameters<LifGradientsTo>(call, l, chain.layers[l].inputs, &outcomes));
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
                                  .Attr<bool>("driven")
                                  .Attr<bool>("traced"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxLifBackward, xbarax::Backward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<xbarax::Ints>("layers")
                                  .Attr<xbarax::Floats>("numbers")
                                  .Attr<bool>("driven")
                                  .Attr<xbarax::Ints>("wanted"));
