// Reads of a simulated chip's array: products, read noise, converters and the sums over tiles and
// planes, in one pass over each few rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/analog_steps.h"
#include "kernels/analog_tile.h"
#include "kernels/matmul.h"
#include "kernels/parallel.h"
#include "kernels/random.h"
#include "kernels/read.h"

namespace xbarax {

enum class ReadNoise { kNone, kUniform, kEach };

// What reads see of an array's devices, in tiles [planes][tiles_out][tiles_in].
struct AnalogArray {
  std::size_t out, in;  // of the weights
  std::size_t planes, tiles_out, tiles_in;
  std::size_t lines, words;  // of a tile: outputs, with its reference column, and inputs
  bool column;               // whether the last of a tile's lines is its reference column
  bool words_first;          // whether a tile is [words][lines], not [lines][words]
  const float* conductance;
  ReadNoise noise;
  const float* variance;      // of a read: one number (kUniform), or as the conductances (kEach)
  const float* coefficients;  // [planes], units of weight that an ampere stands for
  float scale;                // the weight of such a unit
};

enum class AdcRange { kRead, kFixed, kCalibrated };

// What stands between the numbers and the lines. 0 bits: exact.
struct Converters {
  float v_read;  // the voltage of an input of 1
  int dac_bits;
  bool dac_scaled;  // whether each tile's inputs are in units of their largest, not of 1
  int adc_bits;
  bool adc_signed;
  AdcRange adc_range;
  float full_scale;          // kFixed, in amperes
  const float* full_scales;  // kCalibrated: [planes][tiles_out][tiles_in]
};

enum class AnalogResult {
  kSums,    // [outputs]
  kInside,  // [tiles of inputs][outputs]: 1 where no plane's converter clips the partial sum, or 0
};

// How a read goes through an array.
struct ReadPath {
  bool transposed;
  bool apart;  // whether each tile of outputs has inputs of its own: rows of x are [tiles][inputs]
  AnalogResult result;
};

// An array prepared for reads: it keeps what it needs of the array and its converters. Any number
// of threads may read at the same time.
class AnalogReader {
 public:
  AnalogReader(const AnalogArray& array, const Converters& converters, const ReadPath& path,
               const Matmul& matmul = BestMatmul(), const AnalogSteps& steps = BestAnalogSteps());

  std::size_t inputs() const { return inputs_; }    // numbers in a row of x
  std::size_t outputs() const { return outputs_; }  // numbers in a row of y
  std::size_t work() const;                         // multiply-adds of a row
  // The array, where it is one tile that loops over lanes read. It is of use as long as the reader.
  std::optional<AnalogTile> Tile() const;
  // Bytes that Rows needs to work in, for any number of rows.
  std::size_t scratch_bytes() const;

  // Reads `rows` rows, those at x into those at y. What becomes of a row does not depend on the
  // others. `noise` has an element for each row; it may be null where there is no noise. `events`
  // are of use where all tiles of outputs share their inputs and no reference column is driven.
  // Allocates nothing, throws nothing.
  void Rows(const float* x, std::size_t rows, const RowNoise* noise, float* y, void* scratch,
            const RowEvents& events = {}) const;
  // The same for rows from `first_row` on of a read with one key.
  void Rows(const float* x, std::uint64_t first_row, std::size_t rows, RandomKey key, float* y,
            void* scratch) const;

 private:
  struct Block;

  std::vector<float> Pack(const AnalogArray& array, const float* cells);
  void Drive(Block* block, std::size_t a, std::size_t b) const;
  void Multiply(const Block& block, const float* x, const std::vector<float>& packed, std::size_t a,
                std::size_t b, float* sums) const;
  void AddNoise(const Block& block, std::size_t a, std::size_t b) const;
  void Convert(const Block& block, std::size_t a, std::size_t b) const;

  std::size_t columns() const { return panels_ * matmul_->panel_columns; }
  // Of a row's inputs that are not zero, so that leaving out the others pays.
  std::size_t MostPlaces() const { return drives_ / 5; }

  const Matmul* matmul_;
  const AnalogSteps* steps_;
  Converters converters_;
  ReadPath path_;
  ReadNoise noise_;
  float variance_;
  bool column_;
  std::size_t from_, to_;  // the weights' axes, as the read goes
  std::size_t inputs_, outputs_;
  std::size_t planes_, tiles_to_, tiles_from_;
  std::size_t drives_, lines_;      // a tile's inputs and outputs, with the reference column
  std::size_t panels_;              // of the matrix of a tile's planes, [drives][planes · lines]
  bool finite_ = true;              // whether inputs of zero can be left out
  std::vector<float> factors_;      // [planes]
  std::vector<float> full_scales_;  // kCalibrated: [planes][tiles to][tiles from]
  // [tiles to][tiles from][panels][drives][panel columns], from the first whole line of the cache.
  std::vector<float> conductance_, variances_;
};

// Reads rows on several threads: those at x into those at y.
void ReadAnalog(const AnalogReader& reader, const float* x, std::size_t rows, const RowNoise* noise,
                float* y, Executor& executor);

}  // namespace xbarax
