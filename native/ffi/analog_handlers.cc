// XLA's handler of analog reads.
//
// Operands have leading batch axes (*batch), each of the result's size or, where all of an axis
// share the operand, 1.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "ffi/xla.h"
#include "kernels/analog_read.h"
#include "xla/ffi/api/ffi.h"

namespace xbarax {
namespace {

using Numbers = ffi::Buffer<ffi::F32>;
using Keys = ffi::Buffer<ffi::U32>;

// One of an operand's items for each place in the batch.
class Items {
 public:
  // False where `dims` are not those of the batch, or 1, before `core` axes of the items.
  bool Set(Dims dims, Dims batch, size_t core) {
    if (dims.size() != batch.size() + core) return false;
    batch_ = batch;
    strides_.assign(batch.size(), 0);
    for (size_t i = batch.size(); i-- > 0;) {
      if (dims[i] != batch[i] && dims[i] != 1) return false;
      if (dims[i] == batch[i]) strides_[i] = count_;
      count_ *= static_cast<size_t>(dims[i]);
    }
    return true;
  }
  size_t count() const { return count_; }
  size_t operator[](size_t place) const {
    size_t item = 0;
    for (size_t i = strides_.size(); i-- > 0;) {
      const size_t size = static_cast<size_t>(batch_[i]);
      item += place % size * strides_[i];
      place /= size;
    }
    return item;
  }

