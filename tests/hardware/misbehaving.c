// A driver that breaks its contract in one place, the one that -DBUG=… names; 0: in none.
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xbarax/driver.h"

enum {
  GOOD,
  VERSION_MAJOR,
  VERSION_MINOR,
  STRUCT_SIZE,
  NO_READ_FUNCTION,
  NO_TABLE,
  CAPABILITY_NULL,
  NO_DEVICE,
  SETS_DEVICE_ON_FAILURE,
  SILENT_OPEN,
  THREAD_LOCAL_OPEN_ERROR,
  UNTERMINATED_NAME,
  RANGE_UPSIDE_DOWN,
  NAN_NOISE,
  FORGETS_A_MEMBER,
  DESCRIBES_WHAT_IS_LEFT,
  DESCRIBES_BEYOND,
  OPENS_ONCE,
  STATIC_STATE,
  TRANSPOSED_WEIGHTS,
  TRANSPOSED_RESULTS,
  IGNORES_N,
  NAN_RESULT,
  NOISE_LARGER,
  NOISE_SMALLER,
  BIASED,
  CLIPS_INPUTS,
  DROPS_TINY_INPUTS,
  ONE_SCALE_FOR_A_BATCH,
  IGNORES_SIGN,
  NOT_LINEAR,
  ACCUMULATES,
  SKIPS_ZEROS,
  OVERRUN,
  UNDERRUN,
  CHANGES_INPUTS,
  KEEPS_WEIGHTS,
  KEEPS_INPUTS,
  KEEPS_RESULTS,
  READ_CHANGES_STATE,
  SHARED_WEIGHTS,
  SAME_NUMBER,
  LEAKS_ARRAYS,
  LEAKS_A_LITTLE,
  LEAKS_DEVICES,
  LEAKS_IN_READ,
  FEWER_ARRAYS,
  MORE_ARRAYS,
  WRONG_STATUS_WHEN_FULL,
  NO_ROOM_AGAIN,
  SMALLER_THAN_STATED,
  COARSE_WEIGHTS,
  PROGRAM_ADDS,
  ENDS_OUT_OF_REACH,
  READ_OUT_OF_WISHES,
  TRANSPOSED_READ_IS_READ,
  TRANSPOSED_READ_SCALED,
  UPDATE_TWICE,
  UPDATE_SUBTRACTS,
  UPDATE_BEYOND,
  UPDATE_DROPS_SMALL,
  PULSE_BACKWARDS,
  PULSE_NOTHING,
  PULSE_TRANSPOSED,
  PULSE_ZERO_MOVES,
  OK_FOR_UNKNOWN,
  OK_FOR_RELEASED,
  NO_TEXT,
  NULL_TEXT,
  THREAD_LOCAL_TEXT,
  UNKNOWN_STATUS,
  LOST_FOR_WRONG_ARRAY,
  UNDESCRIBED_WORKS,
  STATIC_BUFFER,
  THREAD_AFFINITY,
  CRASH_ON_RELEASE,
  CRASH_ON_OPEN,
  HANG_ON_THIRD,
  EXITS,
  CRASH_AT_END,
};

#ifndef BUG
#define BUG GOOD
#endif

enum { kArrays = 6, kMost = 96 };

typedef struct Array {
  int used;
  uint32_t outputs, inputs;
  float* weights;
  float* wanted;
  const float* kept;
} Array;

struct xbarax_device {
  Array arrays[kArrays + 1];
  int devices_number;
  char error[64];
  float* kept_results;
  const float* kept_inputs;
};

static char open_error[64];
static __thread char thread_error[64];
static __thread int thread_opened;
static int open_devices, calls_of_read;
static uint64_t random_state = 88172645463325252u;
static struct xbarax_device* shared_device;

static double Uniform(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (double)(random_state >> 11) / 9007199254740992.0;
}

// The sum of twelve uniform numbers; the noise that is stated is 0.01.
static float Noise(void) {
  double sum = -6;
  for (int k = 0; k < 12; ++k) sum += Uniform();
  return (float)(sum * (BUG == NOISE_LARGER ? 0.02 : BUG == NOISE_SMALLER ? 0.001 : 0.01));
}

static xbarax_status Fail(xbarax_device* device, xbarax_status status, const char* why) {
  if (BUG == THREAD_LOCAL_TEXT)
    strcpy(thread_error, why);
  else if (BUG != NO_TEXT)
    strcpy(device->error, why);
  if (BUG == UNKNOWN_STATUS) return -1;
  if (BUG == LOST_FOR_WRONG_ARRAY) return XBARAX_LOST;
  return status;
}

