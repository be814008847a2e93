// When a simulated chip fails, and those failures that are no chip's answer.
#ifndef XBARAX_DRIVERS_SIMULATED_FAULT_H_
#define XBARAX_DRIVERS_SIMULATED_FAULT_H_

#include "simulated_config.h"

typedef struct Fault {
  FaultConfig config;
  uint64_t counted;  // calls that count
  char* text;        // the device's configuration; NULL: not needed any more
} Fault;

// `text`: the device's whole configuration. False: out of memory.
bool MakeFault(Fault* fault, const FaultConfig* config, const char* text);
void EndFault(Fault* fault);

// What goes wrong with this call, which counts. Does not return from a crash, a hang and an exit.
FaultKind FaultAt(Fault* fault, Call call);

#endif  // XBARAX_DRIVERS_SIMULATED_FAULT_H_
