// Places for ParallelFor's tasks, good and bad.
#pragma once

#include <cstddef>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/parallel.h"

namespace xbarax::test {

// A thread for each task.
class Threads : public Executor {
 public:
  ~Threads() override {
    for (std::thread& thread : running_) thread.join();
  }
  std::size_t threads() const override { return 4; }
  void Schedule(std::function<void()> task) override { running_.emplace_back(std::move(task)); }

 private:
  std::vector<std::thread> running_;
};

// A pool whose threads are all taken: it runs its tasks when told to.
class Busy : public Executor {
 public:
  std::size_t threads() const override { return 4; }
  void Schedule(std::function<void()> task) override { waiting_.push_back(std::move(task)); }
  std::size_t waiting() const { return waiting_.size(); }
  void RunAll() {
    for (auto& task : waiting_) task();
    waiting_.clear();
  }

 private:
  std::vector<std::function<void()>> waiting_;
};

}  // namespace xbarax::test
