#include "kernels/lif.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <new>
#include <utility>

#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "kernels/read.h"

namespace xbarax {
namespace {

constexpr std::size_t kBlock = 12;  // samples at a time: two blocks of rows of a product
constexpr std::size_t kNeuronsWorthATask = std::size_t{1} << 13;

// Allocates from a line of the cache on.
template <class T>
struct Aligned {
  static constexpr std::align_val_t kLine{64};
  using value_type = T;
  Aligned() = default;
  template <class Other>
  Aligned(const Aligned<Other>&) {}
  T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), kLine));
  }
  void deallocate(T* numbers, std::size_t) { ::operator delete(numbers, kLine); }
  friend bool operator==(const Aligned&, const Aligned&) { return true; }
  friend bool operator!=(const Aligned&, const Aligned&) { return false; }
};

using Row = std::vector<float, Aligned<float>>;

// To a multiple of the lanes of the best instruction set, which those of the others divide.
std::size_t Padded(std::size_t size) {
  static const std::size_t lanes = BestLifLoops().lanes;
  return (size + lanes - 1) / lanes * lanes;
}

// Rows of `size` numbers as rows of `width`, zeros behind them.
Row Pad(const float* rows, std::size_t count, std::size_t size, std::size_t width) {
  Row padded(count * width);
  for (std::size_t r = 0; r < count; ++r)
    std::copy_n(rows + r * size, size, padded.data() + r * width);
  return padded;
}

constexpr std::size_t kSquare = 16;  // is transposed at a time, so that its lines stay in the cache

// (rows, columns) as (columns, width): the transposed matrix, zeros behind its rows.
Row Transpose(const float* matrix, std::size_t rows, std::size_t columns, std::size_t width) {
  Row transposed(columns * width);
  for (std::size_t c = 0; c < columns; c += kSquare)
    for (std::size_t r = 0; r < rows; r += kSquare)
      for (std::size_t j = c; j < std::min(columns, c + kSquare); ++j)
        for (std::size_t i = r; i < std::min(rows, r + kSquare); ++i)
          transposed[j * width + i] = matrix[i * columns + j];
  return transposed;
}

// A layer as its loops take it.
struct Prepared {
  LifNeurons neurons;
  std::size_t inputs;
  Row decays, input, recurrent;    // the matrices transposed: a row for each input
  Row input_bias, recurrent_bias;  // zeros where there is none

  std::size_t size() const { return neurons.size; }
  std::size_t width() const { return neurons.width; }
};

Prepared Prepare(const LifLayer& layer, bool transposed) {
  Prepared p;
  const std::size_t size = layer.size, width = Padded(size);
  p.inputs = layer.inputs;
  p.decays = Pad(layer.decays, 6, size, width);
  const auto decay = [&](std::size_t k) { return p.decays.data() + k * width; };
  p.neurons = {size,
               width,
               decay(0),
               decay(1),
               decay(2),
               decay(3),
               decay(4),
               decay(5),
               layer.gain,
               layer.threshold,
               layer.steepness,
               layer.reset,
               layer.recurrent,
               layer.detach};
  const LifParameters& given = layer.parameters;
  if (transposed && given.input != nullptr)
    p.input = Transpose(given.input, size, layer.inputs, width);
  if (transposed && given.recurrent != nullptr)
    p.recurrent = Transpose(given.recurrent, size, size, width);
  const auto bias = [&](const float* row) {
    return row == nullptr ? Row(width) : Pad(row, 1, size, width);
  };
  p.input_bias = bias(given.input_bias), p.recurrent_bias = bias(given.recurrent_bias);
  return p;
}

// What a block of samples of one layer has between two steps, or the derivatives by it.
struct Samples {
  Row membrane, current, recurrent, spikes;
  std::size_t width;

