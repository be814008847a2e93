#include "simulated_cells.h"

#include <math.h>

// ---- Random numbers -------------------------------------------------------------------------

// SplitMix64: a mixed counter (Steele, Lea & Flood, OOPSLA 2014, doi:10.1145/2660193.2660195).
static uint64_t RandomBits(uint64_t* counter) {
  uint64_t bits = *counter += 0x9e3779b97f4a7c15u;
  bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
  bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
  return bits ^ bits >> 31;
}

// At least 0, below 1.
static double Uniform(Cells* cells) { return (double)(RandomBits(&cells->random) >> 11) * 0x1p-53; }

// By Box and Muller: the largest is sqrt(-2 log 2^-53).
double Normal(Cells* cells) {
  const double radius = sqrt(-2 * log(1 - Uniform(cells)));
  return radius * cos(6.283185307179586 * Uniform(cells));
}

// ---- Weights --------------------------------------------------------------------------------

Cells MakeCells(double range, uint32_t levels, uint64_t seed) {
  Cells cells = {.range = (float)range, .levels = levels};
  cells.step = levels == 0 ? 0 : 2.0 * cells.range / (levels - 1);
  cells.random = RandomBits(&seed);  // else the streams of near seeds would overlap
  return cells;
}

static double Clamp(double x, double low, double high) {
  return x < low ? low : x > high ? high : x;
}

static float WithoutLevels(const Cells* cells, double weight) {
  return (float)Clamp(weight, -cells->range, cells->range);
}

// A weight in steps above the lowest.
static double LevelOf(const Cells* cells, double weight) {
  return (weight + cells->range) / cells->step;
}

// The weight of the nearest level that there is.
static float AtLevel(const Cells* cells, double level) {
  return (float)(Clamp(round(level), 0, cells->levels - 1.0) * cells->step - cells->range);
}

float Programmed(const Cells* cells, float weight) {
  if (cells->levels == 0) return WithoutLevels(cells, weight);
  return AtLevel(cells, LevelOf(cells, weight));
}

float Updated(Cells* cells, float weight, float delta) {
  if (cells->levels == 0) return WithoutLevels(cells, (double)weight + delta);
  // The weight is a level rounded to float: without `round`, a delta of 0 could move it.
  const double level = round(LevelOf(cells, weight)) + delta / cells->step;
  const double below = floor(level);
  return AtLevel(cells, Uniform(cells) < level - below ? below + 1 : below);
}

float Pulsed(const Cells* cells, float weight, int32_t pulses) {
  if (cells->levels == 0) return WithoutLevels(cells, weight + pulses * (cells->range / 128.0));
  return AtLevel(cells, round(LevelOf(cells, weight)) + pulses);
}

float RandomWeight(Cells* cells) {
  return Programmed(cells, (float)((2 * Uniform(cells) - 1) * cells->range));
}
