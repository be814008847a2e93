// A loop whose iterations any thread may take.
#pragma once

#include <cstddef>
#include <functional>

namespace xbarax {

// Where tasks can run: XLA's thread pool in the handlers, plain threads in the tests.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual std::size_t threads() const = 0;
  virtual void Schedule(std::function<void()> task) = 0;
};

// Calls body(0) ... body(count - 1), each once, on the executor's threads and the caller's own.
//
// The caller works through the iterations itself and waits only for tasks that have begun: a task
// that the pool never gets to run is not missed, so callers that occupy all of a pool's threads
// cannot wait for each other. The body must not throw.
void ParallelFor(Executor& executor, std::size_t count,
                 const std::function<void(std::size_t)>& body);

}  // namespace xbarax
