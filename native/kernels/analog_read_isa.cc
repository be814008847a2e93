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
#include "kernels/set_bits.h"

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
[[gnu::always_inline]] inline float Largest(const float* x, std::size_t count) {
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

// Where only places are looked at, a voltage for all takes less time than one for each of them,
// whose number is hard to foresee, in rows of no more than this.
constexpr std::size_t kFilled = 256;

// Where a row's bits are, from the tile's first on. Those of its neighbours lie in the same words.
inline std::size_t ListOnes(const DriveStep& s, const std::uint32_t* bits, std::uint32_t* places) {
  const std::size_t begin = s.first_bit % 32, end = begin + s.count;
  std::size_t count = ListBits(bits + s.first_bit / 32, WordsOf(end), places), before = 0;
  while (count > 0 && places[count - 1] >= end) --count;
  if (begin == 0) return count;
  while (before < count && places[before] < begin) ++before;
  for (std::size_t k = before; k < count; ++k)
    places[k - before] = places[k] - static_cast<std::uint32_t>(begin);
  return count - before;
}

// Of a row of ones and zeros, each of the former as `volt`.
void DriveOnes(const DriveStep& s, std::size_t r, float volt) {
  std::uint32_t* const places = s.places + r * s.drives;
  std::size_t count = ListOnes(s, s.events.bits + r * s.events.apart, places);
  if (volt == 0) count = 0;
  const float square = volt * volt;
  const auto put = [&](float* row, float value) {
    if (count > s.most || s.whole) {
      std::memset(row, 0, s.drives * sizeof(float));
    } else if (s.drives <= kFilled) {
      const Floats all = Floats{} + value;
      for (std::size_t i = 0; i < s.drives; i += kLanes) Store(row + i, all);
      return;
    }
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
    } else {
      const Quantiser quantiser(s.levels, largest[r - first]);
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
  std::size_t p = 0;
  const auto some = [&](auto n) {
    for (; p + n <= panels; p += n)
      SomePanels<n>(x, places, count, b + p * depth * kColumns, depth, y + p * kColumns);
  };
  some(std::integral_constant<std::size_t, 4>());  // half of the registers
  some(std::integral_constant<std::size_t, 2>());
  some(std::integral_constant<std::size_t, 1>());
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

// Calls body(r, end) for rows, at most so many, whose noise can be drawn together: their counters
// follow one another.
template <class Body>
inline void ForEachTogether(const NoiseStep& s, std::size_t most, Body body) {
  for (std::size_t r = 0, end; r < s.rows; r = end) {
    end = r + 1;
    if (s.silent[r]) continue;
    const auto [key, row] = s.noise[r];
    while (end < s.rows && end - r < most && !s.silent[end] &&
           s.noise[end].row == row + (end - r) && s.noise[end].key.first == key.first &&
           s.noise[end].key.second == key.second)
      ++end;
    body(r, end);
  }
}

// body(i, vectors, numbers): those of `counters` counters from row r's first on, from number i on.
template <class Body>
inline void Draw(const NoiseStep& s, std::size_t r, std::size_t counters, Body body) {
  ForEachQuadruples(s.noise[r].key, s.noise[r].row * s.row_counters + s.first, counters, body);
}

// The noise of rows of which a quarter is some vectors: each goes where it belongs. What does not
// change is copied: for all that compilers know, what is stored could change it.
template <bool kEach>
void AddVectors(const NoiseStep& s) {
  const std::size_t quarter = s.planes * s.lines / 4, stride = s.stride;
  ForEachTogether(s, s.row_counters == quarter ? s.rows : 1, [&](std::size_t r, std::size_t end) {
    std::size_t row = r, at = 0;  // of the next vectors
    Draw(s, r, (end - r) * quarter,
         [&, quarter, stride, all = s.sums, deviations = s.deviations, variances = s.variances](
             std::size_t, std::size_t vectors, const Quadruples& numbers) {
           for (std::size_t v = 0; v < vectors; ++v) {
             const std::size_t first = row * stride + at;
             const Floats of_row = kEach ? Floats{} : Floats{} + deviations[row];
             float* const sums = all + first;
             Floats noisy[4];
             for (std::size_t q = 0; q < 4; ++q) {
               const std::size_t i = q * quarter;
               const Floats deviation = kEach ? Sqrt(Load(variances + first + i)) : of_row;
               noisy[q] = Load(sums + i) + deviation * numbers[q][v];
             }
             for (std::size_t q = 0; q < 4; ++q) Store(sums + q * quarter, noisy[q]);
             if ((at += kLanes) == quarter) at = 0, ++row;
           }
         });
  });
}

// The noise of other rows, of at most kFew counters: for many together, since those of one make no
// blocks, or not enough to be drawn beside the next.
void AddNoiseTogether(const NoiseStep& s) {
  const std::size_t count = s.planes * s.lines, quarter = Counters(count);
  float drawn[4][kMost + kRandomVectors * kLanes];
  ForEachTogether(s, kMost / quarter, [&](std::size_t r, std::size_t end) {
    Draw(s, r, (end - r) * quarter,
         [&](std::size_t i, std::size_t vectors, const Quadruples& numbers) {
           for (std::size_t v = 0; v < vectors; ++v)
             for (std::size_t q = 0; q < 4; ++q) Store(drawn[q] + i + v * kLanes, numbers[q][v]);
         });
    for (std::size_t k = r; k < end; ++k)
      WithDeviation(s, k, [&](const auto& deviation) {
        for (std::size_t q = 0; q < 4; ++q)
          Add(drawn[q] + (k - r) * quarter, deviation, q * quarter,
              Smaller((q + 1) * quarter, count), s.sums + k * s.stride);
      });
  });
}

void AddNoise(const NoiseStep& s) {
  const std::size_t count = s.planes * s.lines, quarter = Counters(count);
  if (count % (4 * kLanes) == 0)
    return s.deviations == nullptr ? AddVectors<true>(s) : AddVectors<false>(s);
  if (s.row_counters == quarter && quarter <= kFew) return AddNoiseTogether(s);
  ForEachTogether(s, 1, [&](std::size_t r, std::size_t) {
    WithDeviation(s, r, [&](const auto& deviation) {
      Draw(s, r, quarter, [&](std::size_t i, std::size_t vectors, const Quadruples& numbers) {
        for (std::size_t q = 0; q < 4; ++q) {
          const std::size_t begin = q * quarter + i, end = (q + 1) * quarter;
          Add(reinterpret_cast<const float*>(numbers[q]), deviation, begin,
              Smaller(Smaller(begin + vectors * kLanes, end), count), s.sums + r * s.stride);
        }
      });
    });
  });
}

// ---- Outputs --------------------------------------------------------------------------------

inline float FullScale(const ConvertStep& s, std::size_t plane, const float* sums) {
  if (s.levels.half != 0 && s.by_read) return Largest(sums, s.lines);
  return s.full_scales == nullptr ? s.full_scale : s.full_scales[plane * s.full_scales_stride];
}

// Adds up what comes of kPlanes planes' currents: `by` of each times what `quantise` makes of them.
// What does not change is copied: for all that compilers know, what is stored could change it.
template <bool kAnew, bool kNoisy, std::size_t kPlanes, class Quantise>
inline void AddPlanes(const ConvertStep& s, const float* sums, const Floats* by,
                      const Quantise& quantise, float* y) {
  const std::size_t lines = s.lines;
  Floats columns[kPlanes] = {};
  for (std::size_t p = 0; p < kPlanes && s.column; ++p)
    columns[p] = quantise(p, Floats{} + sums[(p + 1) * lines - 1]);
  ForEachVector(s.count, [&](std::size_t i, std::size_t n) {
    Floats total = kAnew ? Floats{} : Get(y + i, n);
    for (std::size_t p = 0; p < kPlanes; ++p) {
      const Floats value = by[p] * (quantise(p, Get(sums + p * lines + i, n)) - columns[p]);
      // Planes with the same current cancel, where there is no noise that would tell them apart.
      const Floats whole = kNoisy ? value : Rounded(value);
      total = kAnew && p == 0 ? whole : total + whole;
    }
    Put(y + i, total, n);
  });
}

template <bool kNoisy, std::size_t kPlanes, class Quantise>
inline void AddPlanes(const ConvertStep& s, std::size_t first, const float* sums, const Floats* by,
                      const Quantise& quantise, float* y) {
  if (s.first && first == 0) return AddPlanes<true, kNoisy, kPlanes>(s, sums, by, quantise, y);
  AddPlanes<false, kNoisy, kPlanes>(s, sums, by, quantise, y);
}

// Planes of a row from number `first` on, which are read in one go. kWithin: no current is beyond a
// full scale that is the largest of them.
template <std::size_t kPlanes, bool kWithin>
[[gnu::always_inline]] inline void ConvertPlanes(const ConvertStep& s, std::size_t first,
                                                 const float* full_scales, const float* sums,
                                                 float* y) {
  const Quantiser one(s.levels, full_scales[0]), other(s.levels, full_scales[kPlanes - 1]);
  Floats factors[kPlanes];
  for (std::size_t p = 0; p < kPlanes; ++p) factors[p] = Floats{} + s.factors[first + p];
  const auto quantise = [&](std::size_t p, Floats x) {
    const Quantiser& quantiser = p == 0 ? one : other;
    return kWithin ? quantiser.Within(x) : quantiser(x);
  };
  AddPlanes<false, kPlanes>(s, first, sums, factors, quantise, y);
}

template <std::size_t kPlanes, bool kWithin>
inline void ConvertSome(const ConvertStep& s, std::size_t first, const float* sums, float* y) {
  float full_scales[kPlanes];
  for (std::size_t p = 0; p < kPlanes; ++p)
    full_scales[p] = FullScale(s, first + p, sums + p * s.lines);
  if (kWithin && s.noisy) {
    // What lies between two levels gets either, as rounding has it; with noise that is by chance.
    Floats levels[kPlanes], by[kPlanes];
    bool quick = s.levels.half != 0;
    for (std::size_t p = 0; p < kPlanes; ++p) {
      const float high = full_scales[p];
      quick &= high > kLeastScale && high < kMostScale;
      levels[p] = Floats{} + s.levels.half / high;
      by[p] = Floats{} + s.factors[first + p] * (high / s.levels.half);
    }
    if (quick)
      return AddPlanes<true, kPlanes>(
          s, first, sums, by, [levels](std::size_t p, Floats x) { return Round(x * levels[p]); },
          y);
  }
  ConvertPlanes<kPlanes, kWithin>(s, first, full_scales, sums, y);
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
    for (; p + 2 <= s.planes; p += 2) ConvertSome<2, kWithin>(s, p, sums + p * s.lines, y);
    if (p < s.planes) ConvertSome<1, kWithin>(s, p, sums + p * s.lines, y);
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
