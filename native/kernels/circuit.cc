#include "kernels/circuit.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <vector>

#include "kernels/dense.h"
#include "kernels/isa.h"

namespace xbarax {
namespace {

template <class T>
const Dense<T>& BestDense();
template <>
const Dense<float>& BestDense() {
  return XBARAX_BEST(kDenseFloat);
}
template <>
const Dense<double>& BestDense() {
  return XBARAX_BEST(kDenseDouble);
}

// Memory that is given back in the order opposite to that of taking it.
template <class T>
class Stack {
 public:
  struct Mark {
    std::size_t chunk, used;
  };
  Mark mark() const { return {chunk_, used_}; }
  void Return(Mark to) { chunk_ = to.chunk, used_ = to.used; }

  T* Take(std::size_t size) {
    while (chunk_ < chunks_.size() && chunks_[chunk_].size - used_ < size) ++chunk_, used_ = 0;
    if (chunk_ == chunks_.size()) {
      const std::size_t least = std::max<std::size_t>(size, std::size_t{1} << 17);
      chunks_.push_back({std::unique_ptr<T[]>(new T[least]), least});
    }
    T* taken = chunks_[chunk_].numbers.get() + used_;
    used_ += size;
    return taken;
  }
  T* Zeros(std::size_t size) {
    T* taken = Take(size);
    std::fill(taken, taken + size, T{0});
    return taken;
  }

 private:
  struct Chunk {
    std::unique_ptr<T[]> numbers;
    std::size_t size;
  };
  std::vector<Chunk> chunks_;
  std::size_t chunk_ = 0, used_ = 0;
};

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

template <class T>
void Copy(View<T> from, View<T> to, std::size_t rows, std::size_t columns) {
  for (std::size_t r = 0; r < rows; ++r)
    std::memcpy(to.numbers + r * to.stride, from.numbers + r * from.stride, columns * sizeof(T));
}

// c += a b, or c -= a b.
template <class T>
void Add(View<T> a, View<T> b, View<T> c, std::size_t rows, std::size_t depth, std::size_t columns,
         T sign = 1) {
  BestDense<T>().add_product(sign, a.numbers, a.stride, b.numbers, b.stride, c.numbers, c.stride,
                             rows, depth, columns);
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
};

// Where the ports are: near and far ends of word lines and bit lines. `along_words`: the near ends
// of word lines come first and the far ones last, else those of bit lines do.
struct Ports {
  std::size_t near_word, near_bit, far_bit, far_word, size;
};

Ports PortsOf(const Block& b, bool along_words) {
  const std::size_t far_words = b.far_words ? b.words : 0, far_bits = b.far_bits ? b.bits : 0;
  Ports p;
  if (along_words) {
    p.near_word = 0, p.near_bit = b.words, p.far_bit = b.words + b.bits;
    p.far_word = p.far_bit + far_bits, p.size = p.far_word + far_words;
  } else {
    p.near_bit = 0, p.near_word = b.bits, p.far_word = b.bits + b.words;
    p.far_bit = p.far_word + far_words, p.size = p.far_bit + far_bits;
  }
  return p;
}

// Ports of two blocks that become neighbours among those of both.
struct Run {
  std::size_t from, to, size;
};

template <class T>
class Joiner {
 public:
  Joiner(const Array<T>& array, Stack<T>& stack) : array_(array), stack_(stack) {}

