#include "device/device.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>

#include "device/description.h"
#include "device/printable.h"
#include "kernels/finite.h"

namespace xbarax {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

const char* Name(xbarax_status status) {
  switch (status) {
    case XBARAX_INVALID_ARGUMENT:
      return "invalid argument";
    case XBARAX_NO_SPACE:
      return "no space";
    case XBARAX_DEVICE_ERROR:
      return "device error";
    case XBARAX_TIMEOUT:
      return "timeout";
    case XBARAX_UNSUPPORTED:
      return "unsupported";
    case XBARAX_LOST:
      return "lost";
    default:
      return "a status that is none";
  }
}

std::size_t CountBad(const float* numbers, std::size_t size) {
  if (AllFinite(numbers, size)) return 0;
  return static_cast<std::size_t>(
      std::count_if(numbers, numbers + size, [](float x) { return !std::isfinite(x); }));
}

}  // namespace

std::unique_ptr<Device> Device::Open(const xbarax_driver* driver, const std::string& config,
                                     std::string* error) {
  *error = CheckTable(driver);
  if (!error->empty()) return nullptr;
  std::unique_ptr<Device> device(new Device(driver, config));
  *error = device->OpenDriver();
  return error->empty() ? std::move(device) : nullptr;
}

std::string Device::OpenDriver() {
  const xbarax_status opened = Call(driver_->open, config_.c_str(), &device_);
  if (opened != XBARAX_OK) {
    device_ = nullptr;
    return Said("open", opened);
  }
  if (device_ == nullptr) return "open: the driver says ok, and returns no device";
  xbarax_description description = {};
  description.struct_size = sizeof description;
  const xbarax_status status = Call(driver_->describe, device_, &description);
  std::string error =
      status == XBARAX_OK ? CheckDescription(*driver_, description) : Said("describe", status);
  if (error.empty()) {
    description_ = description;
    lost_.clear();
  } else {
    CloseDriver();
  }
  return error;
}

xbarax_description Device::description() {
  std::lock_guard<std::mutex> lock(one_call_at_a_time_);
  return description_;
}

std::string Device::OpenIfLost() {
  std::lock_guard<std::mutex> lock(one_call_at_a_time_);
  return ReopenLost();
}

std::string Device::ReopenLost() {
  if (lost_.empty()) return "";
  CloseDriver();
  const std::string error = OpenDriver();
  return error.empty() ? "" : std::string(description_.name) + ": opening it again: " + error;
}

void Device::Close() {
  std::lock_guard<std::mutex> lock(one_call_at_a_time_);
  CloseDriver();
  lost_.clear();
}

void Device::CloseDriver() {
  if (device_ != nullptr) Call(driver_->close, device_);
  device_ = nullptr;
}

// Calls the driver. What a driver in C++ throws, against its contract, must not end the process.
template <class Status, class... Parameters, class... Arguments>
xbarax_status Device::Call(Status (*function)(Parameters...), Arguments... arguments) {
  thrown_.clear();
  try {
    if constexpr (std::is_void_v<Status>) {
      function(arguments...);
      return XBARAX_OK;
    } else {
      return function(arguments...);
    }
  } catch (const std::exception& thrown) {
    thrown_ = std::string("the driver threw an exception: ") + thrown.what();
  } catch (...) {
    thrown_ = "the driver threw an exception";
  }
  return XBARAX_DEVICE_ERROR;
}

// Why the last call failed.
std::string Device::Reason() {
  return Printable(thrown_.empty() ? driver_->last_error(device_) : thrown_.c_str());
}

std::string Device::Said(const std::string& what, xbarax_status status) {
  return what + ": " + Name(status) + ": " + Reason();
}

std::string Device::Failed(const std::string& what, std::uint32_t id, xbarax_status status) {
  const std::string of = id ? " of array " + std::to_string(id) : "";
  std::string error = std::string(description_.name) + ": " + Said(what + of, status);
  if (status == XBARAX_LOST) {
    lost_ = error;
    for (auto& [_, layer] : layers_) {
      layer.tiles.clear();
      layer.broken = true;
    }
  }
  return error;
}

