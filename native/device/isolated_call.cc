#include "device/isolated_call.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace xbarax {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kGuardSize = 64;
constexpr unsigned char kGuard = 0xA5;

constexpr std::size_t Aligned(std::size_t size) {
  return (size + kAlignment - 1) / kAlignment * kAlignment;
}

constexpr std::size_t kFirst = Aligned(sizeof(Call));

int UnnamedFile() {
#if defined(__linux__)
  return memfd_create("xbarax", MFD_CLOEXEC);
#else
  char name[] = "/tmp/xbarax-XXXXXX";
  const int fd = mkstemp(name);
  if (fd >= 0) unlink(name);
  return fd;
#endif
}

}  // namespace

CallMemory::CallMemory() : fd_(UnnamedFile()) {
  if (fd_ >= 0 && Grow(0, 0)) return;
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

CallMemory::CallMemory(int fd) : fd_(fd) {
  if (!Map(kFirst)) std::abort();  // a process that was not started by xbarax
}

CallMemory::~CallMemory() {
  if (memory_ != nullptr) munmap(memory_, size_);
  if (fd_ >= 0) close(fd_);
}

bool CallMemory::Map(std::size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (memory == MAP_FAILED) return false;
  if (memory_ != nullptr) munmap(memory_, size_);
  memory_ = memory;
  size_ = size;
  return true;
}

bool CallMemory::Grow(std::size_t question_size, std::size_t answer_size) {
  const std::size_t needed = kFirst + Aligned(question_size) + Aligned(answer_size) + kGuardSize;
  if (needed > size_) {
    const std::size_t size = std::max(needed, 2 * size_);  // so that it seldom grows
    if (ftruncate(fd_, static_cast<off_t>(size)) != 0 || !Map(size)) return false;
  }
  call().memory_size = size_;
  call().question_size = question_size_ = question_size;
  call().answer_size = answer_size_ = answer_size;
  return true;
}

bool CallMemory::Follow() {
  if (call().memory_size != size_ && !Map(call().memory_size)) return false;
  question_size_ = call().question_size;
  answer_size_ = call().answer_size;
  return true;
}

char* CallMemory::question() { return static_cast<char*>(memory_) + kFirst; }

char* CallMemory::answer() { return question() + Aligned(question_size_); }

void CallMemory::Guard() {
  std::memset(answer(), 0xFF, answer_size_);
  std::memset(answer() + answer_size_, kGuard, kGuardSize);
}

bool CallMemory::IsIntact() {
  const char* guard = answer() + answer_size_;
  return std::all_of(guard, guard + kGuardSize,
                     [](char c) { return static_cast<unsigned char>(c) == kGuard; });
}

bool Send(int socket) {
  const char byte = 1;
#if defined(MSG_NOSIGNAL)
  constexpr int kFlags = MSG_NOSIGNAL;
#else
  constexpr int kFlags = 0;  // SO_NOSIGPIPE is set where there is none
#endif
  ssize_t sent;
  do sent = send(socket, &byte, 1, kFlags);
  while (sent < 0 && errno == EINTR);
  return sent == 1;
}

Received Receive(int socket, double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  for (;;) {
    int milliseconds = -1;
    if (seconds >= 0) {
      const std::chrono::duration<double> gone = Clock::now() - begin;
      const double left = std::ceil((seconds - gone.count()) * 1e3);
      milliseconds = static_cast<int>(std::clamp(left, 0.0, 1e9));
    }
    pollfd waiting = {socket, POLLIN, 0};
    const int ready = poll(&waiting, 1, milliseconds);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return Received::kLate;
    char byte;
    const ssize_t received = ready < 0 ? 0 : recv(socket, &byte, 1, 0);
    if (received < 0 && errno == EINTR) continue;
    return received == 1 ? Received::kYes : Received::kGone;
  }
}

}  // namespace xbarax
