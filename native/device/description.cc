#include "device/description.h"

#include <cmath>
#include <cstdint>
#include <cstring>

namespace xbarax {

std::string CheckTable(const xbarax_driver* driver) {
  if (driver == nullptr) return "xbarax_driver_entry returned no table";
  if (driver->version_major != XBARAX_DRIVER_VERSION_MAJOR ||
      driver->version_minor > XBARAX_DRIVER_VERSION_MINOR)
    return "the driver is of version " + std::to_string(driver->version_major) + "." +
           std::to_string(driver->version_minor) + ", this xbarax takes " +
           std::to_string(XBARAX_DRIVER_VERSION_MAJOR) + ".0 to " +
           std::to_string(XBARAX_DRIVER_VERSION_MAJOR) + "." +
           std::to_string(XBARAX_DRIVER_VERSION_MINOR);
  if (driver->struct_size < sizeof(xbarax_driver))
    return "the driver's table has " + std::to_string(driver->struct_size) + " bytes, expected " +
           std::to_string(sizeof(xbarax_driver)) + ": was struct_size set?";
  std::string missing;
  const auto need = [&](bool there, const char* name) {
    if (!there) missing += (missing.empty() ? "" : ", ") + std::string(name);
  };
  need(driver->open, "open");
  need(driver->close, "close");
  need(driver->last_error, "last_error");
  need(driver->describe, "describe");
  need(driver->allocate, "allocate");
  need(driver->release, "release");
  need(driver->program, "program");
  need(driver->read, "read");
  return missing.empty() ? "" : "the driver's table lacks " + missing;
}

std::string CheckDescription(const xbarax_driver& driver, const xbarax_description& d) {
  if (std::memchr(d.name, 0, sizeof d.name) == nullptr || d.name[0] == '\0')
    return "describe: expected a name of at most 63 characters, ended by a zero";
  const std::string name = d.name;
  if (d.max_outputs == 0 || d.max_inputs == 0)
    return name + ": describe: max_outputs and max_inputs must be at least 1";
  if (!(std::isfinite(d.weight_low) && std::isfinite(d.weight_high) &&
        d.weight_low < d.weight_high))
    return name + ": describe: expected weight_low below weight_high, given " +
           std::to_string(d.weight_low) + " and " + std::to_string(d.weight_high);
  for (float x : {d.weight_error, d.read_noise, d.read_error})
    if (!(std::isfinite(x) && x >= 0))
      return name + ": describe: weight_error, read_noise and read_error must be at least 0";
  const auto has = [&](std::uint32_t bit) { return (d.capabilities & bit) != 0; };
  std::string missing;
  if (has(XBARAX_CAN_READ_TRANSPOSED) && !driver.read_transposed) missing = "read_transposed";
  if (has(XBARAX_CAN_UPDATE) && !driver.update) missing = "update";
  if (has(XBARAX_CAN_PULSE) && !driver.pulse) missing = "pulse";
  if (has(XBARAX_CAN_READ_OUT) && !driver.read_out) missing = "read_out";
  return missing.empty() ? ""
                         : name + ": describes a capability whose function is NULL: " + missing;
}

}  // namespace xbarax
