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

// The pair of normal numbers of each word, as random.h says, V vectors in step, since each
// operation waits for the last: Step<0>() to Step<kThreefryRounds - 1>(), then End().
template <std::size_t V>
class PairSteps {
 public:
  // `others` are the words that come of the same counters.
  PairSteps(const Words* bits, const Words* others) : bits_(bits), others_(others) {}

  template <int kStep>
  [[gnu::always_inline]] void Step() {
    constexpr std::uint32_t kOne = 0x3f800000, kTwoThirds = 0x3f2aaaab, kExponent = 0xff800000;
    for (std::size_t v = 0; v < V; ++v) {
      if constexpr (kStep == 0) {  // u; from fractions of numbers in [1, 2), all of it exact
        radius_[v] = BitCast<Floats>((bits_[v] & 0xfffffu) | kOne) * 8.0f - (8.0f - 0x1p-21f);
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
        const Words word = ((bits_[v] >> 7) & 0x7fe000u) | (others_[v] & 0x1ffeu) | (kOne | 1u);
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

  [[gnu::always_inline]] void End(Floats* first, Floats* second) {
    constexpr std::uint32_t kSign = 0x80000000;
    for (std::size_t v = 0; v < V; ++v) {
      const Floats x = radius_[v] * (cosine_[v] - sine_[v]);
      const Floats y = radius_[v] * (cosine_[v] + sine_[v]);
      first[v] = BitCast<Floats>(BitCast<Words>(x) ^ (bits_[v] & kSign));
      second[v] = BitCast<Floats>(BitCast<Words>(y) ^ ((bits_[v] << 1) & kSign));
    }
  }

 private:
  const Words *bits_, *others_;
  Ints exponent_[V];
  Floats radius_[V], rest_[V], square_[V], sine_[V], cosine_[V];
};

template <std::size_t V>
inline void Pairs(const Words* bits, const Words* others, Floats* first, Floats* second) {
  PairSteps<V> steps(bits, others);
  AllSteps(&steps);
  steps.End(first, second);
}

// Four numbers of each counter, in that order.
using Quadruples = Floats[4][kRandomVectors];

template <std::size_t V>
inline void SomeQuadruples(const Words* x, const Words* y, Quadruples to) {
  Pairs<V>(x, y, to[0], to[1]);
  Pairs<V>(y, x, to[2], to[3]);
}

// The pairs of V vectors of words, and both words of half as many vectors of counters from number n
// on, which takes less time together: chains of the former wait for results, the latter need every
// unit.
template <std::size_t V, class Counters>
[[gnu::always_inline]] inline void PairsAndBits(const Words* bits, const Words* others,
                                                Floats* first, Floats* second,
                                                const KeyWords& words, const Counters& counters,
                                                std::size_t n, Words* x, Words* y) {
  PairSteps<V> steps(bits, others);
  words.GetBoth<V / 2>(counters, n, x, y, [&](auto round) { steps.template Step<round.value>(); });
  steps.End(first, second);
}

// Calls body(n, vectors, numbers) for `count` vectors of counters, some from number n on at a time.
// Counters of up to kRandomVectors - 1 more are looked at.
template <class Counters, class Body>
inline void ForEachQuadruples(const KeyWords& words, const Counters& counters, std::size_t count,
                              Body body) {
  constexpr std::size_t V = kRandomVectors, kHalf = V / 2;
  Words x[V], y[V];
  Quadruples numbers;
  std::size_t done = 0;
  if (count > kHalf) {
    words.GetBoth<V>(counters, 0, x, y);
    for (; done + V + kHalf < count; done += V) {
      Words next_x[V], next_y[V];
      PairsAndBits<V>(x, y, numbers[0], numbers[1], words, counters, done + V, next_x, next_y);
      PairsAndBits<V>(y, x, numbers[2], numbers[3], words, counters, done + V + kHalf,
                      next_x + kHalf, next_y + kHalf);
      body(done, V, numbers);
      for (std::size_t v = 0; v < V; ++v) x[v] = next_x[v], y[v] = next_y[v];
    }
    SomeQuadruples<V>(x, y, numbers);
    body(done, count - done < V ? count - done : V, numbers);
    done += V;
  }
  if (done + 1 < count) {
    words.GetBoth<2>(counters, done, x, y);
    SomeQuadruples<2>(x, y, numbers);
    body(done, 2, numbers);
  } else if (done < count) {
    words.GetBoth<1>(counters, done, x, y);
    SomeQuadruples<1>(x, y, numbers);
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
