// Compiled several times, with XBARAX_ISA naming the instruction set. Everything here has internal
// linkage but kLifFewLoops.
#include <cstddef>
#include <cstdint>

#include "kernels/lanes.h"
#include "kernels/lif_few.h"
#include "kernels/lif_few_lanes.h"
#include "kernels/lif_few_read.h"
#include "kernels/lif_loops.h"
#include "kernels/memory.h"

namespace xbarax::XBARAX_ISA {
namespace {

// ---- Forward --------------------------------------------------------------------------------

struct State {
  float *membrane, *current, *recurrent;
  Values spikes;
};

// A block's samples at a step.
struct Block {
  std::size_t first, samples, step;
};

// What a block takes from one step to the next.
struct Walk {
  Values xs;
  ReadRoom reading;
  float *drive, *feedback;
  State layers[kFewLayers];

  Walk(const LifFewChain& c, LifFewRoom* room) {
    std::size_t most = 1;
    for (std::size_t l = 0; l < c.count; ++l) {
      const std::size_t size = c.layers[l].size;
      State& s = layers[l];
      s.membrane = Take(size, room), s.current = Take(size, room);
      s.recurrent = Take(size, room), s.spikes = TakeValues(size, room);
      most = size > most ? size : most;
    }
    xs = TakeValues(c.layers[0].inputs, room);
    drive = Take(most, room), feedback = Take(most, room);
    reading = TakeReadRoom(c, room);
  }
};

template <std::size_t V>
void LoadState(const LifState& from, std::size_t row, std::size_t samples, std::size_t size,
               State* to) {
  const auto take = [&](const float* rows, float* lanes) {
    if (rows != nullptr) ToLanes<V>(rows + row * size, samples, size, lanes);
  };
  take(from.membrane, to->membrane), take(from.current, to->current);
  take(from.recurrent, to->recurrent), take(from.spikes, to->spikes.lanes);
  Find<V>(size, &to->spikes);
}

template <std::size_t V>
void SaveState(const State& from, std::size_t row, std::size_t samples, std::size_t size,
               const LifStateTo& to) {
  const auto give = [&](const float* lanes, float* rows) {
    if (rows != nullptr) ToRows<V>(lanes, samples, size, rows + row * size);
  };
  give(from.membrane, to.membrane), give(from.current, to.current);
  give(from.recurrent, to.recurrent), give(from.spikes.lanes, to.spikes);
}

template <std::size_t V, Reset kReset, bool Recurrent>
void Advance(const LifFewLayer& layer, const float* drive, const float* feedback, State* to) {
  const State s = *to;
  const LifFewLayer n = layer;
  const Floats zero = {}, one = Splat(1), gain = Splat(n.gain), threshold = Splat(n.threshold);
  std::size_t count = 0;
  for (std::size_t k = 0; k < n.size; ++k) {
    const auto decay = [&](std::size_t which) { return Splat(n.decays[which * n.size + k]); };
    const Floats alpha = decay(0), one_minus_alpha = decay(1), beta = decay(2);
    const Floats one_minus_beta = decay(3), beta_r = decay(4), one_minus_beta_r = decay(5);
    Ints some = {};
    for (std::size_t v = 0; v < V; ++v) {
      const std::size_t at = (k * V + v) * kLanes;
      const Floats old = Load(s.membrane + at), current = Load(s.current + at);
      const Floats spikes = Load(s.spikes.lanes + at);
      Floats total = gain * current;
      if (Recurrent) {
        const Floats recurrent = Load(s.recurrent + at);
        total += recurrent;
        Store(s.recurrent + at, beta_r * recurrent + one_minus_beta_r * Load(feedback + at));
      }
      Store(s.current + at, beta * current + one_minus_beta * Load(drive + at));
      Floats membrane = kReset == Reset::kZero ? alpha * (one - spikes) * old : alpha * old;
      if (kReset == Reset::kSubtract) membrane -= threshold * spikes;
      membrane += one_minus_alpha * total;
      Store(s.membrane + at, membrane);
      const Ints below = membrane - threshold <= zero, unordered = membrane != membrane;
      Store(s.spikes.lanes + at, Select(unordered, membrane, Select(below, zero, one)));
      some |= ~below;
    }
    s.spikes.numbers[count] = static_cast<std::uint32_t>(k);
    count += Mask(some) != 0;
  }
  to->spikes.count = count;
}

template <std::size_t V>
void AdvanceAny(const LifFewLayer& n, const float* drive, const float* feedback, State* s) {
  switch (n.reset) {
    case Reset::kZero:
      return n.has_feedback ? Advance<V, Reset::kZero, true>(n, drive, feedback, s)
                            : Advance<V, Reset::kZero, false>(n, drive, feedback, s);
    case Reset::kSubtract:
      return n.has_feedback ? Advance<V, Reset::kSubtract, true>(n, drive, feedback, s)
                            : Advance<V, Reset::kSubtract, false>(n, drive, feedback, s);
    case Reset::kNone:
      return n.has_feedback ? Advance<V, Reset::kNone, true>(n, drive, feedback, s)
                            : Advance<V, Reset::kNone, false>(n, drive, feedback, s);
  }
}

template <std::size_t V>
void TakeInputs(const LifFewChain& c, std::size_t row, std::size_t samples, Values* xs) {
  const std::size_t inputs = c.layers[0].inputs;
  ToLanes<V>(c.xs + row * inputs, samples, inputs, xs->lanes);
  Find<V>(inputs, xs);
}

// y (size, lanes) = what comes through a layer's weights, and the biases.
template <std::size_t V>
void Through(const float* weights, const LifFewReads& reads, const Values& x, const float* biases,
             const LifFewLayer& layer, const Block& b, const ReadRoom& room, float* y) {
  if (reads.forward == nullptr)
    return Product<V, Which::kEvents>({weights, layer.size, FewPadded(layer.size)}, x, biases, y);
  const RandomKey* key = reads.keys == nullptr ? nullptr : reads.keys + b.step;
  Read<V, Which::kFinite>(*reads.forward, x, key, b.first, b.samples, biases, room, y);
}

template <std::size_t V>
void Step(const LifFewChain& c, std::size_t l, const Block& b, Walk* w) {
  const LifFewLayer& layer = c.layers[l];
  State& state = w->layers[l];
  const std::size_t row = b.step * c.batch + b.first;
  if (layer.driven) {
    ToLanes<V>(c.xs + row * layer.size, b.samples, layer.size, w->drive);
    for (std::size_t k = 0; k < layer.size * V; ++k)
      Store(w->drive + k * kLanes, Load(w->drive + k * kLanes) + Splat(layer.input_bias[k / V]));
  } else {
    if (l == 0) TakeInputs<V>(c, row, b.samples, &w->xs);
    const Values& x = l == 0 ? w->xs : w->layers[l - 1].spikes;
    Through<V>(layer.input, layer.input_reads, x, layer.input_bias, layer, b, w->reading, w->drive);
  }
  if (layer.has_feedback)
    Through<V>(layer.recurrent, layer.recurrent_reads, state.spikes, layer.recurrent_bias, layer, b,
               w->reading, w->feedback);
  AdvanceAny<V>(layer, w->drive, w->feedback, &state);
}

template <std::size_t V>
void ForwardBlock(const LifFewChain& c, const LifFewResults& to, std::size_t first,
                  std::size_t samples, LifFewRoom room) {
  Walk w(c, &room);
  for (std::size_t l = 0; l < c.count; ++l)
    LoadState<V>(c.layers[l].start, first, samples, c.layers[l].size, &w.layers[l]);
  for (std::size_t t = 0; t < c.steps; ++t) {
    const std::size_t row = t * c.batch + first;
    for (std::size_t l = 0; l < c.count; ++l) {
      const LifFewLayer& layer = c.layers[l];
      if (c.segment != 0 && t > 0 && t % c.segment == 0)
        SaveState<V>(w.layers[l], (t / c.segment - 1) * c.batch + first, samples, layer.size,
                     layer.kept);
      Step<V>(c, l, {first, samples, t}, &w);
      if (layer.membranes != nullptr && t >= c.again) {
        float* const kept = layer.membranes + (row - c.again * c.batch) * layer.size;
        (c.packed ? Pack<V> : ToRows<V>)(w.layers[l].membrane, samples, layer.size, kept);
      }
    }
    const std::size_t size = c.layers[c.count - 1].size;
    ToRows<V>(w.layers[c.count - 1].spikes.lanes, samples, size, to.spikes + row * size);
  }
  for (std::size_t l = 0; l < c.count; ++l)
    SaveState<V>(w.layers[l], first, samples, c.layers[l].size, to.ends[l]);
}

// ---- Backward -------------------------------------------------------------------------------

// A layer's membranes and spikes at the end of a step; room for the former, where they may be.
struct Moment {
  const float* membrane;
  float* room;
  Values spikes;
};

struct BackState {
  State gradients;        // `spikes`: what comes by the reset
  float *before, *below;  // derivatives by spikes that feed back, and by the layer below's
  Moment now, then;       // at the end of a step, and at its beginning
  float* again;           // membranes of steps that were run again
  // Derivatives by parameters, as vectors whose sums they are.
  float *input, *recurrent, *input_bias, *recurrent_bias;
};

struct WalkBack {
  Walk again;
  Values xs;
  float *drive, *feedback, *spikes_bar, *membranes_bar, *zeros;
  BackState layers[kFewLayers];

