// Every instruction set's products and solutions that this processor can execute.
#include "kernels/dense.h"

#include <cmath>
#include <cstddef>
#include <vector>

#include "kernels/isa.h"
#include "tests/check.h"
#include "tests/numbers.h"

namespace xbarax {
namespace {

template <class T>
std::vector<T> Integers(std::size_t size, std::size_t seed) {
  const std::vector<float> drawn = test::Numbers(seed).Integers(size);
  return {drawn.begin(), drawn.end()};
}

// Exact on integers; nothing but the rows and columns asked for is written.
template <class T>
void ProductIsAdded(const Dense<T>& dense, std::size_t rows, std::size_t depth,
                    std::size_t columns) {
  const std::size_t a_stride = depth + 2, b_stride = columns + 3, c_stride = columns + 1;
  const std::vector<T> a = Integers<T>(rows * a_stride, 1), b = Integers<T>(depth * b_stride, 2);
  const std::vector<T> before = Integers<T>((rows + 1) * c_stride, 3);
  for (T sign : {T{1}, T{-1}}) {
    std::vector<T> c = before;
    dense.add_product(sign, a.data(), a_stride, b.data(), b_stride, c.data(), c_stride, rows, depth,
                      columns);
    for (std::size_t i = 0; i <= rows; ++i) {
      for (std::size_t j = 0; j < c_stride; ++j) {
        T expected = before[i * c_stride + j];
        if (i < rows && j < columns)
          for (std::size_t k = 0; k < depth; ++k)
            expected += sign * a[i * a_stride + k] * b[k * b_stride + j];
        CHECK(c[i * c_stride + j] == expected);
      }
    }
  }
}

// a x = b, to rounding, for a matrix whose diagonal is no good pivot.
template <class T>
void SolutionSolves(const Dense<T>& dense, std::size_t size, std::size_t columns, T tolerance) {
  const std::size_t width = size + columns;
  const std::vector<float> drawn = test::Numbers(4).Signed(size * width);
  std::vector<T> given(drawn.begin(), drawn.end());
  for (std::size_t i = 0; i < size; ++i) {
    given[i * width + i] = 0;
    given[i * width + (i + 1) % size] += static_cast<T>(2 * size);
  }
  std::vector<T> system = given;
  dense.solve(system.data(), size, columns);
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j < columns; ++j) {
      double sum = 0;
      for (std::size_t k = 0; k < size; ++k)
        sum += static_cast<double>(given[i * width + k]) * system[k * width + size + j];
      CHECK(std::fabs(sum - given[i * width + size + j]) <= tolerance);
    }
  }
}

template <class T>
void All(const Dense<T>& dense, T tolerance) {
  for (std::size_t rows : {0, 1, 4, 11, 12, 13, 25})
    for (std::size_t depth : {0, 1, 3, 4, 5, 300})
      for (std::size_t columns : {0, 1, 3, 4, 8, 9, 16, 17, 32, 45})
        ProductIsAdded(dense, rows, depth, columns);
  for (std::size_t size : {1, 2, 3, 15, 16, 17, 33, 70})
    for (std::size_t columns : {0, 1, 9, 40}) SolutionSolves(dense, size, columns, tolerance);
}

}  // namespace
}  // namespace xbarax

int main() {
  xbarax::All(xbarax::baseline::kDenseFloat, 1e-5f);
  xbarax::All(xbarax::baseline::kDenseDouble, 1e-13);
#if defined(XBARAX_X86_ISAS)
  if (xbarax::Has(xbarax::Isa::kAvx2)) {
    xbarax::All(xbarax::avx2::kDenseFloat, 1e-5f);
    xbarax::All(xbarax::avx2::kDenseDouble, 1e-13);
  }
  if (xbarax::Has(xbarax::Isa::kAvx512)) {
    xbarax::All(xbarax::avx512::kDenseFloat, 1e-5f);
    xbarax::All(xbarax::avx512::kDenseDouble, 1e-13);
  }
#endif
  return xbarax::test::Result();
}
