#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/dense.h"
#include "kernels/finite.h"
#include "kernels/lif.h"
#include "kernels/lif_blocks.h"
#include "kernels/lif_few_chain.h"
#include "kernels/lif_panels.h"
#include "kernels/lif_step.h"
#include "kernels/matmul.h"
#include "kernels/memory.h"
#include "kernels/transpose.h"

namespace xbarax {
namespace lif {
namespace {

// The gradients by a layer's parameters, as a task gathers them: transposed, a row for each input.
struct Gathered {
  Row input, recurrent, input_bias, recurrent_bias;

  Gathered(const LifLayer& layer, const LifGradientsTo& wanted) {
    const std::size_t width = Padded(layer.size);
    if (wanted.input != nullptr) input.resize(layer.inputs * width);
    if (wanted.recurrent != nullptr) recurrent.resize(layer.size * width);
    if (wanted.input_bias != nullptr) input_bias.resize(width);
    if (wanted.recurrent_bias != nullptr) recurrent_bias.resize(width);
  }
};

constexpr std::size_t kListed = std::size_t{1} << 14;  // events at a time
constexpr std::size_t kTurned = 96;                    // rows of inputs

// So many steps' derivatives by a layer's drive are collected before they are multiplied with the
// inputs: where the gradient is too large for the second cache, beside all else.
inline std::size_t CollectedSteps(const LifLayer& layer) {
  const bool large = layer.inputs * Padded(layer.size) * sizeof(float) > std::size_t{1} << 18;
  return large ? 16 : 1;
}

// Room for the events of what is collected.
struct Lists {
  std::vector<std::uint32_t> numbers, listed, begins, ends;
  Row factors, listed_factors;

  void Grow(std::size_t inputs, std::size_t rows) {
    begins.resize(std::max(begins.size(), inputs + 1)), ends.resize(std::max(ends.size(), rows));
    const std::size_t events = std::max({listed.size(), inputs, kListed});
    numbers.resize(events + kBitsBehind), listed.resize(events);
    factors.resize(events), listed_factors.resize(events);
  }
  LifCollectedRoom Get() {
    return {ends.size(),   listed.size(), numbers.data(), listed.data(),
            begins.data(), ends.data(),   factors.data(), listed_factors.data()};
  }
};

struct BackwardWorker {
  std::vector<Samples> gradients;
  std::vector<Row> drive, feedback;  // derivatives by these, of a block
  std::vector<Row> below, before;    // by the spikes of the layer below, and of the step before
  Lists lists;
  Row numbers, turned;  // all inputs of some rows, and the same transposed
  std::vector<Gathered>* gathered;
  Scratch scratch;
  Reading reading;
  // Of steps that are run again: where, and the membranes, [steps][samples][size].
  ForwardWorker again;
  std::vector<UnsetRow> membranes;

  BackwardWorker(const LifChain& chain, const LifTrace& trace, std::vector<Gathered>* gathered,
                 std::size_t block)
      : gathered(gathered), scratch(chain), reading(chain, block), again(chain, block) {
    for (const LifLayer& layer : chain.layers) {
      const std::size_t steps = std::min(std::max(trace.segment, trace.again), chain.steps);
      membranes.emplace_back(steps * block * layer.size);
      const std::size_t width = Padded(layer.size);
      gradients.emplace_back(width, block);
      drive.emplace_back(CollectedSteps(layer) * width * block);
      feedback.emplace_back(width * block);
      before.emplace_back(width * block);
      below.emplace_back(Padded(layer.inputs) * block);
      if (CollectedSteps(layer) > 1) lists.Grow(layer.inputs, CollectedSteps(layer) * block);
    }
  }
};

class LayerStepBack {
 public:
  LayerStepBack(const LifChain& chain, const std::vector<Prepared>& layers, const LifTrace& trace,
                const LifCotangents& cotangents, float* xs, const LifLoops& loops)
      : chain_(chain),
        layers_(layers),
        trace_(trace),
        cotangents_(cotangents),
        xs_(xs),
        loops_(loops),
        matmul_(BestMatmul()) {
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const LifLayer& layer = chain.layers[l];
      const auto panels = [&](const float* matrix, std::size_t columns) {
        return Panels(matrix, layer.size, columns, columns, Padded(layer.size), matmul_);
      };
      const bool wanted = layer.parameters.input != nullptr && (l > 0 || xs != nullptr);
      input_.push_back(wanted ? panels(layer.parameters.input, layer.inputs) : Panels());
      recurrent_.push_back(layer.parameters.recurrent != nullptr
                               ? panels(layer.parameters.recurrent, layer.size)
                               : Panels());
    }
  }

