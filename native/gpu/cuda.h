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

// Loads machine code into a device's context, the one that JAX uses. Returns why it could not, or
// nothing. Done before programs run, since they may be recorded, which loading must not be.
std::string Load(int ordinal, const void* code);

// The most memory that a block's threads can share on a stream's device.
std::size_t SharedBytes(Stream stream);

// Returns why a kernel could not be launched, or nothing.
std::string Run(Stream stream, const Launch& launch);

}  // namespace xbarax::cuda
