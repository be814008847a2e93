// What Python calls to open devices and to place arrays on them: outside of compiled programs.
//
// Functions that can fail return 0, or 1 with why in `error`, cut to `error_size` bytes.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "device/device_registry.h"
#include "device/isolated.h"

#define XBARAX_EXPORT __attribute__((visibility("default")))

namespace xbarax {
namespace {

int Answer(const std::string& why, char* error, std::size_t error_size) {
  if (why.empty()) return 0;
  if (error_size > 0) error[why.copy(error, error_size - 1)] = '\0';
  return 1;
}

// Calls body(device), which returns what went wrong.
template <class Body>
int WithDevice(const char* name, char* error, std::size_t error_size, Body body) {
  std::string why;
  if (const std::shared_ptr<Device> device = FindDevice(name, &why)) why = body(*device);
  return Answer(why, error, error_size);
}

void Store(Handle handle, std::uint32_t* words) { std::memcpy(words, &handle, sizeof handle); }

}  // namespace
}  // namespace xbarax

extern "C" {

XBARAX_EXPORT int xbarax_device_open(const char* name, const xbarax_driver* driver,
                                     const char* config, char* error, size_t error_size) {
  return xbarax::Answer(xbarax::OpenDevice(name, driver, config), error, error_size);
}

XBARAX_EXPORT void xbarax_device_close(const char* name) { xbarax::CloseDevice(name); }

XBARAX_EXPORT int xbarax_device_describe(const char* name, xbarax_description* description,
                                         char* error, size_t error_size) {
  return xbarax::WithDevice(name, error, error_size, [&](xbarax::Device& device) {
    *description = device.description();
    return std::string();
  });
}

XBARAX_EXPORT int xbarax_device_open_if_lost(const char* name, char* error, size_t error_size) {
  return xbarax::WithDevice(name, error, error_size,
                            [](xbarax::Device& device) { return device.OpenIfLost(); });
}

// The new array's id and generation go to handle[2].
XBARAX_EXPORT int xbarax_device_allocate(const char* name, size_t out, size_t in, uint32_t* handle,
                                         char* error, size_t error_size) {
  return xbarax::WithDevice(name, error, error_size, [&](xbarax::Device& device) {
    xbarax::Handle allocated = {};
    std::string why = device.Allocate(out, in, &allocated);
    xbarax::Store(allocated, handle);
    return why;
  });
}

// Has the array freed at the next call into the device, if that is still open.
XBARAX_EXPORT void xbarax_device_release(const char* name, uint32_t id) {
  std::string why;
  if (const auto device = xbarax::FindDevice(name, &why)) device->Release(id);
}

// The array's id, its generation, and whether pulses were lost go to handle[3].
XBARAX_EXPORT int xbarax_device_recover(const char* name, uint32_t id, uint32_t* handle,
                                        char* error, size_t error_size) {
  return xbarax::WithDevice(name, error, error_size, [&](xbarax::Device& device) {
    xbarax::Handle recovered = {};
    bool pulses_lost = false;
    std::string why = device.Recover(id, &recovered, &pulses_lost);
    xbarax::Store(recovered, handle);
    handle[2] = pulses_lost;
    return why;
  });
}

XBARAX_EXPORT const xbarax_driver* xbarax_isolated_driver(void) { return xbarax::IsolatedDriver(); }

// Without a driver, `why_not` says why there is none.
XBARAX_EXPORT void xbarax_serve_driver(const xbarax_driver* driver, const char* why_not) {
  xbarax::ServeDriver(driver, why_not);
}

}  // extern "C"
