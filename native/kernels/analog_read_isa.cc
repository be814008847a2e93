// Compiled several times, with XBARAX_ISA naming the instruction set. Everything here has internal
// linkage but kAnalogSteps.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/analog_steps.h"
#include "kernels/random.h"
#include "kernels/random_lanes.h"

namespace xbarax::XBARAX_ISA {
namespace {

#if defined(__AVX512F__)
constexpr std::size_t kVectors = 4;  // of a panel, as in matmul_isa.cc
#else
constexpr std::size_t kVectors = 2;
#endif
constexpr std::size_t kColumns = kLanes * kVectors;

// Calls body(place, numbers) for each vector, body a function object that is inlined.
template <class Body>
inline void ForEachVector(std::size_t count, Body body) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) body(i, kLanes);
  if (i < count) body(i, count - i);
}

inline Floats Get(const float* from, std::size_t count) {
  return count == kLanes ? Load(from) : LoadSome(from, count);
}

inline void Put(float* to, Floats v, std::size_t count) {
  if (count == kLanes)
    Store(to, v);
  else
    StoreSome(to, v, count);
}

// Of the lanes' bits, which are in the order of magnitudes; NaN's are beyond all.
inline Ints Magnitude(Floats x) { return BitCast<Ints>(x) & 0x7fffffff; }

// The largest magnitude; NaN if any number is.
inline float Largest(const float* x, std::size_t count) {
  Ints largest = {};
  ForEachVector(count, [&](std::size_t i, std::size_t n) {
    const Ints magnitude = Magnitude(Get(x + i, n));
    largest = magnitude > largest ? magnitude : largest;
  });
  return BitCast<float>(Most(largest));
}

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
  return Magnitude(x) < BitCast<std::int32_t>(kWhole) ? rounded : x;
#endif
}

// Quotients of numbers that are no larger than their divisor, as rounded as a division's, which
// takes four times as long: where one operation multiplies and adds and nothing overflows, a
// quotient that is a unit in the last place off leaves a remainder that is exact. P. Markstein,
// "Computation of elementary functions on the IBM RISC System/6000 processor", IBM Journal of
// Research and Development 34, 1990.
class Divide {
 public:
#if defined(__FMA__)
  explicit Divide(float by) : Divide(by, by > 0x1p-80f && by < 0x1p80f) {}

  Floats operator()(Floats x) const {
    if (!multiplies_) return x / by_;
    const Floats near = x * reciprocal_;
    return AddProduct(reciprocal_, AddProduct(-near, by_, x), near);
  }
#else
  explicit Divide(float by) : Divide(by, false) {}

  Floats operator()(Floats x) const { return x / by_; }
#endif

 private:
  Divide(float by, bool multiplies)
      : by_(Floats{} + by), reciprocal_(Floats{} + 1 / by), multiplies_(multiplies) {}

  Floats by_, reciprocal_;
  bool multiplies_;
};

// What a converter makes of numbers, with a full scale. Comparisons with NaN are false and keep it.
struct Quantiser {
  Quantiser(const Levels& levels, float full_scale)
      : exact(levels.half == 0),
        high(full_scale > 0 ? full_scale : 1.0f),
        most(Floats{} + high),
        least(Floats{} + (levels.is_signed ? -high : 0.0f)),
        half(Floats{} + levels.half),
        step(Floats{} + (exact ? 0.0f : full_scale / levels.half)),
        divide(high) {}

  Floats operator()(Floats x) const {
    if (exact) return x;
    x = x < least ? least : x;
    x = x > most ? most : x;
    return Round(divide(x) * half) * step;
  }

  bool exact;
  float high;
  Floats most, least, half, step;
  Divide divide;
};

// ---- Inputs ---------------------------------------------------------------------------------

// Where numbers are not zero: how many there are and, where these are at most `most`, which.
class Places {
 public:
  Places(std::uint32_t* to, std::size_t most) : to_(to), most_(most) {}

  std::size_t count() const { return count_; }
  void Add(std::size_t first, unsigned mask) {
    std::size_t place = count_;
    count_ += static_cast<std::size_t>(__builtin_popcount(mask));
    if (count_ > most_) return;
    for (; mask != 0; mask &= mask - 1)
      to_[place++] =
          static_cast<std::uint32_t>(first) + static_cast<std::uint32_t>(__builtin_ctz(mask));
  }

 private:
  std::uint32_t* to_;
  std::size_t most_, count_ = 0;
};

