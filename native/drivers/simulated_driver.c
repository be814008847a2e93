// A simulated chip as a driver: with levels, noise, latency and faults on demand. An example of a
// whole driver, and something to test programs with before a chip is at hand.
//
// The chip
//   Weights are held as one of `levels` values, equally spaced over [-range, range]; 0 levels: as
//   any float. Programming rounds to the nearest. An update adds, and rounds up or down with the
//   probability that makes it right on average, so that small updates are not lost; it stops at
//   the ends. A pulse moves a weight by one level (0 levels: by range / 128), and stops at the
//   ends. A read's results have Gaussian noise of standard deviation read_noise |x|, where |x| is
//   the Euclidean length of the input vector, independent from result to result; otherwise they are
//   exact sums, rounded to float32. New arrays have random weights, and so have those whose
//   programming, update or pulses failed. The weight_error that is described is half a step between
//   levels, and a whole one where the chip can update.
//   All randomness comes from `seed`: the same calls give the same results.
//
// The configuration: a JSON object, all of whose members can be left out
//   outputs, inputs  the largest array, 1 to 16384 each (64)
//   arrays           how many there can be, 1 to 16384 (64)
//   range            1e-6 to 1e6 (1)
//   levels           0, or 2 to 65536 (256)
//   read_noise       0 to 1e6 (0.01)
//   seed             an integer from 0 to 2^53 (0)
//   latency_us       0 to 1e6 (0): how long a call that reaches the chip takes at least, in µs;
//                    those are program, read, read_transposed, update, pulse and read_out
//   capabilities     a list of any of "read_transposed", "update", "pulse", "read_out" (all)
//   fault            an object, what goes wrong (nothing):
//     kind           "error", "timeout": the call returns that;
//                    "lost": so do all others from then on, until the device is closed and opened;
//                    "nan": a result is not a number;
//                    "crash", "hang", "exit": a segmentation fault, no return, the process's end
//     call           which call fails, counted from 1 (1)
//     of             the function whose calls count (all that reach the chip; "nan": all that
//                    return numbers)
//     once           a file that is made when the fault comes; a device that is opened while there
//                    is one has no fault
//   A device that is opened with the configuration of one that was lost in this process does not
//   fail, once: so that a program that opens its chip again can go on.
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "simulated_cells.h"
#include "simulated_config.h"
#include "simulated_fault.h"
#include "xbarax/driver.h"

enum { kErrorSize = 512 };

typedef struct Array {
  xbarax_array id;
  uint32_t outputs, inputs;
  float* weights;  // NULL: the place is free
} Array;

struct xbarax_device {
  SimulatedConfig config;
  Cells cells;
  Fault fault;
  uint64_t allocated;  // arrays, since it was opened
  bool lost, spoils;   // spoils: the call under way returns a NaN
  char error[kErrorSize];
  Array arrays[];
};

// ---- Errors of open, which all devices share -------------------------------------------------

static pthread_mutex_t open_mutex = PTHREAD_MUTEX_INITIALIZER;
static char open_error[kErrorSize];

static xbarax_status FailOpen(xbarax_status status, const char* text) {
  pthread_mutex_lock(&open_mutex);
  snprintf(open_error, sizeof open_error, "%s", text);
  pthread_mutex_unlock(&open_mutex);
  return status;
}

// A copy for this thread, which no other thread's open changes while it is read.
static const char* OpenError(void) {
  static __thread char copy[kErrorSize];
  pthread_mutex_lock(&open_mutex);
  memcpy(copy, open_error, sizeof copy);
  pthread_mutex_unlock(&open_mutex);
  return copy;
}

// ---- Errors, latency and faults ------------------------------------------------------------

static size_t Size(const Array* array) { return (size_t)array->outputs * array->inputs; }

static void Randomise(xbarax_device* device, Array* array) {
  const size_t size = Size(array);
  for (size_t k = 0; k < size; ++k) array->weights[k] = RandomWeight(&device->cells);
}

