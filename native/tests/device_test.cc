// Devices behind a driver that does what each test needs.
#include "device/device.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/check.h"
#include "tests/numbers.h"

struct xbarax_device {
  std::map<xbarax_array, std::vector<float>> weights;
  std::map<xbarax_array, std::pair<uint32_t, uint32_t>> shapes;
  xbarax_array last = 0;
};

namespace xbarax {
namespace {

// What the driver describes, does and counts.
xbarax_description described;
std::map<std::string, int> calls;
std::string fails;  // the call that fails
xbarax_status failure = XBARAX_DEVICE_ERROR;
bool returns_nan = false;
bool returns_nothing = false;
bool throws = false;
bool repeats = false;
const char* text = "the wire is loose";
int open_devices = 0;
bool lost;  // whether recovering lost pulses

xbarax_status Count(const char* call) {
  ++calls[call];
  if (throws) throw std::runtime_error("no such register");
  return fails == call ? failure : XBARAX_OK;
}

xbarax_status Open(const char*, xbarax_device** device) {
  if (const xbarax_status status = Count("open")) return status;
  *device = new xbarax_device;
  ++open_devices;
  return XBARAX_OK;
}
void Close(xbarax_device* device) {
  delete device;
  --open_devices;
}
const char* LastError(xbarax_device*) { return text; }
xbarax_status Describe(xbarax_device*, xbarax_description* description) {
  const std::size_t size = description->struct_size;
  *description = described;
  description->struct_size = size;
  return Count("describe");
}
xbarax_status Allocate(xbarax_device* device, uint32_t out, uint32_t in, xbarax_array* array) {
  if (out > described.max_outputs || in > described.max_inputs) return XBARAX_INVALID_ARGUMENT;
  if (described.max_arrays && device->weights.size() >= described.max_arrays) {
    ++calls["allocate"];
    return XBARAX_NO_SPACE;
  }
  *array = repeats ? device->last : ++device->last;
  device->weights[*array].resize(out * in);
  device->shapes[*array] = {out, in};
  return Count("allocate");
}
xbarax_status Free(xbarax_device* device, xbarax_array array) {
  device->weights.erase(array);
  return Count("release");
}
xbarax_status Program(xbarax_device* device, xbarax_array array, const float* weights) {
  std::vector<float>& own = device->weights.at(array);
  own.assign(weights, weights + own.size());
  return Count("program");
}
xbarax_status Read(xbarax_device* device, xbarax_array array, uint32_t n, const float* x,
                   float* y) {
  const auto [out, in] = device->shapes.at(array);
  if (returns_nothing) return XBARAX_OK;
  for (uint32_t k = 0; k < n; ++k)
    for (uint32_t o = 0; o < out; ++o) {
      y[k * out + o] = 0;
      for (uint32_t i = 0; i < in; ++i)
        y[k * out + o] += device->weights.at(array)[o * in + i] * x[k * in + i];
    }
  if (returns_nan) y[0] = std::numeric_limits<float>::quiet_NaN();
  return Count("read");
}
xbarax_status ReadTransposed(xbarax_device* device, xbarax_array array, uint32_t n, const float* x,
                             float* y) {
  const auto [out, in] = device->shapes.at(array);
  for (uint32_t k = 0; k < n; ++k)
    for (uint32_t i = 0; i < in; ++i) {
      y[k * in + i] = 0;
      for (uint32_t o = 0; o < out; ++o)
        y[k * in + i] += device->weights.at(array)[o * in + i] * x[k * out + o];
    }
  return Count("read_transposed");
}
xbarax_status Update(xbarax_device* device, xbarax_array array, const float* deltas) {
  std::vector<float>& own = device->weights.at(array);
  for (std::size_t k = 0; k < own.size(); ++k)
    own[k] = std::fmin(own[k] + deltas[k], described.weight_high);
  return Count("update");
}
xbarax_status Pulse(xbarax_device* device, xbarax_array array, const int32_t* pulses) {
  std::vector<float>& own = device->weights.at(array);
  for (std::size_t k = 0; k < own.size(); ++k) own[k] += 0.5f * static_cast<float>(pulses[k]);
  return Count("pulse");
}
xbarax_status ReadOut(xbarax_device* device, xbarax_array array, float* weights) {
  const std::vector<float>& own = device->weights.at(array);
  std::copy(own.begin(), own.end(), weights);
  return Count("read_out");
}

constexpr std::uint32_t kAll =
    XBARAX_CAN_READ_TRANSPOSED | XBARAX_CAN_UPDATE | XBARAX_CAN_PULSE | XBARAX_CAN_READ_OUT;

const xbarax_driver kDriver = {XBARAX_DRIVER_VERSION_MAJOR,
                               XBARAX_DRIVER_VERSION_MINOR,
                               sizeof(xbarax_driver),
                               Open,
                               Close,
                               LastError,
                               Describe,
                               Allocate,
                               Free,
                               Program,
                               Read,
                               ReadTransposed,
                               Update,
                               Pulse,
                               ReadOut};

void Reset() {
  described = {};
  std::strcpy(described.name, "testchip");
  described.max_outputs = described.max_inputs = 64;
  described.capabilities = kAll;
  described.weight_low = -8;
  described.weight_high = 8;
  calls.clear();
  fails.clear();
  failure = XBARAX_DEVICE_ERROR;
  returns_nan = returns_nothing = throws = false;
  text = "the wire is loose";
}

std::unique_ptr<Device> OpenOrFail() {
  std::string error;
  std::unique_ptr<Device> device = Device::Open(&kDriver, "{}", &error);
  CHECK(device != nullptr && error.empty());
  return device;
}

bool Says(const std::string& error, std::initializer_list<const char*> parts) {
  for (const char* part : parts)
    if (error.find(part) == std::string::npos) {
      std::fprintf(stderr, "'%s' does not say '%s'\n", error.c_str(), part);
      return false;
    }
  return true;
}

// Programs, reads both ways, updates, pulses and reads out a layer in tiles of at most `most`.
void IsTheMatrix(std::size_t out, std::size_t in, std::uint32_t most, std::uint32_t capabilities) {
  Reset();
  described.max_outputs = described.max_inputs = most;
  described.capabilities = capabilities;
  const std::unique_ptr<Device> device = OpenOrFail();
  test::Numbers numbers(1);
  std::vector<float> w = numbers.Integers(out * in);
  const std::vector<float> d = numbers.Integers(out * in);
  const std::size_t rows = 3;
  const std::vector<float> x = numbers.Integers(rows * in), z = numbers.Integers(rows * out);
  Handle fresh;
  CHECK(device->Allocate(out, in, &fresh).empty());
  Programmed first, second;
  CHECK(device->Program(fresh, w.data(), w.size(), &first).empty() && first.saturated == 0);
  CHECK(device->Update(first.handle, d.data(), d.size(), &second).empty());
  for (std::size_t k = 0; k < w.size(); ++k) w[k] += d[k];
  if (capabilities & XBARAX_CAN_PULSE) {
    const std::vector<std::int32_t> pulses(out * in, -4);
    CHECK(device->Pulse(second.handle, pulses.data(), pulses.size(), &second).empty());
    for (float& weight : w) weight -= 2;
  }
  std::vector<float> y(rows * out), v(rows * in), held(out * in);
  const Handle now = second.handle;
  CHECK(device->Read(now, rows, x.data(), x.size(), y.data(), y.size(), false).empty());
  CHECK(device->Read(now, rows, z.data(), z.size(), v.data(), v.size(), true).empty());
  CHECK(device->ReadOut(now, held.data(), held.size()).empty());
  CHECK(held == w);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t o = 0; o < out; ++o) {
      float sum = 0;
      for (std::size_t i = 0; i < in; ++i) sum += w[o * in + i] * x[r * in + i];
      CHECK(y[r * out + o] == sum);
    }
    for (std::size_t i = 0; i < in; ++i) {
      float sum = 0;
      for (std::size_t o = 0; o < out; ++o) sum += w[o * in + i] * z[r * out + o];
      CHECK(v[r * in + i] == sum);
    }
  }
}

