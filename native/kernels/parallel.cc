#include "kernels/parallel.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

namespace xbarax {
namespace {

// To be woken takes as long as a task of a small loop, so that it is waited for awake first.
constexpr std::chrono::microseconds kAwake{50};

void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

// Outlives the loop: a task that starts late finds it closed and leaves the body alone.
struct Loop {
  std::atomic<std::size_t> next{0};
  std::size_t count = 0;
  const std::function<void(std::size_t)>* body = nullptr;

  std::mutex mutex;
  std::condition_variable left;
  std::atomic<std::size_t> inside{0};  // changes under the mutex
  bool closed = false;

  void Work() {
    for (std::size_t i; (i = next.fetch_add(1)) < count;) (*body)(i);
  }

  void Join() {
    {
      std::lock_guard<std::mutex> lock(mutex);
      if (closed) return;
      ++inside;
    }
    Work();
    std::lock_guard<std::mutex> lock(mutex);
    if (--inside == 0) left.notify_one();
  }

  void CloseAndWait() {
    std::unique_lock<std::mutex> lock(mutex);
    closed = true;
    if (inside == 0) return;
    lock.unlock();
    const auto end = std::chrono::steady_clock::now() + kAwake;
    while (inside != 0 && std::chrono::steady_clock::now() < end) Pause();
    lock.lock();
    left.wait(lock, [this] { return inside == 0; });
  }
};

}  // namespace

void ParallelFor(Executor& executor, std::size_t count,
                 const std::function<void(std::size_t)>& body) {
  auto loop = std::make_shared<Loop>();
  loop->count = count;
  loop->body = &body;
  const std::size_t helpers = std::min(executor.threads(), count);
  for (std::size_t i = 1; i < helpers; ++i) executor.Schedule([loop] { loop->Join(); });
  loop->Work();
  loop->CloseAndWait();
}

}  // namespace xbarax
