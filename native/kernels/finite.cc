#include "kernels/finite.h"

#include "kernels/isa.h"

namespace xbarax {

bool AllFinite(const float* numbers, std::size_t size) {
#if defined(XBARAX_X86_ISAS)
  switch (BestIsa()) {
    case Isa::kAvx512:
      return avx512::AllFinite(numbers, size);
    case Isa::kAvx2:
      return avx2::AllFinite(numbers, size);
    case Isa::kBaseline:
      break;
  }
#endif
  return baseline::AllFinite(numbers, size);
}

}  // namespace xbarax
