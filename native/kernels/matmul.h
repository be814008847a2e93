// Products of rows with a matrix, compiled once for each instruction set.
#pragma once

#include <cstddef>

namespace xbarax {

// One instruction set's products.
struct Matmul {
  std::size_t lanes;  // of a vector
  std::size_t panel_columns;
  // y (rows x width) = x (rows x depth) B, for one panel B (depth x width) with width at most
  // panel_columns; B and y have rows of `b_stride` and `y_stride` numbers, and B's rows can be read
  // up to the next multiple of `lanes`. Each sum is made in the order of depth, so that a row's
  // result does not depend on the other rows.
  void (*panel)(const float* x, std::size_t rows, std::size_t depth, const float* b,
                std::size_t b_stride, float* y, std::size_t y_stride, std::size_t width);
  // y (columns) = x (depth) B for any B (depth x columns) in rows of `columns` numbers. The order
  // is that of `panel`.
  void (*row)(const float* x, std::size_t depth, const float* b, std::size_t columns, float* y);
  // The scalar product of a and b. Its sum is made in an order of its own.
  float (*dot)(const float* a, const float* b, std::size_t size);
};

namespace baseline {
extern const Matmul kMatmul;
}
namespace avx2 {
extern const Matmul kMatmul;
}
namespace avx512 {
extern const Matmul kMatmul;
}

}  // namespace xbarax
