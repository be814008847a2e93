// Products of the events of many rows at once. Each input's rows are listed, and some columns of
// all are added up after the others, so that what is larger than the second cache is not fetched
// again for each event.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/lanes.h"
#include "kernels/lif_events.h"
#include "kernels/lif_loops.h"

namespace xbarax::XBARAX_ISA {
namespace {

// Those of a row of what is collected; they are listed from `place` on.
inline Events EventsOf(const LifCollected& c, std::size_t row, std::size_t place) {
  const LifInputs& in = c.inputs;
  const std::size_t r = row / c.samples * c.apart + row % c.samples, words = WordsOf(in.size);
  const LifScratch room = {c.room.numbers + place, c.room.factors + place, nullptr, nullptr};
  if (in.xs == nullptr) return Spikes(in.below + r * words, in.size, room);
  return Converted(Values(in.xs + r * in.size, in.events + r * (words + 1), in.size, room), in.half,
                   room);
}

// Lists, for each input, the rows from `first` on that have an event of it, as many as there is
// room for, and returns where they end.
inline std::size_t ListRows(const LifCollected& c, std::size_t first, bool* factors) {
  const LifCollectedRoom& room = c.room;
  const std::size_t inputs = c.inputs.size;
  for (std::size_t i = 0; i <= inputs; ++i) room.begins[i] = 0;
  *factors = false;
  std::size_t rows = 0, place = 0;
  for (; first + rows < c.steps * c.samples && rows < room.rows && place + inputs <= room.events;
       ++rows) {
    const Events events = EventsOf(c, first + rows, place);
    for (std::size_t k = 0; k < events.count; ++k) ++room.begins[events.numbers[k] + 1];
    if (events.factors != nullptr && !*factors) {
      *factors = true;
      for (std::size_t k = 0; k < place; ++k) room.factors[k] = 1;
    } else if (events.factors == nullptr && *factors) {
      for (std::size_t k = 0; k < events.count; ++k) room.factors[place + k] = 1;
    }
    place += events.count;
    room.ends[rows] = static_cast<std::uint32_t>(place);
  }
  for (std::size_t i = 0; i < inputs; ++i) room.begins[i + 1] += room.begins[i];
  for (std::size_t r = 0, k = 0; r < rows; ++r)
    for (const std::size_t end = room.ends[r]; k < end; ++k) {
      const std::uint32_t to = room.begins[room.numbers[k]]++;
      room.listed[to] = static_cast<std::uint32_t>(r);
      if (*factors) room.listed_factors[to] = room.factors[k];
    }
  return first + rows;  // each input's list now begins where that of the one before says
}

template <std::size_t V, bool Factors>
inline void GatherColumns(const LifCollected& c, const float* rows, float* matrix) {
  const std::size_t width = c.neurons->width;
  for (std::size_t i = 0, begin = 0; i < c.inputs.size; ++i) {
    const std::size_t end = c.room.begins[i];
    if (begin == end) continue;
    const Events events = {c.room.listed + begin, c.room.listed_factors + begin, end - begin};
    AddColumns<V, Factors>(rows, events, width, matrix + i * width, matrix + i * width);
    begin = end;
  }
}

template <bool Factors>
inline void GatherRows(const LifCollected& c, const float* rows) {
  const std::size_t width = c.neurons->width;
  std::size_t k = 0;
  for (; k + 8 * kLanes <= width; k += 8 * kLanes)
    GatherColumns<8, Factors>(c, rows + k, c.matrix + k);
  for (; k + 4 * kLanes <= width; k += 4 * kLanes)
    GatherColumns<4, Factors>(c, rows + k, c.matrix + k);
  for (; k + 2 * kLanes <= width; k += 2 * kLanes)
    GatherColumns<2, Factors>(c, rows + k, c.matrix + k);
  for (; k < width; k += kLanes) GatherColumns<1, Factors>(c, rows + k, c.matrix + k);
}

void GatherCollected(const LifCollected& c) {
  bool factors = false;
  for (std::size_t first = 0, end = 0; first < c.steps * c.samples; first = end) {
    end = ListRows(c, first, &factors);
    const float* rows = c.rows + first * c.neurons->width;
    factors ? GatherRows<true>(c, rows) : GatherRows<false>(c, rows);
  }
}

}  // namespace
}  // namespace xbarax::XBARAX_ISA
