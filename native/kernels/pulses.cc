#include "kernels/pulses.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
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

// The keys of what is random, split off as `_respond.py` does.
struct Keys {
  RandomKey own[kOwnKeys], failed, round, pulse, write;

  Keys(RandomKey identity, RandomKey key, bool rounds, const Random& random) {
    const auto child = [&](RandomKey of, std::uint32_t number) {
      RandomKey to;
      random.fold_in(&of, &number, 1, &to);
      return to;
    };
    for (std::uint32_t k = 0; k < kOwnKeys; ++k) own[k] = child(identity, k);
    failed = child(child(identity, kOwnKeys), 0);
    if (rounds) round = child(key, 0), key = child(key, 1);
    pulse = child(key, 0), write = child(key, 1);
  }
};

// The first of increasing numbers that is not below x; the end where x is no number.
std::int32_t Place(const float* numbers, std::size_t count, float x) {
  const float* found = x == x ? std::lower_bound(numbers, numbers + count, x) : numbers + count;
  return static_cast<std::int32_t>(found - numbers);
}

// Where mean steps up and down are equal; see `symmetry_point` in `_pulses.py`.
float SymmetryPoint(const PulsedCells& cells, const PulsedBatch& batch, std::size_t k) {
  const float lower = batch.lower[k], upper = batch.upper[k];
  const float up = batch.step_up[k], down = batch.step_down[k], at_zero = up - down;
  if (at_zero == 0) return 0;
  const float slope_up = cells.own_bounds ? 1 / upper : cells.slope_up;
  const float slope_down = cells.own_bounds ? 1 / lower : cells.slope_down;
  const float fall = up * slope_up - down * slope_down;
  if (!(fall > 0)) return at_zero > 0 ? upper : lower;
  return std::clamp(at_zero / fall, lower, upper);
}

// Some cells on their way through a request.
class Task {
 public:
  Task(const PulsedCells& cells, const Keys& keys, const PulsedStates& states,
       const PulseRequest& request, const PulseSteps& steps, const Random& random)
      : cells_(cells),
        keys_(keys),
        states_(states),
        request_(request),
        steps_(steps),
        random_(random) {}

  PulseTotals Run(std::size_t begin, std::size_t end) {
    Collect(begin, end);
    if (active_ == 0) return totals_;
    steps_.own(cells_, keys_.own, rows_.Get(active_));
    if (request_.targets != nullptr) Restart();
    Retire();
    if (cells_.written > 0) Write();
    for (std::uint32_t turn = 0; active_ != 0; ++turn) {
      RandomKey key;
      random_.fold_in(&keys_.pulse, &turn, 1, &key);
      steps_.turn(cells_, key, rows_.Get(active_));
      Retire();
    }
    return totals_;
  }

 private:
  // Copies what stays, and collects what is pulsed or set back.
  void Collect(std::size_t begin, std::size_t end) {
    if (request_.changes != nullptr) {
      dice_.resize(end - begin);
      random_.uniform(keys_.round, begin, end - begin, dice_.data());
    }
    for (std::size_t k = begin; k < end; ++k) {
      states_.to[k] = states_.state[k];
      if (states_.written != nullptr) states_.written_to[k] = states_.written[k];
      const bool anew = request_.targets != nullptr && request_.where[k];
      const std::int32_t count = request_.counts != nullptr    ? request_.counts[k]
                                 : request_.changes != nullptr ? Rounded(k, dice_[k - begin])
                                 : anew                        ? ToTarget(request_.targets[k])
                                                               : 0;
      if (count == 0 && !anew) continue;
      rows_.numbers[active_] = static_cast<std::uint32_t>(k);
      rows_.state[active_] = states_.state[k], rows_.cut[active_] = 0;
      rows_.left[active_] = std::max(count, -INT32_MAX);
      totals_.pulses += std::abs(std::int64_t{rows_.left[active_]});
      ++active_;
    }
  }