  Samples(std::size_t width, std::size_t samples) : width(width) {
    for (Row* row : {&membrane, &current, &recurrent, &spikes}) row->resize(width * samples);
  }
  LifRows Rows() { return {membrane.data(), current.data(), recurrent.data(), spikes.data()}; }
  template <class From>  // LifState or LifStateTo
  void Load(const From& from, std::size_t first, std::size_t samples, std::size_t size) {
    const auto take = [&](const float* rows, Row* to) {
      if (rows != nullptr)
        for (std::size_t b = 0; b < samples; ++b)
          std::copy_n(rows + (first + b) * size, size, to->data() + b * width);
    };
    for (Row* row : {&membrane, &current, &recurrent, &spikes})
      std::fill(row->begin(), row->end(), 0.0f);
    take(from.membrane, &membrane), take(from.current, &current);
    take(from.recurrent, &recurrent), take(from.spikes, &spikes);
  }
  void Save(const LifStateTo& to, std::size_t first, std::size_t samples, std::size_t size) const {
    const auto give = [&](const Row& from, float* rows) {
      if (rows != nullptr)
        for (std::size_t b = 0; b < samples; ++b)
          std::copy_n(from.data() + b * width, size, rows + (first + b) * size);
    };
    give(membrane, to.membrane), give(current, to.current);
    give(recurrent, to.recurrent), give(spikes, to.spikes);
  }
};

// Room for the events of one sample, and what they add up to.
struct Scratch {
  std::vector<std::uint32_t> numbers;
  Row factors, drive, feedback;

  explicit Scratch(const LifChain& chain) {
    std::size_t most = 1, widest = 1;
    for (const LifLayer& layer : chain.layers) {
      most = std::max({most, layer.inputs, layer.size});
      widest = std::max(widest, Padded(layer.size));
    }
    numbers.resize(most), factors.resize(most), drive.resize(widest), feedback.resize(widest);
  }
  LifScratch Get() { return {numbers.data(), factors.data(), drive.data(), feedback.data()}; }
};

// Ranges of samples, each a task: as many as there are threads, if they are worth it.
std::size_t Tasks(const LifChain& chain, const Executor& executor) {
  std::size_t neurons = 0;
  for (const LifLayer& layer : chain.layers) neurons += Padded(layer.size);
  const std::size_t worth = chain.steps * chain.batch * neurons / kNeuronsWorthATask;
  return std::max<std::size_t>(1, std::min({chain.batch, worth, executor.threads()}));
}

// Calls body(task, first, samples) for blocks of the samples of each task. Throws, once all have
// ended, what a body threw: threads of a pool must not.
template <class Make, class Body>
void ForEachBlock(std::size_t batch, std::size_t tasks, Executor& executor, const Make& make,
                  const Body& body) {
  std::atomic<bool> failed{false};
  const auto task = [&](std::size_t number) {
    try {
      const std::size_t begin = number * batch / tasks, end = (number + 1) * batch / tasks;
      auto worker = make(number, std::min(kBlock, end - begin));
      for (std::size_t first = begin; first < end; first += kBlock)
        body(worker, first, std::min(kBlock, end - first));
    } catch (const std::bad_alloc&) {
      failed = true;
    }
  };
  if (tasks == 1) {
    task(0);
  } else {
    ParallelFor(executor, tasks, task);
  }
  if (failed) throw std::bad_alloc();
}

// Where a worker reads the arrays of its layers.
struct Reading {
  std::vector<char> scratch;
  Row from, to, drive;  // rows without what is behind a layer's size
  std::vector<RowNoise> noise;

  explicit Reading(const LifChain& chain) : noise(kBlock) {
    std::size_t bytes = 0, widest = 0;
    for (const LifLayer& layer : chain.layers)
      for (const LifReads* reads : {&layer.input_reads, &layer.recurrent_reads})
        for (const AnalogReader* reader : {reads->forward, reads->backward})
          if (reader != nullptr) {
            bytes = std::max(bytes, reader->scratch_bytes());
            widest = std::max({widest, reader->inputs(), reader->outputs()});
          }
    scratch.resize(bytes);
    for (Row* row : {&from, &to, &drive}) row->resize(kBlock * widest);
  }

  // Reads rows, `width` apart, into `to`, where they are close together; those are the rows from
  // `first` on of a read with the key of a step.
  void Read(const AnalogReader& reader, const RandomKey* keys, std::size_t t, std::size_t first,
            std::size_t samples, const float* rows, std::size_t width) {
    const std::size_t size = reader.inputs();
    for (std::size_t b = 0; b < samples; ++b) {
      if (width != size) std::copy_n(rows + b * width, size, from.data() + b * size);
      if (keys != nullptr) noise[b] = {keys[t], first + b};
    }
    reader.Rows(width == size ? rows : from.data(), samples,
                keys == nullptr ? nullptr : noise.data(), to.data(), scratch.data());
  }
  // Copies what was read to rows that are `width` apart.
  void CopyTo(float* rows, std::size_t samples, std::size_t size, std::size_t width) const {
    for (std::size_t b = 0; b < samples; ++b)
      std::copy_n(to.data() + b * size, size, rows + b * width);
  }
};

