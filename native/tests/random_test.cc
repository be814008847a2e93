// Every instruction set's random numbers that this processor can execute.
#include "kernels/random.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/isa.h"
#include "kernels/threefry.h"
#include "tests/check.h"
#include "tests/executors.h"

namespace xbarax {
namespace {

std::vector<const Random*> Executable() {
  std::vector<const Random*> all = {&baseline::kRandom};
#if defined(XBARAX_X86_ISAS)
  if (Has(Isa::kAvx2)) all.push_back(&avx2::kRandom);
  if (Has(Isa::kAvx512)) all.push_back(&avx512::kRandom);
#endif
  return all;
}

// The known answers that come with Random123, the authors' library, for 20 rounds.
void ThreefryIsThePublished() {
  constexpr std::uint32_t kOnes = 0xffffffff;
  constexpr std::uint32_t kAnswers[3][6] = {
      {0, 0, 0, 0, 0x6b200159, 0x99ba4efe},
      {kOnes, kOnes, kOnes, kOnes, 0x1cb996fc, 0xbb002be7},
      {0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3, 0xc4923a9c, 0x483df7a0},
  };
  for (const auto& [first, second, x, y, wanted_x, wanted_y] : kAnswers) {
    std::uint32_t a = x, b = y;
    Threefry<1>(first, second, &a, &b);
    CHECK(a == wanted_x && b == wanted_y);
  }
}

// What the numbers of a key are, one by one.
struct Pair {
  std::uint32_t first, second;
};

Pair WordsOf(RandomKey key, std::uint64_t counter) {
  std::uint32_t x = static_cast<std::uint32_t>(counter >> 32);
  std::uint32_t y = static_cast<std::uint32_t>(counter);
  Threefry<1>(key.first, key.second, &x, &y);
  return {x, y};
}

std::uint32_t Bits(RandomKey key, std::uint64_t counter) {
  const Pair words = WordsOf(key, counter);
  return words.first ^ words.second;
}

double UniformOf(std::uint32_t bits) { return std::ldexp(static_cast<double>(bits >> 9), -23); }

// The distribution function's inverse, by Newton's method in double precision.
double NormalOf(std::uint32_t bits) {
  const double p = UniformOf(bits) + std::ldexp(1.0, -25);  // 2u - 1 + 2^-24, halved and shifted
  double x = 0;
  for (int i = 0; i < 60; ++i) {
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * 3.14159265358979323846);
    const double excess = std::erfc(-x / std::sqrt(2.0)) / 2 - p;
    x -= std::max(-0.5, std::min(0.5, excess / density));
  }
  return x;
}

// To rounding, which in the tails is that of x^2 for the 1 - x^2 of the inverse error function at
// x: jax.random's.
bool IsNormalOf(float number, std::uint32_t bits) {
  const double wanted = NormalOf(bits), size = std::max(1.0, std::fabs(wanted));
  const double p = UniformOf(bits) + std::ldexp(1.0, -25), rest = 4 * p * (1 - p);
  return std::fabs(number - wanted) <= 2e-6 * size + std::ldexp(1.0, -25) / rest / size;
}

constexpr RandomKey kKey = {0x12345678, 0x9abcdef0};

void NumbersAreThoseOfTheirCounters(const Random& random, std::uint64_t start, std::size_t count) {
  std::vector<float> uniform(count), normal(count);
  random.uniform(kKey, start, count, uniform.data());
  random.normal(kKey, start, count, normal.data());
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t bits = Bits(kKey, start + i);
    CHECK(uniform[i] == UniformOf(bits));
    CHECK(IsNormalOf(normal[i], bits));
  }
}

// A word's pair, in double precision; `other` is the other word of its counter.
void PairOf(std::uint32_t word, std::uint32_t other, double* first, double* second) {
  const double u = std::ldexp((word % (1u << 20)) + 0.5, -20);
  const double fraction =
      (word >> 20) % (1u << 10) + std::ldexp((other >> 1) % (1u << 12) + 0.5, -12);
  const double angle = std::ldexp(fraction, -11) * std::acos(-1.0);
  const double length = std::sqrt(-2 * std::log(u));
  *first = length * std::cos(angle) * (word >> 31 != 0 ? -1 : 1);
  *second = length * std::sin(angle) * ((word >> 30) % 2 != 0 ? -1 : 1);
}

// What counters give first in front, and nothing is written behind the last.
void PairsAreThoseOfBothWords(const Random& random, std::uint64_t start, std::size_t count) {
  std::vector<float> normal(count + 1, 99.0f);
  random.paired_normal(kKey, start, count, normal.data());
  const std::size_t counters = (count + 3) / 4;
  for (std::size_t i = 0; i < counters; ++i) {
    const Pair words = WordsOf(kKey, start + i);
    double wanted[4];
    PairOf(words.first, words.second, wanted, wanted + 1);
    PairOf(words.second, words.first, wanted + 2, wanted + 3);
    for (std::size_t q = 0; q < 4; ++q)
      if (const std::size_t at = q * counters + i; at < count)
        CHECK(std::fabs(normal[at] - wanted[q]) <= 1e-6);
  }
  CHECK(normal[count] == 99.0f);
}