void StaleValuesAreRefused() {
  Reset();
  const std::unique_ptr<Device> device = OpenOrFail();
  const std::vector<float> w(6, 1.0f), x(3, 1.0f);
  std::vector<float> y(2);
  Handle fresh;
  Programmed first, second;
  CHECK(device->Allocate(2, 3, &fresh).empty());
  CHECK(device->Program(fresh, w.data(), 6, &first).empty());
  CHECK(device->Update(first.handle, w.data(), 6, &second).empty());
  CHECK(second.handle.generation == first.handle.generation + 1);
  calls.clear();
  for (const std::string& error : {device->Read(first.handle, 1, x.data(), 3, y.data(), 2, false),
                                   device->Program(first.handle, w.data(), 6, &first),
                                   device->Update(first.handle, w.data(), 6, &first),
                                   device->ReadOut(first.handle, y.data(), 2)})
    CHECK(Says(error, {"testchip", "of generation 1", "the chip is at 2", "xb.after"}));
  CHECK(calls.empty());
  CHECK(device->Read(second.handle, 1, x.data(), 3, y.data(), 2, false).empty());
  CHECK(y[0] == 6.0f);
}

void FailuresAreToldAndRecovered() {
  Reset();
  const std::unique_ptr<Device> device = OpenOrFail();
  const std::vector<float> w(6, 1.0f), x(3, 1.0f);
  std::vector<float> y(2);
  Handle handle;
  Programmed programmed;
  CHECK(device->Allocate(2, 3, &handle).empty());
  CHECK(device->Program(handle, w.data(), 6, &programmed).empty());
  handle = programmed.handle;
  fails = "read";
  const std::string read = device->Read(handle, 1, x.data(), 3, y.data(), 2, false);
  const std::string array = "array " + std::to_string(handle.id);
  CHECK(Says(read, {"testchip: reading of ", array.c_str(), ": device error: the wire is loose"}));
  fails = "update";
  const std::string update = device->Update(handle, w.data(), 6, &programmed);
  CHECK(Says(update, {"updating of ", array.c_str(), "the wire is loose"}));
  // The chip is ahead of every handle, and its weights may be anything.
  fails = "";
  CHECK(Says(device->Read(handle, 1, x.data(), 3, y.data(), 2, false), {"xb.hardware.recover"}));
  Handle current;
  CHECK(device->Recover(handle.id, &current, &lost).empty());
  CHECK(device->Read(current, 1, x.data(), 3, y.data(), 2, false).empty());
  CHECK(current.generation == handle.generation + 2);  // the update that failed, and this
  CHECK(y[0] == 6.0f);                                 // what was last asked for
  // Where no weights are in doubt, recovering calls nothing.
  calls.clear();
  CHECK(device->Recover(handle.id, &handle, &lost).empty() && calls.empty());
  CHECK(handle.generation == current.generation);
  CHECK(Says(device->Recover(77, &current, &lost), {"array 77", "does not have"}));
}

