// A driver that does no work: what a call takes then is what xbarax and XLA take.
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
  strcpy(description->name, "no work");
  description->max_outputs = description->max_inputs = 4096;
  description->weight_low = -1;
  description->weight_high = 1;
  return XBARAX_OK;
}
static xbarax_status Allocate(xbarax_device* device, uint32_t outputs, uint32_t inputs,
                              xbarax_array* array) {
  (void)inputs;
  *array = (xbarax_array)++device->arrays << 32 | outputs;  // which is all that a read needs
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
  (void)inputs;
  memset(results, 0, (size_t)n * (uint32_t)array * sizeof *results);
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