// ---- Forward --------------------------------------------------------------------------------

struct ForwardWorker {
  std::vector<Samples> samples;
  std::vector<std::vector<std::uint32_t>> bits;  // of each layer's spikes at the present step
  std::vector<std::vector<char>> no_number;      // whether some of a sample's spikes is none
  std::vector<std::uint32_t> events;
  Scratch scratch;
  Reading reading;

  ForwardWorker(const LifChain& chain, std::size_t block)
      : events(block * EventWords(chain.layers[0].inputs)), scratch(chain), reading(chain) {
    for (const LifLayer& layer : chain.layers) {
      samples.emplace_back(Padded(layer.size), block);
      bits.emplace_back(block * WordsOf(layer.size));
      no_number.emplace_back(block);
    }
  }
};

// One layer's block of samples, from one step to the next.
class LayerStep {
 public:
  LayerStep(const LifChain& chain, const std::vector<Prepared>& layers, const LifTrace& trace,
            const LifLoops& loops, float* spikes)
      : chain_(chain), layers_(layers), trace_(trace), loops_(loops), spikes_(spikes) {}

  // Once more where `again`: what is traced is there, and membranes go elsewhere, if anywhere.
  void Run(ForwardWorker* w, std::size_t layer, std::size_t t, std::size_t first,
           std::size_t samples, bool again = false, float* membranes = nullptr) const {
    const Prepared& p = layers_[layer];
    const std::size_t row = t * chain_.batch + first;
    LifForwardStep step = {};
    step.neurons = &p.neurons, step.samples = samples, step.first = t == 0;
    step.inputs.known = again;
    step.inputs.size = p.inputs;
    if (layer > 0) {
      step.inputs.below = Bits(w, layer - 1, row);
      step.inputs.no_number = w->no_number[layer - 1].data();
    } else if (chain_.driven()) {
      step.drive = chain_.xs + row * p.size();
    } else {
      step.inputs.xs = chain_.xs + row * p.inputs;
      step.inputs.events =
          trace_.events == nullptr ? w->events.data() : trace_.events + row * EventWords(p.inputs);
    }
    const LifReads& input = chain_.layers[layer].input_reads;
    if (input.forward != nullptr) {
      const float* below = layer > 0 ? w->samples[layer - 1].spikes.data() : step.inputs.xs;
      w->reading.Read(*input.forward, input.keys, t, first, samples, below,
                      layer > 0 ? layers_[layer - 1].width() : p.inputs);
      std::swap(w->reading.to, w->reading.drive);
      step.drive = w->reading.drive.data();
    }
    const LifReads& recurrent = chain_.layers[layer].recurrent_reads;
    if (recurrent.forward != nullptr) {
      w->reading.Read(*recurrent.forward, recurrent.keys, t, first, samples,
                      w->samples[layer].spikes.data(), p.width());
      step.feedback = w->reading.to.data();
    }
    step.input = p.input.data(), step.recurrent = p.recurrent.data();
    step.input_bias = p.input_bias.data(), step.recurrent_bias = p.recurrent_bias.data();
    step.rows = w->samples[layer].Rows();
    if (t > 0) step.bits_before = Bits(w, layer, row - chain_.batch);
    step.bits = again ? w->bits[layer].data() : Bits(w, layer, row);
    step.no_number = w->no_number[layer].data();
    step.membranes = membranes;
    if (!again && trace_.membranes[layer] != nullptr)
      step.membranes = trace_.membranes[layer] + row * p.size();
    if (!again && layer + 1 == layers_.size()) step.spikes = spikes_ + row * p.size();
    step.scratch = w->scratch.Get();
    loops_.forward(step);
  }

