// What goes wrong with the simulated chip when it should, and two of them in two threads.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/check.h"
#include "tests/numbers.h"
#include "tests/simulated_chip.h"
#include "xbarax/driver.h"

namespace xbarax {
namespace {

using test::Call;
using test::Chip;
using test::kDriver;
using test::kReaching;

bool StartsWith(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

std::string FaultConfig(const std::string& kind, int call, const std::string& of) {
  return R"({"read_noise": 0, "fault": {"kind": ")" + kind + R"(", "call": )" +
         std::to_string(call) + (of.empty() ? "" : R"(, "of": ")" + of + '"') + "}}";
}

void OneCallFails() {
  for (const auto& [kind, status, text] :
       {std::tuple{"error", XBARAX_DEVICE_ERROR, ": simulated error at call 2"},
        {"timeout", XBARAX_TIMEOUT, ": simulated timeout at call 2"}})
    for (const std::string call :
         {"allocate", "program", "read", "read_transposed", "update", "pulse", "read_out"}) {
      Chip chip(FaultConfig(kind, 2, call));
      const xbarax_array array = chip.Allocated(2, 2);
      float first;
      if (call != "allocate") CHECK(Call(&chip, call, array, &first) == XBARAX_OK);
      for (const std::string& other : kReaching)
        if (other != call) CHECK(Call(&chip, other, array, &first) == XBARAX_OK);
      CHECK(Call(&chip, call, array, &first) == status);
      CHECK(chip.Error() == call + text);
      for (int k = 0; k < 3; ++k) CHECK(Call(&chip, call, array, &first) == XBARAX_OK);
    }
}

void AReleaseFails() {
  Chip chip(FaultConfig("error", 1, "release"));
  const xbarax_array array = chip.Allocated(1, 1);
  CHECK(kDriver.release(chip.device(), array) == XBARAX_DEVICE_ERROR);
  CHECK(chip.Error() == "release: simulated error at call 1");
  CHECK(kDriver.release(chip.device(), array) == XBARAX_OK);
}

void AllThatReachesTheChipCounts() {
  Chip chip(FaultConfig("error", 7, ""));
  const xbarax_array array = chip.Allocated(2, 2);  // does not count
  float first;
  for (const std::string& call : kReaching) CHECK(Call(&chip, call, array, &first) == XBARAX_OK);
  CHECK(Call(&chip, "read", array + 1, &first) == XBARAX_INVALID_ARGUMENT);  // nor does this
  CHECK(Call(&chip, "read", array, &first) == XBARAX_DEVICE_ERROR);
  CHECK(chip.Error() == "read: simulated error at call 7");
}

void FailedProgrammingLeavesAnyWeights() {
  for (const char* call : {"program", "update", "pulse"}) {
    Chip chip(FaultConfig("error", call == std::string("program") ? 2 : 1, call));
    const xbarax_array array = chip.Programmed(2, 2, {1, 1, 1, 1});
    float first;
    CHECK(Call(&chip, call, array, &first) == XBARAX_DEVICE_ERROR);
    CHECK((chip.Weights(array, 4) != std::vector<float>{1, 1, 1, 1}));
    for (float weight : chip.Weights(array, 4)) CHECK(std::fabs(weight) <= 1);
  }
}

void AResultIsNotANumber() {
  for (const std::string call : {"read", "read_transposed", "read_out"})
    for (const std::string& of : {call, std::string()}) {
      Chip chip(FaultConfig("nan", 2, of));
      const xbarax_array array = chip.Programmed(2, 2, {1, 1, 1, 1});
      for (int k = 1; k <= 3; ++k) {
        float first;
        CHECK(Call(&chip, call, array, &first) == XBARAX_OK);
        CHECK(std::isnan(first) == (k == 2));
      }
    }
}

void ALostChipStaysLostUntilItIsOpenedAgain() {
  const std::string config = FaultConfig("lost", 2, "read");
  float first;
  {
    Chip chip(config);
    const xbarax_array array = chip.Allocated(2, 2);
    CHECK(Call(&chip, "read", array, &first) == XBARAX_OK);
    CHECK(Call(&chip, "read", array, &first) == XBARAX_LOST);
    CHECK(chip.Error() == "read: simulated loss of the chip at call 2");
    for (const char* call : {"allocate", "release", "program", "read", "read_transposed", "update",
                             "pulse", "read_out"}) {
      CHECK(Call(&chip, call, array, &first) == XBARAX_LOST);
      CHECK(chip.Error() == std::string(call) + ": the chip is lost; close it and open it again");
    }
    xbarax_description said = {};
    said.struct_size = sizeof said;
    CHECK(kDriver.describe(chip.device(), &said) == XBARAX_LOST);
  }
  {
    Chip again(config);
    const xbarax_array array = again.Allocated(2, 2);
    for (int k = 0; k < 5; ++k) CHECK(Call(&again, "read", array, &first) == XBARAX_OK);
  }
  Chip anew(config);  // one that nobody lost
  const xbarax_array array = anew.Allocated(2, 2);
  CHECK(Call(&anew, "read", array, &first) == XBARAX_OK);
  CHECK(Call(&anew, "read", array, &first) == XBARAX_LOST);
}

void AFileRemembersTheFault() {
  const std::string file = "simulated_driver_test_" + std::to_string(getpid());
  const std::string config =
      R"({"fault": {"kind": "error", "call": 1, "of": "read", "once": ")" + file + "\"}}";
  float first;
  for (const xbarax_status wanted : {XBARAX_DEVICE_ERROR, XBARAX_OK}) {
    Chip chip(config);
    CHECK(Call(&chip, "read", chip.Allocated(2, 2), &first) == wanted);
  }
  CHECK(std::remove(file.c_str()) == 0);
  Chip chip(config);
  CHECK(Call(&chip, "read", chip.Allocated(2, 2), &first) == XBARAX_DEVICE_ERROR);
  CHECK(std::remove(file.c_str()) == 0);
}

// A process that makes two reads, of which the second fails; it ends with 0 if that returns.
pid_t Reading(const std::string& kind) {
  const pid_t child = fork();
  if (child != 0) return child;
  Chip chip(FaultConfig(kind, 2, "read"));
  const xbarax_array array = chip.Allocated(2, 2);
  float first;
  if (Call(&chip, "read", array, &first) != XBARAX_OK) _exit(10);
  Call(&chip, "read", array, &first);
  _exit(0);
}

void SomeFaultsEndTheProcess() {
  int status;
  pid_t child = Reading("exit");
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
  child = Reading("crash");
  CHECK(waitpid(child, &status, 0) == child);
  // A sanitizer turns the signal into an exit of its own.
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) ||
        (WIFEXITED(status) && WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 10));
}

