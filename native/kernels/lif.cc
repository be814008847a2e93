#include "kernels/lif.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <new>
#include <utility>

#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "kernels/read.h"

namespace xbarax {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr std::size_t kBlock = 12;  // samples at a time: two blocks of rows of a product
constexpr std::size_t kNeuronsWorthATask = std::size_t{1} << 13;

using Row = std::vector<float>;

std::size_t Padded(std::size_t size) { return (size + kLifLanes - 1) / kLifLanes * kLifLanes; }

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
  std::size_t width, size, inputs;
  LifNeurons neurons;
  Row decays;
  Row input, recurrent;            // transposed: a row for each input
  Row input_bias, recurrent_bias;  // empty: none
};

Prepared Prepare(const LifLayer& layer, bool transposed) {
  Prepared p;
  p.width = Padded(layer.size), p.size = layer.size, p.inputs = layer.inputs;
  p.decays = Pad(layer.decays, 6, layer.size, p.width);
  const auto decay = [&](std::size_t k) { return p.decays.data() + k * p.width; };
  p.neurons = {p.width,     decay(0),        decay(1),    decay(2),        decay(3),
               decay(4),    decay(5),        layer.gain,  layer.threshold, layer.steepness,
               layer.reset, layer.recurrent, layer.detach};
  const LifParameters& given = layer.parameters;
  if (transposed && given.input != nullptr)
    p.input = Transpose(given.input, layer.size, layer.inputs, p.width);
  if (transposed && given.recurrent != nullptr)
    p.recurrent = Transpose(given.recurrent, layer.size, layer.size, p.width);
  if (given.input_bias != nullptr) p.input_bias = Pad(given.input_bias, 1, layer.size, p.width);
  if (given.recurrent_bias != nullptr)
    p.recurrent_bias = Pad(given.recurrent_bias, 1, layer.size, p.width);
  return p;
}

// The numbers of the bits that are set.
std::size_t Decode(const std::uint32_t* bits, std::size_t words, std::uint32_t* numbers) {
  std::size_t count = 0;
  for (std::size_t word = 0; word < words; ++word)
    for (std::uint32_t left = bits[word]; left != 0; left &= left - 1)
      numbers[count++] =
          static_cast<std::uint32_t>(32 * word) + static_cast<std::uint32_t>(__builtin_ctz(left));
  return count;
}

// A block of samples of one layer, and space for one of them.
struct Samples {
  Row membrane, current, recurrent, spikes;
  std::size_t width;

  Samples(std::size_t width, std::size_t samples) : width(width) {
    for (Row* row : {&membrane, &current, &recurrent, &spikes}) row->resize(width * samples);
  }
  LifRows Get(std::size_t sample) {
    const std::size_t at = sample * width;
    return {&membrane[at], &current[at], &recurrent[at], &spikes[at]};
  }
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

// Events of one sample at one step: their numbers, and factors where they are not all 1.
struct Events {
  std::vector<std::uint32_t> numbers;
  Row factors;
  std::size_t count = 0;
  bool ones = true;

  explicit Events(std::size_t most) : numbers(most), factors(most) {}

  void Spikes(const std::uint32_t* bits, std::size_t size) {
    count = Decode(bits, Words(size), numbers.data());
    ones = true;
  }
  // Of numbers x, of which `bits` says which are not zero.
  void Values(const float* x, const std::uint32_t* bits, std::size_t size) {
    count = Decode(bits, Words(size), numbers.data());
    ones = false;
    for (std::size_t k = 0; k < count; ++k) factors[k] = x[numbers[k]];
  }
  const float* Factors() const { return ones ? nullptr : factors.data(); }
};

std::size_t MostEvents(const LifChain& chain) {
  std::size_t most = 1;
  for (const LifLayer& layer : chain.layers) most = std::max({most, layer.inputs, layer.size});
  return most;
}

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
  Row from, to;  // rows without what is behind a layer's size
  std::vector<RowNoise> noise;

