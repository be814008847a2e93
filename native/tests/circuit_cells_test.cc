// Every instruction set's closed form of small blocks that this processor can execute.
#include "kernels/circuit_cells.h"

#include <cmath>
#include <cstddef>
#include <vector>

#include "kernels/isa.h"
#include "tests/check.h"
#include "tests/numbers.h"

namespace xbarax {
namespace {

constexpr std::size_t kStride = kMostLines * kMostLines + 3;

Ports Lines(std::size_t words, std::size_t bits, bool far_words, bool far_bits) {
  Ports ports;
  ports.far_words = far_words, ports.far_bits = far_bits;
  ports.near_bit = 0, ports.far_word = bits;
  ports.near_word = bits + (far_words ? words : 0);
  ports.far_bit = ports.near_word + words;
  ports.size = ports.far_bit + (far_bits ? bits : 0);
  return ports;
}

// One of the cells is open.
template <class T>
SmallBlock<T> Cells(std::size_t words, std::size_t bits) {
  SmallBlock<T> block;
  block.words = words, block.bits = bits;
  block.word_line = 30, block.bit_line = 50;
  const std::vector<float> drawn = test::Numbers(2).Fractions(words * bits);
  for (std::size_t k = 0; k < words * bits; ++k)
    block.conductance[k] = k == 1 ? 0 : static_cast<T>(drawn[k]) / 100;
  return block;
}

// The answers of a block to what is given at its ports. Currents through the cells are iterated:
// each cell's follows from the voltages that the wires leave it.
std::vector<double> Answers(const SmallBlock<double>& b, const Ports& p,
                            const std::vector<double>& given) {
  const auto at = [&](bool there, std::size_t port) { return there ? given[port] : 0; };
  std::vector<double> word(b.words * b.bits), bit(word), current(word);
  for (int iteration = 0; iteration < 4000; ++iteration) {
    for (std::size_t i = 0; i < b.words; ++i) {
      double voltage = given[p.near_word + i];
      for (std::size_t j = 0; j < b.bits; ++j) {
        double flows = at(p.far_words, p.far_word + i);
        for (std::size_t k = j; k < b.bits; ++k) flows += current[i * b.bits + k];
        word[i * b.bits + j] = voltage -= b.word_line * flows;
      }
    }
    for (std::size_t j = 0; j < b.bits; ++j) {
      double voltage = given[p.near_bit + j];
      for (std::size_t i = 0; i < b.words; ++i) {
        double flows = at(p.far_bits, p.far_bit + j);
        for (std::size_t k = i; k < b.words; ++k) flows -= current[k * b.bits + j];
        bit[i * b.bits + j] = voltage -= b.bit_line * flows;
      }
    }
    for (std::size_t k = 0; k < current.size(); ++k)
      current[k] += 0.1 * (b.conductance[k] * (word[k] - bit[k]) - current[k]);
  }
  std::vector<double> answers(p.size);
  for (std::size_t i = 0; i < b.words; ++i) {
    answers[p.near_word + i] = at(p.far_words, p.far_word + i);
    for (std::size_t j = 0; j < b.bits; ++j) answers[p.near_word + i] += current[i * b.bits + j];
    if (p.far_words) answers[p.far_word + i] = word[(i + 1) * b.bits - 1];
  }
  for (std::size_t j = 0; j < b.bits; ++j) {
    answers[p.near_bit + j] = at(p.far_bits, p.far_bit + j);
    for (std::size_t i = 0; i < b.words; ++i) answers[p.near_bit + j] -= current[i * b.bits + j];
    if (p.far_bits) answers[p.far_bit + j] = bit[(b.words - 1) * b.bits + j];
  }
  return answers;
}

// Column by column; nothing but the matrix is written.
template <class T>
void MatrixGivesTheAnswers(const SmallBlocks<T>& blocks, std::size_t words, std::size_t bits,
                           bool far_words, bool far_bits, double tolerance) {
  const Ports ports = Lines(words, bits, far_words, far_bits);
  std::vector<T> matrix(ports.size * kStride, T{7});
  blocks.hybrid(Cells<T>(words, bits), ports, matrix.data(), kStride);
  for (std::size_t column = 0; column < ports.size; ++column) {
    std::vector<double> given(ports.size, 0.0);
    given[column] = 1;
    const std::vector<double> answers = Answers(Cells<double>(words, bits), ports, given);
    for (std::size_t row = 0; row < ports.size; ++row) {
      const double scale = 1 + std::fabs(answers[row]);
      CHECK(std::fabs(matrix[row * kStride + column] - answers[row]) <= tolerance * scale);
    }
  }
  for (std::size_t row = 0; row < ports.size; ++row)
    for (std::size_t k = ports.size; k < kStride; ++k) CHECK(matrix[row * kStride + k] == 7);
}

// At the near ends, less what goes through to the far ones.
template <class T>
void CurrentsAddUpToTheAnswers(const SmallBlocks<T>& blocks, std::size_t words, std::size_t bits,
                               bool far_words, bool far_bits, T tolerance) {
  const Ports ports = Lines(words, bits, far_words, far_bits);
  const std::size_t size = ports.size;
  const SmallBlock<T> block = Cells<T>(words, bits);
  std::vector<T> matrix(size * kStride), one(size * size), currents(words * bits * size);
  for (std::size_t p = 0; p < size; ++p) one[p * size + p] = 1;
  blocks.hybrid(block, ports, matrix.data(), kStride);
  blocks.currents(block, ports, one.data(), size, currents.data());
  for (std::size_t p = 0; p < size; ++p) {
    for (std::size_t i = 0; i < words; ++i) {
      T sum = far_words && p == ports.far_word + i ? 1 : 0;
      for (std::size_t j = 0; j < bits; ++j) sum += currents[(i * bits + j) * size + p];
      CHECK(std::fabs(sum - matrix[(ports.near_word + i) * kStride + p]) <= tolerance);
    }
    for (std::size_t j = 0; j < bits; ++j) {
      T sum = far_bits && p == ports.far_bit + j ? 1 : 0;
      for (std::size_t i = 0; i < words; ++i) sum -= currents[(i * bits + j) * size + p];
      CHECK(std::fabs(sum - matrix[(ports.near_bit + j) * kStride + p]) <= tolerance);
    }
  }
}

// The sum of a symmetric cotangent times the matrix, along a direction, by differences.
void CotangentsAreDifferenceQuotients(const SmallBlocks<double>& blocks, std::size_t words,
                                      std::size_t bits, bool far_words, bool far_bits) {
  const Ports ports = Lines(words, bits, far_words, far_bits);
  const std::vector<float> drawn = test::Numbers(3).Signed(ports.size * kStride);
  std::vector<double> cotangent(ports.size * kStride);
  for (std::size_t i = 0; i < ports.size; ++i)
    for (std::size_t j = 0; j < ports.size; ++j)
      cotangent[i * kStride + j] = drawn[i * kStride + j] + drawn[j * kStride + i];
  const SmallBlock<double> at = Cells<double>(words, bits);
  const SmallCotangent<double> by = blocks.pull(at, ports, cotangent.data(), kStride);

  std::vector<double> matrix(cotangent.size());
  const auto sum = [&](const SmallBlock<double>& block) {
    blocks.hybrid(block, ports, matrix.data(), kStride);
    double total = 0;
    for (std::size_t i = 0; i < ports.size; ++i)
      for (std::size_t j = 0; j < ports.size; ++j)
        total += cotangent[i * kStride + j] * matrix[i * kStride + j];
    return total;
  };
  // One-sided, to the second order: an open cell's conductance cannot fall.
  const auto quotient = [&](double step, auto set) {
    SmallBlock<double> one = at, two = at;
    set(one) += step, set(two) += 2 * step;
    return (4 * sum(one) - sum(two) - 3 * sum(at)) / (2 * step);
  };
  const auto near = [](double a, double b) {
    return std::fabs(a - b) <= 1e-8 + 1e-6 * std::fabs(b);
  };
  for (std::size_t k = 0; k < words * bits; ++k)
    CHECK(near(by.conductance[k] / 100,
               quotient(1e-7, [k](auto& b) -> double& { return b.conductance[k]; }) / 100));
  CHECK(near(by.word_line, quotient(1e-3, [](auto& b) -> double& { return b.word_line; })));
  CHECK(near(by.bit_line, quotient(1e-3, [](auto& b) -> double& { return b.bit_line; })));
}

void All(const SmallBlocks<float>& single, const SmallBlocks<double>& blocks) {
  for (std::size_t words = 1; words <= kMostLines; ++words)
    for (std::size_t bits = 1; bits <= kMostLines; ++bits)
      for (bool far_words : {false, true})
        for (bool far_bits : {false, true}) {
          MatrixGivesTheAnswers(blocks, words, bits, far_words, far_bits, 1e-12);
          MatrixGivesTheAnswers(single, words, bits, far_words, far_bits, 1e-5);
          CurrentsAddUpToTheAnswers(blocks, words, bits, far_words, far_bits, 1e-14);
          CurrentsAddUpToTheAnswers(single, words, bits, far_words, far_bits, 1e-5f);
          CotangentsAreDifferenceQuotients(blocks, words, bits, far_words, far_bits);
        }
}

}  // namespace
}  // namespace xbarax

int main() {
  xbarax::All(xbarax::baseline::kSmallBlocksFloat, xbarax::baseline::kSmallBlocksDouble);
#if defined(XBARAX_X86_ISAS)
  if (xbarax::Has(xbarax::Isa::kAvx2))
    xbarax::All(xbarax::avx2::kSmallBlocksFloat, xbarax::avx2::kSmallBlocksDouble);
  if (xbarax::Has(xbarax::Isa::kAvx512))
    xbarax::All(xbarax::avx512::kSmallBlocksFloat, xbarax::avx512::kSmallBlocksDouble);
#endif
  return xbarax::test::Result();
}
