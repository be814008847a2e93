// Which of the instruction sets that kernels are compiled for the running processor has.
#pragma once

namespace xbarax {

enum class Isa { kBaseline, kAvx2, kAvx512 };

bool Has(Isa isa);

// The last that the processor has.
Isa BestIsa();

// What each instruction set's namespace has under that name, of the best that the processor has.
#if defined(XBARAX_X86_ISAS)
#define XBARAX_BEST(name) \
  (BestIsa() == Isa::kAvx512 ? avx512::name : BestIsa() == Isa::kAvx2 ? avx2::name : baseline::name)
#else
#define XBARAX_BEST(name) (baseline::name)
#endif

}  // namespace xbarax
