// What cells that take pulses are asked for, and what comes of it: `xbarax.chip.device._respond`
// natively, for cells whose steps are affine in the state.
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
  float written;  // the deviation of what is read from the state; 0: none
  float failed;   // the share of cells whose bounds nobody asks for
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
  // The cells' normal numbers of a key, times a deviation.
  void (*normal)(float deviation, RandomKey key, const PulsedBatch& batch, float* to);
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

// What cells are asked for; one of the first three is given.
struct PulseRequest {
  const std::int32_t* counts;  // of pulses

  const float* changes;            // of their conductances, which become pulses by random rounding
  float siemens_up, siemens_down;  // of a mean step
  float most;                      // pulses

  const float* targets;  // states that the cells in `where` go to, anew from the state `begin` on
  const bool* where;
  float begin;
  bool from_symmetry;  // whether states count from each cell's symmetry point
  // Where one more pulse of the mean cell comes nearer, up and (turned in sign) down; increasing.
  const float *rises, *falls;
  std::size_t n_rises, n_falls;
};

struct PulseTotals {
  std::int64_t pulses, cut, capped;  // given; cells that a bound cut off; cells that wanted more
};

// `count` cells that have states, and what is read beside them (null where that is nothing).
struct PulsedStates {
  const float *state, *written;
  float *to, *written_to;
};

// Gives cells their pulses. What a cell has of its own are numbers of `identity`, what is random
// are those of `key`.
PulseTotals Pulse(const PulsedCells& cells, RandomKey identity, RandomKey key, std::size_t count,
                  const PulsedStates& states, const PulseRequest& request, Executor& executor,
                  const PulseSteps& steps = BestPulseSteps(), const Random& random = BestRandom());

}  // namespace xbarax
