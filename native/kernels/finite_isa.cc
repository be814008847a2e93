// Compiled several times, with XBARAX_ISA naming the instruction set.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/finite.h"

namespace xbarax::XBARAX_ISA {

// Numbers that are not finite have an exponent of ones, which 1 more carries into the sign's bit. A
// loop without branches, over a block that stays in the first cache, that compilers vectorise.
bool AllFinite(const float* numbers, std::size_t size) {
  constexpr std::size_t kBlock = 2048;
  for (std::size_t begin = 0; begin < size; begin += kBlock) {
    const std::size_t end = size - begin < kBlock ? size : begin + kBlock;
    std::uint32_t carried = 0;
    for (std::size_t k = begin; k < end; ++k) {
      std::uint32_t bits;
      std::memcpy(&bits, numbers + k, sizeof bits);
      carried |= (bits & 0x7F800000u) + 0x00800000u;
    }
    if (carried >> 31) return false;
  }
  return true;
}

}  // namespace xbarax::XBARAX_ISA