  // The hybrid matrix of a block (see chip/wires/_ports.py) to `matrix`.
  void Build(const Block& block, bool along_words, View<T> matrix) {
    if (block.words == 1 && block.bits == 1) return Cell(block, along_words, matrix);
    const auto mark = stack_.mark();
    const bool split_words = block.bits >= block.words;  // joined along word lines
    const std::size_t lines = split_words ? block.words : block.bits;
    Block near = block, far = block;
    if (split_words) {
      near.bits = block.bits / 2, far.bits = block.bits - near.bits;
      far.column += near.bits, near.far_words = true;
    } else {
      near.words = block.words / 2, far.words = block.words - near.words;
      far.row += near.words, near.far_bits = true;
    }
    const Ports a = PortsOf(near, split_words), b = PortsOf(far, split_words);
    View<T> one = Square(a.size), other = Square(b.size);
    Build(near, split_words, one);
    Build(far, split_words, other);
    const std::size_t kept_near = a.size - lines, kept = kept_near + b.size - lines;
    View<T> both = Square(kept);
    Join(one, other, lines, kept_near, kept - kept_near, both);

    const Ports p = PortsOf(block, along_words);
    const std::size_t beyond = kept_near - lines;  // b's port k is the port beyond + k of both
    const std::size_t near_far_bits = near.far_bits ? near.bits : 0;
    const std::size_t far_far_bits = far.far_bits ? far.bits : 0;
    const std::size_t near_far_words = near.far_words ? near.words : 0;
    const std::size_t far_far_words = far.far_words ? far.words : 0;
    if (split_words) {
      const Run runs[] = {{a.near_word, p.near_word, near.words},
                          {a.near_bit, p.near_bit, near.bits},
                          {beyond + b.near_bit, p.near_bit + near.bits, far.bits},
                          {a.far_bit, p.far_bit, near_far_bits},
                          {beyond + b.far_bit, p.far_bit + near_far_bits, far_far_bits},
                          {beyond + b.far_word, p.far_word, far_far_words}};
      Permute(both, matrix, runs);
    } else {
      const Run runs[] = {{a.near_bit, p.near_bit, near.bits},
                          {a.near_word, p.near_word, near.words},
                          {beyond + b.near_word, p.near_word + near.words, far.words},
                          {a.far_word, p.far_word, near_far_words},
                          {beyond + b.far_word, p.far_word + near_far_words, far_far_words},
                          {beyond + b.far_bit, p.far_bit, far_far_bits}};
      Permute(both, matrix, runs);
    }
    stack_.Return(mark);
  }

 private:
  View<T> Square(std::size_t size) { return {stack_.Take(size * size), size}; }

  void Cell(const Block& block, bool along_words, View<T> matrix) {
    const Ports p = PortsOf(block, along_words);
    const T g = array_.cells[array_.Place(block.row, block.column)];
    const T through = g / (1 + g * (array_.word_line + array_.bit_line));
    T drive[4];
    drive[p.near_word] = 1, drive[p.near_bit] = -1;
    if (block.far_words) drive[p.far_word] = -array_.word_line;
    if (block.far_bits) drive[p.far_bit] = array_.bit_line;
    for (std::size_t i = 0; i < p.size; ++i)
      for (std::size_t j = 0; j < p.size; ++j) matrix(i, j) = drive[i] * (through * drive[j]);
    if (block.far_words) {
      matrix(p.near_word, p.far_word) += 1, matrix(p.far_word, p.near_word) += 1;
      matrix(p.far_word, p.far_word) -= array_.word_line;
    }
    if (block.far_bits) {
      matrix(p.near_bit, p.far_bit) += 1, matrix(p.far_bit, p.near_bit) += 1;
      matrix(p.far_bit, p.far_bit) -= array_.bit_line;
    }
  }

