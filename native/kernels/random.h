// The random numbers of jax.random, from the same counter-based bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/parallel.h"

namespace xbarax {

// A key of jax.random's "threefry2x32": two words.
struct RandomKey {
  std::uint32_t first;
  std::uint32_t second;
};

// A line of `count` numbers that come in pairs, two of each counter, takes so many counters: their
// first words give the first half of its numbers, the second words the others.
inline std::size_t Counters(std::size_t count) { return (count + 1) / 2; }

// One instruction set's numbers. The first two write `count` numbers, those from number `start` on
// of the sequence that the key stands for: what comes out does not depend on how it is cut into
// calls.
struct Random {
  // In [0, 1), multiples of 2^-23.
  void (*uniform)(RandomKey key, std::uint64_t start, std::size_t count, float* to);
  // Standard normal.
  void (*normal)(RandomKey key, std::uint64_t start, std::size_t count, float* to);
  // A line of standard normal numbers in pairs, of counters from `start` on.
  void (*paired_normal)(RandomKey key, std::uint64_t start, std::size_t count, float* to);
  // `count` new keys, each of a key and a number.
  void (*fold_in)(const RandomKey* keys, const std::uint32_t* data, std::size_t count,
                  RandomKey* to);
};

namespace baseline {
extern const Random kRandom;
}
namespace avx2 {
extern const Random kRandom;
}
namespace avx512 {
extern const Random kRandom;
}

// The numbers for the processor that this runs on.
const Random& BestRandom();

enum class Distribution { kUniform, kNormal };

// The first `count` numbers of each of `keys` keys.
void Draw(Distribution distribution, const RandomKey* keys, std::size_t n_keys, std::size_t count,
          float* to, Executor& executor);

// For each of the keys `lines` lines of `count` normal numbers in pairs, whose counters follow one
// another.
void DrawPairs(const RandomKey* keys, std::size_t n_keys, std::size_t lines, std::size_t count,
               float* to, Executor& executor);

}  // namespace xbarax
