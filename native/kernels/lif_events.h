// Which of a sample's inputs are not zero, and products with these alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/lanes.h"
#include "kernels/lif_loops.h"
#include "kernels/set_bits.h"

namespace xbarax::XBARAX_ISA {
namespace {

// The numbers from `place` on of a row that has `size`, zeros behind it.
inline Floats Get(const float* row, std::size_t place, std::size_t size) {
  if (place + kLanes <= size) return Load(row + place);
  return place < size ? LoadSome(row + place, size - place) : Floats{};
}

inline void Put(Floats v, float* row, std::size_t place, std::size_t size) {
  if (place + kLanes <= size)
    Store(row + place, v);
  else if (place < size)
    StoreSome(row + place, v, size - place);
}

// ---- Events ---------------------------------------------------------------------------------

// Those of one sample: the numbers of what is not zero, and factors where these are not all 1.
struct Events {
  const std::uint32_t* numbers;
  const float* factors;
  std::size_t count;
};

inline Events Spikes(const std::uint32_t* bits, std::size_t size, const LifScratch& scratch) {
  return {scratch.numbers, nullptr, ListBits(bits, WordsOf(size), scratch.numbers)};
}

// Writes which of x are not zero, and whether these are all 1.
inline void Find(const float* x, std::size_t size, std::uint32_t* events) {
  const Floats zero = {}, one = zero + 1.0f;
  std::size_t k = 0, word = 0;
  unsigned others = 0;
  for (; k < size; ++word) {
    const std::size_t begin = k, end = size - k < 32 ? size : k + 32;
    std::uint32_t found = 0;
    for (; k < end; k += kLanes) {
      const Floats v = Get(x, k, size);
      const unsigned some = Differ(v, zero);
      found |= some << (k - begin);
      others |= some & Differ(v, one);
    }
    events[word] = found;
  }
  events[word] = others == 0;
}

// Those that `Find` found in x.
inline Events Values(const float* x, const std::uint32_t* events, std::size_t size,
                     const LifScratch& scratch) {
  const std::size_t words = WordsOf(size);
  const std::size_t count = ListBits(events, words, scratch.numbers);
  if (events[words] != 0) return {scratch.numbers, nullptr, count};
  for (std::size_t k = 0; k < count; ++k) scratch.factors[k] = x[scratch.numbers[k]];
  return {scratch.numbers, scratch.factors, count};
}

// What a converter makes of the events' factors, that has levels from -half to half.
inline Events Converted(const Events& events, float half, const LifScratch& scratch) {
  if (half == 0 || events.factors == nullptr) return events;
  const float step = 1 / half;
  for (std::size_t k = 0; k < events.count; ++k) {
    float level = events.factors[k] * half;
    level = level < -half ? -half : level;
    level = level > half ? half : level;
    scratch.factors[k] = __builtin_rintf(level) * step;
  }
  return events;
}

// ---- Rows of a matrix, one for each input ---------------------------------------------------

// V vectors of a sum of some rows at a time, so that they stay in registers. What it starts with is
// added last, as to a dense product, so that a sample's bits do not depend on which of both there
// is.
template <std::size_t V, bool Factors>
inline void AddColumns(const float* rows, const Events& events, std::size_t width,
                       const float* start, float* sum) {
  const auto number = [&](std::size_t k, std::size_t v) {
    return Load(rows + events.numbers[k] * width + v * kLanes);
  };
  Floats total[V];
  for (std::size_t v = 0; v < V; ++v)
    total[v] = Factors ? events.factors[0] * number(0, v) : number(0, v);
  for (std::size_t k = 1; k < events.count; ++k)
    for (std::size_t v = 0; v < V; ++v)
      total[v] += Factors ? events.factors[k] * number(k, v) : number(k, v);
  for (std::size_t v = 0; v < V; ++v) Store(sum + v * kLanes, Load(start + v * kLanes) + total[v]);
}

template <bool Factors>
inline void AddAll(const float* rows, const Events& events, std::size_t width, const float* start,
                   float* sum) {
  std::size_t c = 0;
  for (; c + 8 * kLanes <= width; c += 8 * kLanes)
    AddColumns<8, Factors>(rows + c, events, width, start + c, sum + c);
  for (; c + 4 * kLanes <= width; c += 4 * kLanes)
    AddColumns<4, Factors>(rows + c, events, width, start + c, sum + c);
  for (; c + 2 * kLanes <= width; c += 2 * kLanes)
    AddColumns<2, Factors>(rows + c, events, width, start + c, sum + c);
  for (; c < width; c += kLanes)
    AddColumns<1, Factors>(rows + c, events, width, start + c, sum + c);
}

// sum = start + the rows of the events, times their factors. Padded rows.
inline void AddRows(const float* rows, const Events& events, const LifNeurons& n,
                    const float* start, float* sum) {
  if (events.count == 0) {
    for (std::size_t c = 0; c < n.width; c += kLanes) Store(sum + c, Load(start + c));
    return;
  }
  if (events.factors == nullptr) return AddAll<false>(rows, events, n.width, start, sum);
  AddAll<true>(rows, events, n.width, start, sum);
  // A factor that is no number makes something of the zeros behind the layer's size.
  for (std::size_t k = n.size; k < n.width; ++k) sum[k] = 0;
}

// To each of the rows of the events: += addend, times the row's factor.
inline void AddToRows(float* rows, const Events& events, std::size_t width, const float* addend) {
  for (std::size_t k = 0; k < events.count; ++k) {
    float* row = rows + events.numbers[k] * width;
    const float factor = events.factors == nullptr ? 1.0f : events.factors[k];
    for (std::size_t c = 0; c < width; c += kLanes)
      Store(row + c, Load(row + c) + factor * Load(addend + c));
  }
}

}  // namespace
}  // namespace xbarax::XBARAX_ISA
