// Compiled several times, with XBARAX_ISA naming the instruction set. Everything here has internal
// linkage but kAnalogSteps.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/analog_converters.h"
#include "kernels/analog_steps.h"
#include "kernels/paired_normals.h"
#include "kernels/random.h"

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

inline std::size_t Smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

// Rows of which the largest numbers are found before anything is made of them: what waits for one
// would keep the processor from the next.
constexpr std::size_t kRowsTogether = 32;

// The largest magnitude; NaN if any number is.
inline float Largest(const float* x, std::size_t count) {
  Ints largest = {};
  ForEachVector(count, [&](std::size_t i, std::size_t n) {
    largest = Larger(MagnitudeBits(Get(x + i, n)), largest);
  });
  return BitCast<float>(Most(largest));
}

// ---- Inputs ---------------------------------------------------------------------------------

// Lists where numbers are not zero; the list's end.
inline std::uint32_t* List(const float* x, std::size_t count, std::uint32_t* places) {
  ForEachVector(count, [&](std::size_t i, std::size_t n) {
    for (unsigned lanes = Differ(Get(x + i, n), Floats{}); lanes != 0; lanes &= lanes - 1)
      *places++ = static_cast<std::uint32_t>(i) + static_cast<std::uint32_t>(__builtin_ctz(lanes));
  });
  return places;
}

// `quantise` converts a vector of inputs. The sum of squared voltages.
template <class Quantise>
inline Floats DriveRow(const DriveStep& s, std::size_t r, const Quantise& quantise) {
  const std::size_t count = s.count, width = s.drives - (s.column ? 1 : 0);
  const float* const x = s.x + r * s.x_stride;
  float* const volts = s.volts + r * s.drives;
  float* const squares = s.squares == nullptr ? nullptr : s.squares + r * s.drives;
  const Floats unit = Floats{} + s.unit;
  int driven = 0;
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
    driven += __builtin_popcount(Differ(v, Floats{}) & ((1u << n) - 1));
    power += v * v;
    total += v;
  });
  for (std::size_t i = (count + kLanes - 1) / kLanes * kLanes; i < width; i += kLanes)
    put(i, Floats{});
  const float column = s.column ? -Sum(total) : 0;
  if (s.column) {
    volts[width] = column;
    if (squares != nullptr) squares[width] = column * column;
    power[0] += column * column;
    driven += column != 0;
  }
  const auto n_places = static_cast<std::uint32_t>(driven);
  if (n_places <= s.most) {  // of rows that are mostly zero
    std::uint32_t* const end = List(volts, count, s.places + r * s.drives);
    if (column != 0) *end = static_cast<std::uint32_t>(width);
  }
  s.n_places[r] = n_places;
  return power;
}

// Of a row of ones and zeros, each of the former as `volt`.
void DriveOnes(const DriveStep& s, std::size_t r, float volt) {
  const std::uint32_t* const bits = s.events.bits + r * s.events.apart;
  std::uint32_t* const places = s.places + r * s.drives;
  const std::size_t first = s.first_bit, end = first + s.count;
  std::size_t count = 0;
  for (std::size_t word = first / 32; word * 32 < end; ++word) {
    std::uint32_t left = bits[word];
    if (left == 0) continue;
    if (word * 32 < first) left &= ~0u << first % 32;
    if (end - word * 32 < 32) left &= (1u << (end - word * 32)) - 1;
    for (; left != 0; left &= left - 1)
      places[count++] = static_cast<std::uint32_t>(
          word * 32 + static_cast<std::size_t>(__builtin_ctz(left)) - first);
  }
  if (volt == 0) count = 0;
  const float square = volt * volt;
  const auto put = [&](float* row, float value) {
    if (count > s.most || s.whole) std::memset(row, 0, s.drives * sizeof(float));
    for (std::size_t k = 0; k < count; ++k) row[places[k]] = value;
  };
  put(s.volts + r * s.drives, volt);
  if (s.squares != nullptr) put(s.squares + r * s.drives, square);
  if (s.deviations != nullptr)
    s.deviations[r] = __builtin_sqrtf(s.variance * (static_cast<float>(count) * square));
  s.n_places[r] = static_cast<std::uint32_t>(count);
}

