// Memory that is given back in the order opposite to that of taking it.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <vector>

namespace xbarax {

// Asks the system to map memory that is not written yet by huge pages, where it holds any: what a
// process takes anew in each call is otherwise mapped again by thousands of small ones.
void AskForHugePages(void* memory, std::size_t bytes);

// Asks the processor for numbers that will be needed soon. With what is no address nothing happens.
[[gnu::always_inline]] inline void BringNear(const float* numbers, std::size_t count) {
  constexpr std::size_t kLine = 64 / sizeof(float);
  for (std::size_t k = 0; k < count; k += kLine) __builtin_prefetch(numbers + k);
}

// Uninitialised. It grows by chunks, and keeps those that are given back.
class Memory {
 public:
  struct Mark {
    std::size_t chunk, used;
  };
  Mark mark() const { return {chunk_, used_}; }
  void Return(Mark to) { chunk_ = to.chunk, used_ = to.used; }

  // So many bytes, for numbers of any type; throws std::bad_alloc.
  void* Take(std::size_t bytes) {
    bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    while (chunk_ < chunks_.size() && chunks_[chunk_].bytes - used_ < bytes) ++chunk_, used_ = 0;
    if (chunk_ == chunks_.size()) Grow(bytes);
    void* taken = chunks_[chunk_].memory.get() + used_;
    used_ += bytes;
    return taken;
  }

 private:
  static constexpr std::size_t kAlignment = 64;
  struct Free {
    std::align_val_t alignment;
    void operator()(unsigned char* memory) const { ::operator delete[](memory, alignment); }
  };
  struct Chunk {
    std::unique_ptr<unsigned char[], Free> memory;
    std::size_t bytes;
  };
  void Grow(std::size_t bytes);

  std::vector<Chunk> chunks_;
  std::size_t chunk_ = 0, used_ = 0, total_ = 0;
};

}  // namespace xbarax