  explicit Reading(const LifChain& chain) : noise(kBlock) {
    std::size_t bytes = 0, widest = 0;
    for (const LifLayer& layer : chain.layers)
      for (const AnalogReader* reader : {layer.reads.forward, layer.reads.backward})
        if (reader != nullptr) {
          bytes = std::max(bytes, reader->scratch_bytes());
          widest = std::max(widest, layer.size);
        }
    scratch.resize(bytes), from.resize(kBlock * widest), to.resize(kBlock * widest);
  }

  // Reads rows of `size` numbers, `width` apart, into as many in `to`, close together; those are
  // the rows from `first` on of a read with a key.
  void Read(const AnalogReader& reader, const RandomKey* key, std::size_t first,
            std::size_t samples, const float* rows, std::size_t size, std::size_t width) {
    for (std::size_t b = 0; b < samples; ++b) {
      std::copy_n(rows + b * width, size, from.data() + b * size);
      if (key != nullptr) noise[b] = {*key, first + b};
    }
    reader.Rows(from.data(), samples, key == nullptr ? nullptr : noise.data(), to.data(),
                scratch.data());
  }
};

// ---- Forward --------------------------------------------------------------------------------

struct ForwardWorker {
  std::vector<Samples> samples;
  std::vector<std::vector<std::uint32_t>> bits;  // of each layer's spikes at the present step
  std::vector<std::vector<char>> no_number;      // whether some of a sample's spikes is none
  std::vector<std::uint32_t> input_bits;
  Events events;
  Row drive, feedback;
  Reading reading;

  ForwardWorker(const LifChain& chain, const std::vector<Prepared>& layers, std::size_t block)
      : input_bits(Words(layers[0].inputs)), events(MostEvents(chain)), reading(chain) {
    std::size_t widest = 0;
    for (const Prepared& layer : layers) {
      samples.emplace_back(layer.width, block);
      bits.emplace_back(block * Words(layer.size));
      no_number.emplace_back(block);
      widest = std::max(widest, layer.width);
    }
    drive.resize(widest), feedback.resize(widest);
  }
};

void Begin(Row* sum, const Row& bias, std::size_t width) {
  if (bias.empty())
    std::fill_n(sum->begin(), width, 0.0f);
  else
    std::copy_n(bias.begin(), width, sum->begin());
}

// One layer's block of samples, from one step to the next.
class LayerStep {
 public:
  LayerStep(const LifChain& chain, const std::vector<Prepared>& layers, const LifTrace& trace,
            const LifLoops& loops, float* spikes)
      : chain_(chain), layers_(layers), trace_(trace), loops_(loops), spikes_(spikes) {}

  void Run(ForwardWorker* w, std::size_t layer, std::size_t step, std::size_t first,
           std::size_t samples) const {
    const Prepared& p = layers_[layer];
    const std::size_t words = Words(p.size);
    const LifReads& reads = chain_.layers[layer].reads;
    if (reads.forward != nullptr)
      w->reading.Read(*reads.forward, reads.keys == nullptr ? nullptr : reads.keys + step, first,
                      samples, w->samples[layer].spikes.data(), p.size, p.width);
    for (std::size_t b = 0; b < samples; ++b) {
      const std::size_t row = step * chain_.batch + first + b;
      Drive(w, layer, row, b);
      const LifRows rows = w->samples[layer].Get(b);
      if (p.neurons.recurrent) Feedback(w, layer, step, b, rows.spikes);
      std::uint32_t* bits = w->bits[layer].data() + b * words;
      w->no_number[layer][b] =
          loops_.advance(p.neurons, w->drive.data(), w->feedback.data(), rows, bits);
      if (trace_.spikes[layer] != nullptr)
        std::copy_n(bits, words, trace_.spikes[layer] + row * words);
      if (trace_.membranes[layer] != nullptr)
        std::copy_n(rows.membrane, p.size, trace_.membranes[layer] + row * p.size);
      if (layer + 1 == layers_.size()) std::copy_n(rows.spikes, p.size, spikes_ + row * p.size);
    }
  }

