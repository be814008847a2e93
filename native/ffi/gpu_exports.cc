// What Python calls to compile kernels for GPUs.
#include <cstddef>
#include <iterator>
#include <string>

#include "gpu/cuda.h"
#include "gpu/texts.h"

#define XBARAX_EXPORT __attribute__((visibility("default")))

extern "C" {

// The texts, one after the other, the one that includes the others first; null behind the last.
XBARAX_EXPORT const char* xbarax_gpu_text(size_t number) {
  return number < std::size(xbarax::kGpuTexts) ? xbarax::kGpuTexts[number].text : nullptr;
}
XBARAX_EXPORT const char* xbarax_gpu_text_name(size_t number) {
  return number < std::size(xbarax::kGpuTexts) ? xbarax::kGpuTexts[number].name : nullptr;
}

// Loads what came of them on a device. Returns 0, or 1 with why in `error`.
XBARAX_EXPORT int xbarax_cuda_load(int ordinal, const void* code, char* error, size_t error_size) {
  const std::string why = xbarax::cuda::Load(ordinal, code);
  if (why.empty()) return 0;
  if (error_size > 0) error[why.copy(error, error_size - 1)] = '\0';
  return 1;
}

}  // extern "C"
