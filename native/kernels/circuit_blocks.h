// Blocks of cells, joined to larger ones, and derivatives taken back from these to the cells.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>

#include "kernels/circuit_cells.h"
#include "kernels/circuit_matrix.h"
#include "kernels/isa.h"

namespace xbarax {

template <class T>
const SmallBlocks<T>& BestSmallBlocks();
template <>
inline const SmallBlocks<float>& BestSmallBlocks() {
  static const SmallBlocks<float>& best = XBARAX_BEST(kSmallBlocksFloat);
  return best;
}
template <>
inline const SmallBlocks<double>& BestSmallBlocks() {
  static const SmallBlocks<double>& best = XBARAX_BEST(kSmallBlocksDouble);
  return best;
}

// One array, seen with its sources and grounds at index 0 and no more word lines than bit lines.
template <class T>
struct Array {
  const T* cells;
  std::size_t words, bits, stride;
  bool turned;  // word and bit lines have changed their names
  T word_line, bit_line;

  // The rows of `cells` begin far from the grounds.
  std::size_t Place(std::size_t i, std::size_t j) const {
    return turned ? (bits - 1 - j) * stride + i : (words - 1 - i) * stride + j;
  }
};

// A rectangle of cells, and which far ends of lines it has: at the array's border there are none.
struct Block {
  std::size_t row, column, words, bits;
  bool far_words, far_bits;
  bool Small() const { return words <= kMostLines && bits <= kMostLines; }
};

// `along_words`: the near ends of word lines come first and the far ones last, else those of bit
// lines do.
inline Ports PortsOf(const Block& b, bool along_words) {
  const std::size_t far_words = b.far_words ? b.words : 0, far_bits = b.far_bits ? b.bits : 0;
  Ports p;
  p.far_words = b.far_words, p.far_bits = b.far_bits;
  if (along_words) {
    p.near_word = 0, p.near_bit = b.words, p.far_bit = b.words + b.bits;
    p.far_word = p.far_bit + far_bits, p.size = p.far_word + far_words;
  } else {
    p.near_bit = 0, p.near_word = b.bits, p.far_word = b.bits + b.words;
    p.far_bit = p.far_word + far_words, p.size = p.far_bit + far_bits;
  }
  return p;
}

// How a block is made of two: these lie along the longer side, joined at `lines` lines that run
// along it, the last ports of `near` and the first of `far`. The ports of both that are kept, those
// of `near` first, come to be in their places among the block's by runs.
struct Joint {
  struct Run {
    std::size_t from, to, size;
  };
  Block near, far;
  bool along_words;
  std::size_t lines, kept_near, kept_far;
  Run runs[6];

  std::size_t kept() const { return kept_near + kept_far; }
};

inline Joint JointOf(const Block& block, const Ports& p) {
  Joint joint;
  joint.along_words = block.bits >= block.words;
  Block &near = joint.near = block, &far = joint.far = block;
  if (joint.along_words) {
    near.bits = block.bits / 2, far.bits = block.bits - near.bits;
    far.column += near.bits, near.far_words = true;
  } else {
    near.words = block.words / 2, far.words = block.words - near.words;
    far.row += near.words, near.far_bits = true;
  }
  joint.lines = joint.along_words ? block.words : block.bits;
  const Ports a = PortsOf(near, joint.along_words), b = PortsOf(far, joint.along_words);
  joint.kept_near = a.size - joint.lines, joint.kept_far = b.size - joint.lines;
  const std::size_t beyond = joint.kept_near - joint.lines;  // far's port k is beyond + k of both
  const std::size_t near_far_bits = near.far_bits ? near.bits : 0;
  const std::size_t far_far_bits = far.far_bits ? far.bits : 0;
  const std::size_t near_far_words = near.far_words ? near.words : 0;
  const std::size_t far_far_words = far.far_words ? far.words : 0;
  const auto set = [&](int k, std::size_t from, std::size_t to, std::size_t size) {
    joint.runs[k] = {from, to, size};
  };
  if (joint.along_words) {
    set(0, a.near_word, p.near_word, near.words);
    set(1, a.near_bit, p.near_bit, near.bits);
    set(2, beyond + b.near_bit, p.near_bit + near.bits, far.bits);
    set(3, a.far_bit, p.far_bit, near_far_bits);
    set(4, beyond + b.far_bit, p.far_bit + near_far_bits, far_far_bits);
    set(5, beyond + b.far_word, p.far_word, far_far_words);
  } else {
    set(0, a.near_bit, p.near_bit, near.bits);
    set(1, a.near_word, p.near_word, near.words);
    set(2, beyond + b.near_word, p.near_word + near.words, far.words);
    set(3, a.far_word, p.far_word, near_far_words);
    set(4, beyond + b.far_word, p.far_word + near_far_words, far_far_words);
    set(5, beyond + b.far_bit, p.far_bit, far_far_bits);
  }
  return joint;
}

// A matrix of the ports that two blocks keep, where its parts are.
template <class T>
struct Quarters {
  View<T> near_near, near_far, far_near, far_far;
  std::size_t near;

