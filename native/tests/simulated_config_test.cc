// What the simulated chip takes as its configuration, and what it says to all else.
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "tests/check.h"
#include "tests/numbers.h"
#include "tests/simulated_chip.h"
#include "xbarax/driver.h"

namespace xbarax {
namespace {

using test::Chip;
using test::kDriver;

bool StartsWith(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

void DescribesItsConfiguration() {
  Chip chip(
      R"({"outputs": 3, "inputs": 5, "arrays": 7, "range": 20.0e-1, "levels": 5, "seed": 1,
          "read_noise": 0.0025E+2, "latency_us": 1.5e0, "capabilities": ["update", "read_out"]})");
  const xbarax_description said = chip.Describe();
  CHECK(said.struct_size == sizeof said);
  CHECK(std::string(said.name) == "xbarax simulated");
  CHECK(said.max_outputs == 3 && said.max_inputs == 5 && said.max_arrays == 7);
  CHECK(said.capabilities == (XBARAX_CAN_UPDATE | XBARAX_CAN_READ_OUT));
  CHECK(said.weight_low == -2 && said.weight_high == 2);
  CHECK(said.weight_error >= 1 && said.weight_error < 1.0001f);  // a step: updates round at random
  CHECK(said.read_noise == 0.25f);
  Chip programs(R"({"levels": 5, "range": 2, "capabilities": []})");
  CHECK(programs.Describe().capabilities == 0);
  CHECK(programs.Describe().weight_error >= 0.5f && programs.Describe().weight_error < 0.5001f);
}

void HasDefaults() {
  Chip chip(" {\t} \n");
  const xbarax_description said = chip.Describe();
  CHECK(said.max_outputs == 64 && said.max_inputs == 64 && said.max_arrays == 64);
  CHECK(said.capabilities == 15 && said.weight_high == 1 && said.read_noise == 0.01f);
}

// An older xbarax has a shorter description.
void WritesNoMemberBeyondTheCallers() {
  Chip chip("{}");
  xbarax_description said;
  std::memset(&said, 0x5a, sizeof said);
  said.struct_size = offsetof(xbarax_description, read_noise);
  CHECK(kDriver.describe(chip.device(), &said) == XBARAX_OK);
  CHECK(said.max_outputs == 64);
  const unsigned char* bytes = reinterpret_cast<const unsigned char*>(&said);
  for (std::size_t k = said.struct_size; k < sizeof said; ++k) CHECK(bytes[k] == 0x5a);
}

struct BadConfig {
  const char* text;
  const char* message;  // all of it
};

constexpr BadConfig kBad[] = {
    {"", "config: not JSON at byte 0: expected a value, given the end"},
    {"{\"seed\": 1", "config: not JSON at byte 10: expected ',' or '}', given the end"},
    {"{\"seed\": 1,}", "config: not JSON at byte 11: expected a string, given '}'"},
    {"{\"seed\" 1}", "config: not JSON at byte 8: expected ':', given '1'"},
    {"{\"seed\": 01}", "config: not JSON at byte 10: expected ',' or '}', given '1'"},
    {"{\"seed\": 1.}", "config: not JSON at byte 11: expected a digit, given '}'"},
    {"{\"seed\": 1e}", "config: not JSON at byte 11: expected a digit, given '}'"},
    {"{\"seed\": nul}", "config: not JSON at byte 9: expected a value, given 'n'"},
    {"{} 1", "config: not JSON at byte 3: expected the end, given '1'"},
    {"{\"a\nb\": 1}",
     "config: not JSON at byte 3: expected a string's character or its closing quote, given byte "
     "0x0a"},
    {"\"\\x\"",
     "config: not JSON at byte 2: expected one of \"\\/bfnrtu after a backslash, given "
     "'x'"},
    {"\"\\u12g4\"", "config: not JSON at byte 5: expected four hexadecimal digits, given 'g'"},
    {"[1, 2]", "config: expected an object, given [1, 2]"},
    {"{\"colour\": 1}",
     "config: unknown member: \"colour\"; expected at most once each of outputs, inputs, arrays, "
     "range, levels, read_noise, seed, latency_us, capabilities, fault"},
    {"{\"seed\": 1, \"\\u0073eed\": 2}",
     "config: repeated member: \"\\u0073eed\"; expected at most once each of outputs, inputs, "
     "arrays, range, levels, read_noise, seed, latency_us, capabilities, fault"},
    {"{\"outputs\": 0}", "config: \"outputs\": expected an integer from 1 to 16384, given 0"},
    {"{\"inputs\": 16385}", "config: \"inputs\": expected an integer from 1 to 16384, given 16385"},
    {"{\"inputs\": 1.5}", "config: \"inputs\": expected an integer from 1 to 16384, given 1.5"},
    {"{\"arrays\": \"7\"}", "config: \"arrays\": expected an integer from 1 to 16384, given \"7\""},
    {"{\"range\": -1}", "config: \"range\": expected a number from 1e-6 to 1e6, given -1"},
    {"{\"range\": 1e999}", "config: \"range\": expected a number from 1e-6 to 1e6, given 1e999"},
    {"{\"levels\": 1}", "config: \"levels\": expected 0 or an integer from 2 to 65536, given 1"},
    {"{\"levels\": true}",
     "config: \"levels\": expected 0 or an integer from 2 to 65536, given true"},
    {"{\"read_noise\": -0.1}",
     "config: \"read_noise\": expected a number from 0 to 1e6, given -0.1"},
    {"{\"seed\": 9007199254740994}",
     "config: \"seed\": expected an integer from 0 to 2^53, given 9007199254740994"},
    {"{\"latency_us\": null}",
     "config: \"latency_us\": expected a number from 0 to 1e6, given null"},
    {"{\"capabilities\": \"update\"}",
     "config: \"capabilities\": expected a list of any of read_transposed, update, pulse, "
     "read_out, "
     "given \"update\""},
    {"{\"capabilities\": [\"update\", \"fly\"]}",
     "config: \"capabilities\": expected a list of any of read_transposed, update, pulse, "
     "read_out, "
     "given \"fly\""},
    {"{\"fault\": \"error\"}", "config: \"fault\": expected an object, given \"error\""},
    {"{\"fault\": {}}",
     "config: \"fault\": expected an object with a \"kind\", one of error, timeout, lost, nan, "
     "crash, hang, exit, given {}"},
    {"{\"fault\": {\"kind\": \"boom\"}}",
     "config: \"fault.kind\": expected one of error, timeout, lost, nan, crash, hang, exit, given "
     "\"boom\""},
    {"{\"fault\": {\"kind\": \"error\", \"call\": 0}}",
     "config: \"fault.call\": expected an integer from 1 to 1e15, given 0"},
    {"{\"fault\": {\"kind\": \"error\", \"of\": \"open\"}}",
     "config: \"fault.of\": expected one of allocate, release, program, read, read_transposed, "
     "update, pulse, read_out, given \"open\""},
    {"{\"fault\": {\"of\": \"pulse\", \"kind\": \"nan\"}}",
     "config: \"fault.of\": expected read, read_transposed or read_out with kind \"nan\", given "
     "{\"of\": \"pulse\", \"kind\": \"nan\"}"},
    {"{\"fault\": {\"kind\": \"error\", \"once\": 1}}",
     "config: \"fault.once\": expected a file's name of 1 to 1023 bytes, given 1"},
    {"{\"fault\": {\"kind\": \"error\", \"when\": 1}}",
     "config: unknown member: \"when\"; expected at most once each of kind, call, of, once in "
     "\"fault\""},
    {"{\"seed\": \"0123456789012345678901234567890123456789\"}",
     "config: \"seed\": expected an integer from 0 to 2^53, given "
     "\"012345678901234567890123456789012345678..."},
};

void RefusesBadConfigurations() {
  for (const auto& [text, message] : kBad) {
    xbarax_device* device = nullptr;
    CHECK(kDriver.open(text, &device) == XBARAX_INVALID_ARGUMENT);
    CHECK(device == nullptr);
    const std::string said = kDriver.last_error(nullptr);
    CHECK(said == message);
    if (said != message) std::fprintf(stderr, "%s\n  %s\n  %s\n", text, said.c_str(), message);
  }
}

// Whether it opens, and closes again.
bool Opens(const std::string& text) {
  // A copy without room behind its end, which a sanitizer watches.
  const std::unique_ptr<char[]> exact(new char[text.size() + 1]);
  std::memcpy(exact.get(), text.c_str(), text.size() + 1);
  xbarax_device* device = nullptr;
  const xbarax_status status = kDriver.open(exact.get(), &device);
  if (status == XBARAX_OK) kDriver.close(device);
  CHECK(status == XBARAX_OK || StartsWith(kDriver.last_error(nullptr), "config: "));
  return status == XBARAX_OK;
}

constexpr char kFull[] =
    R"({"outputs": 64, "range": 1.25e+0, "capabilities": ["pulse", "re\u0061d_out"], "seed": -0, )"
    R"("fault": {"kind": "error", "call": 7, "of": "read", "once": "\ud83d\ude00\n\u00e9\u20ac"}})";

void SurvivesAnyText() {
  CHECK(Opens(kFull));
  const std::string full = kFull;
  for (std::size_t size = 0; size < full.size(); ++size) CHECK(!Opens(full.substr(0, size)));
  for (const char* open : {"[", "{\"a\":", "[{\"a\":[", "\"\\ud83d"})
    for (int depth : {31, 32, 33, 1000, 100000}) {
      std::string text;
      for (int k = 0; k < depth; ++k) text += open;
      CHECK(!Opens(text));
      CHECK(!Opens("{\"seed\": " + text));
    }
  test::Numbers numbers(1);
  for (int round = 0; round < 20000; ++round) {
    std::string text = round % 4 == 0 ? "" : full;
    const std::vector<float> random = numbers.Fractions(16);
    const int changes = 1 + static_cast<int>(random[0] * 4);
    for (int k = 0; k < changes; ++k) {
      const std::size_t at = static_cast<std::size_t>(random[3 * k + 1] * (text.size() + 1));
      const char byte = random[3 * k + 2] < 0.5f
                            ? static_cast<char>(1 + random[3 * k + 3] * 255)
                            : "{}[]\",:\\u0e-."[static_cast<int>(random[3 * k + 3] * 13)];
      if (random[3 * k + 2] * 16 - std::floor(random[3 * k + 2] * 16) < 0.5f || at == text.size())
        text.insert(at, 1, byte);
      else
        text[at] = byte;
    }
    Opens(text);
  }
}

}  // namespace
}  // namespace xbarax

int main() {
  xbarax::DescribesItsConfiguration();
  xbarax::HasDefaults();
  xbarax::WritesNoMemberBeyondTheCallers();
  xbarax::RefusesBadConfigurations();
  xbarax::SurvivesAnyText();
  return xbarax::test::Result();
}
