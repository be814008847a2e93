// Normal numbers in pairs: what sources that are compiled for several instruction sets share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/lanes.h"
#include "kernels/random.h"
#include "kernels/random_lanes.h"

namespace xbarax {
namespace {  // of its own in each source

// Minimax polynomials: of -ln(1 + x) / x for |x| <= 1/3 (relative error 2e-7), and in x^2 of
// sin(pi/4 x) / x (2e-9) and cos(pi/4 x) (3e-8) for |x| <= 1.
constexpr float kMinusLog[8] = {0.157745793f,  -0.171113253f, 0.163405806f, -0.19795014f,
                                0.2501204014f, -0.333379894f, 0.499998778f, -0.999999821f};
constexpr float kSine[4] = {-3.59545083e-05f, 0.00249000709f, -0.0807454363f, 0.785398185f};
constexpr float kCosine[4] = {-0.000318880513f, 0.0158499144f, -0.308424264f, 1.0f};

// Four numbers of each counter, in that order.
using Quadruples = Floats[4][kRandomVectors];

// The pairs of normal numbers of both words of V vectors of counters, as random.h says, all of them
// in step, since each operation waits for the last: Step<0>() to Step<kThreefryRounds - 1>(), then
// End().
template <std::size_t V>
class QuadrupleSteps {
 public:
  QuadrupleSteps(const Words* x, const Words* y) : x_(x), y_(y) {}

  template <int kStep>
  [[gnu::always_inline]] void Step() {
    constexpr std::uint32_t kOne = 0x3f800000, kTwoThirds = 0x3f2aaaab, kExponent = 0xff800000;
    for (std::size_t v = 0; v < kPairs; ++v) {
      if constexpr (kStep == 0) {  // u; from fractions of numbers in [1, 2), all of it exact
        radius_[v] = BitCast<Floats>((Bits(v) & 0xfffffu) | kOne) * 8.0f - (8.0f - 0x1p-21f);
      } else if constexpr (kStep == 1) {  // 2^exponent (1 + rest), the latter from 2/3 to 4/3
        const Words u = BitCast<Words>(radius_[v]), exponent = (u - kTwoThirds) & kExponent;
        exponent_[v] = BitCast<Ints>(exponent);
        rest_[v] = BitCast<Floats>(u - exponent) - 1.0f;
      } else if constexpr (kStep == 2) {
        radius_[v] = rest_[v] * kMinusLog[0] + kMinusLog[1];
      } else if constexpr (kStep < 9) {
        radius_[v] = radius_[v] * rest_[v] + kMinusLog[kStep - 1];
      } else if constexpr (kStep == 9) {
        radius_[v] *= rest_[v];
      } else if constexpr (kStep == 10) {
        radius_[v] += __builtin_convertvector(exponent_[v], Floats) * (-0x1p-23f * kLn2);
      } else if constexpr (kStep == 11) {
        radius_[v] = Sqrt(radius_[v]);
      } else if constexpr (kStep == 12) {  // 4 / pi times the angle from the quadrant's middle
        const Words word = ((Bits(v) >> 7) & 0x7fe000u) | (Others(v) & 0x1ffeu) | (kOne | 1u);
        rest_[v] = BitCast<Floats>(word) * 2.0f - 3.0f;
      } else if constexpr (kStep == 13) {
        const Floats square = rest_[v] * rest_[v];
        sine_[v] = square * kSine[0] + kSine[1];
        cosine_[v] = square * kCosine[0] + kCosine[1];
        square_[v] = square;
      } else if constexpr (kStep == 14 || kStep == 15) {
        sine_[v] = sine_[v] * square_[v] + kSine[kStep - 12];
        cosine_[v] = cosine_[v] * square_[v] + kCosine[kStep - 12];
      } else if constexpr (kStep == 16) {
        sine_[v] *= rest_[v];
      }
    }
  }