std::string Device::Find(const char* what, Handle handle, Layer** layer) {
  const std::string place =
      std::string(description_.name) + ": " + what + " of array " + std::to_string(handle.id);
  const auto found = layers_.find(handle.id);
  if (found == layers_.end()) return place + ", which the chip does not have (any more)";
  *layer = &found->second;
  if (handle.generation != (*layer)->generation)
    return place + ": this value is of generation " + std::to_string(handle.generation) +
           ", the chip is at " + std::to_string((*layer)->generation) +
           ": it has been programmed since. Use the value that programming returned; inside one "
           "program, xb.after(w, y) makes programming wait for a read; after an error, "
           "xb.hardware.recover(w) gives a current value";
  if ((*layer)->broken)
    return place +
           ", whose weights are in doubt since a call failed: xb.hardware.recover(w) "
           "programs it anew";
  return "";
}

std::string Device::WrongSize(const char* what, std::uint32_t id, const Layer& layer,
                              std::size_t size) {
  return std::string(description_.name) + ": " + what + " of array " + std::to_string(id) + ": " +
         std::to_string(size) + " numbers for [" + std::to_string(layer.out) + ", " +
         std::to_string(layer.in) + "]";
}

void Device::Release(std::uint32_t id) {
  std::lock_guard<std::mutex> lock(queue_mutex_);
  queue_.push_back(id);
}

// What every call begins with.
std::string Device::Begin() {
  if (!lost_.empty())
    return std::string(description_.name) + " is lost since an earlier call (" + lost_ +
           "): xb.hardware.recover(w) opens it again and programs w; where there is no array yet, "
           "xb.hardware.load opens it again";
  if (device_ == nullptr)
    return std::string(description_.name) + " is closed: xb.hardware.load opens it again";
  std::vector<std::uint32_t> ids;
  {
    std::lock_guard<std::mutex> lock(queue_mutex_);
    ids.swap(queue_);
  }
  std::string error;
  for (std::uint32_t id : ids) {
    const auto found = layers_.find(id);
    if (found == layers_.end()) continue;
    const std::vector<Tile> tiles = std::move(found->second.tiles);
    layers_.erase(found);
    for (const Tile& tile : tiles) {
      if (!lost_.empty()) break;  // with the chip, its arrays are gone
      const xbarax_status status = Call(driver_->release, device_, tile.array);
      if (status != XBARAX_OK && error.empty())
        error = Failed("release", id, status) +
                " (of an array that nothing stands for any more, before the call that was asked "
                "for, which was not made)";
    }
  }
  return error;
}

std::string Device::Allocate(std::size_t out, std::size_t in, Handle* handle) {
  static std::atomic<std::uint32_t> next_id{1};
  std::lock_guard<std::mutex> lock(one_call_at_a_time_);
  if (std::string error = Begin(); !error.empty()) return error;
  Layer layer{out, in, 0, {}, std::vector<float>(out * in)};
  if (std::string error = Place(&layer); !error.empty()) return error;
  const std::uint32_t id = next_id++;
  layers_.emplace(id, std::move(layer));
  *handle = {id, 0};
  return "";
}

// Whether a living array of the chip has that number.
bool Device::IsTaken(xbarax_array array) const {
  for (const auto& [_, layer] : layers_)
    for (const Tile& tile : layer.tiles)
      if (tile.array == array) return true;
  return false;
}

