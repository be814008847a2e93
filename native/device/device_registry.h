// The devices that are open in this process, by the names that compiled programs call them by.
#pragma once

#include <memory>
#include <string>

#include "device/device.h"

namespace xbarax {

// Opens a device under `name`, if none is open under it. What went wrong, or nothing.
std::string OpenDevice(const std::string& name, const xbarax_driver* driver,
                       const std::string& config);

// The device that is open under `name`; nullptr, and why in `error`, if there is none.
std::shared_ptr<Device> FindDevice(const std::string& name, std::string* error);

// Closes a device; nothing happens if none is open under `name`.
void CloseDevice(const std::string& name);

}  // namespace xbarax