 private:
  Dims batch_;
  size_t count_ = 1;
  std::vector<size_t> strides_;
};

struct Call {
  size_t places, rows;
  Items conductance, variance, full_scales, scale, x, keys;
  Items state;  // what the first four have in common: a reader for each
  // Without pointers: of the first item.
  AnalogArray array;
  Converters converters;
  ReadPath path;
};

ffi::Error Refused(const std::string& why) {
  return ffi::Error::InvalidArgument("xbarax analog read: " + why);
}

size_t Size(Dims dims, size_t axis) { return static_cast<size_t>(dims[axis]); }

// Whether n is cut into so many tiles of a width.
bool Cut(size_t n, size_t tiles, size_t width) {
  return n <= tiles * width && (tiles == 0 || n + width > tiles * width);
}

// An item of conductance: (planes, tiles out, tiles in, lines, words), or (in, out) for a matrix.
bool SetTiles(Dims item, AnalogArray* array) {
  if (item.size() == 2) {
    array->planes = array->tiles_out = array->tiles_in = 1;
    array->words = Size(item, 0), array->lines = Size(item, 1);
    array->words_first = true;
    return true;
  }
  if (item.size() != 5) return false;
  array->planes = Size(item, 0);
  array->tiles_out = Size(item, 1), array->tiles_in = Size(item, 2);
  array->lines = Size(item, 3), array->words = Size(item, 4);
  return true;
}

// The layer's sizes, from rows of inputs and outputs.
bool SetLayer(size_t inputs, size_t outputs, Call* call) {
  AnalogArray& array = call->array;
  const ReadPath& path = call->path;
  const size_t from_tiles = path.transposed ? array.tiles_out : array.tiles_in;
  const size_t to_tiles = path.transposed ? array.tiles_in : array.tiles_out;
  const size_t parts_in = path.apart ? to_tiles : 1;
  const size_t parts_out = path.result == AnalogResult::kInside ? from_tiles : 1;
  if (parts_in == 0 || inputs % parts_in != 0 || parts_out == 0 || outputs % parts_out != 0)
    return false;
  const size_t from = inputs / parts_in, to = outputs / parts_out;
  array.out = path.transposed ? from : to;
  array.in = path.transposed ? to : from;
  const size_t column = array.column ? 1 : 0;
  return array.lines >= column && Cut(array.out, array.tiles_out, array.lines - column) &&
         Cut(array.in, array.tiles_in, array.words);
}

// An item of variance: () for all, (0) for none, or as one of conductance.
bool SetNoise(Dims item, Dims conductance, ReadNoise* noise) {
  if (item.size() == 0)
    *noise = ReadNoise::kUniform;
  else if (item.size() == 1 && item[0] == 0)
    *noise = ReadNoise::kNone;
  else if (std::equal(item.begin(), item.end(), conductance.begin(), conductance.end()))
    *noise = ReadNoise::kEach;
  else
    return false;
  return true;
}

// The operands as the handler has them, and the result.
struct Shapes {
  Dims conductance, variance, full_scales, scale, x, keys, y;
};

// Completes a call whose attributes are known.
bool SetShapes(const Shapes& s, Call* call) {
  if (s.y.size() < 2) return false;
  const size_t lead = s.y.size() - 2;
  const Dims batch = s.y.first(lead);
  const auto item = [&](Dims dims) { return dims.last(dims.size() - lead); };
  for (Dims dims : {s.conductance, s.variance, s.full_scales, s.scale, s.x, s.keys})
    if (dims.size() < lead) return false;
  const Dims cells = item(s.conductance), x = item(s.x), scales = item(s.full_scales);
  if (x.size() != 2 || x[0] != s.y[lead] || !SetTiles(cells, &call->array) ||
      !SetLayer(Size(x, 1), Size(s.y, lead + 1), call) ||
      !SetNoise(item(s.variance), cells, &call->array.noise))
    return false;
  const bool calibrated = call->converters.adc_range == AdcRange::kCalibrated;
  if (calibrated && (scales.size() != 3 || cells.size() != 5 ||
                     !std::equal(scales.begin(), scales.end(), cells.begin())))
    return false;
  if (s.keys[s.keys.size() - 1] != 2) return false;
  call->places = 1;
  for (int64_t size : batch) call->places *= static_cast<size_t>(size);
  call->rows = Size(x, 0);
  std::vector<int64_t> states(lead, 1);
  for (Dims dims : {s.conductance, s.variance, s.full_scales, s.scale})
    for (size_t i = 0; i < lead; ++i)
      if (dims[i] != 1) states[i] = dims[i];
  return call->conductance.Set(s.conductance, batch, cells.size()) &&
         call->variance.Set(s.variance, batch, item(s.variance).size()) &&
         call->full_scales.Set(s.full_scales, batch, calibrated ? 3 : 1) &&
         call->scale.Set(s.scale, batch, 0) && call->x.Set(s.x, batch, 2) &&
         call->keys.Set(s.keys, batch, 1) && call->state.Set(Dims(states), batch, 0);
}

// The operands' numbers.
struct Data {
  const float *conductance, *variance, *full_scales, *scale, *x;
  const uint32_t* keys;
  float* y;
};

// Reads what shares a state: `places` of the batch.
void ReadPlaces(const Call& call, const Data& data, const std::vector<size_t>& places,
                Executor& executor) {
  AnalogArray array = call.array;
  Converters converters = call.converters;
  const size_t tiles = array.planes * array.tiles_out * array.tiles_in;
  const size_t cells = tiles * array.lines * array.words, first = places[0];
  array.conductance = data.conductance + call.conductance[first] * cells;
  array.variance =
      data.variance + call.variance[first] * (array.noise == ReadNoise::kEach ? cells : 1);
  array.scale = data.scale[call.scale[first]];
  converters.full_scales = data.full_scales + call.full_scales[first] * tiles;
  const AnalogReader reader(array, converters, call.path);
  const size_t rows = call.rows;
  std::vector<RowNoise> noise(places.size() * rows);
  for (size_t i = 0; i < noise.size(); ++i) {
    const uint32_t* key = data.keys + 2 * call.keys[places[i / rows]];
    noise[i] = {{key[0], key[1]}, i % rows};
  }
  // Neighbours in the batch are rows of one read.
  for (size_t i = 0, end; i < places.size(); i = end) {
    const size_t x = call.x[places[i]];
    for (end = i + 1; end < places.size(); ++end)
      if (places[end] != places[i] + (end - i) || call.x[places[end]] != x + (end - i)) break;
    ReadAnalog(reader, data.x + x * rows * reader.inputs(), (end - i) * rows,
               noise.data() + i * rows, data.y + places[i] * rows * reader.outputs(), executor);
  }
}

// Throws std::bad_alloc in this thread, whichever it was in.
void ReadStates(const Call& call, const Data& data, Executor& executor) {
  std::vector<std::vector<size_t>> states(call.state.count());
  for (size_t place = 0; place < call.places; ++place) states[call.state[place]].push_back(place);
  if (states.size() == 1) return ReadPlaces(call, data, states[0], executor);
  std::atomic<bool> failed{false};
  ParallelFor(executor, states.size(), [&](size_t state) {
    try {
      ReadPlaces(call, data, states[state], executor);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
  });
  if (failed) throw std::bad_alloc();
}

bool SetRange(std::string_view name, int64_t bits, AdcRange* range) {
  if (name != "read" && name != "fixed" && name != "calibrated") return false;
  *range = bits == 0 || name == "read" ? AdcRange::kRead
           : name == "fixed"           ? AdcRange::kFixed
                                       : AdcRange::kCalibrated;
  return true;
}

ffi::Error AnalogRead(ffi::ThreadPool pool, Numbers conductance, Numbers variance,
                      Numbers full_scales, Numbers scale, Numbers x, Keys keys,
                      ffi::Result<Numbers> y, bool transposed, bool apart, bool inside, bool column,
                      ffi::Span<const float> coefficients, float v_read, int64_t dac_bits,
                      bool dac_scaled, int64_t adc_bits, bool adc_signed,
                      std::string_view adc_range, float full_scale) {
  Call call = {};
  call.path = {transposed, apart, inside ? AnalogResult::kInside : AnalogResult::kSums};
  call.array.column = column;
  call.array.coefficients = coefficients.begin();
  // With a sign, one bit has no level but zero.
  if (std::min(dac_bits, adc_bits) < 0 || std::max(dac_bits, adc_bits) > 24 || dac_bits == 1 ||
      (adc_signed && adc_bits == 1))
    return Refused("expected converters of 0, or 2 (without a sign 1) to 24 bits, given dac_bits " +
                   std::to_string(dac_bits) + " and adc_bits " + std::to_string(adc_bits));
  call.converters = {v_read,     static_cast<int>(dac_bits),
                     dac_scaled, static_cast<int>(adc_bits),
                     adc_signed, AdcRange::kRead,
                     full_scale, nullptr};
  if (!SetRange(adc_range, adc_bits, &call.converters.adc_range))
    return Refused("expected adc_range read, fixed or calibrated, given " + std::string(adc_range));
  const Shapes shapes = {conductance.dimensions(), variance.dimensions(), full_scales.dimensions(),
                         scale.dimensions(),       x.dimensions(),        keys.dimensions(),
                         y->dimensions()};
  if (!SetShapes(shapes, &call) || coefficients.size() != call.array.planes) {
    std::string text = "operands that do not match:";
    for (Dims dims : {shapes.conductance, shapes.variance, shapes.full_scales, shapes.scale})
      text += " " + Shape(dims);
    return Refused(text + " " + Shape(shapes.x) + " " + Shape(shapes.keys, "uint32") + " " +
                   Shape(shapes.y));
  }
  if (y->element_count() == 0) return ffi::Error::Success();
  XlaExecutor executor(pool);
  try {
    ReadStates(call,
               {conductance.typed_data(), variance.typed_data(), full_scales.typed_data(),
                scale.typed_data(), x.typed_data(), keys.typed_data(), y->typed_data()},
               executor);
  } catch (const std::bad_alloc&) {
    return ffi::Error(ffi::ErrorCode::kResourceExhausted, "xbarax analog read: out of memory");
  }
  return ffi::Error::Success();
}

}  // namespace
}  // namespace xbarax

extern "C" __attribute__((visibility("default"))) XLA_FFI_Error* XbaraxAnalogRead(
    XLA_FFI_CallFrame* call_frame);

XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxAnalogRead, xbarax::AnalogRead,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<xbarax::Numbers>()
                                  .Arg<xbarax::Numbers>()
                                  .Arg<xbarax::Numbers>()
                                  .Arg<xbarax::Numbers>()
                                  .Arg<xbarax::Numbers>()
                                  .Arg<xbarax::Keys>()
                                  .Ret<xbarax::Numbers>()
                                  .Attr<bool>("transposed")
                                  .Attr<bool>("apart")
                                  .Attr<bool>("inside")
                                  .Attr<bool>("column")
                                  .Attr<ffi::Span<const float>>("coefficients")
                                  .Attr<float>("v_read")
                                  .Attr<int64_t>("dac_bits")
                                  .Attr<bool>("dac_scaled")
                                  .Attr<int64_t>("adc_bits")
                                  .Attr<bool>("adc_signed")
                                  .Attr<std::string_view>("adc_range")
                                  .Attr<float>("full_scale"));
