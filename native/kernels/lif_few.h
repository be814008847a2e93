// Chains of layers of few neurons, where products by events take longer than dense ones: blocks of
// samples, one in each lane, for all steps, compiled once for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/analog_tile.h"
#include "kernels/lif_loops.h"
#include "kernels/random.h"

namespace xbarax {

[[maybe_unused]] static constexpr std::size_t kFewLayers = 8;   // at most
[[maybe_unused]] static constexpr std::size_t kFewVectors = 3;  // of samples in a block, at most
[[maybe_unused]] static constexpr std::size_t kFewOutputs = 4;  // of a product at a time

// Columns of matrices, and numbers of biases, with zeros behind them.
[[maybe_unused]] static constexpr std::size_t FewPadded(std::size_t size) {
  return (size + kFewOutputs - 1) / kFewOutputs * kFewOutputs;
}

// Weights of an array that is read; null where they are others. See LifReads.
struct LifFewReads {
  const AnalogTile *forward, *backward;
  const RandomKey *keys, *backward_keys;
  float half;
};

// Rows of samples are (…, batch, size).
struct LifFewLayer {
  std::size_t inputs, size;
  float gain, threshold, steepness;
  Reset reset;
  bool has_feedback, detach, driven;
  const float* decays;                       // (6, size), as LifLayer's
  const float *input, *recurrent;            // transposed, padded; null where there are none
  const float *input_bias, *recurrent_bias;  // padded
  const float *input_back, *recurrent_back;  // padded; null: not wanted, or read
  LifFewReads input_reads, recurrent_reads;  // `input_reads.backward` null: not wanted, or plain
  LifState start;
  float* membranes;  // of the steps from `again` on; null: not kept
  LifStateTo kept;   // at the beginning of all segments but the first
};

struct LifFewChain {
  std::size_t steps, batch, segment, again;
  const float* xs;  // inputs of the first layer, or its drive
  const LifFewLayer* layers;
  std::size_t count;
  bool packed;  // whether membranes are kept as (size, samples of a block) instead of rows
};

// What comes of a chain: the spikes of the last layer, and each layer's state at the end.
struct LifFewResults {
  float* spikes;
  const LifStateTo* ends;
};

// Derivatives that are given, null where they are zero, and wanted, null where they are not.
struct LifFewGradients {
  const float *hidden_bar, *membranes_bar;
  LifState end_bar;
  LifStateTo start;
  // Added to, by parameters: (inputs, size).
  float *input, *recurrent, *input_bias, *recurrent_bias;
};

struct LifFewBackward {
  const float* spikes_bar;  // by the last layer's spikes
  float* xs_bar;
  const LifFewGradients* layers;
};

// The room that a block needs: zeros at first, but for `any`; and how much of it is taken.
struct LifFewRoom {
  float *floats, *any;
  std::uint32_t* numbers;
  std::size_t floats_taken, any_taken, numbers_taken;
};

struct LifFewLoops {
  // How much a block takes of its room.
  LifFewRoom (*room)(const LifFewChain& chain, bool backward);
  void (*forward)(const LifFewChain& chain, const LifFewResults& to, std::size_t first,
                  std::size_t samples, const LifFewRoom& room);
  void (*backward)(const LifFewChain& chain, const LifFewBackward& to, std::size_t first,
                   std::size_t samples, const LifFewRoom& room);
};

}  // namespace xbarax
