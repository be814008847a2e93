// Compiled several times, with XBARAX_ISA naming the instruction set. Everything here has internal
// linkage but kLifFewLoops.
//
// What a block has of a layer lies as (size, V · kLanes): zeros in lanes without a sample, but for
// what biases do there.
#include <cstddef>
#include <cstdint>

#include "kernels/lanes.h"
#include "kernels/lif_few.h"
#include "kernels/lif_loops.h"

namespace xbarax::XBARAX_ISA {
namespace {

inline Floats Where(Ints mask, Floats x) { return BitCast<Floats>(BitCast<Ints>(x) & mask); }

inline Floats Splat(float x) { return x - Floats{}; }  // unlike a sum, the same bits: no operation

// ---- Between rows of samples and lanes ------------------------------------------------------

constexpr std::size_t kTile = 8;

inline void TransposeTile(const float* from, std::size_t from_apart, float* to,
                          std::size_t to_apart) {
#if defined(__AVX2__)
  __m256 r[kTile], s[kTile];
  for (std::size_t k = 0; k < kTile; ++k) r[k] = _mm256_loadu_ps(from + k * from_apart);
  for (std::size_t k = 0; k < kTile; k += 2) {
    s[k] = _mm256_unpacklo_ps(r[k], r[k + 1]);
    s[k + 1] = _mm256_unpackhi_ps(r[k], r[k + 1]);
  }
  for (std::size_t k = 0; k < kTile; k += 4) {
    r[k] = _mm256_shuffle_ps(s[k], s[k + 2], 0x44);
    r[k + 1] = _mm256_shuffle_ps(s[k], s[k + 2], 0xee);
    r[k + 2] = _mm256_shuffle_ps(s[k + 1], s[k + 3], 0x44);
    r[k + 3] = _mm256_shuffle_ps(s[k + 1], s[k + 3], 0xee);
  }
  for (std::size_t k = 0; k < 4; ++k) {
    _mm256_storeu_ps(to + k * to_apart, _mm256_permute2f128_ps(r[k], r[k + 4], 0x20));
    _mm256_storeu_ps(to + (k + 4) * to_apart, _mm256_permute2f128_ps(r[k], r[k + 4], 0x31));
  }
#else
  for (std::size_t i = 0; i < kTile; ++i)
    for (std::size_t j = 0; j < kTile; ++j) to[j * to_apart + i] = from[i * from_apart + j];
#endif
}

// (rows, columns) as (columns, rows); rows are so far apart.
void Transpose(const float* from, std::size_t rows, std::size_t columns, std::size_t from_apart,
               float* to, std::size_t to_apart) {
  for (std::size_t r = 0; r < rows; r += kTile)
    for (std::size_t c = 0; c < columns; c += kTile) {
      if (r + kTile <= rows && c + kTile <= columns) {
        TransposeTile(from + r * from_apart + c, from_apart, to + c * to_apart + r, to_apart);
        continue;
      }
      for (std::size_t j = c; j < columns && j < c + kTile; ++j)
        for (std::size_t i = r; i < rows && i < r + kTile; ++i)
          to[j * to_apart + i] = from[i * from_apart + j];
    }
}

template <std::size_t V>
void ToLanes(const float* rows, std::size_t samples, std::size_t size, float* lanes) {
  constexpr std::size_t kWidth = V * kLanes;
  Transpose(rows, samples, size, size, lanes, kWidth);
  for (std::size_t n = 0; n < size; ++n)
    for (std::size_t b = samples; b < kWidth; ++b) lanes[n * kWidth + b] = 0;
}

template <std::size_t V>
void ToRows(const float* lanes, std::size_t samples, std::size_t size, float* rows) {
  Transpose(lanes, size, samples, V * kLanes, rows, size);
}

// (size, samples) from (size, lanes), and back; zeros in lanes without a sample.
template <std::size_t V>
void Pack(const float* lanes, std::size_t samples, std::size_t size, float* packed) {
  const std::size_t last = samples - (V - 1) * kLanes;
  for (std::size_t n = 0; n < size; ++n, lanes += V * kLanes, packed += samples) {
    for (std::size_t v = 0; v + 1 < V; ++v) Store(packed + v * kLanes, Load(lanes + v * kLanes));
    StoreSome(packed + (V - 1) * kLanes, Load(lanes + (V - 1) * kLanes), last);
  }
}

template <std::size_t V>
void Unpack(const float* packed, std::size_t samples, std::size_t size, float* lanes) {
  const std::size_t last = samples - (V - 1) * kLanes;
  for (std::size_t n = 0; n < size; ++n, lanes += V * kLanes, packed += samples) {
    for (std::size_t v = 0; v + 1 < V; ++v) Store(lanes + v * kLanes, Load(packed + v * kLanes));
    Store(lanes + (V - 1) * kLanes, LoadSome(packed + (V - 1) * kLanes, last));
  }
}

// ---- Products -------------------------------------------------------------------------------

// What a product takes, and which of its rows are not zero in some lane.
struct Values {
  float* lanes;
  std::uint32_t* numbers;
  std::size_t count;
};

template <std::size_t V>
inline void Find(std::size_t size, Values* x) {
  x->count = 0;
  for (std::size_t i = 0; i < size; ++i) {
    Ints some = {};
    for (std::size_t v = 0; v < V; ++v) some |= Load(x->lanes + (i * V + v) * kLanes) != 0.0f;
    x->numbers[x->count] = static_cast<std::uint32_t>(i);
    x->count += Mask(some) != 0;
  }
}

// y (outputs, lanes) = the biases + the rows of the matrix, where x is not zero, times x.
template <std::size_t V, bool kDense = false>
void Product(const float* matrix, std::size_t outputs, const Values& x, const float* biases,
             float* y) {
  const std::size_t columns = FewPadded(outputs), count = x.count;
  const std::uint32_t* const numbers = x.numbers;
  const float* const lanes = x.lanes;
  for (std::size_t n = 0; n < columns; n += kFewOutputs) {
    Floats sum[kFewOutputs][V];
    for (std::size_t f = 0; f < kFewOutputs; ++f)
      for (std::size_t v = 0; v < V; ++v) sum[f][v] = kDense ? Floats{} : Splat(biases[n + f]);
    for (std::size_t k = 0; k < count; ++k) {
      const std::size_t i = kDense ? k : numbers[k];
      const float* const weights = matrix + i * columns + n;
      for (std::size_t v = 0; v < V; ++v) {
        const Floats factor = Load(lanes + (i * V + v) * kLanes);
        const Ints some = factor != 0.0f;
        for (std::size_t f = 0; f < kFewOutputs; ++f) {
          const Floats weight = Splat(weights[f]);
          sum[f][v] += factor * (kDense ? weight : Where(some, weight));
        }
      }
    }
    for (std::size_t f = 0; f < kFewOutputs; ++f)
      for (std::size_t v = 0; v < V; ++v) Store(y + ((n + f) * V + v) * kLanes, sum[f][v]);
  }
}

// y (outputs, lanes) = x (size, lanes) times a matrix (size, outputs).
template <std::size_t V>
void Multiply(const float* x, std::size_t size, const float* matrix, std::size_t outputs,
              float* y) {
  Product<V, true>(matrix, outputs, {const_cast<float*>(x), nullptr, size}, nullptr, y);
}

// To each of a matrix of vectors, (inputs, size): += the products of x and y, where x is not zero.
template <std::size_t V>
void AddProducts(const Values& x, const float* y, std::size_t size, float* matrix) {
  for (std::size_t k = 0; k < x.count; ++k) {
    const std::size_t i = x.numbers[k];
    float* const row = matrix + i * size * kLanes;
    Floats factors[V];
    Ints some[V];
    for (std::size_t v = 0; v < V; ++v) {
      factors[v] = Load(x.lanes + (i * V + v) * kLanes);
      some[v] = factors[v] != 0.0f;
    }
    for (std::size_t n = 0; n < size; ++n) {
      Floats sum = Load(row + n * kLanes);
      for (std::size_t v = 0; v < V; ++v)
        sum += factors[v] * Where(some[v], Load(y + (n * V + v) * kLanes));
      Store(row + n * kLanes, sum);
    }
  }
}

template <std::size_t V>
void AddSums(const float* y, std::size_t size, float* vectors) {
  for (std::size_t n = 0; n < size; ++n) {
    Floats sum = Load(vectors + n * kLanes);
    for (std::size_t v = 0; v < V; ++v) sum += Load(y + (n * V + v) * kLanes);
    Store(vectors + n * kLanes, sum);
  }
}

// ---- Room -----------------------------------------------------------------------------------

constexpr std::size_t kMostLanes = kFewVectors * kLanes;

inline float* Take(std::size_t size, LifFewRoom* room) {
  const std::size_t place = room->floats_taken;
  room->floats_taken += FewPadded(size) * kMostLanes;
  return room->floats == nullptr ? nullptr : room->floats + place;
}

inline Values TakeValues(std::size_t size, LifFewRoom* room) {
  const std::size_t place = room->numbers_taken;
  room->numbers_taken += size + 1;
  float* const lanes = Take(size, room);
  return {lanes, room->numbers == nullptr ? nullptr : room->numbers + place, 0};
}

// ---- Forward --------------------------------------------------------------------------------

struct State {
  float *membrane, *current, *recurrent;
  Values spikes;
};

// What a block takes from one step to the next.
struct Walk {
  Values xs;
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

template <std::size_t V>
void Step(const LifFewChain& c, std::size_t l, std::size_t row, std::size_t samples, Walk* w) {
  const LifFewLayer& layer = c.layers[l];
  State& state = w->layers[l];
  if (layer.input == nullptr) {
    ToLanes<V>(c.xs + row * layer.size, samples, layer.size, w->drive);
    for (std::size_t k = 0; k < layer.size * V; ++k)
      Store(w->drive + k * kLanes, Load(w->drive + k * kLanes) + Splat(layer.input_bias[k / V]));
  } else {
    if (l == 0) TakeInputs<V>(c, row, samples, &w->xs);
    const Values& x = l == 0 ? w->xs : w->layers[l - 1].spikes;
    Product<V>(layer.input, layer.size, x, layer.input_bias, w->drive);
  }
  if (layer.has_feedback)
    Product<V>(layer.recurrent, layer.size, state.spikes, layer.recurrent_bias, w->feedback);
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
      Step<V>(c, l, row, samples, &w);
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
      s.again = Take(steps * FewPadded(size), room);
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

// The spikes that membranes make.
template <std::size_t V>
void Fire(const LifFewLayer& layer, Moment* m) {
  const Floats zero = {}, one = Splat(1), threshold = Splat(layer.threshold);
  const Moment to = *m;
  const std::size_t size = layer.size;
  std::size_t count = 0;
  for (std::size_t k = 0; k < size; ++k) {
    Ints some = {};
    for (std::size_t v = 0; v < V; ++v) {
      const std::size_t at = (k * V + v) * kLanes;
      const Ints below = Load(to.membrane + at) - threshold <= zero;
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
    m->membrane = s.again + (t - 1 - p.begin) * FewPadded(size) * kMostLanes;
  } else if (c.segment != 0) {
    rows(layer.kept.membrane, (t / c.segment - 1) * c.batch, m->room);
  } else {
    const float* from = layer.membranes + ((t - 1 - c.again) * c.batch + p.first) * size;
    (c.packed ? Unpack<V> : ToLanes<V>)(from, p.samples, size, m->room);
  }
  Fire<V>(layer, m);
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
      Step<V>(c, l, t * c.batch + p.first, p.samples, &w->again);
      const std::size_t rows = FewPadded(c.layers[l].size);
      float* const to = w->layers[l].again + (t - p.begin) * rows * kMostLanes;
      for (std::size_t k = 0; k < rows * V; ++k)
        Store(to + k * kLanes, Load(w->again.layers[l].membrane + k * kLanes));
    }
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
    if (l == 0) TakeInputs<V>(c, row, p.samples, &w->xs);
    AddProducts<V>(l == 0 ? w->xs : w->layers[l - 1].now.spikes, w->drive, size, wanted.input);
  }
  if (wanted.recurrent != nullptr)
    AddProducts<V>(s.then.spikes, w->feedback, size, wanted.recurrent);
  if (wanted.input_bias != nullptr) AddSums<V>(w->drive, size, wanted.input_bias);
  if (wanted.recurrent_bias != nullptr) AddSums<V>(w->feedback, size, wanted.recurrent_bias);
  if (layer.has_feedback) Multiply<V>(w->feedback, size, layer.recurrent_back, size, s.before);
  if (layer.input_back != nullptr)
    Multiply<V>(w->drive, size, layer.input_back, layer.inputs, s.below);
  if (l == 0 && to.xs_bar != nullptr) {
    const float* bar = layer.input == nullptr ? w->drive : s.below;
    ToRows<V>(bar, p.samples, layer.inputs, to.xs_bar + row * layer.inputs);
  }
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
