#include "kernels/isa.h"

namespace xbarax {

bool Has(Isa isa) {
#if defined(XBARAX_X86_ISAS)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::kAvx2) return avx2;
  if (isa == Isa::kAvx512)
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
#endif
  return isa == Isa::kBaseline;
}

Isa BestIsa() {
  return Has(Isa::kAvx512) ? Isa::kAvx512 : Has(Isa::kAvx2) ? Isa::kAvx2 : Isa::kBaseline;
}

}  // namespace xbarax
