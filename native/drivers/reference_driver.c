// The reference driver: a chip that computes exactly, in memory. All that a driver needs, and all
// that it may have; copy it and let the functions talk to your chip.
#include <stdlib.h>
#include <string.h>

#include "xbarax/driver.h"

enum { kMost = 65536 };

static const float kLow = -1e30f, kHigh = 1e30f;

typedef struct Array {
  xbarax_array id;
  uint32_t outputs, inputs;
  float* weights;
  struct Array* next;
} Array;

struct xbarax_device {
  Array* arrays;
  xbarax_array last_id;
  const char* error;
};

static const char* open_error = "";

static xbarax_status Fail(xbarax_device* device, xbarax_status status, const char* why) {
  device->error = why;
  return status;
}

static Array* Find(xbarax_device* device, xbarax_array id) {
  Array* array = device->arrays;
  while (array != NULL && array->id != id) array = array->next;
  if (array == NULL) device->error = "no such array";
  return array;
}

static xbarax_status Open(const char* config, xbarax_device** device) {
  (void)config;
  *device = calloc(1, sizeof **device);
  if (*device == NULL) {
    open_error = "out of memory";
    return XBARAX_NO_SPACE;
  }
  (*device)->error = "";
  return XBARAX_OK;
}

static void Close(xbarax_device* device) {
  while (device->arrays != NULL) {
    Array* array = device->arrays;
    device->arrays = array->next;
    free(array->weights);
    free(array);
  }
  free(device);
}

static const char* LastError(xbarax_device* device) {
  return device == NULL ? open_error : device->error;
}

static xbarax_status Describe(xbarax_device* device, xbarax_description* description) {
  (void)device;
  strcpy(description->name, "xbarax reference");
  description->max_outputs = description->max_inputs = kMost;
  description->max_arrays = 0;
  description->capabilities = XBARAX_CAN_READ_TRANSPOSED | XBARAX_CAN_UPDATE | XBARAX_CAN_READ_OUT;
  description->weight_low = kLow;
  description->weight_high = kHigh;
  description->weight_error = description->read_noise = description->read_error = 0;
  return XBARAX_OK;
}

static xbarax_status Allocate(xbarax_device* device, uint32_t outputs, uint32_t inputs,
                              xbarax_array* id) {
  if (outputs > kMost || inputs > kMost)
    return Fail(device, XBARAX_INVALID_ARGUMENT, "larger than an array can be");
  Array* array = malloc(sizeof *array);
  float* weights = calloc((size_t)outputs * inputs, sizeof *weights);
  if (array == NULL || weights == NULL) {
    free(array);
    free(weights);
    return Fail(device, XBARAX_NO_SPACE, "out of memory");
  }
  *id = ++device->last_id;
  *array = (Array){*id, outputs, inputs, weights, device->arrays};
  device->arrays = array;
  return XBARAX_OK;
}

static xbarax_status Release(xbarax_device* device, xbarax_array id) {
  for (Array** place = &device->arrays; *place != NULL; place = &(*place)->next) {
    Array* array = *place;
    if (array->id != id) continue;
    *place = array->next;
    free(array->weights);
    free(array);
    return XBARAX_OK;
  }
  return Fail(device, XBARAX_INVALID_ARGUMENT, "no such array");
}

static xbarax_status Program(xbarax_device* device, xbarax_array id, const float* weights) {
  Array* array = Find(device, id);
  if (array == NULL) return XBARAX_INVALID_ARGUMENT;
  memcpy(array->weights, weights, (size_t)array->outputs * array->inputs * sizeof *weights);
  return XBARAX_OK;
}

static xbarax_status Read(xbarax_device* device, xbarax_array id, uint32_t n, const float* inputs,
                          float* results) {
  const Array* array = Find(device, id);
  if (array == NULL) return XBARAX_INVALID_ARGUMENT;
  for (uint32_t k = 0; k < n; ++k, inputs += array->inputs, results += array->outputs) {
    for (uint32_t o = 0; o < array->outputs; ++o) {
      const float* row = array->weights + (size_t)o * array->inputs;
      float sum = 0;
      for (uint32_t i = 0; i < array->inputs; ++i) sum += row[i] * inputs[i];
      results[o] = sum;
    }
  }
  return XBARAX_OK;
}

static xbarax_status ReadTransposed(xbarax_device* device, xbarax_array id, uint32_t n,
                                    const float* inputs, float* results) {
  const Array* array = Find(device, id);
  if (array == NULL) return XBARAX_INVALID_ARGUMENT;
  memset(results, 0, (size_t)n * array->inputs * sizeof *results);
  for (uint32_t k = 0; k < n; ++k, inputs += array->outputs, results += array->inputs) {
    for (uint32_t o = 0; o < array->outputs; ++o) {
      const float* row = array->weights + (size_t)o * array->inputs;
      for (uint32_t i = 0; i < array->inputs; ++i) results[i] += inputs[o] * row[i];
    }
  }
  return XBARAX_OK;
}

static xbarax_status Update(xbarax_device* device, xbarax_array id, const float* deltas) {
  Array* array = Find(device, id);
  if (array == NULL) return XBARAX_INVALID_ARGUMENT;
  const size_t size = (size_t)array->outputs * array->inputs;
  for (size_t k = 0; k < size; ++k) {
    const float sum = array->weights[k] + deltas[k];
    array->weights[k] = sum < kLow ? kLow : sum > kHigh ? kHigh : sum;
  }
  return XBARAX_OK;
}

static xbarax_status ReadOut(xbarax_device* device, xbarax_array id, float* weights) {
  const Array* array = Find(device, id);
  if (array == NULL) return XBARAX_INVALID_ARGUMENT;
  memcpy(weights, array->weights, (size_t)array->outputs * array->inputs * sizeof *weights);
  return XBARAX_OK;
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
      .read_out = ReadOut,
  };
  return &driver;
}
