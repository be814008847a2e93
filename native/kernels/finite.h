// Whether numbers are finite, compiled once for each instruction set.
#pragma once

#include <cstddef>

namespace xbarax {

namespace baseline {
bool AllFinite(const float* numbers, std::size_t size);
}
namespace avx2 {
bool AllFinite(const float* numbers, std::size_t size);
}
namespace avx512 {
bool AllFinite(const float* numbers, std::size_t size);
}

// Whether none of `size` numbers is infinite or not a number, with the best instructions that the
// running processor has.
bool AllFinite(const float* numbers, std::size_t size);

}  // namespace xbarax