  void Run(BackwardWorker* w, std::size_t layer, std::size_t t, std::size_t first,
           std::size_t samples) const {
    if (trace_.segment == 0 && t >= trace_.again + 2)  // from memory, where they are many
      BringNear(MembranesAt(*w, layer, t - 2, first, samples), samples * layers_[layer].size());
    Retreat(w, layer, t, first, samples);
    const Prepared& p = layers_[layer];
    const LifReads& reads = chain_.layers[layer].recurrent_reads;
    if (reads.backward != nullptr) {
      w->reading.Read(*reads.backward, reads.backward_keys, t, first, samples,
                      w->feedback[layer].data(), p.width());
      w->reading.CopyTo(w->before[layer].data(), samples, p.size(), p.width());
    } else if (p.neurons.recurrent) {
      recurrent_[layer].Multiply(w->feedback[layer].data(), samples, w->before[layer].data(),
                                 p.width(), matmul_);
    }
    Descend(w, layer, t, first, samples);
    const std::size_t collected = CollectedSteps(chain_.layers[layer]);
    if (collected > 1 && t % collected == 0) Gather(w, layer, t, first, samples);
  }

 private:
  // From a layer's drive to the spikes of the layer below, or to what the chain is given.
  void Descend(BackwardWorker* w, std::size_t layer, std::size_t t, std::size_t first,
               std::size_t samples) const {
    if (layer == 0 && xs_ == nullptr) return;
    const Prepared& p = layers_[layer];
    const std::size_t row = t * chain_.batch + first;
    const float* drive = DriveAt(w, layer, t, samples);
    if (layer == 0 && chain_.driven()) {
      for (std::size_t b = 0; b < samples; ++b)
        std::copy_n(drive + b * p.width(), p.size(), xs_ + (row + b) * p.size());
      return;
    }
    float* to = layer > 0 ? w->below[layer].data() : xs_ + row * p.inputs;
    const std::size_t width = layer > 0 ? Padded(p.inputs) : p.inputs;
    const LifReads& reads = chain_.layers[layer].input_reads;
    if (reads.backward != nullptr) {
      w->reading.Read(*reads.backward, reads.backward_keys, t, first, samples, drive, p.width());
      w->reading.CopyTo(to, samples, p.inputs, width);
    } else {
      input_[layer].Multiply(drive, samples, to, width, matmul_);
    }
    if (layer > 0 || reads.half == 0) return;
    const float* xs = chain_.xs + row * p.inputs;
    for (std::size_t k = 0; k < samples * p.inputs; ++k)  // the converters clip beyond 1
      if (!(std::fabs(xs[k]) <= 1)) to[k] = 0;
  }

