// Shared libraries that stand for a chip: opened once, also where several paths lead to one file,
// and one call at a time into each.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>

namespace xbarax {

// A library with the three functions of the notebook's generation (native/drivers/reference.c).
struct FunctionLibrary {
  void (*mul)(const float* g, const float* x, float* y, unsigned out, unsigned in);
  void (*add)(const float* g, const float* d, float* g_out, unsigned size);
  void (*write)(float* g, unsigned out, unsigned in);
  std::mutex one_call_at_a_time;
};

// The library at `path`, opened if it is not yet; nullptr, and why in `error`, if it cannot be.
// An opened library stays open: compiled programs may call it at any time.
FunctionLibrary* OpenFunctionLibrary(const std::string& path, std::string* error);

// Reads `rows` rows x[row][in] to y[row][out]: one call of `mul` for each.
void MulRows(FunctionLibrary& library, const float* g, const float* x, float* y, std::size_t rows,
             unsigned out, unsigned in);

}  // namespace xbarax
