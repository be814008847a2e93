// Vectors of random numbers: what sources that are compiled for several instruction sets share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/lanes.h"
#include "kernels/random.h"
#include "kernels/threefry.h"

namespace xbarax {
namespace {  // of its own in each source

constexpr std::size_t kRandomVectors = 4;  // independent ones, to fill the pipeline
static_assert(kRandomVectors == 4, "ends of one or two vectors are written out below");

inline Floats Sqrt(Floats x) {
#if defined(__AVX512F__)
  return _mm512_maskz_sqrt_ps(0xffff, x);  // with a mask, as for halves in lanes.h
#elif defined(__AVX2__)
  return _mm256_sqrt_ps(x);
#elif defined(__SSE2__)
  return _mm_sqrt_ps(x);
#else
  for (std::size_t lane = 0; lane < kLanes; ++lane) x[lane] = __builtin_sqrtf(x[lane]);
  return x;
#endif
}

// Counters by vectors: those of vector n are start(n), and what is in its lanes, on top. The latter
// are lanes(n, 0, 0), and span(v) the most of them in v vectors from n on.

// Counters that follow one another.
class Consecutive {
 public:
  explicit Consecutive(std::uint64_t start) : start_(start) {
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      lanes_[lane] = static_cast<std::uint32_t>(lane);
  }

  std::uint64_t start(std::size_t n) const { return start_ + n * kLanes; }
  // What is in the lanes of vector n + behind, on top of start(n); and `from`, which is free to
  // add.
  Words lanes(std::size_t, std::size_t behind, std::uint32_t from) const {
    return lanes_ + (from + static_cast<std::uint32_t>(behind * kLanes));
  }
  std::uint32_t span(std::size_t vectors) const {
    return static_cast<std::uint32_t>(vectors * kLanes - 1);
  }

 private:
  std::uint64_t start_;
  Words lanes_;
};

// Counters of which a table has what is in the lanes.
class Tabled {
 public:
  Tabled(std::uint64_t start, const float* table, std::uint32_t most)
      : start_(start), table_(table), most_(most) {}

  std::uint64_t start(std::size_t) const { return start_; }
  Words lanes(std::size_t n, std::size_t behind, std::uint32_t from) const {
    return BitCast<Words>(Load(table_ + (n + behind) * kLanes)) + from;
  }
  std::uint32_t span(std::size_t) const { return most_; }

 private:
  std::uint64_t start_;
  const float* table_;
  std::uint32_t most_;
};

// The words of a key: two of each counter, of whose both jax.random takes the xor.
class KeyWords {
 public:
  explicit KeyWords(RandomKey key)
      : keys_(Words{} + key.first, Words{} + key.second), first_(key.first), second_(key.second) {}

  // Those of V vectors of counters from number n on.
  template <std::size_t V>
  [[gnu::always_inline]] void Get(const Consecutive& counters, std::size_t n, Words* bits) const {
    Words x[V], y[V];
    GetBoth<V>(counters, n, x, y);
    for (std::size_t v = 0; v < V; ++v) bits[v] = x[v] ^ y[v];
  }

  // The same before they are joined. For `beside` see Rounds.
  template <std::size_t V, class Counters, class Beside = Nothing>
  [[gnu::always_inline]] void GetBoth(const Counters& counters, std::size_t n, Words* first,
                                      Words* second, Beside beside = {}) const {
    const std::uint64_t start = counters.start(n);
    const std::uint32_t low = static_cast<std::uint32_t>(start);
    const std::uint32_t high = static_cast<std::uint32_t>(start >> 32);
    Words x[V], y[V];  // of its own, in registers
    for (std::size_t v = 0; v < V; ++v) {
      x[v] = Words{} + (first_ + high);
      y[v] = counters.lanes(n, v, low + second_);
    }
    if (low > ~counters.span(V))  // hardly ever
      for (std::size_t v = 0; v < V; ++v) x[v] += BitCast<Words>(y[v] - second_ < low) & 1u;
    Rounds<V>(keys_, x, y, beside);
    for (std::size_t v = 0; v < V; ++v) first[v] = x[v], second[v] = y[v];
  }