 private:
  // Where the bits of a layer's spikes are, from a sample at a step on.
  std::uint32_t* Bits(ForwardWorker* w, std::size_t layer, std::size_t row) const {
    std::uint32_t* trace = trace_.spikes[layer];
    return trace == nullptr ? w->bits[layer].data() : trace + row * WordsOf(layers_[layer].size());
  }

  const LifChain& chain_;
  const std::vector<Prepared>& layers_;
  const LifTrace& trace_;
  const LifLoops& loops_;
  float* spikes_;
};

// ---- Backward -------------------------------------------------------------------------------

// A matrix (rows, columns) that rows of `Padded(rows)` numbers are multiplied with, in panels.
struct Panels {
  std::size_t depth, columns, width;
  Row packed;

  Panels() : depth(0), columns(0), width(0) {}
  Panels(const float* matrix, std::size_t rows, std::size_t columns, const Matmul& matmul)
      : depth(Padded(rows)), columns(columns), width(matmul.panel_columns) {
    packed.resize((columns + width - 1) / width * depth * width);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; c += width)
        std::copy_n(matrix + r * columns + c, std::min(width, columns - c),
                    packed.data() + c * depth + r * width);
  }
  // y (rows, y_stride) = x (rows, depth) times the matrix.
  void Multiply(const float* x, std::size_t rows, float* y, std::size_t y_stride,
                const Matmul& matmul) const {
    for (std::size_t c = 0; c < columns; c += width)
      matmul.panel(x, rows, depth, packed.data() + c * depth, width, y + c, y_stride,
                   std::min(width, columns - c));
  }
};

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

struct BackwardWorker {
  std::vector<Samples> gradients;
  std::vector<Row> drive, feedback;  // derivatives by these, of a block
  std::vector<Row> below, before;    // by the spikes of the layer below, and of the step before
  std::vector<Gathered>* gathered;
  Scratch scratch;
  Reading reading;
  // Of a segment that is run again: where, and the membranes, [steps][samples][size].
  ForwardWorker again;
  std::vector<Row> membranes;

  BackwardWorker(const LifChain& chain, const LifTrace& trace, std::vector<Gathered>* gathered,
                 std::size_t block)
      : gathered(gathered), scratch(chain), reading(chain), again(chain, block) {
    for (const LifLayer& layer : chain.layers) {
      membranes.emplace_back(std::min(trace.segment, chain.steps) * block * layer.size);
      const std::size_t width = Padded(layer.size);
      gradients.emplace_back(width, block);
      drive.emplace_back(width * block), feedback.emplace_back(width * block);
      before.emplace_back(width * block);
      below.emplace_back(Padded(layer.inputs) * block);
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
      const bool wanted = layer.parameters.input != nullptr && (l > 0 || xs != nullptr);
      input_.push_back(wanted ? Panels(layer.parameters.input, layer.size, layer.inputs, matmul_)
                              : Panels());
      recurrent_.push_back(layer.parameters.recurrent != nullptr
                               ? Panels(layer.parameters.recurrent, layer.size, layer.size, matmul_)
                               : Panels());
    }
  }

  void Run(BackwardWorker* w, std::size_t layer, std::size_t t, std::size_t first,
           std::size_t samples) const {
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
  }

