// What a driver's process and xbarax say to each other.
#pragma once

#include <cstddef>
#include <cstdint>

#include "xbarax/driver.h"

namespace xbarax {

enum class Function : std::uint32_t {
  kOpen,
  kClose,
  kDescribe,
  kAllocate,
  kRelease,
  kProgram,
  kRead,
  kReadTransposed,
  kUpdate,
  kPulse,
  kReadOut,
};

// A call, at the beginning of the shared memory; the numbers of its question and answer follow.
struct Call {
  std::uint64_t memory_size;  // bytes, all of it
  Function function;
  std::uint32_t n, outputs, inputs;
  xbarax_array array;
  std::uint64_t question_size, answer_size;  // bytes
  xbarax_status status;
  xbarax_description description;
  char text[4096];  // what went wrong, ended by a zero
};

// Memory shared with another process, in an unnamed file.
class CallMemory {
 public:
  // A new one with room for a call, whose fd() is -1 if there is none to be had.
  CallMemory();
  // That of another process.
  explicit CallMemory(int fd);
  ~CallMemory();
  CallMemory(const CallMemory&) = delete;
  CallMemory& operator=(const CallMemory&) = delete;

  int fd() const { return fd_; }
  Call& call() { return *static_cast<Call*>(memory_); }
  // Makes room for a question and an answer; false: there is none.
  bool Grow(std::size_t question_size, std::size_t answer_size);
  // Maps what the other process has made room for; false: it cannot be.
  bool Follow();

  char* question();
  char* answer();
  // Makes the answer's numbers NaN, so that those that are left out are found.
  void Guard();
  // Whether nothing was written right behind the answer since.
  bool IsIntact();

 private:
  bool Map(std::size_t size);

  int fd_;
  void* memory_ = nullptr;
  std::size_t size_ = 0;
  // Those of the call, which is in memory that the other process can write to at any time.
  std::size_t question_size_ = 0, answer_size_ = 0;
};

// Sends a byte; false: the other end is gone.
bool Send(int socket);
// Waits for a byte, for at most so many seconds (below 0: for ever).
enum class Received { kYes, kGone, kLate };
Received Receive(int socket, double seconds);

}  // namespace xbarax