  [[gnu::always_inline]] void End(Quadruples to) {
    constexpr std::uint32_t kSign = 0x80000000;
    for (std::size_t v = 0; v < kPairs; ++v) {
      const Floats x = radius_[v] * (cosine_[v] - sine_[v]);
      const Floats y = radius_[v] * (cosine_[v] + sine_[v]);
      to[v / V * 2][v % V] = BitCast<Floats>(BitCast<Words>(x) ^ (Bits(v) & kSign));
      to[v / V * 2 + 1][v % V] = BitCast<Floats>(BitCast<Words>(y) ^ ((Bits(v) << 1) & kSign));
    }
  }

 private:
  static constexpr std::size_t kPairs = 2 * V;

  // A pair's word, and the other one of its counter.
  Words Bits(std::size_t v) const { return v < V ? x_[v] : y_[v - V]; }
  Words Others(std::size_t v) const { return v < V ? y_[v] : x_[v - V]; }

  const Words *x_, *y_;
  Ints exponent_[kPairs];
  Floats radius_[kPairs], rest_[kPairs], square_[kPairs], sine_[kPairs], cosine_[kPairs];
};

template <std::size_t V>
inline void SomeQuadruples(const Words* x, const Words* y, Quadruples to) {
  QuadrupleSteps<V> steps(x, y);
  AllSteps(&steps);
  steps.End(to);
}

// The numbers of V vectors of counters, and both words of V more from number n on, which takes less
// time together: chains of the former wait for results, the latter need every unit.
template <std::size_t V, class Counters>
[[gnu::always_inline]] inline void QuadruplesAndBits(const Words* x, const Words* y, Quadruples to,
                                                     const KeyWords& words,
                                                     const Counters& counters, std::size_t n,
                                                     Words* next_x, Words* next_y) {
  QuadrupleSteps<V> steps(x, y);
  words.GetBoth<V>(counters, n, next_x, next_y,
                   [&](auto round) { steps.template Step<round.value>(); });
  steps.End(to);
}

// Calls body(n, vectors, numbers) for `count` vectors of counters, some from number n on at a time.
// Counters of up to kRandomVectors - 1 more are looked at.
template <class Counters, class Body>
inline void ForEachQuadruples(const KeyWords& words, const Counters& counters, std::size_t count,
                              Body body) {
  constexpr std::size_t V = kRandomVectors;
  Words x[2][V], y[2][V];  // of these counters, and of the next
  Quadruples numbers;
  std::size_t done = 0;
  if (count > V / 2) {
    std::size_t now = 0;
    words.GetBoth<V>(counters, 0, x[now], y[now]);
    for (; done + V + V / 2 < count; done += V, now = 1 - now) {
      QuadruplesAndBits<V>(x[now], y[now], numbers, words, counters, done + V, x[1 - now],
                           y[1 - now]);
      body(done, V, numbers);
    }
    SomeQuadruples<V>(x[now], y[now], numbers);
    body(done, count - done < V ? count - done : V, numbers);
    done += V;
  }
  if (done + 1 < count) {
    words.GetBoth<2>(counters, done, x[0], y[0]);
    SomeQuadruples<2>(x[0], y[0], numbers);
    body(done, 2, numbers);
  } else if (done < count) {
    words.GetBoth<1>(counters, done, x[0], y[0]);
    SomeQuadruples<1>(x[0], y[0], numbers);
    body(done, 1, numbers);
  }
}

// The same for counters that follow one another: body(place, vectors, numbers), whole vectors of
// them, which go beyond the last.
template <class Body>
inline void ForEachQuadruples(RandomKey key, std::uint64_t start, std::size_t count, Body body) {
  ForEachQuadruples(KeyWords(key), Consecutive(start), (count + kLanes - 1) / kLanes,
                    [&](std::size_t n, std::size_t vectors, const Quadruples& numbers) {
                      body(n * kLanes, vectors, numbers);
                    });
}

}  // namespace
}  // namespace xbarax
