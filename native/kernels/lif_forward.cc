#include <cstddef>
#include <vector>

#include "kernels/isa.h"
#include "kernels/lif.h"
#include "kernels/lif_blocks.h"
#include "kernels/lif_few_chain.h"
#include "kernels/lif_step.h"

namespace xbarax {

using lif::ForwardWorker, lif::LayerStep, lif::Prepared;

void LifForward(const LifChain& chain, float* spikes, const std::vector<LifStateTo>& states,
                const LifTrace& trace, Executor& executor, const LifLoops& loops) {
  if (lif::AreFew(chain, loops))
    return lif::FewForward(chain, spikes, states, trace, executor, loops);
  std::vector<Prepared> layers;
  for (const LifLayer& layer : chain.layers) layers.push_back(lif::Prepare(layer, true, executor));
  const LayerStep step(chain, layers, trace, loops, spikes);
  const std::size_t tasks = lif::Tasks(chain, executor);
  lif::ForEachBlock(
      chain.batch, tasks, lif::BlockOf(chain, tasks), executor,
      [&](std::size_t, std::size_t block) { return ForwardWorker(chain, block); },
      [&](ForwardWorker& w, std::size_t first, std::size_t samples) {
        for (std::size_t l = 0; l < layers.size(); ++l)
          w.samples[l].Load(chain.layers[l].state, first, samples, layers[l].size());
        for (std::size_t t = 0; t < chain.steps; ++t)
          for (std::size_t l = 0; l < layers.size(); ++l) {
            if (trace.segment != 0 && t > 0 && t % trace.segment == 0)
              w.samples[l].Save(trace.states[l], (t / trace.segment - 1) * chain.batch + first,
                                samples, layers[l].size());
            step.Run(&w, l, t, first, samples);
          }
        for (std::size_t l = 0; l < layers.size(); ++l)
          w.samples[l].Save(states[l], first, samples, layers[l].size());
      });
}

const LifLoops& BestLifLoops() { return XBARAX_BEST(kLifLoops); }

}  // namespace xbarax
