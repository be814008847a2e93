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

// Normal numbers in pairs, by Box and Muller's transform. Of a word, u is 2^-20 times its lower 20
// bits and a half, and the angle pi / 2 times a fraction: first the word's next 10 bits, then bits
// 12 to 1 of the other word of its counter, and a one. The pair is sqrt(-2 ln u) times the angle's
// cosine and sine, with the word's last bit as the former's sign and the one before as the
// latter's. Of a counter come four numbers, the pair of its first word and that of its second. A
// line of `count` numbers takes so many counters: what they give first is its first quarter, and so
// on.
inline std::size_t Counters(std::size_t count) { return (count + 3) / 4; }

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
