#include "kernels/read.h"

#include <algorithm>
#include <vector>

#include "kernels/isa.h"

namespace xbarax {
namespace {

constexpr std::size_t kRowsPerTask = 96;  // a multiple of every instruction set's block of rows
constexpr std::size_t kFewRows = 4;       // fewer are not worth packing a matrix for
constexpr std::size_t kParallelWork = std::size_t{1} << 21;  // multiply-adds worth a second thread

// The matrix B of y = x B, (depth x columns), as panels that Matmul::panel takes.
struct Panels {
  std::size_t width;   // columns of a panel
  const float* whole;  // panels that can be read where they are, `stride` apart
  std::size_t stride;
  std::vector<float> packed;  // the others, depth-first, filled up with zeros
  std::size_t first_packed;   // the first panel that is packed

  const float* Get(std::size_t panel, std::size_t depth, std::size_t* b_stride) const {
    if (panel < first_packed) return *b_stride = stride, whole + panel * width;
    *b_stride = width;
    return packed.data() + (panel - first_packed) * depth * width;
  }
};

// B with rows of memory: only a last panel with an incomplete vector has to be packed.
Panels FromRows(const float* b, std::size_t depth, std::size_t columns, const Matmul& matmul) {
  const std::size_t width = matmul.panel_columns, full = columns / width, rest = columns % width;
  if (rest % matmul.lanes == 0) return {width, b, columns, {}, full + 1};
  Panels panels{width, b, columns, {}, full};
  panels.packed.resize(depth * width);
  for (std::size_t k = 0; k < depth; ++k)
    std::copy_n(b + k * columns + full * width, rest, panels.packed.data() + k * width);
  return panels;
}

// B with columns of memory: all panels are transposed.
Panels FromColumns(const float* b, std::size_t depth, std::size_t columns, const Matmul& matmul) {
  const std::size_t width = matmul.panel_columns;
  Panels panels{width, nullptr, 0, {}, 0};
  panels.packed.resize((columns + width - 1) / width * depth * width);
  for (std::size_t c = 0; c < columns; ++c) {
    float* to = panels.packed.data() + (c / width) * depth * width + c % width;
    for (std::size_t k = 0; k < depth; ++k) to[k * width] = b[c * depth + k];
  }
  return panels;
}

void Product(const float* x, std::size_t rows, std::size_t depth, const Panels& panels, float* y,
             std::size_t columns, const Matmul& matmul, Executor& executor) {
  auto some = [&](std::size_t begin, std::size_t count) {
    for (std::size_t p = 0; p * panels.width < columns; ++p) {
      const std::size_t first = p * panels.width;
      std::size_t b_stride;
      const float* b = panels.Get(p, depth, &b_stride);
      matmul.panel(x + begin * depth, count, depth, b, b_stride, y + begin * columns + first,
                   columns, std::min(panels.width, columns - first));
    }
  };
  if (rows * depth * columns < kParallelWork) return some(0, rows);
  ParallelFor(executor, (rows + kRowsPerTask - 1) / kRowsPerTask, [&](std::size_t task) {
    const std::size_t begin = task * kRowsPerTask;
    some(begin, std::min(kRowsPerTask, rows - begin));
  });
}

}  // namespace

void Read(const Crossbar& array, const float* x, std::size_t rows, float* y, Executor& executor) {
  const Matmul& matmul = BestMatmul();
  if (rows < kFewRows) {
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t o = 0; o < array.out; ++o)
        y[r * array.out + o] =
            matmul.dot(array.conductance + o * array.in, x + r * array.in, array.in);
    return;
  }
  const Panels panels = FromColumns(array.conductance, array.in, array.out, matmul);
  Product(x, rows, array.in, panels, y, array.out, matmul, executor);
}

void ReadTransposed(const Crossbar& array, const float* y, std::size_t rows, float* x,
                    Executor& executor) {
  const Matmul& matmul = BestMatmul();
  if (rows < kFewRows) {
    for (std::size_t r = 0; r < rows; ++r)
      matmul.row(y + r * array.out, array.out, array.conductance, array.in, x + r * array.in);
    return;
  }
  const Panels panels = FromRows(array.conductance, array.out, array.in, matmul);
  Product(y, rows, array.out, panels, x, array.in, matmul, executor);
}

const Matmul& BestMatmul() { return XBARAX_BEST(kMatmul); }

}  // namespace xbarax
