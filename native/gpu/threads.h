// What kernels for GPUs are written in, for two compilers: NVIDIA's, at run time, where every
// function is one of the device; and the host's, so that tests run what GPUs run where there is
// none. There, one thread does what those of a block do, one after the other.
//
// What other threads of a block have written they see after XBARAX_TOGETHER.
#pragma once

#if defined(__CUDACC_RTC__)
#define XBARAX_EACH(k, n) for (int k = threadIdx.x; k < (n); k += blockDim.x)
#define XBARAX_TOGETHER() __syncthreads()
#define XBARAX_SET(word, bits) atomicOr(word, bits)
#define XBARAX_LOWEST(bits) (__ffs(bits) - 1)
#define XBARAX_UNROLL _Pragma("unroll")
// Brings what will be read, if there is such a place, nearer.
#define XBARAX_PREFETCH(p) asm volatile("prefetch.global.L1 [%0];" ::"l"(p))
#define XBARAX_LOG(x) logf(x)
#define XBARAX_SQRT(x) sqrtf(x)
#define XBARAX_COS(x) cosf(x)
#define XBARAX_SIN(x) sinf(x)
#define XBARAX_ROUNDED_PRODUCT(x, y) __fmul_rn(x, y)
#else
#define XBARAX_EACH(k, n) for (int k = 0; k < (n); ++k)
#define XBARAX_TOGETHER()
#define XBARAX_SET(word, bits) (*(word) |= (bits))
#define XBARAX_LOWEST(bits) __builtin_ctz(bits)
#define XBARAX_UNROLL
#define XBARAX_PREFETCH(p) static_cast<void>(p)
#define XBARAX_LOG(x) __builtin_logf(x)
#define XBARAX_SQRT(x) __builtin_sqrtf(x)
#define XBARAX_COS(x) __builtin_cosf(x)
#define XBARAX_SIN(x) __builtin_sinf(x)
#define XBARAX_ROUNDED_PRODUCT(x, y) ((x) * (y))  // compiled without contraction
#endif
