// Analog reads by every instruction set that this processor can execute, against a loop over
// devices in double precision.
#include "kernels/analog_read.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <vector>

#include "kernels/isa.h"
#include "tests/check.h"
#include "tests/executors.h"
#include "tests/numbers.h"

namespace xbarax {
namespace {

struct Instructions {
  const Matmul* matmul;
  const AnalogSteps* steps;
  const Random* random;
};

std::vector<Instructions> Executable() {
  std::vector<Instructions> all = {
      {&baseline::kMatmul, &baseline::kAnalogSteps, &baseline::kRandom}};
#if defined(XBARAX_X86_ISAS)
  if (Has(Isa::kAvx2)) all.push_back({&avx2::kMatmul, &avx2::kAnalogSteps, &avx2::kRandom});
  if (Has(Isa::kAvx512)) all.push_back({&avx512::kMatmul, &avx512::kAnalogSteps, &avx512::kRandom});
#endif
  return all;
}

// A layer and how it is read, with the numbers that this takes.
struct Setting {
  std::size_t rows, out, in;
  std::size_t planes, lines, words;  // of a tile, with the reference column
  bool column;
  ReadNoise noise;
  Converters converters;
  ReadPath path;
  float zeros = 0;  // the share of inputs that are zero
  bool words_first = false;
  bool spikes = false;  // whether inputs are 1 or 0, but for those of every third row, and known

  std::size_t weights_a_tile() const { return lines - (column ? 1 : 0); }
  std::size_t tiles_out() const { return (out + weights_a_tile() - 1) / weights_a_tile(); }
  std::size_t tiles_in() const { return (in + words - 1) / words; }
  std::size_t tiles_to() const { return path.transposed ? tiles_in() : tiles_out(); }
  std::size_t tiles_from() const { return path.transposed ? tiles_out() : tiles_in(); }
  std::size_t from() const { return path.transposed ? out : in; }
  std::size_t to() const { return path.transposed ? in : out; }
  std::size_t sums() const { return path.transposed ? words : lines; }  // of a tile
};

constexpr RandomKey kKey = {17, 4};

// Of sums of up to some hundreds of terms, their noise and factors, in single precision.
constexpr double kRounding = 3e-6;

// A layer's numbers. Devices of one that is not cut to the end of its tiles are open cells.
struct Layer {
  explicit Layer(const Setting& s) {
    test::Numbers numbers(3);
    const std::size_t tiles = s.planes * s.tiles_out() * s.tiles_in();
    conductance = numbers.Signed(tiles * s.lines * s.words);
    variance = numbers.Fractions(s.noise == ReadNoise::kEach ? conductance.size() : 1);
    for (float& v : variance) v *= 0.01f;
    coefficients = numbers.Signed(s.planes);
    full_scales = numbers.Fractions(tiles);
    for (float& v : full_scales) v = 0.5f + 2 * v;
    x = numbers.Signed(s.rows * s.from() * (s.path.apart ? s.tiles_to() : 1));
    const std::vector<float> some = numbers.Fractions(x.size());
    for (std::size_t i = 0; i < x.size(); ++i)
      if (some[i] < s.zeros) x[i] = 0;
    if (s.spikes) Know(s.rows);
    array = {s.out,
             s.in,
             s.planes,
             s.tiles_out(),
             s.tiles_in(),
             s.lines,
             s.words,
             s.column,
             s.words_first,
             conductance.data(),
             s.noise,
             variance.data(),
             coefficients.data(),
             1.5f};
    converters = s.converters;
    converters.full_scales = full_scales.data();
  }

  // Of the rows from r on.
  RowEvents events(std::size_t r) const {
    if (ones.empty()) return {};
    const std::size_t apart = bits.size() / ones.size();
    return {bits.data() + r * apart, apart, ones.data() + r};
  }

  std::vector<float> conductance, variance, coefficients, full_scales, x;
  std::vector<std::uint32_t> bits;
  std::vector<char> ones;
  AnalogArray array;
  Converters converters;

