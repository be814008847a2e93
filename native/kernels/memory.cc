#include "kernels/memory.h"

#include <algorithm>
#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace xbarax {
namespace {

constexpr std::size_t kLeast = std::size_t{1} << 17;
constexpr std::size_t kHugePage = std::size_t{1} << 21;
constexpr std::size_t kLarge = kHugePage / 4;

}  // namespace

void AskForHugePages([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) {
#if defined(__linux__)
  const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(memory);
  const std::uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const std::uintptr_t end = (begin + bytes) / kHugePage * kHugePage;
  // Where it is refused, nothing changes.
  if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
#endif
}

// As much again as there is. Small pages would take a third of the time of the arithmetic.
void Memory::Grow(std::size_t bytes) {
  bytes = std::max({bytes, total_, kLeast});
  const bool large = bytes >= kLarge;
  if (large) bytes = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  const Free free = {std::align_val_t{large ? kHugePage : kAlignment}};
  auto* memory = static_cast<unsigned char*>(::operator new[](bytes, free.alignment));
  chunks_.push_back({std::unique_ptr<unsigned char[], Free>(memory, free), bytes});
  total_ += bytes;
  if (large) AskForHugePages(memory, bytes);
}

}  // namespace xbarax