  void Retreat(BackwardWorker* w, std::size_t layer, std::size_t t, std::size_t first,
               std::size_t samples) const {
    const Prepared& p = layers_[layer];
    const std::size_t row = t * chain_.batch + first;
    const bool last = layer + 1 == layers_.size();
    const auto from = [&](const float* rows, std::size_t r) {
      return rows == nullptr ? nullptr : rows + r * p.size();
    };
    LifBackwardStep step = {};
    step.neurons = &p.neurons, step.samples = samples, step.first = t == 0;
    step.inputs = InputsAt(layer, t, first);
    const LifState& start = chain_.layers[layer].state;
    const std::size_t segment = trace_.segment;
    step.membranes = MembranesAt(*w, layer, t, first, samples);
    if (segment != 0 && t % segment == 0 && t > 0)
      step.membranes_before =
          from(trace_.states[layer].membrane, (t / segment - 1) * chain_.batch + first);
    else if (t > 0)
      step.membranes_before = MembranesAt(*w, layer, t - 1, first, samples);
    if (t == 0) {
      step.membranes_before = from(start.membrane, first);
      step.spikes_before = from(start.spikes, first);
    } else {
      step.bits_before = trace_.spikes[layer] + (row - chain_.batch) * WordsOf(p.size());
    }
    step.spikes_bar = from(last ? cotangents_.spikes : cotangents_.hidden[layer], row);
    step.membranes_bar = from(cotangents_.membranes[layer], row);
    // By the spikes at the end, and then by those that are fed back.
    if (t + 1 == chain_.steps || p.neurons.recurrent) step.before_bar = w->before[layer].data();
    if (!last) step.above_bar = w->below[layer + 1].data();
    step.gradients = w->gradients[layer].Rows();
    step.drive = DriveAt(w, layer, t, samples), step.feedback = w->feedback[layer].data();
    Gathered& to = (*w->gathered)[layer];
    const auto wanted = [](Row& rows) { return rows.empty() ? nullptr : rows.data(); };
    if (CollectedSteps(chain_.layers[layer]) == 1) step.input = wanted(to.input);
    step.recurrent = wanted(to.recurrent);
    step.input_bias = wanted(to.input_bias), step.recurrent_bias = wanted(to.recurrent_bias);
    step.scratch = w->scratch.Get();
    LifInputs before = {};
    before.size = p.size(), before.below = step.bits_before;
    const bool input = step.input != nullptr && Many(step.inputs, samples);
    const bool recurrent = step.recurrent != nullptr && t > 0 && Many(before, samples);
    if (input) step.input = nullptr;
    if (recurrent) step.recurrent = nullptr;
    loops_.backward(step);
    const LifCollected rows = {&p.neurons,   1,          samples, step.inputs,
                               chain_.batch, step.drive, nullptr, {}};
    if (input) Add(w, rows, &to.input);
    LifCollected fed = rows;
    fed.inputs = before, fed.rows = step.feedback;
    if (recurrent) Add(w, fed, &to.recurrent);
  }

  bool Many(const LifInputs& in, std::size_t rows) const {
    if (in.below != nullptr) return loops_.many(in.below, WordsOf(in.size), rows, in.size);
    return loops_.many(in.events, EventWords(in.size), rows, in.size);
  }

  // Adds the products of rows of derivatives and their inputs: with all of these where most have an
  // event, which needs finite derivatives, since what has no event must not show.
  void Add(BackwardWorker* w, LifCollected rows, Row* to) const {
    const std::size_t width = rows.neurons->width, samples = rows.samples;
    bool many = true;
    for (std::size_t s = 0; many && s < rows.steps; ++s) many = Many(StepOf(rows, s), samples);
    many = many && AllFinite(rows.rows, rows.steps * samples * width);
    if (!many) {
      w->lists.Grow(rows.inputs.size, rows.steps * samples);
      rows.matrix = to->data(), rows.room = w->lists.Get();
      return loops_.gather(rows);
    }
    const std::size_t inputs = rows.inputs.size, most = std::max<std::size_t>(1, kTurned / samples);
    for (std::size_t s = 0; s < rows.steps; s += most) {
      const std::size_t steps = std::min(most, rows.steps - s), depth = steps * samples;
      w->turned.resize(std::max(w->turned.size(), inputs * depth));
      for (std::size_t k = 0; k < steps; ++k)
        xbarax::Transpose(NumbersOf(w, StepOf(rows, s + k), samples), samples, inputs, inputs,
                          w->turned.data() + k * samples, depth);
      BestDense<float>().add_product(1, w->turned.data(), depth, rows.rows + s * samples * width,
                                     width, to->data(), width, inputs, depth, width);
    }
  }

  // The inputs of a step of those that are collected.
  static LifInputs StepOf(const LifCollected& rows, std::size_t step) {
    LifInputs in = rows.inputs;
    const std::size_t row = step * rows.apart;
    if (in.below != nullptr) {
      in.below += row * WordsOf(in.size);
    } else {
      in.xs += row * in.size, in.events += row * EventWords(in.size);
    }
    return in;
  }