 private:
  ThreefryKeys<Words> keys_;
  std::uint32_t first_, second_;
};

// 23 bits as the fraction of a number in [1, 2), less 1.
inline Floats Uniform(Words bits) { return BitCast<Floats>((bits >> 9) | 0x3f800000u) - 1.0f; }

// sqrt(2) times the inverse error function's quotient by x, from w = -ln(1 - x^2): M. Giles,
// "Approximating the erfinv function", GPU Computing Gems, 2011, table 5 (single precision), times
// sqrt(2). The polynomial of the centre, there of w - 2.5, is written out in powers of
// z = w / ln 2 - kCentre, which saves operations: to -log2 m for m in [1, 2), by a minimax
// polynomial of m - 1.5 (absolute error 3e-7, which is 4e-8 of the result), come whole numbers.
constexpr float kCentre = 3.60644348f, kTails = 3.60703172f;  // z of w = 5: from there on, tails
constexpr float kWhole = 122.80859375f;  // such that differences to whole numbers are exact
constexpr float kLog[7] = {-0.0151253592f, 0.0251233711f, -0.0373112886f, 0.0705896129f,
                           -0.142545325f,  0.320632339f,  -0.961795379f};
constexpr float kQuotient[9] = {2.11767832e-09f,  3.73143662e-08f, -5.52698865e-07f,
                                -9.92725968e-07f, 7.13572133e-05f, -0.000590548293f,
                                -0.00283805977f,  0.241773251f,    2.12324244f};
constexpr float kTail[9] = {-0.000283145718f, 0.000142765648f, 0.00190825948f,
                            -0.00519501232f,  0.00811688967f,  -0.0107797881f,
                            0.0133485786f,    1.41658104f,     4.00643424f};
constexpr float kLn2 = 0.69314718f;

// Standard normal numbers from random words, V vectors in step, since each operation waits for the
// last: Step<0>() to Step<kThreefryRounds - 1>(), then End().
template <std::size_t V>
class NormalSteps {
 public:
  explicit NormalSteps(const Words* bits) : bits_(bits) {}

  template <int kStep>
  [[gnu::always_inline]] void Step() {
    for (std::size_t v = 0; v < V; ++v) {
      if constexpr (kStep == 0) {  // in (-1, 1): 2u - 1 + 2^-24 for u of 23 bits
        const Ints words = BitCast<Ints>(bits_[v] >> 9);
        x_[v] = __builtin_convertvector(words, Floats) * 0x1p-22f - 0.99999994f;
      } else if constexpr (kStep == 1) {
        // As jax.random computes it, with a rounded x^2. Turning its sign as an integer keeps
        // compilers from making one operation of product and sum: 1e-5 off in the tails.
        z_[v] = 1.0f + BitCast<Floats>(BitCast<Words>(x_[v] * x_[v]) ^ 0x80000000u);
      } else if constexpr (kStep == 2) {
        m_[v] = BitCast<Floats>((BitCast<Words>(z_[v]) & 0x007fffffu) | 0x3f800000u) - 1.5f;
      } else if constexpr (kStep == 3) {
        sum_[v] = m_[v] * kLog[0] + kLog[1];
      } else if constexpr (kStep < 9) {
        sum_[v] = sum_[v] * m_[v] + kLog[kStep - 2];
      } else if constexpr (kStep == 9) {
        const Ints exponent = BitCast<Ints>(z_[v]) >> 23;
        const Floats whole = kWhole - __builtin_convertvector(exponent, Floats);
        z_[v] = sum_[v] * m_[v] + whole;
      } else if constexpr (kStep == 10) {
        sum_[v] = z_[v] * kQuotient[0] + kQuotient[1];
      } else if constexpr (kStep < 18) {
        sum_[v] = sum_[v] * z_[v] + kQuotient[kStep - 9];
      }
    }
  }

  [[gnu::always_inline]] void End(Floats* to) {
    Ints tails = {};
    for (std::size_t v = 0; v < V; ++v) tails |= z_[v] >= kTails;
    if (Mask(tails) != 0)  // of 8 numbers, 1 in 37 times
      for (std::size_t v = 0; v < V; ++v)
        if (const Ints tail = z_[v] >= kTails; Mask(tail) != 0)
          sum_[v] = Select(tail, Tail(z_[v]), sum_[v]);
    for (std::size_t v = 0; v < V; ++v) to[v] = sum_[v] * x_[v];
  }

 private:
  static Floats Tail(Floats z) {
    const Floats root = Sqrt((z + kCentre) * kLn2) - 3.0f;
    Floats sum = root * kTail[0] + kTail[1];
    for (int i = 2; i < 9; ++i) sum = sum * root + kTail[i];
    return sum;
  }

  const Words* bits_;
  Floats x_[V], z_[V], m_[V], sum_[V];
};

template <int kStep = 0, class Steps>
[[gnu::always_inline]] inline void AllSteps(Steps* steps) {
  if constexpr (kStep < kThreefryRounds) {
    steps->template Step<kStep>();
    AllSteps<kStep + 1>(steps);
  }
}

// Standard normal numbers.
template <std::size_t V>
inline void Normal(const Words* bits, Floats* to) {
  NormalSteps<V> steps(bits);
  AllSteps(&steps);
  steps.End(to);
}

}  // namespace
}  // namespace xbarax
