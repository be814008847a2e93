// Pulses by every instruction set that this processor can execute, against pulses one by one in
// double precision.
#include "kernels/pulses.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/isa.h"
#include "tests/check.h"
#include "tests/executors.h"

namespace xbarax {
namespace {

constexpr RandomKey kIdentity = {3, 1}, kKey = {4, 1};

std::vector<const PulseSteps*> Executable() {
  std::vector<const PulseSteps*> all = {&baseline::kPulseSteps};
#if defined(XBARAX_X86_ISAS)
  if (Has(Isa::kAvx2)) all.push_back(&avx2::kPulseSteps);
  if (Has(Isa::kAvx512)) all.push_back(&avx512::kPulseSteps);
#endif
  return all;
}

// Cells without spreads or noise: what they do is known without random numbers.
PulsedCells Quiet(float slope_up, float slope_down) {
  PulsedCells cells = {};
  cells.step_up = 0.01f, cells.step_down = 0.02f;
  cells.lower = -0.8f, cells.upper = 0.6f;
  cells.slope_up = slope_up, cells.slope_down = slope_down;
  return cells;
}

struct Run {
  std::vector<float> state;
  std::unique_ptr<bool[]> cut;

  Run(const PulsedCells& cells, const std::vector<float>& from,
      const std::vector<std::int32_t>& pulses, const PulseSteps& steps, Executor& executor)
      : state(from.size()), cut(new bool[from.size()]) {
    Pulse(cells, kIdentity, kKey, from.size(), from.data(), pulses.data(), state.data(), cut.get(),
          executor, steps);
  }
};

void IsOneByOne(const PulseSteps& steps) {
  test::Nobody nobody;
  for (float slope : {0.0f, 0.3f, 1 / 0.6f}) {
    const PulsedCells cells = Quiet(slope, -slope / 2);
    std::vector<float> from;
    std::vector<std::int32_t> pulses;
    for (std::int32_t n = -60; n <= 60; ++n) from.push_back(0.01f * n * 0.5f), pulses.push_back(n);
    const Run run(cells, from, pulses, steps, nobody);
    for (std::size_t k = 0; k < from.size(); ++k) {
      double state = from[k];
      for (std::int32_t i = 0; i < std::abs(pulses[k]); ++i) {
        state += pulses[k] > 0 ? double{cells.step_up} * (1 - double{cells.slope_up} * state)
                               : -double{cells.step_down} * (1 - double{cells.slope_down} * state);
        state = std::clamp(state, double{cells.lower}, double{cells.upper});
      }
      CHECK(std::abs(run.state[k] - state) < 3e-6);
      if (state < cells.upper - 1e-5 && state > cells.lower + 1e-5) CHECK(!run.cut[k]);
    }
  }
}

// Mean and variance of many cells far from their bounds, which add up what each pulse does.
void HasTheNoiseOfPulses(const PulseSteps& steps) {
  PulsedCells cells = Quiet(0, 0);
  cells.lower = -1000, cells.upper = 1000;
  cells.cycle_noise = 0.5f, cells.additive = true;
  constexpr std::size_t kCells = 40000;
  constexpr std::int32_t kPulses = 9;
  test::Threads threads;
  const Run run(cells, std::vector<float>(kCells), std::vector<std::int32_t>(kCells, kPulses),
                steps, threads);
  double sum = 0, squares = 0;
  for (float state : run.state) sum += state, squares += double{state} * state;
  const double mean = sum / kCells, variance = squares / kCells - mean * mean;
  const double expected = kPulses * std::pow(0.01 * 0.5, 2);
  // Five deviations of the mean and of the variance of a normal sample.
  CHECK(std::abs(mean - kPulses * 0.01) < 5 * std::sqrt(expected / kCells));
  CHECK(std::abs(variance - expected) < 5 * expected * std::sqrt(2.0 / kCells));
}

// What becomes of a cell depends neither on the others nor on the threads.
void IsTheSameInTasks(const PulseSteps& steps) {
  PulsedCells cells = Quiet(0, 0);
  cells.own_bounds = cells.additive = true;
  cells.step_spread = cells.lower_spread = cells.upper_spread = cells.asymmetry_spread = 0.3f;
  cells.cycle_noise = 0.4f;
  constexpr std::size_t kCells = 7001;
  std::vector<float> from(kCells);
  std::vector<std::int32_t> all(kCells), few(kCells);
  for (std::size_t k = 0; k < kCells; ++k) {
    from[k] = 0.1f * std::sin(static_cast<float>(k));
    all[k] = static_cast<std::int32_t>(k % 41) - 20;
    few[k] = k % 5 == 3 ? all[k] : 0;
  }
  test::Nobody nobody;
  test::Pool pool(2);
  const Run alone(cells, from, all, steps, nobody), together(cells, from, all, steps, pool);
  const Run sparse(cells, from, few, steps, pool);
  CHECK(alone.state == together.state);
  for (std::size_t k = 0; k < kCells; ++k)
    CHECK(sparse.state[k] == (few[k] == 0 ? from[k] : alone.state[k]));
}

}  // namespace
}  // namespace xbarax

int main() {
  for (const xbarax::PulseSteps* steps : xbarax::Executable()) {
    xbarax::IsOneByOne(*steps);
    xbarax::HasTheNoiseOfPulses(*steps);
    xbarax::IsTheSameInTasks(*steps);
  }
  return xbarax::test::Result();
}
