// Compiled several times, with XBARAX_ISA naming the instruction set. Everything here has internal
// linkage but kLifLoops.
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "kernels/lif_loops.h"

namespace xbarax::XBARAX_ISA {
namespace {

#if defined(__AVX512F__)
constexpr std::size_t kLanes = 16;
#elif defined(__AVX2__)
constexpr std::size_t kLanes = 8;
#else
constexpr std::size_t kLanes = 4;
#endif
static_assert(kLifLanes % kLanes == 0);

typedef float Floats __attribute__((vector_size(kLanes * sizeof(float))));
typedef std::int32_t Ints __attribute__((vector_size(kLanes * sizeof(std::int32_t))));

inline Floats Load(const float* from) {
  Floats v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

inline void Store(float* to, Floats v) { std::memcpy(to, &v, sizeof v); }

// A bit for each lane of a comparison's result.
inline std::uint32_t Bits(Ints mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask);
#elif defined(__AVX2__)
  return static_cast<std::uint32_t>(_mm256_movemask_ps((__m256)mask));
#elif defined(__SSE2__)
  return static_cast<std::uint32_t>(_mm_movemask_ps((__m128)mask));
#else
  std::uint32_t bits = 0;
  for (std::size_t lane = 0; lane < kLanes; ++lane) bits |= (mask[lane] & 1u) << lane;
  return bits;
#endif
}

inline Floats Select(Ints mask, Floats yes, Floats no) { return mask ? yes : no; }

inline Floats Magnitude(Floats x) {
  Ints bits;
  std::memcpy(&bits, &x, sizeof bits);
  bits &= 0x7fffffff;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

void NotZero(const float* x, std::size_t size, std::uint32_t* bits) {
  std::size_t k = 0;
  for (std::size_t word = 0; word < (size + 31) / 32; ++word) {
    std::uint32_t found = 0;
    const std::size_t end = size - k < 32 ? size : k + 32, begin = k;
    for (; k + kLanes <= end; k += kLanes) found |= Bits(Load(x + k) != 0.0f) << (k - begin);
    for (; k < end; ++k) found |= static_cast<std::uint32_t>(x[k] != 0.0f) << (k - begin);
    bits[word] = found;
  }
}

// V vectors of the sum at a time, so that they stay in registers.
template <std::size_t V, bool Factors>
inline void AddColumns(const float* rows, const std::uint32_t* numbers, const float* factors,
                       std::size_t count, std::size_t width, float* sum) {
  Floats total[V];
  for (std::size_t v = 0; v < V; ++v) total[v] = Load(sum + v * kLanes);
  for (std::size_t k = 0; k < count; ++k) {
    const float* row = rows + numbers[k] * width;
    for (std::size_t v = 0; v < V; ++v) {
      const Floats number = Load(row + v * kLanes);
      total[v] += Factors ? factors[k] * number : number;
    }
  }
  for (std::size_t v = 0; v < V; ++v) Store(sum + v * kLanes, total[v]);
}

template <bool Factors>
inline void AddAll(const float* rows, const std::uint32_t* numbers, const float* factors,
                   std::size_t count, std::size_t width, float* sum) {
  std::size_t c = 0;
  for (; c + 8 * kLanes <= width; c += 8 * kLanes)
    AddColumns<8, Factors>(rows + c, numbers, factors, count, width, sum + c);
  for (; c + 4 * kLanes <= width; c += 4 * kLanes)
    AddColumns<4, Factors>(rows + c, numbers, factors, count, width, sum + c);
  for (; c + 2 * kLanes <= width; c += 2 * kLanes)
    AddColumns<2, Factors>(rows + c, numbers, factors, count, width, sum + c);
  for (; c < width; c += kLanes)
    AddColumns<1, Factors>(rows + c, numbers, factors, count, width, sum + c);
}

void AddRows(const float* rows, const std::uint32_t* numbers, const float* factors,
             std::size_t count, std::size_t width, float* sum) {
  if (factors == nullptr)
    AddAll<false>(rows, numbers, factors, count, width, sum);
  else
    AddAll<true>(rows, numbers, factors, count, width, sum);
}

void AddToRows(float* rows, const std::uint32_t* numbers, const float* factors, std::size_t count,
               std::size_t width, const float* addend) {
  for (std::size_t k = 0; k < count; ++k) {
    float* row = rows + numbers[k] * width;
    const float factor = factors == nullptr ? 1.0f : factors[k];
    for (std::size_t c = 0; c < width; c += kLanes)
      Store(row + c, Load(row + c) + factor * Load(addend + c));
  }
}

template <Reset kReset, bool Recurrent>
inline bool Advance(const LifNeurons& n, const float* drive, const float* feedback,
                    const LifRows& rows, std::uint32_t* bits) {
  Ints no_number = {};
  std::uint32_t word = 0;
  for (std::size_t c = 0; c < n.width; c += kLanes) {
    const Floats old = Load(rows.membrane + c), current = Load(rows.current + c);
    const Floats spikes = Load(rows.spikes + c), alpha = Load(n.alpha + c);
    Floats total = n.gain * current;
    if (Recurrent) {
      const Floats recurrent = Load(rows.recurrent + c);
      total += recurrent;
      Store(rows.recurrent + c,
            Load(n.beta_r + c) * recurrent + Load(n.one_minus_beta_r + c) * Load(feedback + c));
    }
    Store(rows.current + c,
          Load(n.beta + c) * current + Load(n.one_minus_beta + c) * Load(drive + c));
    Floats membrane = kReset == Reset::kZero ? alpha * (1.0f - spikes) * old : alpha * old;
    if (kReset == Reset::kSubtract) membrane -= n.threshold * spikes;
    membrane += Load(n.one_minus_alpha + c) * total;
    Store(rows.membrane + c, membrane);
    const Ints below = membrane - n.threshold <= 0.0f, unordered = membrane != membrane;
    Store(rows.spikes + c, Select(unordered, membrane, Select(below, Floats{}, Floats{} + 1.0f)));
    no_number |= unordered;
    word |= Bits(~below) << c % 32;
    if ((c + kLanes) % 32 == 0 || c + kLanes == n.width) {
      bits[c / 32] = word;
      word = 0;
    }
  }
  return Bits(no_number) != 0;
}

bool AdvanceAny(const LifNeurons& n, const float* drive, const float* feedback, const LifRows& rows,
                std::uint32_t* bits) {
  switch (n.reset) {
    case Reset::kZero:
      return n.recurrent ? Advance<Reset::kZero, true>(n, drive, feedback, rows, bits)
                         : Advance<Reset::kZero, false>(n, drive, feedback, rows, bits);
    case Reset::kSubtract:
      return n.recurrent ? Advance<Reset::kSubtract, true>(n, drive, feedback, rows, bits)
                         : Advance<Reset::kSubtract, false>(n, drive, feedback, rows, bits);
    case Reset::kNone:
      break;
  }
  return n.recurrent ? Advance<Reset::kNone, true>(n, drive, feedback, rows, bits)
                     : Advance<Reset::kNone, false>(n, drive, feedback, rows, bits);
}

template <Reset kReset, bool Detach, bool Recurrent>
inline void Retreat(const LifNeurons& n, const float* membrane, const float* membrane_before,
                    const float* spikes_before, const float* spikes_a, const float* spikes_b,
                    const float* membrane_bar, const LifGradients& g, float* drive,
                    float* feedback) {
  for (std::size_t c = 0; c < n.width; c += kLanes) {
    Floats spikes = {};
    if (!Detach) spikes += Load(g.spikes + c);
    if (spikes_a != nullptr) spikes += Load(spikes_a + c);
    if (spikes_b != nullptr) spikes += Load(spikes_b + c);
    const Floats slope = n.steepness * Magnitude(Load(membrane + c) - n.threshold) + 1.0f;
    Floats u = Load(g.membrane + c) + spikes / (slope * slope);
    if (membrane_bar != nullptr) u += Load(membrane_bar + c);

    const Floats into = Load(n.one_minus_alpha + c) * u, current = Load(g.current + c);
    Store(drive + c, Load(n.one_minus_beta + c) * current);
    Store(g.current + c, Load(n.beta + c) * current + n.gain * into);
    if (Recurrent) {
      const Floats recurrent = Load(g.recurrent + c);
      Store(feedback + c, Load(n.one_minus_beta_r + c) * recurrent);
      Store(g.recurrent + c, Load(n.beta_r + c) * recurrent + into);
    }

    const Floats leak = Load(n.alpha + c) * u;
    if (kReset == Reset::kZero) {
      const Floats old = Load(membrane_before + c);
      const Floats kept = spikes_before != nullptr
                              ? 1.0f - Load(spikes_before + c)
                              : Select(old - n.threshold > 0.0f, Floats{}, Floats{} + 1.0f);
      Store(g.membrane + c, leak * kept);
      if (!Detach) Store(g.spikes + c, -leak * old);
    } else {
      Store(g.membrane + c, leak);
      if (!Detach) Store(g.spikes + c, kReset == Reset::kSubtract ? -n.threshold * u : Floats{});
    }
  }
}

template <Reset kReset>
inline void RetreatReset(const LifNeurons& n, const float* membrane, const float* membrane_before,
                         const float* spikes_before, const float* spikes_a, const float* spikes_b,
                         const float* membrane_bar, const LifGradients& g, float* drive,
                         float* feedback) {
  const auto retreat =
      n.detach ? (n.recurrent ? &Retreat<kReset, true, true> : &Retreat<kReset, true, false>)
               : (n.recurrent ? &Retreat<kReset, false, true> : &Retreat<kReset, false, false>);
  retreat(n, membrane, membrane_before, spikes_before, spikes_a, spikes_b, membrane_bar, g, drive,
          feedback);
}

void RetreatAny(const LifNeurons& n, const float* membrane, const float* membrane_before,
                const float* spikes_before, const float* spikes_a, const float* spikes_b,
                const float* membrane_bar, const LifGradients& g, float* drive, float* feedback) {
  const auto retreat = n.reset == Reset::kZero       ? &RetreatReset<Reset::kZero>
                       : n.reset == Reset::kSubtract ? &RetreatReset<Reset::kSubtract>
                                                     : &RetreatReset<Reset::kNone>;
  retreat(n, membrane, membrane_before, spikes_before, spikes_a, spikes_b, membrane_bar, g, drive,
          feedback);
}

}  // namespace

extern const LifLoops kLifLoops = {NotZero, AddRows, AddToRows, AdvanceAny, RetreatAny};

}  // namespace xbarax::XBARAX_ISA
