// The ideal read of a crossbar: rows of inputs times its conductances.
#pragma once

#include <cstddef>

#include "kernels/matmul.h"
#include "kernels/parallel.h"

namespace xbarax {

// One array: conductances[out][in], row-major.
struct Crossbar {
  const float* conductance;
  std::size_t out;
  std::size_t in;
};

// y[r][o] = sum over i of x[r][i] conductance[o][i], for `rows` rows.
void Read(const Crossbar& array, const float* x, std::size_t rows, float* y, Executor& executor);

// x[r][i] = sum over o of y[r][o] conductance[o][i], for `rows` rows.
void ReadTransposed(const Crossbar& array, const float* y, std::size_t rows, float* x,
                    Executor& executor);

// The product for the processor that this runs on.
const Matmul& BestMatmul();

}  // namespace xbarax