static Array* Find(xbarax_device* device, xbarax_array id) {
  if (BUG == STATIC_STATE) device = shared_device;
  if (BUG == OK_FOR_UNKNOWN && (id == 0 || id > kArrays)) return &device->arrays[kArrays];
  if (id == 0 || id > kArrays) return NULL;
  Array* array = &device->arrays[BUG == SHARED_WEIGHTS ? 0 : id - 1];
  return array->used || BUG == OK_FOR_RELEASED ? array : NULL;
}

static xbarax_status Open(const char* config, xbarax_device** device) {
  if (BUG == CRASH_ON_OPEN) raise(SIGSEGV);
  const int odd = strstr(config, "xbarax-check") != NULL;
  const int full = BUG == OPENS_ONCE && open_devices > 0;
  if (odd || full) {
    char* to = BUG == THREAD_LOCAL_OPEN_ERROR ? thread_error : open_error;
    if (BUG != SILENT_OPEN) strcpy(to, odd ? "unknown option" : "the device is in use");
    if (BUG == SETS_DEVICE_ON_FAILURE) *device = (xbarax_device*)&open_error;
    return XBARAX_INVALID_ARGUMENT;
  }
  if (BUG == NO_DEVICE) return XBARAX_OK;
  *device = calloc(1, sizeof **device);
  ++open_devices;
  shared_device = *device;
  thread_opened = 1;
  return XBARAX_OK;
}

static void Close(xbarax_device* device) {
  --open_devices;
  if (BUG == LEAKS_DEVICES || BUG == STATIC_STATE) return;
  for (int k = 0; k < kArrays; ++k) free(device->arrays[k].weights), free(device->arrays[k].wanted);
  free(device);
}

static const char* LastError(xbarax_device* device) {
  if (BUG == NULL_TEXT) return NULL;
  if (BUG == THREAD_LOCAL_TEXT && device != NULL) return thread_error;
  if (BUG == THREAD_LOCAL_OPEN_ERROR && device == NULL) return thread_error;
  return device == NULL ? open_error : device->error;
}

static xbarax_status Describe(xbarax_device* device, xbarax_description* d) {
  if (BUG == UNTERMINATED_NAME)
    memset(d->name, 'x', sizeof d->name);
  else
    snprintf(d->name, sizeof d->name, "misbehaving %d", BUG);
  d->max_outputs = BUG == SMALLER_THAN_STATED ? 2 * kMost : kMost;
  d->max_inputs = kMost - 16;
  d->max_arrays = BUG == FEWER_ARRAYS ? kArrays + 1 : BUG == MORE_ARRAYS ? 2 : kArrays;
  if (BUG == DESCRIBES_WHAT_IS_LEFT)
    for (int k = 0; k < kArrays; ++k) d->max_arrays -= device->arrays[k].used;
  d->capabilities = 15;
  if (BUG == UNDESCRIBED_WORKS) d->capabilities = XBARAX_CAN_READ_OUT;
  d->weight_low = BUG == RANGE_UPSIDE_DOWN ? 1 : -1;
  d->weight_high = BUG == RANGE_UPSIDE_DOWN ? -1 : 1;
  if (BUG != FORGETS_A_MEMBER) d->weight_error = 0.001f;
  d->read_noise = BUG == NAN_NOISE ? NAN : 0.01f;
  d->read_error = 0.002f;
  if (BUG == DESCRIBES_BEYOND) memset(d + 1, 0, 4);
  return XBARAX_OK;
}

static xbarax_status Allocate(xbarax_device* device, uint32_t outputs, uint32_t inputs,
                              xbarax_array* id) {
  if (BUG == THREAD_AFFINITY && !thread_opened)
    return Fail(device, XBARAX_DEVICE_ERROR, "not the thread of open");
  if (outputs > kMost || inputs > kMost - 16)
    return Fail(device, XBARAX_INVALID_ARGUMENT, "the array is too large");
  for (int k = 0; k < kArrays; ++k) {
    Array* array = &device->arrays[k];
    if (array->used) continue;
    if (BUG == NO_ROOM_AGAIN && array->weights != NULL) continue;
    free(array->weights), free(array->wanted);
    if (BUG == LEAKS_A_LITTLE) {
      char* volatile lost = malloc(24);
      lost[0] = 1;
    }
    const size_t size = (size_t)outputs * inputs;
    array->weights = calloc(size, sizeof(float));
    array->wanted = calloc(size, sizeof(float));
    array->used = 1, array->outputs = outputs, array->inputs = inputs;
    *id = BUG == SAME_NUMBER ? 1 : (xbarax_array)k + 1;
    if (BUG == SHARED_WEIGHTS && k > 0) {
      Array* first = &device->arrays[0];
      free(first->weights), free(first->wanted);
      first->weights = calloc(size, sizeof(float)), first->wanted = calloc(size, sizeof(float));
      first->outputs = outputs, first->inputs = inputs;
    }
    return XBARAX_OK;
  }
  return Fail(device, BUG == WRONG_STATUS_WHEN_FULL ? XBARAX_DEVICE_ERROR : XBARAX_NO_SPACE,
              "the chip is full");
}

