// Compiled several times, with XBARAX_ISA naming the instruction set. Everything here has internal
// linkage but kRandom.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/random.h"
#include "kernels/random_lanes.h"

namespace xbarax::XBARAX_ISA {
namespace {

// Up to V vectors of numbers.
template <std::size_t V>
inline void SomeUniform(const KeyWords& words, std::uint64_t start, std::size_t count, float* to) {
  Words bits[V];
  Floats numbers[V];
  words.Get<V>(start, bits);
  for (std::size_t v = 0; v < V; ++v) numbers[v] = Uniform(bits[v]);
  std::memcpy(to, numbers, count * sizeof(float));
}

void FillUniform(RandomKey key, std::uint64_t start, std::size_t count, float* to) {
  constexpr std::size_t kBlock = kRandomVectors * kLanes;
  const KeyWords words(key);
  std::size_t done = 0;
  for (; done + kBlock <= count; done += kBlock)
    SomeUniform<kRandomVectors>(words, start + done, kBlock, to + done);
  for (; done + kLanes < count; done += 2 * kLanes)
    SomeUniform<2>(words, start + done, count - done < 2 * kLanes ? count - done : 2 * kLanes,
                   to + done);
  if (done < count) SomeUniform<1>(words, start + done, count - done, to + done);
}

void FillNormal(RandomKey key, std::uint64_t start, std::size_t count, float* to) {
  ForEachNormals(key, start, count, [&](std::size_t done, std::size_t vectors, const Floats* from) {
    const std::size_t most = vectors * kLanes, rest = count - done;
    if (rest < most) std::memcpy(to + done, from, rest * sizeof(float));
    if (rest < most) return;
    for (std::size_t v = 0; v < vectors; ++v) Store(to + done + v * kLanes, from[v]);
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

extern const Random kRandom = {FillUniform, FillNormal, FoldIn};

}  // namespace xbarax::XBARAX_ISA
