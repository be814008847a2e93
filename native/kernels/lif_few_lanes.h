// What chains of few neurons share that have a sample in each lane: moves between rows and lanes,
// products, and room. Rows of vectors lie as (size, V · kLanes): zeros in lanes without a sample,
// but for what biases do there.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/lanes.h"
#include "kernels/lif_few.h"

namespace xbarax::XBARAX_ISA {
namespace {

inline Floats Where(Ints mask, Floats x) { return BitCast<Floats>(BitCast<Ints>(x) & mask); }

inline Floats Splat(float x) { return x - Floats{}; }  // unlike a sum, the same bits: no operation

// ---- Between rows of samples and lanes ------------------------------------------------------

constexpr std::size_t kTile = 8;

inline void TransposeTile(const float* from, std::size_t from_apart, float* to,
                          std::size_t to_apart) {
#if defined(__AVX2__)
  // Rows k and k + 4 are in the halves of one vector, so that no half has to change places.
  for (std::size_t c = 0; c < kTile; c += 4) {
    __m256 r[4], s[4];
    for (std::size_t k = 0; k < 4; ++k) {
      const float* const row = from + k * from_apart + c;
      r[k] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(row)),
                                  _mm_loadu_ps(row + 4 * from_apart), 1);
    }
    for (std::size_t k = 0; k < 4; k += 2) {
      s[k] = _mm256_unpacklo_ps(r[k], r[k + 1]);
      s[k + 1] = _mm256_unpackhi_ps(r[k], r[k + 1]);
    }
    _mm256_storeu_ps(to + c * to_apart, _mm256_shuffle_ps(s[0], s[2], 0x44));
    _mm256_storeu_ps(to + (c + 1) * to_apart, _mm256_shuffle_ps(s[0], s[2], 0xee));
    _mm256_storeu_ps(to + (c + 2) * to_apart, _mm256_shuffle_ps(s[1], s[3], 0x44));
    _mm256_storeu_ps(to + (c + 3) * to_apart, _mm256_shuffle_ps(s[1], s[3], 0xee));
  }
#else
  for (std::size_t i = 0; i < kTile; ++i)
    for (std::size_t j = 0; j < kTile; ++j) to[j * to_apart + i] = from[i * from_apart + j];
#endif
}

// (rows, columns) as (columns, rows); rows are so far apart.
void Transpose(const float* from, std::size_t rows, std::size_t columns, std::size_t from_apart,
               float* to, std::size_t to_apart) {
  for (std::size_t r = 0; r < rows; r += kTile)
    for (std::size_t c = 0; c < columns; c += kTile) {
      if (r + kTile <= rows && c + kTile <= columns) {
        TransposeTile(from + r * from_apart + c, from_apart, to + c * to_apart + r, to_apart);
        continue;
      }
      for (std::size_t j = c; j < columns && j < c + kTile; ++j)
        for (std::size_t i = r; i < rows && i < r + kTile; ++i)
          to[j * to_apart + i] = from[i * from_apart + j];
    }
}

template <std::size_t V>
void ToLanes(const float* rows, std::size_t samples, std::size_t size, float* lanes) {
  constexpr std::size_t kWidth = V * kLanes;
  if (samples < kWidth)  // only the last vector has lanes without a sample
    for (std::size_t n = 0; n < size; ++n) Store(lanes + (n + 1) * kWidth - kLanes, Floats{});
  Transpose(rows, samples, size, size, lanes, kWidth);
}

template <std::size_t V>
void ToRows(const float* lanes, std::size_t samples, std::size_t size, float* rows) {
  Transpose(lanes, size, samples, V * kLanes, rows, size);
}

// (size, samples) from (size, lanes).
template <std::size_t V>
void Pack(const float* lanes, std::size_t samples, std::size_t size, float* packed) {
  const std::size_t last = samples - (V - 1) * kLanes;
  for (std::size_t n = 0; n < size; ++n, lanes += V * kLanes, packed += samples) {
    for (std::size_t v = 0; v + 1 < V; ++v) Store(packed + v * kLanes, Load(lanes + v * kLanes));
    StoreSome(packed + (V - 1) * kLanes, Load(lanes + (V - 1) * kLanes), last);
  }
}

// ---- Products -------------------------------------------------------------------------------

// What a product takes, and which of its rows are not zero in some lane.
struct Values {
  float* lanes;
  std::uint32_t* numbers;
  std::size_t count;
};

template <std::size_t V>
inline void Find(std::size_t size, Values* x) {
  x->count = 0;
  for (std::size_t i = 0; i < size; ++i) {
    Ints some = {};
    for (std::size_t v = 0; v < V; ++v) some |= Load(x->lanes + (i * V + v) * kLanes) != 0.0f;
    x->numbers[x->count] = static_cast<std::uint32_t>(i);
    x->count += Mask(some) != 0;
  }
}