void ALostChipIsOpenedAnew() {
  Reset();
  const std::unique_ptr<Device> device = OpenOrFail();
  const std::vector<float> w(6, 1.0f), x(3, 1.0f);
  std::vector<float> y(2);
  Handle first, second;
  Programmed programmed;
  CHECK(device->Allocate(2, 3, &first).empty() && device->Allocate(2, 3, &second).empty());
  CHECK(device->Program(first, w.data(), 6, &programmed).empty());
  first = programmed.handle;
  CHECK(device->Program(second, w.data(), 6, &programmed).empty());
  second = programmed.handle;
  fails = "read";
  failure = XBARAX_LOST;
  CHECK(Says(device->Read(first, 1, x.data(), 3, y.data(), 2, false),
             {"reading of array", "lost: the wire is loose"}));
  fails = "";
  calls.clear();
  CHECK(Says(device->Read(second, 1, x.data(), 3, y.data(), 2, false),
             {"lost since an earlier call", "the wire is loose", "xb.hardware.recover"}));
  CHECK(calls.empty());
  fails = "open";
  CHECK(Says(device->Recover(first.id, &first, &lost), {"open: lost: the wire is loose"}));
  fails = "";
  CHECK(Says(device->Read(first, 1, x.data(), 3, y.data(), 2, false), {"lost since"}));
  CHECK(device->Recover(first.id, &first, &lost).empty());
  CHECK(open_devices == 1);
  CHECK(device->Read(first, 1, x.data(), 3, y.data(), 2, false).empty() && y[1] == 3.0f);
  CHECK(Says(device->Read(second, 1, x.data(), 3, y.data(), 2, false), {"in doubt"}));
  CHECK(device->Recover(second.id, &second, &lost).empty());
  CHECK(device->Read(second, 1, x.data(), 3, y.data(), 2, false).empty());
}

