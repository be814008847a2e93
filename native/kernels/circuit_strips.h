// Arrays as strips of whole bit lines, joined one after the other.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <new>
#include <vector>

#include "kernels/circuit_blocks.h"
#include "kernels/parallel.h"

namespace xbarax {

// Calls body(0) ... body(count - 1), and throws what one threw, once all have ended.
inline void ForEach(Executor& executor, std::size_t count,
                    const std::function<void(std::size_t)>& body) {
  std::atomic<bool> failed{false};
  ParallelFor(executor, count, [&](std::size_t i) {
    try {
      body(i);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
  });
  if (failed) throw std::bad_alloc();
}

// A strip, with the voltages a at the near ends of its M word lines and what follows from them at
// the far ones, which meet the next strip: voltages v = V a, currents i = I a.
template <class T>
struct Strip {
  Strip(const Array<T>& array, const Block& block_, bool keep)
      : block(block_), ports(PortsOf(block_, true)), blocks(array, keep) {}

  Block block;
  Ports ports;
  Blocks<T> blocks;
  View<T> matrix, cotangent;
  View<T> near;              // a for sources of 1 V, one after the other
  View<T> voltage, current;  // V and I
  View<T> beyond, inverse;   // B, what the strips beyond draw for v, and W = (1 - A B)^-1
  View<T> far;               // v by the bit lines' near ends
  View<T> by_voltage, by_current;

  // Parts of the matrix, or of its cotangent: rows, then columns.
  View<T> NearNear(View<T> of) const { return of.At(ports.near_word, ports.near_word); }
  View<T> NearFar(View<T> of) const { return of.At(ports.near_word, ports.far_word); }
  View<T> FarNear(View<T> of) const { return of.At(ports.far_word, ports.near_word); }
  View<T> FarFar(View<T> of) const { return of.At(ports.far_word, ports.far_word); }
  View<T> OutNear(View<T> of) const { return of.At(ports.near_bit, ports.near_word); }
  View<T> OutFar(View<T> of) const { return of.At(ports.near_bit, ports.far_word); }
  View<T> NearOut(View<T> of) const { return of.At(ports.near_word, ports.near_bit); }
  View<T> FarOut(View<T> of) const { return of.At(ports.far_word, ports.near_bit); }
};

// Strips are built each for itself, then joined from the last to the first, and their outputs found
// from the first to the last.
template <class T>
class Strips {
 public:
  // `keep`: what derivatives need.
  Strips(const Array<T>& array, Executor& executor, bool keep)
      : array_(array), executor_(executor), keep_(keep), m_(array.words) {
    const std::size_t wide = std::max<std::size_t>((array.words + 1) / 2, kMostLines);
    const std::size_t count = (array.bits + wide - 1) / wide;
    for (std::size_t k = 0; k < count; ++k) {
      const std::size_t begin = k * array.bits / count, end = (k + 1) * array.bits / count;
      const Block block = {0, begin, array.words, end - begin, k + 1 < count, false};
      strips_.emplace_back(array_, block, keep);
      strips_[k].matrix = stack_.Take(strips_[k].ports.size, strips_[k].ports.size);
    }
    ForEach(executor_, count,
            [&](std::size_t k) { strips_[k].blocks.Build(strips_[k].block, strips_[k].matrix); });
    Join();
  }

  // effective[Place(i, j)] for the whole array.
  void Effective(T* effective) {
    for (std::size_t k = 0; k < strips_.size(); ++k) {
      const auto mark = stack_.mark();
      const Strip<T>& s = strips_[k];
      const std::size_t n = s.block.bits;
      const View<T> drawn = stack_.Zeros(n, m_);  // what flows to the grounds is minus that
      AddTimesNear(k, s.OutNear(s.matrix), drawn, n);
      if (k + 1 < strips_.size())
        Product(s.OutFar(s.matrix), CurrentOfSources(k), drawn, n, m_, m_);
      for (std::size_t j = 0; j < n; ++j)
        for (std::size_t i = 0; i < m_; ++i)
          effective[array_.Place(i, s.block.column + j)] = -drawn(j, i);
      stack_.Return(mark);
    }
  }

  // From cotangent[Place(i, j)] to derivatives by_cells[Place(i, j)] and by the resistances.
  ByWires<T> Pull(const T* cotangent, T* by_cells) {
    PullOutputs(cotangent);
    PullJoints();
    std::vector<ByWires<T>> by_wires(strips_.size());
    ForEach(executor_, strips_.size(), [&](std::size_t k) {
      Strip<T>& s = strips_[k];
      const View<T> half = s.matrix;  // which is no longer needed
      for (std::size_t i = 0; i < s.ports.size; ++i)
        for (std::size_t j = 0; j <= i; ++j)
          half(i, j) = half(j, i) = (s.cotangent(i, j) + s.cotangent(j, i)) / 2;
      by_wires[k] = s.blocks.Pull(s.block, half, by_cells);
    });
    ByWires<T> total;
    for (const ByWires<T>& by : by_wires)
      total.word_line += by.word_line, total.bit_line += by.bit_line;
    return total;
  }

  // From the sources' voltages (count x lines) to currents[k * words * bits + Place(i, j)] through
  // the cells. Sources are at the near ends of word lines; where these have changed their names, at
  // those of bit lines, and currents flow the other way.
  void Currents(const T* voltage, std::size_t count, T* currents) {
    const std::size_t lines = array_.turned ? array_.bits : m_;
    const View<T> sources = stack_.Take(lines, count);
    for (std::size_t i = 0; i < lines; ++i)
      for (std::size_t k = 0; k < count; ++k) sources(i, k) = voltage[k * lines + lines - 1 - i];
    std::vector<View<T>> given;
    for (const Strip<T>& s : strips_) given.push_back(stack_.Zeros(s.ports.size, count));
    if (array_.turned) {
      DriveBitLines(sources, count, given);
      DriveWordLines(stack_.Zeros(m_, count), count, given);
    } else {
      DriveWordLines(sources, count, given);
    }
    const std::size_t size = array_.words * array_.bits;
    ForEach(executor_, strips_.size(), [&](std::size_t k) {
      strips_[k].blocks.Drive(strips_[k].block, given[k], count,
                              [&](std::size_t i, std::size_t j, std::size_t which, T current) {
                                currents[which * size + array_.Place(i, j)] =
                                    array_.turned ? -current : current;
                              });
    });
  }

 private:
  void Join() {
    const std::size_t last = strips_.size() - 1;
    View<T> drawn = strips_[last].NearNear(strips_[last].matrix);
    for (std::size_t k = last; k-- > 0;) {
      Strip<T>& s = strips_[k];
      s.beyond = drawn;
      s.voltage = SolveJoint(stack_, s.FarFar(s.matrix), drawn, m_, keep_ ? 2 * m_ : m_,
                             [&](View<T> right) {
                               Copy(s.FarNear(s.matrix), right, m_, m_);
                               if (keep_)
                                 for (std::size_t i = 0; i < m_; ++i) right(i, m_ + i) = 1;
                             });
      s.inverse = s.voltage.At(0, m_);
      s.current = Product(drawn, s.voltage, m_);
      drawn = stack_.Take(m_, m_);
      Copy(s.NearNear(s.matrix), drawn, m_, m_);
      Product(s.NearFar(s.matrix), s.current, drawn, m_, m_, m_);
    }
    for (std::size_t k = 0; k < last; ++k)
      strips_[k + 1].near =
          k == 0 ? strips_[0].voltage : Product(strips_[k].voltage, strips_[k].near, m_);
  }

  // What the near ends of bit lines are given, and what follows from it at the far ends of word
  // lines: currents, and voltages to the strips' `far`.
  void DriveBitLines(View<T> sources, std::size_t count, std::vector<View<T>>& given) {
    View<T> drawn = {};  // at the near ends of the strip beyond, by its own sources
    for (std::size_t k = strips_.size(); k-- > 0;) {
      Strip<T>& s = strips_[k];
      const std::size_t n = s.block.bits;
      const View<T> own = sources.At(s.block.column, 0), next = stack_.Zeros(m_, count);
      Copy(own, given[k].At(s.ports.near_bit, 0), n, count);
      Product(s.NearOut(s.matrix), own, next, m_, n, count);
      if (k + 1 < strips_.size()) {
        const View<T> open = stack_.Zeros(m_, count);
        Product(s.FarOut(s.matrix), own, open, m_, n, count);
        Product(s.FarFar(s.matrix), drawn, open, m_, m_, count);
        s.far = stack_.Zeros(m_, count);
        Product(s.inverse, open, s.far, m_, m_, count);
        const View<T> current = given[k].At(s.ports.far_word, 0);
        Copy(drawn, current, m_, count);
        Product(s.beyond, s.far, current, m_, m_, count);
        Product(s.NearFar(s.matrix), current, next, m_, m_, count);
      }
      drawn = next;
    }
  }

  // What the near ends of word lines are given, strip by strip, and what follows at the far ends.
  void DriveWordLines(View<T> near, std::size_t count, std::vector<View<T>>& given) {
    for (std::size_t k = 0; k < strips_.size(); ++k) {
      const Strip<T>& s = strips_[k];
      Copy(near, given[k].At(s.ports.near_word, 0), m_, count);
      if (k + 1 == strips_.size()) return;
      Product(s.current, near, given[k].At(s.ports.far_word, 0), m_, m_, count);
      const View<T> far = array_.turned ? s.far : stack_.Zeros(m_, count);
      Product(s.voltage, near, far, m_, m_, count);
      near = far;
    }
  }

  // By the outputs: of the matrices, and of V and I.
  void PullOutputs(const T* cotangent) {
    View<T> by_near = {};  // of the strip behind
    for (std::size_t k = strips_.size(); k-- > 0;) {
      Strip<T>& s = strips_[k];
      const bool last = k + 1 == strips_.size();
      const std::size_t n = s.block.bits;
      const View<T> out = stack_.Take(n, m_);
      for (std::size_t j = 0; j < n; ++j)
        for (std::size_t i = 0; i < m_; ++i)
          out(j, i) = -cotangent[array_.Place(i, s.block.column + j)];
      s.cotangent = stack_.Zeros(s.ports.size, s.ports.size);
      AddTimesNearTransposed(k, out, s.OutNear(s.cotangent), n);
      if (!last) {
        const View<T> current = Transposed(stack_, CurrentOfSources(k), m_, m_);
        Product(out, current, s.OutFar(s.cotangent), n, m_, m_);
        const View<T> by_current = stack_.Zeros(m_, m_);  // of the sources' currents
        Product(s.FarOut(s.matrix), out, by_current, m_, n, m_);
        s.by_current = stack_.Zeros(m_, m_), s.by_voltage = stack_.Zeros(m_, m_);
        AddTimesNearTransposed(k, by_current, s.by_current, m_);
        AddTimesNearTransposed(k, by_near, s.by_voltage, m_);
        if (k == 0) return;
        const View<T> both = Product(Transposed(stack_, s.voltage, m_, m_), by_near, m_);
        Product(Transposed(stack_, s.current, m_, m_), by_current, both, m_, m_, m_);
        by_near = both;
      } else {
        by_near = stack_.Zeros(m_, m_);
      }
      Product(s.NearOut(s.matrix), out, by_near, m_, n, m_);
    }
  }

  // By what each strip and those beyond it draw.
  void PullJoints() {
    View<T> by_drawn = stack_.Zeros(m_, m_);
    for (std::size_t k = 0; k < strips_.size(); ++k) {
      Strip<T>& s = strips_[k];
      Copy(by_drawn, s.NearNear(s.cotangent), m_, m_);
      if (k + 1 == strips_.size()) return;
      const View<T> voltage = Transposed(stack_, s.voltage, m_, m_);
      const View<T> current = Transposed(stack_, s.current, m_, m_);
      if (k > 0) {
        Product(by_drawn, current, s.NearFar(s.cotangent), m_, m_, m_);
        Product(s.FarNear(s.matrix), by_drawn, s.by_current, m_, m_, m_);
      }
      Product(s.beyond, s.by_current, s.by_voltage, m_, m_, m_);
      const View<T> by_open = Product(Transposed(stack_, s.inverse, m_, m_), s.by_voltage, m_);
      Copy(by_open, s.FarNear(s.cotangent), m_, m_);
      Product(by_open, current, s.FarFar(s.cotangent), m_, m_, m_);
      by_drawn = Product(s.by_current, voltage, m_);
      Product(s.FarFar(s.matrix), Product(by_open, voltage, m_), by_drawn, m_, m_, m_);
    }
  }

  // The currents at the far ends of a strip's word lines for sources of 1 V.
  View<T> CurrentOfSources(std::size_t k) {
    return k == 0 ? strips_[0].current : Product(strips_[k].current, strips_[k].near, m_);
  }

  // c += a `near`, of a strip (rows x M); the first one's is 1.
  void AddTimesNear(std::size_t k, View<T> a, View<T> c, std::size_t rows) {
    if (k > 0) return Product(a, strips_[k].near, c, rows, m_, m_);
    AddTo(a, c, rows);
  }
  void AddTimesNearTransposed(std::size_t k, View<T> a, View<T> c, std::size_t rows) {
    if (k > 0) return Product(a, Transposed(stack_, strips_[k].near, m_, m_), c, rows, m_, m_);
    AddTo(a, c, rows);
  }
  void AddTo(View<T> a, View<T> c, std::size_t rows) {
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < m_; ++j) c(i, j) += a(i, j);
  }

  // c += a b, by all threads: some columns each, always the same ones, so that no bit depends on
  // how many threads there are.
  void Product(View<T> a, View<T> b, View<T> c, std::size_t rows, std::size_t depth,
               std::size_t columns) {
    constexpr std::size_t some = 32;
    ForEach(executor_, (columns + some - 1) / some, [&](std::size_t k) {
      const std::size_t begin = k * some;
      Add(a, b.At(0, begin), c.At(0, begin), rows, depth, std::min(some, columns - begin));
    });
  }
  View<T> Product(View<T> a, View<T> b, std::size_t size) {
    const View<T> c = stack_.Zeros(size, size);
    Product(a, b, c, size, size, size);
    return c;
  }

  const Array<T> array_;
  Executor& executor_;
  const bool keep_;
  const std::size_t m_;
  Stack<T> stack_;
  std::deque<Strip<T>> strips_;
};

}  // namespace xbarax
