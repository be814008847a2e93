// JSON as RFC 8259 has it, and nothing beyond, for a driver's configuration: text is checked as a
// whole, and walked through then. Nothing is allocated, and the locale does not matter.
#ifndef XBARAX_DRIVERS_SIMULATED_JSON_H_
#define XBARAX_DRIVERS_SIMULATED_JSON_H_

#include <stdbool.h>
#include <stddef.h>

// A value's text, without the space around it.
typedef struct Json {
  const char* begin;
  const char* end;
} Json;

// Checks all of `text`. False, and why in `error`, if it is not one JSON value. Bytes beyond ASCII
// pass as they are.
bool JsonCheck(const char* text, Json* value, char* error, size_t error_size);

// What follows takes checked values alone.

// Steps through an object's members, or an array's elements: *at begins as value.begin; false at
// the end.
bool JsonNextMember(const char** at, Json* name, Json* value);
bool JsonNextElement(const char** at, Json* value);

bool JsonIsObject(Json value);
bool JsonIsArray(Json value);

// False if the value is no number. One too large for a double is not finite.
bool JsonNumber(Json value, double* number);

// The characters of a string as UTF-8, ended by a zero. False if the value is no string, or the
// characters do not fit. Of what C or Unicode cannot hold (U+0000, halves of pairs) comes U+FFFD.
bool JsonString(Json value, char* text, size_t text_size);

#endif  // XBARAX_DRIVERS_SIMULATED_JSON_H_
