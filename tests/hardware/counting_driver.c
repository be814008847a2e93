/* A driver that remembers its calls, and fails when it is told to. It computes exactly. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "xbarax/driver.h"

enum { kArrays = 64, kLog = 1 << 16 };

/* In the order of the table; Python has the same names. */
enum { kAllocate, kRelease, kProgram, kRead, kReadTransposed, kUpdate, kPulse, kReadOut };

typedef struct {
  int32_t kind;
  uint32_t n;
  uint64_t array;
} Entry;

struct xbarax_device {
  float low, high;
  uint32_t outputs, inputs, capabilities, arrays;
};

typedef struct {
  const xbarax_device* owner;
  uint64_t id; /* 0: a free place */
  uint32_t outputs, inputs;
  float* weights;
} Array;

static Array arrays[kArrays];
static Entry entries[kLog];
static int32_t entry_count, overlaps, inside, fail_kind = -1, fail_after, fail_status;
static double delay;
static uint64_t last_id;
static char error[256] = "";

int32_t counting_entries(void) { return entry_count; }
const Entry* counting_entry(int32_t k) { return &entries[k]; }
void counting_clear(void) { entry_count = 0, fail_kind = -1, delay = 0; }
int32_t counting_overlaps(void) { return overlaps; }
void counting_delay(double seconds) { delay = seconds; }
int32_t counting_living(void) {
  int32_t living = 0;
  for (int k = 0; k < kArrays; ++k) living += arrays[k].id != 0;
  return living;
}
/* Fails the call of that kind that comes after `after` others. */
void counting_fail(int32_t kind, int32_t after, int32_t status) {
  fail_kind = kind, fail_after = after, fail_status = status;
}

static void Wait(double seconds) {
  struct timespec time = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
  nanosleep(&time, NULL);
}

static xbarax_status Enter(int32_t kind, uint64_t array, uint32_t n) {
  if (__atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST) > 1) __atomic_add_fetch(&overlaps, 1, 0);
  if (entry_count < kLog) entries[entry_count++] = (Entry){kind, n, array};
  if (delay > 0 && (kind == kRead || kind == kReadTransposed)) Wait(delay);
  if (kind != fail_kind || fail_after-- > 0) return XBARAX_OK;
  fail_kind = -1;
  snprintf(error, sizeof error, "the bench tripped");
  return fail_status;
}

static xbarax_status Leave(xbarax_status status) {
  __atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
  return status;
}

static Array* Find(uint64_t id) {
  for (int k = 0; k < kArrays; ++k)
    if (arrays[k].id == id) return &arrays[k];
  snprintf(error, sizeof error, "no such array");
  return NULL;
}

static double Number(const char* config, const char* key, double otherwise) {
  char quoted[40];
  snprintf(quoted, sizeof quoted, "\"%s\": ", key);
  const char* found = strstr(config, quoted);
  return found == NULL ? otherwise : atof(found + strlen(quoted));
}

static xbarax_status Open(const char* config, xbarax_device** device) {
  *device = calloc(1, sizeof **device);
  (*device)->outputs = (uint32_t)Number(config, "outputs", 32);
  (*device)->inputs = (uint32_t)Number(config, "inputs", 32);
  (*device)->arrays = (uint32_t)Number(config, "arrays", 0);
  (*device)->high = (float)Number(config, "range", 100);
  (*device)->low = -(*device)->high;
  (*device)->capabilities = (uint32_t)Number(config, "can", 15);
  return XBARAX_OK;
}

static void Close(xbarax_device* device) {
  for (int k = 0; k < kArrays; ++k) {
    if (arrays[k].owner != device) continue; /* that of a device with another configuration */
    free(arrays[k].weights);
    arrays[k] = (Array){0};
  }
  free(device);
}

static const char* LastError(xbarax_device* device) {
  (void)device;
  return error;
}

static xbarax_status Describe(xbarax_device* device, xbarax_description* said) {
  strcpy(said->name, "counting");
  said->max_outputs = device->outputs;
  said->max_inputs = device->inputs;
  said->max_arrays = device->arrays;
  said->capabilities = device->capabilities;
  said->weight_low = device->low;
  said->weight_high = device->high;
  said->weight_error = said->read_noise = said->read_error = 0;
  return XBARAX_OK;
}