  const float* NumbersOf(BackwardWorker* w, const LifInputs& in, std::size_t samples) const {
    if (in.xs != nullptr && in.half == 0) return in.xs;
    w->numbers.resize(std::max(w->numbers.size(), samples * in.size));
    loops_.numbers(in, samples, w->numbers.data());
    return w->numbers.data();
  }

  float* DriveAt(BackwardWorker* w, std::size_t layer, std::size_t t, std::size_t samples) const {
    const std::size_t place = t % CollectedSteps(chain_.layers[layer]);
    return w->drive[layer].data() + place * samples * layers_[layer].width();
  }

  // Adds to the gradient by the input weights what was collected from step t on.
  void Gather(BackwardWorker* w, std::size_t layer, std::size_t t, std::size_t first,
              std::size_t samples) const {
    Row& to = (*w->gathered)[layer].input;
    if (to.empty()) return;
    const std::size_t steps = std::min(CollectedSteps(chain_.layers[layer]), chain_.steps - t);
    Add(w,
        {&layers_[layer].neurons,
         steps,
         samples,
         InputsAt(layer, t, first),
         chain_.batch,
         w->drive[layer].data(),
         nullptr,
         {}},
        &to);
  }

  LifInputs InputsAt(std::size_t layer, std::size_t t, std::size_t first) const {
    const std::size_t row = t * chain_.batch + first;
    LifInputs inputs = {};
    inputs.size = layers_[layer].inputs;
    if (layer > 0) {
      inputs.below = trace_.spikes[layer - 1] + row * WordsOf(inputs.size);
    } else if (!chain_.driven()) {
      inputs.xs = chain_.xs + row * inputs.size;
      inputs.events = trace_.events + row * EventWords(inputs.size);
      inputs.half = chain_.layers[0].input_reads.half;
    }
    return inputs;
  }

  // Of a block: where they were kept, or where they are since the step was run again.
  const float* MembranesAt(const BackwardWorker& w, std::size_t layer, std::size_t t,
                           std::size_t first, std::size_t samples) const {
    const std::size_t size = layers_[layer].size();
    if (trace_.segment == 0 && t >= trace_.again)
      return trace_.membranes[layer] + ((t - trace_.again) * chain_.batch + first) * size;
    const std::size_t place = trace_.segment == 0 ? t : t % trace_.segment;
    return w.membranes[layer].data() + place * samples * size;
  }

  const LifChain& chain_;
  const std::vector<Prepared>& layers_;
  const LifTrace& trace_;
  const LifCotangents& cotangents_;
  float* xs_;
  const LifLoops& loops_;
  const Matmul& matmul_;
  std::vector<Panels> input_, recurrent_;
};

// Runs the steps from `begin` to `end` again, from the state that was traced, for their membranes.
void RunAgain(const LifChain& chain, const std::vector<Prepared>& layers, const LifTrace& trace,
              const LayerStep& step, std::size_t begin, std::size_t end, std::size_t first,
              std::size_t samples, BackwardWorker* w) {
  ForwardWorker& again = w->again;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const std::size_t size = layers[l].size(), width = layers[l].width();
    if (begin == 0) {
      again.samples[l].Load(chain.layers[l].state, first, samples, size);
      continue;
    }
    const std::size_t row = (begin / trace.segment - 1) * chain.batch + first;
    again.samples[l].Load(trace.states[l], row, samples, size);
    for (std::size_t b = 0; b < samples; ++b) {
      const float* spikes = again.samples[l].spikes.data() + b * width;
      again.no_number[l][b] = std::any_of(spikes, spikes + size, [](float s) { return s != s; });
    }
  }
  for (std::size_t t = begin; t < end; ++t)
    for (std::size_t l = 0; l < layers.size(); ++l)
      step.Run(&again, l, t, first, samples, true,
               w->membranes[l].data() + (t - begin) * samples * layers[l].size());
}

// The sum of what all tasks gathered, (inputs, width) each, as (size, inputs).
void Sum(const std::vector<std::vector<Gathered>>& tasks, std::size_t layer, Row Gathered::* which,
         std::size_t inputs, std::size_t size, float* to, Executor& executor) {
  if (to == nullptr) return;
  const std::size_t width = Padded(size);
  InPieces(inputs, size, executor, [&](std::size_t begin, std::size_t end) {
    for (std::size_t n = 0; n < size; n += kSquare)
      for (std::size_t i = begin; i < end; i += kSquare) {
        Square square(std::min(kSquare, end - i), std::min(kSquare, size - n));
        for (const std::vector<Gathered>& task : tasks)
          square.Add((task[layer].*which).data() + i * width + n, width);
        square.Transpose(to + n * inputs + i, inputs);
      }
  });
}

}  // namespace
}  // namespace lif

