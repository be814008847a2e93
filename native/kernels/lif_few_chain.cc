#include "kernels/lif_few_chain.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "kernels/analog_read.h"
#include "kernels/analog_tile.h"
#include "kernels/lif_blocks.h"
#include "kernels/lif_few.h"

namespace xbarax::lif {
namespace {

// Products of a sample and step, of all layers' weights: at most, and where few of the lanes have a
// sample.
constexpr std::size_t kFewProducts = 4096, kFewProductsASample = 320;

// A given drive counts as one of weights: of many neurons, other loops run more quickly.
std::size_t Products(const LifLayer& layer) {
  return layer.size * (layer.inputs + (layer.recurrent ? layer.size : 0));
}

// Of a layer's arrays that are read, whether all are of one tile that loops over lanes read.
bool AreRead(const LifReads& reads) {
  for (const AnalogReader* reader : {reads.forward, reads.backward})
    if (reader != nullptr && !reader->Tile()) return false;
  return true;
}

// A chain as its loops take it.
struct Few {
  std::vector<Row> rows;
  std::deque<AnalogTile> tiles;  // stay where they are
  std::vector<LifFewLayer> layers;
  LifFewChain chain;

  Few(const LifChain& from, const LifTrace& trace, bool backward, bool with_xs,
      Executor& executor) {
    rows.reserve(6 * from.layers.size());
    const auto padded = [&](const float* matrix, std::size_t count, std::size_t size) {
      rows.push_back(Pad(matrix, count, size, FewPadded(size)));
      return rows.back().data();
    };
    const auto transposed = [&](const float* matrix, std::size_t size, std::size_t inputs) {
      rows.push_back(Transpose(matrix, size, inputs, FewPadded(size), executor));
      return rows.back().data();
    };
    const auto bias = [&](const float* row, std::size_t size) {
      if (row != nullptr) return padded(row, 1, size);
      rows.emplace_back(FewPadded(size));
      return rows.back().data();
    };
    const auto tile = [&](const AnalogReader* reader, bool wanted) {
      return reader == nullptr || !wanted ? nullptr : &tiles.emplace_back(*reader->Tile());
    };
    const auto read = [&](const LifReads& reads, bool back) {
      return LifFewReads{tile(reads.forward, true), tile(reads.backward, back), reads.keys,
                         reads.backward_keys, reads.half};
    };
    for (std::size_t l = 0; l < from.layers.size(); ++l) {
      const LifLayer& given = from.layers[l];
      const LifParameters& p = given.parameters;
      const std::size_t size = given.size, inputs = given.inputs;
      LifFewLayer layer = {};
      layer.inputs = inputs, layer.size = size;
      layer.gain = given.gain, layer.threshold = given.threshold;
      layer.steepness = given.steepness, layer.reset = given.reset;
      layer.has_feedback = given.recurrent, layer.detach = given.detach;
      layer.driven = l == 0 && from.driven();
      layer.decays = given.decays;
      if (p.input != nullptr) layer.input = transposed(p.input, size, inputs);
      if (p.recurrent != nullptr) layer.recurrent = transposed(p.recurrent, size, size);
      layer.input_bias = bias(p.input_bias, size);
      layer.recurrent_bias = bias(p.recurrent_bias, size);
      const bool below = backward && (l > 0 || with_xs);
      if (below && p.input != nullptr) layer.input_back = padded(p.input, size, inputs);
      layer.input_reads = read(given.input_reads, below);
      layer.recurrent_reads = read(given.recurrent_reads, backward);
      if (backward && p.recurrent != nullptr)
        layer.recurrent_back = padded(p.recurrent, size, size);
      layer.start = given.state;
      layer.membranes = trace.membranes[l];
      if (trace.segment != 0) layer.kept = trace.states[l];
      layers.push_back(layer);
    }
    chain = {from.steps, from.batch,    trace.segment, trace.again,
             from.xs,    layers.data(), layers.size(), !trace.shown};
  }
};

struct FewWorker {
  Row floats;
  UnsetRow any;
  std::vector<std::uint32_t> numbers;
  LifFewRoom room;

  FewWorker(const LifFewChain& chain, const LifFewLoops& loops, bool backward) {
    const LifFewRoom taken = loops.room(chain, backward);
    floats.resize(taken.floats_taken), numbers.resize(taken.numbers_taken);
    any.resize(taken.any_taken);
    room = {floats.data(), any.data(), numbers.data(), 0, 0, 0};
  }
};

// No more than there are vectors of samples.
std::size_t FewTasks(const LifChain& chain, const Executor& executor, std::size_t lanes) {
  return std::max<std::size_t>(1,
                               std::min(Tasks(chain, executor), (chain.batch + lanes - 1) / lanes));
}

// The gradients by a layer's parameters, as a task gathers them: (inputs, size).
struct FewGathered {
  Row input, recurrent, input_bias, recurrent_bias;

