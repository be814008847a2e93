// What pulses do to the states of cells: `xbarax.chip.device._pulses.respond` natively, for cells
// whose steps are affine in the state.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/parallel.h"
#include "kernels/random.h"

namespace xbarax {

// What cells of a kind have in common; the names are those of AbstractPulsed.
struct PulsedCells {
  float step_up, step_down, step_spread, asymmetry_spread;
  float lower, upper, lower_spread, upper_spread;
  float cycle_noise;
  float slope_up, slope_down;  // a step is 1 - slope * state of the largest
  bool own_bounds;             // whether the slopes are instead one over each cell's own bounds
  bool lognormal, additive;
};

// Some cells out of many, in rows of their own: as many as the lanes of all vectors that they fill.
struct PulsedBatch {
  std::size_t count;
  std::uint32_t* numbers;  // of each, its place among all
  float* state;
  std::int32_t* left;  // pulses to come: up where positive, down where negative
  float *lower, *upper, *step_up, *step_down;  // what each has of its own
  std::int32_t* cut;                           // whether a bound cut off a single step
};

// One instruction set's steps of the loop.
struct PulseSteps {
  std::size_t lanes;
  // Draws what each cell has of its own, by the four keys that a cell's identity is split into.
  void (*own)(const PulsedCells& cells, const RandomKey* keys, const PulsedBatch& batch);
  // Gives each cell as many of its pulses at once as is exact, and one where none is, with the
  // noise of the turn's key.
  void (*turn)(const PulsedCells& cells, RandomKey key, const PulsedBatch& batch);
};

namespace baseline {
extern const PulseSteps kPulseSteps;
}
namespace avx2 {
extern const PulseSteps kPulseSteps;
}
namespace avx512 {
extern const PulseSteps kPulseSteps;
}

// The steps for the processor that this runs on.
const PulseSteps& BestPulseSteps();

// Gives `count` cells their pulses: states and whether a bound cut off a step of each, from states
// and counts. What a cell has of its own are numbers of `identity`, the noise is that of `key`.
void Pulse(const PulsedCells& cells, RandomKey identity, RandomKey key, std::size_t count,
           const float* state, const std::int32_t* pulses, float* to, bool* cut, Executor& executor,
           const PulseSteps& steps = BestPulseSteps(), const Random& random = BestRandom());

}  // namespace xbarax
