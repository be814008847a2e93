// Which bits of a row of words are set: what sources that are compiled for several instruction sets
// share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/bits.h"
#include "kernels/lanes.h"

namespace xbarax {
namespace {  // of its own in each source

// So many words, zeros in the other lanes.
inline Ints LoadWords(const std::uint32_t* from, std::size_t count) {
  Ints v = {};
  if (count >= kLanes) {
    std::memcpy(&v, from, sizeof v);
    return v;
  }
#if defined(__AVX512F__)
  return BitCast<Ints>(_mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << count) - 1), from));
#elif defined(__AVX2__)
  return BitCast<Ints>(_mm256_maskload_epi32(reinterpret_cast<const int*>(from), First(count)));
#else
  for (std::size_t lane = 0; lane < count; ++lane)
    std::memcpy(&v[lane], from + lane, sizeof v[lane]);
  return v;
#endif
}

// Lists the bits of a word that is not zero, the first of which has this number; how many there
// are.
inline std::size_t ListBits(std::uint32_t word, std::uint32_t first, std::uint32_t* numbers) {
#if defined(__AVX512F__)
  // Without a branch that waits for the number of bits, which is hard to foresee.
  const auto count = static_cast<std::size_t>(__builtin_popcount(word & 0xffffu));
  __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  lanes = _mm512_add_epi32(lanes, _mm512_set1_epi32(static_cast<int>(first)));
  _mm512_storeu_si512(numbers, _mm512_maskz_compress_epi32(static_cast<__mmask16>(word), lanes));
  lanes = _mm512_add_epi32(lanes, _mm512_set1_epi32(16));
  _mm512_storeu_si512(numbers + count,
                      _mm512_maskz_compress_epi32(static_cast<__mmask16>(word >> 16), lanes));
  return static_cast<std::size_t>(__builtin_popcount(word));
#else
  std::size_t count = 0;
  do {
    numbers[count++] = first + static_cast<std::uint32_t>(__builtin_ctz(word));
    word &= word - 1;
  } while (word != 0);
  return count;
#endif
}

// Lists the bits of `words` words; how many there are. It may write up to kBitsBehind numbers more.
// Looks for words that are not zero first.
inline std::size_t ListBits(const std::uint32_t* bits, std::size_t words, std::uint32_t* numbers) {
  std::size_t count = 0;
  for (std::size_t first = 0; first < words; first += 32) {
    const std::size_t some_words = words - first < 32 ? words - first : 32;
    std::uint32_t some = 0;
    for (std::size_t w = 0; w < some_words; w += kLanes)
      some |= Mask(LoadWords(bits + first + w, some_words - w) != 0) << w;
    for (; some != 0; some &= some - 1) {
      const std::size_t word = first + static_cast<std::size_t>(__builtin_ctz(some));
      count += ListBits(bits[word], static_cast<std::uint32_t>(32 * word), numbers + count);
    }
  }
  return count;
}

}  // namespace
}  // namespace xbarax
