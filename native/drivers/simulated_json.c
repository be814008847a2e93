#include "simulated_json.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { kDeepest = 32 };  // what calls itself must end, whatever the text

// ---- Checking -------------------------------------------------------------------------------

typedef struct Reader {
  const char* at;
  const char* expected;  // what is not there, once something is not
} Reader;

static bool SkipValue(Reader* reader, int depth);

static bool Expected(Reader* reader, const char* what) {
  reader->expected = what;
  return false;
}

static void SkipSpace(Reader* reader) {
  while (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\n' || *reader->at == '\r')
    ++reader->at;
}

static bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// -1: no hexadecimal digit.
static int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

static bool SkipDigits(Reader* reader) {
  if (!IsDigit(*reader->at)) return Expected(reader, "a digit");
  while (IsDigit(*reader->at)) ++reader->at;
  return true;
}

static bool SkipNumber(Reader* reader) {
  if (*reader->at == '-') ++reader->at;
  if (*reader->at == '0') {
    ++reader->at;  // and no digit after it
  } else if (!SkipDigits(reader)) {
    return false;
  }
  if (*reader->at == '.') {
    ++reader->at;
    if (!SkipDigits(reader)) return false;
  }
  if (*reader->at != 'e' && *reader->at != 'E') return true;
  ++reader->at;
  if (*reader->at == '+' || *reader->at == '-') ++reader->at;
  return SkipDigits(reader);
}

static bool SkipEscape(Reader* reader) {
  const char kind = *reader->at;
  if (kind == '\0' || strchr("\"\\/bfnrtu", kind) == NULL)
    return Expected(reader, "one of \"\\/bfnrtu after a backslash");
  ++reader->at;
  for (int k = 0; kind == 'u' && k < 4; ++k, ++reader->at)
    if (HexDigit(*reader->at) < 0) return Expected(reader, "four hexadecimal digits");
  return true;
}

static bool SkipString(Reader* reader) {
  if (*reader->at != '"') return Expected(reader, "a string");
  ++reader->at;
  while (*reader->at != '"') {
    const unsigned char c = (unsigned char)*reader->at;
    if (c < 0x20) return Expected(reader, "a string's character or its closing quote");
    ++reader->at;
    if (c == '\\' && !SkipEscape(reader)) return false;
  }
  ++reader->at;
  return true;
}

static bool SkipWord(Reader* reader, const char* word) {
  const size_t size = strlen(word);
  if (strncmp(reader->at, word, size) != 0) return Expected(reader, "a value");
  reader->at += size;
  return true;
}

static bool SkipName(Reader* reader) {
  if (!SkipString(reader)) return false;
  SkipSpace(reader);
  if (*reader->at != ':') return Expected(reader, "':'");
  ++reader->at;
  SkipSpace(reader);
  return true;
}

// An object's members or an array's elements, up to `close`.
static bool SkipMany(Reader* reader, char close, int depth) {
  const bool named = close == '}';
  ++reader->at;
  SkipSpace(reader);
  if (*reader->at == close) {
    ++reader->at;
    return true;
  }
  for (;;) {
    if (named && !SkipName(reader)) return false;
    if (!SkipValue(reader, depth)) return false;
    SkipSpace(reader);
    if (*reader->at == close) {
      ++reader->at;
      return true;
    }
    if (*reader->at != ',') return Expected(reader, named ? "',' or '}'" : "',' or ']'");
    ++reader->at;
    SkipSpace(reader);
  }
}

static bool SkipValue(Reader* reader, int depth) {
  switch (*reader->at) {
    case '{':
    case '[':
      if (depth == kDeepest) return Expected(reader, "no deeper nesting");
      return SkipMany(reader, *reader->at == '{' ? '}' : ']', depth + 1);
    case '"':
      return SkipString(reader);
    case 't':
      return SkipWord(reader, "true");
    case 'f':
      return SkipWord(reader, "false");
    case 'n':
      return SkipWord(reader, "null");
    default:
      if (*reader->at != '-' && !IsDigit(*reader->at)) return Expected(reader, "a value");
      return SkipNumber(reader);
  }
}

bool JsonCheck(const char* text, Json* value, char* error, size_t error_size) {
  Reader reader = {text, NULL};
  SkipSpace(&reader);
  value->begin = reader.at;
  bool good = SkipValue(&reader, 0);
  value->end = reader.at;
  if (good) {
    SkipSpace(&reader);
    good = *reader.at == '\0' || Expected(&reader, "the end");
  }
  if (good) return true;
  const unsigned char c = (unsigned char)*reader.at;
  char given[16] = "the end";
  if (c != '\0') snprintf(given, sizeof given, c < 0x20 || c > 0x7e ? "byte 0x%02x" : "'%c'", c);
  snprintf(error, error_size, "not JSON at byte %zu: expected %s, given %s",
           (size_t)(reader.at - text), reader.expected, given);
  return false;
}

// ---- Walking through what was checked ---------------------------------------------------------

static void TakeValue(Reader* reader, Json* value) {
  value->begin = reader->at;
  SkipValue(reader, 0);
  value->end = reader->at;
}

// Steps over the opening bracket or the comma. False at the closing bracket.
static bool Step(Reader* reader) {
  SkipSpace(reader);
  if (*reader->at == '}' || *reader->at == ']') return false;
  ++reader->at;
  SkipSpace(reader);
  return *reader->at != '}' && *reader->at != ']';
}

bool JsonNextMember(const char** at, Json* name, Json* value) {
  Reader reader = {*at, NULL};
  if (!Step(&reader)) return false;
  TakeValue(&reader, name);
  SkipSpace(&reader);
  ++reader.at;  // the colon
  SkipSpace(&reader);
  TakeValue(&reader, value);
  *at = reader.at;
  return true;
}

bool JsonNextElement(const char** at, Json* value) {
  Reader reader = {*at, NULL};
  if (!Step(&reader)) return false;
  TakeValue(&reader, value);
  *at = reader.at;
  return true;
}

bool JsonIsObject(Json value) { return *value.begin == '{'; }
bool JsonIsArray(Json value) { return *value.begin == '['; }

// strtod would expect the locale's decimal point.
bool JsonNumber(Json value, double* number) {
  const char* at = value.begin;
  const bool negative = *at == '-';
  if (negative) ++at;
  if (!IsDigit(*at)) return false;
  double digits = 0;
  int exponent = 0, given = 0;
  for (; at != value.end && IsDigit(*at); ++at) digits = 10 * digits + (*at - '0');
  if (at != value.end && *at == '.')
    for (++at; at != value.end && IsDigit(*at); ++at, --exponent)
      digits = 10 * digits + (*at - '0');
  if (at != value.end) {  // an e
    ++at;
    const bool down = *at == '-';
    if (*at == '+' || *at == '-') ++at;
    for (; at != value.end; ++at)
      if (given < 100000) given = 10 * given + (*at - '0');
    exponent += down ? -given : given;
  }
  // Dividing by a whole power of ten, not multiplying by its inverse, rounds once: 0.1 is 0.1.
  const double scaled = digits == 0    ? 0
                        : exponent < 0 ? digits / pow(10, -exponent)
                                       : digits * pow(10, exponent);
  *number = negative ? -scaled : scaled;
  return true;
}

// Takes the four digits of a \u escape.
static uint32_t TakeHex(const char** at) {
  uint32_t code = 0;
  for (int k = 0; k < 4; ++k) code = 16 * code + (uint32_t)HexDigit(*(*at)++);
  return code;
}

// Takes an escape, the backslash of which is behind *at.
static uint32_t TakeEscape(const char** at) {
  static const char kKinds[] = "bfnrt", kMeant[] = "\b\f\n\r\t";
  const char kind = *(*at)++;
  const char* known = strchr(kKinds, kind);
  if (known != NULL) return (uint32_t)kMeant[known - kKinds];
  if (kind != 'u') return (uint32_t)kind;
  const uint32_t code = TakeHex(at);
  if (code < 0xd800 || code > 0xdfff) return code == 0 ? 0xfffd : code;
  if (code > 0xdbff || (*at)[0] != '\\' || (*at)[1] != 'u') return 0xfffd;
  const char* after = *at + 2;
  const uint32_t low = TakeHex(&after);
  if (low < 0xdc00 || low > 0xdfff) return 0xfffd;
  *at = after;
  return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
}

// Writes a character as UTF-8, and returns how many bytes it has.
static size_t Encode(uint32_t code, char bytes[4]) {
  if (code < 0x80) {
    bytes[0] = (char)code;
    return 1;
  }
  const size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t k = size - 1; k > 0; --k, code >>= 6) bytes[k] = (char)(0x80 | (code & 0x3f));
  static const unsigned char kFirst[] = {0, 0, 0xc0, 0xe0, 0xf0};
  bytes[0] = (char)(kFirst[size] | code);
  return size;
}

bool JsonString(Json value, char* text, size_t text_size) {
  if (*value.begin != '"') return false;
  size_t used = 0;
  for (const char* at = value.begin + 1; at != value.end - 1;) {
    char bytes[4] = {*at};
    size_t size = 1;
    if (*at++ == '\\') size = Encode(TakeEscape(&at), bytes);
    if (size >= text_size - used) return false;
    memcpy(text + used, bytes, size);
    used += size;
  }
  text[used] = '\0';
  return true;
}
