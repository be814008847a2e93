#include "kernels/memory.h"

#include <algorithm>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace xbarax {
namespace {

constexpr std::size_t kLeast = std::size_t{1} << 17;
constexpr std::size_t kHugePage = std::size_t{1} << 21;
constexpr std::size_t kLarge = kHugePage / 4;

}  // namespace

// As much again as there is. Memory is mapped page by page as it is written, and what a call takes
// and gives back is mapped again in the next one, at the cost of a third of the arithmetic: large
// chunks ask for huge pages.
void Memory::Grow(std::size_t bytes) {
  bytes = std::max({bytes, total_, kLeast});
  const bool large = bytes >= kLarge;
  if (large) bytes = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  const Free free = {std::align_val_t{large ? kHugePage : kAlignment}};
  auto* memory = static_cast<unsigned char*>(::operator new[](bytes, free.alignment));
  chunks_.push_back({std::unique_ptr<unsigned char[], Free>(memory, free), bytes});
  total_ += bytes;
#if defined(__linux__)
  if (large) madvise(memory, bytes, MADV_HUGEPAGE);  // where it is refused, nothing changes
#endif
}

}  // namespace xbarax