  View<T> At(std::size_t row, std::size_t column) const {
    if (row < near)
      return column < near ? near_near.At(row, column) : near_far.At(row, column - near);
    return column < near ? far_near.At(row - near, column) : far_far.At(row - near, column - near);
  }
};

// What a derivative needs to know of a joint: of the matrices of both blocks the rows of the lines
// that meet, (kept, joined) and (joined, kept), and W = (1 - A B)^-1; and their own joints.
template <class T>
struct Kept {
  View<T> near_rows, far_rows, inverse;
  Kept *near, *far;
};

// Derivatives by the resistances.
template <class T>
struct ByWires {
  T word_line = 0, bit_line = 0;
};

// The blocks that a strip is made of.
template <class T>
class Blocks {
 public:
  // `keep`: what derivatives need.
  Blocks(const Array<T>& array, bool keep) : array_(array), keep_(keep) {}

  // The hybrid matrix of a block (see chip/wires/_ports.py) to `matrix`.
  void Build(const Block& block, View<T> matrix) { top_ = Build(block, true, matrix); }

  // From the symmetric cotangent of the matrix that was built last to those of the cells, in their
  // places, and of the resistances.
  ByWires<T> Pull(const Block& block, View<T> cotangent, T* by_cells) {
    return Pull(block, true, cotangent, top_, by_cells);
  }

  // From what is given at the ports (ports x count) of the block that was built last to the
  // currents through the cells: currents(row, column, which of count) is told each.
  template <class Currents>
  void Drive(const Block& block, View<T> given, std::size_t count, const Currents& currents) {
    Drive(block, true, given, count, top_, currents);
  }

 private:
  Kept<T>* Build(const Block& block, bool along_words, View<T> matrix) {
    const Ports ports = PortsOf(block, along_words);
    if (block.Small()) {
      BestSmallBlocks<T>().hybrid(CellsOf(block), ports, matrix.numbers, matrix.stride);
      return nullptr;
    }
    const auto mark = stack_.mark();
    const Joint joint = JointOf(block, ports);
    const std::size_t near_size = joint.kept_near + joint.lines;
    const std::size_t far_size = joint.lines + joint.kept_far;
    const View<T> one = stack_.Take(near_size, near_size), other = stack_.Take(far_size, far_size);
    Kept<T>* near = Build(joint.near, joint.along_words, one);
    Kept<T>* far = Build(joint.far, joint.along_words, other);
    Kept<T>* kept = nullptr;
    if (keep_) {
      const std::size_t lines = joint.lines;
      joints_.push_back({kept_.Take(lines, near_size), kept_.Take(lines, far_size),
                         kept_.Take(lines, lines), near, far});
      kept = &joints_.back();
      Copy(one.At(joint.kept_near, 0), kept->near_rows, lines, near_size);
      Copy(other, kept->far_rows, lines, far_size);
    }
    const Quarters<T> both = Join(joint, one, other, kept);
    for (const Joint::Run& rows : joint.runs)
      for (const Joint::Run& columns : joint.runs)
        if (rows.size > 0 && columns.size > 0)
          Copy(both.At(rows.from, columns.from), matrix.At(rows.to, columns.to), rows.size,
               columns.size);
    stack_.Return(mark);
    return kept;
  }