 private:
  void Know(std::size_t rows) {
    const std::size_t size = x.size() / rows, apart = size / 32 + 2;
    bits.resize(rows * apart);
    for (std::size_t r = 0; r < rows; ++r) {
      ones.push_back(r % 3 != 1);
      for (std::size_t i = 0; i < size; ++i) {
        float& number = x[r * size + i];
        if (number == 0) continue;
        if (ones[r]) number = 1;
        bits[r * apart + i / 32] |= 1u << i % 32;
      }
    }
  }
};

// Rounded to the nearest level, of two the even one, and the distance between levels.
double Quantise(double value, double full_scale, int bits, bool is_signed, double* step) {
  *step = 0;
  if (bits == 0) return value;
  const double half = std::pow(2, is_signed ? bits - 1 : bits) - 1;
  if (full_scale == 0) return 0;
  *step = full_scale / half;
  const double level = std::nearbyint(value / full_scale * half);
  return std::min(std::max(level, is_signed ? -half : 0), half) * *step;
}

struct Expected {
  double value = 0;
  double size = 0;       // of what was added up
  double step = 0;       // that it may be off for the currents that lie between two levels
  std::size_t near = 0;  // how many do
};

// One tile's currents for one row, column and all, before the converters.
struct Currents {
  std::vector<double> current, size;
};

class Model {
 public:
  Model(const Setting& s, const Layer& layer, const Random& random) : s_(s), layer_(layer) {
    const std::size_t lines = s.rows * s.tiles_to() * s.tiles_from(), line = s.planes * s.sums();
    numbers_.resize(lines * line);
    for (std::size_t i = 0; i < lines; ++i)
      random.paired_normal(kKey, i * Counters(line), line, numbers_.data() + i * line);
  }

  // What lines carry, in volts.
  std::vector<double> Volts(std::size_t row, std::size_t a, std::size_t b) const {
    const std::size_t tile = s_.path.transposed ? s_.weights_a_tile() : s_.words;
    const std::size_t n = s_.path.apart ? s_.tiles_to() : 1;
    const float* x = layer_.x.data() + (row * n + (s_.path.apart ? a : 0)) * s_.from();
    std::vector<double> volts(tile);
    double most = 1;
    if (s_.converters.dac_scaled) {
      most = 0;
      for (std::size_t i = 0; i < tile && b * tile + i < s_.from(); ++i)
        most = std::max(most, std::fabs(static_cast<double>(x[b * tile + i])));
    }
    double step;
    for (std::size_t i = 0; i < tile && b * tile + i < s_.from(); ++i)
      volts[i] = Quantise(x[b * tile + i], most, s_.converters.dac_bits, true, &step) *
                 s_.converters.v_read;
    if (s_.path.transposed && s_.column) {
      double sum = 0;
      for (double v : volts) sum += v;
      volts.push_back(-sum);
    }
    return volts;
  }

  Currents Tile(std::size_t row, std::size_t p, std::size_t a, std::size_t b) const {
    const std::vector<double> volts = Volts(row, a, b);
    const std::size_t out = s_.path.transposed ? b : a, in = s_.path.transposed ? a : b;
    const std::size_t tile = (p * s_.tiles_out() + out) * s_.tiles_in() + in;
    Currents result;
    for (std::size_t to = 0; to < s_.sums(); ++to) {
      double current = 0, size = 0, variance = 0;
      for (std::size_t from = 0; from < volts.size(); ++from) {
        const std::size_t line = s_.path.transposed ? from : to;
        const std::size_t word = s_.path.transposed ? to : from;
        const std::size_t cell = tile * s_.lines * s_.words +
                                 (s_.words_first ? word * s_.lines + line : line * s_.words + word);
        const double term = layer_.conductance[cell] * volts[from];
        current += term;
        size += std::fabs(term);
        if (s_.noise != ReadNoise::kNone)
          variance +=
              layer_.variance[s_.noise == ReadNoise::kEach ? cell : 0] * volts[from] * volts[from];
      }
      const std::size_t number = (row * s_.tiles_to() + a) * s_.tiles_from() + b;
      const double noise =
          std::sqrt(variance) * numbers_[(number * s_.planes + p) * s_.sums() + to];
      result.current.push_back(current + noise);
      result.size.push_back(size + std::fabs(noise));
    }
    return result;
  }

