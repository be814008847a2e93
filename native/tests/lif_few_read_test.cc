// Chains of few neurons on simulated chips, which are read with a sample in each lane, against the
// same chains read row by row.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <utility>
#include <vector>

#include "kernels/analog_read.h"
#include "kernels/lif.h"
#include "kernels/lif_few_chain.h"
#include "tests/check.h"
#include "tests/executors.h"
#include "tests/lif_problem.h"
#include "tests/numbers.h"

namespace xbarax {
namespace {

using test::Floats;
using test::Problem;
using test::Settings;

struct Chip {
  std::size_t planes;
  bool column;
  ReadNoise noise;
  int dac_bits;
  bool dac_scaled;
  int adc_bits;
  bool adc_signed;
  bool backward = true;  // whether arrays are read in the backward pass, too
};

// Arrays in the places of a chain's weights, with noise of a tenth of what they give.
class Arrays {
 public:
  Arrays(const Chip& chip, std::uint32_t seed) : chip_(chip), numbers_(seed) {}

  void Replace(Problem* p) {
    for (std::size_t l = 0; l < p->chain.layers.size(); ++l) {
      LifLayer& layer = p->chain.layers[l];
      if (layer.parameters.input != nullptr)
        layer.input_reads = Make(p->chain.steps, layer.size, layer.inputs);
      if (layer.recurrent) layer.recurrent_reads = Make(p->chain.steps, layer.size, layer.size);
      if (!chip_.backward) continue;
      layer.parameters.input = nullptr, layer.parameters.recurrent = nullptr;
    }
  }

 private:
  LifReads Make(std::size_t steps, std::size_t out, std::size_t in) {
    const std::size_t lines = out + (chip_.column ? 1 : 0), cells = chip_.planes * lines * in;
    const auto keep = [&](Floats numbers) {
      return floats_.emplace_back(std::move(numbers)).data();
    };
    AnalogArray array = {out,          in,    chip_.planes, 1,           1,       lines,   in,
                         chip_.column, false, nullptr,      chip_.noise, nullptr, nullptr, 1.5f};
    array.conductance = keep(numbers_.Signed(cells));
    Floats variance = numbers_.Fractions(cells);
    for (float& v : variance) v *= 0.01f;
    array.variance = keep(variance);
    array.coefficients = keep(numbers_.Signed(chip_.planes));
    const Converters converters = {
        0.2f, chip_.dac_bits, chip_.dac_scaled, chip_.adc_bits, chip_.adc_signed, AdcRange::kRead,
        0,    nullptr};
    Converters back = converters;
    back.dac_scaled = true;  // of derivatives
    const auto keys = [&]() {
      std::vector<RandomKey> made;
      for (float x : numbers_.Fractions(steps))
        made.push_back({static_cast<std::uint32_t>(65536 * x), 7});
      return keys_.emplace_back(made).data();
    };
    LifReads reads = {};
    reads.forward =
        &readers_.emplace_back(array, converters, ReadPath{false, false, AnalogResult::kSums});
    if (chip_.backward)
      reads.backward =
          &readers_.emplace_back(array, back, ReadPath{true, false, AnalogResult::kSums});
    reads.keys = keys(), reads.backward_keys = keys();
    if (chip_.dac_bits != 0) reads.half = LevelsOf(chip_.dac_bits, true).half;
    return reads;
  }

