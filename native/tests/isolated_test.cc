// A driver in another process: this program, started again.
#include "device/isolated.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "device/device.h"
#include "tests/check.h"

namespace xbarax {
namespace {

// ---- The driver there: it has one array, and does what its configuration says at the second read
// -

struct Chip {
  std::string fault;
  std::vector<float> weights;
  std::uint32_t outputs = 0, inputs = 0;
  int reads = 0;
};

Chip* From(xbarax_device* device) { return reinterpret_cast<Chip*>(device); }

xbarax_status Open(const char* config, xbarax_device** device) {
  if (std::strcmp(config, "nothing there") == 0) return XBARAX_DEVICE_ERROR;
  if (std::strcmp(config, "exit at once") == 0) std::_Exit(7);
  *device = reinterpret_cast<xbarax_device*>(new Chip{config, {}});
  return XBARAX_OK;
}
void Close(xbarax_device* device) { delete From(device); }
const char* LastError(xbarax_device* device) {
  return device == nullptr ? "no chip on the bus" : "the wire is loose";
}
xbarax_status Describe(xbarax_device* device, xbarax_description* description) {
  std::strcpy(description->name, "far away");
  description->max_outputs = description->max_inputs = 4096;
  description->weight_low = -100;
  description->weight_high = From(device)->fault == "bad range" ? -200 : 100;
  description->capabilities =
      XBARAX_CAN_READ_TRANSPOSED | XBARAX_CAN_UPDATE | XBARAX_CAN_PULSE | XBARAX_CAN_READ_OUT;
  return XBARAX_OK;
}
xbarax_status Allocate(xbarax_device* device, std::uint32_t outputs, std::uint32_t inputs,
                       xbarax_array* array) {
  Chip& chip = *From(device);
  if (!chip.weights.empty()) return XBARAX_NO_SPACE;
  chip.outputs = outputs;
  chip.inputs = inputs;
  chip.weights.resize(std::size_t{outputs} * inputs);
  *array = 5;
  return XBARAX_OK;
}
xbarax_status Release(xbarax_device* device, xbarax_array) {
  From(device)->weights.clear();
  return XBARAX_OK;
}
xbarax_status Program(xbarax_device* device, xbarax_array, const float* weights) {
  std::copy_n(weights, From(device)->weights.size(), From(device)->weights.data());
  return XBARAX_OK;
}
xbarax_status Fault(const Chip& chip, float* behind) {
  if (chip.fault == "error") return XBARAX_DEVICE_ERROR;
  if (chip.fault == "crash") {
    std::signal(SIGSEGV, SIG_DFL);  // also where a sanitizer has its own handler
    std::raise(SIGSEGV);
  }
  if (chip.fault == "exit") std::_Exit(3);
  if (chip.fault == "throw") throw std::runtime_error("no such register");
  if (chip.fault == "overrun") *behind = 1;
  if (chip.fault == "fork" && fork() < 0) return XBARAX_DEVICE_ERROR;
  while (chip.fault == "hang") std::this_thread::sleep_for(std::chrono::seconds(1));
  return XBARAX_OK;
}
xbarax_status Read(xbarax_device* device, xbarax_array, std::uint32_t n, const float* x, float* y) {
  Chip& chip = *From(device);
  const std::size_t out = chip.outputs, in = chip.inputs;
  for (std::size_t k = 0; k < n; ++k)
    for (std::size_t o = 0; o < out; ++o) {
      y[k * out + o] = 0;
      for (std::size_t i = 0; i < in; ++i)
        y[k * out + o] += chip.weights[o * in + i] * x[k * in + i];
    }
  return ++chip.reads == 2 ? Fault(chip, y + n * out) : XBARAX_OK;
}
xbarax_status ReadTransposed(xbarax_device* device, xbarax_array, std::uint32_t n, const float* y,
                             float* x) {
  Chip& chip = *From(device);
  const std::size_t out = chip.outputs, in = chip.inputs;
  std::fill_n(x, n * in, 0.0f);
  for (std::size_t k = 0; k < n; ++k)
    for (std::size_t o = 0; o < out; ++o)
      for (std::size_t i = 0; i < in; ++i)
        x[k * in + i] += chip.weights[o * in + i] * y[k * out + o];
  return XBARAX_OK;
}
xbarax_status Update(xbarax_device* device, xbarax_array, const float* deltas) {
  for (float& weight : From(device)->weights) weight += *deltas++;
  return XBARAX_OK;
}
xbarax_status Pulse(xbarax_device* device, xbarax_array, const std::int32_t* pulses) {
  for (float& weight : From(device)->weights) weight += static_cast<float>(*pulses++);
  return XBARAX_OK;
}
xbarax_status ReadOut(xbarax_device* device, xbarax_array, float* weights) {
  std::copy(From(device)->weights.begin(), From(device)->weights.end(), weights);
  return XBARAX_OK;
}

const xbarax_driver kDriver = {
    1,       0,    sizeof(xbarax_driver), Open,   Close, LastError, Describe, Allocate, Release,
    Program, Read, ReadTransposed,        Update, Pulse, ReadOut};

// ---- The tests here ----------------------------------------------------------------------------

std::string program;

std::string Launch(const std::string& config, const std::string& deadline = "20",
                   const std::string& how = "serve") {
  return deadline + kSeparator + config + kSeparator + program + kSeparator + how;
}

std::unique_ptr<Device> OpenOrFail(const std::string& launch) {
  std::string error;
  std::unique_ptr<Device> device = Device::Open(IsolatedDriver(), launch, &error);
  if (device == nullptr) std::fprintf(stderr, "%s\n", error.c_str());
  CHECK(device != nullptr);
  return device;
}

bool Says(const std::string& error, const char* part) {
  if (error.find(part) != std::string::npos) return true;
  std::fprintf(stderr, "'%s' does not say '%s'\n", error.c_str(), part);
  return false;
}

void CallsArePassedOn() {
  const std::unique_ptr<Device> device = OpenOrFail(Launch("{}"));
  CHECK(std::strcmp(device->description().name, "far away") == 0);
  // Larger and larger, so that the memory grows; and a small one again.
  for (const std::size_t size : {3u, 50u, 700u, 2u}) {
    const std::size_t out = size, in = size + 1;
    std::vector<float> w(out * in), x(2 * in, 1.0f), y(2 * out), back(in);
    for (std::size_t k = 0; k < w.size(); ++k) w[k] = static_cast<float>(k % 7);
    Handle handle;
    Programmed now;
    CHECK(device->Allocate(out, in, &handle).empty());
    CHECK(device->Program(handle, w.data(), w.size(), &now).empty());
    CHECK(device->Read(now.handle, 2, x.data(), x.size(), y.data(), y.size(), false).empty());
    float sum = 0;
    for (std::size_t i = 0; i < in; ++i) sum += w[i];
    CHECK(y[0] == sum && y[out] == sum);
    const std::vector<float> one(out, 1.0f);
    CHECK(device->Read(now.handle, 1, one.data(), out, back.data(), in, true).empty());
    sum = 0;
    for (std::size_t o = 0; o < out; ++o) sum += w[o * in];
    CHECK(back[0] == sum);
    const std::vector<float> deltas(w.size(), 2.0f);
    const std::vector<std::int32_t> pulses(w.size(), -3);
    CHECK(device->Update(now.handle, deltas.data(), w.size(), &now).empty());
    CHECK(device->Pulse(now.handle, pulses.data(), w.size(), &now).empty());
    std::vector<float> held(w.size());
    CHECK(device->ReadOut(now.handle, held.data(), held.size()).empty());
    CHECK(held[0] == w[0] - 1 && held.back() == w.back() - 1);
    Handle second;
    CHECK(Says(device->Allocate(1, 1, &second), "no space: the wire is loose"));
    device->Release(handle.id);
  }
}

// An array whose second read goes wrong, and what is said then.
void Faulty(const std::string& fault, const std::string& deadline, const char* said, bool lost) {
  const std::unique_ptr<Device> device = OpenOrFail(Launch(fault, deadline));
  const std::vector<float> w(6, 1.0f), x(3, 1.0f);
  std::vector<float> y(2);
  Handle handle;
  Programmed now;
  CHECK(device->Allocate(2, 3, &handle).empty());
  CHECK(device->Program(handle, w.data(), 6, &now).empty());
  handle = now.handle;
  const auto read = [&] { return device->Read(handle, 1, x.data(), 3, y.data(), 2, false); };
  CHECK(read().empty() && y[0] == 3.0f);
  CHECK(Says(read(), said));
  if (lost) {
    CHECK(Says(read(), "is lost since"));
    bool pulses_lost;
    CHECK(device->Recover(handle.id, &handle, &pulses_lost).empty());
  }
  y.assign(2, 0.0f);
  CHECK(read().empty() && y[1] == 3.0f);
}

// Also one that has no array to recover.
void ALostChipIsOpenedAgain() {
  const std::unique_ptr<Device> device = OpenOrFail(Launch("exit"));
  Handle handle;
  const std::vector<float> w(1, 1.0f);
  float y;
  Programmed now;
  CHECK(device->Allocate(1, 1, &handle).empty());
  CHECK(device->Program(handle, w.data(), 1, &now).empty());
  for (int k = 0; k < 2; ++k) device->Read(now.handle, 1, w.data(), 1, &y, 1, false);
  device->Release(handle.id);
  CHECK(Says(device->Allocate(1, 1, &handle), "xb.hardware.load opens it again"));
  CHECK(device->OpenIfLost().empty());
  CHECK(device->OpenIfLost().empty());
  CHECK(device->Allocate(1, 1, &handle).empty());
}

// A copy of the process that a driver makes must not answer, too.
void CopiesOfTheProcessEnd() {
  const std::unique_ptr<Device> device = OpenOrFail(Launch("fork"));
  const std::vector<float> w(1, 1.0f);
  Handle handle;
  Programmed now;
  CHECK(device->Allocate(1, 1, &handle).empty());
  CHECK(device->Program(handle, w.data(), 1, &now).empty());
  for (float x = 0; x < 100; ++x) {
    float y = -1;
    CHECK(device->Read(now.handle, 1, &x, 1, &y, 1, false).empty() && y == x);
  }
}

void WhatDoesNotOpenSaysWhy() {
  const auto refuses = [](const std::string& launch, const char* said) {
    std::string error;
    CHECK(Device::Open(IsolatedDriver(), launch, &error) == nullptr);
    CHECK(Says(error, said));
  };
  refuses(Launch("nothing there"), "open: device error: no chip on the bus");
  refuses(Launch("exit at once"), "ended with exit code 7");
  refuses(Launch("bad range"), "weight_low below weight_high");
  refuses(Launch("{}", "20", "no driver"), "invalid argument: there is none today");
  refuses(Launch("{}", "20", "bad driver"), "the driver's table lacks read");
  refuses(Launch("{}", "20", "no server"), "ended with exit code 9");
  refuses("{}", "no command");
  const std::string nowhere = std::string("20") + kSeparator + "{}" + kSeparator + "/no/where";
  refuses(nowhere, "No such file");
}

void DevicesHaveProcessesOfTheirOwn() {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([] {
      const std::unique_ptr<Device> device = OpenOrFail(Launch("{}"));
      const std::vector<float> w(1, 2.0f);
      Handle handle;
      Programmed now;
      CHECK(device->Allocate(1, 1, &handle).empty());
      CHECK(device->Program(handle, w.data(), 1, &now).empty());
      for (float x = 0; x < 100; ++x) {
        float y = 0;
        CHECK(device->Read(now.handle, 1, &x, 1, &y, 1, false).empty() && y == 2 * x);
      }
    });
  for (std::thread& thread : threads) thread.join();
}

int ServeAsTold(const std::string& how) {
  if (how == "no server") return 9;
  if (how == "no driver") {
    ServeDriver(nullptr, "there is none today");
  } else if (how == "bad driver") {
    xbarax_driver driver = kDriver;
    driver.read = nullptr;
    ServeDriver(&driver, "");
  } else {
    ServeDriver(&kDriver, "");
  }
  return 0;
}

}  // namespace
}  // namespace xbarax

int main(int argc, char** argv) {
  using namespace xbarax;
  if (argc > 1) return ServeAsTold(argv[1]);
  program = argv[0];
  CallsArePassedOn();
  Faulty("error", "20", "device error: the wire is loose", false);
  Faulty("throw", "20", "device error: the driver threw an exception: no such register", false);
  Faulty("overrun", "20", "wrote beyond the end of its results", false);
  Faulty("crash", "20", "lost: the driver's process was ended by SIGSEGV", true);
  Faulty("exit", "20", "lost: the driver's process ended with exit code 3", true);
  Faulty("hang", "0.3", "lost: the driver did not answer within 0.3 s", true);
  ALostChipIsOpenedAgain();
  CopiesOfTheProcessEnd();
  WhatDoesNotOpenSaysWhy();
  DevicesHaveProcessesOfTheirOwn();
  return test::Result();
}