  WalkBack(const LifFewChain& c, LifFewRoom* room) : again(c, room) {
    std::size_t most = 1;
    std::size_t steps = c.segment > c.again ? c.segment : c.again;
    steps = steps < c.steps ? steps : c.steps;
    for (std::size_t l = 0; l < c.count; ++l) {
      const std::size_t size = c.layers[l].size;
      BackState& s = layers[l];
      s.gradients.membrane = Take(size, room), s.gradients.current = Take(size, room);
      s.gradients.recurrent = Take(size, room), s.gradients.spikes = TakeValues(size, room);
      s.before = Take(size, room), s.below = Take(c.layers[l].inputs, room);
      s.now = {nullptr, Take(size, room), TakeValues(size, room)};
      s.then = {nullptr, Take(size, room), TakeValues(size, room)};
      s.again = TakeAny(steps * FewPadded(size), room);
      s.input = TakeVectors(c.layers[l].driven ? 0 : c.layers[l].inputs * size, room);
      s.recurrent = TakeVectors(c.layers[l].has_feedback ? size * size : 0, room);
      s.input_bias = TakeVectors(size, room), s.recurrent_bias = TakeVectors(size, room);
      most = size > most ? size : most;
    }
    xs = TakeValues(c.layers[0].inputs, room);
    drive = Take(most, room), feedback = Take(most, room);
    spikes_bar = Take(most, room), membranes_bar = Take(most, room);
    zeros = Take(most, room);
  }
};

// Derivatives by what a layer gives at the end of a step, for so many samples.
struct Bars {
  std::size_t samples;
  const float *spikes, *membranes, *before, *above;
};

template <std::size_t V, Reset kReset, bool Detach, bool Recurrent>
void Retreat(const LifFewLayer& layer, const BackState& s, const Bars& bars, float* drive,
             float* feedback) {
  // Nothing comes of lanes without a sample, whatever weights are: sums go over all lanes.
  Ints sampled[V] = {};
  for (std::size_t v = 0; v < V; ++v)
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      sampled[v][lane] = v * kLanes + lane < bars.samples ? -1 : 0;
  const LifFewLayer n = layer;
  const State to = s.gradients;
  const Bars given = bars;
  const float *membranes = s.now.membrane, *membranes_before = s.then.membrane;
  const float* const spikes_before = s.then.spikes.lanes;
  const Floats zero = {}, one = Splat(1), gain = Splat(n.gain), threshold = Splat(n.threshold);
  const Floats steepness = Splat(n.steepness);
  for (std::size_t k = 0; k < n.size; ++k) {
    const auto decay = [&](std::size_t which) { return Splat(n.decays[which * n.size + k]); };
    const Floats alpha = decay(0), one_minus_alpha = decay(1), beta = decay(2);
    const Floats one_minus_beta = decay(3), beta_r = decay(4), one_minus_beta_r = decay(5);
    for (std::size_t v = 0; v < V; ++v) {
      const std::size_t at = (k * V + v) * kLanes;
      Floats spikes = {};
      if (!Detach) spikes += Load(to.spikes.lanes + at);
      spikes += Load(given.before + at) + Load(given.above + at) + Load(given.spikes + at);
      const Floats slope = steepness * Magnitude(Load(membranes + at) - threshold) + one;
      const Floats u =
          Load(to.membrane + at) + spikes / (slope * slope) + Load(given.membranes + at);

      const Floats into = one_minus_alpha * u, current = Load(to.current + at);
      Store(drive + at, Where(sampled[v], one_minus_beta * current));
      Store(to.current + at, beta * current + gain * into);
      if (Recurrent) {
        const Floats recurrent = Load(to.recurrent + at);
        Store(feedback + at, Where(sampled[v], one_minus_beta_r * recurrent));
        Store(to.recurrent + at, beta_r * recurrent + into);
      }

      const Floats leak = alpha * u;
      if (kReset == Reset::kZero) {
        Store(to.membrane + at, leak * (one - Load(spikes_before + at)));
        if (!Detach) Store(to.spikes.lanes + at, -leak * Load(membranes_before + at));
      } else {
        Store(to.membrane + at, leak);
        if (!Detach)
          Store(to.spikes.lanes + at, kReset == Reset::kSubtract ? -threshold * u : zero);
      }
    }
  }
}

template <std::size_t V, Reset kReset>
void RetreatReset(const LifFewLayer& n, const BackState& s, const Bars& bars, float* drive,
                  float* feedback) {
  if (n.detach)
    return n.has_feedback ? Retreat<V, kReset, true, true>(n, s, bars, drive, feedback)
                          : Retreat<V, kReset, true, false>(n, s, bars, drive, feedback);
  return n.has_feedback ? Retreat<V, kReset, false, true>(n, s, bars, drive, feedback)
                        : Retreat<V, kReset, false, false>(n, s, bars, drive, feedback);
}

template <std::size_t V>
void RetreatAny(const LifFewLayer& n, const BackState& s, const Bars& bars, float* drive,
                float* feedback) {
  switch (n.reset) {
    case Reset::kZero:
      return RetreatReset<V, Reset::kZero>(n, s, bars, drive, feedback);
    case Reset::kSubtract:
      return RetreatReset<V, Reset::kSubtract>(n, s, bars, drive, feedback);
    case Reset::kNone:
      return RetreatReset<V, Reset::kNone>(n, s, bars, drive, feedback);
  }
}

// The spikes that membranes make, which are those of the moment or, where `packed` is not null, are
// taken from there to its room.
template <std::size_t V>
void Fire(const LifFewLayer& layer, const float* packed, std::size_t samples, Moment* m) {
  const Floats zero = {}, one = Splat(1), threshold = Splat(layer.threshold);
  const Moment to = *m;
  const std::size_t size = layer.size, last = samples - (V - 1) * kLanes;
  std::size_t count = 0;
  for (std::size_t k = 0; k < size; ++k) {
    Ints some = {};
    for (std::size_t v = 0; v < V; ++v) {
      const std::size_t at = (k * V + v) * kLanes;
      Floats membrane;
      if (packed == nullptr) {
        membrane = Load(to.membrane + at);
      } else {
        const float* const from = packed + k * samples + v * kLanes;
        membrane = v + 1 < V ? Load(from) : LoadSome(from, last);
        Store(to.room + at, membrane);
      }
      const Ints below = membrane - threshold <= zero;
      Store(to.spikes.lanes + at, Select(below, zero, one));
      some |= ~below;
    }
    to.spikes.numbers[count] = static_cast<std::uint32_t>(k);
    count += Mask(some) != 0;
  }
  m->spikes.count = count;
}

// A block's samples, and the steps whose membranes are in `again`.
struct Place {
  std::size_t first, samples, begin, end;
};

// At the end of the step before t.
template <std::size_t V>
void Recall(const LifFewChain& c, std::size_t l, std::size_t t, const Place& p, const BackState& s,
            Moment* m) {
  const LifFewLayer& layer = c.layers[l];
  const std::size_t size = layer.size;
  const auto rows = [&](const float* from, std::size_t row, float* lanes) {
    ToLanes<V>(from + (row + p.first) * size, p.samples, size, lanes);
  };
  m->membrane = m->room;
  if (t == 0) {
    rows(layer.start.membrane, 0, m->room);
    rows(layer.start.spikes, 0, m->spikes.lanes);
    return Find<V>(size, &m->spikes);
  }
  if (p.begin < t && t <= p.end) {
    m->membrane = s.again + (t - 1 - p.begin) * FewPadded(size) * V * kLanes;
  } else if (c.segment != 0) {
    rows(layer.kept.membrane, (t / c.segment - 1) * c.batch, m->room);
  } else {
    const float* from = layer.membranes + ((t - 1 - c.again) * c.batch + p.first) * size;
    if (t - 1 > c.again) BringNear(from - c.batch * size, p.samples * size);
    if (c.packed) return Fire<V>(layer, from, p.samples, m);
    ToLanes<V>(from, p.samples, size, m->room);
  }
  Fire<V>(layer, nullptr, p.samples, m);
}

// Runs steps again, for their membranes.
template <std::size_t V>
void RunAgain(const LifFewChain& c, const Place& p, WalkBack* w) {
  for (std::size_t l = 0; l < c.count; ++l) {
    const LifFewLayer& layer = c.layers[l];
    const LifState kept = {layer.kept.membrane, layer.kept.current, layer.kept.recurrent,
                           layer.kept.spikes};
    if (p.begin == 0)
      LoadState<V>(layer.start, p.first, p.samples, layer.size, &w->again.layers[l]);
    else
      LoadState<V>(kept, (p.begin / c.segment - 1) * c.batch + p.first, p.samples, layer.size,
                   &w->again.layers[l]);
  }
  for (std::size_t t = p.begin; t < p.end; ++t)
    for (std::size_t l = 0; l < c.count; ++l) {
      Step<V>(c, l, {p.first, p.samples, t}, &w->again);
      const std::size_t rows = FewPadded(c.layers[l].size);
      float* const to = w->layers[l].again + (t - p.begin) * rows * V * kLanes;
      for (std::size_t k = 0; k < rows * V; ++k)
        Store(to + k * kLanes, Load(w->again.layers[l].membrane + k * kLanes));
    }
}

// What a converter makes of inputs, that has levels from -half to half.
template <std::size_t V>
void ToLevels(float half, Values* x) {
  const Quantiser quantise({half, true}, 1.0f);
  for (std::size_t k = 0; k < x->count; ++k)
    for (std::size_t v = 0; v < V; ++v) {
      float* const lanes = x->lanes + (x->numbers[k] * V + v) * kLanes;
      Store(lanes, quantise(Load(lanes)));
    }
}

// y (outputs, lanes) = x (size, lanes) through weights, from their outputs to their inputs.
template <std::size_t V>
void BackThrough(const Weights& weights, const LifFewReads& reads, float* x, std::size_t size,
                 const Block& b, const ReadRoom& room, float* y) {
  const Values all = {x, nullptr, size};
  if (reads.backward == nullptr) return Product<V, Which::kAll>(weights, all, nullptr, y);
  const RandomKey* key = reads.backward_keys == nullptr ? nullptr : reads.backward_keys + b.step;
  Read<V, Which::kAll>(*reads.backward, all, key, b.first, b.samples, nullptr, room, y);
}

template <std::size_t V>
void StepBack(const LifFewChain& c, const LifFewBackward& to, std::size_t l, std::size_t t,
              const Place& p, WalkBack* w) {
  const LifFewLayer& layer = c.layers[l];
  const LifFewGradients& wanted = to.layers[l];
  BackState& s = w->layers[l];
  const std::size_t row = t * c.batch + p.first, size = layer.size;
  const bool last = l + 1 == c.count;
  const auto lanes = [&](const float* rows, float* room) -> const float* {
    if (rows == nullptr) return w->zeros;
    ToLanes<V>(rows + row * size, p.samples, size, room);
    return room;
  };
  const Bars bars = {p.samples, lanes(last ? to.spikes_bar : wanted.hidden_bar, w->spikes_bar),
                     lanes(wanted.membranes_bar, w->membranes_bar),
                     t + 1 == c.steps || layer.has_feedback ? s.before : w->zeros,
                     last ? w->zeros : w->layers[l + 1].below};
  RetreatAny<V>(layer, s, bars, w->drive, w->feedback);
  if (wanted.input != nullptr) {
    if (l == 0) {
      TakeInputs<V>(c, row, p.samples, &w->xs);
      if (layer.input_reads.half != 0) ToLevels<V>(layer.input_reads.half, &w->xs);
    }
    AddProducts<V>(l == 0 ? w->xs : w->layers[l - 1].now.spikes, w->drive, size, s.input);
  }
  if (wanted.recurrent != nullptr) AddProducts<V>(s.then.spikes, w->feedback, size, s.recurrent);
  if (wanted.input_bias != nullptr) AddSums<V>(w->drive, size, s.input_bias);
  if (wanted.recurrent_bias != nullptr) AddSums<V>(w->feedback, size, s.recurrent_bias);
  const Block block = {p.first, p.samples, t};
  if (layer.has_feedback)
    BackThrough<V>({layer.recurrent_back, size, FewPadded(size)}, layer.recurrent_reads,
                   w->feedback, size, block, w->again.reading, s.before);
  if (layer.input_back != nullptr || layer.input_reads.backward != nullptr)
    BackThrough<V>({layer.input_back, layer.inputs, FewPadded(layer.inputs)}, layer.input_reads,
                   w->drive, size, block, w->again.reading, s.below);
  if (l > 0 || to.xs_bar == nullptr) return;
  float* const xs_bar = to.xs_bar + row * layer.inputs;
  ToRows<V>(layer.driven ? w->drive : s.below, p.samples, layer.inputs, xs_bar);
  if (layer.input_reads.half == 0) return;
  const float* const xs = c.xs + row * layer.inputs;
  for (std::size_t k = 0; k < p.samples * layer.inputs; ++k)  // the converters clip beyond 1
    if (!(__builtin_fabsf(xs[k]) <= 1)) xs_bar[k] = 0;
}

template <std::size_t V>
void BackwardBlock(const LifFewChain& c, const LifFewBackward& to, std::size_t first,
                   std::size_t samples, LifFewRoom room) {
  WalkBack w(c, &room);
  Place p = {first, samples, 0, c.again};
  for (std::size_t l = 0; l < c.count; ++l) {
    BackState& s = w.layers[l];
    const std::size_t size = c.layers[l].size;
    LoadState<V>(to.layers[l].end_bar, first, samples, size, &s.gradients);
    // Apart: the first get what feedback gives, the others what the reset does.
    for (std::size_t k = 0; k < size * V; ++k) {
      Store(s.before + k * kLanes, Load(s.gradients.spikes.lanes + k * kLanes));
      Store(s.gradients.spikes.lanes + k * kLanes, Floats{});
    }
  }
  if (c.again != 0) RunAgain<V>(c, p, &w);
  for (std::size_t t = c.steps; t-- > 0;) {
    if (c.segment != 0 && (t + 1 == c.steps || (t + 1) % c.segment == 0)) {
      p.begin = t / c.segment * c.segment, p.end = t + 1;
      RunAgain<V>(c, p, &w);
    }
    for (std::size_t l = 0; l < c.count; ++l) {
      BackState& s = w.layers[l];
      if (t + 1 == c.steps) Recall<V>(c, l, c.steps, p, s, &s.now);
      Recall<V>(c, l, t, p, s, &s.then);
    }
    for (std::size_t l = c.count; l-- > 0;) StepBack<V>(c, to, l, t, p, &w);
    for (std::size_t l = 0; l < c.count; ++l) {
      const Moment then = w.layers[l].then;
      w.layers[l].then = w.layers[l].now, w.layers[l].now = then;
    }
  }
  for (std::size_t l = 0; l < c.count; ++l) {
    const BackState& s = w.layers[l];
    const std::size_t size = c.layers[l].size;
    float* const spikes = s.gradients.spikes.lanes;
    if (c.layers[l].has_feedback || c.steps == 0)
      for (std::size_t k = 0; k < size * V; ++k)
        Store(spikes + k * kLanes, Load(spikes + k * kLanes) + Load(s.before + k * kLanes));
    SaveState<V>(s.gradients, first, samples, size, to.layers[l].start);
    const LifFewGradients& sums = to.layers[l];
    if (sums.input != nullptr) MoveSums(c.layers[l].inputs * size, s.input, sums.input);
    if (sums.recurrent != nullptr) MoveSums(size * size, s.recurrent, sums.recurrent);
    if (sums.input_bias != nullptr) MoveSums(size, s.input_bias, sums.input_bias);
    if (sums.recurrent_bias != nullptr) MoveSums(size, s.recurrent_bias, sums.recurrent_bias);
  }
}

// ---- For so many vectors of samples ---------------------------------------------------------

LifFewRoom RoomOf(const LifFewChain& c, bool backward) {
  LifFewRoom room = {};
  if (backward)
    WalkBack(c, &room);
  else
    Walk(c, &room);
  return room;
}

void ForwardAny(const LifFewChain& c, const LifFewResults& to, std::size_t first,
                std::size_t samples, const LifFewRoom& room) {
  static_assert(kFewVectors == 3);
  if (samples <= kLanes) return ForwardBlock<1>(c, to, first, samples, room);
  if (samples <= 2 * kLanes) return ForwardBlock<2>(c, to, first, samples, room);
  return ForwardBlock<3>(c, to, first, samples, room);
}

void BackwardAny(const LifFewChain& c, const LifFewBackward& to, std::size_t first,
                 std::size_t samples, const LifFewRoom& room) {
  if (samples <= kLanes) return BackwardBlock<1>(c, to, first, samples, room);
  if (samples <= 2 * kLanes) return BackwardBlock<2>(c, to, first, samples, room);
  return BackwardBlock<3>(c, to, first, samples, room);
}

}  // namespace

extern const LifFewLoops kLifFewLoops = {RoomOf, ForwardAny, BackwardAny};

}  // namespace xbarax::XBARAX_ISA
