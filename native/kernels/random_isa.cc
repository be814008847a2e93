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
template <Floats (*Number)(Words), std::size_t V>
inline void Some(RandomKey key, std::uint64_t start, std::size_t count, float* to) {
  Words bits[V];
  Floats numbers[V];
  Bits<V>(key, start, bits);
  for (std::size_t v = 0; v < V; ++v) numbers[v] = Number(bits[v]);
  std::memcpy(to, numbers, count * sizeof(float));
}

template <Floats (*Number)(Words)>
inline void Fill(RandomKey key, std::uint64_t start, std::size_t count, float* to) {
  constexpr std::size_t kBlock = kRandomVectors * kLanes;
  std::size_t done = 0;
  for (; done + kBlock <= count; done += kBlock)
    Some<Number, kRandomVectors>(key, start + done, kBlock, to + done);
  for (; done + kLanes < count; done += 2 * kLanes)
    Some<Number, 2>(key, start + done, count - done < 2 * kLanes ? count - done : 2 * kLanes,
                    to + done);
  if (done < count) Some<Number, 1>(key, start + done, count - done, to + done);
}

void FillUniform(RandomKey key, std::uint64_t start, std::size_t count, float* to) {
  Fill<Uniform>(key, start, count, to);
}

void FillNormal(RandomKey key, std::uint64_t start, std::size_t count, float* to) {
  Fill<Normal>(key, start, count, to);
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
