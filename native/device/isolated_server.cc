#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <string>
#include <thread>

#include "device/description.h"
#include "device/isolated.h"
#include "device/isolated_call.h"

namespace xbarax {
namespace {

// How long a driver may take to return once nobody waits for it any more.
constexpr unsigned kSecondsToReturn = 5;

// The same end under a number that a driver does not hit when it uses one that was closed.
int MoveAway(int fd) {
  const int moved = fcntl(fd, F_DUPFD_CLOEXEC, 200);
  if (moved < 0) return fd;
  close(fd);
  return moved;
}

// Ends this process, and what the driver has started, some time after the other one is gone, also
// in the middle of a driver's call: else they would keep the chip.
void EndAfterTheOther(int socket) {
  pollfd gone = {socket, 0, 0};  // which waits for the other end to be closed, and for that alone
  while (poll(&gone, 1, -1) < 0 && errno == EINTR) continue;
  sleep(kSecondsToReturn);
  if (getpgrp() == getpid()) kill(0, SIGKILL);
  _exit(1);
}

class Server {
 public:
  Server(const xbarax_driver* driver, std::string why_not)
      : driver_(driver),
        why_not_(std::move(why_not)),
        socket_(MoveAway(kServerSocket)),
        memory_(MoveAway(kServerMemory)) {
    if (driver_ != nullptr) why_not_ = CheckTable(driver_);
    std::thread(EndAfterTheOther, socket_).detach();
  }

  void Run() {
    while (Receive(socket_, -1) == Received::kYes) {
      Answer();
      const bool last = memory_.call().function == Function::kClose;
      if (!Send(socket_) || last) return;
    }
    Close();  // the other process is gone
  }

 private:
  void Answer() {
    if (!memory_.Follow()) return Fail(XBARAX_NO_SPACE, "the process's memory does not suffice");
    memory_.Guard();
    xbarax_status status;
    try {
      status = CallDriver();
    } catch (const std::exception& thrown) {
      status = Say(XBARAX_DEVICE_ERROR,
                   (std::string("the driver threw an exception: ") + thrown.what()).c_str());
    } catch (...) {
      status = Say(XBARAX_DEVICE_ERROR, "the driver threw an exception");
    }
    if (getpid() != process_) _exit(0);  // a copy that the driver has forked
    if (status != XBARAX_OK) {
      if (status != kSaid) Fail(status, LastError());
      return;
    }
    if (!memory_.IsIntact())
      return Fail(XBARAX_DEVICE_ERROR, "the driver wrote beyond the end of its results");
    memory_.call().status = XBARAX_OK;
  }

  xbarax_status CallDriver() {
    Call& call = memory_.call();
    const auto* floats = reinterpret_cast<const float*>(memory_.question());
    auto* results = reinterpret_cast<float*>(memory_.answer());
    switch (call.function) {
      case Function::kOpen:
        return Open();
      case Function::kClose:
        Close();
        return XBARAX_OK;
      case Function::kDescribe:
        return Describe();
      case Function::kAllocate:
        return driver_->allocate(device_, call.outputs, call.inputs, &call.array);
      case Function::kRelease:
        return driver_->release(device_, call.array);
      case Function::kProgram:
        return driver_->program(device_, call.array, floats);
      case Function::kRead:
        return driver_->read(device_, call.array, call.n, floats, results);
      case Function::kReadTransposed:
        return driver_->read_transposed(device_, call.array, call.n, floats, results);
      case Function::kUpdate:
        return driver_->update(device_, call.array, floats);
      case Function::kPulse:
        return driver_->pulse(device_, call.array,
                              reinterpret_cast<const std::int32_t*>(memory_.question()));
      case Function::kReadOut:
        return driver_->read_out(device_, call.array, results);
    }
    return Say(XBARAX_INVALID_ARGUMENT, "a call that this process does not know");
  }

  xbarax_status Open() {
    if (!why_not_.empty()) return Say(XBARAX_INVALID_ARGUMENT, why_not_.c_str());
    const xbarax_status status = driver_->open(memory_.question(), &device_);
    if (status != XBARAX_OK) device_ = nullptr;
    if (status == XBARAX_OK && device_ == nullptr)
      return Say(XBARAX_DEVICE_ERROR, "the driver says ok, and returns no device");
    return status;
  }

  xbarax_status Describe() {
    xbarax_description& description = memory_.call().description;
    description = {};
    description.struct_size = sizeof description;
    const xbarax_status status = driver_->describe(device_, &description);
    if (status != XBARAX_OK) return status;
    const std::string wrong = CheckDescription(*driver_, description);
    return wrong.empty() ? XBARAX_OK : Say(XBARAX_INVALID_ARGUMENT, wrong.c_str());
  }

  void Close() {
    if (device_ != nullptr) driver_->close(device_);
    device_ = nullptr;
  }

  const char* LastError() const {
    const char* text = driver_->last_error(device_);
    return text == nullptr ? "" : text;
  }

  void Fail(xbarax_status status, const char* text) {
    Call& call = memory_.call();
    call.status = status;
    const std::size_t length = strnlen(text, sizeof call.text - 1);
    std::copy_n(text, length, call.text);
    call.text[length] = '\0';
  }

  // A failure in our own words.
  static constexpr xbarax_status kSaid = -1;
  xbarax_status Say(xbarax_status status, const char* text) {
    Fail(status, text);
    return kSaid;
  }

  const xbarax_driver* driver_;
  std::string why_not_;
  const int socket_;  // closed with the process, since its watcher waits for it
  CallMemory memory_;
  const pid_t process_ = getpid();
  xbarax_device* device_ = nullptr;
};

}  // namespace

void ServeDriver(const xbarax_driver* driver, const std::string& why_not) {
  Server(driver, why_not).Run();
}

}  // namespace xbarax
