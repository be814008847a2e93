#include "simulated_config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "simulated_json.h"
#include "xbarax/driver.h"

enum { kLongestGiven = 40 };  // of what was given, in a message

const char* const kCallNames[kCalls + 1] = {"allocate", "release",         "program",
                                            "read",     "read_transposed", "update",
                                            "pulse",    "read_out",        NULL};

static const char* const kKindNames[] = {"error", "timeout", "lost", "nan",
                                         "crash", "hang",    "exit", NULL};

static const char* const kCapabilityNames[] = {"read_transposed", "update", "pulse", "read_out",
                                               NULL};

static const SimulatedConfig kDefault = {
    .outputs = 64,
    .inputs = 64,
    .arrays = 64,
    .levels = 256,
    .capabilities =
        XBARAX_CAN_READ_TRANSPOSED | XBARAX_CAN_UPDATE | XBARAX_CAN_PULSE | XBARAX_CAN_READ_OUT,
    .seed = 0,
    .range = 1,
    .read_noise = 0.01,
    .latency_us = 0,
    .fault = {.number = 1},
};

// Calls that fail unless the configuration says which: those that reach the chip, and those that
// give numbers.
static const uint32_t kReaching = 1u << kProgram | 1u << kRead | 1u << kReadTransposed |
                                  1u << kUpdate | 1u << kPulse | 1u << kReadOut;
static const uint32_t kGiving = 1u << kRead | 1u << kReadTransposed | 1u << kReadOut;

// Where messages go, and the object that is being read: "fault." or nothing.
typedef struct Errors {
  char* text;
  size_t size;
  const char* object;
} Errors;

// What an object can hold: `read` checks a member's value and stores it at `offset`.
typedef struct Member {
  const char* name;
  bool (*read)(const Errors* errors, const char* name, Json value, void* to);
  size_t offset;
} Member;

// ---- Messages -------------------------------------------------------------------------------

// How much of what was given a message shows.
static int Shown(Json given) {
  const size_t size = (size_t)(given.end - given.begin);
  return size > kLongestGiven ? kLongestGiven : (int)size;
}

static bool Refuse(const Errors* errors, const char* name, const char* expected, Json given) {
  const int shown = Shown(given);
  snprintf(errors->text, errors->size, "config: \"%s%s\": expected %s, given %.*s%s",
           errors->object, name, expected, shown, given.begin,
           shown < given.end - given.begin ? "..." : "");
  return false;
}

// Refuses what is none of `names`.
static bool RefuseName(const Errors* errors, const char* name, const char* what,
                       const char* const* names, Json given) {
  char expected[192];  // more than the longest list needs
  int used = snprintf(expected, sizeof expected, "%s", what);
  for (const char* before = " "; *names != NULL; ++names, before = ", ")
    used += snprintf(expected + used, sizeof expected - (size_t)used, "%s%s", before, *names);
  return Refuse(errors, name, expected, given);
}

// Refuses a member's name.
static bool RefuseMember(const Errors* errors, const char* why, const Member* members, Json given) {
  char list[192];  // more than the longest needs
  int used = 0;
  for (const char* before = ""; members->name != NULL; ++members, before = ", ")
    used += snprintf(list + used, sizeof list - (size_t)used, "%s%s", before, members->name);
  snprintf(errors->text, errors->size, "config: %s: %.*s; expected at most once each of %s%s", why,
           Shown(given), given.begin, list, *errors->object == '\0' ? "" : " in \"fault\"");
  return false;
}

// ---- Values ---------------------------------------------------------------------------------

// The position of a string among `names`; -1: it is none of them, or no string.
static int Find(const char* const* names, Json value) {
  char text[32];
  if (!JsonString(value, text, sizeof text)) return -1;
  for (int k = 0; names[k] != NULL; ++k)
    if (strcmp(names[k], text) == 0) return k;
  return -1;
}

static bool Within(Json value, double least, double most, double* number) {
  return JsonNumber(value, number) && *number >= least && *number <= most;
}

static bool WholeWithin(Json value, double least, double most, double* number) {
  return Within(value, least, most, number) && *number == floor(*number);
}

static bool ReadSize(const Errors* errors, const char* name, Json value, void* to) {
  double size;
  if (!WholeWithin(value, 1, 16384, &size))
    return Refuse(errors, name, "an integer from 1 to 16384", value);
  *(uint32_t*)to = (uint32_t)size;
  return true;
}

static bool ReadLevels(const Errors* errors, const char* name, Json value, void* to) {
  double levels;
  if (!WholeWithin(value, 0, 65536, &levels) || levels == 1)
    return Refuse(errors, name, "0 or an integer from 2 to 65536", value);
  *(uint32_t*)to = (uint32_t)levels;
  return true;
}

static bool ReadSeed(const Errors* errors, const char* name, Json value, void* to) {
  double seed;
  if (!WholeWithin(value, 0, 9007199254740992.0, &seed))
    return Refuse(errors, name, "an integer from 0 to 2^53", value);
  *(uint64_t*)to = (uint64_t)seed;
  return true;
}

static bool ReadRange(const Errors* errors, const char* name, Json value, void* to) {
  return Within(value, 1e-6, 1e6, to) || Refuse(errors, name, "a number from 1e-6 to 1e6", value);
}

static bool ReadAmount(const Errors* errors, const char* name, Json value, void* to) {
  return Within(value, 0, 1e6, to) || Refuse(errors, name, "a number from 0 to 1e6", value);
}