using lif::BackwardWorker, lif::ForEachBlock, lif::Gathered, lif::LayerStep, lif::LayerStepBack;
using lif::Prepared;

void LifBackward(const LifChain& chain, const LifTrace& trace, const LifCotangents& cotangents,
                 const LifResults& results, Executor& executor, const LifLoops& loops) {
  if (lif::AreFew(chain, loops))
    return lif::FewBackward(chain, trace, cotangents, results, executor, loops);
  std::vector<Prepared> layers;
  for (const LifLayer& layer : chain.layers)
    layers.push_back(lif::Prepare(layer, trace.segment != 0 || trace.again != 0, executor));
  const LayerStep again(chain, layers, trace, loops, nullptr);
  const LayerStepBack step(chain, layers, trace, cotangents, results.xs, loops);
  const std::size_t tasks = lif::Tasks(chain, executor);
  std::vector<std::vector<Gathered>> gathered(tasks);
  ForEachBlock(
      chain.batch, tasks, lif::BlockOf(chain, tasks), executor,
      [&](std::size_t task, std::size_t block) {
        for (std::size_t l = 0; l < layers.size(); ++l)
          gathered[task].emplace_back(chain.layers[l], results.parameters[l]);
        return BackwardWorker(chain, trace, &gathered[task], block);
      },
      [&](BackwardWorker& w, std::size_t first, std::size_t samples) {
        for (std::size_t l = 0; l < layers.size(); ++l) {
          w.gradients[l].Load(cotangents.states[l], first, samples, layers[l].size());
          // Apart: the first get what feedback gives, the others what the reset does.
          std::swap(w.before[l], w.gradients[l].spikes);
          std::fill(w.gradients[l].spikes.begin(), w.gradients[l].spikes.end(), 0.0f);
        }
        if (trace.again != 0)
          lif::RunAgain(chain, layers, trace, again, 0, trace.again, first, samples, &w);
        for (std::size_t k = Segments(chain.steps, trace.segment); k-- > 0;) {
          const std::size_t begin = k * trace.segment;
          const std::size_t end =
              trace.segment == 0 ? chain.steps : std::min(begin + trace.segment, chain.steps);
          if (trace.segment != 0)
            lif::RunAgain(chain, layers, trace, again, begin, end, first, samples, &w);
          for (std::size_t t = end; t-- > begin;)
            for (std::size_t l = layers.size(); l-- > 0;) step.Run(&w, l, t, first, samples);
        }
        for (std::size_t l = 0; l < layers.size(); ++l) {
          if (layers[l].neurons.recurrent || chain.steps == 0)
            for (std::size_t k = 0; k < w.before[l].size(); ++k)
              w.gradients[l].spikes[k] += w.before[l][k];
          w.gradients[l].Save(results.states[l], first, samples, layers[l].size());
        }
      });
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const LifGradientsTo& to = results.parameters[l];
    const std::size_t inputs = layers[l].inputs, size = layers[l].size();
    lif::Sum(gathered, l, &Gathered::input, inputs, size, to.input, executor);
    lif::Sum(gathered, l, &Gathered::recurrent, size, size, to.recurrent, executor);
    lif::Sum(gathered, l, &Gathered::input_bias, 1, size, to.input_bias, executor);
    lif::Sum(gathered, l, &Gathered::recurrent_bias, 1, size, to.recurrent_bias, executor);
  }
}

}  // namespace xbarax