__attribute__((format(printf, 3, 4))) static xbarax_status Fail(xbarax_device* device,
                                                                xbarax_status status,
                                                                const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(device->error, sizeof device->error, format, arguments);
  va_end(arguments);
  return status;
}

static xbarax_status FailLost(xbarax_device* device, const char* call) {
  return Fail(device, XBARAX_LOST, "%s: the chip is lost; close it and open it again", call);
}

static void Sleep(double microseconds) {
  struct timespec left = {(time_t)(microseconds / 1e6), (long)(fmod(microseconds, 1e6) * 1e3)};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}

// What the fault makes of this call, if it comes now.
static xbarax_status FaultOf(xbarax_device* device, Call call) {
  const FaultKind kind = FaultAt(&device->fault, call);
  const char* name = kCallNames[call];
  const unsigned long long number = device->fault.counted;
  if (kind == kFaultError)
    return Fail(device, XBARAX_DEVICE_ERROR, "%s: simulated error at call %llu", name, number);
  if (kind == kFaultTimeout)
    return Fail(device, XBARAX_TIMEOUT, "%s: simulated timeout at call %llu", name, number);
  device->lost = kind == kFaultLost;
  if (device->lost)
    return Fail(device, XBARAX_LOST, "%s: simulated loss of the chip at call %llu", name, number);
  device->spoils = kind == kFaultNan;
  return XBARAX_OK;
}

// NULL: there is none, which the error says.
static Array* FindArray(xbarax_device* device, Call call, xbarax_array id) {
  // Numbers tell the place, and are never used again: that of a released array finds none.
  Array* array = &device->arrays[id % device->config.arrays];
  if (array->weights != NULL && array->id == id) return array;
  Fail(device, XBARAX_INVALID_ARGUMENT, "%s: no such array %llu", kCallNames[call],
       (unsigned long long)id);
  return NULL;
}

// What all calls that reach the chip begin with: finds their array. NULL: the call ends with
// *status. `needs`: a capability, or 0.
static Array* Reach(xbarax_device* device, Call call, uint32_t needs, xbarax_array id,
                    xbarax_status* status) {
  if (device->lost) {
    *status = FailLost(device, kCallNames[call]);
    return NULL;
  }
  if ((device->config.capabilities & needs) != needs) {
    *status = Fail(device, XBARAX_UNSUPPORTED, "%s: not among the configured capabilities",
                   kCallNames[call]);
    return NULL;
  }
  Array* array = FindArray(device, call, id);
  *status = XBARAX_INVALID_ARGUMENT;
  if (array == NULL) return NULL;
  if (device->config.latency_us > 0) Sleep(device->config.latency_us);
  *status = FaultOf(device, call);
  if (*status == XBARAX_OK) return array;
  if (call == kProgram || call == kUpdate || call == kPulse) Randomise(device, array);
  return NULL;
}

// What all calls that return numbers end with.
static xbarax_status Give(xbarax_device* device, float* numbers) {
  if (device->spoils) numbers[0] = NAN;
  device->spoils = false;
  return XBARAX_OK;
}

// ---- The interface --------------------------------------------------------------------------

static xbarax_status Open(const char* text, xbarax_device** opened) {
  SimulatedConfig config;
  char error[kErrorSize];
  if (!ReadConfig(text, &config, error, sizeof error))
    return FailOpen(XBARAX_INVALID_ARGUMENT, error);
  xbarax_device* device = calloc(1, sizeof *device + config.arrays * sizeof(Array));
  if (device == NULL || !MakeFault(&device->fault, &config.fault, text)) {
    free(device);
    return FailOpen(XBARAX_NO_SPACE, "open: out of memory");
  }
  device->config = config;
  device->cells = MakeCells(config.range, config.levels, config.seed);
  *opened = device;
  return XBARAX_OK;
}