static xbarax_status Release(xbarax_device* device, xbarax_array id) {
  Array* array = Find(device, id);
  if (array == NULL) return Fail(device, XBARAX_INVALID_ARGUMENT, "no such array");
  if (BUG == CRASH_ON_RELEASE) raise(SIGSEGV);
  array->used = 0;
  if (BUG == LEAKS_ARRAYS) array->weights = array->wanted = NULL;
  return XBARAX_OK;
}

static float Clip(float x, float most) { return x > most ? most : x < -most ? -most : x; }

static xbarax_status Program(xbarax_device* device, xbarax_array id, const float* weights) {
  Array* array = Find(device, id);
  if (array == NULL) return Fail(device, XBARAX_INVALID_ARGUMENT, "no such array");
  const uint32_t size = array->outputs * array->inputs;
  for (uint32_t k = 0; k < size; ++k) {
    float w = Clip(weights[k], BUG == ENDS_OUT_OF_REACH ? 0.9f : 1);
    if (BUG == COARSE_WEIGHTS) w = roundf(w * 50) / 50;
    if (BUG == PROGRAM_ADDS) w += array->weights[k];
    array->weights[k] = BUG == READ_OUT_OF_WISHES ? 0.9f * w : w;
    array->wanted[k] = w;
  }
  array->kept = weights;
  if (BUG == CHANGES_INPUTS) ((float*)weights)[size - 1] += 0.001f;
  return XBARAX_OK;
}

static float Weight(const Array* array, uint32_t o, uint32_t i) {
  if (BUG == KEEPS_WEIGHTS) return array->kept[o * array->inputs + i];
  if (BUG == TRANSPOSED_WEIGHTS) return array->weights[i * array->outputs + o];
  return array->weights[o * array->inputs + i];
}

static float Input(float x, float largest) {
  if (BUG == CLIPS_INPUTS) return Clip(x, 10);
  if (BUG == DROPS_TINY_INPUTS) return roundf(x * 100) / 100;
  if (BUG == IGNORES_SIGN) return fabsf(x);
  if (BUG == ONE_SCALE_FOR_A_BATCH) return roundf(x / largest * 127) / 127 * largest;
  return x;
}

static xbarax_status Multiply(xbarax_device* device, const Array* array, int back, uint32_t n,
                              const float* inputs, float* results) {
  static float buffer[kMost * 128];
  const uint32_t from = back ? array->outputs : array->inputs;
  const uint32_t to = back ? array->inputs : array->outputs;
  float* at = BUG == STATIC_BUFFER && n * to < kMost * 128 ? buffer : results;
  float largest = 1e-30f;
  for (uint32_t k = 0; k < n * from; ++k) largest = fmaxf(largest, fabsf(inputs[k]));
  if (BUG == IGNORES_N) n = 1;
  for (uint32_t k = 0; k < n; ++k) {
    const float* x = inputs + k * from;
    float length = 0, most = 1e-30f;
    for (uint32_t f = 0; f < from; ++f) length += x[f] * x[f], most = fmaxf(most, fabsf(x[f]));
    length = sqrtf(length);
    for (uint32_t t = 0; t < to; ++t) {
      const uint32_t place = BUG == TRANSPOSED_RESULTS ? t * n + k : k * to + t;
      float sum = BUG == ACCUMULATES ? at[place] : 0;
      for (uint32_t f = 0; f < from; ++f)
        sum += (back ? Weight(array, f, t) : Weight(array, t, f)) * Input(x[f], largest);
      if (BUG == NOT_LINEAR) sum = length * tanhf(sum / (length + 1e-30f) * 1.5f) / 1.5f;
      if (BUG == BIASED) sum += 0.02f * length;
      if (BUG == TRANSPOSED_READ_SCALED && back) sum *= 1.2f;
      if (BUG == SKIPS_ZEROS && sum == 0) continue;
      at[place] = sum + Noise() * length;
    }
  }
  if (at == buffer) {
    usleep(200);  // for another thread to come between
    memcpy(results, buffer, (size_t)n * to * sizeof *results);
  }
  if (BUG == NAN_RESULT) results[n * to - 1] = NAN;
  if (BUG == OVERRUN) results[n * to] = 0;
  if (BUG == UNDERRUN) results[-1] = 0;
  (void)device;
  return XBARAX_OK;
}

