// Compiled several times, with XBARAX_ISA naming the instruction set. Everything here has internal
// linkage but kRandom.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/random.h"
#include "kernels/random_lanes.h"

namespace xbarax::XBARAX_ISA {
namespace {

template <std::size_t V>
struct UniformNumbers {
  static void From(const Words* bits, Floats* to) {
    for (std::size_t v = 0; v < V; ++v) to[v] = Uniform(bits[v]);
  }
};

template <std::size_t V>
struct NormalNumbers {
  static void From(const Words* bits, Floats* to) { Normal<V>(bits, to); }
};

// Up to V vectors of numbers.
template <template <std::size_t> class Numbers, std::size_t V>
inline void Some(RandomKey key, std::uint64_t start, std::size_t count, float* to) {
  Words bits[V];
  Floats numbers[V];
  Bits<V>(key, start, bits);
  Numbers<V>::From(bits, numbers);
  std::memcpy(to, numbers, count * sizeof(float));
}

template <template <std::size_t> class Numbers>
inline void Fill(RandomKey key, std::uint64_t start, std::size_t count, float* to) {
  constexpr std::size_t kBlock = kRandomVectors * kLanes;
  std::size_t done = 0;
  for (; done + kBlock <= count; done += kBlock)
    Some<Numbers, kRandomVectors>(key, start + done, kBlock, to + done);
  for (; done + kLanes < count; done += 2 * kLanes)
    Some<Numbers, 2>(key, start + done, count - done < 2 * kLanes ? count - done : 2 * kLanes,
                     to + done);
  if (done < count) Some<Numbers, 1>(key, start + done, count - done, to + done);
}

void FillUniform(RandomKey key, std::uint64_t start, std::size_t count, float* to) {
  Fill<UniformNumbers>(key, start, count, to);
}

void FillNormal(RandomKey key, std::uint64_t start, std::size_t count, float* to) {
  Fill<NormalNumbers>(key, start, count, to);
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
