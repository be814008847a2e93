// Places for ParallelFor's tasks, good and bad.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/parallel.h"

namespace xbarax::test {

// The caller's own thread and no other.
class Nobody : public Executor {
 public:
  std::size_t threads() const override { return 0; }
  void Schedule(std::function<void()>) override { ++scheduled; }
  int scheduled = 0;
};

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

// A fixed number of threads that take tasks in order, as XLA's pool does. Tasks that are left at
// the end are dropped.
class Pool : public Executor {
 public:
  explicit Pool(std::size_t threads) {
    for (std::size_t i = 0; i < threads; ++i) running_.emplace_back([this] { Run(); });
  }
  ~Pool() override {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : running_) thread.join();
  }
  std::size_t threads() const override { return running_.size(); }
  void Schedule(std::function<void()> task) override {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    changed_.notify_one();
  }

 private:
  void Run() {
    for (;;) {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return ended_ || !tasks_.empty(); });
      if (ended_) return;
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool ended_ = false;
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