  // Joins the last `lines` ports of `one` to the first of `other`: to the matrix of the rest.
  void Join(View<T> one, View<T> other, std::size_t lines, std::size_t kept_near,
            std::size_t kept_far, View<T> both) {
    const auto mark = stack_.mark();
    const View<T> one_jj = one.At(kept_near, kept_near), one_je = one.At(kept_near, 0);
    const View<T> other_je = other.At(0, lines), other_ej = other.At(lines, 0);
    const std::size_t width = 2 * lines + kept_near;
    View<T> system = {stack_.Zeros(lines * width), width};
    for (std::size_t i = 0; i < lines; ++i) system(i, i) = 1;
    Add(one_jj, other, system, lines, lines, lines, T{-1});
    Copy(one_je, system.At(0, lines), lines, kept_near);
    Copy(one_jj, system.At(0, lines + kept_near), lines, lines);
    BestDense<T>().solve(system.numbers, lines, lines + kept_near);
    const View<T> voltage_near = system.At(0, lines);
    const View<T> compliance = system.At(0, lines + kept_near);
    View<T> current_near = {stack_.Zeros(lines * kept_near), kept_near};
    Add(other, voltage_near, current_near, lines, lines, kept_near);
    View<T> voltage_far = {stack_.Zeros(lines * kept_far), kept_far};
    Add(compliance, other_je, voltage_far, lines, lines, kept_far);

    Copy(one, both, kept_near, kept_near);
    Add(one.At(0, kept_near), current_near, both, kept_near, lines, kept_near);
    const View<T> far_near = both.At(kept_near, 0), far_far = both.At(kept_near, kept_near);
    for (std::size_t i = 0; i < kept_far; ++i)
      std::fill_n(far_near.numbers + i * far_near.stride, kept_near, T{0});
    Add(other_ej, voltage_near, far_near, kept_far, lines, kept_near);
    Copy(other.At(lines, lines), far_far, kept_far, kept_far);
    Add(other_ej, voltage_far, far_far, kept_far, lines, kept_far);
    for (std::size_t i = 0; i < kept_far; ++i)
      for (std::size_t j = 0; j < kept_near; ++j) both(j, kept_near + i) = far_near(i, j);
    stack_.Return(mark);
  }

  static void Permute(View<T> from, View<T> to, const Run (&runs)[6]) {
    for (const Run& rows : runs)
      for (const Run& columns : runs)
        Copy(from.At(rows.from, columns.from), to.At(rows.to, columns.to), rows.size, columns.size);
  }

  const Array<T>& array_;
  Stack<T>& stack_;
};

// An array as strips of whole bit lines: built each for itself, then joined from the last to the
// first, and their outputs found from the first to the last.
template <class T>
class Strips {
 public:
  explicit Strips(const Array<T>& array) : array_(array) {
    const std::size_t wide = std::max<std::size_t>((array.words + 1) / 2, 4);
    const std::size_t count = (array.bits + wide - 1) / wide;
    for (std::size_t k = 0; k < count; ++k) {
      const std::size_t begin = k * array.bits / count, end = (k + 1) * array.bits / count;
      blocks_.push_back({0, begin, array.words, end - begin, k + 1 < count, false});
      ports_.push_back(PortsOf(blocks_[k], true));
      matrices_.emplace_back(ports_[k].size * ports_[k].size);
    }
  }
  std::size_t count() const { return blocks_.size(); }

  void Build(std::size_t strip, Stack<T>& stack) {
    Joiner<T>(array_, stack).Build(blocks_[strip], true, Matrix(strip));
  }

  // effective[Place(i, j)] for the whole array.
  void Finish(Stack<T>& stack, T* effective) {
    const std::size_t m = array_.words, last = count() - 1;
    std::vector<View<T>> voltages(last), currents(last);  // at the far ends, for the near ends'
    View<T> drawn = {stack.Take(m * m), m};               // of all strips beyond
    Copy(Matrix(last), drawn, m, m);
    for (std::size_t k = last; k-- > 0;) {
      const View<T> matrix = Matrix(k), far = matrix.At(ports_[k].far_word, 0);
      View<T> system = {stack.Zeros(2 * m * m), 2 * m};
      for (std::size_t i = 0; i < m; ++i) system(i, i) = 1;
      Add(far.At(0, ports_[k].far_word), drawn, system, m, m, m, T{-1});
      Copy(far, system.At(0, m), m, m);
      BestDense<T>().solve(system.numbers, m, m);
      voltages[k] = system.At(0, m);
      currents[k] = {stack.Zeros(m * m), m};
      Add(drawn, voltages[k], currents[k], m, m, m);
      Copy(matrix, drawn, m, m);
      Add(matrix.At(0, ports_[k].far_word), currents[k], drawn, m, m, m);
    }
    View<T> near = {stack.Zeros(m * m), m}, far = {stack.Take(m * m), m};
    for (std::size_t i = 0; i < m; ++i) near(i, i) = 1;
    for (std::size_t k = 0; k <= last; ++k) {
      Outputs(k, near, k < last ? &currents[k] : nullptr, stack, effective);
      if (k == last) break;
      std::fill_n(far.numbers, m * m, T{0});
      Add(voltages[k], near, far, m, m, m);
      std::swap(near, far);
    }
  }

