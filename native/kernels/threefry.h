// The generator of jax.random: Threefry-2x32 with 20 rounds, J. K. Salmon et al., "Parallel random
// numbers: as easy as 1, 2, 3", SC11; rotations and parity are table 2's and section 3.2's.
#pragma once

#include <cstddef>
#include <cstdint>

namespace xbarax {
namespace {  // of its own in each source: some are compiled for several instruction sets

constexpr int kRotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
constexpr std::uint32_t kParity = 0x1BD11BDA;

// Turns V counters (x, y) at a time into random words. Word: std::uint32_t or a vector of them.
template <std::size_t V, class Word>
inline void Threefry(Word first, Word second, Word* x, Word* y) {
  const Word keys[3] = {first, second, first ^ second ^ kParity};
  for (std::size_t v = 0; v < V; ++v) x[v] += keys[0], y[v] += keys[1];
  for (int group = 0; group < 5; ++group) {
    for (int round = 0; round < 4; ++round) {
      const int by = kRotations[group % 2][round];
      for (std::size_t v = 0; v < V; ++v) {
        x[v] += y[v];
        y[v] = ((y[v] << by) | (y[v] >> (32 - by))) ^ x[v];
      }
    }
    for (std::size_t v = 0; v < V; ++v) {
      x[v] += keys[(group + 1) % 3];
      y[v] += keys[(group + 2) % 3] + static_cast<std::uint32_t>(group + 1);
    }
  }
}

}  // namespace
}  // namespace xbarax
