#include "kernels/parallel.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <vector>

#include "tests/check.h"
#include "tests/executors.h"

namespace xbarax {
namespace {

constexpr std::size_t kCount = 1000;

void TakesEachIterationOnce() {
  std::vector<std::atomic<int>> taken(kCount);
  test::Threads threads;
  ParallelFor(threads, kCount, [&](std::size_t i) { ++taken[i]; });
  CHECK(std::all_of(taken.begin(), taken.end(), [](const auto& n) { return n == 1; }));
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
  xbarax::TakesNoneOfNone();
  xbarax::DoesNotWaitForABusyPool();
  return xbarax::test::Result();
}
