// Compiled several times, with XBARAX_ISA naming the instruction set. Everything here has internal
// linkage but kAnalogSteps.
#include <cstddef>
#include <cstdint>
#include <cstring>

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

// The largest magnitude; NaN if any number is.
inline float Largest(const float* x, std::size_t count) {
  Ints largest = {};
  ForEachVector(count, [&](std::size_t i, std::size_t n) {
    largest = Larger(MagnitudeBits(Get(x + i, n)), largest);
  });
  return BitCast<float>(Most(largest));
}

// ---- Inputs ---------------------------------------------------------------------------------

// Where numbers are not zero: how many there are and, where these are at most `most`, which. Lanes
// are listed some vectors later, when it is known that they are not too many: where all numbers are
// some, none is.
class Places {
 public:
  Places(std::uint32_t* to, std::size_t most) : to_(to), most_(most) {}

  // Lanes of a vector, by bits.
  void Add(std::size_t first, unsigned lanes) {
    held_[n_held_++] = {static_cast<std::uint32_t>(first), lanes};
    if (n_held_ == kHeld) List();
  }
  std::size_t Count() {
    List();
    return count_;
  }

 private:
  static constexpr std::size_t kHeld = 32;
  struct Some {
    std::uint32_t first, lanes;
  };

  void List() {
    std::size_t place = count_;
    for (std::size_t i = 0; i < n_held_; ++i)
      count_ += static_cast<std::size_t>(__builtin_popcount(held_[i].lanes));
    for (std::size_t i = 0; i < n_held_ && count_ <= most_; ++i)
      for (std::uint32_t lanes = held_[i].lanes; lanes != 0; lanes &= lanes - 1)
        to_[place++] = held_[i].first + static_cast<std::uint32_t>(__builtin_ctz(lanes));
    n_held_ = 0;
  }

  std::uint32_t* to_;
  std::size_t most_, count_ = 0, n_held_ = 0;
  Some held_[kHeld];
};

// `quantise` converts a vector of inputs.
template <class Quantise>
inline void DriveRow(const DriveStep& s, std::size_t r, const Quantise& quantise) {
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
  s.n_places[r] = static_cast<std::uint32_t>(places.Count());
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

void Drive(const DriveStep& s) {
  const Quantiser by_one(s.levels, 1.0f);
  const bool known = s.events.bits != nullptr;
  const float one = by_one(Floats{} + 1.0f)[0] * s.unit;
  for (std::size_t r = 0; r < s.rows; ++r) {
    if (known && s.events.ones[r]) {
      DriveOnes(s, r, one);
    } else if (s.scaled && s.levels.half != 0) {
      const Quantiser quantiser(s.levels, Largest(s.x + r * s.x_stride, s.count));
      DriveRow(s, r, [&](Floats x) { return quantiser.Within(x); });
    } else {
      DriveRow(s, r, by_one);
    }
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

inline Deviation DeviationOf(const NoiseStep& s, std::size_t r) {
  if (s.deviations != nullptr) return {s.deviations + r, nullptr};
  return {nullptr, s.variances + r * s.stride};
}

// Adds noise to a row's sums from number `begin` to `end`, as many as there are vectors for.
inline void Add(const Floats* normal, std::size_t vectors, const Deviation& deviation,
                std::size_t begin, std::size_t end, float* sums) {
  for (std::size_t v = 0; v < vectors && begin < end; ++v, begin += kLanes) {
    const std::size_t n = end - begin < kLanes ? end - begin : kLanes;
    Put(sums + begin, Get(sums + begin, n) + deviation(begin, n) * normal[v], n);
  }
}

inline std::size_t Smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

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
                        for (std::size_t q = 0; q < 4; ++q)
                          std::memcpy(drawn[q] + i, numbers[q], vectors * sizeof(Floats));
                      });
    for (std::size_t k = r; k < end; ++k) {
      const Deviation deviation = DeviationOf(s, k);
      float* sums = s.sums + k * s.stride;
      for (std::size_t q = 0; q < 4; ++q) {
        const float* numbers = drawn[q] + (k - r) * quarter;
        const std::size_t last = Smaller((q + 1) * quarter, count);
        for (std::size_t i = q * quarter; i < last; i += kLanes, numbers += kLanes) {
          const Floats some = Load(numbers);
          Add(&some, 1, deviation, i, last, sums);
        }
      }
    }
  }
}

void AddNoise(const NoiseStep& s) {
  const std::size_t count = s.planes * s.lines, quarter = Counters(count);
  if (s.row_counters == quarter && quarter <= kFew) return AddNoiseTogether(s);
  for (std::size_t r = 0; r < s.rows; ++r) {
    if (s.silent[r]) continue;
    const auto [key, row] = s.noise[r];
    const Deviation deviation = DeviationOf(s, r);
    float* sums = s.sums + r * s.stride;
    ForEachQuadruples(key, row * s.row_counters + s.first, quarter,
                      [&](std::size_t i, std::size_t vectors, const Quadruples& numbers) {
                        for (std::size_t q = 0; q < 4; ++q)
                          Add(numbers[q], vectors, deviation, q * quarter + i,
                              Smaller((q + 1) * quarter, count), sums);
                      });
  }
}

// ---- Outputs --------------------------------------------------------------------------------

inline float FullScale(const ConvertStep& s, std::size_t plane, const float* sums) {
  if (s.levels.half != 0 && s.by_read) return Largest(sums, s.lines);
  return s.full_scales == nullptr ? s.full_scale : s.full_scales[plane * s.full_scales_stride];
}

// Planes of a row from number `first` on, which are read in one go. kWithin: no current is beyond a
// full scale that is the largest of them.
template <std::size_t kPlanes, bool kWithin>
inline void ConvertPlanes(const ConvertStep& s, std::size_t first, const float* sums, float* y) {
  const auto of = [&](std::size_t p) {
    return Quantiser(s.levels, FullScale(s, first + p, sums + p * s.lines));
  };
  const Quantiser one = of(0), other = kPlanes == 1 ? one : of(kPlanes - 1);
  const auto quantise = [&](std::size_t p, Floats x) {
    const Quantiser& quantiser = p == 0 ? one : other;
    return kWithin ? quantiser.Within(x) : quantiser(x);
  };
  Floats columns[kPlanes] = {};
  for (std::size_t p = 0; p < kPlanes && s.column; ++p)
    columns[p] = quantise(p, Floats{} + sums[(p + 1) * s.lines - 1]);
  const bool anew = s.first && first == 0;
  ForEachVector(s.count, [&](std::size_t i, std::size_t n) {
    Floats total = anew ? Floats{} : Get(y + i, n);
    for (std::size_t p = 0; p < kPlanes; ++p) {
      const Floats value =
          s.factors[first + p] * (quantise(p, Get(sums + p * s.lines + i, n)) - columns[p]);
      total = anew && p == 0 ? value : total + value;
    }
    Put(y + i, total, n);
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
