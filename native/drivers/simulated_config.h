// The configuration of a simulated chip; simulated_driver.c says what its members mean.
#ifndef XBARAX_DRIVERS_SIMULATED_CONFIG_H_
#define XBARAX_DRIVERS_SIMULATED_CONFIG_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The calls that can fail, by the names they have in the driver's table.
typedef enum Call {
  kAllocate,
  kRelease,
  kProgram,
  kRead,
  kReadTransposed,
  kUpdate,
  kPulse,
  kReadOut,
  kCalls,
} Call;

extern const char* const kCallNames[kCalls + 1];  // ended by NULL

typedef enum FaultKind {
  kNoFault,
  kFaultError,
  kFaultTimeout,
  kFaultLost,
  kFaultNan,
  kFaultCrash,
  kFaultHang,
  kFaultExit,
} FaultKind;

enum { kLongestFile = 1023 };  // bytes of its name

typedef struct FaultConfig {
  FaultKind kind;
  uint32_t calls;               // bit 1 << call for each call that counts
  uint64_t number;              // of the one that fails, from 1
  char once[kLongestFile + 1];  // a file that remembers it, or ""
} FaultConfig;

typedef struct SimulatedConfig {
  uint32_t outputs, inputs, arrays, levels, capabilities;
  uint64_t seed;
  double range, read_noise, latency_us;
  FaultConfig fault;
} SimulatedConfig;

// False, and why in `error`, if `text` is no configuration.
bool ReadConfig(const char* text, SimulatedConfig* config, char* error, size_t error_size);

#endif  // XBARAX_DRIVERS_SIMULATED_CONFIG_H_
