// Compiled several times, with XBARAX_ISA naming the instruction set. Everything here has internal
// linkage but the tables.
#include <cstddef>
#include <cstring>

#include "kernels/circuit_cells.h"
#include "kernels/lanes.h"

namespace xbarax::XBARAX_ISA {
namespace {

constexpr std::size_t kMost = kMostLines * kMostLines;  // cells, and as many ports

// What the ports, or the cells, give: a number for each, zeros for those that are not there.
template <class T>
struct Row {
  typedef T Lanes __attribute__((vector_size(kVectorBytes)));
  static constexpr std::size_t kLanesOf = kVectorBytes / sizeof(T);
  static constexpr std::size_t kVectors = kMost / kLanesOf;

  Lanes lanes[kVectors];

  T operator[](std::size_t k) const { return lanes[k / kLanesOf][k % kLanesOf]; }
  void Load(const T* from, std::size_t size) {
    std::memset(lanes, 0, sizeof lanes);
    std::memcpy(lanes, from, size * sizeof(T));
  }
  void Store(T* to, std::size_t size) const { std::memcpy(to, lanes, size * sizeof(T)); }
  void Add(const Row& other) {
    for (std::size_t v = 0; v < kVectors; ++v) lanes[v] += other.lanes[v];
  }
  void Add(T factor, const Row& other) {
    for (std::size_t v = 0; v < kVectors; ++v) lanes[v] += factor * other.lanes[v];
  }
  void Scale(T factor) {
    for (std::size_t v = 0; v < kVectors; ++v) lanes[v] *= factor;
  }
  T Dot(const Row& other) const {
    Lanes sum = {};
    for (std::size_t v = 0; v < kVectors; ++v) sum += lanes[v] * other.lanes[v];
    T total = 0;
    for (std::size_t lane = 0; lane < kLanesOf; ++lane) total += sum[lane];
    return total;
  }
};

template <class T>
using Rows = Row<T>[kMost];

template <class T>
inline void One(Rows<T>& rows) {
  std::memset(rows, 0, sizeof rows);
  for (std::size_t k = 0; k < kMost; ++k)
    rows[k].lanes[k / Row<T>::kLanesOf][k % Row<T>::kLanesOf] = 1;
}

// (S, sqrt(g) E) with S decomposed: its upper part, and what reduces to it.
template <class T>
struct Reduced {
  T root[kMost];
  T system[kMost][kMost];
  T inverse[kMost];  // of the pivots
  Rows<T> drive;
};

template <class T>
inline std::size_t Count(const SmallBlock<T>& block) {
  return block.words * block.bits;
}

// E x for rows x of ports: `values` (ports), to `across` (cells).
template <class T>
inline void Drive(const SmallBlock<T>& block, const Ports& ports, const Rows<T>& values,
                  Rows<T>& across) {
  for (std::size_t i = 0; i < block.words; ++i)
    for (std::size_t j = 0; j < block.bits; ++j) {
      Row<T>& row = across[i * block.bits + j];
      row = values[ports.near_word + i];
      row.Add(T{-1}, values[ports.near_bit + j]);
      if (ports.far_words)
        row.Add(-block.word_line * static_cast<T>(j + 1), values[ports.far_word + i]);
      if (ports.far_bits)
        row.Add(block.bit_line * static_cast<T>(i + 1), values[ports.far_bit + j]);
    }
}

// What word lines, or bit lines, of 1 ohm a segment take away from `count` cells of a line, which
// are `step` rows apart: a segment carries the currents of all cells from it on.
template <class T>
inline void Drop(const Row<T>* currents, std::size_t count, std::size_t step, Row<T>* drops) {
  for (std::size_t k = count; k-- > 0;) {
    drops[k * step] = currents[k * step];
    if (k + 1 < count) drops[k * step].Add(drops[(k + 1) * step]);
  }
  for (std::size_t k = 1; k < count; ++k) drops[k * step].Add(drops[(k - 1) * step]);
}

template <class T>
inline void WordDrops(const SmallBlock<T>& block, const Rows<T>& currents, Rows<T>& drops) {
  for (std::size_t i = 0; i < block.words; ++i)
    Drop(currents + i * block.bits, block.bits, 1, drops + i * block.bits);
}

template <class T>
inline void BitDrops(const SmallBlock<T>& block, const Rows<T>& currents, Rows<T>& drops) {
  for (std::size_t j = 0; j < block.bits; ++j)
    Drop(currents + j, block.words, block.bits, drops + j);
}

template <class T>
inline T Least(std::size_t a, std::size_t b) {
  return static_cast<T>((a < b ? a : b) + 1);
}

// S symmetric and positive definite: no pivoting.
template <class T>
inline void Reduce(const SmallBlock<T>& block, const Ports& ports, Reduced<T>& reduced) {
  const std::size_t count = Count(block), bits = block.bits;
  Rows<T> one;
  One(one);
  Drive(block, ports, one, reduced.drive);
  for (std::size_t k = 0; k < count; ++k)
    reduced.root[k] = static_cast<T>(__builtin_sqrt(block.conductance[k]));
  std::memset(reduced.system, 0, sizeof reduced.system);
  for (std::size_t k = 0; k < count; ++k) {
    reduced.drive[k].Scale(reduced.root[k]);
    for (std::size_t l = 0; l < count; ++l) {
      T across = 0;
      if (k / bits == l / bits) across += block.word_line * Least<T>(k % bits, l % bits);
      if (k % bits == l % bits) across += block.bit_line * Least<T>(k / bits, l / bits);
      reduced.system[k][l] = reduced.root[k] * across * reduced.root[l] + (k == l ? 1 : 0);
    }
  }
  for (std::size_t k = 0; k < count; ++k) {
    reduced.inverse[k] = 1 / reduced.system[k][k];
    for (std::size_t i = k + 1; i < count; ++i) {
      const T factor = reduced.system[i][k] * reduced.inverse[k];
      for (std::size_t l = 0; l < kMost; ++l) reduced.system[i][l] -= factor * reduced.system[k][l];
      reduced.drive[i].Add(-factor, reduced.drive[k]);
    }
  }
}

// The cells' currents that ports give, in the place of what was reduced.
template <class T>
inline const Rows<T>& Solved(Reduced<T>& reduced, std::size_t count) {
  Rows<T>& currents = reduced.drive;
  for (std::size_t k = count; k-- > 0;) {
    currents[k].Scale(reduced.inverse[k]);
    for (std::size_t i = 0; i < k; ++i) currents[i].Add(-reduced.system[i][k], currents[k]);
  }
  for (std::size_t k = 0; k < count; ++k) currents[k].Scale(reduced.root[k]);
  return currents;
}

template <class T>
void Hybrid(const SmallBlock<T>& block, const Ports& ports, T* matrix, std::size_t stride) {
  Reduced<T> reduced;
  Reduce(block, ports, reduced);
  const std::size_t count = Count(block);
  Rows<T>& half = reduced.drive;
  for (std::size_t k = 0; k < count; ++k)
    half[k].Scale(static_cast<T>(__builtin_sqrt(reduced.inverse[k])));
  for (std::size_t p = 0; p < ports.size; ++p) {
    Row<T> sum = {};
    for (std::size_t k = 0; k < count; ++k) sum.Add(half[k][p], half[k]);
    sum.Store(matrix + p * stride, ports.size);
  }
  const auto through = [&](std::size_t near, std::size_t far, std::size_t lines, T resistance) {
    for (std::size_t i = 0; i < lines; ++i) {
      matrix[(near + i) * stride + far + i] += 1, matrix[(far + i) * stride + near + i] += 1;
      matrix[(far + i) * stride + far + i] -= resistance;
    }
  };
  if (ports.far_words)
    through(ports.near_word, ports.far_word, block.words,
            block.word_line * static_cast<T>(block.bits));
  if (ports.far_bits)
    through(ports.near_bit, ports.far_bit, block.bits,
            block.bit_line * static_cast<T>(block.words));
}

// A change of g acts at d, one of X and E at c: with the cotangent C of the ports, dg is the
// diagonal of d C d, and the resistances' are 2 (dE, c C) - (dX c, c C) and what goes through.
template <class T>
SmallCotangent<T> Pull(const SmallBlock<T>& block, const Ports& ports, const T* cotangent,
                       std::size_t stride) {
  Reduced<T> reduced;
  Reduce(block, ports, reduced);
  const std::size_t count = Count(block);
  const Rows<T>& currents = Solved(reduced, count);
  Rows<T> given, one;
  One(one);
  for (std::size_t p = 0; p < ports.size; ++p) given[p].Load(cotangent + p * stride, ports.size);
  Rows<T> pulled;  // currents times the cotangent
  for (std::size_t k = 0; k < count; ++k) {
    pulled[k] = {};
    for (std::size_t p = 0; p < ports.size; ++p) pulled[k].Add(currents[k][p], given[p]);
  }
  Rows<T> by_word, by_bit, pulled_word, pulled_bit, across, pulled_across;
  WordDrops(block, currents, by_word);
  BitDrops(block, currents, by_bit);
  WordDrops(block, pulled, pulled_word);
  BitDrops(block, pulled, pulled_bit);
  Drive(block, ports, one, across);
  Drive(block, ports, given, pulled_across);

  SmallCotangent<T> result;
  result.word_line = result.bit_line = 0;
  for (std::size_t k = 0; k < count; ++k) {
    across[k].Add(-block.word_line, by_word[k]), across[k].Add(-block.bit_line, by_bit[k]);
    pulled_across[k].Add(-block.word_line, pulled_word[k]);
    pulled_across[k].Add(-block.bit_line, pulled_bit[k]);
    result.word_line -= pulled[k].Dot(by_word[k]), result.bit_line -= pulled[k].Dot(by_bit[k]);
    result.conductance[k] = across[k].Dot(pulled_across[k]);
    const std::size_t i = k / block.bits, j = k % block.bits;
    if (ports.far_words)
      result.word_line -= 2 * static_cast<T>(j + 1) * pulled[k][ports.far_word + i];
    if (ports.far_bits) result.bit_line += 2 * static_cast<T>(i + 1) * pulled[k][ports.far_bit + j];
  }
  const auto through = [&](std::size_t far, std::size_t lines, std::size_t segments) {
    T sum = 0;
    for (std::size_t i = 0; i < lines; ++i) sum += cotangent[(far + i) * stride + far + i];
    return sum * static_cast<T>(segments);
  };
  if (ports.far_words) result.word_line -= through(ports.far_word, block.words, block.bits);
  if (ports.far_bits) result.bit_line -= through(ports.far_bit, block.bits, block.words);
  return result;
}

template <class T>
void Currents(const SmallBlock<T>& block, const Ports& ports, const T* given, std::size_t columns,
              T* currents) {
  Reduced<T> reduced;
  Reduce(block, ports, reduced);
  const Rows<T>& by_ports = Solved(reduced, Count(block));
  for (std::size_t k = 0; k < Count(block); ++k)
    for (std::size_t c = 0; c < columns; ++c) {
      T sum = 0;
      for (std::size_t p = 0; p < ports.size; ++p) sum += by_ports[k][p] * given[p * columns + c];
      currents[k * columns + c] = sum;
    }
}

}  // namespace

extern const SmallBlocks<float> kSmallBlocksFloat = {Hybrid<float>, Pull<float>, Currents<float>};
extern const SmallBlocks<double> kSmallBlocksDouble = {Hybrid<double>, Pull<double>,
                                                       Currents<double>};

}  // namespace xbarax::XBARAX_ISA
