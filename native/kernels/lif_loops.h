// The inner loops of layers of LIF neurons, compiled once for each instruction set.
//
// Rows of numbers here are `width` long, a multiple of every instruction set's lanes; what is
// beyond a layer's size stays zero.
#pragma once

#include <cstddef>
#include <cstdint>

namespace xbarax {

enum class Reset { kZero, kSubtract, kNone };

// What a layer's neurons have in common, and the decay constants of each: rows of `width` numbers.
struct LifNeurons {
  std::size_t width;
  const float *alpha, *one_minus_alpha;    // membrane
  const float *beta, *one_minus_beta;      // input current
  const float *beta_r, *one_minus_beta_r;  // recurrent current
  float gain, threshold, steepness;
  Reset reset;
  bool recurrent, detach;
};

// One sample's neurons, between two steps.
struct LifRows {
  float *membrane, *current, *recurrent, *spikes;
};

// One sample's derivatives, between two steps: of the loss by what `LifRows` holds. `spikes` is
// what comes by the reset, if that is not detached.
using LifGradients = LifRows;

struct LifLoops {
  // Bit k of `bits` says whether x[k] is not zero.
  void (*not_zero)(const float* x, std::size_t size, std::uint32_t* bits);
  // sum += the rows of those numbers, times their factors where there are any.
  void (*add_rows)(const float* rows, const std::uint32_t* numbers, const float* factors,
                   std::size_t count, std::size_t width, float* sum);
  // To each of the rows of those numbers: += addend, times the row's factor.
  void (*add_to_rows)(float* rows, const std::uint32_t* numbers, const float* factors,
                      std::size_t count, std::size_t width, const float* addend);
  // From one step to the next. Bit k of `bits` says whether neuron k spikes, or is no number;
  // returns whether one is no number.
  bool (*advance)(const LifNeurons& neurons, const float* drive, const float* feedback,
                  const LifRows& rows, std::uint32_t* bits);
  // From a step's end to its beginning. `membrane` is that at the end, `membrane_before` and
  // `spikes_before` those at the beginning; the latter may be null, where the first tells them.
  // `spikes_a`, `spikes_b` and `membrane_bar` are further derivatives by what is at the end, or
  // null. Writes those by the drive and, where it is recurrent, by the feedback.
  void (*retreat)(const LifNeurons& neurons, const float* membrane, const float* membrane_before,
                  const float* spikes_before, const float* spikes_a, const float* spikes_b,
                  const float* membrane_bar, const LifGradients& gradients, float* drive,
                  float* feedback);
};

constexpr std::size_t kLifLanes = 16;  // of the widest instruction set

namespace baseline {
extern const LifLoops kLifLoops;
}
namespace avx2 {
extern const LifLoops kLifLoops;
}
namespace avx512 {
extern const LifLoops kLifLoops;
}

// The loops for the processor that this runs on.
const LifLoops& BestLifLoops();

}  // namespace xbarax