static xbarax_status Allocate(xbarax_device* device, uint32_t outputs, uint32_t inputs,
                              xbarax_array* id) {
  Array* array = Find(0);
  xbarax_status status = Enter(kAllocate, last_id + 1, 1);
  if (status == XBARAX_OK && array == NULL) {
    snprintf(error, sizeof error, "all places are taken");
    status = XBARAX_NO_SPACE;
  }
  if (status != XBARAX_OK) return Leave(status);
  const size_t size = (size_t)outputs * inputs;
  *array = (Array){device, ++last_id, outputs, inputs, calloc(size, sizeof(float))};
  *id = array->id;
  return Leave(XBARAX_OK);
}

static xbarax_status Release(xbarax_device* device, xbarax_array id) {
  (void)device;
  const xbarax_status status = Enter(kRelease, id, 1);
  Array* array = Find(id);
  if (status != XBARAX_OK || array == NULL) return Leave(status ? status : 1);
  free(array->weights);
  *array = (Array){0};
  return Leave(XBARAX_OK);
}

static float Inside(const xbarax_device* device, float weight) {
  return weight < device->low ? device->low : weight > device->high ? device->high : weight;
}

/* Sets or adds numbers or, of pulses, each a hundredth. */
static xbarax_status Write(xbarax_device* device, int32_t kind, uint64_t id, const float* numbers,
                           const int32_t* pulses) {
  const xbarax_status status = Enter(kind, id, 1);
  Array* array = Find(id);
  if (status != XBARAX_OK || array == NULL) return Leave(status ? status : 1);
  for (size_t k = 0; k < (size_t)array->outputs * array->inputs; ++k) {
    const float change = pulses == NULL ? numbers[k] : (float)pulses[k] / 100;
    array->weights[k] = Inside(device, kind == kProgram ? change : array->weights[k] + change);
  }
  return Leave(XBARAX_OK);
}

static xbarax_status Program(xbarax_device* device, xbarax_array id, const float* weights) {
  return Write(device, kProgram, id, weights, NULL);
}

static xbarax_status Update(xbarax_device* device, xbarax_array id, const float* deltas) {
  return Write(device, kUpdate, id, deltas, NULL);
}

static xbarax_status Pulse(xbarax_device* device, xbarax_array id, const int32_t* pulses) {
  return Write(device, kPulse, id, NULL, pulses);
}

static xbarax_status Read(xbarax_device* device, xbarax_array id, uint32_t n, const float* inputs,
                          float* results) {
  (void)device;
  const xbarax_status status = Enter(kRead, id, n);
  const Array* array = Find(id);
  if (status != XBARAX_OK || array == NULL) return Leave(status ? status : 1);
  for (uint32_t k = 0; k < n; ++k)
    for (uint32_t o = 0; o < array->outputs; ++o) {
      float sum = 0;
      for (uint32_t i = 0; i < array->inputs; ++i)
        sum += array->weights[o * array->inputs + i] * inputs[k * array->inputs + i];
      results[k * array->outputs + o] = sum;
    }
  return Leave(XBARAX_OK);
}

static xbarax_status ReadTransposed(xbarax_device* device, xbarax_array id, uint32_t n,
                                    const float* inputs, float* results) {
  (void)device;
  const xbarax_status status = Enter(kReadTransposed, id, n);
  const Array* array = Find(id);
  if (status != XBARAX_OK || array == NULL) return Leave(status ? status : 1);
  for (uint32_t k = 0; k < n; ++k)
    for (uint32_t i = 0; i < array->inputs; ++i) {
      float sum = 0;
      for (uint32_t o = 0; o < array->outputs; ++o)
        sum += array->weights[o * array->inputs + i] * inputs[k * array->outputs + o];
      results[k * array->inputs + i] = sum;
    }
  return Leave(XBARAX_OK);
}

static xbarax_status ReadOut(xbarax_device* device, xbarax_array id, float* weights) {
  (void)device;
  const xbarax_status status = Enter(kReadOut, id, 1);
  const Array* array = Find(id);
  if (status != XBARAX_OK || array == NULL) return Leave(status ? status : 1);
  memcpy(weights, array->weights, (size_t)array->outputs * array->inputs * sizeof *weights);
  return Leave(XBARAX_OK);
}

static const xbarax_driver table = {
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

const xbarax_driver* xbarax_driver_entry(void) { return &table; }