void DriveRows(const DriveStep& s, std::size_t first, std::size_t end) {
  const Quantiser by_one(s.levels, 1.0f);
  const bool known = s.events.bits != nullptr, scaled = s.scaled && s.levels.half != 0;
  const float one = by_one(Floats{} + 1.0f)[0] * s.unit;
  float largest[kRowsTogether];
  Floats powers[kRowsTogether];
  const auto ones = [&](std::size_t r) { return known && s.events.ones[r]; };
  for (std::size_t r = first; r < end && scaled; ++r)
    if (!ones(r)) largest[r - first] = Largest(s.x + r * s.x_stride, s.count);
  for (std::size_t r = first; r < end; ++r) {
    if (ones(r)) {
      DriveOnes(s, r, one);
    } else if (!scaled) {
      powers[r - first] = DriveRow(s, r, by_one);
    } else if (const Quantiser quantiser(s.levels, largest[r - first]); quantiser.quick()) {
      powers[r - first] = DriveRow(s, r, [&](Floats x) { return quantiser.Quickly(x); });
    } else {
      powers[r - first] = DriveRow(s, r, [&](Floats x) { return quantiser.Within(x); });
    }
  }
  for (std::size_t r = first; r < end && s.deviations != nullptr; ++r)
    if (!ones(r)) s.deviations[r] = __builtin_sqrtf(s.variance * Sum(powers[r - first]));
}

