// The simulated chip, through the functions that a chip's driver has.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/check.h"
#include "xbarax/driver.h"

namespace xbarax::test {

inline const xbarax_driver& kDriver = *xbarax_driver_entry();

// A device that is open for as long as this lives.
class Chip {
 public:
  explicit Chip(const std::string& config) {
    CHECK(kDriver.open(config.c_str(), &device_) == XBARAX_OK);
  }
  ~Chip() { kDriver.close(device_); }
  Chip(const Chip&) = delete;
  Chip& operator=(const Chip&) = delete;

  std::string Error() { return kDriver.last_error(device_); }
  xbarax_description Describe() {
    xbarax_description said = {};
    said.struct_size = sizeof said;
    CHECK(kDriver.describe(device_, &said) == XBARAX_OK);
    return said;
  }
  xbarax_status Allocate(std::uint32_t out, std::uint32_t in, xbarax_array* array) {
    return kDriver.allocate(device_, out, in, array);
  }
  xbarax_array Allocated(std::uint32_t out, std::uint32_t in) {
    xbarax_array array = ~xbarax_array{0};
    CHECK(Allocate(out, in, &array) == XBARAX_OK);
    return array;
  }
  // An array with these weights.
  xbarax_array Programmed(std::uint32_t out, std::uint32_t in, const std::vector<float>& weights) {
    const xbarax_array array = Allocated(out, in);
    CHECK(kDriver.program(device_, array, weights.data()) == XBARAX_OK);
    return array;
  }
  std::vector<float> Weights(xbarax_array array, std::size_t size) {
    std::vector<float> weights(size);
    CHECK(kDriver.read_out(device_, array, weights.data()) == XBARAX_OK);
    return weights;
  }
  std::vector<float> Read(xbarax_array array, std::uint32_t n, std::size_t out,
                          const std::vector<float>& inputs) {
    std::vector<float> results(n * out);
    CHECK(kDriver.read(device_, array, n, inputs.data(), results.data()) == XBARAX_OK);
    return results;
  }
  xbarax_device* device() { return device_; }

 private:
  xbarax_device* device_ = nullptr;
};

// A call by its name, with numbers of ones, or nothing for the calls that take none.
inline xbarax_status Call(Chip* chip, const std::string& name, xbarax_array array, float* first) {
  std::vector<float> given(4, 1.0f), results(4);
  const std::vector<std::int32_t> pulses(4, 1);
  xbarax_status status = XBARAX_OK;
  xbarax_device* device = chip->device();
  if (name == "allocate") status = kDriver.allocate(device, 1, 1, &array);
  if (name == "release") status = kDriver.release(device, array);
  if (name == "program") status = kDriver.program(device, array, given.data());
  if (name == "read") status = kDriver.read(device, array, 2, given.data(), results.data());
  if (name == "read_transposed")
    status = kDriver.read_transposed(device, array, 2, given.data(), results.data());
  if (name == "update") status = kDriver.update(device, array, given.data());
  if (name == "pulse") status = kDriver.pulse(device, array, pulses.data());
  if (name == "read_out") status = kDriver.read_out(device, array, results.data());
  *first = results[0];
  return status;
}

// The calls that reach the chip.
inline const std::vector<std::string> kReaching = {"program", "read",  "read_transposed",
                                                   "update",  "pulse", "read_out"};

}  // namespace xbarax::test
