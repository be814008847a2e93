#include "kernels/finite.h"

#include "kernels/isa.h"

namespace xbarax {

bool AllFinite(const float* numbers, std::size_t size) {
  return XBARAX_BEST(AllFinite)(numbers, size);
}

}  // namespace xbarax
