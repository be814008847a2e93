// What NVIDIA's compiler is given: kernels around what `gpu/` has.
#include "gpu/draws.h"
#include "gpu/lif_loop.h"

extern "C" __global__ void __launch_bounds__(512)
    xbarax_lif_loop_forward(const xbarax::LifLoopForward f) {
  extern __shared__ __align__(16) float shared[];
  xbarax::RunLifLoopForward(f, blockIdx.x, shared);
}

extern "C" __global__ void __launch_bounds__(512)
    xbarax_lif_loop_backward(const xbarax::LifLoopBackward b) {
  extern __shared__ __align__(16) float shared[];
  xbarax::RunLifLoopBackward(b, blockIdx.x, shared);
}

extern "C" __global__ void xbarax_draw(const xbarax::GpuDraw d) {
  const long long at = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < d.total) xbarax::RunGpuDraw(d, at);
}

extern "C" __global__ void xbarax_draw_pairs(const xbarax::GpuDrawPairs d) {
  const long long at = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < d.total) xbarax::RunGpuDrawPairs(d, at);
}

extern "C" __global__ void xbarax_fold_in(const xbarax::GpuFoldIn f) {
  const long long at = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at < f.total) xbarax::RunGpuFoldIn(f, at);
}
