// What converters make of vectors: what sources that are compiled for several instruction sets
// share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/analog_steps.h"
#include "kernels/lanes.h"

namespace xbarax {
namespace {  // of its own in each source

// Lanes' bits, which are in the order of magnitudes; NaN's are beyond all.
inline Ints MagnitudeBits(Floats x) { return BitCast<Ints>(x) & 0x7fffffff; }

inline Ints Larger(Ints a, Ints b) { return a > b ? a : b; }

// To the nearest integer, of two the even one.
inline Floats Round(Floats x) {
#if defined(__AVX512F__)
  // With a mask: GCC warns of what the other leaves undefined.
  return _mm512_maskz_roundscale_ps(0xffff, x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__AVX2__)
  return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  constexpr float kWhole = 8388608.0f;  // 2^23: from here on all are
  const Floats whole =
      BitCast<Floats>((BitCast<Ints>(x) & ~0x7fffffff) | BitCast<Ints>(Floats{} + kWhole));
  const Floats rounded = (x + whole) - whole;
  return MagnitudeBits(x) < BitCast<std::int32_t>(kWhole) ? rounded : x;
#endif
}

// Between these a full scale has a reciprocal, and no product with that overflows.
constexpr float kLeastScale = 0x1p-80f, kMostScale = 0x1p80f;

// Quotients of numbers that are no larger than their divisor, as rounded as a division's, which
// takes four times as long: where one operation multiplies and adds and nothing overflows, a
// quotient that is a unit in the last place off leaves a remainder that is exact. P. Markstein,
// "Computation of elementary functions on the IBM RISC System/6000 processor", IBM Journal of
// Research and Development 34, 1990.
class Divide {
 public:
#if defined(__FMA__)
  explicit Divide(float by)
      : by_(Floats{} + by),
        reciprocal_(Floats{} + 1 / by),
        multiplies_(by > kLeastScale && by < kMostScale) {}
  // Each lane by one of its own.
  explicit Divide(Floats by)
      : by_(by),
        reciprocal_(1.0f / by),
        multiplies_(Mask((by > kLeastScale) & (by < kMostScale)) == kAll) {}

  Floats operator()(Floats x) const {
    if (!multiplies_) return x / by_;
    const Floats near = x * reciprocal_;
    return AddProduct(reciprocal_, AddProduct(-near, by_, x), near);
  }

 private:
  static constexpr unsigned kAll = (1u << kLanes) - 1;

  Floats by_, reciprocal_;
  bool multiplies_;
#else
  explicit Divide(float by) : by_(Floats{} + by) {}
  explicit Divide(Floats by) : by_(by) {}

  Floats operator()(Floats x) const { return x / by_; }

 private:
  Floats by_;
#endif
};

// What a converter makes of numbers, with a full scale. Comparisons with NaN are false and keep it.
class Quantiser {
 public:
  Quantiser(const Levels& levels, float full_scale)
      : Quantiser(levels, full_scale > 0 ? full_scale : 1.0f, full_scale / levels.half) {}
  // Each lane with one of its own.
  Quantiser(const Levels& levels, Floats full_scale)
      : Quantiser(levels, full_scale > 0 ? full_scale : Floats{} + 1.0f, full_scale / levels.half) {
  }

  Floats operator()(Floats x) const {
    if (exact_) return x;
    x = x < least_ ? least_ : x;
    x = x > most_ ? most_ : x;
    return Within(x);
  }

  // Of what is not beyond the full scale.
  Floats Within(Floats x) const { return exact_ ? x : Rounded(Round(divide_(x) * half_) * step_); }

  // The same, where it is not exact, is Number() times step(). For sums with noise Round(x *
  // levels()) will do for the former, where HasLevels() is true: what lies between two levels gets
  // either, as rounding has it, but of those with noise none does, unless by chance.
  Floats step() const { return step_; }
  Floats levels() const { return half_ / most_; }
  Ints HasLevels() const { return (most_ > kLeastScale) & (most_ < kMostScale); }
  Floats Number(Floats x) const { return Round(divide_(x) * half_); }

 private:
  template <class Scale>
  Quantiser(const Levels& levels, Scale high, Scale step)
      : exact_(levels.half == 0),
        most_(Floats{} + high),
        least_(Floats{} - (levels.is_signed ? high : Scale{})),
        half_(Floats{} + levels.half),
        step_(Floats{} + step),
        divide_(high) {}

  bool exact_;
  Floats most_, least_, half_, step_;
  Divide divide_;
};

}  // namespace
}  // namespace xbarax