  SmallBlock<T> CellsOf(const Block& block) const {
    SmallBlock<T> cells;
    cells.words = block.words, cells.bits = block.bits;
    cells.word_line = array_.word_line, cells.bit_line = array_.bit_line;
    for (std::size_t i = 0; i < block.words; ++i)
      for (std::size_t j = 0; j < block.bits; ++j)
        cells.conductance[i * block.bits + j] =
            array_.cells[array_.Place(block.row + i, block.column + j)];
    return cells;
  }

  // The matrix of both, see chip/wires/_join.py: on the stack, and in the place of their own.
  Quarters<T> Join(const Joint& joint, View<T> one, View<T> other, Kept<T>* kept) {
    const std::size_t lines = joint.lines, near = joint.kept_near, far = joint.kept_far;
    const View<T> one_jj = one.At(near, near), one_je = one.At(near, 0);
    const View<T> other_je = other.At(0, lines), other_ej = other.At(lines, 0);
    const std::size_t columns = near + lines + (kept != nullptr ? lines : 0);
    const View<T> voltage_near =
        SolveJoint(stack_, one_jj, other, lines, columns, [&](View<T> right) {
          Copy(one_je, right, lines, near + lines);
          if (kept != nullptr)
            for (std::size_t i = 0; i < lines; ++i) right(i, near + lines + i) = 1;
        });
    const View<T> compliance = voltage_near.At(0, near);
    if (kept != nullptr) Copy(voltage_near.At(0, near + lines), kept->inverse, lines, lines);
    const View<T> current_near = Product(stack_, other, voltage_near, lines, lines, near);
    const View<T> voltage_far = Product(stack_, compliance, other_je, lines, lines, far);

    AddSymmetric(one.At(0, near), current_near, one, near, lines);
    const View<T> far_near = Product(stack_, other_ej, voltage_near, far, lines, near);
    const View<T> far_far = other.At(lines, lines);
    AddSymmetric(other_ej, voltage_far, far_far, far, lines);
    return {one, Transposed(stack_, far_near, far, near), far_near, far_far, near};
  }

  ByWires<T> Pull(const Block& block, bool along_words, View<T> cotangent, const Kept<T>* kept,
                  T* by_cells) {
    const Ports ports = PortsOf(block, along_words);
    if (block.Small()) return PullSmall(block, ports, cotangent, by_cells);
    const auto mark = stack_.mark();
    const Joint joint = JointOf(block, ports);
    const std::size_t near_size = joint.kept_near + joint.lines;
    const std::size_t far_size = joint.lines + joint.kept_far;
    const View<T> one = stack_.Take(near_size, near_size), other = stack_.Take(far_size, far_size);
    Part(joint, *kept, cotangent, one, other);
    const ByWires<T> a = Pull(joint.near, joint.along_words, one, kept->near, by_cells);
    const ByWires<T> b = Pull(joint.far, joint.along_words, other, kept->far, by_cells);
    stack_.Return(mark);
    return {a.word_line + b.word_line, a.bit_line + b.bit_line};
  }

  ByWires<T> PullSmall(const Block& block, const Ports& ports, View<T> cotangent, T* by_cells) {
    const SmallCotangent<T> by =
        BestSmallBlocks<T>().pull(CellsOf(block), ports, cotangent.numbers, cotangent.stride);
    for (std::size_t i = 0; i < block.words; ++i)
      for (std::size_t j = 0; j < block.bits; ++j)
        by_cells[array_.Place(block.row + i, block.column + j)] =
            by.conductance[i * block.bits + j];
    return {by.word_line, by.bit_line};
  }

