// A chip behind a driver: its arrays, which of their values are current, and one call at a time.
//
// Layers larger than the chip's arrays are cut into several; what the driver cannot do is done from
// what it can. A chip that was lost is opened anew when one of its arrays is recovered. Nothing
// here knows XLA.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "xbarax/driver.h"

namespace xbarax {

// A value of an array: each programming makes a new one, with the next generation. No two arrays of
// a process have the same id.
struct Handle {
  std::uint32_t id;
  std::uint32_t generation;
};

// What programming changed on the way.
struct Programmed {
  Handle handle;
  std::uint32_t saturated;  // weights that were asked for beyond the range
};

class Device {
 public:
  // Takes a driver's table. nullptr, and why in `error`, if it does not fit or does not open.
  static std::unique_ptr<Device> Open(const xbarax_driver* driver, const std::string& config,
                                      std::string* error);
  ~Device() { Close(); }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  xbarax_description description();
  // Closes the chip; all later calls are refused.
  void Close();

  // All return what went wrong, or nothing. Weights are [out][in]; sizes are those of the layer.

  std::string Allocate(std::size_t out, std::size_t in, Handle* handle);
  // Frees the array at the next call, since this may be called from anywhere at any time.
  void Release(std::uint32_t id);
  std::string Program(Handle handle, const float* weights, std::size_t size,
                      Programmed* programmed);
  std::string Update(Handle handle, const float* deltas, std::size_t size, Programmed* programmed);
  std::string Pulse(Handle handle, const std::int32_t* pulses, std::size_t size,
                    Programmed* programmed);
  std::string Read(Handle handle, std::size_t rows, const float* inputs, std::size_t inputs_size,
                   float* results, std::size_t results_size, bool transposed);
  std::string ReadOut(Handle handle, float* weights, std::size_t size);
  // Gives the array's current value, whatever happened since. Opens a chip that was lost anew, and
  // programs an array whose weights are in doubt with those that were last asked for or, if it has
  // been pulsed since, were last read out. `pulses_lost`: there were pulses after that.
  std::string Recover(std::uint32_t id, Handle* handle, bool* pulses_lost);
  // Opens a chip that was lost anew; its arrays still have to be recovered.
  std::string OpenIfLost();

 private:
  // A part of a layer that one array of the chip has.
  struct Tile {
    xbarax_array array;
    std::size_t first_out, out, first_in, in;
  };
  struct Layer {
    std::size_t out, in;
    std::uint32_t generation;
    std::vector<Tile> tiles;    // none after the chip was lost
    std::vector<float> wanted;  // what was last asked for
    bool broken = false;        // a programming failed: its weights may be anything
    bool pulsed = false;        // since they were asked for, or read out
  };

  Device(const xbarax_driver* driver, std::string config)
      : driver_(driver), config_(std::move(config)) {}

  std::string OpenDriver();
  std::string ReopenLost();
  void CloseDriver();
  template <class Status, class... Parameters, class... Arguments>
  xbarax_status Call(Status (*function)(Parameters...), Arguments... arguments);
  std::string Reason();

  bool Can(std::uint32_t capability) const { return description_.capabilities & capability; }
  std::string Said(const std::string& what, xbarax_status status);
  std::string Failed(const std::string& what, std::uint32_t id, xbarax_status status);
  std::string Find(const char* what, Handle handle, Layer** layer);
  std::string WrongSize(const char* what, std::uint32_t id, const Layer& layer, std::size_t size);
  std::string NotFinite(const char* what, std::uint32_t id, std::size_t bad) const;
  std::string Begin();
  bool IsTaken(xbarax_array array) const;
  std::string Place(Layer* layer);
  template <class T, class Function>
  std::string WriteTiles(std::uint32_t id, Layer* layer, const char* what, const T* numbers,
                         Function function);
  std::string ReadTiles(std::uint32_t id, const Layer& layer, std::size_t rows, const float* inputs,
                        float* results, bool transposed);
  std::string ReadOutTiles(std::uint32_t id, Layer* layer, float* weights);
  std::string MultiplyReadOut(std::uint32_t id, Layer* layer, std::size_t rows, const float* inputs,
                              float* results);
  std::uint32_t Saturate(std::vector<float>* weights) const;

  const xbarax_driver* driver_;
  std::string config_;
  xbarax_device* device_ = nullptr;  // nullptr: closed
  std::string lost_;                 // what was said when it was
  std::string thrown_;               // by the last call
  xbarax_description description_ = {};
  std::mutex one_call_at_a_time_;
  std::map<std::uint32_t, Layer> layers_;

  std::mutex queue_mutex_;  // its own, so that Release never waits for a call
  std::vector<std::uint32_t> queue_;
};

}  // namespace xbarax
