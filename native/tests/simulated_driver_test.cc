// The simulated chip's weights, reads and limits.
//
// What is random is tested at five standard deviations: a right driver fails one of the checks with
// a probability of about 1e-6 each, once and for all, since the seeds are fixed.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/check.h"
#include "tests/numbers.h"
#include "tests/simulated_chip.h"
#include "xbarax/driver.h"

namespace xbarax {
namespace {

using test::Call;
using test::Chip;
using test::kDriver;
using test::kReaching;

void ProgramsToTheNearestLevel() {
  Chip chip(R"({"levels": 5, "range": 2})");  // -2, -1, 0, 1, 2
  const xbarax_array array =
      chip.Programmed(1, 9, {-2, -1.75f, -1.25f, -0.499f, 0.1f, 0.51f, 1.4f, 1.75f, 2});
  CHECK((chip.Weights(array, 9) == std::vector<float>{-2, -2, -1, 0, 0, 1, 1, 2, 2}));
}

void ProgramsAnyWeightWithoutLevels() {
  Chip chip(R"({"levels": 0})");
  const std::vector<float> weights = test::Numbers(3).Signed(12);
  const xbarax_array array = chip.Programmed(3, 4, weights);
  CHECK(chip.Weights(array, 12) == weights);
  const std::vector<float> deltas = test::Numbers(4).Signed(12);
  CHECK(kDriver.update(chip.device(), array, deltas.data()) == XBARAX_OK);
  const std::vector<float> updated = chip.Weights(array, 12);
  for (std::size_t k = 0; k < 12; ++k) {
    const double wanted =
        std::max(-1.0, std::min(1.0, static_cast<double>(weights[k]) + deltas[k]));
    CHECK(std::fabs(updated[k] - wanted) <= chip.Describe().weight_error);
  }
}

void LevelsReachTheEndsExactly() {
  for (const char* config : {R"({"levels": 3, "range": 0.1})", R"({"levels": 256, "range": 0.3})",
                             R"({"levels": 65536, "range": 123.456})"}) {
    Chip chip(config);
    const float high = chip.Describe().weight_high;
    const xbarax_array array = chip.Programmed(1, 2, {-high, high});
    CHECK((chip.Weights(array, 2) == std::vector<float>{-high, high}));
  }
}

void ProgrammingIsWithinTheError() {
  for (const char* config :
       {R"({"capabilities": ["read_out"]})", R"({"levels": 7, "capabilities": ["read_out"]})",
        R"({"levels": 65536, "capabilities": ["read_out"]})"}) {
    Chip chip(config);
    const std::vector<float> weights = test::Numbers(5).Signed(4096);
    const std::vector<float> held = chip.Weights(chip.Programmed(64, 64, weights), 4096);
    const float error = chip.Describe().weight_error;
    for (std::size_t k = 0; k < 4096; ++k) CHECK(std::fabs(held[k] - weights[k]) <= error);
  }
}

void UpdatesRoundWithoutBias() {
  constexpr std::size_t kSize = 4096;
  for (float share : {0.3f, -0.3f, 0.02f, -1.75f}) {
    Chip chip(R"({"levels": 201, "seed": 5})");  // 0.01 apart
    const xbarax_array array = chip.Programmed(64, 64, std::vector<float>(kSize, 0.2f));
    const std::vector<float> deltas(kSize, share * 0.01f);
    CHECK(kDriver.update(chip.device(), array, deltas.data()) == XBARAX_OK);
    double ups = 0;  // of the level below
    const double below = std::floor(share);
    for (float weight : chip.Weights(array, kSize)) {
      const double up = (weight - 0.2) / 0.01 - below;
      CHECK(std::fabs(up) < 1e-4 || std::fabs(up - 1) < 1e-4);
      ups += up;
    }
    const double wanted = share - below;
    CHECK(std::fabs(ups / kSize - wanted) < 5 * std::sqrt(wanted * (1 - wanted) / kSize));
  }
}

void AnUpdateByNothingChangesNothing() {
  Chip chip(R"({"levels": 65536, "range": 0.7})");
  const xbarax_array array = chip.Allocated(64, 64);
  const std::vector<float> before = chip.Weights(array, 4096), deltas(4096);
  for (int k = 0; k < 20; ++k)
    CHECK(kDriver.update(chip.device(), array, deltas.data()) == XBARAX_OK);
  CHECK(chip.Weights(array, 4096) == before);
}

void UpdatesAndPulsesStopAtTheEnds() {
  for (const char* config : {R"({"levels": 5, "range": 2})", R"({"levels": 0, "range": 2})"}) {
    Chip chip(config);
    const xbarax_array array = chip.Programmed(1, 4, {1, -1, 0, 2});
    const std::vector<float> deltas = {3, -3, 1e38f, -1e38f};
    CHECK(kDriver.update(chip.device(), array, deltas.data()) == XBARAX_OK);
    CHECK((chip.Weights(array, 4) == std::vector<float>{2, -2, 2, -2}));
    const std::vector<std::int32_t> pulses = {INT32_MAX, INT32_MIN, INT32_MIN, INT32_MAX};
    CHECK(kDriver.pulse(chip.device(), array, pulses.data()) == XBARAX_OK);
    CHECK((chip.Weights(array, 4) == std::vector<float>{2, -2, -2, 2}));
  }
}

void PulsesMoveByLevels() {
  const std::vector<std::int32_t> pulses = {1, -2, 0};
  Chip chip(R"({"levels": 5, "range": 2})");
  xbarax_array array = chip.Programmed(3, 1, {0, 1, -1});
  CHECK(kDriver.pulse(chip.device(), array, pulses.data()) == XBARAX_OK);
  CHECK((chip.Weights(array, 3) == std::vector<float>{1, -1, -1}));
  Chip smooth(R"({"levels": 0, "range": 2})");
  array = smooth.Programmed(3, 1, {0, 1, -1});
  CHECK(kDriver.pulse(smooth.device(), array, pulses.data()) == XBARAX_OK);
  CHECK((smooth.Weights(array, 3) == std::vector<float>{2.0f / 128, 1 - 4.0f / 128, -1}));
}

// results[k][t] = sum over f of weights[t * stride_t + f * stride_f] inputs[k][f].
std::vector<double> Product(const std::vector<float>& weights, std::size_t to, std::size_t stride_t,
                            std::size_t from, std::size_t stride_f,
                            const std::vector<float>& inputs) {
  std::vector<double> results;
  for (std::size_t start = 0; start < inputs.size(); start += from)
    for (std::size_t t = 0; t < to; ++t) {
      double sum = 0;
      for (std::size_t f = 0; f < from; ++f)
        sum += static_cast<double>(weights[t * stride_t + f * stride_f]) * inputs[start + f];
      results.push_back(sum);
    }
  return results;
}

void ReadsExactlyWithoutNoise() {
  Chip chip(R"({"read_noise": 0})");
  const std::uint32_t kOut = 3, kIn = 50, kN = 7;
  const xbarax_array array = chip.Programmed(kOut, kIn, test::Numbers(6).Signed(kOut * kIn));
  const std::vector<float> weights = chip.Weights(array, kOut * kIn);
  const auto check = [&](const std::vector<float>& given, const std::vector<double>& wanted,
                         const std::vector<float>& inputs) {
    CHECK(given.size() == wanted.size());
    const std::size_t from = inputs.size() / kN, to = given.size() / kN;
    for (std::size_t k = 0; k < given.size(); ++k) {
      double squares = 0;
      for (std::size_t f = 0; f < from; ++f)
        squares += inputs[k / to * from + f] * inputs[k / to * from + f];
      CHECK(std::fabs(given[k] - wanted[k]) <= chip.Describe().read_error * std::sqrt(squares));
    }
  };
  const std::vector<float> x = test::Numbers(7).Signed(kN * kIn);
  check(chip.Read(array, kN, kOut, x), Product(weights, kOut, kIn, kIn, 1, x), x);
  const std::vector<float> y = test::Numbers(8).Signed(kN * kOut);
  std::vector<float> back(kN * kIn);
  CHECK(kDriver.read_transposed(chip.device(), array, kN, y.data(), back.data()) == XBARAX_OK);
  check(back, Product(weights, kIn, 1, kOut, kIn, y), y);
}

// The noise of each result, in units of read_noise |x|.
std::vector<double> Noise(const std::string& seed) {
  Chip chip(R"({"read_noise": 0.02, "seed": )" + seed + "}");
  const std::uint32_t kN = 1000;
  const xbarax_array array = chip.Programmed(64, 4, test::Numbers(9).Signed(64 * 4));
  std::vector<float> inputs;
  for (std::uint32_t k = 0; k < kN; ++k) {
    const float scale = static_cast<float>(k % 7 + 1) * 0.1f;
    inputs.insert(inputs.end(), {scale, -2 * scale, 0, 4 * scale});  // of length sqrt(21) scale
  }
  const std::vector<double> exact = Product(chip.Weights(array, 64 * 4), 64, 4, 4, 1, inputs);
  const std::vector<float> results = chip.Read(array, kN, 64, inputs);
  std::vector<double> noise(results.size());
  for (std::size_t k = 0; k < noise.size(); ++k) {
    const double scale = static_cast<double>(k / 64 % 7 + 1) * 0.1;
    noise[k] = (results[k] - exact[k]) / (0.02 * std::sqrt(21.0) * scale);
  }
  return noise;
}

double Mean(std::size_t size, const std::function<double(std::size_t)>& of) {
  double sum = 0;
  for (std::size_t k = 0; k < size; ++k) sum += of(k);
  return sum / static_cast<double>(size);
}

void NoiseIsStandardNormal() {
  const std::vector<double> z = Noise("1");
  const double n = static_cast<double>(z.size());
  const auto moment = [&](int power) {
    return Mean(z.size(), [&](std::size_t k) { return std::pow(z[k], power); });
  };
  // Of m moments of a standard normal variable, the variances are E z^2m - (E z^m)^2.
  CHECK(std::fabs(moment(1)) < 5 * std::sqrt(1 / n));
  CHECK(std::fabs(moment(2) - 1) < 5 * std::sqrt(2 / n));
  CHECK(std::fabs(moment(3)) < 5 * std::sqrt(15 / n));
  CHECK(std::fabs(moment(4) - 3) < 5 * std::sqrt(96 / n));
  const double beyond = Mean(z.size(), [&](std::size_t k) { return std::fabs(z[k]) > 1.959964; });
  CHECK(std::fabs(beyond - 0.05) < 5 * std::sqrt(0.05 * 0.95 / n));
}

void NoiseIsIndependent() {
  const std::vector<double> z = Noise("1"), other = Noise("2");
  for (std::size_t lag : {1, 2, 64}) {
    const std::size_t size = z.size() - lag;
    CHECK(std::fabs(Mean(size, [&](std::size_t k) { return z[k] * z[k + lag]; })) <
          5 / std::sqrt(static_cast<double>(size)));
  }
  CHECK(std::fabs(Mean(z.size(), [&](std::size_t k) { return z[k] * other[k]; })) <
        5 / std::sqrt(static_cast<double>(z.size())));
  CHECK(Noise("1") == z);
}

void HasRoomForSoManyArrays() {
  Chip chip(R"({"arrays": 2, "outputs": 3, "inputs": 4})");
  const xbarax_array first = chip.Allocated(3, 4), second = chip.Allocated(1, 1);
  CHECK(first != second);
  xbarax_array third = 0;
  CHECK(chip.Allocate(1, 1, &third) == XBARAX_NO_SPACE);
  CHECK(chip.Error() == "allocate: all 2 arrays are taken");
  CHECK(kDriver.release(chip.device(), first) == XBARAX_OK);
  third = chip.Allocated(2, 2);
  CHECK(third != first && third != second);
  std::vector<float> weights(12);
  CHECK(kDriver.read_out(chip.device(), first, weights.data()) == XBARAX_INVALID_ARGUMENT);
  CHECK(chip.Error() == "read_out: no such array " + std::to_string(first));
  CHECK(kDriver.release(chip.device(), first) == XBARAX_INVALID_ARGUMENT);
  CHECK(chip.Error() == "release: no such array " + std::to_string(first));
  chip.Weights(second, 1);
}

void RefusesSizesBeyondTheChip() {
  Chip chip(R"({"outputs": 3, "inputs": 4})");
  xbarax_array array;
  for (const auto& [out, in] : {std::pair{4u, 4u}, {3u, 5u}, {0u, 1u}, {1u, 0u}, {~0u, ~0u}}) {
    CHECK(chip.Allocate(out, in, &array) == XBARAX_INVALID_ARGUMENT);
    CHECK(chip.Error() == "allocate: expected 1 to 3 outputs and 1 to 4 inputs, given " +
                              std::to_string(out) + " and " + std::to_string(in));
  }
}

void RefusesUnknownArrays() {
  Chip chip("{}");
  float first;
  for (const std::string& call : kReaching) {
    CHECK(Call(&chip, call, 7, &first) == XBARAX_INVALID_ARGUMENT);
    CHECK(chip.Error() == call + ": no such array 7");
  }
}

void RefusesWhatItWasNotConfiguredFor() {
  Chip chip(R"({"capabilities": []})");
  const xbarax_array array = chip.Allocated(2, 2);
  float first;
  for (const char* call : {"read_transposed", "update", "pulse", "read_out"}) {
    CHECK(Call(&chip, call, array, &first) == XBARAX_UNSUPPORTED);
    CHECK(chip.Error() == std::string(call) + ": not among the configured capabilities");
  }
  CHECK(Call(&chip, "program", array, &first) == XBARAX_OK);
  CHECK(Call(&chip, "read", array, &first) == XBARAX_OK);
}

void EachCallWaits() {
  Chip chip(R"({"latency_us": 2000})");
  const xbarax_array array = chip.Allocated(2, 2);
  for (const std::string& call : kReaching) {
    float first;
    const auto start = std::chrono::steady_clock::now();
    CHECK(Call(&chip, call, array, &first) == XBARAX_OK);
    CHECK(std::chrono::steady_clock::now() - start >= std::chrono::microseconds(2000));
  }
}

}  // namespace
}  // namespace xbarax

int main() {
  xbarax::ProgramsToTheNearestLevel();
  xbarax::ProgramsAnyWeightWithoutLevels();
  xbarax::LevelsReachTheEndsExactly();
  xbarax::ProgrammingIsWithinTheError();
  xbarax::UpdatesRoundWithoutBias();
  xbarax::AnUpdateByNothingChangesNothing();
  xbarax::UpdatesAndPulsesStopAtTheEnds();
  xbarax::PulsesMoveByLevels();
  xbarax::ReadsExactlyWithoutNoise();
  xbarax::NoiseIsStandardNormal();
  xbarax::NoiseIsIndependent();
  xbarax::HasRoomForSoManyArrays();
  xbarax::RefusesSizesBeyondTheChip();
  xbarax::RefusesUnknownArrays();
  xbarax::RefusesWhatItWasNotConfiguredFor();
  xbarax::EachCallWaits();
  return xbarax::test::Result();
}
