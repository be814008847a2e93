#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "device/description.h"
#include "device/isolated.h"
#include "device/isolated_call.h"

namespace xbarax {
namespace {

class Server {
 public:
  Server(const xbarax_driver* driver, std::string why_not)
      : driver_(driver), why_not_(std::move(why_not)), memory_(kServerMemory) {
    if (driver_ != nullptr) why_not_ = CheckTable(driver_);
  }

  void Run() {
    while (Receive(kServerSocket, -1) == Received::kYes) {
      Answer();
      const bool last = memory_.call().function == Function::kClose;
      if (!Send(kServerSocket) || last) return;
    }
    Close();  // the other process is gone
  }

 private:
  void Answer() {
    if (!memory_.Follow()) return Fail(XBARAX_NO_SPACE, "the process's memory does not suffice");
    memory_.Guard();
    const xbarax_status status = CallDriver();
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
  CallMemory memory_;
  const pid_t process_ = getpid();
  xbarax_device* device_ = nullptr;
};

}  // namespace

void ServeDriver(const xbarax_driver* driver, const std::string& why_not) {
  Server(driver, why_not).Run();
  close(kServerSocket);
}

}  // namespace xbarax