 private:
  // From a layer's drive to the spikes of the layer below, or to what the chain is given.
  void Descend(BackwardWorker* w, std::size_t layer, std::size_t t, std::size_t first,
               std::size_t samples) const {
    if (layer == 0 && xs_ == nullptr) return;
    const Prepared& p = layers_[layer];
    const std::size_t row = t * chain_.batch + first;
    const float* drive = w->drive[layer].data();
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
    step.inputs.size = p.inputs;
    if (layer > 0) {
      step.inputs.below = trace_.spikes[layer - 1] + row * WordsOf(p.inputs);
    } else if (!chain_.driven()) {
      step.inputs.xs = chain_.xs + row * p.inputs;
      step.inputs.events = trace_.events + row * EventWords(p.inputs);
      step.inputs.half = chain_.layers[0].input_reads.half;
    }
    const LifState& start = chain_.layers[layer].state;
    const std::size_t segment = trace_.segment, place = segment == 0 ? 0 : t % segment;
    if (segment == 0) {
      step.membranes = from(trace_.membranes[layer], row);
      if (t > 0) step.membranes_before = from(trace_.membranes[layer], row - chain_.batch);
    } else {
      step.membranes = w->membranes[layer].data() + place * samples * p.size();
      if (place > 0)
        step.membranes_before = step.membranes - samples * p.size();
      else if (t > 0)
        step.membranes_before =
            from(trace_.states[layer].membrane, (t / segment - 1) * chain_.batch + first);
    }
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
    step.drive = w->drive[layer].data(), step.feedback = w->feedback[layer].data();
    Gathered& to = (*w->gathered)[layer];
    const auto wanted = [](Row& rows) { return rows.empty() ? nullptr : rows.data(); };
    step.input = wanted(to.input), step.recurrent = wanted(to.recurrent);
    step.input_bias = wanted(to.input_bias), step.recurrent_bias = wanted(to.recurrent_bias);
    step.scratch = w->scratch.Get();
    loops_.backward(step);
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
         std::size_t inputs, std::size_t size, float* to) {
  if (to == nullptr) return;
  const std::size_t width = Padded(size);
  for (std::size_t i = 0; i < inputs; i += kSquare)
    for (std::size_t n = 0; n < size; n += kSquare)
      for (std::size_t k = n; k < std::min(size, n + kSquare); ++k)
        for (std::size_t j = i; j < std::min(inputs, i + kSquare); ++j) {
          float sum = 0;
          for (const std::vector<Gathered>& task : tasks)
            sum += (task[layer].*which)[j * width + k];
          to[k * inputs + j] = sum;
        }
}

}  // namespace

void LifForward(const LifChain& chain, float* spikes, const std::vector<LifStateTo>& states,
                const LifTrace& trace, Executor& executor, const LifLoops& loops) {
  std::vector<Prepared> layers;
  for (const LifLayer& layer : chain.layers) layers.push_back(Prepare(layer, true));
  const LayerStep step(chain, layers, trace, loops, spikes);
  ForEachBlock(
      chain.batch, Tasks(chain, executor), executor,
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

void LifBackward(const LifChain& chain, const LifTrace& trace, const LifCotangents& cotangents,
                 const LifResults& results, Executor& executor, const LifLoops& loops) {
  std::vector<Prepared> layers;
  for (const LifLayer& layer : chain.layers) layers.push_back(Prepare(layer, trace.segment != 0));
  const LayerStep again(chain, layers, trace, loops, nullptr);
  const LayerStepBack step(chain, layers, trace, cotangents, results.xs, loops);
  const std::size_t tasks = Tasks(chain, executor);
  std::vector<std::vector<Gathered>> gathered(tasks);
  for (std::vector<Gathered>& task : gathered)
    for (std::size_t l = 0; l < layers.size(); ++l)
      task.emplace_back(chain.layers[l], results.parameters[l]);
  ForEachBlock(
      chain.batch, tasks, executor,
      [&](std::size_t task, std::size_t block) {
        return BackwardWorker(chain, trace, &gathered[task], block);
      },
      [&](BackwardWorker& w, std::size_t first, std::size_t samples) {
        for (std::size_t l = 0; l < layers.size(); ++l) {
          w.gradients[l].Load(cotangents.states[l], first, samples, layers[l].size());
          // Apart: the first get what feedback gives, the others what the reset does.
          std::swap(w.before[l], w.gradients[l].spikes);
          std::fill(w.gradients[l].spikes.begin(), w.gradients[l].spikes.end(), 0.0f);
        }
        for (std::size_t k = Segments(chain.steps, trace.segment); k-- > 0;) {
          const std::size_t begin = k * trace.segment;
          const std::size_t end =
              trace.segment == 0 ? chain.steps : std::min(begin + trace.segment, chain.steps);
          if (trace.segment != 0)
            RunAgain(chain, layers, trace, again, begin, end, first, samples, &w);
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
    Sum(gathered, l, &Gathered::input, inputs, size, to.input);
    Sum(gathered, l, &Gathered::recurrent, size, size, to.recurrent);
    Sum(gathered, l, &Gathered::input_bias, 1, size, to.input_bias);
    Sum(gathered, l, &Gathered::recurrent_bias, 1, size, to.recurrent_bias);
  }
}

const LifLoops& BestLifLoops() { return XBARAX_BEST(kLifLoops); }

}  // namespace xbarax
