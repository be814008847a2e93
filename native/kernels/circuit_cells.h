// Small blocks of cells in closed form, compiled once for each instruction set.
//
// With the currents c of the cells, from word to bit line, the voltages across them are
// d = E x - X c, where x are the block's ports and X what wires take away, so that for
// S = 1 + sqrt(g) X sqrt(g), which is symmetric with eigenvalues of at least 1,
// c = sqrt(g) S^-1 sqrt(g) E x: see chip/wires/_cells.py, the specification.
#pragma once

#include <cstddef>

namespace xbarax {

constexpr std::size_t kMostLines = 4;  // of a small block, along either side

// Where the ports of a block are: near and far ends of word lines and bit lines. Lines need not
// have far ends: nothing is drawn there.
struct Ports {
  std::size_t near_word, near_bit, far_bit, far_word, size;
  bool far_words, far_bits;
};

// Cells (words x bits), and resistances of a segment.
template <class T>
struct SmallBlock {
  T conductance[kMostLines * kMostLines];
  std::size_t words, bits;
  T word_line, bit_line;
};

// Derivatives by what a block is made of.
template <class T>
struct SmallCotangent {
  T conductance[kMostLines * kMostLines];
  T word_line, bit_line;
};

// One instruction set's. Matrices (ports x ports) are row-major, rows are `stride` apart.
template <class T>
struct SmallBlocks {
  void (*hybrid)(const SmallBlock<T>& block, const Ports& ports, T* matrix, std::size_t stride);
  // From the symmetric cotangent of the hybrid matrix.
  SmallCotangent<T> (*pull)(const SmallBlock<T>& block, const Ports& ports, const T* cotangent,
                            std::size_t stride);
  // currents (cells x columns): those through the cells for `given` (ports x columns).
  void (*currents)(const SmallBlock<T>& block, const Ports& ports, const T* given,
                   std::size_t columns, T* currents);
};

namespace baseline {
extern const SmallBlocks<float> kSmallBlocksFloat;
extern const SmallBlocks<double> kSmallBlocksDouble;
}  // namespace baseline
namespace avx2 {
extern const SmallBlocks<float> kSmallBlocksFloat;
extern const SmallBlocks<double> kSmallBlocksDouble;
}  // namespace avx2
namespace avx512 {
extern const SmallBlocks<float> kSmallBlocksFloat;
extern const SmallBlocks<double> kSmallBlocksDouble;
}  // namespace avx512

}  // namespace xbarax