static void Close(xbarax_device* device) {
  for (uint32_t k = 0; k < device->config.arrays; ++k) free(device->arrays[k].weights);
  EndFault(&device->fault);
  free(device);
}

static const char* LastError(xbarax_device* device) {
  return device == NULL ? OpenError() : device->error;
}

// The next larger float, of what float may have rounded down.
static float Above(double x) { return x == 0 ? 0 : nextafterf((float)x, INFINITY); }

static xbarax_status Describe(xbarax_device* device, xbarax_description* description) {
  if (device->lost) return FailLost(device, "describe");
  const SimulatedConfig* config = &device->config;
  const double range = device->cells.range;
  // Rounding to float moves a number by at most this share of it.
  const double half_ulp = 0x1p-24;
  // An update ends less than a step from what was asked, programming half a step; and both the
  // weight that was there and the new one are floats.
  const bool updates = config->capabilities & XBARAX_CAN_UPDATE;
  const double rounding = updates ? device->cells.step : device->cells.step / 2;
  // By Cauchy and Schwarz a sum is at most the length of a row; it is made in double.
  const double terms = config->outputs > config->inputs ? config->outputs : config->inputs;
  const double largest = range * sqrt(terms) + kLargestNormal * config->read_noise;
  xbarax_description said = {
      .struct_size = description->struct_size,
      .name = "xbarax simulated",
      .max_outputs = config->outputs,
      .max_inputs = config->inputs,
      .max_arrays = config->arrays,
      .capabilities = config->capabilities,
      .weight_low = -device->cells.range,
      .weight_high = device->cells.range,
      .weight_error = Above(rounding + 2 * half_ulp * range),
      .read_noise = (float)config->read_noise,
      .read_error = Above(largest * (half_ulp + terms * 0x1p-52)),
  };
  const size_t size = description->struct_size;
  memcpy(description, &said, size < sizeof said ? size : sizeof said);
  return XBARAX_OK;
}

static xbarax_status Allocate(xbarax_device* device, uint32_t outputs, uint32_t inputs,
                              xbarax_array* id) {
  const SimulatedConfig* config = &device->config;
  if (device->lost) return FailLost(device, "allocate");
  if (outputs < 1 || outputs > config->outputs || inputs < 1 || inputs > config->inputs)
    return Fail(device, XBARAX_INVALID_ARGUMENT,
                "allocate: expected 1 to %u outputs and 1 to %u inputs, given %u and %u",
                config->outputs, config->inputs, outputs, inputs);
  const xbarax_status status = FaultOf(device, kAllocate);
  if (status != XBARAX_OK) return status;
  uint32_t place = 0;
  while (place < config->arrays && device->arrays[place].weights != NULL) ++place;
  if (place == config->arrays)
    return Fail(device, XBARAX_NO_SPACE, "allocate: all %u arrays are taken", config->arrays);
  Array* array = &device->arrays[place];
  array->outputs = outputs;
  array->inputs = inputs;
  array->weights = malloc(Size(array) * sizeof *array->weights);
  if (array->weights == NULL) return Fail(device, XBARAX_NO_SPACE, "allocate: out of memory");
  array->id = *id = device->allocated++ * config->arrays + place;
  Randomise(device, array);
  return XBARAX_OK;
}

static xbarax_status Release(xbarax_device* device, xbarax_array id) {
  if (device->lost) return FailLost(device, "release");
  Array* array = FindArray(device, kRelease, id);
  if (array == NULL) return XBARAX_INVALID_ARGUMENT;
  const xbarax_status status = FaultOf(device, kRelease);
  if (status != XBARAX_OK) return status;
  free(array->weights);
  array->weights = NULL;
  return XBARAX_OK;
}

static xbarax_status Program(xbarax_device* device, xbarax_array id, const float* weights) {
  xbarax_status status;
  Array* array = Reach(device, kProgram, 0, id, &status);
  if (array == NULL) return status;
  const size_t size = Size(array);
  for (size_t k = 0; k < size; ++k) array->weights[k] = Programmed(&device->cells, weights[k]);
  return XBARAX_OK;
}

