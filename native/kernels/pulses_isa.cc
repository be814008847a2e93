// Compiled several times, with XBARAX_ISA naming the instruction set. Everything here has internal
// linkage but kPulseSteps.
#include "kernels/pulses.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/lanes.h"
#include "kernels/random.h"
#include "kernels/random_lanes.h"
#include "kernels/threefry.h"

namespace xbarax::XBARAX_ISA {
namespace {

constexpr std::size_t kVectors = kRandomVectors;  // of a block: they are computed in step
constexpr std::size_t kBlock = kVectors * kLanes;

constexpr float kFar = 4.0f;             // deviations to a bound that is out of reach
constexpr float kLargestShare = 0.999f;  // of the way to where steps end, that a leap is good for
constexpr float kMost = 16777216.0f;     // pulses at once
constexpr float kTiny = 1e-30f;          // also the nearest bound

inline Floats All(float x) { return Floats{} + x; }
inline Floats Larger(Floats a, Floats b) { return a > b ? a : b; }
inline Floats Smaller(Floats a, Floats b) { return a < b ? a : b; }

template <class Vector, class Number>
inline Vector LoadOf(const Number* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

// ln p for p in (0, 1], normal numbers.
inline Floats Log(Floats p) {
  // p = 2^exponent m, with m in [1/sqrt 2, sqrt 2).
  const Ints from_root = BitCast<Ints>(p) - 0x3f3504f3;
  const Floats exponent = __builtin_convertvector(from_root >> 23, Floats);
  const Floats m = BitCast<Floats>((from_root & 0x007fffff) + 0x3f3504f3);
  // ln m = 2 artanh s, |s| < 0.172: the series up to s^9 is left with 5e-10 of s.
  const Floats s = (m - 1.0f) / (m + 1.0f), s2 = s * s;
  Floats series = s2 * (1.0f / 9) + 1.0f / 7;
  series = series * s2 + 1.0f / 5;
  series = series * s2 + 1.0f / 3;
  return exponent * 0.69314718f + 2.0f * (s + s * (series * s2));
}

// ln(1 - a) for 0 <= a < 1. What rounding makes of 1 - a is taken out by the quotient.
inline Floats LogOneMinus(Floats a) {
  const Floats rest = 1.0f - a, lost = 1.0f - rest;
  return Select(lost == 0.0f, -a, Log(rest) * (a / Select(lost == 0.0f, All(1), lost)));
}

// e^x = 2^k (1 + rest), with a rest that has its digits where it is small. |x| up to 126 ln 2.
struct Power {
  Ints k;
  Floats rest;
};

inline Power PowerOf(Floats x) {
  const Floats scaled = x * 1.44269504f;
  const Ints k =
      __builtin_convertvector(scaled + Select(scaled < 0.0f, All(-0.5f), All(0.5f)), Ints);
  const Floats n = __builtin_convertvector(k, Floats);
  const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // |r| <= ln 2 / 2
  Floats series = r * (1.0f / 5040) + 1.0f / 720;
  series = series * r + 1.0f / 120;
  series = series * r + 1.0f / 24;
  series = series * r + 1.0f / 6;
  series = series * r + 0.5f;
  return {k, r + r * r * series};
}

inline Floats TwoTo(Ints k) { return BitCast<Floats>((k + 127) << 23); }

// e^x - 1 for x up to 80; -1 where that is all that is left.
inline Floats ExpMinusOne(Floats x) {
  const Power power = PowerOf(x < -80.0f ? All(-80.0f) : x);
  return TwoTo(power.k) * power.rest + (TwoTo(power.k) - 1.0f);
}

// e^x, at most e^87 and at least e^-87.
inline Floats Exp(Floats x) {
  x = x < -87.0f ? All(-87.0f) : x;
  const Power power = PowerOf(x > 87.0f ? All(87.0f) : x);
  return TwoTo(power.k) * (1.0f + power.rest);
}

// The normal numbers of a key that the block's cells have.
inline void Normals(RandomKey key, const std::uint32_t* numbers, Floats* to) {
  Words x[kVectors] = {}, y[kVectors];
  for (std::size_t v = 0; v < kVectors; ++v) y[v] = LoadOf<Words>(numbers + v * kLanes);
  Threefry<kVectors>(Words{} + key.first, Words{} + key.second, x, y);
  for (std::size_t v = 0; v < kVectors; ++v) x[v] ^= y[v];
  Normal<kVectors>(x, to);
}

// 1 + sigma times normal numbers.
inline void Spread(float sigma, RandomKey key, const std::uint32_t* numbers, Floats* to) {
  for (std::size_t v = 0; v < kVectors; ++v) to[v] = All(1);
  if (sigma == 0) return;
  Floats normal[kVectors];
  Normals(key, numbers, normal);
  for (std::size_t v = 0; v < kVectors; ++v) to[v] += sigma * normal[v];
}

void Own(const PulsedCells& cells, const RandomKey* keys, const PulsedBatch& batch) {
  for (std::size_t k = 0; k < batch.count; k += kBlock) {
    const std::uint32_t* numbers = batch.numbers + k;
    Floats gain[kVectors], up[kVectors], lower[kVectors], upper[kVectors];
    if (cells.lognormal) {
      Normals(keys[0], numbers, gain);
      for (std::size_t v = 0; v < kVectors; ++v) gain[v] = Exp(cells.step_spread * gain[v]);
    } else {
      Spread(cells.step_spread, keys[0], numbers, gain);
      for (std::size_t v = 0; v < kVectors; ++v) gain[v] = Magnitude(gain[v]);
    }
    Spread(cells.asymmetry_spread, keys[1], numbers, up);
    Spread(cells.lower_spread, keys[2], numbers, lower);
    Spread(cells.upper_spread, keys[3], numbers, upper);
    for (std::size_t v = 0; v < kVectors; ++v) {
      const std::size_t at = k + v * kLanes;
      Store(batch.step_up + at, cells.step_up * gain[v] * Magnitude(up[v]));
      Store(batch.step_down + at, cells.step_down * gain[v] * Magnitude(2.0f - up[v]));
      Store(batch.lower + at, -Larger(Magnitude(cells.lower * lower[v]), All(kTiny)));
      Store(batch.upper + at, Larger(Magnitude(cells.upper * upper[v]), All(kTiny)));
    }
  }
}

// A vector of cells on its way.
struct Cells {
  Ints left, up;  // pulses to come, not negative, and whether they go up
  Floats state, lower, upper;
  Floats size, slope;  // of a step, its largest and how it shrinks with the state
};

inline Cells Take(const PulsedCells& kind, const PulsedBatch& batch, std::size_t at) {
  Cells c;
  c.left = LoadOf<Ints>(batch.left + at);
  c.up = c.left > 0;
  c.left = c.up ? c.left : -c.left;
  c.state = Load(batch.state + at);
  c.lower = Load(batch.lower + at), c.upper = Load(batch.upper + at);
  c.size = Select(c.up, Load(batch.step_up + at), Load(batch.step_down + at));
  c.slope = kind.own_bounds ? 1.0f / Select(c.up, c.upper, c.lower)
                            : Select(c.up, All(kind.slope_up), All(kind.slope_down));
  return c;
}

// How many pulses keep both bounds out of reach; see `_reach` in `_pulses.py`.
inline Floats Reach(const PulsedCells& kind, const Cells& c, Floats factor) {
  if (kind.cycle_noise > 0 && !kind.additive) return All(1);
  const Floats move = c.size * Larger(factor, Floats{});
  const Floats far = kFar * kind.cycle_noise * c.size;
  const Floats to_upper = c.upper - c.state, to_lower = c.state - c.lower;
  const Floats ahead = Larger(Select(c.up, to_upper, to_lower), Floats{});
  const Floats root =
      2.0f * ahead / Larger(far + Sqrt(far * far + 4.0f * move * ahead), All(kTiny));
  Floats pulses = root * root;
  if (kind.cycle_noise > 0) {
    const Floats behind = Select(c.up, to_lower, to_upper) / far;
    pulses = Smaller(pulses, behind * behind);
  }
  const Floats share = c.size * Magnitude(c.slope);
  return share < kLargestShare ? Smaller(pulses, All(kMost)) : Floats{};
}

// The states after n pulses at once; see `_leap` there.
inline Floats Leap(const PulsedCells& kind, const Cells& c, Floats n, Floats xi) {
  const Floats step = Select(c.up, c.size, -c.size), share = step * c.slope;
  const Ints flat = share == 0.0f;
  Floats a = Smaller(Larger(share, Floats{}), All(kLargestShare));
  a = Select(flat, All(0.5f), a);
  const Floats log_left = n * LogOneMinus(a);
  const Floats ones = Select(flat, n, -ExpMinusOne(log_left) / a);
  const Floats squares = Select(flat, n, -ExpMinusOne(2.0f * log_left) / (a * (2.0f - a)));
  const Floats mean = c.state + ones * (step - Select(flat, Floats{}, a) * c.state);
  return mean + kind.cycle_noise * c.size * Sqrt(squares) * xi;
}

void Turn(const PulsedCells& kind, RandomKey key, const PulsedBatch& batch) {
  for (std::size_t k = 0; k < batch.count; k += kBlock) {
    Floats xi[kVectors] = {};
    if (kind.cycle_noise > 0) Normals(key, batch.numbers + k, xi);
    for (std::size_t v = 0; v < kVectors; ++v) {
      const std::size_t at = k + v * kLanes;
      if (at >= batch.count) break;
      const Cells c = Take(kind, batch, at);
      const Floats factor = 1.0f - c.slope * c.state;
      // At least 1, also where the bounds are no numbers; never more than are left.
      const Floats reach = Reach(kind, c, factor);
      Ints n = __builtin_convertvector(Select(reach > 1.0f, reach, All(1)), Ints);
      n = n > c.left ? c.left : n;
      const Floats noise = kind.cycle_noise * xi[v];
      const Floats noisy = kind.additive ? factor + noise : factor * (1.0f + noise);
      Floats moved = c.state + Select(c.up, c.size, -c.size) * noisy;
      const Ints leaps = n > 1;
      if (Mask(leaps) != 0)
        moved = Select(leaps, Leap(kind, c, __builtin_convertvector(n, Floats), xi[v]), moved);
      const Floats clipped =
          Select(moved < c.lower, c.lower, Select(moved > c.upper, c.upper, moved));
      const Ints cut = LoadOf<Ints>(batch.cut + at) | ((n == 1) & (clipped != moved));
      const Ints left = c.left - n, signed_left = c.up ? left : -left;
      Store(batch.state + at, clipped);
      std::memcpy(batch.cut + at, &cut, sizeof cut);
      std::memcpy(batch.left + at, &signed_left, sizeof signed_left);
    }
  }
}

void NormalOf(float deviation, RandomKey key, const PulsedBatch& batch, float* to) {
  for (std::size_t k = 0; k < batch.count; k += kBlock) {
    Floats normal[kVectors];
    Normals(key, batch.numbers + k, normal);
    for (std::size_t v = 0; v < kVectors; ++v) Store(to + k + v * kLanes, deviation * normal[v]);
  }
}

}  // namespace

extern const PulseSteps kPulseSteps = {kLanes, Own, Turn, NormalOf};

}  // namespace xbarax::XBARAX_ISA
