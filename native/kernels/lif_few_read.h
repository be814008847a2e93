// Reads of simulated chips' arrays, with a sample in each lane: what a read does once for each row,
// such as to find its largest current, is done for a whole vector of rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/analog_converters.h"
#include "kernels/analog_tile.h"
#include "kernels/lanes.h"
#include "kernels/lif_few.h"
#include "kernels/lif_few_lanes.h"
#include "kernels/paired_normals.h"
#include "kernels/random.h"

namespace xbarax::XBARAX_ISA {
namespace {

// What reads work in, one after the other.
struct ReadRoom {
  float *volts, *squares;   // (drives, lanes)
  float *sums, *variances;  // (planes · lines, lanes): currents, and those of their noise
  float* counters;          // vectors of random counters, from a read's first on
  float* normal;            // (4 · counters, lanes): normal numbers, four of each counter
};

// Room for the largest of a chain's reads, forward or backward.
inline ReadRoom TakeReadRoom(const LifFewChain& c, LifFewRoom* room) {
  std::size_t drives = 0, sums = 0;
  for (std::size_t l = 0; l < c.count; ++l)
    for (const LifFewReads* reads : {&c.layers[l].input_reads, &c.layers[l].recurrent_reads})
      for (const AnalogTile* tile : {reads->forward, reads->backward}) {
        if (tile == nullptr) continue;
        drives = tile->drives > drives ? tile->drives : drives;
        const std::size_t lines = tile->planes * tile->lines;
        sums = lines > sums ? lines : sums;
      }
  ReadRoom r;
  r.volts = Take(drives, room), r.squares = Take(drives, room);
  r.sums = Take(sums, room), r.variances = Take(sums, room);
  r.counters = Take(sums == 0 ? 0 : Counters(sums) + kRandomVectors, room);
  r.normal = Take(4 * Counters(sums), room);
  return r;
}

// From inputs to voltages, and the sum of their squares in each lane.
template <std::size_t V, Which kWhich>
void Drive(const AnalogTile& t, const Values& x, const ReadRoom& room, Floats* power) {
  const std::size_t inputs = t.inputs(), count = kWhich == Which::kAll ? inputs : x.count;
  const bool scaled = t.dac_scaled && t.dac.half != 0;
  const Floats unit = Splat(t.unit);
  for (std::size_t v = 0; v < V; ++v) {
    const auto each = [&](auto body) {
      for (std::size_t k = 0; k < count; ++k)
        body(((kWhich == Which::kAll ? k : x.numbers[k]) * V + v) * kLanes);
    };
    Ints largest = {};
    if (scaled)
      each([&](std::size_t at) { largest = Larger(MagnitudeBits(Load(x.lanes + at)), largest); });
    const Quantiser quantise(t.dac, scaled ? BitCast<Floats>(largest) : Splat(1));
    Floats total = {}, squares = {};
    const auto put = [&](std::size_t at, Floats volts) {
      Store(room.volts + at, volts);
      const Floats square = volts * volts;
      if (t.variances != nullptr) Store(room.squares + at, square);
      squares += square;
    };
    each([&](std::size_t at) {
      const Floats volts = quantise(Load(x.lanes + at)) * unit;
      put(at, volts);
      total += volts;
    });
    if (t.drive_column) put((inputs * V + v) * kLanes, -total);
    power[v] = squares;
  }
}

// y (planes · lines, lanes) = the matrix times x.
template <std::size_t V, Which kWhich>
void MultiplyTile(const AnalogTile& t, const float* matrix, const Values& x, float* y) {
  const std::size_t columns = t.planes * t.lines, width = t.panel_columns;
  for (std::size_t c = 0; c < columns; c += width) {
    const std::size_t outputs = columns - c < width ? columns - c : width;
    Product<V, kWhich>({matrix + c * t.drives, outputs, width}, x, nullptr, y + c * V * kLanes);
  }
}

// Normal numbers of samples from number `first` on; others, but finite ones, for samples whose
// lines nothing drives, which have a power of 0. They are drawn for halves of vectors, two at a
// time, so that no lane is idle where half of the last vector's have a sample.
template <std::size_t V>
void DrawNoise(const AnalogTile& t, RandomKey key, std::size_t first, std::size_t samples,
               const Floats* power, const ReadRoom& room) {
  constexpr std::size_t kHalf = kLanes / 2;
  const std::size_t quarter = Counters(t.planes * t.lines);
  Words lanes;
  for (std::size_t lane = 0; lane < kLanes; ++lane)
    lanes[lane] = static_cast<std::uint32_t>(lane * quarter);
  std::size_t halves[2 * V], n_halves = 0, count = 0;  // those that are driven; their counters
  for (std::size_t h = 0; h < 2 * V && h * kHalf < samples; ++h) {
    const unsigned driven = Differ(power[h / 2], Floats{});
    if ((h % 2 == 0 ? driven & ((1u << kHalf) - 1) : driven >> kHalf) == 0) continue;
    halves[n_halves++] = h;
    for (std::size_t i = 0; i < quarter; ++i, ++count)
      StoreLow(room.counters + count * kHalf,
               BitCast<Floats>(lanes + static_cast<std::uint32_t>(h * kHalf * quarter + i)));
  }
  const Tabled counters(static_cast<std::uint64_t>(first) * quarter, room.counters,
                        static_cast<std::uint32_t>((V * kLanes + 1) * quarter));
  std::size_t done = 0, half = 0, i = 0;
  const auto next = [&] {
    float* const to = room.normal + i * V * kLanes + halves[half] * kHalf;
    ++done;
    if (++i == quarter) i = 0, ++half;
    return to;
  };
  const std::size_t apart = quarter * V * kLanes;  // quarters of numbers
  ForEachQuadruples(KeyWords(key), counters, (count + 1) / 2,
                    [&](std::size_t, std::size_t vectors, const Quadruples& numbers) {
                      for (std::size_t k = 0; k < vectors; ++k) {
                        float* to = next();
                        for (std::size_t q = 0; q < 4; ++q) StoreLow(to + q * apart, numbers[q][k]);
                        if (done == count) continue;
                        to = next();
                        for (std::size_t q = 0; q < 4; ++q)
                          StoreHigh(to + q * apart, numbers[q][k]);
                      }
                    });
}

// Adds noise to the currents of one vector of a plane's lines, from number `first` of the room's
// on. The largest that come of it in each lane. What does not change is copied first: for all that
// compilers know, what is stored could change it.
template <std::size_t V, bool kEach>
Floats AddNoise(const AnalogTile& t, std::size_t first, Floats power, const ReadRoom& room) {
  const Floats of_all = Sqrt(t.variance * power);
  float* const sums = room.sums + first;
  const float *const variances = room.variances + first, *const normal = room.normal + first;
  const std::size_t end = t.lines * V * kLanes;
  Ints largest = {};
  for (std::size_t at = 0; at < end; at += V * kLanes) {
    const Floats deviation = kEach ? Sqrt(Load(variances + at)) : of_all;
    const Floats sum = Load(sums + at) + deviation * Load(normal + at);
    Store(sums + at, sum);
    largest = Larger(MagnitudeBits(sum), largest);
  }
  return BitCast<Floats>(largest);
}

template <std::size_t V>
Floats Largest(const AnalogTile& t, const float* sums) {
  Ints largest = {};
  for (std::size_t c = 0; c < t.lines; ++c)
    largest = Larger(MagnitudeBits(Load(sums + c * V * kLanes)), largest);
  return BitCast<Floats>(largest);
}

// Adds what comes of one vector of a plane's currents to the results; those of planes with the same
// currents cancel.
template <std::size_t V, class Quantise>
void AddLines(const AnalogTile& t, const float* sums, Floats factor, const Quantise& quantise,
              float* y) {
  const std::size_t outputs = t.outputs();
  const Floats column = t.line_column ? quantise(Load(sums + outputs * V * kLanes)) : Floats{};
  for (std::size_t at = 0; at < outputs * V * kLanes; at += V * kLanes)
    Store(y + at, Load(y + at) + Rounded(factor * (quantise(Load(sums + at)) - column)));
}

// The same for currents with noise. What one lane's full scale is must not show in others.
template <std::size_t V>
void AddNumbers(const AnalogTile& t, const float* sums, Floats factor, const Quantiser& converter,
                float* y) {
  const Floats by = factor * converter.step(), levels = converter.levels();
  const Ints has = converter.HasLevels();
  if (Mask(has) == (1u << kLanes) - 1)
    return AddLines<V>(t, sums, by, [&](Floats x) { return Round(x * levels); }, y);
  const auto number = [&](Floats x) { return Select(has, Round(x * levels), converter.Number(x)); };
  AddLines<V>(t, sums, by, number, y);
}

// From currents to results with noise, which are added to y.
template <std::size_t V>
void Convert(const AnalogTile& t, const Floats* power, const ReadRoom& room, float* y) {
  for (std::size_t p = 0; p < t.planes; ++p)
    for (std::size_t v = 0; v < V; ++v) {
      const std::size_t first = (p * t.lines * V + v) * kLanes;
      const float* const sums = room.sums + first;
      const Floats largest = !t.noisy()               ? Largest<V>(t, sums)
                             : t.variances == nullptr ? AddNoise<V, false>(t, first, power[v], room)
                                                      : AddNoise<V, true>(t, first, power[v], room);
      const Floats factor = Splat(t.factors[p]);
      const auto add = [&](Floats by, const auto& quantise) {
        AddLines<V>(t, sums, by, quantise, y + v * kLanes);
      };
      const Quantiser converter(t.adc, largest);
      if (t.adc.half == 0)
        add(factor, [](Floats x) { return x; });
      else if (!t.adc.is_signed)
        add(factor, [&](Floats x) { return converter(x); });
      else if (!t.noisy())
        add(factor, [&](Floats x) { return converter.Within(x); });
      else
        AddNumbers<V>(t, sums, factor, converter, y + v * kLanes);
    }
}

// y (outputs, lanes) = the biases, if any, + a read of the samples from number `first` on, with the
// key of a step, which may be null where there is no noise.
template <std::size_t V, Which kWhich>
void Read(const AnalogTile& t, const Values& x, const RandomKey* key, std::size_t first,
          std::size_t samples, const float* biases, const ReadRoom& room, float* y) {
  for (std::size_t c = 0; c < t.outputs(); ++c)
    for (std::size_t v = 0; v < V; ++v)
      Store(y + (c * V + v) * kLanes, biases == nullptr ? Floats{} : Splat(biases[c]));
  if (kWhich != Which::kAll && x.count == 0) return;  // no current is there to be noisy
  Floats power[V];
  Drive<V, kWhich>(t, x, room, power);
  const std::size_t count = kWhich == Which::kAll ? t.drives : x.count;
  MultiplyTile<V, kWhich>(t, t.conductance, {room.volts, x.numbers, count}, room.sums);
  if (t.variances != nullptr)
    MultiplyTile<V, kWhich>(t, t.variances, {room.squares, x.numbers, count}, room.variances);
  if (t.noisy()) DrawNoise<V>(t, *key, first, samples, power, room);
  Convert<V>(t, power, room, y);
}

}  // namespace
}  // namespace xbarax::XBARAX_ISA
