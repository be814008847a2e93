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
constexpr std::size_t kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr std::size_t kVectorBytes = 32;
#else
constexpr std::size_t kVectorBytes = 16;
#endif
constexpr std::size_t kLanes = kVectorBytes / sizeof(float);

typedef std::uint32_t Words __attribute__((vector_size(kLanes * sizeof(std::uint32_t))));
typedef std::int32_t Ints __attribute__((vector_size(kLanes * sizeof(std::int32_t))));
typedef float Floats __attribute__((vector_size(kLanes * sizeof(float))));

template <class To, class From>
inline To BitCast(From from) {
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

inline Floats Select(Ints mask, Floats yes, Floats no) { return mask ? yes : no; }

inline Floats Magnitude(Floats x) { return BitCast<Floats>(BitCast<Ints>(x) & 0x7fffffff); }

// x, out of the sight of compilers, which would make one operation of a product and a sum, and so
// round only once.
inline Floats Rounded(Floats x) {
#if defined(__AVX512F__)
  asm("" : "+v"(x));
#elif defined(__SSE2__)
  asm("" : "+x"(x));
#elif defined(__aarch64__)
  asm("" : "+w"(x));
#endif
  return x;
}

#if defined(__FMA__)
// a b + c, rounded once, whatever compilers think of a sum of a product.
inline Floats AddProduct(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#else
  return _mm256_fmadd_ps(a, b, c);
#endif
}
#endif

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

// A bit for each lane where a and b differ; NaN differs from all.
inline unsigned Differ(Floats a, Floats b) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask(BitCast<__m512>(a), BitCast<__m512>(b), _CMP_NEQ_UQ);
#else
  return Mask(a != b);
#endif
}

inline Floats Load(const float* from) {
  Floats v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

inline void Store(float* to, Floats v) { std::memcpy(to, &v, sizeof v); }

// Half of the lanes.
inline void StoreLow(float* to, Floats v) { std::memcpy(to, &v, sizeof v / 2); }
inline void StoreHigh(float* to, Floats v) {
  std::memcpy(to, reinterpret_cast<const char*>(&v) + sizeof v / 2, sizeof v / 2);
}

#if defined(__AVX2__) && !defined(__AVX512F__)
// True in the first `count` lanes.
inline __m256i First(std::size_t count) {
  static const std::int32_t kMasks[2 * kLanes] = {-1, -1, -1, -1, -1, -1, -1, -1};
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMasks + kLanes - count));
}
#endif

// The first `count` lanes, zeros in the others; touches no more than that.
inline Floats LoadSome(const float* from, std::size_t count) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from);
#elif defined(__AVX2__)
  return _mm256_maskload_ps(from, First(count));
#else
  Floats v = {};
  for (std::size_t lane = 0; lane < count; ++lane) v[lane] = from[lane];
  return v;
#endif
}

inline void StoreSome(float* to, Floats v, std::size_t count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), v);
#elif defined(__AVX2__)
  _mm256_maskstore_ps(to, First(count), v);
#else
  for (std::size_t lane = 0; lane < count; ++lane) to[lane] = v[lane];
#endif
}

#if defined(__AVX512F__)
// With a mask: GCC warns of what the operation without one leaves undefined.
template <int kWhich, class Lanes>
inline __m256i Half(Lanes v) {
  return _mm512_maskz_extracti64x4_epi64(0xf, BitCast<__m512i>(v), kWhich);
}
#endif

inline float Sum(Floats v) {
#if defined(__AVX2__)
#if defined(__AVX512F__)
  const __m256 some = BitCast<__m256>(Half<0>(v)) + BitCast<__m256>(Half<1>(v));
#else
  const __m256 some = v;
#endif
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(some), _mm256_extractf128_ps(some, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
#else
  float sum = 0;
  for (std::size_t lane = 0; lane < kLanes; ++lane) sum += v[lane];
  return sum;
#endif
}

inline std::int32_t Most(Ints v) {
#if defined(__AVX2__)
#if defined(__AVX512F__)
  const __m256i some = _mm256_max_epi32(Half<0>(v), Half<1>(v));
#else
  const __m256i some = BitCast<__m256i>(v);
#endif
  __m128i most = _mm_max_epi32(_mm256_castsi256_si128(some), _mm256_extracti128_si256(some, 1));
  most = _mm_max_epi32(most, _mm_shuffle_epi32(most, 0x4e));
  return _mm_cvtsi128_si32(_mm_max_epi32(most, _mm_shuffle_epi32(most, 0xb1)));
#else
  std::int32_t most = v[0];
  for (std::size_t lane = 1; lane < kLanes; ++lane) most = v[lane] > most ? v[lane] : most;
  return most;
#endif
}

}  // namespace
}  // namespace xbarax
