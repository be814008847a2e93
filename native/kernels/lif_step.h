// One layer's block of samples, from one step to the next.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "kernels/lif_blocks.h"
#include "kernels/lif_panels.h"
#include "kernels/read.h"

namespace xbarax::lif {

struct ForwardWorker {
  std::vector<Samples> samples;
  std::vector<std::vector<std::uint32_t>> bits;  // of each layer's spikes at the present step
  std::vector<std::vector<char>> no_number;      // whether some of a sample's spikes is none
  std::vector<char> ones;                        // of what is read: as of RowEvents
  std::vector<std::uint32_t> events;
  Row drive, feedback;  // products with all inputs
  Scratch scratch;
  Reading reading;

  ForwardWorker(const LifChain& chain, std::size_t block)
      : ones(block),
        events(block * EventWords(chain.layers[0].inputs)),
        scratch(chain),
        reading(chain, block) {
    for (const LifLayer& layer : chain.layers) {
      samples.emplace_back(Padded(layer.size), block);
      bits.emplace_back(block * WordsOf(layer.size));
      no_number.emplace_back(block);
      for (Row* row : {&drive, &feedback}) row->resize(std::max(row->size(), block * layer.size));
    }
  }
};

constexpr std::size_t kFewRows = 4;  // fewer do not fill a block of rows

class LayerStep {
 public:
  LayerStep(const LifChain& chain, const std::vector<Prepared>& layers, const LifTrace& trace,
            const LifLoops& loops, float* spikes)
      : chain_(chain),
        layers_(layers),
        trace_(trace),
        loops_(loops),
        matmul_(BestMatmul()),
        spikes_(spikes) {
    for (std::size_t l = 0; l < 2 * layers.size(); ++l) panels_.emplace_back();
  }

  // Once more where `again`: what is traced is there, and membranes go elsewhere, if anywhere.
  void Run(ForwardWorker* w, std::size_t layer, std::size_t t, std::size_t first,
           std::size_t samples, bool again = false, float* membranes = nullptr) const {
    const Prepared& p = layers_[layer];
    const std::size_t row = t * chain_.batch + first;
    LifForwardStep step = {};
    step.neurons = &p.neurons, step.samples = samples, step.first = t == 0;
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
      if (!again) loops_.find(step.inputs, samples);
    }
    const LifReads& input = chain_.layers[layer].input_reads;
    if (input.forward != nullptr) {
      const float* below = layer > 0 ? w->samples[layer - 1].spikes.data() : step.inputs.xs;
      w->reading.Read(*input.forward, input.keys, t, first, samples, below,
                      layer > 0 ? layers_[layer - 1].width() : p.inputs,
                      layer > 0 ? SpikesOf(w, layer - 1, step.inputs.below, samples)
                                : ValuesOf(w, step.inputs, samples));
      std::swap(w->reading.to, w->reading.drive);
      step.drive = w->reading.drive.data();
    }
    const LifReads& recurrent = chain_.layers[layer].recurrent_reads;
    if (t > 0) step.bits_before = Bits(w, layer, row - chain_.batch);
    if (recurrent.forward != nullptr) {
      w->reading.Read(*recurrent.forward, recurrent.keys, t, first, samples,
                      w->samples[layer].spikes.data(), p.width(),
                      t > 0 ? SpikesOf(w, layer, step.bits_before, samples) : RowEvents{});
      step.feedback = w->reading.to.data();
    }
    Multiply(w, layer, samples, &step);
    step.input = p.input.data(), step.recurrent = p.recurrent.data();
    step.input_bias = p.input_bias.data(), step.recurrent_bias = p.recurrent_bias.data();
    step.rows = w->samples[layer].Rows();
    step.bits = again ? w->bits[layer].data() : Bits(w, layer, row);
    step.no_number = w->no_number[layer].data();
    step.membranes = membranes;
    if (!again && trace_.membranes[layer] != nullptr && t >= trace_.again)
      step.membranes = trace_.membranes[layer] + (row - trace_.again * chain_.batch) * p.size();
    if (!again && layer + 1 == layers_.size()) step.spikes = spikes_ + row * p.size();
    step.scratch = w->scratch.Get();
    loops_.forward(step);
  }

 private:
  // Drives and feeds back what takes less time with all inputs than with those that have an event.
  void Multiply(ForwardWorker* w, std::size_t layer, std::size_t samples, LifForwardStep* s) const {
    const Prepared& p = layers_[layer];
    const LifInputs& in = s->inputs;
    const auto product = [&](PanelsOnDemand* from, const Row& matrix, std::size_t rows,
                             const float* x, std::size_t depth, const std::uint32_t* bits,
                             std::size_t apart, Row* to) -> const float* {
      if (samples < kFewRows || !loops_.many(bits, apart, samples, rows)) return nullptr;
      const Panels* panels = from->Get(matrix, rows, p.size(), p.width(), depth, matmul_);
      if (panels == nullptr) return nullptr;
      panels->Multiply(x, samples, to->data(), p.size(), matmul_);
      return to->data();
    };
    if (s->drive == nullptr && in.xs != nullptr) {
      s->drive = product(&panels_[2 * layer], p.input, in.size, in.xs, in.size, in.events,
                         EventWords(in.size), &w->drive);
    } else if (s->drive == nullptr) {
      s->drive = product(&panels_[2 * layer], p.input, in.size, w->samples[layer - 1].spikes.data(),
                         layers_[layer - 1].width(), in.below, WordsOf(in.size), &w->drive);
    }
    if (p.neurons.recurrent && s->feedback == nullptr && !s->first)
      s->feedback =
          product(&panels_[2 * layer + 1], p.recurrent, p.size(), w->samples[layer].spikes.data(),
                  p.width(), s->bits_before, WordsOf(p.size()), &w->feedback);
  }

  // What is known of rows of a layer's spikes, and of given ones.
  RowEvents SpikesOf(ForwardWorker* w, std::size_t layer, const std::uint32_t* bits,
                     std::size_t samples) const {
    for (std::size_t b = 0; b < samples; ++b) w->ones[b] = !w->no_number[layer][b];
    return {bits, WordsOf(layers_[layer].size()), w->ones.data()};
  }
  static RowEvents ValuesOf(ForwardWorker* w, const LifInputs& in, std::size_t samples) {
    const std::size_t words = EventWords(in.size);
    for (std::size_t b = 0; b < samples; ++b) w->ones[b] = in.events[(b + 1) * words - 1] != 0;
    return {in.events, words, w->ones.data()};
  }

  // Where the bits of a layer's spikes are, from a sample at a step on.
  std::uint32_t* Bits(ForwardWorker* w, std::size_t layer, std::size_t row) const {
    std::uint32_t* trace = trace_.spikes[layer];
    return trace == nullptr ? w->bits[layer].data() : trace + row * WordsOf(layers_[layer].size());
  }

  const LifChain& chain_;
  const std::vector<Prepared>& layers_;
  const LifTrace& trace_;
  const LifLoops& loops_;
  const Matmul& matmul_;
  float* spikes_;
  // Of each layer's input weights and recurrent ones. They stay where they are.
  mutable std::deque<PanelsOnDemand> panels_;
};

}  // namespace xbarax::lif
