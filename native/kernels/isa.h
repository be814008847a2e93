// Which of the instruction sets that kernels are compiled for the running processor has.
#pragma once

namespace xbarax {

enum class Isa { kBaseline, kAvx2, kAvx512 };

bool Has(Isa isa);

// The last that the processor has.
Isa BestIsa();

}  // namespace xbarax
