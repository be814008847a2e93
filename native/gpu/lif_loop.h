// A layer of LIF neurons over time, and its derivatives, as one kernel each on a GPU.
//
// A block of threads takes some samples of the batch through all steps. All sums have one order, so
// that results are the same in every run. Time comes first: (time, batch, size). Equations and
// names are those of `xbarax.snn.LIF`.
#pragma once

#include "gpu/threads.h"

namespace xbarax {

// Of a layer, null where it has none: (batch, size), or (time, batch, size) of derivatives.
struct LifLoopState {
  const float *membrane, *current, *recurrent, *spikes;
};
struct LifLoopStateTo {
  float *membrane, *current, *recurrent, *spikes;
};

struct LifLoop {
  long long time;
  int batch, size;
  int samples;  // of a block
  int parts;    // in which a block's threads add up a product of the backward pass
  int cached;   // rows of weights that they share a copy of there: the first ones
  int recurrent, detach;
  int reset;  // 0: zero, 1: subtract, 2: none
  float gain, threshold, steepness;
  const float* decays;   // (6, size): α, 1 − α, β, 1 − β, βᵣ, 1 − βᵣ
  const float* weights;  // recurrent, (size, size): forward from row to column, backward to row
  const float* bias;     // beside the recurrent spikes; null: none
  LifLoopState start;    // backward: `membrane` and `spikes` of it
};

struct LifLoopForward {
  LifLoop loop;
  const float* drive;
  float *spikes, *membranes;
  LifLoopStateTo end;
};

struct LifLoopBackward {
  LifLoop loop;
  const float* membranes;
  const float *spikes_bar, *membranes_bar;  // null: zero
  LifLoopState end_bar;
  float *drive_bar, *feedback_bar;
  LifLoopStateTo start_bar;
};

// Floats of memory that a block's threads share.
static inline int LifLoopWords(int size) { return (size + 31) / 32; }
static inline int LifLoopForwardShared(const LifLoop& l) {
  return l.samples * (5 * l.size + 3 * LifLoopWords(l.size));
}
static inline int LifLoopBackwardShared(const LifLoop& l) {
  return l.size * (l.samples * (5 + l.parts) + l.cached);
}

// ---- Forward ------------------------------------------------------------------------------------

// H(x), and what is no number where x is none.
static inline float LifLoopStep(float x) { return x > 0.0f ? 1.0f : x == x ? 0.0f : x; }

// The sum of the rows of weights whose bits are set, at a column. Loads do not wait for each other.
static inline float LifLoopEvents(const LifLoop& l, const unsigned* bits, const float* spikes,
                                  int column) {
  float sum = 0.0f;
  for (int word = 0; word < LifLoopWords(l.size); ++word) {
    const float* rows = l.weights + static_cast<long long>(32 * word) * l.size + column;
    for (unsigned left = bits[word]; left != 0;) {
      float terms[4] = {0.0f, 0.0f, 0.0f, 0.0f};
      XBARAX_UNROLL
      for (int i = 0; i < 4; ++i) {
        if (left == 0) continue;
        const int row = XBARAX_LOWEST(left);
        left &= left - 1;
        terms[i] = rows[static_cast<long long>(row) * l.size] * spikes[32 * word + row];
      }
      sum += (terms[0] + terms[1]) + (terms[2] + terms[3]);
    }
  }
  return sum;
}

// What is left of the old membrane.
static inline float LifLoopLeak(const LifLoop& l, float alpha, float membrane, float spike) {
  if (l.reset == 0) return alpha * (1.0f - spike) * membrane;
  return l.reset == 1 ? alpha * membrane - l.threshold * spike : alpha * membrane;
}

static inline void RunLifLoopForward(const LifLoopForward& f, int block, float* shared) {
  const LifLoop& l = f.loop;
  const int n = l.size, first = block * l.samples, words = LifLoopWords(n);
  const int here = l.batch - first < l.samples ? l.batch - first : l.samples, count = here * n;
  const int room = l.samples * n;
  float *membrane = shared, *current = membrane + room, *recurrent = current + room;
  float *old = recurrent + room, *to = old + room;                     // spikes
  unsigned* bits = reinterpret_cast<unsigned*>(recurrent + 3 * room);  // of three steps
  const long long at = static_cast<long long>(first) * n, row = static_cast<long long>(l.batch) * n;

  XBARAX_EACH(word, 3 * l.samples * words) bits[word] = 0;
  XBARAX_TOGETHER();
  XBARAX_EACH(k, count) {
    membrane[k] = l.start.membrane[at + k];
    current[k] = l.start.current[at + k];
    recurrent[k] = l.recurrent ? l.start.recurrent[at + k] : 0.0f;
    const float spike = l.start.spikes[at + k];
    old[k] = spike;
    const int sample = k / n, i = k - sample * n;
    if (spike != 0.0f) XBARAX_SET(bits + sample * words + i / 32, 1u << (i % 32));
  }
  XBARAX_TOGETHER();
  for (long long t = 0; t < l.time; ++t) {
    const int now = static_cast<int>(t % 3), next = (now + 1) % 3, later = (now + 2) % 3;
    XBARAX_EACH(k, count) {
      const int sample = k / n, i = k - sample * n;
      const long long out = t * row + at + k;
      if (t + 1 < l.time) XBARAX_PREFETCH(f.drive + out + row);
      const float drive = f.drive[out], total = l.gain * current[k] + recurrent[k];
      const float u = LifLoopLeak(l, l.decays[i], membrane[k], old[k]) + l.decays[n + i] * total;
      current[k] = l.decays[2 * n + i] * current[k] + l.decays[3 * n + i] * drive;
      if (l.recurrent) {
        const unsigned* events = bits + (now * l.samples + sample) * words;
        float feedback = LifLoopEvents(l, events, old + sample * n, i);
        if (l.bias != nullptr) feedback += l.bias[i];
        recurrent[k] = l.decays[4 * n + i] * recurrent[k] + l.decays[5 * n + i] * feedback;
      }
      const float spike = LifLoopStep(u - l.threshold);
      membrane[k] = u;
      to[k] = spike;
      if (l.recurrent && spike != 0.0f)
        XBARAX_SET(bits + (next * l.samples + sample) * words + i / 32, 1u << (i % 32));
      f.membranes[out] = u;
      f.spikes[out] = spike;
    }
    if (l.recurrent) {
      XBARAX_EACH(word, l.samples * words) bits[later * l.samples * words + word] = 0;
      XBARAX_TOGETHER();
    }
    float* const before = old;
    old = to, to = before;
  }
  XBARAX_EACH(k, count) {
    f.end.membrane[at + k] = membrane[k];
    f.end.current[at + k] = current[k];
    if (l.recurrent) f.end.recurrent[at + k] = recurrent[k];
    f.end.spikes[at + k] = old[k];
  }
}

// ---- Backward -----------------------------------------------------------------------------------

struct alignas(16) LifLoopFour {
  float x[4];
};
static inline LifLoopFour LifLoopLoad(const float* from) {
  return *reinterpret_cast<const LifLoopFour*>(from);
}

// Adds to four columns of a product: kRows rows of weights times a sample's derivatives of its
// feedback. Loads come first, so that they do not wait for each other.
template <int kRows>
static inline void LifLoopAddRows(const float* weights, int size, const float* feedback_bar,
                                  LifLoopFour* sums) {
  LifLoopFour rows[kRows], by[kRows / 4];
  XBARAX_UNROLL
  for (int j = 0; j < kRows; ++j) rows[j] = LifLoopLoad(weights + static_cast<long long>(j) * size);
  XBARAX_UNROLL
  for (int j = 0; j < kRows / 4; ++j) by[j] = LifLoopLoad(feedback_bar + 4 * j);
  XBARAX_UNROLL
  for (int j = 0; j < kRows; ++j) {
    XBARAX_UNROLL
    for (int c = 0; c < 4; ++c) sums->x[c] += rows[j].x[c] * by[j / 4].x[j % 4];
  }
}

// Rows from `from` up to `end`, multiples of four.
static inline void LifLoopAdd(const float* weights, int size, const float* feedback_bar, int from,
                              int end, LifLoopFour* sums) {
  int i = from;
  for (; i + 16 <= end; i += 16)
    LifLoopAddRows<16>(weights + static_cast<long long>(i) * size, size, feedback_bar + i, sums);
  for (; i < end; i += 4)
    LifLoopAddRows<4>(weights + static_cast<long long>(i) * size, size, feedback_bar + i, sums);
}

// A part of that product: the rows of a part, at four columns, or at one where sizes are no
// multiples of four.
static inline void LifLoopPart(const LifLoop& l, const float* cache, const float* feedback_bar,
                               int part, int column, float* to) {
  const int n = l.size, each = ((n + l.parts - 1) / l.parts + 3) / 4 * 4, from = part * each;
  const int end = from + each < n ? from + each : n;
  if (n % 4 != 0) {
    float sum = 0.0f;
    for (int i = from; i < end; ++i)
      sum += l.weights[static_cast<long long>(i) * n + column] * feedback_bar[i];
    *to = sum;
    return;
  }
  LifLoopFour sums = {};
  const int middle = from > l.cached ? from : end < l.cached ? end : l.cached;
  LifLoopAdd(cache + column, n, feedback_bar, from, middle, &sums);
  LifLoopAdd(l.weights + column, n, feedback_bar, middle, end, &sums);
  *reinterpret_cast<LifLoopFour*>(to) = sums;
}

static inline float LifLoopSurrogate(const LifLoop& l, float membrane) {
  const float x = membrane - l.threshold, w = l.steepness * (x < 0.0f ? -x : x) + 1.0f;
  return 1.0f / (w * w);
}

static inline void RunLifLoopBackward(const LifLoopBackward& b, int block, float* shared) {
  const LifLoop& l = b.loop;
  const int n = l.size, first = block * l.samples;
  const int here = l.batch - first < l.samples ? l.batch - first : l.samples, count = here * n;
  const int room = l.samples * n;
  // Derivatives by the state after a step.
  float *membrane = shared, *current = membrane + room, *recurrent = current + room;
  float *spikes = recurrent + room, *feedback = spikes + room, *parts = feedback + room;
  float* cache = parts + l.parts * room;
  const int wide = n % 4 == 0 ? 4 : 1;  // columns of a product that a thread adds up at once
  const long long at = static_cast<long long>(first) * n, row = static_cast<long long>(l.batch) * n;

  XBARAX_EACH(k, count) {
    membrane[k] = b.end_bar.membrane[at + k];
    current[k] = b.end_bar.current[at + k];
    recurrent[k] = l.recurrent ? b.end_bar.recurrent[at + k] : 0.0f;
    spikes[k] = b.end_bar.spikes[at + k];
    for (int part = 0; part < l.parts; ++part) parts[part * room + k] = 0.0f;
  }
  XBARAX_EACH(k, l.cached * n) cache[k] = l.weights[k];
  for (long long t = l.time; t-- > 0;) {
    XBARAX_EACH(k, count) {
      const int i = k % n;
      const long long out = t * row + at + k;
      const float old = t > 0 ? b.membranes[out - row] : l.start.membrane[at + k];
      const float spike = t > 0 ? LifLoopStep(old - l.threshold) : l.start.spikes[at + k];
      float spike_bar = spikes[k], u_bar = membrane[k];
      for (int part = 0; part < l.parts; ++part) spike_bar += parts[part * room + k];
      if (b.spikes_bar != nullptr) spike_bar += b.spikes_bar[out];
      if (b.membranes_bar != nullptr) u_bar += b.membranes_bar[out];
      if (t > 1) XBARAX_PREFETCH(b.membranes + out - 2 * row);
      if (t > 0 && b.spikes_bar != nullptr) XBARAX_PREFETCH(b.spikes_bar + out - row);
      u_bar += spike_bar * LifLoopSurrogate(l, b.membranes[out]);
      const float alpha = l.decays[i], total_bar = l.decays[n + i] * u_bar;
      b.drive_bar[out] = l.decays[3 * n + i] * current[k];
      current[k] = l.decays[2 * n + i] * current[k] + l.gain * total_bar;
      if (l.recurrent) {
        const float feedback_bar = l.decays[5 * n + i] * recurrent[k];
        feedback[k] = feedback_bar;
        b.feedback_bar[out] = feedback_bar;
        recurrent[k] = l.decays[4 * n + i] * recurrent[k] + total_bar;
      }
      membrane[k] = l.reset == 0 ? alpha * (1.0f - spike) * u_bar : alpha * u_bar;
      const float by_reset = l.reset == 0 ? -alpha * old : l.reset == 1 ? -l.threshold : 0.0f;
      spikes[k] = l.detach || l.reset == 2 ? 0.0f : by_reset * u_bar;
    }
    if (l.recurrent) {
      XBARAX_TOGETHER();
      XBARAX_EACH(p, l.parts * count / wide) {
        const int part = p / (count / wide), k = wide * (p - part * (count / wide)), sample = k / n;
        LifLoopPart(l, cache, feedback + sample * n, part, k - sample * n, parts + part * room + k);
      }
      XBARAX_TOGETHER();
    }
  }
  XBARAX_EACH(k, count) {
    b.start_bar.membrane[at + k] = membrane[k];
    b.start_bar.current[at + k] = current[k];
    if (l.recurrent) b.start_bar.recurrent[at + k] = recurrent[k];
    float spike_bar = spikes[k];
    for (int part = 0; part < l.parts; ++part) spike_bar += parts[part * room + k];
    b.start_bar.spikes[at + k] = spike_bar;
  }
}

}  // namespace xbarax