inline void DriveRow(const DriveStep& s, std::size_t r, const Quantiser& quantise) {
  const std::size_t count = s.count, width = s.drives - (s.column ? 1 : 0);
  const float* const x = s.x + r * s.x_stride;
  float* const volts = s.volts + r * s.drives;
  float* const squares = s.squares == nullptr ? nullptr : s.squares + r * s.drives;
  const Floats unit = Floats{} + s.unit;
  Places places(s.places + r * s.drives, s.most);
  Floats total = {}, power = {};
  const auto put = [&](std::size_t i, Floats v) {
    Store(volts + i, v);
    if (squares != nullptr) Store(squares + i, v * v);
  };
  ForEachVector(count, [&](std::size_t i, std::size_t n) {
    const Floats given = Get(x + i, n);
    if (Differ(given, Floats{}) == 0) return put(i, Floats{});  // of spikes, most
    const Floats v = quantise(given) * unit;
    put(i, v);
    // No lane behind the row, which not even a zero is with a full scale that is no number.
    places.Add(i, Differ(v, Floats{}) & ((1u << n) - 1));
    power += v * v;
    total += v;
  });
  for (std::size_t i = (count + kLanes - 1) / kLanes * kLanes; i < width; i += kLanes)
    put(i, Floats{});
  if (s.column) {
    const float v = -Sum(total);
    volts[width] = v;
    if (squares != nullptr) squares[width] = v * v;
    power[0] += v * v;
    places.Add(width, v != 0);
  }
  if (s.deviations != nullptr) s.deviations[r] = __builtin_sqrtf(s.variance * Sum(power));
  s.n_places[r] = static_cast<std::uint32_t>(places.count());
}

void Drive(const DriveStep& s) {
  if (s.scaled && s.levels.half != 0) {
    for (std::size_t r = 0; r < s.rows; ++r)
      DriveRow(s, r, Quantiser(s.levels, Largest(s.x + r * s.x_stride, s.count)));
  } else {
    const Quantiser quantise(s.levels, 1.0f);
    for (std::size_t r = 0; r < s.rows; ++r) DriveRow(s, r, quantise);
  }
}

// ---- Products -------------------------------------------------------------------------------

// P panels side by side, so that sums of vectors are independent and fill the pipeline.
template <std::size_t P>
inline void SomePanels(const float* x, const std::uint32_t* places, std::size_t count,
                       const float* b, std::size_t depth, float* y) {
  Floats sum[P][kVectors] = {};
  for (std::size_t e = 0; e < count; ++e) {
    const std::size_t k = places[e];
    const float a = x[k];
    for (std::size_t p = 0; p < P; ++p)
      for (std::size_t v = 0; v < kVectors; ++v)
        sum[p][v] += a * Load(b + (p * depth + k) * kColumns + v * kLanes);
  }
  std::memcpy(y, sum, sizeof sum);
}

void Events(const float* x, const std::uint32_t* places, std::size_t count, const float* b,
            std::size_t depth, std::size_t panels, float* y) {
  constexpr std::size_t kPanels = 8 / kVectors;
  std::size_t p = 0;
  for (; p + kPanels <= panels; p += kPanels)
    SomePanels<kPanels>(x, places, count, b + p * depth * kColumns, depth, y + p * kColumns);
  for (; p < panels; ++p)
    SomePanels<1>(x, places, count, b + p * depth * kColumns, depth, y + p * kColumns);
}

// ---- Noise ----------------------------------------------------------------------------------

// A row's deviation, and where it is null the roots of variances.
struct Deviation {
  const float* row;
  const float* variances;

  Floats operator()(std::size_t i, std::size_t n) const {
    return row != nullptr ? Floats{} + *row : Sqrt(Get(variances + i, n));
  }
};

inline Deviation DeviationOf(const NoiseStep& s, std::size_t r, std::size_t place) {
  if (s.deviations != nullptr) return {s.deviations + r, nullptr};
  return {nullptr, s.variances + r * s.stride + place};
}

inline void Add(Floats normal, const Deviation& deviation, std::size_t i, std::size_t n,
                float* sums) {
  Put(sums + i, Get(sums + i, n) + deviation(i, n) * normal, n);
}

