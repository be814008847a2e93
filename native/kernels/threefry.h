// The generator of jax.random: Threefry-2x32 with 20 rounds, J. K. Salmon et al., "Parallel random
// numbers: as easy as 1, 2, 3", SC11; rotations and parity are table 2's and section 3.2's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/lanes.h"

namespace xbarax {
namespace {  // of its own in each source: some are compiled for several instruction sets

constexpr std::uint32_t kParity = 0x1BD11BDA;
constexpr int kThreefryRounds = 20;

template <int kBy, class Word>
inline Word Rotated(Word word) {
  return (word << kBy) | (word >> (32 - kBy));
}

#if defined(__AVX2__) && !defined(__AVX512F__)
// Whole bytes in one operation, not three. Lanes of longer vectors rotate in one anyway.
template <int kBy>
inline Words Rotated(Words words) {
  if constexpr (kBy % 8 == 0) {
    constexpr int b = kBy / 8;
    const __m128i bytes = _mm_add_epi32(
        _mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c),
        _mm_set1_epi32((4 - b) % 4 | (5 - b) % 4 << 8 | (6 - b) % 4 << 16 | (7 - b) % 4 << 24));
    return BitCast<Words>(
        _mm256_shuffle_epi8(BitCast<__m256i>(words), _mm256_broadcastsi128_si256(bytes)));
  }
  return (words << kBy) | (words >> (32 - kBy));
}
#endif

struct Nothing {
  template <class Step>
  void operator()(Step) const {}
};

// What is added to the words of a pair at first and after each four rounds.
template <class Word>
struct ThreefryKeys {
  ThreefryKeys(Word first, Word second) {
    const Word keys[3] = {first, second, first ^ second ^ kParity};
    for (std::size_t i = 0; i < 6; ++i) {
      x[i] = keys[i % 3];
      y[i] = keys[(i + 1) % 3] + static_cast<std::uint32_t>(i);
    }
  }

  Word x[6], y[6];
};

// V pairs of words (x, y), which have the first of the keys, from round kRound on. Calls `beside`
// after each round with its number, as a type: work that depends on other words finds the units of
// the processor that are idle. In one function with the caller words stay in registers.
template <std::size_t V, int kRound = 0, class Word, class Beside = Nothing>
[[gnu::always_inline]] inline void Rounds(const ThreefryKeys<Word>& keys, Word* x, Word* y,
                                          Beside beside = {}) {
  if constexpr (kRound < kThreefryRounds) {
    constexpr int kRotations[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    for (std::size_t v = 0; v < V; ++v) {
      x[v] += y[v];
      y[v] = Rotated<kRotations[kRound % 8]>(y[v]) ^ x[v];
    }
    if constexpr (kRound % 4 == 3)
      for (std::size_t v = 0; v < V; ++v) {
        x[v] += keys.x[kRound / 4 + 1];
        y[v] += keys.y[kRound / 4 + 1];
      }
    beside(std::integral_constant<int, kRound>());
    Rounds<V, kRound + 1>(keys, x, y, beside);
  }
}

// Turns V counters (x, y) at a time into random words. Word: std::uint32_t or a vector of them.
template <std::size_t V, class Word>
inline void Threefry(Word first, Word second, Word* x, Word* y) {
  const ThreefryKeys<Word> keys(first, second);
  Word a[V], b[V];  // of its own, in registers
  for (std::size_t v = 0; v < V; ++v) a[v] = x[v] + keys.x[0], b[v] = y[v] + keys.y[0];
  Rounds<V>(keys, a, b);
  for (std::size_t v = 0; v < V; ++v) x[v] = a[v], y[v] = b[v];
}

}  // namespace
}  // namespace xbarax
