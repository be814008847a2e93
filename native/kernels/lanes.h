// Vectors as long as an instruction set has them: what sources that are compiled for several share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace xbarax {
namespace {  // of its own in each source

#if defined(__AVX512F__)
constexpr std::size_t kLanes = 16;
#elif defined(__AVX2__)
constexpr std::size_t kLanes = 8;
#else
constexpr std::size_t kLanes = 4;
#endif

typedef std::uint32_t Words __attribute__((vector_size(kLanes * sizeof(std::uint32_t))));
typedef std::int32_t Ints __attribute__((vector_size(kLanes * sizeof(std::int32_t))));
typedef float Floats __attribute__((vector_size(kLanes * sizeof(float))));

template <class To, class From>
inline To BitCast(From from) {
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

// A bit for each lane, of lanes that are all true (-1) or false (0).
inline unsigned Mask(Ints lanes) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask(BitCast<__m512i>(lanes), BitCast<__m512i>(lanes));
#elif defined(__AVX2__)
  return static_cast<unsigned>(_mm256_movemask_ps(BitCast<__m256>(lanes)));
#elif defined(__SSE2__)
  return static_cast<unsigned>(_mm_movemask_ps(BitCast<__m128>(lanes)));
#else
  unsigned mask = 0;
  for (std::size_t lane = 0; lane < kLanes; ++lane) mask |= (lanes[lane] & 1u) << lane;
  return mask;
#endif
}

inline Floats Load(const float* from) {
  Floats v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

}  // namespace
}  // namespace xbarax
