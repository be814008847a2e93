// The little of CUDA's driver that launching kernels takes. The driver is looked up when a program
// on a GPU first runs: nothing of CUDA is needed to build the library, or to load it.
#pragma once

#include <cstddef>
#include <string>

namespace xbarax::cuda {

// A kernel's place: the driver's CUstream.
using Stream = void*;

struct Launch {
  const char* kernel;
  unsigned blocks, threads;
  std::size_t shared_bytes;
  const void* arguments;  // the kernel's one parameter
};

// Takes machine code for devices of a compute capability, such as 90 for 9.0. It is loaded into
// each context when that first runs one of its kernels.
void SetCode(int capability, const void* code, std::size_t size);

// The most memory that a block's threads can share on a stream's device.
std::size_t SharedBytes(Stream stream);

// Returns why a kernel could not be launched, or nothing.
std::string Run(Stream stream, const Launch& launch);

}  // namespace xbarax::cuda