 private:
  View<T> Matrix(std::size_t k) { return {matrices_[k].data(), ports_[k].size}; }

  // What flows to the grounds is minus what is drawn from there.
  void Outputs(std::size_t k, View<T> near, const View<T>* currents, Stack<T>& stack,
               T* effective) {
    const auto mark = stack.mark();
    const std::size_t m = array_.words, n = blocks_[k].bits;
    View<T> drawn = {stack.Zeros(n * m), m};
    const View<T> rows = Matrix(k).At(ports_[k].near_bit, 0);
    Add(rows, near, drawn, n, m, m);
    if (currents != nullptr) {
      View<T> current = {stack.Zeros(m * m), m};
      Add(*currents, near, current, m, m, m);
      Add(rows.At(0, ports_[k].far_word), current, drawn, n, m, m);
    }
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t i = 0; i < m; ++i)
        effective[array_.Place(i, blocks_[k].column + j)] = -drawn(j, i);
    stack.Return(mark);
  }

  const Array<T> array_;
  std::vector<Block> blocks_;
  std::vector<Ports> ports_;
  std::vector<std::vector<T>> matrices_;
};

// Calls body(0) ... body(count - 1), and throws what one threw, once all have ended.
void ForEach(Executor& executor, std::size_t count, const std::function<void(std::size_t)>& body) {
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

template <class T>
void Solve(const Circuits<T>& circuits, T* effective, Executor& executor) {
  const std::size_t size = circuits.words * circuits.bits;
  const auto array_of = [&](std::size_t k) {
    const bool turned = circuits.words > circuits.bits;
    const T word_line = circuits.word_line[k], bit_line = circuits.bit_line[k];
    return Array<T>{circuits.conductance + k * size,
                    std::min(circuits.words, circuits.bits),
                    std::max(circuits.words, circuits.bits),
                    circuits.bits,
                    turned,
                    turned ? bit_line : word_line,
                    turned ? word_line : bit_line};
  };
  if (circuits.count >= executor.threads() && circuits.count > 1) {
    ForEach(executor, circuits.count, [&](std::size_t k) {
      Stack<T> stack;
      Strips<T> strips(array_of(k));
      for (std::size_t strip = 0; strip < strips.count(); ++strip) strips.Build(strip, stack);
      strips.Finish(stack, effective + k * size);
    });
    return;
  }
  for (std::size_t k = 0; k < circuits.count; ++k) {
    Strips<T> strips(array_of(k));
    ForEach(executor, strips.count(), [&](std::size_t strip) {
      Stack<T> stack;
      strips.Build(strip, stack);
    });
    Stack<T> stack;
    strips.Finish(stack, effective + k * size);
  }
}

}  // namespace

void EffectiveConductance(const Circuits<float>& circuits, float* effective, Executor& executor) {
  if (circuits.words > 0 && circuits.bits > 0) Solve(circuits, effective, executor);
}

void EffectiveConductance(const Circuits<double>& circuits, double* effective, Executor& executor) {
  if (circuits.words > 0 && circuits.bits > 0) Solve(circuits, effective, executor);
}

}  // namespace xbarax
