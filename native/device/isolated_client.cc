#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "device/isolated.h"
#include "device/isolated_call.h"

extern char** environ;

namespace xbarax {
namespace {

// Opening may start an interpreter, and an instrument: that takes longer than a call.
constexpr double kLeastDeadlineOfOpen = 60;
// How long a process may take to end after it has closed its device.
constexpr double kSecondsToEnd = 5;

std::string NameOfSignal(int signal) {
  switch (signal) {
    case SIGABRT:
      return "SIGABRT";
    case SIGBUS:
      return "SIGBUS";
    case SIGFPE:
      return "SIGFPE";
    case SIGILL:
      return "SIGILL";
    case SIGKILL:
      return "SIGKILL";
    case SIGSEGV:
      return "SIGSEGV";
    case SIGTERM:
      return "SIGTERM";
    default:
      return "signal " + std::to_string(signal);
  }
}

std::string NameOfEnd(int status) {
  if (WIFSIGNALED(status)) return "was ended by " + NameOfSignal(WTERMSIG(status));
  return "ended with exit code " + std::to_string(WEXITSTATUS(status));
}

// A started process, and this one's end of the socket to it.
class Process {
 public:
  ~Process() {
    if (socket_ >= 0) close(socket_);
    if (id_ > 0 && !Reap(kSecondsToEnd)) Kill();
  }
  Process() = default;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  int socket() const { return socket_; }

  // What went wrong, or nothing.
  std::string Start(const std::vector<std::string>& command, int memory) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return Why("socketpair");
    // Above what the child's ends are moved onto, and not for other children.
    socket_ = fcntl(ends[0], F_DUPFD_CLOEXEC, 16);
    const int theirs = fcntl(ends[1], F_DUPFD_CLOEXEC, 16);
    const int shared = fcntl(memory, F_DUPFD_CLOEXEC, 16);
    close(ends[0]);
    close(ends[1]);
    std::string error;
    if (socket_ < 0 || theirs < 0 || shared < 0)
      error = Why("fcntl");
    else
      error = Spawn(command, theirs, shared);
    if (theirs >= 0) close(theirs);
    if (shared >= 0) close(shared);
#if defined(SO_NOSIGPIPE)
    const int on = 1;
    if (socket_ >= 0) setsockopt(socket_, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    return error;
  }

  // Ends it, if it has not ended by itself, and tells how it ended. What the driver has started
  // ends with it: it may hold the chip.
  std::string End(double seconds) {
    if (id_ <= 0) return "is gone";
    const pid_t group = id_;
    if (!Reap(seconds)) Kill();
    kill(-group, SIGKILL);
    return NameOfEnd(status_);
  }

 private:
  static std::string Why(const char* call) {
    return std::string("no process could be started: ") + call + ": " + std::strerror(errno);
  }

  std::string Spawn(const std::vector<std::string>& command, int socket, int memory) {
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, socket, kServerSocket);
    posix_spawn_file_actions_adddup2(&actions, memory, kServerMemory);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);  // the first of its own group
    errno = posix_spawn(&id_, words[0], &actions, &attributes, words.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (errno == 0) return "";
    id_ = 0;
    return Why(words[0]);
  }

  void Kill() {
    kill(id_, SIGKILL);
    Reap(-1);
  }

  // Whether the process has ended within so many seconds (below 0: however long it takes).
  bool Reap(double seconds) {
    for (double waited = 0;; waited += 1e-3) {
      const pid_t ended = waitpid(id_, &status_, seconds < 0 ? 0 : WNOHANG);
      if (ended < 0 && errno == EINTR) continue;
      if (ended != 0) {  // or somebody else has reaped it
        id_ = 0;
        return true;
      }
      if (waited >= seconds) return false;
      usleep(1000);
    }
  }

  pid_t id_ = 0;
  int socket_ = -1;
  int status_ = 0;
};

class IsolatedDevice {
 public:
  xbarax_status Open(const std::string& launch) {
    std::vector<std::string> fields(1);
    for (char c : launch) {
      if (c == kSeparator)
        fields.emplace_back();
      else
        fields.back() += c;
    }
    if (fields.size() < 3) return Fail(XBARAX_INVALID_ARGUMENT, "no command to start a process");
    if (memory_.fd() < 0) return Fail(XBARAX_NO_SPACE, "no memory to share with a process");
    deadline_ = std::strtod(fields[0].c_str(), nullptr);
    const std::string config = fields[1];
    fields.erase(fields.begin(), fields.begin() + 2);
    if (std::string why = process_.Start(fields, memory_.fd()); !why.empty())
      return Fail(XBARAX_DEVICE_ERROR, why);
    const double deadline = std::max(deadline_, kLeastDeadlineOfOpen);
    return Ask(Function::kOpen, config.c_str(), config.size() + 1, nullptr, 0, deadline);
  }

  void Close() { Ask(Function::kClose, nullptr, 0, nullptr, 0, deadline_); }

  const char* error() const { return error_.c_str(); }

  xbarax_status Describe(xbarax_description* description) {
    const std::size_t size = description->struct_size;
    const xbarax_status status = Ask(Function::kDescribe, nullptr, 0, nullptr, 0, deadline_);
    if (status != XBARAX_OK) return status;
    std::memcpy(description, &memory_.call().description, std::min(size, sizeof *description));
    description->struct_size = size;
    return XBARAX_OK;
  }

  xbarax_status Allocate(std::uint32_t outputs, std::uint32_t inputs, xbarax_array* array) {
    memory_.call().outputs = outputs;
    memory_.call().inputs = inputs;
    const xbarax_status status = Ask(Function::kAllocate, nullptr, 0, nullptr, 0, deadline_);
    if (status != XBARAX_OK) return status;
    *array = memory_.call().array;
    shapes_.emplace(*array, Shape{outputs, inputs});  // a number that is taken keeps its shape
    return XBARAX_OK;
  }