void AHangNeverEnds() {
  const pid_t child = Reading("hang");
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  int status;
  CHECK(waitpid(child, &status, WNOHANG) == 0);
  CHECK(kill(child, SIGKILL) == 0);
  CHECK(waitpid(child, &status, 0) == child);
}

// Noisy results of a chip with this seed.
std::vector<float> Results(std::size_t seed) {
  Chip chip(R"({"seed": )" + std::to_string(seed) + "}");
  const xbarax_array array = chip.Programmed(64, 4, test::Numbers(1).Signed(64 * 4));
  return chip.Read(array, 1000, 64, test::Numbers(2).Signed(1000 * 4));
}

// Two devices at the same time give what each gives alone; so do opens that fail.
void DevicesShareNothing() {
  std::vector<std::vector<float>> results(2);
  std::vector<std::thread> threads;
  for (std::size_t k = 0; k < results.size(); ++k)
    threads.emplace_back([&results, k] {
      for (int round = 0; round < 50; ++round) {
        xbarax_device* device;
        CHECK(kDriver.open("{\"range\": 0}", &device) == XBARAX_INVALID_ARGUMENT);
        CHECK(StartsWith(kDriver.last_error(nullptr), "config: \"range\": expected"));
        Chip lost(FaultConfig("lost", 1, "read"));
        float first;
        const xbarax_status status = Call(&lost, "read", lost.Allocated(2, 2), &first);
        CHECK(status == XBARAX_LOST || status == XBARAX_OK);
      }
      results[k] = Results(k);
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(results[0] == Results(0) && results[1] == Results(1) && results[0] != results[1]);
}

}  // namespace
}  // namespace xbarax

int main() {
  xbarax::OneCallFails();
  xbarax::AReleaseFails();
  xbarax::AllThatReachesTheChipCounts();
  xbarax::FailedProgrammingLeavesAnyWeights();
  xbarax::AResultIsNotANumber();
  xbarax::ALostChipStaysLostUntilItIsOpenedAgain();
  xbarax::AFileRemembersTheFault();
  xbarax::SomeFaultsEndTheProcess();
  xbarax::AHangNeverEnds();
  xbarax::DevicesShareNothing();
  return xbarax::test::Result();
}
