// An array of one tile, for loops that read a sample in each lane of a vector.
#pragma once

#include <cstddef>

#include "kernels/analog_steps.h"

namespace xbarax {

// As a read goes through it. Its matrix [drives][planes · lines] lies in panels of columns,
// [panels][drives][panel columns]. All numbers are finite.
struct AnalogTile {
  std::size_t drives, planes, lines, panel_columns;
  bool drive_column, line_column;  // whether the last of these is that of a reference column
  const float* conductance;
  const float* variances;  // of a read, as the conductances; null:
  float variance;          // those of all devices; 0: there is no noise
  Levels dac, adc;       // an exact one, or one with a full scale that is a read's largest current
  bool dac_scaled;       // whether full scale is the largest input, not 1
  float unit;            // the voltage of an input of 1
  const float* factors;  // of each plane, from amperes to results

  std::size_t inputs() const { return drives - (drive_column ? 1 : 0); }
  std::size_t outputs() const { return lines - (line_column ? 1 : 0); }
  bool noisy() const { return variances != nullptr || variance != 0; }
};

}  // namespace xbarax
