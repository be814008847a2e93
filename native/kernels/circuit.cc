#include "kernels/circuit.h"

#include <algorithm>
#include <cstddef>
#include <functional>

#include "kernels/circuit_strips.h"

namespace xbarax {
namespace {

// The caller's thread.
class Alone : public Executor {
 public:
  std::size_t threads() const override { return 0; }
  void Schedule(std::function<void()>) override {}
};

template <class T>
Array<T> ArrayOf(const Circuits<T>& circuits, std::size_t k) {
  const bool turned = circuits.words > circuits.bits;
  const T word_line = circuits.word_line[k], bit_line = circuits.bit_line[k];
  return {circuits.conductance + k * circuits.words * circuits.bits,
          std::min(circuits.words, circuits.bits),
          std::max(circuits.words, circuits.bits),
          circuits.bits,
          turned,
          turned ? bit_line : word_line,
          turned ? word_line : bit_line};
}

// Calls body(k, executor) for each array: some at a time where there are enough for all threads,
// else one after the other by all of them.
void ForEachArray(std::size_t count, Executor& executor,
                  const std::function<void(std::size_t, Executor&)>& body) {
  if (count > 1 && count >= executor.threads()) {
    ForEach(executor, count, [&](std::size_t k) {
      Alone alone;
      body(k, alone);
    });
  } else {
    for (std::size_t k = 0; k < count; ++k) body(k, executor);
  }
}

template <class T>
void Effective(const Circuits<T>& circuits, T* effective, Executor& executor) {
  const std::size_t size = circuits.words * circuits.bits;
  if (size == 0) return;
  ForEachArray(circuits.count, executor, [&](std::size_t k, Executor& threads) {
    Strips<T>(ArrayOf(circuits, k), threads, false).Effective(effective + k * size);
  });
}

template <class T>
void Pull(const Circuits<T>& circuits, const T* cotangent, const CircuitCotangents<T>& by,
          Executor& executor) {
  const std::size_t size = circuits.words * circuits.bits;
  ForEachArray(circuits.count, executor, [&](std::size_t k, Executor& threads) {
    ByWires<T> wires;
    const Array<T> array = ArrayOf(circuits, k);
    if (size > 0)
      wires = Strips<T>(array, threads, true).Pull(cotangent + k * size, by.conductance + k * size);
    by.word_line[k] = array.turned ? wires.bit_line : wires.word_line;
    by.bit_line[k] = array.turned ? wires.word_line : wires.bit_line;
  });
}

template <class T>
void Currents(const Circuits<T>& circuits, const T* voltage, std::size_t inputs, T* currents,
              Executor& executor) {
  const std::size_t size = circuits.words * circuits.bits;
  if (size == 0 || inputs == 0) return;
  ForEachArray(circuits.count, executor, [&](std::size_t k, Executor& threads) {
    Strips<T>(ArrayOf(circuits, k), threads, true)
        .Currents(voltage + k * inputs * circuits.words, inputs, currents + k * inputs * size);
  });
}

}  // namespace

void EffectiveConductance(const Circuits<float>& circuits, float* effective, Executor& executor) {
  Effective(circuits, effective, executor);
}

void EffectiveConductance(const Circuits<double>& circuits, double* effective, Executor& executor) {
  Effective(circuits, effective, executor);
}

void PullEffectiveConductance(const Circuits<float>& circuits, const float* cotangent,
                              const CircuitCotangents<float>& by, Executor& executor) {
  Pull(circuits, cotangent, by, executor);
}

void PullEffectiveConductance(const Circuits<double>& circuits, const double* cotangent,
                              const CircuitCotangents<double>& by, Executor& executor) {
  Pull(circuits, cotangent, by, executor);
}

void CellCurrents(const Circuits<float>& circuits, const float* voltage, std::size_t inputs,
                  float* currents, Executor& executor) {
  Currents(circuits, voltage, inputs, currents, executor);
}

void CellCurrents(const Circuits<double>& circuits, const double* voltage, std::size_t inputs,
                  double* currents, Executor& executor) {
  Currents(circuits, voltage, inputs, currents, executor);
}

}  // namespace xbarax
