// Memory for matrices, and what is done with them where arrays with resistive wires are solved.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "kernels/dense.h"
#include "kernels/memory.h"

namespace xbarax {

// A part of a row-major matrix.
template <class T>
struct View {
  T* numbers;
  std::size_t stride;
  View At(std::size_t row, std::size_t column) const {
    return {numbers + row * stride + column, stride};
  }
  T& operator()(std::size_t row, std::size_t column) const {
    return numbers[row * stride + column];
  }
};

// Matrices on a stack.
template <class T>
class Stack {
 public:
  using Mark = Memory::Mark;
  Mark mark() const { return memory_.mark(); }
  void Return(Mark to) { memory_.Return(to); }

  View<T> Take(std::size_t rows, std::size_t columns) {
    return {static_cast<T*>(memory_.Take(rows * columns * sizeof(T))), columns};
  }
  View<T> Zeros(std::size_t rows, std::size_t columns) {
    const View<T> taken = Take(rows, columns);
    std::fill_n(taken.numbers, rows * columns, T{0});
    return taken;
  }

 private:
  Memory memory_;
};

// Some numbers at a time: most rows are short, and a call for each costs more than they do.
template <class T>
void Copy(View<T> from, View<T> to, std::size_t rows, std::size_t columns) {
  constexpr std::size_t some = 4;
  for (std::size_t r = 0; r < rows; ++r) {
    const T* source = from.numbers + r * from.stride;
    T* target = to.numbers + r * to.stride;
    std::size_t c = 0;
    for (; c + some <= columns; c += some) std::memcpy(target + c, source + c, some * sizeof(T));
    for (; c < columns; ++c) target[c] = source[c];
  }
}

// To `to` (columns x rows), some at a time, so that both are read and written in whole cache lines.
template <class T>
void Transpose(View<T> from, View<T> to, std::size_t rows, std::size_t columns) {
  constexpr std::size_t some = 8;
  for (std::size_t begin = 0; begin < rows; begin += some) {
    const std::size_t end = std::min(begin + some, rows);
    for (std::size_t c = 0; c < columns; ++c)
      for (std::size_t r = begin; r < end; ++r) to(c, r) = from(r, c);
  }
}

template <class T>
View<T> Transposed(Stack<T>& stack, View<T> from, std::size_t rows, std::size_t columns) {
  const View<T> to = stack.Take(columns, rows);
  Transpose(from, to, rows, columns);
  return to;
}

// c += a b, or c -= a b, for a (rows x depth) and b (depth x columns).
template <class T>
void Add(View<T> a, View<T> b, View<T> c, std::size_t rows, std::size_t depth, std::size_t columns,
         T sign = 1) {
  BestDense<T>().add_product(sign, a.numbers, a.stride, b.numbers, b.stride, c.numbers, c.stride,
                             rows, depth, columns);
}

template <class T>
View<T> Product(Stack<T>& stack, View<T> a, View<T> b, std::size_t rows, std::size_t depth,
                std::size_t columns) {
  const View<T> c = stack.Zeros(rows, columns);
  Add(a, b, c, rows, depth, columns);
  return c;
}

// c += a b, where the product is symmetric and c is: half of it, and its image.
template <class T>
void AddSymmetric(View<T> a, View<T> b, View<T> c, std::size_t size, std::size_t depth) {
  constexpr std::size_t some = 36;
  for (std::size_t begin = 0; begin < size; begin += some) {
    const std::size_t rows = std::min(some, size - begin);
    Add(a.At(begin, 0), b.At(0, begin), c.At(begin, begin), rows, depth, size - begin);
    const std::size_t beyond = begin + rows;
    if (beyond < size) Transpose(c.At(begin, beyond), c.At(beyond, begin), rows, size - beyond);
  }
}

// (1 - a b) x = c, to the last `columns` of what is returned (size x (size + columns)): `given` is
// called with the view that takes c.
template <class T, class Given>
View<T> SolveJoint(Stack<T>& stack, View<T> a, View<T> b, std::size_t size, std::size_t columns,
                   const Given& given) {
  const std::size_t width = size + columns;
  const View<T> system = stack.Zeros(size, width);
  for (std::size_t i = 0; i < size; ++i) system(i, i) = 1;
  Add(a, b, system, size, size, size, T{-1});
  given(system.At(0, size));
  BestDense<T>().solve(system.numbers, size, columns);
  return system.At(0, size);
}

}  // namespace xbarax
