// Compiled several times, with XBARAX_ISA naming the instruction set. Everything here has internal
// linkage but kLifLoops.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/analog_converters.h"
#include "kernels/lanes.h"
#include "kernels/lif_collected.h"
#include "kernels/lif_events.h"
#include "kernels/lif_loops.h"

namespace xbarax::XBARAX_ISA {
namespace {

// start + what is given for a sample, a row of the layer's size; a padded row.
inline void AddGiven(const float* given, const LifNeurons& n, const float* start, float* sum) {
  for (std::size_t c = 0; c < n.width; c += kLanes)
    Store(sum + c, Load(start + c) + Get(given, c, n.size));
}

inline void NoNumbers(const LifNeurons& n, float* sum) {
  for (std::size_t k = 0; k < n.width; ++k) sum[k] = k < n.size ? __builtin_nanf("") : 0.0f;
}

// ---- Forward --------------------------------------------------------------------------------

inline void Drive(const LifForwardStep& s, std::size_t b) {
  const LifNeurons& n = *s.neurons;
  const LifInputs& in = s.inputs;
  const std::size_t words = WordsOf(in.size);
  if (s.drive != nullptr) return AddGiven(s.drive + b * n.size, n, s.input_bias, s.scratch.drive);
  if (in.xs == nullptr) {
    if (in.no_number[b]) return NoNumbers(n, s.scratch.drive);
    const Events events = Spikes(in.below + b * words, in.size, s.scratch);
    return AddRows(s.input, events, n, s.input_bias, s.scratch.drive);
  }
  const Events events =
      Values(in.xs + b * in.size, in.events + b * (words + 1), in.size, s.scratch);
  AddRows(s.input, events, n, s.input_bias, s.scratch.drive);
}

inline void Feedback(const LifForwardStep& s, std::size_t b) {
  const LifNeurons& n = *s.neurons;
  const std::size_t words = WordsOf(n.size);
  float* sum = s.scratch.feedback;
  if (s.feedback != nullptr) return AddGiven(s.feedback + b * n.size, n, s.recurrent_bias, sum);
  if (s.first) {
    const float* spikes = s.rows.spikes + b * n.width;
    std::size_t count = 0;
    for (std::size_t k = 0; k < n.size; ++k) {
      if (spikes[k] == 0.0f) continue;
      s.scratch.numbers[count] = static_cast<std::uint32_t>(k);
      s.scratch.factors[count++] = spikes[k];
    }
    const Events events = {s.scratch.numbers, s.scratch.factors, count};
    return AddRows(s.recurrent, events, n, s.recurrent_bias, sum);
  }
  if (s.no_number[b]) return NoNumbers(n, sum);
  const Events events = Spikes(s.bits_before + b * words, n.size, s.scratch);
  AddRows(s.recurrent, events, n, s.recurrent_bias, sum);
}

// Where the numbers are is copied first: for all that compilers know, what is stored could change
// it.
template <Reset kReset, bool Recurrent>
inline void Advance(const LifForwardStep& s, std::size_t b) {
  const LifNeurons n = *s.neurons;
  const std::size_t at = b * n.width;
  const LifRows rows = {s.rows.membrane + at, s.rows.current + at,
                        Recurrent ? s.rows.recurrent + at : nullptr, s.rows.spikes + at};
  const float *drive = s.scratch.drive, *feedback = s.scratch.feedback;
  float* const membranes = s.membranes == nullptr ? nullptr : s.membranes + b * n.size;
  float* const spikes_to = s.spikes == nullptr ? nullptr : s.spikes + b * n.size;
  std::uint32_t* const bits = s.bits + b * WordsOf(n.size);
  const Floats zero = {}, one = zero + 1.0f, gain = zero + n.gain, threshold = zero + n.threshold;
  Ints no_number = {};
  std::uint32_t word = 0;
  for (std::size_t c = 0; c < n.width; c += kLanes) {
    const Floats old = Load(rows.membrane + c), current = Load(rows.current + c);
    const Floats spikes = Load(rows.spikes + c), alpha = Load(n.alpha + c);
    Floats total = gain * current;
    if (Recurrent) {
      const Floats recurrent = Load(rows.recurrent + c);
      total += recurrent;
      Store(rows.recurrent + c,
            Load(n.beta_r + c) * recurrent + Load(n.one_minus_beta_r + c) * Load(feedback + c));
    }
    Store(rows.current + c,
          Load(n.beta + c) * current + Load(n.one_minus_beta + c) * Load(drive + c));
    Floats membrane = kReset == Reset::kZero ? alpha * (one - spikes) * old : alpha * old;
    if (kReset == Reset::kSubtract) membrane -= threshold * spikes;
    membrane += Load(n.one_minus_alpha + c) * total;
    Store(rows.membrane + c, membrane);
    if (membranes != nullptr) Put(membrane, membranes, c, n.size);
    const Ints below = membrane - threshold <= zero, unordered = membrane != membrane;
    const Floats now = Select(unordered, membrane, Select(below, zero, one));
    Store(rows.spikes + c, now);
    if (spikes_to != nullptr) Put(now, spikes_to, c, n.size);
    no_number |= unordered;
    word |= Mask(~below) << c % 32;
    if ((c + kLanes) % 32 == 0 || c + kLanes == n.width) {
      // Padding is zero, and does not spike, where all settings are numbers.
      const std::size_t place = c / 32 * 32, left = n.size - (place < n.size ? place : n.size);
      if (left > 0) bits[c / 32] = left < 32 ? word & ((1u << left) - 1) : word;
      word = 0;
    }
  }
  s.no_number[b] = Mask(no_number) != 0;
}

template <Reset kReset, bool Recurrent>
void Forward(const LifForwardStep& s) {
  for (std::size_t b = 0; b < s.samples; ++b) {
    Drive(s, b);
    if (Recurrent) Feedback(s, b);
    Advance<kReset, Recurrent>(s, b);
  }
}

// All samples' before any is used: memory gives what is read in one go faster.
void FindEvents(const LifInputs& in, std::size_t samples) {
  for (std::size_t b = 0; b < samples; ++b)
    Find(in.xs + b * in.size, in.size, in.events + b * EventWords(in.size));
}

// A dense product of a vector and a number takes a half to one cycle, one by events some three.
constexpr std::size_t kMany = 5;
constexpr std::size_t kLooked = 4;  // one row of so many tells enough of all

bool Many(const std::uint32_t* bits, std::size_t apart, std::size_t rows, std::size_t size) {
  const std::size_t words = WordsOf(size);
  std::size_t count = 0, looked = 0;
  for (std::size_t r = 0; r < rows; r += kLooked, ++looked)
    for (std::size_t w = 0; w < words; ++w)
      count += static_cast<std::size_t>(__builtin_popcount(bits[r * apart + w]));
  return count * kMany > looked * size;
}

void Numbers(const LifInputs& in, std::size_t samples, float* to) {
  const Quantiser quantise({in.half, true}, 1.0f);
  for (std::size_t b = 0; b < samples; ++b, to += in.size) {
    if (in.xs == nullptr) {
      const std::uint32_t* const bits = in.below + b * WordsOf(in.size);
      for (std::size_t k = 0; k < in.size; ++k)
        to[k] = static_cast<float>(bits[k / 32] >> k % 32 & 1u);
    } else {
      for (std::size_t k = 0; k < in.size; k += kLanes)
        Put(quantise(Get(in.xs + b * in.size, k, in.size)), to, k, in.size);
    }
  }
}

void ForwardAny(const LifForwardStep& s) {
  const bool recurrent = s.neurons->recurrent;
  switch (s.neurons->reset) {
    case Reset::kZero:
      return recurrent ? Forward<Reset::kZero, true>(s) : Forward<Reset::kZero, false>(s);
    case Reset::kSubtract:
      return recurrent ? Forward<Reset::kSubtract, true>(s) : Forward<Reset::kSubtract, false>(s);
    case Reset::kNone:
      return recurrent ? Forward<Reset::kNone, true>(s) : Forward<Reset::kNone, false>(s);
  }
}

// ---- Backward -------------------------------------------------------------------------------

template <Reset kReset, bool Detach, bool Recurrent>
inline void Retreat(const LifBackwardStep& s, std::size_t b) {
  const LifNeurons n = *s.neurons;
  const std::size_t at = b * n.width, row = b * n.size;
  const LifRows to = {s.gradients.membrane + at, s.gradients.current + at,
                      Recurrent ? s.gradients.recurrent + at : nullptr, s.gradients.spikes + at};
  const auto from = [](const float* rows, std::size_t place) {
    return rows == nullptr ? nullptr : rows + place;
  };
  const float *before_bar = from(s.before_bar, at), *above_bar = from(s.above_bar, at);
  const float *spikes_bar = from(s.spikes_bar, row), *membranes_bar = from(s.membranes_bar, row);
  const float *membranes = s.membranes + row, *membranes_before = s.membranes_before + row;
  const float* spikes_before = s.first ? s.spikes_before + row : nullptr;
  float *const drive = s.drive + at, *const feedback = s.feedback + at;
  const Floats zero = {}, one = zero + 1.0f, gain = zero + n.gain, threshold = zero + n.threshold;
  const Floats steepness = zero + n.steepness;
  for (std::size_t c = 0; c < n.width; c += kLanes) {
    Floats spikes = {};
    if (!Detach) spikes += Load(to.spikes + c);
    if (before_bar != nullptr) spikes += Load(before_bar + c);
    if (above_bar != nullptr) spikes += Load(above_bar + c);
    if (spikes_bar != nullptr) spikes += Get(spikes_bar, c, n.size);
    const Floats slope = steepness * Magnitude(Get(membranes, c, n.size) - threshold) + one;
    Floats u = Load(to.membrane + c) + spikes / (slope * slope);
    if (membranes_bar != nullptr) u += Get(membranes_bar, c, n.size);

    const Floats into = Load(n.one_minus_alpha + c) * u, current = Load(to.current + c);
    Store(drive + c, Load(n.one_minus_beta + c) * current);
    Store(to.current + c, Load(n.beta + c) * current + gain * into);
    if (Recurrent) {
      const Floats recurrent = Load(to.recurrent + c);
      Store(feedback + c, Load(n.one_minus_beta_r + c) * recurrent);
      Store(to.recurrent + c, Load(n.beta_r + c) * recurrent + into);
    }

    const Floats leak = Load(n.alpha + c) * u;
    if (kReset == Reset::kZero) {
      const Floats old = Get(membranes_before, c, n.size);
      const Floats kept = spikes_before != nullptr ? one - Get(spikes_before, c, n.size)
                                                   : Select(old - threshold > zero, zero, one);
      Store(to.membrane + c, leak * kept);
      if (!Detach) Store(to.spikes + c, -leak * old);
    } else {
      Store(to.membrane + c, leak);
      if (!Detach) Store(to.spikes + c, kReset == Reset::kSubtract ? -threshold * u : zero);
    }
  }
}

// Adds rows to a sum of rows.
inline void Accumulate(float* sum, const float* rows, std::size_t count, std::size_t width) {
  for (std::size_t c = 0; c < width; c += kLanes) {
    Floats total = Load(sum + c);
    for (std::size_t r = 0; r < count; ++r) total += Load(rows + r * width + c);
    Store(sum + c, total);
  }
}

// Adds a sample's step to the gradients by the weights.
inline void Gather(const LifBackwardStep& s, std::size_t b) {
  const LifNeurons& n = *s.neurons;
  const LifInputs& in = s.inputs;
  const float *drive = s.drive + b * n.width, *feedback = s.feedback + b * n.width;
  if (s.input != nullptr) {
    const std::size_t words = WordsOf(in.size);
    const Events events = in.xs == nullptr
                              ? Spikes(in.below + b * words, in.size, s.scratch)
                              : Converted(Values(in.xs + b * in.size, in.events + b * (words + 1),
                                                 in.size, s.scratch),
                                          in.half, s.scratch);
    AddToRows(s.input, events, n.width, drive);
  }
  if (s.recurrent != nullptr && !s.first) {
    const std::uint32_t* bits = s.bits_before + b * (WordsOf(n.size));
    AddToRows(s.recurrent, Spikes(bits, n.size, s.scratch), n.width, feedback);
  } else if (s.recurrent != nullptr) {
    for (std::size_t k = 0; k < n.size; ++k) {
      const std::uint32_t number = static_cast<std::uint32_t>(k);
      const float factor = s.spikes_before[b * n.size + k];
      if (factor != 0.0f) AddToRows(s.recurrent, {&number, &factor, 1}, n.width, feedback);
    }
  }
}

template <Reset kReset, bool Detach, bool Recurrent>
void Backward(const LifBackwardStep& s) {
  for (std::size_t b = 0; b < s.samples; ++b) {
    Retreat<kReset, Detach, Recurrent>(s, b);
    Gather(s, b);
  }
  const std::size_t width = s.neurons->width;
  if (s.input_bias != nullptr) Accumulate(s.input_bias, s.drive, s.samples, width);
  if (s.recurrent_bias != nullptr) Accumulate(s.recurrent_bias, s.feedback, s.samples, width);
}

template <Reset kReset>
inline void BackwardReset(const LifBackwardStep& s) {
  const LifNeurons& n = *s.neurons;
  if (n.detach)
    return n.recurrent ? Backward<kReset, true, true>(s) : Backward<kReset, true, false>(s);
  return n.recurrent ? Backward<kReset, false, true>(s) : Backward<kReset, false, false>(s);
}

void BackwardAny(const LifBackwardStep& s) {
  switch (s.neurons->reset) {
    case Reset::kZero:
      return BackwardReset<Reset::kZero>(s);
    case Reset::kSubtract:
      return BackwardReset<Reset::kSubtract>(s);
    case Reset::kNone:
      return BackwardReset<Reset::kNone>(s);
  }
}

}  // namespace

extern const LifLoops kLifLoops = {kLanes,      FindEvents,      Many,         Numbers, ForwardAny,
                                   BackwardAny, GatherCollected, &kLifFewLoops};

}  // namespace xbarax::XBARAX_ISA
