// Chains of layers against the equations of `xbarax.snn.LIF`, and their derivatives, on one thread.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/lif.h"
#include "tests/check.h"
#include "tests/executors.h"
#include "tests/lif_problem.h"

namespace xbarax {
namespace {

using test::IsTheEquations;
using test::Problem;
using test::Settings;

// Those that this processor has; each also without what is for few neurons.
std::vector<LifLoops> WithAndWithoutFew() {
  std::vector<LifLoops> all = test::ExecutableLoops();
  for (std::size_t k = all.size(); k-- > 0;) {
    all.push_back(all[k]);
    all.back().few = nullptr;
  }
  return all;
}

void Agrees(const LifLoops& loops) {
  test::Nobody executor;
  std::uint32_t seed = 1;
  for (Reset reset : {Reset::kZero, Reset::kSubtract, Reset::kNone})
    for (bool recurrent : {false, true})
      for (bool detach : {false, true})
        for (bool driven : {false, true}) {
          const Settings s = {reset, recurrent, detach, seed % 3 == 0, driven};
          Problem p(s, 9, 14, {17, 33, 5}, seed++, 0.3f);
          p.Run(executor, loops);
          IsTheEquations(&p, s);
        }
  const Settings s = {Reset::kZero, true, true, true, false};
  for (std::size_t steps : {0, 1, 3})
    for (std::size_t batch : {0, 1, 13, 61, 331})  // some blocks of samples
      for (const std::vector<std::size_t>& sizes :
           {std::vector<std::size_t>{1, 1}, {64, 16, 32, 8}, {3, 100}, {40, 1, 2}})
        for (float rate : {0.0f, 0.1f, 2.0f}) {  // no spikes, some, all
          Problem p(s, steps, batch, sizes, seed++, rate);
          p.Run(executor, loops);
          IsTheEquations(&p, s);
        }
}

// Gradients that are larger than a cache, whose events are collected over steps: none, some, and
// more than are collected at a time.
void AgreesWhereLarge(const LifLoops& loops) {
  test::Nobody executor;
  std::uint32_t seed = 60;
  for (const std::vector<std::size_t>& sizes :
       {std::vector<std::size_t>{300, 250}, {5, 280, 250}, {2100, 33}})
    for (std::size_t steps : {1, 18})
      for (float rate : {0.0f, 0.02f, 0.3f, 2.0f}) {
        const Settings s = {Reset::kZero, false, true, true, false};
        // Where all have events, more rows than are multiplied in one go.
        Problem p(s, steps, rate > 1 ? 14 : 4, sizes, seed++, rate);
        p.Run(executor, loops);
        IsTheEquations(&p, s);
      }
}

void Same(const Problem& a, const Problem& b) {
  CHECK(a.spikes == b.spikes);
  CHECK(a.xs_gradient == b.xs_gradient);
  CHECK(a.gradients == b.gradients);
  CHECK(a.state_gradients == b.state_gradients);
}

// Steps that are run again give the same bits as membranes that are kept.
void RunsAgain(const LifLoops& loops) {
  test::Nobody nobody;
  std::uint32_t seed = 90;
  for (bool recurrent : {false, true})
    for (bool driven : {false, true})
      for (std::size_t steps : {1, 7, 8, 9})
        for (std::size_t segment : {1, 3, 4, 20}) {
          const Settings s = {Reset::kZero, recurrent, false, true, driven};
          Problem kept(s, steps, 15, {9, 20, 5}, seed, 0.3f),
              again(s, steps, 15, {9, 20, 5}, seed, 0.3f);
          ++seed;
          kept.Run(nobody, loops);
          again.Run(nobody, loops, segment);
          Same(kept, again);
          if (segment > steps) continue;
          again.Run(nobody, loops, 0, segment);
          Same(kept, again);
        }
  const Settings s = {Reset::kZero, false, false, true, false};
  Problem kept(s, 21, 15, {10, 300, 250}, seed, 0.3f), again(s, 21, 15, {10, 300, 250}, seed, 0.3f);
  kept.Run(nobody, loops);
  for (std::size_t segment : {3, 16}) {
    again.Run(nobody, loops, segment);
    Same(kept, again);
  }
}

// What is no number must not pass for silence: it makes all that depends on it no number.
void KeepsWhatIsNoNumber(const LifLoops& loops) {
  const Settings s = {Reset::kZero, true, true, false, false};
  Problem p(s, 4, 2, {3, 20, 2}, 7, 0.5f);
  p.xs[3 * 2 + 1] = std::numeric_limits<float>::quiet_NaN();  // of step 1, sample 0
  test::Nobody nobody;
  p.Run(nobody, loops);
  for (std::size_t k = 0; k < 2; ++k) {
    CHECK(!std::isnan(p.spikes[0 * 4 + k]));
    CHECK(std::isnan(p.spikes[3 * 4 + k]) || std::isnan(p.ends[1][1][k]));
    CHECK(!std::isnan(p.spikes[3 * 4 + 2 + k]));
  }
  CHECK(std::isnan(p.gradients[0][0][0]));
}

// Where most inputs have events and products are with all of them, what belongs to one that has
// none is left out all the same: weights that are no numbers, and the products of such derivatives.
void LeavesOutWhatHasNoEvent(const LifLoops& loops) {
  const Settings s = {Reset::kZero, true, true, false, false};
  const std::size_t inputs = 40, size = 300, quiet = 7;
  Problem p(s, 5, 12, {inputs, size, 6}, 10, 1.4f);
  for (std::size_t k = quiet; k < p.xs.size(); k += inputs) p.xs[k] = 0;
  for (std::size_t n = 0; n < size; ++n) {
    p.parameters[0][0][n * inputs + quiet] = std::numeric_limits<float>::infinity();
    p.parameters[0][2][n * size + quiet] = std::numeric_limits<float>::quiet_NaN();
  }
  for (std::size_t i = 0; i < inputs; ++i) p.parameters[0][0][quiet * inputs + i] = -100;
  for (std::size_t n = 0; n < 6; ++n)
    p.parameters[1][0][n * size + quiet] = std::numeric_limits<float>::quiet_NaN();
  for (std::size_t row = quiet; row < 12 * size; row += size)
    p.states[0][0][row] = p.states[0][1][row] = p.states[0][3][row] = 0;
  p.spikes_bar[3 * 12 * 6] = std::numeric_limits<float>::quiet_NaN();  // of step 3, sample 0
  test::Nobody nobody;
  p.Run(nobody, loops);
  for (float spike : p.spikes) CHECK(spike == 0 || spike == 1);
  std::size_t none = 0;
  for (std::size_t n = 0; n < size; ++n) {
    none += std::isnan(p.gradients[0][0][n * inputs + quiet + 1]);
    CHECK(n == quiet || p.gradients[0][0][n * inputs + quiet] == 0);
    CHECK(n == quiet || p.gradients[0][2][n * size + quiet] == 0);
  }
  CHECK(none > 0);
  for (std::size_t n = 0; n < 6; ++n) CHECK(p.gradients[1][0][n * size + quiet] == 0);
}

// Settings that are no numbers make spikes where there are no neurons, which must not be decoded.
void HasNoBitsBehindItsSize(const LifLoops& loops) {
  const Settings s = {Reset::kZero, true, true, false, false};
  Problem p(s, 3, 2, {100, 65}, 8, 0.5f);
  p.chain.layers[0].gain = std::numeric_limits<float>::infinity();
  test::Nobody nobody;
  p.Run(nobody, loops);
  for (std::size_t row = 0; row < 6; ++row) CHECK(p.bits[0][row * 3 + 2] >> 1 == 0);
}

// Lanes without a sample spike by their biases alone, here; nothing comes of that.
void LeavesOutLanesWithoutASample(const LifLoops& loops) {
  const Settings s = {Reset::kZero, false, true, true, false};
  for (std::size_t batch : {1, 5, 17}) {
    Problem p(s, 12, batch, {4, 4, 3}, 9, 0.0f);
    std::fill(p.xs.begin(), p.xs.end(), 1.0f);
    std::fill(p.parameters[0][0].begin(), p.parameters[0][0].end(), -100.0f);
    std::fill(p.parameters[0][1].begin(), p.parameters[0][1].end(), 3.0f);
    for (auto& rows : p.states[0]) std::fill(rows.begin(), rows.end(), 0.0f);
    p.parameters[1][0][0] = std::numeric_limits<float>::quiet_NaN();
    test::Nobody nobody;
    p.Run(nobody, loops, 0, 12);  // steps that are run again have all lanes
    for (float gradient : p.gradients[1][0]) CHECK(gradient == 0);
    for (float gradient : p.gradients[1][1]) CHECK(!std::isnan(gradient));
  }
}

}  // namespace
}  // namespace xbarax

int main() {
  for (const xbarax::LifLoops& loops : xbarax::WithAndWithoutFew()) {
    xbarax::Agrees(loops);
    if (loops.few != nullptr) xbarax::AgreesWhereLarge(loops);  // too many in any case
    xbarax::RunsAgain(loops);
    xbarax::KeepsWhatIsNoNumber(loops);
    xbarax::LeavesOutWhatHasNoEvent(loops);
    xbarax::HasNoBitsBehindItsSize(loops);
    xbarax::LeavesOutLanesWithoutASample(loops);
  }
  return xbarax::test::Result();
}