// One of the two sides of an array: how many lines it has, and how far apart their weights are.
typedef struct Side {
  uint32_t lines;
  size_t stride;
} Side;

static xbarax_status ReadLines(xbarax_device* device, const float* weights, Side from, Side to,
                               uint32_t n, const float* inputs, float* results) {
  float* const first = results;
  for (uint32_t k = 0; k < n; ++k, inputs += from.lines, results += to.lines) {
    double squares = 0;
    for (uint32_t f = 0; f < from.lines; ++f) squares += (double)inputs[f] * inputs[f];
    const double noise = device->config.read_noise * sqrt(squares);
    for (uint32_t t = 0; t < to.lines; ++t) {
      const float* line = weights + t * to.stride;
      double sum = 0;
      for (uint32_t f = 0; f < from.lines; ++f) sum += (double)line[f * from.stride] * inputs[f];
      results[t] = (float)(noise == 0 ? sum : sum + noise * Normal(&device->cells));
    }
  }
  return Give(device, first);
}

static xbarax_status Read(xbarax_device* device, xbarax_array id, uint32_t n, const float* inputs,
                          float* results) {
  xbarax_status status;
  Array* array = Reach(device, kRead, 0, id, &status);
  if (array == NULL) return status;
  const Side in = {array->inputs, 1}, out = {array->outputs, array->inputs};
  return ReadLines(device, array->weights, in, out, n, inputs, results);
}

static xbarax_status ReadTransposed(xbarax_device* device, xbarax_array id, uint32_t n,
                                    const float* inputs, float* results) {
  xbarax_status status;
  Array* array = Reach(device, kReadTransposed, XBARAX_CAN_READ_TRANSPOSED, id, &status);
  if (array == NULL) return status;
  const Side in = {array->inputs, 1}, out = {array->outputs, array->inputs};
  return ReadLines(device, array->weights, out, in, n, inputs, results);
}

static xbarax_status Update(xbarax_device* device, xbarax_array id, const float* deltas) {
  xbarax_status status;
  Array* array = Reach(device, kUpdate, XBARAX_CAN_UPDATE, id, &status);
  if (array == NULL) return status;
  const size_t size = Size(array);
  for (size_t k = 0; k < size; ++k)
    array->weights[k] = Updated(&device->cells, array->weights[k], deltas[k]);
  return XBARAX_OK;
}

static xbarax_status Pulse(xbarax_device* device, xbarax_array id, const int32_t* pulses) {
  xbarax_status status;
  Array* array = Reach(device, kPulse, XBARAX_CAN_PULSE, id, &status);
  if (array == NULL) return status;
  const size_t size = Size(array);
  for (size_t k = 0; k < size; ++k)
    array->weights[k] = Pulsed(&device->cells, array->weights[k], pulses[k]);
  return XBARAX_OK;
}

static xbarax_status ReadOut(xbarax_device* device, xbarax_array id, float* weights) {
  xbarax_status status;
  Array* array = Reach(device, kReadOut, XBARAX_CAN_READ_OUT, id, &status);
  if (array == NULL) return status;
  memcpy(weights, array->weights, Size(array) * sizeof *weights);
  return Give(device, weights);
}

const xbarax_driver* xbarax_driver_entry(void) {
  static const xbarax_driver driver = {
      .version_major = XBARAX_DRIVER_VERSION_MAJOR,
      .version_minor = XBARAX_DRIVER_VERSION_MINOR,
      .struct_size = sizeof(xbarax_driver),
      .open = Open,
      .close = Close,
      .last_error = LastError,
      .describe = Describe,
      .allocate = Allocate,
      .release = Release,
      .program = Program,
      .read = Read,
      .read_transposed = ReadTransposed,
      .update = Update,
      .pulse = Pulse,
      .read_out = ReadOut,
  };
  return &driver;
}
