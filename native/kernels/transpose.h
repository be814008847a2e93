// Transposed matrices.
#pragma once

#include <algorithm>
#include <cstddef>

namespace xbarax {

// So many rows and columns of a matrix are transposed at a time. Lines of the cache are read and
// written whole: those of large matrices with rows of some power of two displace each other.
constexpr std::size_t kSquare = 16;

struct Square {
  float numbers[kSquare][kSquare] = {};
  std::size_t rows, columns;

  Square(std::size_t rows, std::size_t columns) : rows(rows), columns(columns) {}
  bool whole() const { return rows == kSquare && columns == kSquare; }
  void Add(const float* from, std::size_t apart) {
    const auto add = [&](std::size_t rows, std::size_t columns) {
      for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t c = 0; c < columns; ++c) numbers[r][c] += from[r * apart + c];
    };
    whole() ? add(kSquare, kSquare) : add(rows, columns);  // constants are vectors
  }
  void Transpose(float* to, std::size_t apart) const {
    const auto give = [&](std::size_t rows, std::size_t columns) {
      for (std::size_t c = 0; c < columns; ++c)
        for (std::size_t r = 0; r < rows; ++r) to[c * apart + r] = numbers[r][c];
    };
    whole() ? give(kSquare, kSquare) : give(rows, columns);
  }
};

// A matrix (rows, columns) as (columns, rows); rows of the one and of the other so far apart.
inline void Transpose(const float* from, std::size_t rows, std::size_t columns,
                      std::size_t from_apart, float* to, std::size_t to_apart) {
  for (std::size_t r = 0; r < rows; r += kSquare)
    for (std::size_t c = 0; c < columns; c += kSquare) {
      Square square(std::min(kSquare, rows - r), std::min(kSquare, columns - c));
      square.Add(from + r * from_apart + c, from_apart);
      square.Transpose(to + c * to_apart + r, to_apart);
    }
}

}  // namespace xbarax
