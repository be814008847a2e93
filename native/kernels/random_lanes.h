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

inline Floats Sqrt(Floats x) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  return _mm256_sqrt_ps(x);
#elif defined(__SSE2__) && !defined(__AVX512F__)
  return _mm_sqrt_ps(x);
#else
  for (std::size_t lane = 0; lane < kLanes; ++lane) x[lane] = __builtin_sqrtf(x[lane]);
  return x;
#endif
}

// The words of counters from `start` on; jax.random takes the xor of both of a counter's.
template <std::size_t V>
inline void Bits(RandomKey key, std::uint64_t start, Words* bits) {
  Words lanes = {};
  for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] = static_cast<std::uint32_t>(lane);
  Words x[V], y[V];
  for (std::size_t v = 0; v < V; ++v) {
    const std::uint64_t first = start + v * kLanes;
    const std::uint32_t low = static_cast<std::uint32_t>(first);
    y[v] = lanes + low;
    const Words carry = BitCast<Words>(y[v] < low) & 1u;
    x[v] = carry + static_cast<std::uint32_t>(first >> 32);
  }
  Threefry<V>(Words{} + key.first, Words{} + key.second, x, y);
  for (std::size_t v = 0; v < V; ++v) bits[v] = x[v] ^ y[v];
}

// 23 bits as the fraction of a number in [1, 2), less 1.
inline Floats Uniform(Words bits) { return BitCast<Floats>((bits >> 9) | 0x3f800000u) - 1.0f; }

// What follows works on V vectors in step, which fills the pipeline: each step waits for the last.

// -ln p for p in (0, 1], normal numbers.
template <std::size_t V>
inline void MinusLog(const Floats* p, Floats* to) {
  // p = 2^exponent m, with m in [1/sqrt 2, sqrt 2).
  Floats exponent[V], s[V], s2[V], series[V];
  for (std::size_t v = 0; v < V; ++v) {
    const Ints from_root = BitCast<Ints>(p[v]) - 0x3f3504f3;
    exponent[v] = __builtin_convertvector(from_root >> 23, Floats);
    const Floats m = BitCast<Floats>((from_root & 0x007fffff) + 0x3f3504f3);
    s[v] = (m - 1.0f) / (m + 1.0f);
  }
  // ln m = 2 artanh s, |s| < 0.172: the series up to s^9 is left with 5e-10 of s.
  for (std::size_t v = 0; v < V; ++v) s2[v] = s[v] * s[v];
  for (std::size_t v = 0; v < V; ++v) series[v] = s2[v] * (1.0f / 9) + 1.0f / 7;
  for (std::size_t v = 0; v < V; ++v) series[v] = series[v] * s2[v] + 1.0f / 5;
  for (std::size_t v = 0; v < V; ++v) series[v] = series[v] * s2[v] + 1.0f / 3;
  for (std::size_t v = 0; v < V; ++v) series[v] = series[v] * s2[v];
  for (std::size_t v = 0; v < V; ++v) series[v] = s[v] + s[v] * series[v];
  for (std::size_t v = 0; v < V; ++v) to[v] = -(exponent[v] * 0.69314718f + 2.0f * series[v]);
}

// sqrt(2) times the inverse error function's quotient by x, from w = -ln(1 - x^2): M. Giles,
// "Approximating the erfinv function", GPU Computing Gems, 2011, table 5 (single precision).
constexpr float kCentre[9] = {2.81022636e-08f,  3.43273939e-07f, -3.5233877e-06f,
                              -4.39150654e-06f, 0.00021858087f,  -0.00125372503f,
                              -0.00417768164f,  0.246640727f,    1.50140941f};
constexpr float kTail[9] = {-0.000200214257f, 0.000100950558f, 0.00134934322f,
                            -0.00367342844f,  0.00573950773f,  -0.0076224613f,
                            0.00943887047f,   1.00167406f,     2.83297682f};
constexpr float kSqrt2 = 1.41421356f;

template <std::size_t V>
inline void Polynomial(const float (&coefficients)[9], const Floats* x, Floats* sum) {
  for (std::size_t v = 0; v < V; ++v) sum[v] = x[v] * coefficients[0] + coefficients[1];
  for (int i = 2; i < 9; ++i)
    for (std::size_t v = 0; v < V; ++v) sum[v] = sum[v] * x[v] + coefficients[i];
}

// Standard normal numbers.
template <std::size_t V>
inline void Normal(const Words* bits, Floats* to) {
  Floats x[V], w[V], centred[V], quotient[V];
  for (std::size_t v = 0; v < V; ++v) x[v] = Uniform(bits[v]) * 2.0f - 0.99999994f;  // in (-1, 1)
  // As jax.random computes it, with a rounded x^2. Turning its sign as an integer keeps compilers
  // from making one operation of product and sum, whose result would be 1e-5 off in the tails.
  for (std::size_t v = 0; v < V; ++v)
    w[v] = 1.0f + BitCast<Floats>(BitCast<Words>(x[v] * x[v]) ^ 0x80000000u);
  MinusLog<V>(w, w);
  Ints tails = {};
  for (std::size_t v = 0; v < V; ++v) centred[v] = w[v] - 2.5f, tails |= w[v] >= 5.0f;
  Polynomial<V>(kCentre, centred, quotient);
  if (Mask(tails) != 0) {  // of 8 numbers, 1 in 37 times
    for (std::size_t v = 0; v < V; ++v) {
      const Floats root = Sqrt(w[v]) - 3.0f;
      Floats far;
      Polynomial<1>(kTail, &root, &far);
      quotient[v] = w[v] >= 5.0f ? far : quotient[v];
    }
  }
  for (std::size_t v = 0; v < V; ++v) to[v] = kSqrt2 * quotient[v] * x[v];
}

}  // namespace
}  // namespace xbarax