  // A change as pulses. What is no number asks for none.
  std::int32_t Rounded(std::size_t k, float dice) {
    const float change = request_.changes[k];
    const bool up = change > 0;
    const float wanted = std::fabs(change / (up ? request_.siemens_up : request_.siemens_down));
    if (!(wanted > 0)) return 0;
    const float most = std::numeric_limits<float>::max(), finite = std::min(wanted, most);
    const float whole = std::floor(finite);
    const float count = whole + (dice < finite - whole ? 1.0f : 0.0f);
    if (count > request_.most) ++totals_.capped;
    constexpr float kInt32 = 2147483520;  // the largest that fits
    const auto pulses = static_cast<std::int32_t>(std::min({count, request_.most, kInt32}));
    return up ? pulses : -pulses;
  }

  std::int32_t ToTarget(float target) const {
    return target >= request_.begin ? Place(request_.rises, request_.n_rises, target)
                                    : -Place(request_.falls, request_.n_falls, -target);
  }

  // Sets cells back to where they begin, or to the bound that is before that.
  void Restart() {
    const PulsedBatch batch = rows_.Get(active_);
    for (std::size_t k = 0; k < active_; ++k) {
      float begin = request_.begin;
      if (request_.from_symmetry) begin += SymmetryPoint(cells_, batch, k);
      batch.state[k] = std::clamp(begin, batch.lower[k], batch.upper[k]);
      if (states_.written != nullptr) states_.written_to[batch.numbers[k]] = 0;
    }
  }

  void Write() {
    written_.resize(Rows::kSize);
    steps_.normal(cells_.written, keys_.write, rows_.Get(active_), written_.data());
    for (std::size_t k = 0; k < active_; ++k) states_.written_to[rows_.numbers[k]] = written_[k];
  }

  // Puts the cells whose pulses are all given where they belong.
  void Retire() {
    std::size_t kept = 0;
    for (std::size_t k = 0; k < active_; ++k) {
      if (rows_.left[k] != 0) {
        if (kept != k) rows_.Move(k, kept);
        ++kept;
        continue;
      }
      states_.to[rows_.numbers[k]] = rows_.state[k];
      if (rows_.cut[k] != 0 && !Failed(rows_.numbers[k])) ++totals_.cut;
    }
    active_ = kept;
  }

  bool Failed(std::uint32_t number) const {
    if (!(cells_.failed > 0)) return false;
    float dice;
    random_.uniform(keys_.failed, number, 1, &dice);
    return dice < cells_.failed;
  }

  const PulsedCells& cells_;
  const Keys& keys_;
  const PulsedStates& states_;
  const PulseRequest& request_;
  const PulseSteps& steps_;
  const Random& random_;
  Rows rows_;
  std::vector<float> dice_, written_;
  std::size_t active_ = 0;
  PulseTotals totals_ = {};
};

}  // namespace

PulseTotals Pulse(const PulsedCells& cells, RandomKey identity, RandomKey key, std::size_t count,
                  const PulsedStates& states, const PulseRequest& request, Executor& executor,
                  const PulseSteps& steps, const Random& random) {
  const Keys keys(identity, key, request.changes != nullptr, random);
  const std::size_t tasks = std::max<std::size_t>(1, (count + kCellsPerTask - 1) / kCellsPerTask);
  std::vector<PulseTotals> totals(tasks);
  std::atomic<bool> failed{false};
  const auto run = [&](std::size_t task) {
    try {
      totals[task] = Task(cells, keys, states, request, steps, random)
                         .Run(task * kCellsPerTask, std::min(count, (task + 1) * kCellsPerTask));
    } catch (const std::bad_alloc&) {  // threads of a pool must not throw
      failed = true;
    }
  };
  if (tasks == 1) {
    run(0);
  } else {
    ParallelFor(executor, tasks, run);
  }
  if (failed) throw std::bad_alloc();
  PulseTotals sum = {};
  for (const PulseTotals& of : totals)
    sum.pulses += of.pulses, sum.cut += of.cut, sum.capped += of.capped;
  return sum;
}

const PulseSteps& BestPulseSteps() { return XBARAX_BEST(kPulseSteps); }

}  // namespace xbarax