void AClosedChipRefusesCalls() {
  Reset();
  const std::unique_ptr<Device> device = OpenOrFail();
  Handle handle;
  CHECK(device->Allocate(2, 3, &handle).empty());
  device->Close();
  CHECK(open_devices == 0);
  CHECK(Says(device->Allocate(2, 3, &handle), {"testchip is closed"}));
  CHECK(Says(device->Recover(handle.id, &handle, &lost), {"testchip is closed"}));
}

void WhatPulsesDidIsKeptFromTheLastReadOut() {
  Reset();
  const std::unique_ptr<Device> device = OpenOrFail();
  const std::vector<float> w(6, 1.0f);
  const std::vector<std::int32_t> pulses(6, 2);
  std::vector<float> held(6), recovered(6);
  Handle handle;
  Programmed now;
  CHECK(device->Allocate(2, 3, &handle).empty());
  CHECK(device->Program(handle, w.data(), 6, &now).empty());
  CHECK(device->Pulse(now.handle, pulses.data(), 6, &now).empty());
  CHECK(device->ReadOut(now.handle, held.data(), 6).empty() && held != w);
  for (const bool pulsed_again : {false, true}) {
    if (pulsed_again) CHECK(device->Pulse(now.handle, pulses.data(), 6, &now).empty());
    fails = "update";
    CHECK(!device->Update(now.handle, w.data(), 6, &now).empty());
    fails = "";
    CHECK(device->Recover(handle.id, &now.handle, &lost).empty() && lost == pulsed_again);
    CHECK(device->ReadOut(now.handle, recovered.data(), 6).empty());
    for (float& weight : held) weight += 1;  // the update that failed is among what was asked for
    CHECK(recovered == held);
  }
}

// What pulses made of weights that cannot be read out, nobody knows.
void WeightsAfterPulsesAreNotGuessed() {
  Reset();
  described.capabilities = XBARAX_CAN_PULSE;
  const std::unique_ptr<Device> device = OpenOrFail();
  const std::vector<float> w(6, 1.0f), z(2, 1.0f);
  const std::vector<std::int32_t> pulses(6, 2);
  std::vector<float> held(6), v(3);
  Handle fresh;
  Programmed now;
  CHECK(device->Allocate(2, 3, &fresh).empty());
  CHECK(device->Program(fresh, w.data(), 6, &now).empty());
  CHECK(device->Pulse(now.handle, pulses.data(), 6, &now).empty());
  CHECK(Says(device->ReadOut(now.handle, held.data(), 6), {"after pulses is not known"}));
  CHECK(Says(device->Update(now.handle, w.data(), 6, &now), {"after pulses is not known"}));
  CHECK(Says(device->Read(now.handle, 1, z.data(), 2, v.data(), 3, true), {"after pulses"}));
  CHECK(device->Program(now.handle, w.data(), 6, &now).empty());
  CHECK(device->ReadOut(now.handle, held.data(), 6).empty() && held == w);
}

void NumbersThatAreNotFiniteNeverReachTheChipNorTheProgram() {
  Reset();
  const std::unique_ptr<Device> device = OpenOrFail();
  std::vector<float> w(6, 1.0f), x(3, 1.0f), y(2);
  Handle fresh;
  Programmed first;
  CHECK(device->Allocate(2, 3, &fresh).empty());
  CHECK(device->Program(fresh, w.data(), 6, &first).empty());
  calls.clear();
  w[3] = std::numeric_limits<float>::infinity();
  x[1] = std::numeric_limits<float>::quiet_NaN();
  Programmed none;
  CHECK(Says(device->Program(first.handle, w.data(), 6, &none), {"1 weights are not finite"}));
  CHECK(Says(device->Update(first.handle, w.data(), 6, &none), {"1 changes are not finite"}));
  CHECK(Says(device->Read(first.handle, 1, x.data(), 3, y.data(), 2, false), {"1 inputs"}));
  CHECK(calls.empty());
  x[1] = 0;
  returns_nan = true;
  CHECK(Says(device->Read(first.handle, 1, x.data(), 3, y.data(), 2, false),
             {"the chip returned 1 numbers that are not finite"}));
}