 private:
  void Drive(ForwardWorker* w, std::size_t layer, std::size_t row, std::size_t b) const {
    const Prepared& p = layers_[layer];
    Begin(&w->drive, p.input_bias, p.width);
    if (layer > 0) {
      if (w->no_number[layer - 1][b]) {
        std::fill_n(w->drive.begin(), p.size, kNaN);
        return;
      }
      w->events.Spikes(w->bits[layer - 1].data() + b * Words(p.inputs), p.inputs);
    } else {
      const float* x = chain_.xs + row * p.inputs;
      if (chain_.driven()) {
        for (std::size_t k = 0; k < p.size; ++k) w->drive[k] += x[k];
        return;
      }
      std::uint32_t* bits =
          trace_.events == nullptr ? w->input_bits.data() : trace_.events + row * Words(p.inputs);
      loops_.not_zero(x, p.inputs, bits);
      w->events.Values(x, bits, p.inputs);
    }
    AddRows(w, p.input, p, &w->drive);
  }

  void Feedback(ForwardWorker* w, std::size_t layer, std::size_t step, std::size_t b,
                const float* spikes) const {
    const Prepared& p = layers_[layer];
    Begin(&w->feedback, p.recurrent_bias, p.width);
    if (chain_.layers[layer].reads.forward != nullptr) {
      const float* read = w->reading.to.data() + b * p.size;
      for (std::size_t k = 0; k < p.size; ++k) w->feedback[k] += read[k];
      return;
    }
    std::uint32_t* bits = w->bits[layer].data() + b * Words(p.size);
    if (step == 0) {  // those of the state may be any numbers
      loops_.not_zero(spikes, p.size, bits);
      w->events.Values(spikes, bits, p.size);
    } else if (w->no_number[layer][b]) {
      std::fill_n(w->feedback.begin(), p.size, kNaN);
      return;
    } else {
      w->events.Spikes(bits, p.size);
    }
    AddRows(w, p.recurrent, p, &w->feedback);
  }

  void AddRows(ForwardWorker* w, const Row& rows, const Prepared& p, Row* sum) const {
    const Events& e = w->events;
    loops_.add_rows(rows.data(), e.numbers.data(), e.Factors(), e.count, p.width, sum->data());
    // A factor that is no number makes something of the zeros behind the layer's size.
    if (!e.ones) std::fill(sum->data() + p.size, sum->data() + p.width, 0.0f);
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
  Events events;
  Row membrane, membrane_before, spikes_before, spikes_bar, membrane_bar;  // padded, of a sample
  std::vector<std::uint32_t> bits;
  Reading reading;

  BackwardWorker(const LifChain& chain, std::vector<Gathered>* gathered, std::size_t block)
      : gathered(gathered),
        events(MostEvents(chain)),
        bits(Words(MostEvents(chain))),
        reading(chain) {
    std::size_t widest = 0;
    for (const LifLayer& layer : chain.layers) {
      const std::size_t width = Padded(layer.size);
      gradients.emplace_back(width, block);
      drive.emplace_back(width * block), feedback.emplace_back(width * block);
      before.emplace_back(width * block);
      below.emplace_back(Padded(layer.inputs) * block);
      widest = std::max(widest, width);
    }
    for (Row* row : {&membrane, &membrane_before, &spikes_before, &spikes_bar, &membrane_bar})
      row->resize(widest);
  }
};

// A row of `size` numbers where it can be read up to `width`: itself, or a copy of it.
const float* Readable(const float* row, std::size_t size, std::size_t width, Row* copy) {
  if (row == nullptr || size == width) return row;
  std::copy_n(row, size, copy->data());
  std::fill(copy->data() + size, copy->data() + width, 0.0f);
  return copy->data();
}

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

