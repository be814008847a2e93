// Compiled several times, with XBARAX_ISA naming the instruction set. Everything here has internal
// linkage but the tables.
#include <cstddef>
#include <cstring>

#include "kernels/dense.h"
#include "kernels/lanes.h"

namespace xbarax::XBARAX_ISA {
namespace {

constexpr std::size_t kRows = 6, kVectors = 2;  // 12 registers accumulate
constexpr std::size_t kDepth = 256;             // of a panel of b, which stays in the first cache
constexpr std::size_t kPacked = 48;             // rows that are worth copying a panel for
constexpr std::size_t kBlock = 16;              // columns that are eliminated one by one

template <class T>
struct Vector {
  typedef T Type __attribute__((vector_size(kVectorBytes)));
  static constexpr std::size_t kLanes = kVectorBytes / sizeof(T);
};

// One at a time: several in one copy go through memory.
template <class T>
inline typename Vector<T>::Type Loaded(const T* from) {
  typename Vector<T>::Type lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

// R rows by V vectors, or by one number where V is 0.
template <class T, std::size_t R, std::size_t V>
inline void Block(T sign, const T* a, std::size_t a_stride, const T* b, std::size_t b_stride, T* c,
                  std::size_t c_stride, std::size_t depth) {
  if constexpr (V == 0) {
    T sum[R] = {};
    for (std::size_t k = 0; k < depth; ++k)
      for (std::size_t r = 0; r < R; ++r) sum[r] += a[r * a_stride + k] * b[k * b_stride];
    for (std::size_t r = 0; r < R; ++r) c[r * c_stride] += sign * sum[r];
  } else {
    using Lanes = typename Vector<T>::Type;
    constexpr std::size_t lanes = Vector<T>::kLanes;
    Lanes sum[R][V] = {};
    for (std::size_t k = 0; k < depth; ++k) {
      Lanes row[V];
#pragma GCC unroll 2
      for (std::size_t v = 0; v < V; ++v) row[v] = Loaded(b + k * b_stride + v * lanes);
#pragma GCC unroll 6
      for (std::size_t r = 0; r < R; ++r) {
        const T factor = a[r * a_stride + k];
#pragma GCC unroll 2
        for (std::size_t v = 0; v < V; ++v) sum[r][v] += factor * row[v];
      }
    }
#pragma GCC unroll 6
    for (std::size_t r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (std::size_t v = 0; v < V; ++v) {
        T* to = c + r * c_stride + v * lanes;
        const Lanes total = Loaded(to) + sign * sum[r][v];
        std::memcpy(to, &total, sizeof total);
      }
  }
}

// A few rows, with b where it is.
template <class T, std::size_t R>
inline void Direct(T sign, const T* a, std::size_t a_stride, const T* b, std::size_t b_stride, T* c,
                   std::size_t c_stride, std::size_t depth, std::size_t columns) {
  constexpr std::size_t lanes = Vector<T>::kLanes;
  std::size_t j = 0;
  for (; j + kVectors * lanes <= columns; j += kVectors * lanes)
    Block<T, R, kVectors>(sign, a, a_stride, b + j, b_stride, c + j, c_stride, depth);
  for (; j + lanes <= columns; j += lanes)
    Block<T, R, 1>(sign, a, a_stride, b + j, b_stride, c + j, c_stride, depth);
  for (; j < columns; ++j)
    Block<T, R, 0>(sign, a, a_stride, b + j, b_stride, c + j, c_stride, depth);
}

// Rows with a panel of b that was copied, of V vectors; c takes `width` numbers of it.
template <class T, std::size_t R, std::size_t V>
inline void Panel(T sign, const T* a, std::size_t a_stride, const T* panel, T* c,
                  std::size_t c_stride, std::size_t depth, std::size_t width) {
  constexpr std::size_t size = V * Vector<T>::kLanes;
  if (width == size) return Block<T, R, V>(sign, a, a_stride, panel, size, c, c_stride, depth);
  T sums[R * size] = {};
  Block<T, R, V>(sign, a, a_stride, panel, size, sums, size, depth);
  for (std::size_t r = 0; r < R; ++r)
    for (std::size_t j = 0; j < width; ++j) c[r * c_stride + j] += sums[r * size + j];
}

// Copying a panel keeps its rows, which can be any power of 2 apart, from displacing each other.
template <class T, std::size_t V>
void Packed(T sign, const T* a, std::size_t a_stride, const T* b, std::size_t b_stride, T* c,
            std::size_t c_stride, std::size_t rows, std::size_t depth, std::size_t width) {
  constexpr std::size_t size = V * Vector<T>::kLanes;
  alignas(kVectorBytes) T panel[kDepth * size];
  for (std::size_t begin = 0; begin < depth; begin += kDepth) {
    const std::size_t some = depth - begin < kDepth ? depth - begin : kDepth;
    for (std::size_t k = 0; k < some; ++k) {
      const T* from = b + (begin + k) * b_stride;
      if (width == size) {
        std::memcpy(panel + k * size, from, size * sizeof(T));
        continue;
      }
      for (std::size_t j = 0; j < width; ++j) panel[k * size + j] = from[j];
      for (std::size_t j = width; j < size; ++j) panel[k * size + j] = 0;
    }
    std::size_t r = 0;
    for (; r + kRows <= rows; r += kRows)
      Panel<T, kRows, V>(sign, a + r * a_stride + begin, a_stride, panel, c + r * c_stride,
                         c_stride, some, width);
    for (; r + 2 <= rows; r += 2)
      Panel<T, 2, V>(sign, a + r * a_stride + begin, a_stride, panel, c + r * c_stride, c_stride,
                     some, width);
    if (r < rows)
      Panel<T, 1, V>(sign, a + r * a_stride + begin, a_stride, panel, c + r * c_stride, c_stride,
                     some, width);
  }
}

template <class T>
void AddProduct(T sign, const T* a, std::size_t a_stride, const T* b, std::size_t b_stride, T* c,
                std::size_t c_stride, std::size_t rows, std::size_t depth, std::size_t columns) {
  if (rows >= kPacked && depth >= 4) {
    constexpr std::size_t lanes = Vector<T>::kLanes;
    std::size_t j = 0;
    for (; j + lanes < columns; j += kVectors * lanes) {
      const std::size_t left = columns - j, wide = kVectors * lanes;
      Packed<T, kVectors>(sign, a, a_stride, b + j, b_stride, c + j, c_stride, rows, depth,
                          left < wide ? left : wide);
    }
    if (j < columns)
      Packed<T, 1>(sign, a, a_stride, b + j, b_stride, c + j, c_stride, rows, depth, columns - j);
    return;
  }
  std::size_t r = 0;
  for (; r + kRows <= rows; r += kRows)
    Direct<T, kRows>(sign, a + r * a_stride, a_stride, b, b_stride, c + r * c_stride, c_stride,
                     depth, columns);
  for (; r + 2 <= rows; r += 2)
    Direct<T, 2>(sign, a + r * a_stride, a_stride, b, b_stride, c + r * c_stride, c_stride, depth,
                 columns);
  for (; r < rows; ++r)
    Direct<T, 1>(sign, a + r * a_stride, a_stride, b, b_stride, c + r * c_stride, c_stride, depth,
                 columns);
}

template <class T>
inline T Magnitude(T x) {
  return x < 0 ? -x : x;
}

// row -= factor * other, from column `begin` to `end`.
template <class T>
inline void Reduce(T* row, const T* other, T factor, std::size_t begin, std::size_t end) {
  for (std::size_t j = begin; j < end; ++j) row[j] -= factor * other[j];
}

template <class T>
void Solve(T* system, std::size_t size, std::size_t columns) {
  const std::size_t width = size + columns;
  for (std::size_t begin = 0; begin < size; begin += kBlock) {
    const std::size_t end = begin + kBlock < size ? begin + kBlock : size;
    for (std::size_t k = begin; k < end; ++k) {
      std::size_t pivot = k;
      for (std::size_t i = k + 1; i < size; ++i)
        if (Magnitude(system[i * width + k]) > Magnitude(system[pivot * width + k])) pivot = i;
      T* row = system + k * width;
      if (pivot != k) {
        T* other = system + pivot * width;
        for (std::size_t j = begin; j < width; ++j) {
          const T moved = row[j];
          row[j] = other[j];
          other[j] = moved;
        }
      }
      for (std::size_t i = k + 1; i < size; ++i) {
        T* below = system + i * width;
        below[k] /= row[k];
        Reduce(below, row, below[k], k + 1, end);
      }
    }
    for (std::size_t k = begin; k < end; ++k)
      for (std::size_t i = k + 1; i < end; ++i)
        Reduce(system + i * width, system + k * width, system[i * width + k], end, width);
    AddProduct(T{-1}, system + end * width + begin, width, system + begin * width + end, width,
               system + end * width + end, width, size - end, end - begin, width - end);
  }
  for (std::size_t end = size; end > 0;) {
    const std::size_t begin = (end - 1) / kBlock * kBlock;
    for (std::size_t k = end; k-- > begin;) {
      T* row = system + k * width;
      for (std::size_t j = size; j < width; ++j) row[j] /= row[k];
      for (std::size_t i = begin; i < k; ++i)
        Reduce(system + i * width, row, system[i * width + k], size, width);
    }
    AddProduct(T{-1}, system + begin, width, system + begin * width + size, width, system + size,
               width, begin, end - begin, columns);
    end = begin;
  }
}

}  // namespace

extern const Dense<float> kDenseFloat = {AddProduct<float>, Solve<float>};
extern const Dense<double> kDenseDouble = {AddProduct<double>, Solve<double>};

}  // namespace xbarax::XBARAX_ISA