void ResultsThatAreLeftOutAreFound() {
  for (const std::uint32_t most : {64u, 2u}) {
    Reset();
    described.max_inputs = most;
    const std::unique_ptr<Device> device = OpenOrFail();
    const std::vector<float> w(6, 1.0f), x(3, 1.0f);
    std::vector<float> y(2, 5.0f);
    Handle fresh;
    Programmed first;
    CHECK(device->Allocate(2, 3, &fresh).empty());
    CHECK(device->Program(fresh, w.data(), 6, &first).empty());
    returns_nothing = true;
    CHECK(Says(device->Read(first.handle, 1, x.data(), 3, y.data(), 2, false),
               {"returned 2 numbers that are not finite, or did not return them"}));
  }
}

void WhatADriverThrowsIsAnError() {
  Reset();
  const std::unique_ptr<Device> device = OpenOrFail();
  Handle handle;
  throws = true;
  CHECK(Says(device->Allocate(2, 3, &handle),
             {"device error: the driver threw an exception: no such register"}));
  throws = false;
  CHECK(device->Allocate(2, 3, &handle).empty());
}

// Whatever a driver says, messages are text that every reader takes.
void TextsArePrintable() {
  Reset();
  const std::unique_ptr<Device> device = OpenOrFail();
  Handle handle;
  fails = "allocate";
  const auto said = [&](const char* given) {
    text = given;
    const std::string error = device->Allocate(2, 3, &handle);
    return error.substr(error.find("device error: ") + 14);
  };
  CHECK(said("Gerät, 字 and 😀\n") == "Gerät, 字 and 😀\n");
  CHECK(said("Ger\xe4t") == "Ger?t");
  CHECK(said("\xf0\x9f\x98") == "???");
  CHECK(said("\xed\xa0\x80") == "???");  // half of a pair
  CHECK(said("\xc0\xaf") == "??");       // a longer form than needed
  CHECK(said("\x1b[31mred") == "?[31mred");
  CHECK(said("") == "(the driver gives no reason)");
  CHECK(said(nullptr) == "(the driver gives no reason)");
  CHECK(said(std::string(100000, 'x').c_str()).size() == 2000);
}

// The driver above has no lock of its own: a thread sanitizer sees calls that are made at once.
void CallsFromManyThreadsComeOneAtATime() {
  Reset();
  const std::unique_ptr<Device> device = OpenOrFail();
  const std::vector<float> w(6, 1.0f), x(3, 1.0f);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int k = 0; k < 200; ++k) {
        std::vector<float> y(2);
        Handle handle;
        Programmed now;
        CHECK(device->Allocate(2, 3, &handle).empty());
        CHECK(device->Program(handle, w.data(), 6, &now).empty());
        CHECK(device->Read(now.handle, 1, x.data(), 3, y.data(), 2, false).empty());
        CHECK(y[0] == 3.0f);
        device->Release(handle.id);
      }
    });
  for (std::thread& thread : threads) thread.join();
  Handle handle;
  CHECK(device->Allocate(2, 3, &handle).empty());
  CHECK(calls["allocate"] == 801 && calls["release"] == 800 && calls["read"] == 800);
}

void WeightsBeyondTheRangeAreCounted() {
  Reset();
  const std::unique_ptr<Device> device = OpenOrFail();
  const std::vector<float> w = {9, -9, 8, 0}, d = {0, 0, 1, 1};
  std::vector<float> held(4);
  Handle fresh;
  Programmed programmed;
  CHECK(device->Allocate(2, 2, &fresh).empty());
  CHECK(device->Program(fresh, w.data(), 4, &programmed).empty() && programmed.saturated == 2);
  CHECK(device->Update(programmed.handle, d.data(), 4, &programmed).empty());
  CHECK(programmed.saturated == 1);
  CHECK(device->ReadOut(programmed.handle, held.data(), 4).empty());
  CHECK((held == std::vector<float>{8, -8, 8, 1}));
}

