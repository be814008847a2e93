// The steps of an analog read, compiled once for each instruction set. Each goes through some rows
// of a tile. Rows lie some numbers apart; behind what a row has, up to the next whole vector, steps
// may write into what they are given to write to.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/bits.h"
#include "kernels/random.h"

namespace xbarax {

// A converter's levels. `half`: the number of the level at full scale; 0: it is exact.
struct Levels {
  float half;
  bool is_signed;  // whether they go down to -half, not 0
};

// Those of a converter of so many bits; 0: it is exact.
Levels LevelsOf(int bits, bool is_signed);

// What is known of rows before they are read: bits of the numbers that are not zero, and whether
// these are all 1, so that nothing else has to be looked at.
struct RowEvents {
  const std::uint32_t* bits;  // rows `apart` words apart; null: nothing is known
  std::size_t apart;
  const char* ones;  // [rows]
};

// From numbers to voltages.
struct DriveStep {
  std::size_t rows;
  const float* x;
  std::size_t x_stride;
  std::size_t count;  // numbers of a row
  RowEvents events;   // of which the numbers' first is this:
  std::size_t first_bit;
  std::size_t drives;  // voltages of a row, which lie that far apart
  bool column;         // whether the last of these is that of a reference column: minus their sum
  Levels levels;
  bool scaled;  // whether full scale is a row's largest number, not 1
  float unit;   // the voltage of an input of 1
  float* volts;
  float* squares;     // of the voltages, or null
  float* deviations;  // of each row: the root of `variance` times the sum of squares; or null
  float variance;
  std::size_t most;  // places of a row
  // [rows][drives]: where voltages are not zero, for rows with no more than `most` such places.
  // Written row by row; behind a row it may go on for 5 kBitsBehind.
  std::uint32_t* places;
  std::uint32_t* n_places;  // how many
  bool whole;               // whether voltages of zero are written even where places are
};

// The noise of a row is that of the row of this number in a read with this key.
struct RowNoise {
  RandomKey key;
  std::uint64_t row;
};

// Read noise.
struct NoiseStep {
  std::size_t rows, planes, lines;
  float* sums;  // [rows][planes][lines], rows `stride` apart
  std::size_t stride;
  const float* deviations;  // of each row; or null:
  const float* variances;   // of each sum, as the sums
  const bool* silent;       // of each row: whether it has none
  const RowNoise* noise;
  // A row's sums take a line of paired numbers, whose counters begin at row_counters row + first.
  std::uint64_t row_counters, first;
};

// From currents to a tile's share of the results.
struct ConvertStep {
  std::size_t rows, planes, lines, stride;
  const float* sums;  // as of NoiseStep
  std::size_t count;  // results of a row
  bool column;        // whether line number lines - 1 is a reference column
  Levels levels;
  bool noisy;        // whether currents have noise: between two levels none is but by chance
  bool by_read;      // whether full scale is the largest of a plane's currents
  float full_scale;  // else that,
  const float* full_scales;  // or if not null, that of each plane, `full_scales_stride` apart
  std::size_t full_scales_stride;
  const bool* silent;    // of each row: whether all its currents are zero
  const float* factors;  // of each plane
  bool first;            // whether y is new, and not added to
  float* y;
  std::size_t y_stride;
};

// One instruction set's steps.
struct AnalogSteps {
  std::size_t panel_columns;  // those of its Matmul
  std::size_t lanes;          // of a vector
  void (*drive)(const DriveStep& step);
  // y (panels x panel_columns) = x (depth) B, for B in `panels` panels, from x's `count` places.
  void (*events)(const float* x, const std::uint32_t* places, std::size_t count, const float* b,
                 std::size_t depth, std::size_t panels, float* y);
  void (*add_noise)(const NoiseStep& step);
  void (*convert)(const ConvertStep& step);
  // y = 1 where the converters of no plane clip the current, else 0.
  void (*inside)(const ConvertStep& step);
};

namespace baseline {
extern const AnalogSteps kAnalogSteps;
}
namespace avx2 {
extern const AnalogSteps kAnalogSteps;
}
namespace avx512 {
extern const AnalogSteps kAnalogSteps;
}

// The steps for the processor that this runs on.
const AnalogSteps& BestAnalogSteps();

}  // namespace xbarax
