// What GPUs run, on the host: layers against chains of one layer, numbers against the host's.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gpu/draws.h"
#include "gpu/lif_loop.h"
#include "kernels/lif.h"
#include "kernels/random.h"
#include "tests/check.h"
#include "tests/executors.h"
#include "tests/numbers.h"

namespace xbarax {
namespace {

using Floats = std::vector<float>;

void Close(const Floats& found, const Floats& expected, float tolerance) {
  float largest = 1;
  for (float x : expected) largest = std::max(largest, std::fabs(x));
  for (std::size_t k = 0; k < found.size(); ++k)
    CHECK(std::fabs(found[k] - expected[k]) <= tolerance * largest);
}

struct Sizes {
  int time, batch, size, samples, parts, cached;
};

// Four arrays of a state; without recurrent current the third is empty.
struct State {
  Floats membrane, current, recurrent, spikes;

  static State Drawn(test::Numbers* numbers, std::size_t size, bool recurrent, bool fractions) {
    const auto some = [&] { return numbers->Signed(size); };
    State state = {some(), some(), recurrent ? some() : Floats(), some()};
    if (fractions) state.spikes = numbers->Fractions(size);
    return state;
  }
  template <class Pointers>
  Pointers To() {
    return {membrane.data(), current.data(), recurrent.empty() ? nullptr : recurrent.data(),
            spikes.data()};
  }
};

void LayersAreThoseOfChains(const Sizes& s, int reset, bool recurrent, bool detach) {
  test::Numbers numbers(static_cast<std::uint32_t>(97 * s.size + reset + 2 * recurrent + detach));
  const std::size_t n = s.size, rows = static_cast<std::size_t>(s.time) * s.batch * n;
  const std::size_t state_size = static_cast<std::size_t>(s.batch) * n;
  Floats drive = numbers.Signed(rows), weights = numbers.Signed(recurrent ? n * n : 0);
  Floats bias = numbers.Signed(recurrent ? n : 0), decays = numbers.Fractions(6 * n);
  Floats spikes_bar = numbers.Signed(rows), membranes_bar = numbers.Signed(rows);
  for (float& x : drive) x *= 3;
  State start = State::Drawn(&numbers, state_size, recurrent, true);
  State end_bar = State::Drawn(&numbers, state_size, recurrent, false);

  // By the chain.
  LifLayer layer = {};
  layer.inputs = layer.size = n, layer.recurrent = recurrent, layer.detach = detach;
  layer.reset = static_cast<Reset>(reset), layer.gain = 3, layer.threshold = 0.75f;
  layer.steepness = 2, layer.decays = decays.data();
  layer.parameters.recurrent = recurrent ? weights.data() : nullptr;
  layer.parameters.recurrent_bias = recurrent ? bias.data() : nullptr;
  layer.state = start.To<LifState>();
  const LifChain chain = {
      static_cast<std::size_t>(s.time), static_cast<std::size_t>(s.batch), drive.data(), {layer}};
  Floats spikes(rows), membranes(rows), drive_bar(rows), no_weights(weights), bias_bar(bias);
  std::vector<std::uint32_t> bits(static_cast<std::size_t>(s.time) * s.batch * WordsOf(n));
  State end = start, start_bar = start;
  const LifTrace trace = {
      0, 0, true, nullptr, {bits.data()}, {membranes.data()}, {end.To<LifStateTo>()}};
  test::Nobody nobody;
  LifForward(chain, spikes.data(), {end.To<LifStateTo>()}, trace, nobody);
  const LifCotangents given = {
      spikes_bar.data(), {nullptr}, {membranes_bar.data()}, {end_bar.To<LifState>()}};
  const LifGradientsTo gradients = {nullptr, nullptr, recurrent ? no_weights.data() : nullptr,
                                    recurrent ? bias_bar.data() : nullptr};
  LifBackward(chain, trace, given, {drive_bar.data(), {gradients}, {start_bar.To<LifStateTo>()}},
              nobody);

  // As a GPU does.
  Floats turned(weights);
  for (std::size_t i = 0; recurrent && i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) turned[j * n + i] = weights[i * n + j];
  LifLoop loop = {};
  loop.time = s.time, loop.batch = s.batch, loop.size = s.size, loop.samples = s.samples;
  loop.parts = s.parts, loop.cached = recurrent ? s.cached : 0, loop.recurrent = recurrent;
  loop.detach = detach, loop.reset = reset, loop.gain = 3, loop.threshold = 0.75f;
  loop.steepness = 2, loop.decays = decays.data(), loop.weights = turned.data();
  loop.bias = recurrent ? bias.data() : nullptr, loop.start = start.To<LifLoopState>();
  Floats found(rows), found_membranes(rows), found_drive_bar(rows), feedback_bar(rows);
  State found_end = start, found_start_bar = start;
  LifLoopForward forward = {loop, drive.data(), found.data(), found_membranes.data(),
                            found_end.To<LifLoopStateTo>()};
  const int blocks = (s.batch + s.samples - 1) / s.samples;
  Floats shared(static_cast<std::size_t>(LifLoopForwardShared(loop)));
  for (int block = 0; block < blocks; ++block) RunLifLoopForward(forward, block, shared.data());
  loop.weights = weights.data();
  LifLoopBackward backward = {loop,
                              membranes.data(),
                              spikes_bar.data(),
                              membranes_bar.data(),
                              end_bar.To<LifLoopState>(),
                              found_drive_bar.data(),
                              feedback_bar.data(),
                              found_start_bar.To<LifLoopStateTo>()};
  shared.assign(static_cast<std::size_t>(LifLoopBackwardShared(loop)), 0);
  for (int block = 0; block < blocks; ++block) RunLifLoopBackward(backward, block, shared.data());

  CHECK(found == spikes);
  CHECK(std::count(spikes.begin(), spikes.end(), 1.0f) > 0 || rows == 0);
  Close(found_membranes, membranes, 1e-5f);
  Close(found_end.membrane, end.membrane, 1e-5f), Close(found_end.current, end.current, 1e-5f);
  Close(found_end.recurrent, end.recurrent, 1e-5f);
  CHECK(found_end.spikes == end.spikes);
  Close(found_drive_bar, drive_bar, 1e-4f);
  Close(found_start_bar.membrane, start_bar.membrane, 1e-4f);
  Close(found_start_bar.current, start_bar.current, 1e-4f);
  Close(found_start_bar.recurrent, start_bar.recurrent, 1e-4f);
  Close(found_start_bar.spikes, start_bar.spikes, 1e-4f);
  Floats sums(bias.size());  // by the bias: of all that comes by the feedback
  for (std::size_t k = 0; recurrent && k < rows; ++k) sums[k % n] += feedback_bar[k];
  Close(sums, bias_bar, 1e-4f);
}

void NumbersAreTheHosts() {
  const RandomKey key = {0x13198a2e, 0x03707344};
  const unsigned words[2] = {key.first, key.second};
  constexpr std::size_t kCount = 200000;  // some 700 of them in the tails
  Floats uniform(kCount), normal(kCount), found(kCount);
  BestRandom().uniform(key, 0, kCount, uniform.data());
  BestRandom().normal(key, 0, kCount, normal.data());
  GpuDraw draw = {words, kCount, kCount, false, found.data()};
  for (std::size_t k = 0; k < kCount; ++k) RunGpuDraw(draw, static_cast<long long>(k));
  CHECK(found == uniform);
  draw.normal = true;
  for (std::size_t k = 0; k < kCount; ++k) RunGpuDraw(draw, static_cast<long long>(k));
  for (std::size_t k = 0; k < kCount; ++k)
    CHECK(std::fabs(found[k] - normal[k]) <= 2e-6f * std::max(1.0f, std::fabs(normal[k])));
  for (std::size_t line : {1, 2, 3, 25, 256}) {
    constexpr std::size_t kLines = 60;
    const unsigned keys[4] = {key.first, key.second, 5, 7};
    const std::size_t counters = Counters(line);
    const auto whole = [](std::size_t n) { return static_cast<long long>(n); };
    const GpuDrawPairs pairs = {keys, whole(2 * kLines * counters), whole(kLines), whole(line),
                                found.data()};
    std::fill(found.begin(), found.end(), 99.0f);
    for (long long k = 0; k < pairs.total; ++k) RunGpuDrawPairs(pairs, k);
    for (std::size_t i = 0; i < 2 * kLines; ++i)
      BestRandom().paired_normal({keys[i / kLines * 2], keys[i / kLines * 2 + 1]},
                                 i % kLines * counters, line, normal.data() + i * line);
    for (std::size_t k = 0; k < 2 * kLines * line; ++k)
      CHECK(std::fabs(found[k] - normal[k]) <= 2e-6f * std::max(1.0f, std::fabs(normal[k])));
    CHECK(found[2 * kLines * line] == 99.0f);
  }
  RandomKey folded;
  const std::uint32_t number = 77;
  unsigned to[2];
  BestRandom().fold_in(&key, &number, 1, &folded);
  RunGpuFoldIn({words, &number, 1, to}, 0);
  CHECK(to[0] == folded.first && to[1] == folded.second);
}

}  // namespace
}  // namespace xbarax

int main() {
  for (int reset : {0, 1, 2})
    for (bool recurrent : {false, true})
      for (bool detach : {false, true})
        for (const xbarax::Sizes& sizes : {xbarax::Sizes{9, 5, 12, 2, 3, 8},
                                           {9, 3, 7, 1, 2, 0},
                                           {5, 2, 40, 1, 8, 40},
                                           {6, 4, 64, 4, 1, 0},
                                           {0, 2, 4, 1, 1, 0},
                                           {40, 3, 1, 3, 1, 0}})
          xbarax::LayersAreThoseOfChains(sizes, reset, recurrent, detach);
  xbarax::NumbersAreTheHosts();
  return xbarax::test::Result();
}
