#include "kernels/random.h"

#include <algorithm>
#include <cstdint>

#include "kernels/isa.h"

namespace xbarax {
namespace {

constexpr std::size_t kNumbersPerTask = std::size_t{1} << 14;
constexpr std::size_t kLeastPerKey = 32;  // numbers that take as long as fewer

// Calls some(begin, end) for parts of `total` items, which take as long as `work` numbers.
template <class Some>
void InParts(std::size_t total, std::size_t work, Executor& executor, const Some& some) {
  const std::size_t tasks = (work + kNumbersPerTask - 1) / kNumbersPerTask;
  if (total == 0 || tasks == 1) return some(0, total);
  ParallelFor(executor, tasks,
              [&](std::size_t task) { some(task * total / tasks, (task + 1) * total / tasks); });
}

}  // namespace

void Draw(Distribution distribution, const RandomKey* keys, std::size_t n_keys, std::size_t count,
          float* to, Executor& executor) {
  const Random& random = BestRandom();
  const auto fill = distribution == Distribution::kNormal ? random.normal : random.uniform;
  InParts(n_keys * count, n_keys * std::max(count, kLeastPerKey), executor,
          [&](std::size_t begin, std::size_t end) {
            while (begin < end) {
              const std::size_t key = begin / count, start = begin % count;
              const std::size_t n = std::min(count - start, end - begin);
              fill(keys[key], start, n, to + begin);
              begin += n;
            }
          });
}

void DrawPairs(const RandomKey* keys, std::size_t n_keys, std::size_t lines, std::size_t count,
               float* to, Executor& executor) {
  const Random& random = BestRandom();
  const std::size_t total = n_keys * lines, counters = Counters(count);
  InParts(total, total * std::max(counters, kLeastPerKey), executor,
          [&](std::size_t begin, std::size_t end) {
            for (std::size_t i = begin; i < end; ++i)
              random.paired_normal(keys[i / lines], std::uint64_t{i % lines} * counters, count,
                                   to + i * count);
          });
}

const Random& BestRandom() { return XBARAX_BEST(kRandom); }

}  // namespace xbarax