static bool ReadCapabilities(const Errors* errors, const char* name, Json value, void* to) {
  static const char kWhat[] = "a list of any of";
  if (!JsonIsArray(value)) return RefuseName(errors, name, kWhat, kCapabilityNames, value);
  uint32_t capabilities = 0;
  Json element;
  for (const char* at = value.begin; JsonNextElement(&at, &element);) {
    const int bit = Find(kCapabilityNames, element);
    if (bit < 0) return RefuseName(errors, name, kWhat, kCapabilityNames, element);
    capabilities |= 1u << bit;
  }
  *(uint32_t*)to = capabilities;
  return true;
}

static bool ReadKind(const Errors* errors, const char* name, Json value, void* to) {
  const int kind = Find(kKindNames, value);
  if (kind < 0) return RefuseName(errors, name, "one of", kKindNames, value);
  *(FaultKind*)to = (FaultKind)(kNoFault + 1 + kind);
  return true;
}

static bool ReadNumber(const Errors* errors, const char* name, Json value, void* to) {
  double number;
  if (!WholeWithin(value, 1, 1e15, &number))
    return Refuse(errors, name, "an integer from 1 to 1e15", value);
  *(uint64_t*)to = (uint64_t)number;
  return true;
}

static bool ReadCall(const Errors* errors, const char* name, Json value, void* to) {
  const int call = Find(kCallNames, value);
  if (call < 0) return RefuseName(errors, name, "one of", kCallNames, value);
  *(uint32_t*)to = 1u << call;
  return true;
}

static bool ReadFile(const Errors* errors, const char* name, Json value, void* to) {
  return (JsonString(value, to, kLongestFile + 1) && *(char*)to != '\0') ||
         Refuse(errors, name, "a file's name of 1 to 1023 bytes", value);
}

// ---- Objects --------------------------------------------------------------------------------

static bool ReadMember(const Errors* errors, const Member* members, Json name, Json value,
                       uint32_t* seen, char* to) {
  char text[32];
  const Member* member = members;
  if (!JsonString(name, text, sizeof text)) text[0] = '\0';  // longer than any
  while (member->name != NULL && strcmp(member->name, text) != 0) ++member;
  if (member->name == NULL) return RefuseMember(errors, "unknown member", members, name);
  const uint32_t bit = 1u << (member - members);
  if (*seen & bit) return RefuseMember(errors, "repeated member", members, name);
  *seen |= bit;
  return member->read(errors, member->name, value, to + member->offset);
}

static bool ReadMembers(const Errors* errors, const Member* members, Json object, void* to) {
  uint32_t seen = 0;
  Json name, value;
  for (const char* at = object.begin; JsonNextMember(&at, &name, &value);)
    if (!ReadMember(errors, members, name, value, &seen, to)) return false;
  return true;
}

static bool ReadFault(const Errors* errors, const char* name, Json value, void* to) {
  static const Member kMembers[] = {
      {"kind", ReadKind, offsetof(FaultConfig, kind)},
      {"call", ReadNumber, offsetof(FaultConfig, number)},
      {"of", ReadCall, offsetof(FaultConfig, calls)},
      {"once", ReadFile, offsetof(FaultConfig, once)},
      {NULL, NULL, 0},
  };
  FaultConfig* fault = to;
  const Errors inner = {errors->text, errors->size, "fault."};
  if (!JsonIsObject(value)) return Refuse(errors, name, "an object", value);
  if (!ReadMembers(&inner, kMembers, value, fault)) return false;
  if (fault->kind == kNoFault)
    return RefuseName(errors, name, "an object with a \"kind\", one of", kKindNames, value);
  const uint32_t possible = fault->kind == kFaultNan ? kGiving : kReaching;
  if (fault->calls == 0) fault->calls = possible;
  if (fault->kind == kFaultNan && (fault->calls & kGiving) == 0)
    return Refuse(&inner, "of", "read, read_transposed or read_out with kind \"nan\"", value);
  return true;
}

bool ReadConfig(const char* text, SimulatedConfig* config, char* error, size_t error_size) {
  static const Member kMembers[] = {
      {"outputs", ReadSize, offsetof(SimulatedConfig, outputs)},
      {"inputs", ReadSize, offsetof(SimulatedConfig, inputs)},
      {"arrays", ReadSize, offsetof(SimulatedConfig, arrays)},
      {"range", ReadRange, offsetof(SimulatedConfig, range)},
      {"levels", ReadLevels, offsetof(SimulatedConfig, levels)},
      {"read_noise", ReadAmount, offsetof(SimulatedConfig, read_noise)},
      {"seed", ReadSeed, offsetof(SimulatedConfig, seed)},
      {"latency_us", ReadAmount, offsetof(SimulatedConfig, latency_us)},
      {"capabilities", ReadCapabilities, offsetof(SimulatedConfig, capabilities)},
      {"fault", ReadFault, offsetof(SimulatedConfig, fault)},
      {NULL, NULL, 0},
  };
  const Errors errors = {error, error_size, ""};
  Json object;
  char why[128];
  *config = kDefault;
  if (!JsonCheck(text, &object, why, sizeof why)) {
    snprintf(error, error_size, "config: %s", why);
    return false;
  }
  if (JsonIsObject(object)) return ReadMembers(&errors, kMembers, object, config);
  snprintf(error, error_size, "config: expected an object, given %.*s", Shown(object),
           object.begin);
  return false;
}