  double FullScale(const Currents& currents, std::size_t p, std::size_t a, std::size_t b) const {
    const Converters& c = s_.converters;
    if (c.adc_range == AdcRange::kFixed) return c.full_scale;
    if (c.adc_range == AdcRange::kCalibrated) {
      const std::size_t out = s_.path.transposed ? b : a, in = s_.path.transposed ? a : b;
      return layer_.full_scales[(p * s_.tiles_out() + out) * s_.tiles_in() + in];
    }
    double most = 0;
    for (double current : currents.current) most = std::max(most, std::fabs(current));
    return most;
  }

  // All sums of a row.
  std::vector<Expected> Row(std::size_t row) const {
    std::vector<Expected> y(s_.to());
    const bool column = s_.column && !s_.path.transposed;
    const std::size_t width = s_.sums() - (column ? 1 : 0);
    for (std::size_t p = 0; p < s_.planes; ++p)
      for (std::size_t a = 0; a < s_.tiles_to(); ++a)
        for (std::size_t b = 0; b < s_.tiles_from(); ++b) {
          const Currents currents = Tile(row, p, a, b);
          const double full_scale = FullScale(currents, p, a, b);
          for (std::size_t l = 0; l < width && a * width + l < s_.to(); ++l) {
            Add(currents, l, full_scale, p, 1, &y[a * width + l]);
            if (column) Add(currents, width, full_scale, p, -1, &y[a * width + l]);
          }
        }
    return y;
  }

 private:
  void Add(const Currents& currents, std::size_t l, double full_scale, std::size_t p, double sign,
           Expected* y) const {
    const double factor = layer_.coefficients[p] * 1.5;
    const Converters& c = s_.converters;
    double step;
    const double seen = Quantise(currents.current[l], full_scale, c.adc_bits, c.adc_signed, &step);
    y->value += sign * factor * seen;
    y->size += std::fabs(factor) * std::max(currents.size[l], step == 0 ? 0 : full_scale);
    if (step == 0) return;
    const double level = currents.current[l] / step;
    const double off = std::fabs(std::fabs(level - std::floor(level)) - 0.5);
    if (off * step > kRounding * (currents.size[l] + full_scale)) return;
    ++y->near;
    y->step += std::fabs(factor) * step;
  }

