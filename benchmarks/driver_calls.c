// A driver that does the least that a read can do: it looks at all of its inputs and writes all of
// its results.
#include <stdlib.h>
#include <string.h>

#include "xbarax/driver.h"

struct xbarax_device {
  uint32_t arrays;
};

static xbarax_status Open(const char* config, xbarax_device** device) {
  (void)config;
  *device = calloc(1, sizeof **device);
  return *device == NULL ? XBARAX_NO_SPACE : XBARAX_OK;
}
static void Close(xbarax_device* device) { free(device); }
static const char* LastError(xbarax_device* device) {
  (void)device;
  return "";
}
static xbarax_status Describe(xbarax_device* device, xbarax_description* description) {
  (void)device;
  strcpy(description->name, "least work");
  description->max_outputs = description->max_inputs = 4096;
  description->weight_low = -1;
  description->weight_high = 1;
  return XBARAX_OK;
}
static xbarax_status Allocate(xbarax_device* device, uint32_t outputs, uint32_t inputs,
                              xbarax_array* array) {
  *array = (xbarax_array)++device->arrays << 32 | inputs << 16 | outputs;  // all a read needs
  return XBARAX_OK;
}
static xbarax_status Release(xbarax_device* device, xbarax_array array) {
  (void)device;
  (void)array;
  return XBARAX_OK;
}
static xbarax_status Program(xbarax_device* device, xbarax_array array, const float* weights) {
  (void)device;
  (void)array;
  (void)weights;
  return XBARAX_OK;
}
static xbarax_status Read(xbarax_device* device, xbarax_array array, uint32_t n,
                          const float* inputs, float* results) {
  (void)device;
  const size_t n_inputs = array >> 16 & 0xffff, n_outputs = array & 0xffff;
  uint32_t bits = 0;  // of all inputs, so that they are read
  for (size_t i = 0; i < n * n_inputs; ++i) {
    uint32_t word;
    memcpy(&word, inputs + i, sizeof word);
    bits |= word;
  }
  memset(results, bits == 0 ? 0 : 0x3f, n * n_outputs * sizeof *results);
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
  };
  return &driver;
}
