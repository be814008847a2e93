// Layers of LIF neurons over time, and the derivatives: `xbarax.snn.LIF` natively.
//
// The layers of a chain pass their spikes on as events, so that products with weights cost what the
// spikes do. Time comes first: (steps, batch, size).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/analog_read.h"
#include "kernels/lif_loops.h"
#include "kernels/parallel.h"
#include "kernels/random.h"

namespace xbarax {

// Null: the layer has none. The first layer of a chain may have no `input`: it is given its drive.
struct LifParameters {
  const float* input;           // (size, inputs)
  const float* input_bias;      // (size)
  const float* recurrent;       // (size, size)
  const float* recurrent_bias;  // (size)
};

struct LifGradientsTo {
  float *input, *input_bias, *recurrent, *recurrent_bias;
};

// Weights that are those of a simulated chip's array: it is read at each step, a sample's row with
// the noise of its place in the batch.
struct LifReads {
  const AnalogReader* forward;            // null: there is no such array
  const AnalogReader* backward;           // null: plain weights stand for it
  const RandomKey *keys, *backward_keys;  // of each step; null where reads have no noise
  float half;  // of the levels of the inputs' converters, from 0 to 1; 0: they are exact
};

struct LifLayer {
  std::size_t inputs, size;
  bool recurrent, detach;
  Reset reset;
  float gain, threshold, steepness;
  const float* decays;       // (6, size): α, 1 − α, β, 1 − β, βᵣ, 1 − βᵣ
  LifParameters parameters;  // without weights that are read in both directions
  LifReads input_reads, recurrent_reads;
  LifState state;  // at the beginning
};

struct LifChain {
  std::size_t steps, batch;
  // (steps, batch, inputs of the first layer): its inputs, or its drive.
  const float* xs;
  std::vector<LifLayer> layers;

  bool driven() const {
    return layers[0].parameters.input == nullptr && layers[0].input_reads.forward == nullptr;
  }
};

// What the forward pass leaves for the backward one: the membranes of all steps but the first
// `again`, which the backward pass runs again; or, where `segment` is not 0, states at the
// beginning of each so many steps, from which it runs all segments again. Null where it is not
// wanted. Where others look at membranes, all are there; else how numbers are arranged, and which
// of the rest are written, is between the two passes, whose executors have as many threads.
struct LifTrace {
  std::size_t segment = 0, again = 0;
  bool shown = true;                   // whether others look at membranes
  std::uint32_t* events;               // (steps, batch, event words): of `xs`
  std::vector<std::uint32_t*> spikes;  // of each layer, (steps, batch, words)
  std::vector<float*> membranes;       // of each layer, (steps - again, batch, size)
  // Of each layer, (segments - 1, batch, size): at the beginning of all segments but the first.
  std::vector<LifStateTo> states;
};

// The number of segments of so many steps.
constexpr std::size_t Segments(std::size_t steps, std::size_t segment) {
  return segment == 0 ? 1 : (steps + segment - 1) / segment;
}

// Runs a chain: the last layer's spikes (steps, batch, size), and each layer's state at the end.
void LifForward(const LifChain& chain, float* spikes, const std::vector<LifStateTo>& states,
                const LifTrace& trace, Executor& executor, const LifLoops& loops = BestLifLoops());

// Derivatives of a loss by what the forward pass gave. Null: zero.
struct LifCotangents {
  const float* spikes;                  // of the last layer
  std::vector<const float*> hidden;     // by the other layers' spikes
  std::vector<const float*> membranes;  // by each layer's membranes
  std::vector<LifState> states;         // by each layer's state at the end
};

// The loss's derivatives by what the forward pass was given; `xs` may be null where nobody asks.
struct LifResults {
  float* xs;
  std::vector<LifGradientsTo> parameters;
  std::vector<LifStateTo> states;
};

void LifBackward(const LifChain& chain, const LifTrace& trace, const LifCotangents& cotangents,
                 const LifResults& results, Executor& executor,
                 const LifLoops& loops = BestLifLoops());

}  // namespace xbarax
