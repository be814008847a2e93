#include "kernels/analog_read.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <numeric>
#include <optional>
#include <vector>

#include "kernels/analog_steps.h"
#include "kernels/finite.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "kernels/transpose.h"

namespace xbarax {
namespace {

constexpr std::size_t kLine = 64;         // bytes of a line of the cache
constexpr std::size_t kBlockRows = 24;    // a multiple of every instruction set's block of rows
constexpr std::size_t kRowsPerTask = 48;  // a multiple of that
constexpr std::size_t kFewRows = 3;       // fewer do not make a block
constexpr std::size_t kNormal = 20;       // multiply-adds that take as long as a normal number
constexpr std::size_t kParallelWork = std::size_t{1} << 20;  // multiply-adds worth a second thread

std::size_t Ceil(std::size_t n, std::size_t by) { return (n + by - 1) / by; }

float* Aligned(const void* p) {
  return reinterpret_cast<float*>((reinterpret_cast<std::uintptr_t>(p) + kLine - 1) / kLine *
                                  kLine);
}

}  // namespace

Levels LevelsOf(int bits, bool is_signed) {
  if (bits == 0) return {0, is_signed};
  return {static_cast<float>((1 << (is_signed ? bits - 1 : bits)) - 1), is_signed};
}

// Up to kBlockRows rows, and where they are worked on.
struct AnalogReader::Block {
  const float* x;
  RowEvents events;
  std::size_t rows;
  const RowNoise* noise;
  float* y;
  float* volts;             // [rows][drives]
  float* squares;           // kEach: the same
  float* sums;              // [rows][panels · panel columns]: currents
  float* variances;         // kEach: the same, of their noise
  float* deviations;        // kUniform: [rows]
  std::uint32_t* n_places;  // [rows]: of how many volts are not zero; where, if no more than
  std::uint32_t* places;    // MostPlaces(): [rows][drives]
  bool silent[kBlockRows];  // whether none of a row's lines is driven: no current is there to be
                            // noisy
};

AnalogReader::AnalogReader(const AnalogArray& array, const Converters& converters,
                           const ReadPath& path, const Matmul& matmul, const AnalogSteps& steps)
    : matmul_(&matmul),
      steps_(&steps),
      converters_(converters),
      path_(path),
      noise_(array.noise),
      variance_(array.noise == ReadNoise::kUniform ? *array.variance : 0),
      column_(array.column),
      from_(path.transposed ? array.out : array.in),
      to_(path.transposed ? array.in : array.out),
      planes_(array.planes),
      tiles_to_(path.transposed ? array.tiles_in : array.tiles_out),
      tiles_from_(path.transposed ? array.tiles_out : array.tiles_in),
      drives_(path.transposed ? array.lines : array.words),
      lines_(path.transposed ? array.words : array.lines),
      panels_(Ceil(planes_ * lines_, matmul.panel_columns)) {
  inputs_ = from_ * (path.apart ? tiles_to_ : 1);
  outputs_ = to_ * (path.result == AnalogResult::kInside ? tiles_from_ : 1);
  for (std::size_t p = 0; p < planes_; ++p) factors_.push_back(array.coefficients[p] * array.scale);
  if (converters.adc_bits != 0 && converters.adc_range == AdcRange::kCalibrated)
    for (std::size_t p = 0; p < planes_; ++p)
      for (std::size_t a = 0; a < tiles_to_; ++a)
        for (std::size_t b = 0; b < tiles_from_; ++b) {
          const std::size_t out = path.transposed ? b : a, in = path.transposed ? a : b;
          full_scales_.push_back(
              converters.full_scales[(p * array.tiles_out + out) * array.tiles_in + in]);
        }
  conductance_ = Pack(array, array.conductance);
  if (noise_ == ReadNoise::kEach) variances_ = Pack(array, array.variance);
}

std::vector<float> AnalogReader::Pack(const AnalogArray& array, const float* cells) {
  const std::size_t width = matmul_->panel_columns, tile = panels_ * drives_ * width;
  std::vector<float> packed(tiles_to_ * tiles_from_ * tile + kLine / sizeof(float));
  const bool lines_first = array.words_first == path_.transposed;  // a line's cells are together
  finite_ &= AllFinite(cells, planes_ * tiles_to_ * tiles_from_ * drives_ * lines_);
  for (std::size_t p = 0; p < planes_; ++p) {
    for (std::size_t t = 0; t < array.tiles_out * array.tiles_in; ++t, cells += drives_ * lines_) {
      const std::size_t out = t / array.tiles_in, in = t % array.tiles_in;
      float* to = Aligned(packed.data()) +
                  (path_.transposed ? in * tiles_from_ + out : out * tiles_from_ + in) * tile;
      for (std::size_t l = 0, run; l < lines_; l += run) {
        const std::size_t column = p * lines_ + l, place = column % width;
        run = std::min(width - place, lines_ - l);
        float* panel = to + column / width * drives_ * width + place;
        if (lines_first) {
          Transpose(cells + l * drives_, run, drives_, drives_, panel, width);
        } else {
          for (std::size_t d = 0; d < drives_; ++d)
            std::copy_n(cells + d * lines_ + l, run, panel + d * width);
        }
      }
    }
  }
  return packed;
}

std::size_t AnalogReader::work() const {
  const std::size_t sums = tiles_to_ * tiles_from_ * planes_ * lines_;
  const std::size_t cell = noise_ == ReadNoise::kEach ? 2 : 1;
  return sums * (drives_ * cell + (noise_ == ReadNoise::kNone ? 0 : kNormal));
}

std::optional<AnalogTile> AnalogReader::Tile() const {
  const bool drive_column = path_.transposed && column_, line_column = column_ && !drive_column;
  const Levels adc = LevelsOf(converters_.adc_bits, converters_.adc_signed);
  const bool one = tiles_to_ * tiles_from_ == 1 && !path_.apart &&
                   from_ + (drive_column ? 1 : 0) == drives_ &&
                   to_ + (line_column ? 1 : 0) == lines_;
  const bool by_read = adc.half == 0 || converters_.adc_range == AdcRange::kRead;
  // What is no number must not come of lanes that nothing drives: they take part in all.
  const auto is_finite = [](float x) { return std::isfinite(x); };
  const bool finite =
      finite_ && is_finite(variance_) && std::all_of(factors_.begin(), factors_.end(), is_finite);
  if (!one || !by_read || !finite || path_.result != AnalogResult::kSums) return {};
  return AnalogTile{drives_,
                    planes_,
                    lines_,
                    matmul_->panel_columns,
                    drive_column,
                    line_column,
                    Aligned(conductance_.data()),
                    noise_ == ReadNoise::kEach ? Aligned(variances_.data()) : nullptr,
                    variance_,
                    LevelsOf(converters_.dac_bits, true),
                    adc,
                    converters_.dac_scaled,
                    converters_.v_read,
                    factors_.data()};
}

std::size_t AnalogReader::scratch_bytes() const {
  const std::size_t copies = noise_ == ReadNoise::kEach ? 2 : 1;
  const std::size_t row = copies * (drives_ + columns()) + 1;
  const std::size_t behind = copies * steps_->lanes;  // what steps may write to
  return (kBlockRows * row + behind) * sizeof(float) +
         (kBlockRows * (drives_ + 1) + 5 * kBitsBehind) * sizeof(std::uint32_t) + kLine;
}

void AnalogReader::Rows(const float* x, std::size_t rows, const RowNoise* noise, float* y,
                        void* scratch, const RowEvents& events) const {
  const bool each = noise_ == ReadNoise::kEach;
  const std::size_t drives = kBlockRows * drives_ + steps_->lanes;
  const std::size_t sums = kBlockRows * columns();
  Block block = {};
  block.sums = Aligned(scratch);
  block.variances = block.sums + sums;
  block.volts = block.variances + (each ? sums : 0);
  block.squares = block.volts + drives;
  block.deviations = block.squares + (each ? drives : 0);
  block.n_places = reinterpret_cast<std::uint32_t*>(block.deviations + kBlockRows);
  block.places = block.n_places + kBlockRows;
  for (std::size_t r = 0; r < rows; r += kBlockRows) {
    block.x = x + r * inputs_;
    if (events.bits != nullptr && !path_.apart && !(path_.transposed && column_))
      block.events = {events.bits + r * events.apart, events.apart, events.ones + r};
    block.rows = std::min(kBlockRows, rows - r);
    block.noise = noise + (noise_ == ReadNoise::kNone ? 0 : r);
    block.y = y + r * outputs_;
    for (std::size_t b = 0; b < tiles_from_; ++b) {
      if (!path_.apart) Drive(&block, 0, b);
      for (std::size_t a = 0; a < tiles_to_; ++a) {
        if (path_.apart) Drive(&block, a, b);
        Multiply(block, block.volts, conductance_, a, b, block.sums);
        if (each) Multiply(block, block.squares, variances_, a, b, block.variances);
        AddNoise(block, a, b);
        Convert(block, a, b);
      }
    }
  }
}

void AnalogReader::Rows(const float* x, std::uint64_t first_row, std::size_t rows, RandomKey key,
                        float* y, void* scratch) const {
  RowNoise noise[kBlockRows];
  for (std::size_t r = 0; r < rows; r += kBlockRows) {
    const std::size_t n = std::min(kBlockRows, rows - r);
    for (std::size_t i = 0; i < n; ++i) noise[i] = {key, first_row + r + i};
    Rows(x + r * inputs_, n, noise, y + r * outputs_, scratch);
  }
}

// The voltages of the lines of the inputs' tile b, for the outputs' tile a where each has its own.
void AnalogReader::Drive(Block* block, std::size_t a, std::size_t b) const {
  DriveStep step = {};
  step.rows = block->rows;
  step.column = path_.transposed && column_;
  const std::size_t width = drives_ - (step.column ? 1 : 0), first = b * width;
  step.x = block->x + a * (path_.apart ? from_ : 0) + first, step.x_stride = inputs_;
  step.count = std::min(width, from_ - first), step.drives = drives_;
  step.events = block->events, step.first_bit = first;
  step.levels = LevelsOf(converters_.dac_bits, true), step.scaled = converters_.dac_scaled;
  step.unit = converters_.v_read;
  step.volts = block->volts;
  if (noise_ == ReadNoise::kEach) step.squares = block->squares;
  if (noise_ == ReadNoise::kUniform) step.deviations = block->deviations;
  step.variance = variance_;
  step.most = MostPlaces(), step.places = block->places, step.n_places = block->n_places;
  step.whole = !finite_;
  steps_->drive(step);
  for (std::size_t r = 0; r < block->rows; ++r)
    block->silent[r] = finite_ && block->n_places[r] == 0;
}

// Rows of x (drives) times the matrix of a tile's planes. A row that is mostly zero goes place by
// place, and so does one that has too few neighbours for blocks of rows. A sum has the same bits
// either way: what is left out would add 0.
void AnalogReader::Multiply(const Block& block, const float* x, const std::vector<float>& packed,
                            std::size_t a, std::size_t b, float* sums) const {
  const std::size_t width = matmul_->panel_columns;
  const float* matrix = Aligned(packed.data()) + (a * tiles_from_ + b) * panels_ * drives_ * width;
  const auto sparse = [&](std::size_t r) { return finite_ && block.n_places[r] <= MostPlaces(); };
  const auto by_places = [&](std::size_t r, std::size_t n) {
    steps_->events(x + r * drives_, block.places + r * drives_, n, matrix, drives_, panels_,
                   sums + r * columns());
  };
  for (std::size_t r = 0, end; r < block.rows; r = end) {
    for (end = r; end < block.rows && !sparse(end);) ++end;
    if (end == r) {
      by_places(r, block.n_places[r]);
      ++end;
    } else if (end - r < kFewRows) {
      for (std::size_t i = r; i < end; ++i) {
        std::iota(block.places + i * drives_, block.places + (i + 1) * drives_, 0u);
        by_places(i, drives_);
      }
    } else {
      for (std::size_t p = 0; p < panels_; ++p)
        matmul_->panel(x + r * drives_, end - r, drives_, matrix + p * drives_ * width, width,
                       sums + r * columns() + p * width, columns(),
                       std::min(width, planes_ * lines_ - p * width));
    }
  }
}

void AnalogReader::AddNoise(const Block& block, std::size_t a, std::size_t b) const {
  if (noise_ == ReadNoise::kNone) return;
  NoiseStep step = {};
  step.rows = block.rows, step.planes = planes_, step.lines = lines_;
  step.sums = block.sums, step.stride = columns();
  if (noise_ == ReadNoise::kEach)
    step.variances = block.variances;
  else
    step.deviations = block.deviations;
  step.silent = block.silent, step.noise = block.noise;
  // Lines are those of [rows][tiles to][tiles from], each of [planes][lines].
  const std::size_t counters = Counters(planes_ * lines_);
  step.row_counters = tiles_to_ * tiles_from_ * counters;
  step.first = (a * tiles_from_ + b) * counters;
  steps_->add_noise(step);
}

// From the currents of a tile to its share of the outputs.
void AnalogReader::Convert(const Block& block, std::size_t a, std::size_t b) const {
  ConvertStep step = {};
  step.column = column_ && !path_.transposed;
  const std::size_t width = lines_ - (step.column ? 1 : 0);
  step.rows = block.rows, step.planes = planes_, step.lines = lines_, step.stride = columns();
  step.sums = block.sums;
  step.count = std::min(width, to_ - a * width);
  step.levels = LevelsOf(converters_.adc_bits, converters_.adc_signed);
  step.noisy = noise_ != ReadNoise::kNone;
  step.by_read = converters_.adc_range == AdcRange::kRead;
  step.full_scale = converters_.full_scale;
  if (!full_scales_.empty()) step.full_scales = full_scales_.data() + a * tiles_from_ + b;
  step.full_scales_stride = tiles_to_ * tiles_from_;
  step.silent = block.silent;
  step.factors = factors_.data();
  step.first = b == 0;
  step.y = block.y + a * width, step.y_stride = outputs_;
  if (path_.result == AnalogResult::kSums) return steps_->convert(step);
  step.y += b * to_;
  steps_->inside(step);
}

void ReadAnalog(const AnalogReader& reader, const float* x, std::size_t rows, const RowNoise* noise,
                float* y, Executor& executor) {
  const bool alone = rows * reader.work() < kParallelWork;
  const std::size_t tasks = alone ? 1 : Ceil(rows, kRowsPerTask);
  // A task takes what it works in from here: no more than `threads` run at the same time.
  const std::size_t threads = std::max<std::size_t>(1, std::min(tasks, executor.threads()));
  std::vector<std::vector<char>> scratches;
  for (std::size_t i = 0; i < threads; ++i) scratches.emplace_back(reader.scratch_bytes());
  std::vector<char*> free;
  for (std::vector<char>& scratch : scratches) free.push_back(scratch.data());
  if (alone) return reader.Rows(x, rows, noise, y, free[0]);
  std::mutex mutex;
  ParallelFor(executor, tasks, [&](std::size_t task) {
    std::unique_lock<std::mutex> lock(mutex);
    char* scratch = free.back();
    free.pop_back();
    lock.unlock();
    const std::size_t first = task * kRowsPerTask;
    reader.Rows(x + first * reader.inputs(), std::min(kRowsPerTask, rows - first),
                noise == nullptr ? nullptr : noise + first, y + first * reader.outputs(), scratch);
    lock.lock();
    free.push_back(scratch);
  });
}

const AnalogSteps& BestAnalogSteps() { return XBARAX_BEST(kAnalogSteps); }

}  // namespace xbarax
