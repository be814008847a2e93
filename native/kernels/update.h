// The ideal update of a crossbar.
#pragma once

#include <cstddef>
#include <cstdint>

namespace xbarax {

// total[i] = conductance[i] + delta[i]; returns how many of `delta` are not finite.
std::int32_t Update(const float* conductance, const float* delta, float* total, std::size_t size);

}  // namespace xbarax
