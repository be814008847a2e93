// Chains of layers whose samples are divided among threads.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <thread>
#include <vector>

#include "kernels/lif.h"
#include "tests/check.h"
#include "tests/executors.h"
#include "tests/lif_problem.h"

namespace xbarax {
namespace {

using test::Close;
using test::Doubles;
using test::Floats;
using test::IsTheEquations;
using test::Problem;
using test::Settings;

// Weights in an array that is read without noise or converters are plain weights.
void ReadsArrays(Executor& executor, std::size_t batch, const LifLoops& loops) {
  const Settings s = {Reset::kZero, true, true, true, false};
  Problem plain(s, 12, batch, {10, 40, 20}, 5, 0.1f), read(s, 12, batch, {10, 40, 20}, 5, 0.1f);
  const float one = 1;
  std::deque<AnalogReader> readers;
  const auto instead = [&](const float** weights, std::size_t inputs, std::size_t size) {
    AnalogArray array = {};
    array.out = array.lines = size, array.in = array.words = inputs;
    array.planes = array.tiles_out = array.tiles_in = 1;
    array.conductance = *weights;
    array.coefficients = &one, array.scale = 1;
    const Converters exact = {1, 0, false, 0, true, AdcRange::kRead, 0, nullptr};
    *weights = nullptr;
    LifReads reads = {};
    reads.forward =
        &readers.emplace_back(array, exact, ReadPath{false, false, AnalogResult::kSums});
    reads.backward =
        &readers.emplace_back(array, exact, ReadPath{true, false, AnalogResult::kSums});
    return reads;
  };
  for (LifLayer& layer : read.chain.layers) {
    layer.input_reads = instead(&layer.parameters.input, layer.inputs, layer.size);
    layer.recurrent_reads = instead(&layer.parameters.recurrent, layer.size, layer.size);
  }
  plain.Run(executor, loops), read.Run(executor, loops);
  CHECK(plain.spikes == read.spikes);
  const auto same = [](const std::vector<Floats>& found, const std::vector<Floats>& expected) {
    for (std::size_t k = 0; k < 4; ++k)
      Close(found[k], Doubles(expected[k].begin(), expected[k].end()), 1e-5);
  };
  Close(read.xs_gradient, Doubles(plain.xs_gradient.begin(), plain.xs_gradient.end()), 1e-5);
  for (std::size_t l = 0; l < plain.gradients.size(); ++l) {
    same(read.gradients[l], plain.gradients[l]);
    same(read.state_gradients[l], plain.state_gradients[l]);
  }
}

// Enough work for several tasks.
void AgreesInTasks(Executor& executor) {
  LifLoops loops = BestLifLoops();
  for (bool few : {true, false})
    for (bool driven : {false, true}) {
      const Settings s = {Reset::kZero, true, true, true, driven};
      Problem p(s, 20, 51, {10, 40, 20}, 3, 0.1f);
      if (!few) loops.few = nullptr;
      p.Run(executor, loops);
      IsTheEquations(&p, s);
    }
}

// Eight chains at once on a pool of two threads, as XLA runs what is independent.
void ManyAtOnce(const LifLoops& loops) {
  test::Pool pool(2);
  std::vector<std::thread> callers;
  for (std::uint32_t caller = 0; caller < 8; ++caller)
    callers.emplace_back([&pool, &loops, caller] {
      const Settings s = {Reset::kZero, true, true, false, false};
      Problem p(s, 4, 70, {8, 30, 20}, caller, 0.2f);
      p.Run(pool, loops);
      const Floats first = p.gradients[0][0];
      for (int round = 0; round < 125; ++round) {
        p.Run(pool, loops);
        if (p.gradients[0][0] != first) return CHECK(false);
      }
    });
  for (std::thread& caller : callers) caller.join();
}

}  // namespace
}  // namespace xbarax

int main() {
  xbarax::test::Pool pool(2);
  xbarax::test::Busy busy;
  for (xbarax::Executor* executor : std::initializer_list<xbarax::Executor*>{&pool, &busy})
    xbarax::AgreesInTasks(*executor);
  CHECK(busy.waiting() > 0);
  busy.RunAll();
  xbarax::LifLoops loops = xbarax::BestLifLoops();
  for (bool few : {true, false}) {
    if (!few) loops.few = nullptr;
    for (std::size_t batch : {1, 51}) xbarax::ReadsArrays(pool, batch, loops);
    xbarax::ManyAtOnce(loops);
  }
  return xbarax::test::Result();
}
