// Effective conductances, derivatives, currents: closed forms, laws, threads. The tests in Python
// have a circuit simulator.
#include "kernels/circuit.h"

#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "tests/check.h"
#include "tests/executors.h"
#include "tests/numbers.h"

namespace xbarax {
namespace {

std::vector<double> Cells(std::size_t size) {
  std::vector<double> cells;
  for (float x : test::Numbers(1).Signed(size)) cells.push_back(1e-3 * std::fabs(x));
  return cells;
}

std::vector<double> Effective(const std::vector<double>& cells, std::size_t words, std::size_t bits,
                              double word_line, double bit_line, Executor& executor) {
  const std::size_t count = cells.size() / (words * bits);
  const std::vector<double> word_lines(count, word_line), bit_lines(count, bit_line);
  std::vector<double> effective(cells.size());
  const Circuits<double> circuits = {
      cells.data(), word_lines.data(), bit_lines.data(), count, words, bits};
  EffectiveConductance(circuits, effective.data(), executor);
  return effective;
}

struct Derivatives {
  std::vector<double> conductance, word_line, bit_line;
};

Derivatives Pulled(const std::vector<double>& cells, const std::vector<double>& cotangent,
                   std::size_t words, std::size_t bits, double word_line, double bit_line,
                   Executor& executor) {
  const std::size_t count = cells.size() / (words * bits);
  const std::vector<double> word_lines(count, word_line), bit_lines(count, bit_line);
  Derivatives by = {cells, word_lines, bit_lines};
  const Circuits<double> circuits = {
      cells.data(), word_lines.data(), bit_lines.data(), count, words, bits};
  PullEffectiveConductance(circuits, cotangent.data(),
                           {by.conductance.data(), by.word_line.data(), by.bit_line.data()},
                           executor);
  return by;
}

std::vector<double> Signed(std::size_t seed, std::size_t size) {
  const std::vector<float> drawn = test::Numbers(seed).Signed(size);
  return {drawn.begin(), drawn.end()};
}

std::vector<double> Currents(const std::vector<double>& cells, const std::vector<double>& voltage,
                             std::size_t count, std::size_t words, std::size_t bits,
                             Executor& executor) {
  const std::vector<double> word_lines(count, 20), bit_lines(count, 30);
  const std::size_t inputs = voltage.size() / (count * words);
  std::vector<double> currents(inputs * cells.size());
  CellCurrents({cells.data(), word_lines.data(), bit_lines.data(), count, words, bits},
               voltage.data(), inputs, currents.data(), executor);
  return currents;
}

bool Near(double a, double b, double tolerance) {
  return std::fabs(a - b) <= tolerance * (std::fabs(b) + 1e-9);
}

void ACellIsInSeriesWithItsWires() {
  test::Nobody alone;
  const double g = Effective({1e-3}, 1, 1, 30, 70, alone)[0];
  CHECK(Near(g, 1e-3 / (1 + 1e-3 * 100), 1e-14));
}

void IdealWiresChangeNothing(std::size_t words, std::size_t bits) {
  test::Nobody alone;
  const std::vector<double> cells = Cells(words * bits);
  const std::vector<double> effective = Effective(cells, words, bits, 0, 0, alone);
  for (std::size_t k = 0; k < cells.size(); ++k) CHECK(Near(effective[k], cells[k], 1e-12));
}

// Word lines without resistance: each bit line is a ladder of its own, solved from its far end.
void BitLinesAloneAreLadders(std::size_t words, std::size_t bits) {
  test::Nobody alone;
  const double r = 50;
  const std::vector<double> cells = Cells(words * bits);
  const std::vector<double> effective = Effective(cells, words, bits, 0, r, alone);
  for (std::size_t j = 0; j < bits; ++j) {
    // Seen from each node: the conductance to sources above, and the share of a source's current.
    double beyond = 0;
    std::vector<double> currents(words, 0.0);
    for (std::size_t i = 0; i < words; ++i) {
      beyond += cells[i * bits + j];
      currents[i] = cells[i * bits + j];
      const double share = 1 / (1 + beyond * r);
      beyond *= share;
      for (std::size_t k = 0; k <= i; ++k) currents[k] *= share;
    }
    for (std::size_t i = 0; i < words; ++i) CHECK(Near(effective[i * bits + j], currents[i], 1e-9));
  }
}

void SourcesAndGroundsCanChangePlaces(std::size_t words, std::size_t bits) {
  test::Nobody alone;
  const std::vector<double> cells = Cells(words * bits);
  std::vector<double> turned(cells.size());
  const auto place = [&](std::size_t i, std::size_t j) {
    return (bits - 1 - j) * words + words - 1 - i;
  };
  for (std::size_t i = 0; i < words; ++i)
    for (std::size_t j = 0; j < bits; ++j) turned[place(i, j)] = cells[i * bits + j];
  const std::vector<double> one = Effective(cells, words, bits, 3, 20, alone);
  const std::vector<double> other = Effective(turned, bits, words, 20, 3, alone);
  for (std::size_t i = 0; i < words; ++i)
    for (std::size_t j = 0; j < bits; ++j) CHECK(Near(other[place(i, j)], one[i * bits + j], 1e-9));
}

void ACellsDerivativesAreThoseOfASeries() {
  test::Nobody alone;
  const Derivatives by = Pulled({1e-3}, {2}, 1, 1, 30, 70, alone);
  const double whole = 1 + 1e-3 * 100;
  CHECK(Near(by.conductance[0], 2 / (whole * whole), 1e-14));
  CHECK(Near(by.word_line[0], -2e-6 / (whole * whole), 1e-14));
  CHECK(Near(by.bit_line[0], -2e-6 / (whole * whole), 1e-14));
}

void IdealWiresPassCotangents(std::size_t words, std::size_t bits) {
  test::Nobody alone;
  const std::vector<double> cells = Cells(words * bits), cotangent = Signed(5, words * bits);
  const Derivatives by = Pulled(cells, cotangent, words, bits, 0, 0, alone);
  for (std::size_t k = 0; k < cells.size(); ++k)
    CHECK(std::fabs(by.conductance[k] - cotangent[k]) <= 1e-12);
}

// Along one direction of the cells, and for each resistance.
void DerivativesAreDifferenceQuotients(std::size_t words, std::size_t bits) {
  test::Nobody alone;
  const std::size_t size = words * bits;
  const std::vector<double> cells = Cells(size), cotangent = Signed(5, size);
  std::vector<double> direction = Signed(6, size);
  for (std::size_t k = 0; k < size; ++k) direction[k] *= cells[k];
  const auto sum = [&](double along, double word_line, double bit_line) {
    std::vector<double> moved = cells;
    for (std::size_t k = 0; k < size; ++k) moved[k] += along * direction[k];
    const std::vector<double> effective =
        Effective(moved, words, bits, 20 + word_line, 30 + bit_line, alone);
    double total = 0;
    for (std::size_t k = 0; k < size; ++k) total += cotangent[k] * effective[k];
    return total;
  };
  const auto quotient = [](double step, auto value) {
    return (8 * (value(step) - value(-step)) - value(2 * step) + value(-2 * step)) / (12 * step);
  };
  const Derivatives by = Pulled(cells, cotangent, words, bits, 20, 30, alone);
  double along = 0;
  for (std::size_t k = 0; k < size; ++k) along += by.conductance[k] * direction[k];
  CHECK(Near(along, quotient(1e-2, [&](double t) { return sum(t, 0, 0); }), 1e-6));
  CHECK(Near(by.word_line[0], quotient(0.1, [&](double t) { return sum(0, t, 0); }), 1e-6));
  CHECK(Near(by.bit_line[0], quotient(0.1, [&](double t) { return sum(0, 0, t); }), 1e-6));
}

void CurrentsAddUpToTheOutputs(std::size_t words, std::size_t bits) {
  test::Nobody alone;
  const std::size_t inputs = 3;
  const std::vector<double> cells = Cells(words * bits), voltage = Signed(7, inputs * words);
  const std::vector<double> effective = Effective(cells, words, bits, 20, 30, alone);
  const std::vector<double> currents = Currents(cells, voltage, 1, words, bits, alone);
  for (std::size_t k = 0; k < inputs; ++k)
    for (std::size_t j = 0; j < bits; ++j) {
      double sum = 0, expected = 0;
      for (std::size_t i = 0; i < words; ++i) {
        sum += currents[(k * words + i) * bits + j];
        expected += voltage[k * words + i] * effective[i * bits + j];
      }
      CHECK(std::fabs(sum - expected) <= 1e-14);
    }
}

void ThreadsChangeNoBit(std::size_t count) {
  test::Nobody alone;
  test::Pool pool(3);
  const std::vector<double> cells = Cells(count * 53 * 61), cotangent = Signed(5, cells.size());
  CHECK(Effective(cells, 53, 61, 2, 5, alone) == Effective(cells, 53, 61, 2, 5, pool));
  const Derivatives one = Pulled(cells, cotangent, 53, 61, 2, 5, alone);
  const Derivatives other = Pulled(cells, cotangent, 53, 61, 2, 5, pool);
  CHECK(one.conductance == other.conductance);
  const std::vector<double> voltage = Signed(7, count * 2 * 53);
  CHECK(Currents(cells, voltage, count, 53, 61, alone) ==
        Currents(cells, voltage, count, 53, 61, pool));
  CHECK(one.word_line == other.word_line && one.bit_line == other.bit_line);
}

}  // namespace
}  // namespace xbarax

int main() {
  xbarax::ACellIsInSeriesWithItsWires();
  xbarax::ACellsDerivativesAreThoseOfASeries();
  for (auto [words, bits] : {std::pair<std::size_t, std::size_t>{1, 1},
                             {1, 9},
                             {9, 1},
                             {4, 5},
                             {7, 40},
                             {40, 7},
                             {33, 34},
                             {64, 64}}) {
    xbarax::IdealWiresChangeNothing(words, bits);
    xbarax::BitLinesAloneAreLadders(words, bits);
    xbarax::SourcesAndGroundsCanChangePlaces(words, bits);
    xbarax::CurrentsAddUpToTheOutputs(words, bits);
    xbarax::IdealWiresPassCotangents(words, bits);
    xbarax::DerivativesAreDifferenceQuotients(words, bits);
  }
  for (std::size_t count : {1, 2, 7}) xbarax::ThreadsChangeNoBit(count);
  return xbarax::test::Result();
}
