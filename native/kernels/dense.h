// Products and solutions of small dense matrices, compiled once for each instruction set.
#pragma once

#include <cstddef>

#include "kernels/isa.h"

namespace xbarax {

// One instruction set's. Matrices are row-major, with rows that are so many numbers apart.
template <class T>
struct Dense {
  // c (rows x columns) += sign * a (rows x depth) b (depth x columns).
  void (*add_product)(T sign, const T* a, std::size_t a_stride, const T* b, std::size_t b_stride,
                      T* c, std::size_t c_stride, std::size_t rows, std::size_t depth,
                      std::size_t columns);
  // (a b) (size x (size + columns)) becomes (... a^-1 b), by elimination with the largest pivots.
  void (*solve)(T* system, std::size_t size, std::size_t columns);
};

namespace baseline {
extern const Dense<float> kDenseFloat;
extern const Dense<double> kDenseDouble;
}  // namespace baseline
namespace avx2 {
extern const Dense<float> kDenseFloat;
extern const Dense<double> kDenseDouble;
}  // namespace avx2
namespace avx512 {
extern const Dense<float> kDenseFloat;
extern const Dense<double> kDenseDouble;
}  // namespace avx512

// Those for the processor that this runs on.
template <class T>
const Dense<T>& BestDense();
template <>
inline const Dense<float>& BestDense() {
  static const Dense<float>& best = XBARAX_BEST(kDenseFloat);
  return best;
}
template <>
inline const Dense<double>& BestDense() {
  static const Dense<double>& best = XBARAX_BEST(kDenseDouble);
  return best;
}

}  // namespace xbarax