void PlacesAreFreedAtTheNextCall() {
  Reset();
  described.max_arrays = 3;
  described.max_outputs = 2;
  const std::unique_ptr<Device> device = OpenOrFail();
  Handle first, second;
  CHECK(device->Allocate(4, 2, &first).empty());  // two of the chip's arrays
  calls.clear();
  CHECK(Says(device->Allocate(4, 2, &second),
             {"allocate: no space", "array 2 of the 2 that [4, 2] weights take"}));
  CHECK(calls["allocate"] == 2 && calls["release"] == 1);  // what was made is given back
  device->Release(first.id);
  CHECK(calls["release"] == 1);
  CHECK(device->Allocate(4, 2, &second).empty());
  CHECK(calls["release"] == 3);
  std::vector<float> w(8);
  Programmed programmed;
  CHECK(Says(device->Program(first, w.data(), 8, &programmed), {"does not have"}));
  for (int k = 0; k < 10000; ++k) {
    device->Release(second.id);
    if (!device->Allocate(4, 2, &second).empty()) CHECK(!"allocate");
  }
}

void NumbersThatRepeatAreRefused() {
  Reset();
  const std::unique_ptr<Device> device = OpenOrFail();
  Handle first, second;
  CHECK(device->Allocate(2, 3, &first).empty());
  repeats = true;
  CHECK(Says(device->Allocate(2, 3, &second), {"gave the number 1 to two arrays"}));
  repeats = false;
  CHECK(device->Allocate(2, 3, &second).empty());
}

void BadDriversAreRefused() {
  std::string error;
  const auto refuses = [&](const xbarax_driver* driver, std::initializer_list<const char*> parts) {
    CHECK(Device::Open(driver, "{}", &error) == nullptr);
    CHECK(Says(error, parts));
  };
  Reset();
  refuses(nullptr, {"no table"});
  xbarax_driver driver = kDriver;
  driver.version_major = 2;
  refuses(&driver, {"version 2.0", "takes 1.0 to 1.0"});
  driver = kDriver;
  driver.struct_size = 8;
  refuses(&driver, {"8 bytes"});
  driver = kDriver;
  driver.read = nullptr;
  driver.program = nullptr;
  refuses(&driver, {"lacks program, read"});
  driver = kDriver;
  driver.update = nullptr;
  refuses(&driver, {"testchip", "NULL: update"});
  fails = "open";
  refuses(&kDriver, {"open: device error: the wire is loose"});
  fails = "describe";
  refuses(&kDriver, {"describe: device error"});
  Reset();
  described.weight_low = 8;
  refuses(&kDriver, {"weight_low below weight_high"});
  Reset();
  described.max_inputs = 0;
  refuses(&kDriver, {"max_inputs must be at least 1"});
  Reset();
  std::memset(described.name, 'x', sizeof described.name);
  refuses(&kDriver, {"a name of at most 63 characters"});
  CHECK(open_devices == 0);
}

}  // namespace
}  // namespace xbarax

int main() {
  using namespace xbarax;
  for (std::uint32_t most : {64u, 7u, 3u, 1u})
    for (const std::uint32_t missing : std::initializer_list<std::uint32_t>{
             0, XBARAX_CAN_UPDATE, XBARAX_CAN_READ_TRANSPOSED, XBARAX_CAN_PULSE,
             XBARAX_CAN_PULSE | XBARAX_CAN_READ_OUT, kAll})
      IsTheMatrix(10, 7, most, kAll & ~missing);
  StaleValuesAreRefused();
  FailuresAreToldAndRecovered();
  ALostChipIsOpenedAnew();
  AClosedChipRefusesCalls();
  WhatPulsesDidIsKeptFromTheLastReadOut();
  WeightsAfterPulsesAreNotGuessed();
  NumbersThatAreNotFiniteNeverReachTheChipNorTheProgram();
  ResultsThatAreLeftOutAreFound();
  WhatADriverThrowsIsAnError();
  TextsArePrintable();
  CallsFromManyThreadsComeOneAtATime();
  WeightsBeyondTheRangeAreCounted();
  PlacesAreFreedAtTheNextCall();
  NumbersThatRepeatAreRefused();
  BadDriversAreRefused();
  return test::Result();
}
