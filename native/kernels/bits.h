// Rows of bits, in words.
#pragma once

#include <cstddef>

namespace xbarax {

[[maybe_unused]] static constexpr std::size_t WordsOf(std::size_t bits) { return (bits + 31) / 32; }

// Who lists the bits that are set may write so many numbers more than there are.
constexpr std::size_t kBitsBehind = 16;

}  // namespace xbarax
