// Every instruction set's product that this processor can execute.
#include "kernels/matmul.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "kernels/isa.h"
#include "kernels/read.h"
#include "tests/check.h"
#include "tests/numbers.h"

namespace xbarax {
namespace {

std::vector<const Matmul*> Executable() {
  std::vector<const Matmul*> all = {&baseline::kMatmul};
#if defined(XBARAX_X86_ISAS)
  if (Has(Isa::kAvx2)) all.push_back(&avx2::kMatmul);
  if (Has(Isa::kAvx512)) all.push_back(&avx512::kMatmul);
#endif
  return all;
}

// A panel is exact on integers, and writes no more than its width.
void PanelIsTheSum(const Matmul& matmul, std::size_t rows, std::size_t depth, std::size_t width) {
  const std::size_t columns = matmul.panel_columns;
  test::Numbers numbers(1);
  const std::vector<float> x = numbers.Integers(rows * depth);
  const std::vector<float> b = numbers.Integers(depth * columns);
  std::vector<float> y(rows * columns, 99.0f);
  matmul.panel(x.data(), rows, depth, b.data(), columns, y.data(), columns, width);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) {
      float sum = 0;
      for (std::size_t k = 0; k < depth; ++k) sum += x[r * depth + k] * b[k * columns + c];
      CHECK(y[r * columns + c] == (c < width ? sum : 99.0f));
    }
  }
}

// Whether `sum` is the sum of `terms` made in any order: Higham, Accuracy and Stability of
// Numerical Algorithms, section 3.1.
bool IsSumOf(const std::vector<double>& terms, float sum) {
  double exact = 0, size = 0;
  for (double term : terms) exact += term, size += std::fabs(term);
  const double u = std::ldexp(static_cast<double>(terms.size() + 1), -24);
  return std::fabs(sum - exact) <= u / (1 - u) * size;
}

// A panel of a wider matrix, and the scalar product, agree with double precision to rounding.
void AgreesWithDoubles(const Matmul& matmul, std::size_t rows, std::size_t depth) {
  const std::size_t columns = matmul.panel_columns, b_stride = columns + 3, y_stride = columns + 5;
  test::Numbers numbers(4);
  const std::vector<float> x = numbers.Signed(rows * depth), b = numbers.Signed(depth * b_stride);
  std::vector<float> y(rows * y_stride);
  matmul.panel(x.data(), rows, depth, b.data(), b_stride, y.data(), y_stride, columns);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) {
      std::vector<double> terms(depth);
      for (std::size_t k = 0; k < depth; ++k)
        terms[k] = static_cast<double>(x[r * depth + k]) * b[k * b_stride + c];
      CHECK(IsSumOf(terms, y[r * y_stride + c]));
    }
  }
  std::vector<double> terms(depth);
  for (std::size_t k = 0; k < depth; ++k) terms[k] = static_cast<double>(x[k]) * b[k];
  CHECK(IsSumOf(terms, matmul.dot(x.data(), b.data(), depth)));
}

// A row's result is the same bits whatever rows are beside it.
void RowsAreIndependent(const Matmul& matmul) {
  const std::size_t rows = 13, depth = 29, columns = matmul.panel_columns;
  test::Numbers numbers(2);
  const std::vector<float> x = numbers.Fractions(rows * depth);
  const std::vector<float> b = numbers.Fractions(depth * columns);
  std::vector<float> together(rows * columns), alone(columns);
  matmul.panel(x.data(), rows, depth, b.data(), columns, together.data(), columns, columns);
  for (std::size_t r = 0; r < rows; ++r) {
    matmul.panel(x.data() + r * depth, 1, depth, b.data(), columns, alone.data(), columns, columns);
    CHECK(std::equal(alone.begin(), alone.end(), together.data() + r * columns));
  }
}

// A row is exact on integers, reads B no further than its end, and writes no more than its columns.
void RowIsTheSum(const Matmul& matmul, std::size_t depth, std::size_t columns) {
  test::Numbers numbers(5);
  const std::vector<float> x = numbers.Integers(depth);
  const std::vector<float> b = numbers.Integers(depth * columns);
  std::vector<float> y(columns, 99.0f);
  matmul.row(x.data(), depth, b.data(), columns, y.data());
  for (std::size_t c = 0; c < columns; ++c) {
    float sum = 0;
    for (std::size_t k = 0; k < depth; ++k) sum += x[k] * b[k * columns + c];
    CHECK(y[c] == sum);
  }
}

void DotIsTheSum(const Matmul& matmul, std::size_t size) {
  test::Numbers numbers(3);
  const std::vector<float> a = numbers.Integers(size), b = numbers.Integers(size);
  float sum = 0;
  for (std::size_t i = 0; i < size; ++i) sum += a[i] * b[i];
  CHECK(matmul.dot(a.data(), b.data(), size) == sum);
}

void BestIsExecutable() {
  const std::vector<const Matmul*> all = Executable();
  CHECK(std::find(all.begin(), all.end(), &BestMatmul()) != all.end());
}

}  // namespace
}  // namespace xbarax

int main() {
  for (const xbarax::Matmul* matmul : xbarax::Executable()) {
    for (std::size_t rows : {0, 1, 3, 6, 7, 25})
      for (std::size_t depth : {0, 1, 5, 64})
        for (std::size_t width : {std::size_t{1}, matmul->panel_columns - 1, matmul->panel_columns})
          xbarax::PanelIsTheSum(*matmul, rows, depth, width);
    for (std::size_t depth : {0, 1, 5, 64})
      for (std::size_t columns = 0; columns < 3 * matmul->panel_columns; ++columns)
        xbarax::RowIsTheSum(*matmul, depth, columns);
    for (std::size_t size = 0; size < 3 * matmul->panel_columns; ++size)
      xbarax::DotIsTheSum(*matmul, size);
    for (std::size_t depth : {1, 5, 64, 1000}) xbarax::AgreesWithDoubles(*matmul, 7, depth);
    xbarax::RowsAreIndependent(*matmul);
  }
  xbarax::BestIsExecutable();
  return xbarax::test::Result();
}