// Which rows of a matrix a product takes: those where x is not zero, and nothing of them in lanes
// where it is, whatever weights are; those, of weights that are all finite; all.
enum class Which { kEvents, kFinite, kAll };

// A matrix's first `outputs` columns. Rows are so far apart.
struct Weights {
  const float* first;
  std::size_t outputs, apart;
};

// y (outputs, lanes) = the biases, if any, + the rows of the matrix times x.
template <std::size_t V, Which kWhich>
void Product(const Weights& matrix, const Values& x, const float* biases, float* y) {
  const std::size_t columns = FewPadded(matrix.outputs), count = x.count;
  const std::uint32_t* const numbers = x.numbers;
  const float* const lanes = x.lanes;
  for (std::size_t n = 0; n < columns; n += kFewOutputs) {
    Floats sum[kFewOutputs][V];
    for (std::size_t f = 0; f < kFewOutputs; ++f)
      for (std::size_t v = 0; v < V; ++v)
        sum[f][v] = biases == nullptr ? Floats{} : Splat(biases[n + f]);
    for (std::size_t k = 0; k < count; ++k) {
      const std::size_t i = kWhich == Which::kAll ? k : numbers[k];
      const float* const weights = matrix.first + i * matrix.apart + n;
      for (std::size_t v = 0; v < V; ++v) {
        const Floats factor = Load(lanes + (i * V + v) * kLanes);
        const Ints some = factor != 0.0f;
        for (std::size_t f = 0; f < kFewOutputs; ++f) {
          const Floats weight = Splat(weights[f]);
          sum[f][v] += factor * (kWhich == Which::kEvents ? Where(some, weight) : weight);
        }
      }
    }
    for (std::size_t f = 0; f < kFewOutputs; ++f)
      for (std::size_t v = 0; v < V; ++v) Store(y + ((n + f) * V + v) * kLanes, sum[f][v]);
  }
}

// To each of a matrix of vectors, (inputs, size): += the products of x and y, where x is not zero.
template <std::size_t V>
void AddProducts(const Values& x, const float* y, std::size_t size, float* matrix) {
  for (std::size_t k = 0; k < x.count; ++k) {
    const std::size_t i = x.numbers[k];
    float* const row = matrix + i * size * kLanes;
    Floats factors[V];
    Ints some[V];
    for (std::size_t v = 0; v < V; ++v) {
      factors[v] = Load(x.lanes + (i * V + v) * kLanes);
      some[v] = factors[v] != 0.0f;
    }
    for (std::size_t n = 0; n < size; ++n) {
      Floats sum = Load(row + n * kLanes);
      for (std::size_t v = 0; v < V; ++v)
        sum += factors[v] * Where(some[v], Load(y + (n * V + v) * kLanes));
      Store(row + n * kLanes, sum);
    }
  }
}

template <std::size_t V>
void AddSums(const float* y, std::size_t size, float* vectors) {
  for (std::size_t n = 0; n < size; ++n) {
    Floats sum = Load(vectors + n * kLanes);
    for (std::size_t v = 0; v < V; ++v) sum += Load(y + (n * V + v) * kLanes);
    Store(vectors + n * kLanes, sum);
  }
}

// Adds to each number the sum of its vector, which is zero then.
inline void MoveSums(std::size_t count, float* vectors, float* to) {
  for (std::size_t k = 0; k < count; ++k, vectors += kLanes) {
    to[k] += Sum(Load(vectors));
    Store(vectors, Floats{});
  }
}

// ---- Room -----------------------------------------------------------------------------------

constexpr std::size_t kMostLanes = kFewVectors * kLanes;

inline float* Take(std::size_t size, LifFewRoom* room) {
  const std::size_t place = room->floats_taken;
  room->floats_taken += FewPadded(size) * kMostLanes;
  return room->floats == nullptr ? nullptr : room->floats + place;
}

// Of what is written before it is read.
inline float* TakeAny(std::size_t size, LifFewRoom* room) {
  const std::size_t place = room->any_taken;
  room->any_taken += FewPadded(size) * kMostLanes;
  return room->any == nullptr ? nullptr : room->any + place;
}

// As many vectors.
inline float* TakeVectors(std::size_t count, LifFewRoom* room) {
  const std::size_t place = room->floats_taken;
  room->floats_taken += count * kLanes;
  return room->floats == nullptr ? nullptr : room->floats + place;
}

inline Values TakeValues(std::size_t size, LifFewRoom* room) {
  const std::size_t place = room->numbers_taken;
  room->numbers_taken += size + 1;
  float* const lanes = Take(size, room);
  return {lanes, room->numbers == nullptr ? nullptr : room->numbers + place, 0};
}

}  // namespace
}  // namespace xbarax::XBARAX_ISA