  // The cotangents of both matrices: v C v and i C i, with the cotangent C of the block's and the
  // voltages v and currents i at the joint that its ports give. With A and B, and their rows a and
  // b of the lines that meet, v = W (a + A b) and i = b + B v.
  void Part(const Joint& joint, const Kept<T>& kept, View<T> cotangent, View<T> one,
            View<T> other) {
    const auto mark = stack_.mark();
    const std::size_t lines = joint.lines, near = joint.kept_near, far = joint.kept_far;
    const std::size_t both = near + far;
    const Quarters<T> c = {one, stack_.Take(near, far), stack_.Take(far, near),
                           other.At(lines, lines), near};
    for (const Joint::Run& rows : joint.runs)
      for (const Joint::Run& columns : joint.runs)
        if (rows.size > 0 && columns.size > 0)
          Copy(cotangent.At(rows.to, columns.to), c.At(rows.from, columns.from), rows.size,
               columns.size);
    const View<T> a = kept.near_rows, a_jj = a.At(0, near);
    const View<T> b_jj = kept.far_rows, b = b_jj.At(0, lines);
    const View<T> current = stack_.Zeros(lines, both), open = stack_.Zeros(lines, both);
    Add(b, c.far_near, current, lines, far, near);
    Add(b, c.far_far, current.At(0, near), lines, far, far);
    Add(a, c.near_near, open, lines, near, near);
    Add(a, c.near_far, open.At(0, near), lines, near, far);
    Add(a_jj, current, open, lines, lines, both);
    const View<T> voltage = Product(stack_, kept.inverse, open, lines, lines, both);
    Add(b_jj, voltage, current, lines, lines, both);

    const View<T> a_t = Transposed(stack_, a, lines, near), b_t = Transposed(stack_, b, lines, far);
    const View<T> inverse_t = Transposed(stack_, kept.inverse, lines, lines);
    // i C i = i C b + (i C v) B, with i C v = (i C a + (i C b) A) W.
    const auto by_voltage = [&](View<T> given, View<T> by_far) {
      Add(given.At(0, near), b_t, by_far, lines, far, lines);
      const View<T> by_open = Product(stack_, given, a_t, lines, near, lines);
      Add(by_far, a_jj, by_open, lines, lines, lines);
      return Product(stack_, by_open, inverse_t, lines, lines, lines);
    };
    const View<T> by_current = stack_.Zeros(lines, lines);
    Add(by_voltage(current, by_current), b_jj, by_current, lines, lines, lines);
    Copy(by_current, one.At(near, near), lines, lines);
    Copy(by_voltage(voltage, stack_.Zeros(lines, lines)), other, lines, lines);

    Copy(current, one.At(near, 0), lines, near);
    Transpose(current, one.At(0, near), lines, near);
    Copy(voltage.At(0, near), other.At(0, lines), lines, far);
    Transpose(voltage.At(0, near), other.At(lines, 0), lines, far);
    stack_.Return(mark);
  }

  template <class Currents>
  void Drive(const Block& block, bool along_words, View<T> given, std::size_t count,
             const Kept<T>* kept, const Currents& currents) {
    const Ports ports = PortsOf(block, along_words);
    const auto mark = stack_.mark();
    if (block.Small()) {
      const View<T> found = stack_.Take(block.words * block.bits, count);
      BestSmallBlocks<T>().currents(CellsOf(block), ports, given.numbers, count, found.numbers);
      for (std::size_t i = 0; i < block.words; ++i)
        for (std::size_t j = 0; j < block.bits; ++j)
          for (std::size_t k = 0; k < count; ++k)
            currents(block.row + i, block.column + j, k, found(i * block.bits + j, k));
      return stack_.Return(mark);
    }
    const Joint joint = JointOf(block, ports);
    const std::size_t lines = joint.lines, near = joint.kept_near, far = joint.kept_far;
    const View<T> both = stack_.Take(joint.kept(), count);
    for (const Joint::Run& run : joint.runs)
      Copy(given.At(run.to, 0), both.At(run.from, 0), run.size, count);
    const View<T> one = stack_.Zeros(near + lines, count), current = one.At(near, 0);
    const View<T> voltage = stack_.Zeros(lines + far, count);  // and behind it far's own
    Copy(both, one, near, count);
    Copy(both.At(near, 0), voltage.At(lines, 0), far, count);
    Add(kept->far_rows.At(0, lines), both.At(near, 0), current, lines, far, count);
    const View<T> open = Product(stack_, kept->near_rows, both, lines, near, count);
    Add(kept->near_rows.At(0, near), current, open, lines, lines, count);
    Add(kept->inverse, open, voltage, lines, lines, count);
    Add(kept->far_rows, voltage, current, lines, lines, count);
    Drive(joint.near, joint.along_words, one, count, kept->near, currents);
    Drive(joint.far, joint.along_words, voltage, count, kept->far, currents);
    stack_.Return(mark);
  }

  const Array<T>& array_;
  const bool keep_;
  Stack<T> stack_, kept_;
  std::deque<Kept<T>> joints_;
  Kept<T>* top_ = nullptr;
};

}  // namespace xbarax
