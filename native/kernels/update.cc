#include "kernels/update.h"

#include <cstring>

namespace xbarax {

std::int32_t Update(const float* conductance, const float* delta, float* total, std::size_t size) {
  std::int32_t bad = 0;
  for (std::size_t i = 0; i < size; ++i) {
    total[i] = conductance[i] + delta[i];
    std::uint32_t bits;
    std::memcpy(&bits, &delta[i], sizeof bits);
    bad += (bits & 0x7f800000u) == 0x7f800000u;  // exponent all ones: NaN or infinite
  }
  return bad;
}

}  // namespace xbarax