// Allocates the layer's tiles, all or none.
std::string Device::Place(Layer* layer) {
  const std::size_t most_out = description_.max_outputs, most_in = description_.max_inputs;
  std::vector<Tile> tiles;
  const std::size_t count = ((layer->out - 1) / most_out + 1) * ((layer->in - 1) / most_in + 1);
  const auto give_up = [&](std::string error) {
    if (count > 1)
      error += " (array " + std::to_string(tiles.size() + 1) + " of the " + std::to_string(count) +
               " that [" + std::to_string(layer->out) + ", " + std::to_string(layer->in) +
               "] weights take)";
    if (lost_.empty())
      for (const Tile& made : tiles) Call(driver_->release, device_, made.array);
    return error;
  };
  for (std::size_t o = 0; o < layer->out; o += most_out) {
    for (std::size_t i = 0; i < layer->in; i += most_in) {
      Tile tile{0, o, std::min(most_out, layer->out - o), i, std::min(most_in, layer->in - i)};
      const xbarax_status status =
          Call(driver_->allocate, device_, static_cast<std::uint32_t>(tile.out),
               static_cast<std::uint32_t>(tile.in), &tile.array);
      if (status != XBARAX_OK) return give_up(Failed("allocate", 0, status));
      const auto same = [&](const Tile& other) { return other.array == tile.array; };
      if (IsTaken(tile.array) || std::any_of(tiles.begin(), tiles.end(), same))
        return give_up(std::string(description_.name) + ": allocate: the driver gave the number " +
                       std::to_string(tile.array) + " to two arrays");
      tiles.push_back(tile);
    }
  }
  layer->tiles = std::move(tiles);
  return "";
}

std::uint32_t Device::Saturate(std::vector<float>* weights) const {
  std::uint32_t count = 0;
  for (float& weight : *weights) {
    const float inside = std::clamp(weight, description_.weight_low, description_.weight_high);
    count += inside != weight;
    weight = inside;
  }
  return count;
}

template <class T, class Function>
std::string Device::WriteTiles(std::uint32_t id, Layer* layer, const char* what, const T* numbers,
                               Function function) {
  layer->broken = true;
  std::vector<T> block;
  for (const Tile& tile : layer->tiles) {
    const T* part = numbers;
    if (layer->tiles.size() > 1) {
      block.resize(tile.out * tile.in);
      for (std::size_t o = 0; o < tile.out; ++o)
        std::copy_n(numbers + (tile.first_out + o) * layer->in + tile.first_in, tile.in,
                    block.data() + o * tile.in);
      part = block.data();
    }
    const xbarax_status status = Call(function, device_, tile.array, part);
    if (status != XBARAX_OK) return Failed(what, id, status);
  }
  layer->broken = false;
  return "";
}

std::string Device::Program(Handle handle, const float* weights, std::size_t size,
                            Programmed* programmed) {
  std::lock_guard<std::mutex> lock(one_call_at_a_time_);
  if (std::string error = Begin(); !error.empty()) return error;
  Layer* layer;
  if (std::string error = Find("programming", handle, &layer); !error.empty()) return error;
  if (size != layer->out * layer->in) return WrongSize("programming", handle.id, *layer, size);
  if (const std::size_t bad = CountBad(weights, size))
    return std::string(description_.name) + ": programming: " + std::to_string(bad) +
           " weights are not finite; nothing was programmed";
  layer->wanted.assign(weights, weights + size);
  layer->pulsed = false;
  programmed->saturated = Saturate(&layer->wanted);
  ++layer->generation;
  programmed->handle = {handle.id, layer->generation};
  return WriteTiles(handle.id, layer, "programming", layer->wanted.data(), driver_->program);
}

std::string Device::Update(Handle handle, const float* deltas, std::size_t size,
                           Programmed* programmed) {
  std::lock_guard<std::mutex> lock(one_call_at_a_time_);
  if (std::string error = Begin(); !error.empty()) return error;
  Layer* layer;
  if (std::string error = Find("updating", handle, &layer); !error.empty()) return error;
  if (size != layer->out * layer->in) return WrongSize("updating", handle.id, *layer, size);
  if (const std::size_t bad = CountBad(deltas, size))
    return std::string(description_.name) + ": updating: " + std::to_string(bad) +
           " changes are not finite; nothing was programmed";
  // A chip that adds by itself knows its weights best: what is wanted is kept for recovery alone.
  if (!Can(XBARAX_CAN_UPDATE)) {
    std::string error = ReadOutTiles(handle.id, layer, layer->wanted.data());
    if (!error.empty()) return error;
    layer->pulsed = false;
  }
  for (std::size_t k = 0; k < size; ++k) layer->wanted[k] += deltas[k];
  programmed->saturated = Saturate(&layer->wanted);
  ++layer->generation;
  programmed->handle = {handle.id, layer->generation};
  if (!Can(XBARAX_CAN_UPDATE))
    return WriteTiles(handle.id, layer, "updating", layer->wanted.data(), driver_->program);
  return WriteTiles(handle.id, layer, "updating", deltas, driver_->update);
}

