// What the cells of a simulated chip do, one by one, and its random numbers.
#ifndef XBARAX_DRIVERS_SIMULATED_CELLS_H_
#define XBARAX_DRIVERS_SIMULATED_CELLS_H_

#include <stdint.h>

typedef struct Cells {
  float range;      // weights are within [-range, range]
  uint32_t levels;  // 0: any weight
  double step;      // between levels; 0: there are none
  uint64_t random;  // the generator's counter
} Cells;

Cells MakeCells(double range, uint32_t levels, uint64_t seed);

// A weight after programming, an update, and pulses.
float Programmed(const Cells* cells, float weight);
float Updated(Cells* cells, float weight, float delta);
float Pulsed(const Cells* cells, float weight, int32_t pulses);

// Any weight.
float RandomWeight(Cells* cells);

// A number of the standard normal distribution, at most kLargestNormal away from 0.
double Normal(Cells* cells);
#define kLargestNormal 8.58

#endif  // XBARAX_DRIVERS_SIMULATED_CELLS_H_