  xbarax_status Release(xbarax_array array) {
    shapes_.erase(array);
    memory_.call().array = array;
    return Ask(Function::kRelease, nullptr, 0, nullptr, 0, deadline_);
  }

  // Programs, updates, pulses: their numbers all have four bytes.
  xbarax_status Write(Function function, xbarax_array array, const void* numbers) {
    const auto [outputs, inputs] = shapes_[array];
    memory_.call().array = array;
    return Ask(function, numbers, 4 * outputs * inputs, nullptr, 0, deadline_);
  }

  xbarax_status Read(Function function, xbarax_array array, std::uint32_t n, const float* inputs,
                     float* results) {
    auto [to, from] = shapes_[array];
    if (function == Function::kReadTransposed) std::swap(to, from);
    memory_.call().array = array;
    memory_.call().n = n;
    return Ask(function, inputs, 4 * from * n, results, 4 * to * n, deadline_);
  }

  xbarax_status ReadOut(xbarax_array array, float* weights) {
    const auto [outputs, inputs] = shapes_[array];
    memory_.call().array = array;
    return Ask(Function::kReadOut, nullptr, 0, weights, 4 * outputs * inputs, deadline_);
  }

 private:
  xbarax_status Ask(Function function, const void* question, std::size_t question_size,
                    void* answer, std::size_t answer_size, double deadline) {
    if (!gone_.empty()) return Fail(XBARAX_LOST, gone_);
    if (!memory_.Grow(question_size, answer_size))
      return Fail(XBARAX_NO_SPACE, "no memory to share with the driver's process");
    Call& call = memory_.call();
    call.function = function;
    if (question_size > 0) std::memcpy(memory_.question(), question, question_size);
    const Received received =
        Send(process_.socket()) ? Receive(process_.socket(), deadline) : Received::kGone;
    if (received != Received::kYes) return Gone(received, deadline);
    if (const xbarax_status status = call.status; status != XBARAX_OK)
      return Fail(status, std::string(call.text, strnlen(call.text, sizeof call.text)));
    if (answer_size > 0) std::memcpy(answer, memory_.answer(), answer_size);
    return XBARAX_OK;
  }

  xbarax_status Gone(Received received, double deadline) {
    if (received == Received::kLate) {
      process_.End(0);
      char text[100];
      std::snprintf(text, sizeof text,
                    "the driver did not answer within %g s, and its process was ended", deadline);
      gone_ = text;
    } else {
      gone_ = "the driver's process " + process_.End(kSecondsToEnd);
    }
    return Fail(XBARAX_LOST, gone_);
  }

  xbarax_status Fail(xbarax_status status, const std::string& text) {
    error_ = text;
    return status;
  }

  struct Shape {
    std::size_t outputs, inputs;
  };

  Process process_;
  CallMemory memory_;
  double deadline_ = 0;
  std::map<xbarax_array, Shape> shapes_;
  std::string error_;
  std::string gone_;  // how the process ended
};

IsolatedDevice* From(xbarax_device* device) { return reinterpret_cast<IsolatedDevice*>(device); }

thread_local std::string open_error;

xbarax_status Open(const char* launch, xbarax_device** device) {
  auto opened = std::make_unique<IsolatedDevice>();
  const xbarax_status status = opened->Open(launch);
  if (status == XBARAX_OK)
    *device = reinterpret_cast<xbarax_device*>(opened.release());
  else
    open_error = opened->error();
  return status;
}
void Close(xbarax_device* device) {
  From(device)->Close();
  delete From(device);
}
const char* LastError(xbarax_device* device) {
  return device == nullptr ? open_error.c_str() : From(device)->error();
}
xbarax_status Describe(xbarax_device* device, xbarax_description* description) {
  return From(device)->Describe(description);
}
xbarax_status Allocate(xbarax_device* device, std::uint32_t outputs, std::uint32_t inputs,
                       xbarax_array* array) {
  return From(device)->Allocate(outputs, inputs, array);
}
xbarax_status Release(xbarax_device* device, xbarax_array array) {
  return From(device)->Release(array);
}
xbarax_status Program(xbarax_device* device, xbarax_array array, const float* weights) {
  return From(device)->Write(Function::kProgram, array, weights);
}
xbarax_status Read(xbarax_device* device, xbarax_array array, std::uint32_t n, const float* inputs,
                   float* results) {
  return From(device)->Read(Function::kRead, array, n, inputs, results);
}
xbarax_status ReadTransposed(xbarax_device* device, xbarax_array array, std::uint32_t n,
                             const float* inputs, float* results) {
  return From(device)->Read(Function::kReadTransposed, array, n, inputs, results);
}
xbarax_status Update(xbarax_device* device, xbarax_array array, const float* deltas) {
  return From(device)->Write(Function::kUpdate, array, deltas);
}
xbarax_status Pulse(xbarax_device* device, xbarax_array array, const std::int32_t* pulses) {
  return From(device)->Write(Function::kPulse, array, pulses);
}
xbarax_status ReadOut(xbarax_device* device, xbarax_array array, float* weights) {
  return From(device)->ReadOut(array, weights);
}

}  // namespace

const xbarax_driver* IsolatedDriver() {
  static const xbarax_driver driver = {
      XBARAX_DRIVER_VERSION_MAJOR,
      XBARAX_DRIVER_VERSION_MINOR,
      sizeof(xbarax_driver),
      Open,
      Close,
      LastError,
      Describe,
      Allocate,
      Release,
      Program,
      Read,
      ReadTransposed,
      Update,
      Pulse,
      ReadOut,
  };
  return &driver;
}

}  // namespace xbarax
