// Compiled several times, with XBARAX_ISA naming the instruction set. Everything here has internal
// linkage but kRandom.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/paired_normals.h"
#include "kernels/random.h"
#include "kernels/random_lanes.h"

namespace xbarax::XBARAX_ISA {
namespace {

// Up to V vectors of numbers.
template <std::size_t V>
inline void SomeUniform(const KeyWords& words, const Consecutive& counters, std::size_t done,
                        std::size_t count, float* to) {
  Words bits[V];
  Floats numbers[V];
  words.Get<V>(counters, done / kLanes, bits);
  for (std::size_t v = 0; v < V; ++v) numbers[v] = Uniform(bits[v]);
  const std::size_t some = count - done < V * kLanes ? count - done : V * kLanes;
  std::memcpy(to + done, numbers, some * sizeof(float));
}

void FillUniform(RandomKey key, std::uint64_t start, std::size_t count, float* to) {
  constexpr std::size_t kBlock = kRandomVectors * kLanes;
  const KeyWords words(key);
  const Consecutive counters(start);
  std::size_t done = 0;
  for (; done + kBlock <= count; done += kBlock)
    SomeUniform<kRandomVectors>(words, counters, done, count, to);
  for (; done + kLanes < count; done += 2 * kLanes)
    SomeUniform<2>(words, counters, done, count, to);
  if (done < count) SomeUniform<1>(words, counters, done, count, to);
}

// The first `count` of some vectors of numbers.
inline void PutSome(const Floats* numbers, std::size_t vectors, std::size_t count, float* to) {
  if (count < vectors * kLanes) return void(std::memcpy(to, numbers, count * sizeof(float)));
  for (std::size_t v = 0; v < vectors; ++v) Store(to + v * kLanes, numbers[v]);
}

// As for ForEachQuadruples, bits of the next numbers are found beside these.
void FillNormal(RandomKey key, std::uint64_t start, std::size_t count, float* to) {
  constexpr std::size_t V = kRandomVectors, kBlock = V * kLanes;
  const KeyWords words(key);
  const Consecutive counters(start);
  Words bits[V];
  Floats numbers[V];
  std::size_t done = 0;
  if (count > 2 * kLanes) {
    words.Get<V>(counters, 0, bits);
    for (; done + kBlock + 2 * kLanes < count; done += kBlock) {
      NormalSteps<V> steps(bits);
      Words x[V], y[V];
      words.GetBoth<V>(counters, (done + kBlock) / kLanes, x, y,
                       [&](auto round) { steps.template Step<round.value>(); });
      steps.End(numbers);
      PutSome(numbers, V, kBlock, to + done);
      for (std::size_t v = 0; v < V; ++v) bits[v] = x[v] ^ y[v];
    }
    Normal<V>(bits, numbers);
    PutSome(numbers, V, count - done, to + done);
    done += kBlock;
  }
  if (done + kLanes < count) {
    words.Get<2>(counters, done / kLanes, bits);
    Normal<2>(bits, numbers);
    PutSome(numbers, 2, count - done, to + done);
  } else if (done < count) {
    words.Get<1>(counters, done / kLanes, bits);
    Normal<1>(bits, numbers);
    PutSome(numbers, 1, count - done, to + done);
  }
}

void FillPairedNormal(RandomKey key, std::uint64_t start, std::size_t count, float* to) {
  const std::size_t quarter = Counters(count);
  ForEachQuadruples(
      key, start, quarter, [&](std::size_t i, std::size_t vectors, const Quadruples& numbers) {
        for (std::size_t q = 0; q < 4; ++q) {
          const std::size_t end = (q + 1) * quarter < count ? (q + 1) * quarter : count;
          if (const std::size_t at = q * quarter + i; at < end)
            PutSome(numbers[q], vectors, end - at, to + at);
        }
      });
}

void FoldIn(const RandomKey* keys, const std::uint32_t* data, std::size_t count, RandomKey* to) {
  for (std::size_t done = 0; done < count; done += kLanes) {
    const std::size_t some = count - done < kLanes ? count - done : kLanes;
    Words first = {}, second = {}, x = {}, y = {};
    for (std::size_t lane = 0; lane < some; ++lane) {
      first[lane] = keys[done + lane].first;
      second[lane] = keys[done + lane].second;
      y[lane] = data[done + lane];
    }
    Threefry<1>(first, second, &x, &y);
    for (std::size_t lane = 0; lane < some; ++lane) to[done + lane] = {x[lane], y[lane]};
  }
}

}  // namespace

extern const Random kRandom = {FillUniform, FillNormal, FillPairedNormal, FoldIn};

}  // namespace xbarax::XBARAX_ISA