  FewGathered(const LifLayer& layer, const LifGradientsTo& wanted) {
    if (wanted.input != nullptr) input.resize(layer.inputs * layer.size);
    if (wanted.recurrent != nullptr) recurrent.resize(layer.size * layer.size);
    if (wanted.input_bias != nullptr) input_bias.resize(layer.size);
    if (wanted.recurrent_bias != nullptr) recurrent_bias.resize(layer.size);
  }
};

// The sum of what all tasks gathered, (inputs, size) each, as (size, inputs).
void FewSum(const std::vector<std::vector<FewGathered>>& tasks, std::size_t layer,
            Row FewGathered::* which, std::size_t inputs, std::size_t size, float* to) {
  if (to == nullptr) return;
  for (std::size_t i = 0; i < inputs; ++i)
    for (std::size_t n = 0; n < size; ++n) {
      float sum = 0;
      for (const std::vector<FewGathered>& task : tasks) sum += (task[layer].*which)[i * size + n];
      to[n * inputs + i] = sum;
    }
}

}  // namespace

bool AreFew(const LifChain& chain, const LifLoops& loops) {
  if (loops.few == nullptr || chain.layers.size() > kFewLayers) return false;
  std::size_t products = 0;
  for (const LifLayer& layer : chain.layers) {
    if (!AreRead(layer.input_reads) || !AreRead(layer.recurrent_reads)) return false;
    products += Products(layer);
  }
  return products <= std::min(kFewProducts, chain.batch * kFewProductsASample);
}

void FewForward(const LifChain& chain, float* spikes, const std::vector<LifStateTo>& states,
                const LifTrace& trace, Executor& executor, const LifLoops& loops) {
  const Few few(chain, trace, false, false, executor);
  ForEachBlock(
      chain.batch, FewTasks(chain, executor, loops.lanes), kFewVectors * loops.lanes, executor,
      [&](std::size_t, std::size_t) { return FewWorker(few.chain, *loops.few, false); },
      [&](FewWorker& w, std::size_t first, std::size_t samples) {
        loops.few->forward(few.chain, {spikes, states.data()}, first, samples, w.room);
      });
}

void FewBackward(const LifChain& chain, const LifTrace& trace, const LifCotangents& cotangents,
                 const LifResults& results, Executor& executor, const LifLoops& loops) {
  const Few few(chain, trace, true, results.xs != nullptr, executor);
  const std::size_t tasks = FewTasks(chain, executor, loops.lanes);
  std::vector<std::vector<FewGathered>> gathered(tasks);
  std::vector<std::vector<LifFewGradients>> gradients(tasks);
  for (std::size_t task = 0; task < tasks; ++task)
    for (std::size_t l = 0; l < chain.layers.size(); ++l) {
      gathered[task].emplace_back(chain.layers[l], results.parameters[l]);
      FewGathered& g = gathered[task].back();
      const auto wanted = [](Row& row) { return row.empty() ? nullptr : row.data(); };
      gradients[task].push_back(
          {cotangents.hidden[l], cotangents.membranes[l], cotangents.states[l], results.states[l],
           wanted(g.input), wanted(g.recurrent), wanted(g.input_bias), wanted(g.recurrent_bias)});
    }
  struct Worker {
    FewWorker room;
    LifFewBackward to;
  };
  ForEachBlock(
      chain.batch, tasks, kFewVectors * loops.lanes, executor,
      [&](std::size_t task, std::size_t) {
        return Worker{FewWorker(few.chain, *loops.few, true),
                      {cotangents.spikes, results.xs, gradients[task].data()}};
      },
      [&](Worker& w, std::size_t first, std::size_t samples) {
        loops.few->backward(few.chain, w.to, first, samples, w.room.room);
      });
  for (std::size_t l = 0; l < chain.layers.size(); ++l) {
    const LifGradientsTo& to = results.parameters[l];
    const std::size_t inputs = chain.layers[l].inputs, size = chain.layers[l].size;
    FewSum(gathered, l, &FewGathered::input, inputs, size, to.input);
    FewSum(gathered, l, &FewGathered::recurrent, size, size, to.recurrent);
    FewSum(gathered, l, &FewGathered::input_bias, 1, size, to.input_bias);
    FewSum(gathered, l, &FewGathered::recurrent_bias, 1, size, to.recurrent_bias);
  }
}

}  // namespace xbarax::lif
