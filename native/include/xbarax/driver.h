/* The interface between xbarax and the driver of a crossbar chip. C99.
 *
 * A driver is a shared library that exports one function, xbarax_driver_entry, which returns a
 * table of functions. xbarax opens a device with them, allocates arrays on it, programs and reads
 * them.
 *
 * Data. An array is a matrix of dimensionless weights, float32, row-major, [outputs][inputs],
 * within the range that the driver describes. Mapping weights to devices, and numbers to volts and
 * back, is the driver's business: it knows its chip. Inputs are any finite numbers, [n][inputs],
 * results [n][outputs]: a driver with converters scales each vector to their range and back. A
 * layer that is larger than an array can be is cut into several arrays by xbarax, which adds their
 * results.
 *
 * Threads. xbarax makes one call at a time into a device, from any thread. Calls into different
 * devices of one library can be made at the same time, and so can xbarax_driver_entry.
 *
 * Memory. All buffers are the caller's. They are valid during the call alone, and do not overlap.
 * A driver never returns memory that the caller must free.
 *
 * Errors. A function returns XBARAX_OK or a status that says what kind of thing went wrong;
 * last_error says it in words. No exception, longjmp or exit may leave a driver. Programming, an
 * update or pulses that fail may leave their array with any weights; nothing else changes weights.
 * An array that does not exist (any more), and one larger than described, are refused with
 * XBARAX_INVALID_ARGUMENT. xbarax calls nothing with other arguments outside of what is written
 * here.
 */
#ifndef XBARAX_DRIVER_H_
#define XBARAX_DRIVER_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A library works with an xbarax of the same major version, and the same minor one or a newer. */
#define XBARAX_DRIVER_VERSION_MAJOR 1
#define XBARAX_DRIVER_VERSION_MINOR 0

#if defined(_WIN32)
#define XBARAX_DRIVER_EXPORT __declspec(dllexport)
#else
#define XBARAX_DRIVER_EXPORT __attribute__((visibility("default")))
#endif

typedef int32_t xbarax_status;
enum {
  XBARAX_OK = 0,
  XBARAX_INVALID_ARGUMENT = 1, /* a configuration, an array or a size that cannot be */
  XBARAX_NO_SPACE = 2,         /* the chip has no room for another array of this size */
  XBARAX_DEVICE_ERROR = 3,     /* the chip, or the way to it, failed */
  XBARAX_TIMEOUT = 4,          /* the chip did not answer in time */
  XBARAX_UNSUPPORTED = 5,      /* a capability that was not described */
  XBARAX_LOST = 6 /* the chip and all its arrays are gone until it is closed and opened anew */
};

/* What a device can do beyond allocating, programming and reading. xbarax emulates what is missing,
 * where that is honest, and tells the user so. */
enum {
  XBARAX_CAN_READ_TRANSPOSED = 1 << 0, /* else: computed from read_out */
  XBARAX_CAN_UPDATE = 1 << 1,          /* else: read_out, add, program */
  XBARAX_CAN_PULSE = 1 << 2,           /* else: an error */
  XBARAX_CAN_READ_OUT = 1 << 3         /* else: the weights that were asked for last */
};

typedef struct xbarax_description {
  size_t struct_size;    /* set by the caller: write no member that lies beyond it */
  char name[64];         /* of the chip, ended by a zero */
  uint32_t max_outputs;  /* of one array; at least 1 */
  uint32_t max_inputs;   /* of one array; at least 1 */
  uint32_t max_arrays;   /* at one time; 0: not known before allocate says so */
  uint32_t capabilities; /* XBARAX_CAN_... */
  float weight_low;      /* the range of weights, below */
  float weight_high;     /* and above */
  float weight_error;    /* programming and updates leave weights at most this far from the asked */
  float read_noise;      /* standard deviation of a result, in units of the input vector's length */
  float read_error;      /* largest other error of a result, in the same units */
} xbarax_description;

/* A device; the driver defines what it is. */
typedef struct xbarax_device xbarax_device;

/* An array on a device: any number, for as long as the array lives. */
typedef uint64_t xbarax_array;

typedef struct xbarax_driver {
  uint32_t version_major; /* XBARAX_DRIVER_VERSION_MAJOR */
  uint32_t version_minor; /* XBARAX_DRIVER_VERSION_MINOR */
  size_t struct_size;     /* sizeof(xbarax_driver) */

  /* Opens the device that `config`, a JSON object as text, describes; "{}" must do where there is
   * only one. Sets *device on success, and only then. */
  xbarax_status (*open)(const char* config, xbarax_device** device);
  /* Closes it, with all its arrays. */
  void (*close)(xbarax_device* device);
  /* What went wrong in the last call that failed: text in UTF-8, ended by a zero, valid until the
   * next call. With NULL: in the last open, of any thread. Never returns NULL. */
  const char* (*last_error)(xbarax_device* device);
  /* Says what the device is. The same for as long as it is open. */
  xbarax_status (*describe)(xbarax_device* device, xbarax_description* description);

  /* Makes room for an array; its weights are then anything. */
  xbarax_status (*allocate)(xbarax_device* device, uint32_t outputs, uint32_t inputs,
                            xbarax_array* array);
  /* Gives the room back. */
  xbarax_status (*release)(xbarax_device* device, xbarax_array array);
  /* Programs all weights, [outputs][inputs], each within the range. */
  xbarax_status (*program)(xbarax_device* device, xbarax_array array, const float* weights);
  /* Reads n input vectors: results[k][o] = sum over i of weight[o][i] inputs[k][i], with the chip's
   * noise. n is at least 1. */
  xbarax_status (*read)(xbarax_device* device, xbarax_array array, uint32_t n, const float* inputs,
                        float* results);

  /* What the device describes as its capabilities; NULL where it never has one. */

  /* Reads from the outputs to the inputs: inputs [n][outputs], results [n][inputs]. */
  xbarax_status (*read_transposed)(xbarax_device* device, xbarax_array array, uint32_t n,
                                   const float* inputs, float* results);
  /* Adds deltas[outputs][inputs] to the weights, as well as the devices can; what would leave the
   * range stays at its end. */
  xbarax_status (*update)(xbarax_device* device, xbarax_array array, const float* deltas);
  /* Applies pulses[outputs][inputs] to the weights' devices: above 0 upwards, below 0 downwards. */
  xbarax_status (*pulse)(xbarax_device* device, xbarax_array array, const int32_t* pulses);
  /* The weights as they are, [outputs][inputs]. */
  xbarax_status (*read_out)(xbarax_device* device, xbarax_array array, float* weights);
} xbarax_driver;

/* The driver's only export: its table, which is never freed and never changes. */
XBARAX_DRIVER_EXPORT const xbarax_driver* xbarax_driver_entry(void);

#ifdef __cplusplus
}
#endif

#endif /* XBARAX_DRIVER_H_ */
