// The inner loops of layers of LIF neurons, compiled once for each instruction set: one layer's
// block of samples, from one step to the next or back.
//
// Rows that have `width` numbers are padded: that is a multiple of every instruction set's lanes,
// and what is beyond a layer's size stays zero. Others have the layer's `size`.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/bits.h"

namespace xbarax {

enum class Reset { kZero, kSubtract, kNone };

// (batch, size) each; `recurrent` only where the layer is.
struct LifState {
  const float *membrane, *current, *recurrent, *spikes;
};
struct LifStateTo {
  float *membrane, *current, *recurrent, *spikes;
};

// What a layer's neurons have in common, and the decay constants of each: padded rows.
struct LifNeurons {
  std::size_t size, width;
  const float *alpha, *one_minus_alpha;    // membrane
  const float *beta, *one_minus_beta;      // input current
  const float *beta_r, *one_minus_beta_r;  // recurrent current
  float gain, threshold, steepness;
  Reset reset;
  bool recurrent, detach;
};

// What samples have between two steps, or the derivatives by it; padded rows. Of the derivatives,
// `spikes` is what comes by the reset.
struct LifRows {
  float *membrane, *current, *recurrent, *spikes;
};

// Bits say which of a row's numbers are not zero; a last word says whether these are all 1.
[[maybe_unused]] static constexpr std::size_t EventWords(std::size_t inputs) {
  return WordsOf(inputs) + 1;
}

// Room for the events of one sample, and kBitsBehind more numbers.
struct LifScratch {
  std::uint32_t* numbers;
  float *factors, *drive, *feedback;
};

// Where a layer's inputs come from: rows of numbers `xs` and of their events, or of the bits of the
// spikes of the layer below.
struct LifInputs {
  std::size_t size;
  const float* xs;  // null: the layer below's
  std::uint32_t* events;
  const std::uint32_t* below;  // [samples][words]
  const char* no_number;       // [samples]: whether some spike of the layer below is none
  float half;                  // of the levels that numbers are rounded to; 0: they are not
};

struct LifForwardStep {
  const LifNeurons* neurons;
  std::size_t samples;
  LifInputs inputs;
  // The drive without bias where it is given: rows of the layer's size. Else null.
  const float* drive;
  // What is fed back without bias where it is given, likewise; else it comes from the spikes, which
  // in the first step may be any numbers.
  const float* feedback;
  bool first;
  const float *input, *recurrent;            // transposed: padded rows, one for each input
  const float *input_bias, *recurrent_bias;  // padded rows
  LifRows rows;
  // Bits of the spikes before and after, [samples][words]; may be the same. `no_number` too.
  const std::uint32_t* bits_before;
  std::uint32_t* bits;
  char* no_number;
  float *membranes, *spikes;  // rows that are written, or null
  LifScratch scratch;
};

struct LifBackwardStep {
  const LifNeurons* neurons;
  std::size_t samples;
  LifInputs inputs;
  bool first;  // the spikes before may be any numbers
  // At the end and at the beginning of the step.
  const float *membranes, *membranes_before;
  const float* spikes_before;        // in the first step
  const std::uint32_t* bits_before;  // in the others
  // Derivatives by what is at the end, beside `gradients`: rows of the layer's size, padded ones
  // for spikes that feed back and those that the layer above takes. Null: none.
  const float *spikes_bar, *membranes_bar, *before_bar, *above_bar;
  LifRows gradients;
  float *drive, *feedback;  // derivatives by these, padded rows that are written
  // Gradients by parameters that are added to, transposed as in the forward step. Null: not wanted.
  float *input, *recurrent, *input_bias, *recurrent_bias;
  LifScratch scratch;
};

// Room for lists of so many rows, and events: at least those of a sample, and kBitsBehind more
// numbers.
struct LifCollectedRoom {
  std::size_t rows, events;
  std::uint32_t *numbers, *listed, *begins, *ends;  // begins: one more than there are inputs
  float *factors, *listed_factors;
};

// Rows of some steps of a block of samples, and the inputs whose events they belong to.
struct LifCollected {
  const LifNeurons* neurons;
  std::size_t steps, samples;
  LifInputs inputs;   // at the first of the steps
  std::size_t apart;  // rows of inputs from one step to the next
  const float* rows;  // [steps][samples], padded
  float* matrix;      // transposed: padded rows, one for each input, that are added to
  LifCollectedRoom room;
};

struct LifFewLoops;  // of lif_few.h

struct LifLoops {
  std::size_t lanes;
  // Writes the events of xs, which the others take.
  void (*find)(const LifInputs& inputs, std::size_t samples);
  // Whether rows of bits, so many words apart, have so many events that a product with all inputs
  // takes less time than one with these.
  bool (*many)(const std::uint32_t* bits, std::size_t apart, std::size_t rows, std::size_t size);
  // Writes rows of numbers: what converters make of xs, or spikes.
  void (*numbers)(const LifInputs& inputs, std::size_t samples, float* to);
  void (*forward)(const LifForwardStep& step);
  void (*backward)(const LifBackwardStep& step);
  // Adds the products of rows and their events to a matrix.
  void (*gather)(const LifCollected& collected);
  const LifFewLoops* few;  // null: chains of few neurons are run as others are
};

namespace baseline {
extern const LifLoops kLifLoops;
extern const LifFewLoops kLifFewLoops;
}  // namespace baseline
namespace avx2 {
extern const LifLoops kLifLoops;
extern const LifFewLoops kLifFewLoops;
}  // namespace avx2
namespace avx512 {
extern const LifLoops kLifLoops;
extern const LifFewLoops kLifFewLoops;
}  // namespace avx512

// The loops for the processor that this runs on.
const LifLoops& BestLifLoops();

}  // namespace xbarax
