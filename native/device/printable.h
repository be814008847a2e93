// Text from outside, for messages.
#pragma once

#include <string>

namespace xbarax {

// A driver's text, whatever it is: short, valid UTF-8, without control characters.
std::string Printable(const char* text);

}  // namespace xbarax
