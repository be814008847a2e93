// Pulses by every instruction set that this processor can execute, against pulses one by one in
// double precision.
#include "kernels/pulses.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
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
  std::vector<float> state, written;
  PulseTotals totals;

  Run(const PulsedCells& cells, const std::vector<float>& from, const PulseRequest& request,
      const PulseSteps& steps, Executor& executor)
      : state(from.size()), written(from.size()) {
    const std::vector<float> before(from.size(), 5.0f);
    const bool has = cells.written > 0;
    const PulsedStates states = {from.data(), has ? before.data() : nullptr, state.data(),
                                 has ? written.data() : nullptr};
    totals = Pulse(cells, kIdentity, kKey, from.size(), states, request, executor, steps);
  }
  Run(const PulsedCells& cells, const std::vector<float>& from,
      const std::vector<std::int32_t>& pulses, const PulseSteps& steps, Executor& executor)
      : Run(cells, from, Counts(pulses), steps, executor) {}

  static PulseRequest Counts(const std::vector<std::int32_t>& pulses) {
    PulseRequest request = {};
    request.counts = pulses.data();
    return request;
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
    std::int64_t most = 0, given = 0;
    for (std::size_t k = 0; k < from.size(); ++k) {
      given += std::abs(pulses[k]);
      double state = from[k];
      for (std::int32_t i = 0; i < std::abs(pulses[k]); ++i) {
        state += pulses[k] > 0 ? double{cells.step_up} * (1 - double{cells.slope_up} * state)
                               : -double{cells.step_down} * (1 - double{cells.slope_down} * state);
        state = std::clamp(state, double{cells.lower}, double{cells.upper});
      }
      CHECK(std::abs(run.state[k] - state) < 3e-6);
      if (state > cells.upper - 1e-5 || state < cells.lower + 1e-5) ++most;
    }
    CHECK(run.totals.cut <= most);
    CHECK(run.totals.pulses == given && run.totals.capped == 0);
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

// Changes are as many pulses in the mean; the most that is given holds some back.
void RoundsAtRandom(const PulseSteps& steps) {
  PulsedCells cells = Quiet(0, 0);
  cells.lower = -1000, cells.upper = 1000;
  constexpr std::size_t kCells = 30000;
  const float siemens = 2e-7f;
  std::vector<float> changes(kCells, 2.3f * siemens);
  changes[0] = std::nanf(""), changes[1] = -INFINITY, changes[2] = -9 * siemens, changes[3] = 0;
  PulseRequest request = {};
  request.changes = changes.data();
  request.siemens_up = siemens, request.siemens_down = 3 * siemens, request.most = 6;
  test::Pool pool(2);
  const Run run(cells, std::vector<float>(kCells), request, steps, pool);
  const float up = cells.step_up, down = cells.step_down;
  CHECK(run.state[0] == 0 && run.state[3] == 0);
  CHECK(std::abs(run.state[1] + 6 * down) < 1e-6f && std::abs(run.state[2] + 3 * down) < 1e-6f);
  CHECK(run.totals.capped == 1);
  double sum = 0;
  for (std::size_t k = 4; k < kCells; ++k) {
    const double pulses = run.state[k] / up;
    CHECK(std::abs(pulses - 2) < 1e-4 || std::abs(pulses - 3) < 1e-4);
    sum += pulses;
  }
  // Five deviations of the mean of numbers that are 1 with probability 0.3.
  CHECK(std::abs(sum / (kCells - 4) - 2.3) < 5 * std::sqrt(0.21 / kCells));
}

// Cells come from where they begin as near to their targets as whole steps allow.
void GoesToTargets(const PulseSteps& steps) {
  PulsedCells cells = Quiet(0, 0);
  cells.written = 0.5f;
  // Where one more of 50 steps up, of 40 down, comes nearer.
  std::vector<float> rises, falls;
  for (int n = 0; n < 50; ++n) rises.push_back(0.1f + (n + 0.5f) * cells.step_up);
  for (int n = 0; n < 40; ++n) falls.push_back(-0.1f + (n + 0.5f) * cells.step_down);
  const std::vector<float> targets = {0.304f, -0.31f, 0.1f, 0.2f, 9.0f, std::nanf("")};
  const bool where[] = {true, true, true, false, true, true};
  PulseRequest request = {};
  request.targets = targets.data(), request.where = where, request.begin = 0.1f;
  request.rises = rises.data(), request.n_rises = rises.size();
  request.falls = falls.data(), request.n_falls = falls.size();
  test::Nobody nobody;
  const Run run(cells, std::vector<float>(targets.size(), 0.25f), request, steps, nobody);
  const float expected[] = {0.3f, -0.3f, 0.1f, 0.25f, 0.6f, -0.7f};
  for (std::size_t k = 0; k < targets.size(); ++k)
    CHECK(std::abs(run.state[k] - expected[k]) < 2e-6f);
  CHECK(run.totals.pulses == 20 + 20 + 50 + 40);
  CHECK(run.written[2] == 0 && run.written[3] == 5);  // set back, and left alone
  CHECK(run.written[0] != 0 && run.written[0] != 5);
}

// Cells that never move do not count as stopped by a bound.
void LeavesOutFailedCells(const PulseSteps& steps) {
  PulsedCells cells = Quiet(0, 0);
  constexpr std::size_t kCells = 5000;
  const std::vector<float> from(kCells, cells.upper);
  const std::vector<std::int32_t> one(kCells, 1);
  test::Nobody nobody;
  CHECK(Run(cells, from, one, steps, nobody).totals.cut == kCells);
  cells.failed = 0.25f;
  const double cut = static_cast<double>(Run(cells, from, one, steps, nobody).totals.cut);
  CHECK(std::abs(cut / kCells - 0.75) < 5 * std::sqrt(0.1875 / kCells));
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
    xbarax::RoundsAtRandom(*steps);
    xbarax::GoesToTargets(*steps);
    xbarax::LeavesOutFailedCells(*steps);
    xbarax::IsTheSameInTasks(*steps);
  }
  return xbarax::test::Result();
}
