// What Python calls to compile kernels for GPUs.
#include <cstddef>
#include <iterator>

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

// Takes what came of them for devices of a compute capability, 90 for 9.0.
XBARAX_EXPORT void xbarax_cuda_set_code(int capability, const void* code, size_t size) {
  xbarax::cuda::SetCode(capability, code, size);
}

}  // extern "C"
