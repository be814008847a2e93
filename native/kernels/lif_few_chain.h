// Chains whose layers have so few neurons that products by events take longer than dense ones.
#pragma once

#include <vector>

#include "kernels/lif.h"

namespace xbarax::lif {

bool AreFew(const LifChain& chain, const LifLoops& loops);

// LifForward and LifBackward for these. A trace's events and spikes stay as they are: membranes are
// enough.
void FewForward(const LifChain& chain, float* spikes, const std::vector<LifStateTo>& states,
                const LifTrace& trace, Executor& executor, const LifLoops& loops);
void FewBackward(const LifChain& chain, const LifTrace& trace, const LifCotangents& cotangents,
                 const LifResults& results, Executor& executor, const LifLoops& loops);

}  // namespace xbarax::lif
