#include "device/driver_registry.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/check.h"

namespace xbarax {
namespace {

bool Contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

void OpensOnce() {
  std::string error;
  FunctionLibrary* library = OpenFunctionLibrary(XBARAX_REFERENCE_LIBRARY, &error);
  CHECK(library != nullptr);
  CHECK(error.empty());
  CHECK(OpenFunctionLibrary(XBARAX_REFERENCE_LIBRARY, &error) == library);
}

// One library has one mutex, by whichever of its paths it is opened.
void OpensOnceForAllItsLinks() {
  std::string error;
  FunctionLibrary* library = OpenFunctionLibrary(XBARAX_REFERENCE_LIBRARY, &error);
  for (const char* name : {"./driver_registry_test_hard.so", "./driver_registry_test_soft.so"}) {
    std::remove(name);
    const bool hard = std::string(name).find("hard") != std::string::npos;
    CHECK((hard ? link : symlink)(XBARAX_REFERENCE_LIBRARY, name) == 0);
    CHECK(OpenFunctionLibrary(name, &error) == library);
    CHECK(OpenFunctionLibrary(name, &error) == library);
    std::remove(name);
  }
  CHECK(error.empty());
}

void NamesTheMissingFile() {
  std::string error;
  CHECK(OpenFunctionLibrary("/nowhere/libnothing.so", &error) == nullptr);
  CHECK(Contains(error, "/nowhere/libnothing.so"));
}

void NamesTheFileThatIsNoLibrary() {
  std::string error;
  CHECK(OpenFunctionLibrary(__FILE__, &error) == nullptr);
  CHECK(Contains(error, __FILE__));
}

// A library that could not be opened may be mended: nothing remembers the failure.
void TriesAgain() {
  const std::string path = "driver_registry_test_link.so";
  std::string error;
  std::remove(path.c_str());
  CHECK(OpenFunctionLibrary("./" + path, &error) == nullptr);
  std::ofstream(path, std::ios::binary)
      << std::ifstream(XBARAX_REFERENCE_LIBRARY, std::ios::binary).rdbuf();
  CHECK(OpenFunctionLibrary("./" + path, &error) != nullptr);
  std::remove(path.c_str());
}

void OpensOnceForAllThreads() {
  std::vector<FunctionLibrary*> opened(8);
  std::vector<std::thread> threads;
  for (FunctionLibrary*& library : opened)
    threads.emplace_back([&library] {
      std::string error;
      library = OpenFunctionLibrary(XBARAX_REFERENCE_LIBRARY, &error);
    });
  for (std::thread& thread : threads) thread.join();
  for (FunctionLibrary* library : opened) CHECK(library != nullptr && library == opened[0]);
}

void NamesTheMissingSymbols() {
  std::string error;
  CHECK(OpenFunctionLibrary(XBARAX_INCOMPLETE_LIBRARY, &error) == nullptr);
  error.clear();  // and does so each time
  CHECK(OpenFunctionLibrary(XBARAX_INCOMPLETE_LIBRARY, &error) == nullptr);
  CHECK(Contains(error, XBARAX_INCOMPLETE_LIBRARY));
  CHECK(Contains(error, "user_implementation_add"));
  CHECK(Contains(error, "user_implementation_write"));
  CHECK(!Contains(error, "user_implementation_mul"));
}

void CallsTheReferenceChip() {
  std::string error;
  FunctionLibrary& library = *OpenFunctionLibrary(XBARAX_REFERENCE_LIBRARY, &error);
  const std::vector<float> g = {1, 2, 3, 4, 5, 6};   // 2 bit lines, 3 word lines
  const std::vector<float> x = {1, 0, -1, 2, 1, 0};  // 2 rows
  std::vector<float> y(4);
  MulRows(library, g.data(), x.data(), y.data(), 2, 2, 3);
  CHECK((y == std::vector<float>{-2, -2, 4, 13}));

  std::vector<float> total(6);
  library.add(g.data(), x.data(), total.data(), 6);
  CHECK((total == std::vector<float>{2, 2, 2, 6, 6, 6}));
  library.write(total.data(), 2, 3);
  CHECK((total == std::vector<float>{2, 2, 2, 6, 6, 6}));
}

}  // namespace
}  // namespace xbarax

int main() {
  xbarax::OpensOnceForAllThreads();
  xbarax::OpensOnce();
  xbarax::OpensOnceForAllItsLinks();
  xbarax::NamesTheMissingFile();
  xbarax::NamesTheFileThatIsNoLibrary();
  xbarax::TriesAgain();
  xbarax::NamesTheMissingSymbols();
  xbarax::CallsTheReferenceChip();
  return xbarax::test::Result();
}