  void Run(BackwardWorker* w, std::size_t layer, std::size_t step, std::size_t first,
           std::size_t samples) const {
    const Prepared& p = layers_[layer];
    for (std::size_t b = 0; b < samples; ++b) {
      Retreat(w, layer, step, first, b);
      Gather(w, layer, step, first + b, b);
    }
    const LifReads& reads = chain_.layers[layer].reads;
    if (reads.backward != nullptr) {
      const RandomKey* keys = reads.backward_keys;
      w->reading.Read(*reads.backward, keys == nullptr ? nullptr : keys + step, first, samples,
                      w->feedback[layer].data(), p.size, p.width);
      for (std::size_t b = 0; b < samples; ++b)
        std::copy_n(w->reading.to.data() + b * p.size, p.size,
                    w->before[layer].data() + b * p.width);
    } else if (p.neurons.recurrent) {
      recurrent_[layer].Multiply(w->feedback[layer].data(), samples, w->before[layer].data(),
                                 p.width, matmul_);
    }
    if (input_[layer].columns > 0) {
      // The first layer's inputs are the chain's.
      float* to =
          layer > 0 ? w->below[layer].data() : xs_ + (step * chain_.batch + first) * p.inputs;
      input_[layer].Multiply(w->drive[layer].data(), samples, to,
                             layer > 0 ? Padded(p.inputs) : p.inputs, matmul_);
    } else if (xs_ != nullptr && layer == 0) {
      for (std::size_t b = 0; b < samples; ++b)
        std::copy_n(w->drive[0].data() + b * p.width, p.size,
                    xs_ + (step * chain_.batch + first + b) * p.size);
    }
  }

 private:
  void Retreat(BackwardWorker* w, std::size_t layer, std::size_t step, std::size_t first,
               std::size_t b) const {
    const Prepared& p = layers_[layer];
    const std::size_t row = step * chain_.batch + first + b, at = b * p.width;
    const bool last = layer + 1 == layers_.size();
    const float* outside = last ? cotangents_.spikes : cotangents_.hidden[layer];
    const auto of_row = [&](const float* rows, std::size_t r, Row* copy) {
      return Readable(rows == nullptr ? nullptr : rows + r * p.size, p.size, p.width, copy);
    };
    const float* spikes_bar = of_row(outside, row, &w->spikes_bar);
    if (!last) {  // what comes from above is always there
      const float* above = w->below[layer + 1].data() + at;
      if (spikes_bar != nullptr) {
        for (std::size_t k = 0; k < p.width; ++k) w->spikes_bar[k] = spikes_bar[k] + above[k];
        spikes_bar = w->spikes_bar.data();
      } else {
        spikes_bar = above;
      }
    }
    // By the spikes at the end, and then by those that are fed back.
    const bool from_after = step + 1 == chain_.steps || p.neurons.recurrent;
    const float* membranes = trace_.membranes[layer];
    const LifState& start = chain_.layers[layer].state;
    const float* before = step == 0 ? of_row(start.membrane, first + b, &w->membrane_before)
                                    : of_row(membranes, row - chain_.batch, &w->membrane_before);
    loops_.retreat(p.neurons, of_row(membranes, row, &w->membrane), before,
                   step == 0 ? of_row(start.spikes, first + b, &w->spikes_before) : nullptr,
                   spikes_bar, from_after ? w->before[layer].data() + at : nullptr,
                   of_row(cotangents_.membranes[layer], row, &w->membrane_bar),
                   w->gradients[layer].Get(b), w->drive[layer].data() + at,
                   w->feedback[layer].data() + at);
  }