std::string Device::Pulse(Handle handle, const std::int32_t* pulses, std::size_t size,
                          Programmed* programmed) {
  std::lock_guard<std::mutex> lock(one_call_at_a_time_);
  if (std::string error = Begin(); !error.empty()) return error;
  Layer* layer;
  if (std::string error = Find("pulsing", handle, &layer); !error.empty()) return error;
  if (size != layer->out * layer->in) return WrongSize("pulsing", handle.id, *layer, size);
  if (!Can(XBARAX_CAN_PULSE))
    return std::string(description_.name) + ": pulsing: this chip takes no pulses";
  layer->pulsed = true;
  ++layer->generation;
  *programmed = {{handle.id, layer->generation}, 0};
  return WriteTiles(handle.id, layer, "pulsing", pulses, driver_->pulse);
}

std::string Device::Read(Handle handle, std::size_t rows, const float* inputs,
                         std::size_t inputs_size, float* results, std::size_t results_size,
                         bool transposed) {
  std::lock_guard<std::mutex> lock(one_call_at_a_time_);
  if (std::string error = Begin(); !error.empty()) return error;
  Layer* layer;
  const char* what = transposed ? "transposed reading" : "reading";
  if (std::string error = Find(what, handle, &layer); !error.empty()) return error;
  const std::size_t from = transposed ? layer->out : layer->in;
  const std::size_t to = transposed ? layer->in : layer->out;
  if (inputs_size != rows * from || results_size != rows * to)
    return WrongSize(what, handle.id, *layer, inputs_size);
  if (rows == 0) return "";
  if (const std::size_t bad = CountBad(inputs, inputs_size))
    return std::string(description_.name) + ": " + what + ": " + std::to_string(bad) +
           " inputs are not finite; nothing was read";
  std::string error = transposed && !Can(XBARAX_CAN_READ_TRANSPOSED)
                          ? MultiplyReadOut(handle.id, layer, rows, inputs, results)
                          : ReadTiles(handle.id, *layer, rows, inputs, results, transposed);
  if (!error.empty()) return error;
  if (const std::size_t bad = CountBad(results, results_size))
    return NotFinite(what, handle.id, bad);
  return "";
}

std::string Device::NotFinite(const char* what, std::uint32_t id, std::size_t bad) const {
  return std::string(description_.name) + ": " + what + " of array " + std::to_string(id) +
         ": the chip returned " + std::to_string(bad) +
         " numbers that are not finite, or did not return them";
}

// Results are not a number before the driver writes them: what it leaves out is found.
std::string Device::ReadTiles(std::uint32_t id, const Layer& layer, std::size_t rows,
                              const float* inputs, float* results, bool transposed) {
  const auto function = transposed ? driver_->read_transposed : driver_->read;
  const auto n = static_cast<std::uint32_t>(rows);
  const char* what = transposed ? "transposed reading" : "reading";
  if (layer.tiles.size() == 1) {
    std::fill_n(results, rows * (transposed ? layer.in : layer.out), kNaN);
    const xbarax_status status = Call(function, device_, layer.tiles[0].array, n, inputs, results);
    return status == XBARAX_OK ? "" : Failed(what, id, status);
  }
  const std::size_t from = transposed ? layer.out : layer.in;
  const std::size_t to = transposed ? layer.in : layer.out;
  std::fill_n(results, rows * to, 0.0f);
  std::vector<float> x, y;
  for (const Tile& tile : layer.tiles) {
    const std::size_t first_from = transposed ? tile.first_out : tile.first_in;
    const std::size_t tile_from = transposed ? tile.out : tile.in;
    const std::size_t first_to = transposed ? tile.first_in : tile.first_out;
    const std::size_t tile_to = transposed ? tile.in : tile.out;
    x.resize(rows * tile_from);
    y.assign(rows * tile_to, kNaN);
    for (std::size_t r = 0; r < rows; ++r)
      std::copy_n(inputs + r * from + first_from, tile_from, x.data() + r * tile_from);
    const xbarax_status status = Call(function, device_, tile.array, n, x.data(), y.data());
    if (status != XBARAX_OK) return Failed(what, id, status);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t k = 0; k < tile_to; ++k)
        results[r * to + first_to + k] += y[r * tile_to + k];
  }
  return "";
}

