#include "kernels/pulses.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>
#include <vector>

#include "kernels/isa.h"

namespace xbarax {
namespace {

constexpr std::size_t kCellsPerTask = 2048;  // what they take stays in the second cache
constexpr std::size_t kOwnKeys = 4;
constexpr std::size_t kBehind = 64;  // numbers: a multiple of the lanes of all a block's vectors

// Rows for the cells of a task that are pulsed.
struct Rows {
  static constexpr std::size_t kSize = kCellsPerTask + kBehind;
  std::vector<std::uint32_t> numbers;
  std::vector<std::int32_t> left, cut;
  std::vector<float> state, lower, upper, step_up, step_down;

  Rows() : numbers(kSize), left(kSize), cut(kSize) {
    for (std::vector<float>* row : {&state, &lower, &upper, &step_up, &step_down})
      row->resize(kSize);
  }
  PulsedBatch Get(std::size_t count) {
    return {count,        numbers.data(), state.data(),     left.data(), lower.data(),
            upper.data(), step_up.data(), step_down.data(), cut.data()};
  }
  void Move(std::size_t from, std::size_t to) {
    numbers[to] = numbers[from], left[to] = left[from], cut[to] = cut[from];
    for (std::vector<float>* row : {&state, &lower, &upper, &step_up, &step_down})
      (*row)[to] = (*row)[from];
  }
};

}  // namespace

void Pulse(const PulsedCells& cells, RandomKey identity, RandomKey key, std::size_t count,
           const float* state, const std::int32_t* pulses, float* to, bool* cut, Executor& executor,
           const PulseSteps& steps, const Random& random) {
  RandomKey own[kOwnKeys];
  for (std::uint32_t k = 0; k < kOwnKeys; ++k) random.fold_in(&identity, &k, 1, own + k);

  const auto some = [&](std::size_t begin, std::size_t end) {
    Rows rows;
    std::size_t active = 0;
    for (std::size_t k = begin; k < end; ++k) {
      to[k] = state[k], cut[k] = false;
      if (pulses[k] == 0) continue;
      rows.numbers[active] = static_cast<std::uint32_t>(k);
      rows.state[active] = state[k], rows.left[active] = std::max(pulses[k], -INT32_MAX),
      rows.cut[active] = 0;
      ++active;
    }
    if (active != 0) steps.own(cells, own, rows.Get(active));
    for (std::uint32_t turn = 0; active != 0; ++turn) {
      RandomKey turns_key;
      random.fold_in(&key, &turn, 1, &turns_key);
      steps.turn(cells, turns_key, rows.Get(active));
      std::size_t kept = 0;
      for (std::size_t k = 0; k < active; ++k) {
        if (rows.left[k] != 0) {
          if (kept != k) rows.Move(k, kept);
          ++kept;
          continue;
        }
        to[rows.numbers[k]] = rows.state[k], cut[rows.numbers[k]] = rows.cut[k] != 0;
      }
      active = kept;
    }
  };

  const std::size_t tasks = (count + kCellsPerTask - 1) / kCellsPerTask;
  if (tasks <= 1) return some(0, count);
  std::atomic<bool> failed{false};
  ParallelFor(executor, tasks, [&](std::size_t task) {
    try {
      some(task * kCellsPerTask, std::min(count, (task + 1) * kCellsPerTask));
    } catch (const std::bad_alloc&) {  // threads of a pool must not throw
      failed = true;
    }
  });
  if (failed) throw std::bad_alloc();
}

const PulseSteps& BestPulseSteps() { return XBARAX_BEST(kPulseSteps); }

}  // namespace xbarax