  const Setting& s_;
  const Layer& layer_;
  std::vector<float> numbers_;
};

std::vector<float> Read(const Setting& s, const Layer& layer, const Instructions& isa,
                        std::size_t rows_a_call) {
  const AnalogReader reader(layer.array, layer.converters, s.path, *isa.matmul, *isa.steps);
  std::vector<float> y(s.rows * reader.outputs(), 99.0f);
  std::vector<char> scratch(reader.scratch_bytes(), -1);  // no numbers, and not read
  for (std::size_t r = 0; r < s.rows; r += rows_a_call) {
    const std::size_t rows = std::min(rows_a_call, s.rows - r);
    const float* x = layer.x.data() + r * reader.inputs();
    float* to = y.data() + r * reader.outputs();
    if (!s.spikes) {
      reader.Rows(x, r, rows, kKey, to, scratch.data());
      continue;
    }
    std::vector<RowNoise> noise;
    for (std::size_t i = 0; i < rows; ++i) noise.push_back({kKey, r + i});
    reader.Rows(x, rows, noise.data(), to, scratch.data(), layer.events(r));
  }
  return y;
}

void IsTheSum(const Setting& s, const Instructions& isa) {
  const Layer layer(s);
  const Model model(s, layer, *isa.random);
  const std::vector<float> y = Read(s, layer, isa, s.rows + 1);
  std::size_t near = 0;
  for (std::size_t r = 0; r < s.rows; ++r) {
    const std::vector<Expected> expected = model.Row(r);
    for (std::size_t o = 0; o < s.to(); ++o) {
      const Expected& e = expected[o];
      near += e.near;
      CHECK(std::fabs(y[r * s.to() + o] - e.value) <= kRounding * e.size + 1.001 * e.step);
    }
  }
  const std::size_t currents = y.size() * s.planes * s.tiles_from() * (s.column ? 2 : 1);
  if (s.converters.adc_bits < 16) CHECK(near <= currents / 25 + 3);
  // In calls of a row, and of a few, it is the same bits.
  CHECK(Read(s, layer, isa, 1) == y);
  CHECK(Read(s, layer, isa, 7) == y);
}

// Which partial sums are inside, (row, tile of inputs, output).
void InsideIsInside(Setting s, const Instructions& isa) {
  s.path.result = AnalogResult::kInside;
  const Layer layer(s);
  const Model model(s, layer, *isa.random);
  const std::vector<float> fits = Read(s, layer, isa, 5);
  const bool column = s.column && !s.path.transposed;
  const std::size_t width = s.sums() - (column ? 1 : 0);
  std::size_t open = 0;
  for (std::size_t r = 0; r < s.rows; ++r)
    for (std::size_t b = 0; b < s.tiles_from(); ++b)
      for (std::size_t o = 0; o < s.to(); ++o) {
        bool inside = true;
        for (std::size_t p = 0; p < s.planes; ++p) {
          const Currents currents = model.Tile(r, p, o / width, b);
          const double high = model.FullScale(currents, p, o / width, b);
          const double low = s.converters.adc_signed ? -high : 0;
          const auto is_in = [&](double current) { return low <= current && current <= high; };
          inside &= is_in(currents.current[o % width]);
          if (column) inside &= is_in(currents.current[width]);
        }
        open += inside;
        CHECK(fits[(r * s.tiles_from() + b) * s.to() + o] == (inside ? 1.0f : 0.0f));
      }
  CHECK(0 < open && open < fits.size());
}

constexpr Converters kExact = {1, 0, false, 0, true, AdcRange::kRead, 0, nullptr};
constexpr Converters kOwn = {0.2f, 0, false, 8, true, AdcRange::kRead, 0, nullptr};
constexpr Converters kFixed = {0.3f, 6, false, 5, true, AdcRange::kFixed, 0.4f, nullptr};
constexpr Converters kUnsigned = {0.3f, 8, false, 7, false, AdcRange::kFixed, 1.0f, nullptr};
constexpr Converters kCalibrated = {0.5f, 8, false, 9, true, AdcRange::kCalibrated, 0, nullptr};
constexpr Converters kScaled = {0.2f, 7, true, 8, true, AdcRange::kRead, 0, nullptr};
constexpr Converters kFinest = {0.2f, 0, false, 24, false, AdcRange::kRead, 0, nullptr};

// Noise of each kind, converters of each kind, both ways, one tile and many, in blocks of rows.
std::vector<Setting> Settings() {
  std::vector<Setting> all;
  for (ReadNoise noise : {ReadNoise::kNone, ReadNoise::kUniform, ReadNoise::kEach}) {
    for (bool transposed : {false, true}) {
      const ReadPath path = {transposed, false, AnalogResult::kSums};
      const ReadPath apart = {transposed, true, AnalogResult::kSums};
      for (const Converters& c : {kExact, kOwn, kFixed, kUnsigned, kCalibrated, kScaled, kFinest}) {
        all.push_back({1, 1, 1, 1, 1, 1, false, noise, c, path});
        all.push_back({25, 17, 23, 2, 17, 23, false, noise, c, path, 0.3f});
        all.push_back({7, 19, 40, 1, 6, 9, true, noise, c, path, 0.8f});
        all.push_back({5, 30, 20, 3, 8, 16, false, noise, c, apart});
      }
      for (const Converters& c : {kExact, kOwn, kCalibrated, kScaled}) {
        all.push_back({25, 17, 23, 2, 17, 23, false, noise, c, path, 0.3f, false, true});
        all.push_back({28, 19, 90, 1, 6, 41, true, noise, c, path, 0.9f, false, true});
        all.push_back({8, 30, 20, 3, 8, 16, false, noise, c, apart, 0.5f, false, true});
      }
      all.push_back({30, 20, 64, 2, 20, 64, false, noise, kOwn, path, 0.97f, false, true});
      all.push_back({49, 70, 65, 1, 70, 65, false, noise, kOwn, path});
      all.push_back({4, 3, 300, 2, 4, 300, true, noise, kScaled, path, 0.95f});
      all.push_back({9, 33, 37, 1, 33, 37, false, noise, kExact, path, 0.5f, true});
      all.push_back({6, 5, 7, 1, 5, 7, false, noise, kOwn, path, 2});  // no input at all
      all.push_back({0, 5, 7, 1, 5, 7, false, noise, kOwn, path});
    }
  }
  return all;
}

// What is not finite passes through, also where inputs are zero: 0 · inf is no number.
void NotFinitePassesThrough(const Instructions& isa) {
  Setting s = {3, 4, 5, 1, 4, 5, false, ReadNoise::kUniform, kOwn, {}, 2};
  Layer layer(s);
  layer.conductance[2 * 5 + 1] = std::numeric_limits<float>::infinity();
  for (float y : Read(s, layer, isa, 3)) CHECK(std::isnan(y));  // so is the range of all
  layer.converters = kFixed;
  const std::vector<float> fixed = Read(s, layer, isa, 3);
  for (std::size_t i = 0; i < fixed.size(); ++i) CHECK(std::isnan(fixed[i]) == (i % 4 == 2));
  Setting known = s;
  known.zeros = 0.8f, known.spikes = true;
  Layer spikes(known);
  spikes.converters = kFixed, spikes.conductance = layer.conductance;
  const std::vector<float> driven = Read(known, spikes, isa, 3);
  for (std::size_t i = 0; i < driven.size(); ++i)
    CHECK(std::isnan(driven[i]) == (i % 4 == 2 && spikes.x[i / 4 * 5 + 1] == 0));
}

// A row whose full scale is no number, of few inputs, that does not fill its last vector.
void WhatIsBehindARowIsNoInput(const Instructions& isa) {
  for (float x : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    const Setting s = {1, 64, 81, 1, 64, 81, false, ReadNoise::kNone, kScaled, {}, 2};
    Layer layer(s);
    layer.x[80] = x;
    for (float y : Read(s, layer, isa, 1)) CHECK(std::isnan(y));
  }
}

// Inputs beyond full scale are full scale.
void InputsAreClipped(const Instructions& isa) {
  const float inf = std::numeric_limits<float>::infinity();
  const Setting s = {1, 9, 4, 1, 9, 4, false, ReadNoise::kUniform, kFixed, {}};
  Layer layer(s);
  layer.x = {inf, -inf, 3e38f, -1.5f};
  const std::vector<float> beyond = Read(s, layer, isa, 1);
  layer.x = {1, -1, 1, -1};
  CHECK(Read(s, layer, isa, 1) == beyond);
}

// The finest converters show a quotient's last bit: it is that of a division, whatever the range.
void CurrentsAreDivided(const Instructions& isa) {
  test::Numbers numbers(5);
  for (float magnitude : {1e-30f, 1e-6f, 1.0f, 1e30f})
    for (float fraction : numbers.Fractions(40)) {
      const float full_scale = magnitude * (1 + fraction), half = 8388607;
      const Converters c = {1, 0, false, 24, true, AdcRange::kFixed, full_scale, nullptr};
      const Setting s = {1, 300, 1, 1, 300, 1, false, ReadNoise::kNone, c, {}};
      Layer layer(s);
      layer.x = {1};
      for (float& g : layer.conductance) g *= magnitude;
      const std::vector<float> y = Read(s, layer, isa, 1);
      const float factor = layer.coefficients[0] * 1.5f;
      for (std::size_t i = 0; i < y.size(); ++i) {
        const float level = std::nearbyint(layer.conductance[i] / full_scale * half);
        CHECK(y[i] == factor * (level * (full_scale / half)));
      }
    }
}

// Rows of several reads, each with its key and number, and without any where there is no noise.
void RowsHaveTheirOwnNoise(const Instructions& isa) {
  Setting s = {3, 9, 11, 2, 9, 11, false, ReadNoise::kUniform, kOwn, {}};
  const Layer layer(s);
  const AnalogReader reader(layer.array, layer.converters, s.path, *isa.matmul, *isa.steps);
  const RowNoise noise[3] = {{{1, 2}, 7}, {{3, 4}, 0}, {{1, 2}, std::uint64_t{1} << 40}};
  std::vector<float> y(3 * s.out), alone(s.out);
  std::vector<char> scratch(reader.scratch_bytes());
  reader.Rows(layer.x.data(), 3, noise, y.data(), scratch.data());
  for (std::size_t r = 0; r < 3; ++r) {
    reader.Rows(layer.x.data() + r * s.in, noise[r].row, 1, noise[r].key, alone.data(),
                scratch.data());
    CHECK(std::equal(alone.begin(), alone.end(), y.begin() + r * s.out));
  }
  s.noise = ReadNoise::kNone;
  const Layer quiet(s);
  const AnalogReader exact(quiet.array, quiet.converters, s.path, *isa.matmul, *isa.steps);
  exact.Rows(quiet.x.data(), 3, nullptr, y.data(), scratch.data());
  CHECK(y == Read(s, quiet, isa, 3));
}

// On threads as alone.
void ThreadsReadTheSame() {
  const Setting s = {200, 70, 65, 2, 32, 32, false, ReadNoise::kUniform, kOwn, {}};
  const Layer layer(s);
  const AnalogReader reader(layer.array, layer.converters, s.path);
  std::vector<RowNoise> noise;
  for (std::size_t r = 0; r < s.rows; ++r) noise.push_back({kKey, r});
  std::vector<float> alone(s.rows * s.out), y(alone.size());
  std::vector<char> scratch(reader.scratch_bytes());
  reader.Rows(layer.x.data(), s.rows, noise.data(), alone.data(), scratch.data());
  test::Pool pool(3);
  test::Busy busy;
  for (Executor* executor : std::initializer_list<Executor*>{&pool, &busy}) {
    std::fill(y.begin(), y.end(), 99.0f);
    ReadAnalog(reader, layer.x.data(), s.rows, noise.data(), y.data(), *executor);
    CHECK(y == alone);
  }
  CHECK(busy.waiting() > 0);  // it is enough for several threads
  busy.RunAll();
}

}  // namespace
}  // namespace xbarax

int main() {
  for (const xbarax::Instructions& isa : xbarax::Executable()) {
    CHECK(isa.matmul->panel_columns == isa.steps->panel_columns);
    for (const xbarax::Setting& setting : xbarax::Settings()) xbarax::IsTheSum(setting, isa);
    for (xbarax::ReadNoise noise :
         {xbarax::ReadNoise::kNone, xbarax::ReadNoise::kUniform, xbarax::ReadNoise::kEach})
      for (bool transposed : {false, true})
        for (const xbarax::Converters& c : {xbarax::kFixed, xbarax::kUnsigned, xbarax::kCalibrated})
          xbarax::InsideIsInside({9, 19, 40, 2, 6, 9, true, noise, c, {transposed, false, {}}},
                                 isa);
    xbarax::NotFinitePassesThrough(isa);
    xbarax::WhatIsBehindARowIsNoInput(isa);
    xbarax::InputsAreClipped(isa);
    xbarax::CurrentsAreDivided(isa);
    xbarax::RowsHaveTheirOwnNoise(isa);
  }
  xbarax::ThreadsReadTheSame();
  return xbarax::test::Result();
}
