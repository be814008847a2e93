// Compiled several times, with XBARAX_ISA naming the instruction set. Everything here has internal
// linkage but kMatmul.
#include <cstddef>
#include <cstring>

#include "kernels/lanes.h"
#include "kernels/matmul.h"

namespace xbarax::XBARAX_ISA {
namespace {

#if defined(__AVX512F__)
constexpr std::size_t kVectors = 4, kRows = 6;  // 24 of 32 registers accumulate
#elif defined(__AVX2__)
constexpr std::size_t kVectors = 2, kRows = 6;  // 12 of 16
#else
constexpr std::size_t kVectors = 2, kRows = 4;  // 8 of 16 (SSE2), 8 of 32 (NEON)
#endif
constexpr std::size_t kColumns = kLanes * kVectors;

// R rows by V vectors of columns; constants, so that the accumulators stay in registers.
template <std::size_t R, std::size_t V>
inline void Block(const float* x, std::size_t depth, const float* b, std::size_t b_stride, float* y,
                  std::size_t y_stride, std::size_t width) {
  Floats sum[R][V] = {};
  for (std::size_t k = 0; k < depth; ++k) {
    Floats row[V];
    for (std::size_t v = 0; v < V; ++v) row[v] = Load(b + k * b_stride + v * kLanes);
    for (std::size_t r = 0; r < R; ++r) {
      const float a = x[r * depth + k];
      for (std::size_t v = 0; v < V; ++v) sum[r][v] += a * row[v];
    }
  }
  for (std::size_t r = 0; r < R; ++r) {
    if (width == V * kLanes)  // a constant makes it stores
      std::memcpy(y + r * y_stride, sum[r], V * kLanes * sizeof(float));
    else
      std::memcpy(y + r * y_stride, sum[r], width * sizeof(float));
  }
}

// The rows that are left over by blocks of R + 1 or more.
template <std::size_t R, std::size_t V>
inline void Rest(const float* x, std::size_t rows, std::size_t depth, const float* b,
                 std::size_t b_stride, float* y, std::size_t y_stride, std::size_t width) {
  if constexpr (R > 0) {
    if (rows == R)
      Block<R, V>(x, depth, b, b_stride, y, y_stride, width);
    else
      Rest<R - 1, V>(x, rows, depth, b, b_stride, y, y_stride, width);
  }
}

template <std::size_t V>
void Rows(const float* x, std::size_t rows, std::size_t depth, const float* b, std::size_t b_stride,
          float* y, std::size_t y_stride, std::size_t width) {
  constexpr std::size_t kBlock = kRows * (V == 1 ? 2 : 1);  // one vector leaves registers for more
  std::size_t r = 0;
  for (; r + kBlock <= rows; r += kBlock)
    Block<kBlock, V>(x + r * depth, depth, b, b_stride, y + r * y_stride, y_stride, width);
  Rest<kBlock - 1, V>(x + r * depth, rows - r, depth, b, b_stride, y + r * y_stride, y_stride,
                      width);
}

void Panel(const float* x, std::size_t rows, std::size_t depth, const float* b,
           std::size_t b_stride, float* y, std::size_t y_stride, std::size_t width) {
  switch ((width + kLanes - 1) / kLanes) {
    case 1:
      return Rows<1>(x, rows, depth, b, b_stride, y, y_stride, width);
    case 2:
      return Rows<2>(x, rows, depth, b, b_stride, y, y_stride, width);
    case 3:
      return Rows<3>(x, rows, depth, b, b_stride, y, y_stride, width);
    case 4:
      return Rows<4>(x, rows, depth, b, b_stride, y, y_stride, width);
  }
}

void Row(const float* x, std::size_t depth, const float* b, std::size_t columns, float* y) {
  constexpr std::size_t kMost = kVectors * kLanes;
  const std::size_t whole = columns / kLanes * kLanes;  // what vectors can read without going over
  for (std::size_t c = 0; c < whole; c += kMost) {
    const std::size_t width = whole - c < kMost ? whole - c : kMost;
    Panel(x, 1, depth, b + c, columns, y + c, columns, width);
  }
  if (whole == columns) return;
  float sum[kLanes] = {};
  for (std::size_t k = 0; k < depth; ++k)
    for (std::size_t c = whole; c < columns; ++c) sum[c - whole] += x[k] * b[k * columns + c];
  std::memcpy(y + whole, sum, (columns - whole) * sizeof(float));
}

float Dot(const float* a, const float* b, std::size_t size) {
  Floats sum[kVectors] = {};
  std::size_t k = 0;
  for (; k + kColumns <= size; k += kColumns)
    for (std::size_t v = 0; v < kVectors; ++v)
      sum[v] += Load(a + k + v * kLanes) * Load(b + k + v * kLanes);
  float total = 0;
  for (std::size_t v = 0; v < kVectors; ++v)
    for (std::size_t lane = 0; lane < kLanes; ++lane) total += sum[v][lane];
  for (; k < size; ++k) total += a[k] * b[k];
  return total;
}

}  // namespace

extern const Matmul kMatmul = {kLanes, kColumns, Panel, Row, Dot};

}  // namespace xbarax::XBARAX_ISA
