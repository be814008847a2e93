// The random numbers of jax.random on a GPU: keys, and numbers from the same counter-based bits.
#pragma once

#include "gpu/threads.h"

namespace xbarax {

// `count` numbers of each of some keys.
struct GpuDraw {
  const unsigned* keys;  // two words each
  long long total, count;
  bool normal;
  float* to;
};

// For each of some keys `lines` lines of `line` normal numbers in pairs, as random.h says.
struct GpuDrawPairs {
  const unsigned* keys;
  long long total;  // counters of all lines
  long long lines, line;
  float* to;
};

struct GpuFoldIn {
  const unsigned *keys, *data;
  long long total;
  unsigned* to;
};

// Threefry-2x32 with 20 rounds, J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC11; rotations and parity are table 2's and section 3.2's.
static inline void GpuThreefry(const unsigned* key, unsigned* x, unsigned* y) {
  constexpr int rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const unsigned keys[3] = {key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDAu};
  *x += keys[0], *y += keys[1];
  XBARAX_UNROLL
  for (int group = 0; group < 5; ++group) {
    XBARAX_UNROLL
    for (int round = 0; round < 4; ++round) {
      const int by = rotations[group % 2][round];
      *x += *y;
      *y = ((*y << by) | (*y >> (32 - by))) ^ *x;
    }
    *x += keys[(group + 1) % 3];
    *y += keys[(group + 2) % 3] + static_cast<unsigned>(group + 1);
  }
}

// A number's bits: the xor of both of its words.
static inline unsigned GpuBits(const unsigned* key, long long number) {
  const unsigned long long counter = static_cast<unsigned long long>(number);
  unsigned x = static_cast<unsigned>(counter >> 32), y = static_cast<unsigned>(counter);
  GpuThreefry(key, &x, &y);
  return x ^ y;
}

// 23 bits as a fraction.
static inline float GpuUniform(unsigned bits) { return static_cast<float>(bits >> 9) * 0x1p-23f; }

// sqrt(2) erfinv(x): M. Giles, "Approximating the erfinv function", GPU Computing Gems, 2011, table
// 5 (single precision).
static inline float GpuNormal(unsigned bits) {
  constexpr float centre[9] = {2.81022636e-08f,  3.43273939e-07f, -3.5233877e-06f,
                               -4.39150654e-06f, 0.00021858087f,  -0.00125372503f,
                               -0.00417768164f,  0.246640727f,    1.50140941f};
  constexpr float tails[9] = {-0.000200214257f, 0.000100950558f, 0.00134934322f,
                              -0.00367342844f,  0.00573950773f,  -0.0076224613f,
                              0.00943887047f,   1.00167406f,     2.83297682f};
  const float x = GpuUniform(bits) * 2.0f - 0.99999994f;  // in (-1, 1)
  const float square = XBARAX_ROUNDED_PRODUCT(x, x);
  const float w = -XBARAX_LOG(1.0f - square);
  const bool tail = w >= 5.0f;
  const float at = tail ? XBARAX_SQRT(w) - 3.0f : w - 2.5f;
  float sum = tail ? tails[0] : centre[0];
  XBARAX_UNROLL
  for (int i = 1; i < 9; ++i) sum = sum * at + (tail ? tails[i] : centre[i]);
  return 1.41421356f * sum * x;
}

// Both numbers of a word's pair; `other` is the other word of its counter.
static inline void GpuPair(unsigned word, unsigned other, float* first, float* second) {
  const float u = static_cast<float>(2 * (word & 0xfffffu) + 1) * 0x1p-21f;
  const unsigned fraction = ((word >> 7) & 0x7fe000u) | (other & 0x1ffeu) | 1u;
  const float angle = static_cast<float>(fraction) * 1.87253514e-7f;  // pi / 2^24
  const float length = XBARAX_SQRT(-2.0f * XBARAX_LOG(u));
  const float x = length * XBARAX_COS(angle), y = length * XBARAX_SIN(angle);
  *first = word >> 31 ? -x : x;
  *second = word >> 30 & 1 ? -y : y;
}

static inline void RunGpuDraw(const GpuDraw& d, long long at) {
  const unsigned bits = GpuBits(d.keys + 2 * (at / d.count), at % d.count);
  d.to[at] = d.normal ? GpuNormal(bits) : GpuUniform(bits);
}

// The numbers of a counter.
static inline void RunGpuDrawPairs(const GpuDrawPairs& d, long long at) {
  const long long quarter = (d.line + 3) / 4, line = at / quarter, place = at % quarter;
  const unsigned long long counter =
      static_cast<unsigned long long>(line % d.lines * quarter + place);
  unsigned x = static_cast<unsigned>(counter >> 32), y = static_cast<unsigned>(counter);
  GpuThreefry(d.keys + 2 * (line / d.lines), &x, &y);
  float numbers[4];
  GpuPair(x, y, numbers, numbers + 1);
  GpuPair(y, x, numbers + 2, numbers + 3);
  XBARAX_UNROLL
  for (int q = 0; q < 4; ++q)
    if (q * quarter + place < d.line) d.to[line * d.line + q * quarter + place] = numbers[q];
}

static inline void RunGpuFoldIn(const GpuFoldIn& f, long long at) {
  unsigned x = 0, y = f.data[at];
  GpuThreefry(f.keys + 2 * at, &x, &y);
  f.to[2 * at] = x, f.to[2 * at + 1] = y;
}

}  // namespace xbarax
