// A driver in a process of its own: what it does there cannot harm this one.
//
// Each call's question and answer lie in memory that both processes share; a byte through a socket
// says that they are there. A process that ends, or does not answer in time, is a lost chip, and
// opening it again starts another one.
#pragma once

#include <string>

#include "xbarax/driver.h"

namespace xbarax {

// A driver whose devices are other processes. Its `open` takes text between separators instead of
// JSON: the deadline of a call in seconds, the configuration for the driver there, and the words of
// the command that starts a process. That one calls ServeDriver.
const xbarax_driver* IsolatedDriver();
inline constexpr char kSeparator = '\x1f';

// Where the started process finds its ends.
inline constexpr int kServerSocket = 3, kServerMemory = 4;

// Serves one device until it is closed, or the other process is gone. Without a driver, `why_not`
// is the answer.
void ServeDriver(const xbarax_driver* driver, const std::string& why_not);

}  // namespace xbarax
