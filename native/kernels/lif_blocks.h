// Layers and blocks of samples as the loops of LIF neurons take them: what the forward and the
// backward pass share.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

#include "kernels/lif.h"
#include "kernels/transpose.h"

namespace xbarax::lif {

// Samples at a time, some blocks of rows of a product. Many share what is fetched of the weights,
// of few the states stay near: as many as this where layers are no wider than kNarrow, and have no
// more neurons together than kNeurons.
constexpr std::size_t kLeastBlock = 24, kMostBlock = 6 * kLeastBlock;
constexpr std::size_t kNarrow = 128, kNeurons = 288;
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

// Leaves numbers as the memory has them.
struct Unset : Aligned<float> {
  template <class>
  struct rebind {
    using other = Unset;
  };
  void construct(float*) {}
};

// Of numbers that are written before they are read.
using UnsetRow = std::vector<float, Unset>;

// To a multiple of the lanes of the best instruction set, which those of the others divide.
inline std::size_t Padded(std::size_t size) {
  static const std::size_t lanes = BestLifLoops().lanes;
  return (size + lanes - 1) / lanes * lanes;
}

// Rows of `size` numbers as rows of `width`, zeros behind them.
inline Row Pad(const float* rows, std::size_t count, std::size_t size, std::size_t width) {
  Row padded(count * width);
  for (std::size_t r = 0; r < count; ++r)
    std::copy_n(rows + r * size, size, padded.data() + r * width);
  return padded;
}

constexpr std::size_t kNumbersWorthAPiece = std::size_t{1} << 15;

// Calls body(begin, end) for ranges of columns that have so many rows, for as many as there are
// threads if they are worth it. The body must not throw.
template <class Body>
void InPieces(std::size_t columns, std::size_t rows, Executor& executor, const Body& body) {
  const std::size_t squares = (columns + kSquare - 1) / kSquare;
  const std::size_t worth = columns * rows / kNumbersWorthAPiece;
  const std::size_t pieces = std::min({squares, worth, executor.threads()});
  if (pieces <= 1) return body(std::size_t{0}, columns);
  ParallelFor(executor, pieces, [&](std::size_t piece) {
    body(piece * squares / pieces * kSquare,
         std::min(columns, (piece + 1) * squares / pieces * kSquare));
  });
}

// (rows, columns) as (columns, width): the transposed matrix, zeros behind its rows.
inline Row Transpose(const float* matrix, std::size_t rows, std::size_t columns, std::size_t width,
                     Executor& executor) {
  Row transposed(columns * width);
  InPieces(columns, rows, executor, [&](std::size_t begin, std::size_t end) {
    xbarax::Transpose(matrix + begin, rows, end - begin, columns, transposed.data() + begin * width,
                      width);
  });
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

inline Prepared Prepare(const LifLayer& layer, bool transposed, Executor& executor) {
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
    p.input = Transpose(given.input, size, layer.inputs, width, executor);
  if (transposed && given.recurrent != nullptr)
    p.recurrent = Transpose(given.recurrent, size, size, width, executor);
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
    numbers.resize(most + kBitsBehind), factors.resize(most);
    drive.resize(widest), feedback.resize(widest);
  }
  LifScratch Get() { return {numbers.data(), factors.data(), drive.data(), feedback.data()}; }
};

// Ranges of samples, each a task: as many as there are threads, if they are worth it.
inline std::size_t Tasks(const LifChain& chain, const Executor& executor) {
  std::size_t neurons = 0;
  for (const LifLayer& layer : chain.layers) neurons += Padded(layer.size);
  const std::size_t worth = chain.steps * chain.batch * neurons / kNeuronsWorthATask;
  return std::max<std::size_t>(1, std::min({chain.batch, worth, executor.threads()}));
}

inline std::size_t BlockOf(const LifChain& chain, std::size_t tasks) {
  const auto ceil = [](std::size_t n, std::size_t by) { return (n + by - 1) / by; };
  std::size_t widest = 1, neurons = 0;
  for (const LifLayer& layer : chain.layers) {
    widest = std::max(widest, Padded(layer.size));
    neurons += Padded(layer.size);
  }
  const std::size_t most = std::clamp(
      std::min(ceil(kMostBlock * kNarrow * kNarrow / (widest * widest), kLeastBlock) * kLeastBlock,
               kMostBlock * kNeurons / neurons / kLeastBlock * kLeastBlock),
      kLeastBlock, kMostBlock);
  // As many in each block of a task as go evenly: a last one of a few takes almost as long as a
  // whole one.
  const std::size_t samples = std::max<std::size_t>(1, ceil(chain.batch, tasks));
  return ceil(ceil(samples, ceil(samples, most)), kLeastBlock) * kLeastBlock;
}

// Calls body(worker, first, samples) for blocks of at most so many samples of each task, which
// makes its worker. Throws, once all have ended, what a body threw: threads of a pool must not.
template <class Make, class Body>
void ForEachBlock(std::size_t batch, std::size_t tasks, std::size_t block, Executor& executor,
                  const Make& make, const Body& body) {
  std::atomic<bool> failed{false};
  const auto task = [&](std::size_t number) {
    try {
      const std::size_t begin = number * batch / tasks, end = (number + 1) * batch / tasks;
      auto worker = make(number, std::min(block, end - begin));
      for (std::size_t first = begin; first < end; first += block)
        body(worker, first, std::min(block, end - first));
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

  Reading(const LifChain& chain, std::size_t block) : noise(block) {
    std::size_t bytes = 0, widest = 0;
    for (const LifLayer& layer : chain.layers)
      for (const LifReads* reads : {&layer.input_reads, &layer.recurrent_reads})
        for (const AnalogReader* reader : {reads->forward, reads->backward})
          if (reader != nullptr) {
            bytes = std::max(bytes, reader->scratch_bytes());
            widest = std::max({widest, reader->inputs(), reader->outputs()});
          }
    scratch.resize(bytes);
    for (Row* row : {&from, &to, &drive}) row->resize(block * widest);
  }

  // Reads rows, `width` apart, into `to`, where they are close together; those are the rows from
  // `first` on of a read with the key of a step.
  void Read(const AnalogReader& reader, const RandomKey* keys, std::size_t t, std::size_t first,
            std::size_t samples, const float* rows, std::size_t width,
            const RowEvents& events = {}) {
    const std::size_t size = reader.inputs();
    for (std::size_t b = 0; b < samples; ++b) {
      if (width != size) std::copy_n(rows + b * width, size, from.data() + b * size);
      if (keys != nullptr) noise[b] = {keys[t], first + b};
    }
    reader.Rows(width == size ? rows : from.data(), samples,
                keys == nullptr ? nullptr : noise.data(), to.data(), scratch.data(), events);
  }
  // Copies what was read to rows that are `width` apart.
  void CopyTo(float* rows, std::size_t samples, std::size_t size, std::size_t width) const {
    for (std::size_t b = 0; b < samples; ++b)
      std::copy_n(to.data() + b * size, size, rows + b * width);
  }
};

}  // namespace xbarax::lif
