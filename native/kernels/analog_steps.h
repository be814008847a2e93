// The steps of an analog read, compiled once for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/random.h"

namespace xbarax {

// A converter's levels; the values of an exact one have no `half`.
struct Levels {
  float full_scale;
  float half;  // the number of the level at full scale
  float low;   // that of the lowest
};

// One instruction set's steps, on rows of `count` numbers.
struct AnalogSteps {
  std::size_t panel_columns;  // those of its Matmul
  // The largest magnitude; NaN if any number is.
  float (*largest)(const float* x, std::size_t count);
  float (*total)(const float* x, std::size_t count);
  void (*squares)(const float* x, std::size_t count, float* to);
  // What a converter makes of x, times `unit`.
  void (*drive)(const float* x, std::size_t count, const Levels& levels, float unit, float* to);
  // Where x is not zero; only how often where it is more than `most`.
  std::size_t (*places)(const float* x, std::size_t count, std::size_t most, std::uint32_t* to);
  // y (panels x panel_columns) = x (depth) B, for B in `panels` panels, from x's `count` places.
  void (*events)(const float* x, const std::uint32_t* places, std::size_t count, const float* b,
                 std::size_t depth, std::size_t panels, float* y);
  // Adds the numbers from `start` on of a key, times the deviation or that of each variance.
  void (*add_noise)(RandomKey key, std::uint64_t start, std::size_t count, float deviation,
                    float* y);
  void (*add_noise_each)(RandomKey key, std::uint64_t start, std::size_t count,
                         const float* variances, float* y);
  // y = (y +) factor (what a converter makes of x - reference); y is new where it is the first.
  void (*convert)(const float* x, std::size_t count, const Levels& levels, float reference,
                  float factor, bool first, float* y);
  // y = (y) (whether low <= x <= high).
  void (*inside)(const float* x, std::size_t count, float low, float high, bool first, float* y);
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
