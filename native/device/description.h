// What a driver says of itself, and whether it can be.
#pragma once

#include <string>

#include "xbarax/driver.h"

namespace xbarax {

// Both return what is wrong, or nothing.

std::string CheckTable(const xbarax_driver* driver);
std::string CheckDescription(const xbarax_driver& driver, const xbarax_description& description);

}  // namespace xbarax
