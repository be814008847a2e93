// Arrays with resistive wires: their effective conductances.
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

// effective (count x words x bits): what flows to the ground of a bit line for one volt on a word
// line alone, where sources are left of the first cells and grounds below the last ones, one
// segment away. Blocks of cells are joined, as in chip/wires/_join.py, which is the specification.
void EffectiveConductance(const Circuits<float>& circuits, float* effective, Executor& executor);
void EffectiveConductance(const Circuits<double>& circuits, double* effective, Executor& executor);

}  // namespace xbarax