  Chip chip_;
  test::Numbers numbers_;
  std::deque<Floats> floats_;
  std::deque<std::vector<RandomKey>> keys_;
  std::deque<AnalogReader> readers_;
};

// A converter may take a current that lies between two levels for either: `levels` says that some
// numbers may be a few levels apart.
void Same(const Floats& found, const Floats& expected, bool levels) {
  CHECK(found.size() == expected.size());
  double largest = 1e-3;
  for (float x : expected)
    if (std::isfinite(x)) largest = std::max(largest, std::fabs(double(x)));
  std::size_t apart = 0;
  for (std::size_t k = 0; k < found.size(); ++k) {
    if (std::isnan(expected[k]) || std::isnan(found[k])) {
      CHECK(std::isnan(expected[k]) && std::isnan(found[k]));
      continue;
    }
    if (found[k] == expected[k]) continue;  // infinities, too
    const double difference = std::fabs(double(found[k]) - expected[k]) / largest;
    apart += difference > 2e-5;
    CHECK(difference < (levels ? 0.1 : 2e-5));
  }
  CHECK(apart <= found.size() / 20);
}

void SameGradients(const Problem& found, const Problem& expected, bool levels) {
  Same(found.xs_gradient, expected.xs_gradient, levels);
  for (std::size_t l = 0; l < found.chain.layers.size(); ++l)
    for (std::size_t k = 0; k < 4; ++k) {
      Same(found.gradients[l][k], expected.gradients[l][k], levels);
      Same(found.state_gradients[l][k], expected.state_gradients[l][k], levels);
    }
}

void SameResults(const Problem& found, const Problem& expected, bool levels) {
  CHECK(found.spikes == expected.spikes || levels);
  for (std::size_t l = 0; l < found.chain.layers.size(); ++l) {
    Same(found.membranes[l], expected.membranes[l], levels);
    for (std::size_t k = 0; k < 4; ++k) Same(found.ends[l][k], expected.ends[l][k], levels);
  }
  SameGradients(found, expected, levels);
}

template <class Change>
void Compare(const LifLoops& loops, const Settings& s, const Chip& chip, std::size_t steps,
             std::size_t batch, const std::vector<std::size_t>& sizes, float rate,
             std::uint32_t seed, const Change& change) {
  LifLoops rows = loops;
  rows.few = nullptr;
  test::Nobody executor;
  Problem found(s, steps, batch, sizes, seed, rate), expected(s, steps, batch, sizes, seed, rate),
      unseen(s, steps, batch, sizes, seed, rate);
  Arrays of_found(chip, seed), of_expected(chip, seed), of_unseen(chip, seed);
  of_found.Replace(&found), of_expected.Replace(&expected), of_unseen.Replace(&unseen);
  change(&found), change(&expected), change(&unseen);
  CHECK(lif::AreFew(found.chain, loops) && !lif::AreFew(expected.chain, rows));
  found.Run(executor, loops);
  expected.Run(executor, rows);
  SameResults(found, expected, chip.dac_bits != 0 || chip.adc_bits != 0);
  unseen.Run(executor, loops, 0, 0, false);
  SameGradients(unseen, found, false);
}

const auto kAsItIs = [](Problem*) {};

void Agrees(const LifLoops& loops) {
  std::uint32_t seed = 1;
  const std::vector<std::size_t> sizes = {9, 21, 4};
  for (ReadNoise noise : {ReadNoise::kNone, ReadNoise::kUniform, ReadNoise::kEach})
    for (std::size_t planes : {1, 2, 3})
      for (bool column : {false, true})
        for (bool backward : {false, true}) {
          const Settings s = {Reset::kZero, true, true, planes == 2, false};
          Chip chip = {planes, column, noise, 0, false, 0, true, backward};
          Compare(loops, s, chip, 3, 29, sizes, 0.2f, seed++, kAsItIs);
          // A level more makes other spikes in the second step, but none in the first.
          chip.dac_bits = 5, chip.adc_bits = 8, chip.adc_signed = planes != 1;
          Compare(loops, s, chip, 1, 29, sizes, 0.2f, seed++, kAsItIs);
          chip.dac_scaled = true;
          Compare(loops, s, chip, 1, 29, sizes, 0.2f, seed++, kAsItIs);
        }
}

// Some, all and none of the lanes, and of the inputs; layers that are given their drive.
void AgreesInAnyShape(const LifLoops& loops) {
  std::uint32_t seed = 200;
  const Chip chip = {2, false, ReadNoise::kUniform, 0, true, 0, true};
  for (std::size_t batch : {1, 15, 16, 17, 48, 61})
    for (float rate : {0.0f, 0.1f, 2.0f})
      for (bool driven : {false, true}) {
        const Settings s = {Reset::kSubtract, true, false, true, driven};
        Compare(loops, s, chip, 2, batch, {3, 8, 1}, rate, seed++, kAsItIs);
      }
  const Settings s = {Reset::kNone, false, false, false, false};
  Compare(loops, s, chip, 0, 4, {3, 8, 1}, 0.5f, seed++, kAsItIs);
  // Lines of one and of more columns than a panel has.
  Compare(loops, s, chip, 2, 40, {12, 70, 1}, 0.5f, seed++, kAsItIs);
}

// What is no number stays in its sample.
void KeepsWhatIsNoNumber(const LifLoops& loops) {
  const Settings s = {Reset::kZero, true, false, true, false};
  for (float what :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    for (bool scaled : {false, true}) {
      const Chip chip = {2, false, ReadNoise::kUniform, 8, scaled, 8, true, false};
      Compare(loops, s, chip, 1, 20, {6, 10, 2}, 0.5f, 300,
              [&](Problem* p) { p->states[0][3][10 * 5 + 3] = what; });
    }
}

// Arrays of several tiles, of cells that are no numbers, or with another range of converters have
// only the rows' way.
void LeavesOthers() {
  Floats cells(24, 1.0f);
  const float variance = 1e-4f, coefficient = 1;
  AnalogArray array = {4,
                       6,
                       1,
                       1,
                       1,
                       4,
                       6,
                       false,
                       false,
                       cells.data(),
                       ReadNoise::kUniform,
                       &variance,
                       &coefficient,
                       1.0f};
  Converters converters = {0.2f, 8, false, 8, true, AdcRange::kRead, 0, nullptr};
  ReadPath path = {false, false, AnalogResult::kSums};
  const auto has_lanes = [&] { return AnalogReader(array, converters, path).Tile().has_value(); };
  CHECK(has_lanes());
  path.transposed = true;
  CHECK(has_lanes());
  path.apart = true;
  CHECK(!has_lanes());
  path = {false, false, AnalogResult::kInside};
  CHECK(!has_lanes());
  path.result = AnalogResult::kSums;
  array.tiles_out = 2, array.lines = 2;
  CHECK(!has_lanes());
  array.tiles_out = 1, array.lines = 4, array.out = 3;  // a line without weights, which is noisy
  CHECK(!has_lanes());
  array.out = 4;
  converters.adc_range = AdcRange::kFixed, converters.full_scale = 1;
  CHECK(!has_lanes());
  converters.adc_bits = 0;
  CHECK(has_lanes());
  const float infinity = std::numeric_limits<float>::infinity();
  array.variance = &infinity;
  CHECK(!has_lanes());
  array.variance = &variance, array.scale = infinity;
  CHECK(!has_lanes());
  array.scale = 1, cells[7] = infinity;
  CHECK(!has_lanes());
}

}  // namespace
}  // namespace xbarax

int main() {
  for (const xbarax::LifLoops& loops : xbarax::test::ExecutableLoops()) {
    xbarax::Agrees(loops);
    xbarax::AgreesInAnyShape(loops);
    xbarax::KeepsWhatIsNoNumber(loops);
  }
  xbarax::LeavesOthers();
  return xbarax::test::Result();
}