void FoldsAreThreefry(const Random& random, std::size_t count) {
  std::vector<RandomKey> keys(count), folded(count);
  std::vector<std::uint32_t> data(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t n = static_cast<std::uint32_t>(i);
    keys[i] = {n * 77777777u, ~n};
    data[i] = n * 99999989u;
  }
  random.fold_in(keys.data(), data.data(), count, folded.data());
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t x = 0, y = data[i];
    Threefry<1>(keys[i].first, keys[i].second, &x, &y);
    CHECK(folded[i].first == x && folded[i].second == y);
  }
}

// However many threads there are, and wherever tasks begin and end.
void DrawIsOneKeyAfterTheOther(Executor& executor, std::size_t n_keys, std::size_t count) {
  std::vector<RandomKey> keys(n_keys);
  for (std::size_t k = 0; k < n_keys; ++k) keys[k] = {static_cast<std::uint32_t>(k), 5};
  std::vector<float> together(n_keys * count, 99.0f), alone(count);
  for (Distribution distribution : {Distribution::kUniform, Distribution::kNormal}) {
    Draw(distribution, keys.data(), n_keys, count, together.data(), executor);
    const Random& random = BestRandom();
    for (std::size_t k = 0; k < n_keys; ++k) {
      const auto fill = distribution == Distribution::kNormal ? random.normal : random.uniform;
      fill(keys[k], 0, count, alone.data());
      CHECK(std::equal(alone.begin(), alone.end(), together.begin() + k * count));
    }
  }
}

void PairsAreOneLineAfterTheOther(Executor& executor, std::size_t n_keys, std::size_t lines,
                                  std::size_t count) {
  std::vector<RandomKey> keys(n_keys);
  for (std::size_t k = 0; k < n_keys; ++k) keys[k] = {static_cast<std::uint32_t>(k), 5};
  std::vector<float> together(n_keys * lines * count, 99.0f), alone(count);
  DrawPairs(keys.data(), n_keys, lines, count, together.data(), executor);
  for (std::size_t i = 0; i < n_keys * lines; ++i) {
    BestRandom().paired_normal(keys[i / lines], i % lines * ((count + 3) / 4), count, alone.data());
    CHECK(std::equal(alone.begin(), alone.end(), together.begin() + i * count));
  }
}

void BestIsExecutable() {
  const std::vector<const Random*> all = Executable();
  CHECK(std::find(all.begin(), all.end(), &BestRandom()) != all.end());
}

}  // namespace
}  // namespace xbarax

int main() {
  xbarax::ThreefryIsThePublished();
  for (const xbarax::Random* random : xbarax::Executable()) {
    for (std::size_t count : {0, 1, 3, 4, 5, 15, 16, 17, 31, 33, 64, 65, 1000})
      xbarax::NumbersAreThoseOfTheirCounters(*random, 0, count);
    // A counter's lower word overflows within a vector.
    xbarax::NumbersAreThoseOfTheirCounters(*random, (std::uint64_t{3} << 32) - 37, 100);
    for (std::size_t count :
         {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 66, 67, 127, 129, 257, 1000, 3001, 20001})
      xbarax::PairsAreThoseOfBothWords(*random, 0, count);
    xbarax::PairsAreThoseOfBothWords(*random, (std::uint64_t{3} << 32) - 37, 200);
    for (std::size_t count : {0, 1, 4, 17, 40}) xbarax::FoldsAreThreefry(*random, count);
  }
  xbarax::BestIsExecutable();
  {
    xbarax::test::Nobody nobody;
    xbarax::test::Threads threads;
    for (xbarax::Executor* executor :
         {static_cast<xbarax::Executor*>(&nobody), static_cast<xbarax::Executor*>(&threads)}) {
      xbarax::DrawIsOneKeyAfterTheOther(*executor, 1, 100001);
      xbarax::DrawIsOneKeyAfterTheOther(*executor, 3, 20000);
      xbarax::DrawIsOneKeyAfterTheOther(*executor, 2000, 7);
      xbarax::DrawIsOneKeyAfterTheOther(*executor, 0, 7);
      xbarax::DrawIsOneKeyAfterTheOther(*executor, 7, 0);
      xbarax::PairsAreOneLineAfterTheOther(*executor, 1, 500, 101);
      xbarax::PairsAreOneLineAfterTheOther(*executor, 3, 7, 2000);
      xbarax::PairsAreOneLineAfterTheOther(*executor, 0, 7, 5);
      xbarax::PairsAreOneLineAfterTheOther(*executor, 7, 0, 5);
      xbarax::PairsAreOneLineAfterTheOther(*executor, 7, 5, 0);
    }
  }
  return xbarax::test::Result();
}