void Drive(const DriveStep& s) {
  for (std::size_t r = 0; r < s.rows; r += kRowsTogether)
    DriveRows(s, r, Smaller(s.rows, r + kRowsTogether));
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

// Calls body(deviation) with a function object: of sums from number i on, n of them, the
// deviations.
template <class Body>
inline void WithDeviation(const NoiseStep& s, std::size_t r, Body body) {
  if (s.deviations != nullptr) {
    const Floats deviation = Floats{} + s.deviations[r];
    return body([&](std::size_t, std::size_t) { return deviation; });
  }
  const float* const variances = s.variances + r * s.stride;
  body([&](std::size_t i, std::size_t n) { return Sqrt(Get(variances + i, n)); });
}

// Adds noise to a row's sums from number `begin` to `end`.
template <class Deviation>
inline void Add(const float* normal, const Deviation& deviation, std::size_t begin, std::size_t end,
                float* sums) {
  const auto add = [&](std::size_t i, std::size_t n) {
    Put(sums + i, Get(sums + i, n) + deviation(i, n) * Load(normal + (i - begin)), n);
  };
  std::size_t i = begin;
  for (; i + kLanes <= end; i += kLanes) add(i, kLanes);
  if (i < end) add(i, end - i);
}

constexpr std::size_t kMost = 1024, kFew = kMost / 8;  // counters

// The noise of rows of at most kFew counters, which follow one another: for many rows together,
// since those of one make no blocks, or not enough to be drawn beside the next.
void AddNoiseTogether(const NoiseStep& s) {
  const std::size_t count = s.planes * s.lines, quarter = Counters(count);
  float drawn[4][kMost + kRandomVectors * kLanes];
  for (std::size_t r = 0, end; r < s.rows; r = end) {
    end = r + 1;
    if (s.silent[r]) continue;
    const auto [key, row] = s.noise[r];
    while (end < s.rows && !s.silent[end] && s.noise[end].row == row + (end - r) &&
           s.noise[end].key.first == key.first && s.noise[end].key.second == key.second &&
           (end - r + 1) * quarter <= kMost)
      ++end;
    ForEachQuadruples(key, row * s.row_counters + s.first, (end - r) * quarter,
                      [&](std::size_t i, std::size_t vectors, const Quadruples& numbers) {
                        for (std::size_t v = 0; v < vectors; ++v)
                          for (std::size_t q = 0; q < 4; ++q)
                            Store(drawn[q] + i + v * kLanes, numbers[q][v]);
                      });
    for (std::size_t k = r; k < end; ++k) {
      WithDeviation(s, k, [&](const auto& deviation) {
        for (std::size_t q = 0; q < 4; ++q)
          Add(drawn[q] + (k - r) * quarter, deviation, q * quarter,
              Smaller((q + 1) * quarter, count), s.sums + k * s.stride);
      });
    }
  }
}

void AddNoise(const NoiseStep& s) {
  const std::size_t count = s.planes * s.lines, quarter = Counters(count);
  if (s.row_counters == quarter && quarter <= kFew) return AddNoiseTogether(s);
  for (std::size_t r = 0; r < s.rows; ++r) {
    if (s.silent[r]) continue;
    const auto [key, row] = s.noise[r];
    WithDeviation(s, r, [&](const auto& deviation) {
      ForEachQuadruples(key, row * s.row_counters + s.first, quarter,
                        [&](std::size_t i, std::size_t vectors, const Quadruples& numbers) {
                          for (std::size_t q = 0; q < 4; ++q) {
                            const std::size_t begin = q * quarter + i, end = (q + 1) * quarter;
                            Add(reinterpret_cast<const float*>(numbers[q]), deviation, begin,
                                Smaller(Smaller(begin + vectors * kLanes, end), count),
                                s.sums + r * s.stride);
                          }
                        });
    });
  }
}

// ---- Outputs --------------------------------------------------------------------------------

inline float FullScale(const ConvertStep& s, std::size_t plane, const float* sums) {
  if (s.levels.half != 0 && s.by_read) return Largest(sums, s.lines);
  return s.full_scales == nullptr ? s.full_scale : s.full_scales[plane * s.full_scales_stride];
}

// Planes of a row from number `first` on, which are read in one go. kWithin: no current is beyond a
// full scale that is the largest of them. What does not change is copied: for all that compilers
// know, what is stored could change it.
template <std::size_t kPlanes, bool kWithin>
inline void ConvertPlanes(const ConvertStep& s, std::size_t first, const float* sums, float* y) {
  const std::size_t lines = s.lines, count = s.count;
  const auto of = [&](std::size_t p) {
    return Quantiser(s.levels, FullScale(s, first + p, sums + p * lines));
  };
  const Quantiser one = of(0), other = kPlanes == 1 ? one : of(kPlanes - 1);
  const Floats factors[2] = {Floats{} + s.factors[first],
                             Floats{} + s.factors[first + kPlanes - 1]};
  const auto convert = [&](auto anew, const auto& quantise) {
    Floats columns[kPlanes] = {};
    for (std::size_t p = 0; p < kPlanes && s.column; ++p)
      columns[p] = quantise(p, Floats{} + sums[(p + 1) * lines - 1]);
    ForEachVector(count, [&](std::size_t i, std::size_t n) {
      Floats total = anew ? Floats{} : Get(y + i, n);
      for (std::size_t p = 0; p < kPlanes; ++p) {
        const Floats value = factors[p] * (quantise(p, Get(sums + p * lines + i, n)) - columns[p]);
        total = anew && p == 0 ? value : total + value;
      }
      Put(y + i, total, n);
    });
  };
  const auto all = [&](const auto& quantise) {
    if (s.first && first == 0) return convert(std::true_type(), quantise);
    convert(std::false_type(), quantise);
  };
  if (kWithin && one.quick() && other.quick())
    return all([&](std::size_t p, Floats x) { return (p == 0 ? one : other).Quickly(x); });
  all([&](std::size_t p, Floats x) {
    const Quantiser& quantiser = p == 0 ? one : other;
    return kWithin ? quantiser.Within(x) : quantiser(x);
  });
}

template <bool kWithin>
inline void ConvertRows(const ConvertStep& s) {
  for (std::size_t r = 0; r < s.rows; ++r) {
    float* y = s.y + r * s.y_stride;
    if (s.silent[r]) {
      if (s.first) std::memset(y, 0, s.count * sizeof(float));
      continue;
    }
    const float* sums = s.sums + r * s.stride;
    std::size_t p = 0;
    for (; p + 2 <= s.planes; p += 2) ConvertPlanes<2, kWithin>(s, p, sums + p * s.lines, y);
    if (p < s.planes) ConvertPlanes<1, kWithin>(s, p, sums + p * s.lines, y);
  }
}

void Convert(const ConvertStep& s) {
  if (s.by_read && s.levels.is_signed) return ConvertRows<true>(s);
  ConvertRows<false>(s);
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
