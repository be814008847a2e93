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

inline Floats LoadSome(const float* from, std::size_t count) {
  float some[kLanes] = {};
  std::memcpy(some, from, count * sizeof(float));
  return Load(some);
}

inline void Store(Floats v, std::size_t count, float* to) {
  std::memcpy(to, &v, count * sizeof(float));
}

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

// Of the lanes' bits, which are in the order of magnitudes; NaN's are beyond all.
inline Ints Magnitude(Floats x) { return BitCast<Ints>(x) & 0x7fffffff; }

float Largest(const float* x, std::size_t count) {
  Ints largest = {};
  ForEachVector(count, [&](std::size_t i, std::size_t n) {
    const Ints magnitude = Magnitude(Get(x + i, n));
    largest = magnitude > largest ? magnitude : largest;
  });
  std::int32_t most = 0;
  for (std::size_t lane = 0; lane < kLanes; ++lane)
    if (largest[lane] > most) most = largest[lane];
  return BitCast<float>(most);
}

float Total(const float* x, std::size_t count) {
  Floats sum = {};
  ForEachVector(count, [&](std::size_t i, std::size_t n) { sum += Get(x + i, n); });
  float total = 0;
  for (std::size_t lane = 0; lane < kLanes; ++lane) total += sum[lane];
  return total;
}

void Squares(const float* x, std::size_t count, float* to) {
  ForEachVector(count, [&](std::size_t i, std::size_t n) {
    const Floats v = Get(x + i, n);
    Store(v * v, n, to + i);
  });
}

// To the nearest integer, of two the even one.
inline Floats Round(Floats x) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  constexpr float kWhole = 8388608.0f;  // 2^23: from here on all are
  const Floats whole =
      BitCast<Floats>((BitCast<Ints>(x) & ~0x7fffffff) | BitCast<Ints>(Floats{} + kWhole));
  const Floats rounded = (x + whole) - whole;
  return Magnitude(x) < BitCast<std::int32_t>(kWhole) ? rounded : x;
#endif
}

// What is common to the vectors of a conversion. Comparisons with NaN are false and keep it.
struct Quantiser {
  explicit Quantiser(const Levels& levels)
      : exact(levels.half == 0),
        safe(Floats{} + (levels.full_scale > 0 ? levels.full_scale : 1.0f)),
        half(Floats{} + levels.half),
        low(Floats{} + levels.low),
        step(Floats{} + (exact ? 0.0f : levels.full_scale / levels.half)) {}

  Floats operator()(Floats x) const {
    if (exact) return x;
    Floats level = x / safe * half;
    level = level < low ? low : level;
    level = level > half ? half : level;
    return Round(level) * step;
  }

  bool exact;
  Floats safe, half, low, step;
};

void Drive(const float* x, std::size_t count, const Levels& levels, float unit, float* to) {
  const Quantiser quantise(levels);
  ForEachVector(count, [&](std::size_t i, std::size_t n) {
    Store(quantise(Get(x + i, n)) * unit, n, to + i);
  });
}

std::size_t Places(const float* x, std::size_t count, std::size_t most, std::uint32_t* to) {
  Ints zeros = {};
  ForEachVector(count, [&](std::size_t i, std::size_t n) { zeros += Get(x + i, n) != 0.0f; });
  std::size_t found = 0;
  for (std::size_t lane = 0; lane < kLanes; ++lane)
    found -= static_cast<std::size_t>(static_cast<std::ptrdiff_t>(zeros[lane]));
  if (found > most) return found;
  std::size_t done = 0;
  ForEachVector(count, [&](std::size_t i, std::size_t n) {
    for (unsigned mask = Mask(Get(x + i, n) != 0.0f); mask != 0; mask &= mask - 1)
      to[done++] = static_cast<std::uint32_t>(i) + static_cast<std::uint32_t>(__builtin_ctz(mask));
  });
  return found;
}

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

// y += deviation(place, numbers) times normal numbers.
template <class Deviation>
inline void Noise(RandomKey key, std::uint64_t start, std::size_t count, float* y,
                  Deviation deviation) {
  constexpr std::size_t kBlock = kRandomVectors * kLanes;
  Words bits[kRandomVectors];
  Floats normal[kRandomVectors];
  std::size_t i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    Bits<kRandomVectors>(key, start + i, bits);
    Normal<kRandomVectors>(bits, normal);
    for (std::size_t v = 0; v < kRandomVectors; ++v) {
      const std::size_t at = i + v * kLanes;
      Store(Load(y + at) + deviation(at, kLanes) * normal[v], kLanes, y + at);
    }
  }
  for (; i < count; i += kLanes) {
    const std::size_t n = count - i < kLanes ? count - i : kLanes;
    Bits<1>(key, start + i, bits);
    Normal<1>(bits, normal);
    Store(Get(y + i, n) + deviation(i, n) * normal[0], n, y + i);
  }
}

void AddNoise(RandomKey key, std::uint64_t start, std::size_t count, float deviation, float* y) {
  Noise(key, start, count, y, [&](std::size_t, std::size_t) { return Floats{} + deviation; });
}

void AddNoiseEach(RandomKey key, std::uint64_t start, std::size_t count, const float* variances,
                  float* y) {
  Noise(key, start, count, y,
        [&](std::size_t i, std::size_t n) { return Sqrt(Get(variances + i, n)); });
}

void Convert(const float* x, std::size_t count, const Levels& levels, float reference, float factor,
             bool first, float* y) {
  const Quantiser quantise(levels);
  const Floats column = quantise(Floats{} + reference);
  ForEachVector(count, [&](std::size_t i, std::size_t n) {
    const Floats value = factor * (quantise(Get(x + i, n)) - column);
    Store(first ? value : Get(y + i, n) + value, n, y + i);
  });
}

void Inside(const float* x, std::size_t count, float low, float high, bool first, float* y) {
  ForEachVector(count, [&](std::size_t i, std::size_t n) {
    const Floats v = Get(x + i, n), one = Floats{} + 1.0f;
    const Ints fits = (v >= low) & (v <= high);
    const Floats before = first ? one : Get(y + i, n);
    Store(fits ? before : Floats{}, n, y + i);
  });
}

}  // namespace

extern const AnalogSteps kAnalogSteps = {kColumns, Largest,  Total,        Squares, Drive, Places,
                                         Events,   AddNoise, AddNoiseEach, Convert, Inside};

}  // namespace xbarax::XBARAX_ISA