std::string Device::MultiplyReadOut(std::uint32_t id, Layer* read_out, std::size_t rows,
                                    const float* inputs, float* results) {
  const Layer& layer = *read_out;
  std::vector<float> weights(layer.out * layer.in);
  if (std::string error = ReadOutTiles(id, read_out, weights.data()); !error.empty()) return error;
  std::fill_n(results, rows * layer.in, 0.0f);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t o = 0; o < layer.out; ++o)
      for (std::size_t i = 0; i < layer.in; ++i)
        results[r * layer.in + i] += inputs[r * layer.out + o] * weights[o * layer.in + i];
  return "";
}

std::string Device::ReadOut(Handle handle, float* weights, std::size_t size) {
  std::lock_guard<std::mutex> lock(one_call_at_a_time_);
  if (std::string error = Begin(); !error.empty()) return error;
  Layer* layer;
  if (std::string error = Find("reading out", handle, &layer); !error.empty()) return error;
  if (size != layer->out * layer->in) return WrongSize("reading out", handle.id, *layer, size);
  return ReadOutTiles(handle.id, layer, weights);
}

std::string Device::ReadOutTiles(std::uint32_t id, Layer* read_out, float* weights) {
  const Layer& layer = *read_out;
  if (!Can(XBARAX_CAN_READ_OUT)) {
    if (layer.pulsed)
      return std::string(description_.name) + ": reading out of array " + std::to_string(id) +
             ": this chip cannot be read out, and what its weights are after pulses is not known";
    std::copy(layer.wanted.begin(), layer.wanted.end(), weights);
    return "";
  }
  std::vector<float> block;
  for (const Tile& tile : layer.tiles) {
    block.assign(tile.out * tile.in, kNaN);
    const xbarax_status status = Call(driver_->read_out, device_, tile.array, block.data());
    if (status != XBARAX_OK) return Failed("reading out", id, status);
    if (const std::size_t bad = CountBad(block.data(), block.size()))
      return NotFinite("reading out", id, bad);
    for (std::size_t o = 0; o < tile.out; ++o)
      std::copy_n(block.data() + o * tile.in, tile.in,
                  weights + (tile.first_out + o) * layer.in + tile.first_in);
  }
  if (layer.pulsed) {  // what was asked for is known no longer, but what came of the pulses is now
    if (weights != layer.wanted.data())
      std::copy_n(weights, layer.wanted.size(), read_out->wanted.begin());
    read_out->pulsed = false;
  }
  return "";
}

std::string Device::Recover(std::uint32_t id, Handle* handle, bool* pulses_lost) {
  std::lock_guard<std::mutex> lock(one_call_at_a_time_);
  *pulses_lost = false;
  if (std::string error = ReopenLost(); !error.empty()) return error;
  if (std::string error = Begin(); !error.empty()) return error;
  const auto found = layers_.find(id);
  if (found == layers_.end())
    return std::string(description_.name) + ": recovering array " + std::to_string(id) +
           ", which the chip does not have (any more)";
  Layer& layer = found->second;
  if (layer.tiles.empty())
    if (std::string error = Place(&layer); !error.empty()) return error;
  if (layer.broken) {
    ++layer.generation;
    *pulses_lost = layer.pulsed;
    layer.pulsed = false;
    Saturate(&layer.wanted);  // a chip that was opened anew may have another range
    std::string error = WriteTiles(id, &layer, "recovering", layer.wanted.data(), driver_->program);
    if (!error.empty()) return error;
  }
  *handle = {id, layer.generation};
  return "";
}

}  // namespace xbarax