static xbarax_status Read(xbarax_device* device, xbarax_array id, uint32_t n, const float* inputs,
                          float* results) {
  Array* array = Find(device, id);
  if (array == NULL) return Fail(device, XBARAX_INVALID_ARGUMENT, "no such array");
  ++calls_of_read;
  if (BUG == HANG_ON_THIRD && calls_of_read >= 3)
    for (;;) sleep(1);
  if (BUG == LEAKS_IN_READ) {
    char* volatile lost = malloc(200);
    lost[0] = 1;
  }
  const float* given = BUG == KEEPS_INPUTS && device->kept_inputs ? device->kept_inputs : inputs;
  if (BUG == KEEPS_INPUTS) device->kept_inputs = inputs;
  if (given != inputs && n == 1) given = inputs;
  if (BUG == KEEPS_RESULTS && device->kept_results) device->kept_results[0] += 1e-3f;
  device->kept_results = results;
  const xbarax_status status = Multiply(device, array, 0, n, inputs, results);
  if (given != inputs) results[0] += 1e-6f * given[0];
  if (BUG == READ_CHANGES_STATE) array->weights[0] *= 0.99f;
  return status;
}

static xbarax_status ReadTransposed(xbarax_device* device, xbarax_array id, uint32_t n,
                                    const float* inputs, float* results) {
  Array* array = Find(device, id);
  if (array == NULL) return Fail(device, XBARAX_INVALID_ARGUMENT, "no such array");
  const int back = BUG != TRANSPOSED_READ_IS_READ || array->outputs != array->inputs;
  return Multiply(device, array, back, n, inputs, results);
}

static xbarax_status Update(xbarax_device* device, xbarax_array id, const float* deltas) {
  Array* array = Find(device, id);
  if (array == NULL) return Fail(device, XBARAX_INVALID_ARGUMENT, "no such array");
  for (uint32_t k = 0; k < array->outputs * array->inputs; ++k) {
    float d = deltas[k];
    if (BUG == UPDATE_TWICE) d *= 2;
    if (BUG == UPDATE_SUBTRACTS) d = -d;
    if (BUG == UPDATE_DROPS_SMALL && fabsf(d) < 0.05f) d = 0;
    const float w = array->weights[k] + d;
    array->weights[k] = array->wanted[k] = BUG == UPDATE_BEYOND ? w : Clip(w, 1);
  }
  return XBARAX_OK;
}

static xbarax_status Pulse(xbarax_device* device, xbarax_array id, const int32_t* pulses) {
  Array* array = Find(device, id);
  if (array == NULL) return Fail(device, XBARAX_INVALID_ARGUMENT, "no such array");
  if (BUG == EXITS) exit(0);
  for (uint32_t o = 0; o < array->outputs; ++o) {
    for (uint32_t i = 0; i < array->inputs; ++i) {
      const int transposed = BUG == PULSE_TRANSPOSED;
      int32_t p = pulses[transposed ? i * array->outputs + o : o * array->inputs + i];
      if (BUG == PULSE_BACKWARDS) p = -p;
      if (BUG == PULSE_NOTHING) p = 0;
      if (BUG == PULSE_ZERO_MOVES && p == 0) p = 1;
      float* w = &array->weights[o * array->inputs + i];
      *w = array->wanted[o * array->inputs + i] = Clip(*w + 0.01f * (float)p, 1);
    }
  }
  return XBARAX_OK;
}

static xbarax_status ReadOut(xbarax_device* device, xbarax_array id, float* weights) {
  Array* array = Find(device, id);
  if (array == NULL) return Fail(device, XBARAX_INVALID_ARGUMENT, "no such array");
  const float* from = BUG == READ_OUT_OF_WISHES ? array->wanted : array->weights;
  memcpy(weights, from, (size_t)array->outputs * array->inputs * sizeof *weights);
  return XBARAX_OK;
}

__attribute__((destructor)) static void End(void) {
  if (BUG == CRASH_AT_END) raise(SIGSEGV);
}

const xbarax_driver* xbarax_driver_entry(void) {
  static const xbarax_driver driver = {
      .version_major = XBARAX_DRIVER_VERSION_MAJOR + (BUG == VERSION_MAJOR),
      .version_minor = XBARAX_DRIVER_VERSION_MINOR + (BUG == VERSION_MINOR),
      .struct_size = sizeof(xbarax_driver) - (BUG == STRUCT_SIZE ? 8 : 0),
      .open = Open,
      .close = Close,
      .last_error = LastError,
      .describe = Describe,
      .allocate = Allocate,
      .release = Release,
      .program = Program,
      .read = BUG == NO_READ_FUNCTION ? NULL : Read,
      .read_transposed = ReadTransposed,
      .update = Update,
      .pulse = BUG == CAPABILITY_NULL ? NULL : Pulse,
      .read_out = ReadOut,
  };
  return BUG == NO_TABLE ? NULL : &driver;
}
