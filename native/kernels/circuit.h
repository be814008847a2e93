// Arrays with resistive wires: their effective conductances, with derivatives, and currents.
#pragma once

#include <cstddef>

#include "kernels/parallel.h"

namespace xbarax {

// Arrays (count x words x bits): cells in siemens, and for each array the resistance of a segment
// of word line and of bit line, in ohm.
template <class T>
struct Circuits {
  const T* conductance;
  const T* word_line;
  const T* bit_line;
  std::size_t count, words, bits;
};

// Derivatives by what circuits are made of, in the same shapes.
template <class T>
struct CircuitCotangents {
  T* conductance;
  T* word_line;
  T* bit_line;
};

// effective (count x words x bits): what flows to the ground of a bit line for one volt on a word
// line alone, where sources are left of the first cells and grounds below the last ones, one
// segment away. Blocks of cells are joined, as in chip/wires/_join.py, which is the specification.
void EffectiveConductance(const Circuits<float>& circuits, float* effective, Executor& executor);
void EffectiveConductance(const Circuits<double>& circuits, double* effective, Executor& executor);

// The derivatives of sum(cotangent * effective), for a cotangent (count x words x bits): the blocks
// are joined again and what joints need is kept, then all is taken back from the last to the first.
void PullEffectiveConductance(const Circuits<float>& circuits, const float* cotangent,
                              const CircuitCotangents<float>& by, Executor& executor);
void PullEffectiveConductance(const Circuits<double>& circuits, const double* cotangent,
                              const CircuitCotangents<double>& by, Executor& executor);

// currents (count x inputs x words x bits): those through the cells, from word to bit lines, for
// voltages (count x inputs x words) of the sources.
void CellCurrents(const Circuits<float>& circuits, const float* voltage, std::size_t inputs,
                  float* currents, Executor& executor);
void CellCurrents(const Circuits<double>& circuits, const double* voltage, std::size_t inputs,
                  double* currents, Executor& executor);

}  // namespace xbarax