  // Adds a sample's step to the gradients by the parameters.
  void Gather(BackwardWorker* w, std::size_t layer, std::size_t step, std::size_t sample,
              std::size_t b) const {
    const Prepared& p = layers_[layer];
    Gathered& to = (*w->gathered)[layer];
    const std::size_t row = step * chain_.batch + sample, at = b * p.width;
    const auto add = [&](Row* rows, const Row& addend) {
      const Events& e = w->events;
      loops_.add_to_rows(rows->data(), e.numbers.data(), e.Factors(), e.count, p.width,
                         addend.data() + at);
    };
    const auto add_bias = [&](Row* bias, const Row& addend) {
      for (std::size_t k = 0; k < p.width; ++k) (*bias)[k] += addend[at + k];
    };
    if (!to.input.empty()) {
      if (layer > 0)
        w->events.Spikes(trace_.spikes[layer - 1] + row * Words(p.inputs), p.inputs);
      else
        w->events.Values(chain_.xs + row * p.inputs, trace_.events + row * Words(p.inputs),
                         p.inputs);
      add(&to.input, w->drive[layer]);
    }
    if (!to.recurrent.empty()) {
      if (step == 0) {
        const float* spikes = chain_.layers[layer].state.spikes + sample * p.size;
        loops_.not_zero(spikes, p.size, w->bits.data());
        w->events.Values(spikes, w->bits.data(), p.size);
      } else {
        w->events.Spikes(trace_.spikes[layer] + (row - chain_.batch) * Words(p.size), p.size);
      }
      add(&to.recurrent, w->feedback[layer]);
    }
    if (!to.input_bias.empty()) add_bias(&to.input_bias, w->drive[layer]);
    if (!to.recurrent_bias.empty()) add_bias(&to.recurrent_bias, w->feedback[layer]);
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
      [&](std::size_t, std::size_t block) { return ForwardWorker(chain, layers, block); },
      [&](ForwardWorker& w, std::size_t first, std::size_t samples) {
        for (std::size_t l = 0; l < layers.size(); ++l)
          w.samples[l].Load(chain.layers[l].state, first, samples, layers[l].size);
        for (std::size_t t = 0; t < chain.steps; ++t)
          for (std::size_t l = 0; l < layers.size(); ++l) step.Run(&w, l, t, first, samples);
        for (std::size_t l = 0; l < layers.size(); ++l)
          w.samples[l].Save(states[l], first, samples, layers[l].size);
      });
}

void LifBackward(const LifChain& chain, const LifTrace& trace, const LifCotangents& cotangents,
                 const LifResults& results, Executor& executor, const LifLoops& loops) {
  std::vector<Prepared> layers;
  for (const LifLayer& layer : chain.layers) layers.push_back(Prepare(layer, false));
  const LayerStepBack step(chain, layers, trace, cotangents, results.xs, loops);
  const std::size_t tasks = Tasks(chain, executor);
  std::vector<std::vector<Gathered>> gathered(tasks);
  for (std::vector<Gathered>& task : gathered)
    for (std::size_t l = 0; l < layers.size(); ++l)
      task.emplace_back(chain.layers[l], results.parameters[l]);
  ForEachBlock(
      chain.batch, tasks, executor,
      [&](std::size_t task, std::size_t block) {
        return BackwardWorker(chain, &gathered[task], block);
      },
      [&](BackwardWorker& w, std::size_t first, std::size_t samples) {
        for (std::size_t l = 0; l < layers.size(); ++l) {
          w.gradients[l].Load(cotangents.states[l], first, samples, layers[l].size);
          // Apart: the first get what feedback gives, the others what the reset does.
          std::swap(w.before[l], w.gradients[l].spikes);
          std::fill(w.gradients[l].spikes.begin(), w.gradients[l].spikes.end(), 0.0f);
        }
        for (std::size_t t = chain.steps; t-- > 0;)
          for (std::size_t l = layers.size(); l-- > 0;) step.Run(&w, l, t, first, samples);
        for (std::size_t l = 0; l < layers.size(); ++l) {
          if (layers[l].neurons.recurrent || chain.steps == 0)
            for (std::size_t k = 0; k < w.before[l].size(); ++k)
              w.gradients[l].spikes[k] += w.before[l][k];
          w.gradients[l].Save(results.states[l], first, samples, layers[l].size);
        }
      });
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const LifGradientsTo& to = results.parameters[l];
    const std::size_t inputs = layers[l].inputs, size = layers[l].size;
    Sum(gathered, l, &Gathered::input, inputs, size, to.input);
    Sum(gathered, l, &Gathered::recurrent, size, size, to.recurrent);
    Sum(gathered, l, &Gathered::input_bias, 1, size, to.input_bias);
    Sum(gathered, l, &Gathered::recurrent_bias, 1, size, to.recurrent_bias);
  }
}

const LifLoops& BestLifLoops() {
#if defined(XBARAX_X86_ISAS)
  switch (BestIsa()) {
    case Isa::kAvx512:
      return avx512::kLifLoops;
    case Isa::kAvx2:
      return avx2::kLifLoops;
    case Isa::kBaseline:
      break;
  }
#endif
  return baseline::kLifLoops;
}

}  // namespace xbarax
