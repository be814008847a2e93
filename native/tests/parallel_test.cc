#include "kernels/parallel.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

#include "tests/check.h"
#include "tests/executors.h"

namespace xbarax {
namespace {

constexpr std::size_t kCount = 1000;

bool EachOnce(const std::vector<std::atomic<int>>& taken) {
  return std::all_of(taken.begin(), taken.end(), [](const auto& n) { return n == 1; });
}

void TakesEachIterationOnce() {
  std::vector<std::atomic<int>> taken(kCount);
  test::Threads threads;
  ParallelFor(threads, kCount, [&](std::size_t i) { ++taken[i]; });
  CHECK(EachOnce(taken));
}

// Loops follow each other so closely that tasks of one begin during the next.
void TakesEachIterationOnceManyTimes() {
  test::Pool pool(2);
  for (std::size_t count : {1, 2, 3, 50}) {
    for (int again = 0; again < 500; ++again) {
      std::vector<std::atomic<int>> taken(count);
      ParallelFor(pool, count, [&](std::size_t i) { ++taken[i]; });
      CHECK(EachOnce(taken));
    }
  }
}

// What the iterations wrote is there for the caller, without another lock.
void SeesWhatWasWritten() {
  test::Pool pool(3);
  std::vector<std::size_t> squares(kCount);
  ParallelFor(pool, kCount, [&](std::size_t i) { squares[i] = i * i; });
  for (std::size_t i = 0; i < kCount; ++i) CHECK(squares[i] == i * i);
}

// Loops inside loops occupy every thread of the pool, and none waits for another.
void NestsWithoutDeadlock() {
  test::Pool pool(2);
  constexpr std::size_t kOuter = 20, kInner = 30;
  for (int again = 0; again < 50; ++again) {
    std::vector<std::atomic<int>> taken(kOuter * kInner);
    ParallelFor(pool, kOuter, [&](std::size_t i) {
      ParallelFor(pool, kInner, [&](std::size_t j) { ++taken[i * kInner + j]; });
    });
    CHECK(EachOnce(taken));
  }
}

// Several callers share one pool, as XLA's parallel calls do.
void ServesSeveralCallers() {
  test::Pool pool(2);
  std::vector<std::atomic<int>> taken(4 * kCount);
  std::vector<std::thread> callers;
  for (std::size_t c = 0; c < 4; ++c)
    callers.emplace_back(
        [&, c] { ParallelFor(pool, kCount, [&](std::size_t i) { ++taken[c * kCount + i]; }); });
  for (std::thread& caller : callers) caller.join();
  CHECK(EachOnce(taken));
}

void TakesAllItselfWhereThereIsNobodyElse() {
  test::Nobody nobody;
  std::vector<std::size_t> order;
  ParallelFor(nobody, 5, [&](std::size_t i) { order.push_back(i); });
  CHECK((order == std::vector<std::size_t>{0, 1, 2, 3, 4}));
  CHECK(nobody.scheduled == 0);
}

void TakesNoneOfNone() {
  test::Threads threads;
  int calls = 0;
  ParallelFor(threads, 0, [&](std::size_t) { ++calls; });
  CHECK(calls == 0);
}

// The loop ends though no task ever began, and a task that begins later finds nothing to do.
void DoesNotWaitForABusyPool() {
  test::Busy busy;
  std::size_t calls = 0;
  ParallelFor(busy, kCount, [&](std::size_t) { ++calls; });
  CHECK(calls == kCount);
  CHECK(busy.waiting() > 0);
  busy.RunAll();
  CHECK(calls == kCount);
}

}  // namespace
}  // namespace xbarax

int main() {
  xbarax::TakesEachIterationOnce();
  xbarax::TakesEachIterationOnceManyTimes();
  xbarax::SeesWhatWasWritten();
  xbarax::NestsWithoutDeadlock();
  xbarax::ServesSeveralCallers();
  xbarax::TakesAllItselfWhereThereIsNobodyElse();
  xbarax::TakesNoneOfNone();
  xbarax::DoesNotWaitForABusyPool();
  return xbarax::test::Result();
}