// The noise of rows of few sums, whose numbers follow one another: for many rows together, since
// those of one make no blocks, or not enough to be drawn beside the next.
void AddNoiseTogether(const NoiseStep& s) {
  constexpr std::size_t kMost = 1024;
  const std::size_t count = s.planes * s.lines;
  float normals[kMost + kRandomVectors * kLanes];
  for (std::size_t r = 0, end; r < s.rows; r = end) {
    end = r + 1;
    if (s.silent[r]) continue;
    const auto [key, row] = s.noise[r];
    while (end < s.rows && !s.silent[end] && s.noise[end].row == row + (end - r) &&
           s.noise[end].key.first == key.first && s.noise[end].key.second == key.second &&
           (end - r + 1) * count <= kMost)
      ++end;
    ForEachNormals(key, row * s.row_numbers + s.first, (end - r) * count,
                   [&](std::size_t i, std::size_t vectors, const Floats* normal) {
                     std::memcpy(normals + i, normal, vectors * sizeof(Floats));
                   });
    for (std::size_t k = r; k < end; ++k) {
      const Deviation deviation = DeviationOf(s, k, 0);
      const float* from = normals + (k - r) * count;
      for (std::size_t i = 0; i < count; i += kLanes)
        Add(Load(from + i), deviation, i, count - i < kLanes ? count - i : kLanes,
            s.sums + k * s.stride);
    }
  }
}

void AddNoise(const NoiseStep& s) {
  const bool follow = s.plane_numbers == s.lines;  // the numbers of a row's planes one another
  const std::size_t planes = follow ? 1 : s.planes;
  const std::size_t count = follow ? s.planes * s.lines : s.lines;
  if (follow && s.row_numbers == count && count < 4 * kRandomVectors * kLanes)
    return AddNoiseTogether(s);
  for (std::size_t r = 0; r < s.rows; ++r) {
    if (s.silent[r]) continue;
    const auto [key, row] = s.noise[r];
    for (std::size_t p = 0; p < planes; ++p) {
      const Deviation deviation = DeviationOf(s, r, p * count);
      float* sums = s.sums + r * s.stride + p * count;
      ForEachNormals(key, row * s.row_numbers + p * s.plane_numbers + s.first, count,
                     [&](std::size_t i, std::size_t vectors, const Floats* normal) {
                       const std::size_t rest = count - i;
                       if (rest >= vectors * kLanes) {
                         for (std::size_t v = 0; v < vectors; ++v)
                           Add(normal[v], deviation, i + v * kLanes, kLanes, sums);
                       } else {
                         for (std::size_t v = 0; v * kLanes < rest; ++v)
                           Add(normal[v], deviation, i + v * kLanes,
                               rest - v * kLanes < kLanes ? rest - v * kLanes : kLanes, sums);
                       }
                     });
    }
  }
}

// ---- Outputs --------------------------------------------------------------------------------

inline float FullScale(const ConvertStep& s, std::size_t plane, const float* sums) {
  if (s.levels.half != 0 && s.by_read) return Largest(sums, s.lines);
  return s.full_scales == nullptr ? s.full_scale : s.full_scales[plane * s.full_scales_stride];
}

void Convert(const ConvertStep& s) {
  for (std::size_t r = 0; r < s.rows; ++r) {
    float* y = s.y + r * s.y_stride;
    if (s.silent[r]) {
      if (s.first) std::memset(y, 0, s.count * sizeof(float));
      continue;
    }
    for (std::size_t p = 0; p < s.planes; ++p) {
      const float* sums = s.sums + r * s.stride + p * s.lines;
      const Quantiser quantise(s.levels, FullScale(s, p, sums));
      const Floats column = quantise(Floats{} + (s.column ? sums[s.lines - 1] : 0.0f));
      const Floats factor = Floats{} + s.factors[p];
      const bool first = s.first && p == 0;
      ForEachVector(s.count, [&](std::size_t i, std::size_t n) {
        const Floats value = factor * (quantise(Get(sums + i, n)) - column);
        Put(y + i, first ? value : Get(y + i, n) + value, n);
      });
    }
  }
}

void Inside(const ConvertStep& s) {
  const Floats one = Floats{} + 1.0f;
  for (std::size_t r = 0; r < s.rows; ++r) {
    float* y = s.y + r * s.y_stride;
    for (std::size_t p = 0; p < s.planes; ++p) {
      const float* sums = s.sums + r * s.stride + p * s.lines;
      const float high = FullScale(s, p, sums), low = s.levels.is_signed ? -high : 0;
      const float column = sums[s.lines - 1];
      const bool open = !s.column || (column >= low && column <= high);
      ForEachVector(s.count, [&](std::size_t i, std::size_t n) {
        const Floats v = Get(sums + i, n);
        const Ints fits = open ? (v >= low) & (v <= high) : Ints{};
        const Floats before = p == 0 ? one : Get(y + i, n);
        Put(y + i, fits ? before : Floats{}, n);
      });
    }
  }
}

}  // namespace

extern const AnalogSteps kAnalogSteps = {kColumns, kLanes,  Drive, Events,
                                         AddNoise, Convert, Inside};

}  // namespace xbarax::XBARAX_ISA
