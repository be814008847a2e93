// XLA's handlers around devices: what compiled programs call.
//
// A device is named by an attribute and looked up at run time: compiled programs are cached across
// processes, so that they hold neither addresses nor handles. All take leading batch axes (*batch),
// the same for every operand.
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "device/device_registry.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace xbarax {
namespace {

using Handles = ffi::Buffer<ffi::U32>;    // (*batch, 2): ids and generations
using NewHandles = ffi::Result<Handles>;  // the same
using Numbers = ffi::Buffer<ffi::F32>;
using Results = ffi::Result<Numbers>;
using Counts = ffi::Buffer<ffi::S32>;
using NewCounts = ffi::Result<Counts>;

static_assert(sizeof(Handle) == 2 * sizeof(std::uint32_t));

ffi::Error Refused(const std::string& why) {
  return why.empty() ? ffi::Error::Success() : ffi::Error(ffi::ErrorCode::kFailedPrecondition, why);
}

// Calls body(device, array's number, its handle) for each array.
ffi::Error ForEachHandle(std::string_view name, Handles handles,
                         const std::function<std::string(Device&, std::size_t, Handle)>& body) {
  std::string error;
  const std::shared_ptr<Device> device = FindDevice(std::string(name), &error);
  const std::size_t arrays = handles.element_count() / 2;
  for (std::size_t a = 0; a < arrays && error.empty(); ++a) {
    Handle handle;
    std::memcpy(&handle, handles.typed_data() + 2 * a, sizeof handle);
    error = body(*device, a, handle);
  }
  return Refused(error);
}

void Store(Handle handle, std::size_t a, NewHandles& handles) {
  std::memcpy(handles->typed_data() + 2 * a, &handle, sizeof handle);
}

using Write = std::string (Device::*)(Handle, const float*, std::size_t, Programmed*);

// handles (*batch, 2), numbers (*batch, out, in) to new handles and saturated (*batch, 1).
ffi::Error WriteImpl(Handles handles, Numbers numbers, NewHandles written, NewCounts saturated,
                     std::string_view name, Write write) {
  const std::size_t arrays = handles.element_count() / 2;
  if (written->element_count() != 2 * arrays || saturated->element_count() != arrays)
    return ffi::Error::InvalidArgument("xbarax device: operands that do not match");
  return ForEachHandle(name, handles, [&](Device& device, std::size_t a, Handle handle) {
    const std::size_t size = numbers.element_count() / arrays;
    Programmed programmed = {};
    std::string error = (device.*write)(handle, numbers.typed_data() + a * size, size, &programmed);
    Store(programmed.handle, a, written);
    saturated->typed_data()[a] = static_cast<std::int32_t>(programmed.saturated);
    return error;
  });
}

ffi::Error DeviceProgram(Handles handles, Numbers weights, NewHandles written, NewCounts saturated,
                         std::string_view name) {
  return WriteImpl(handles, weights, written, saturated, name, &Device::Program);
}

ffi::Error DeviceUpdate(Handles handles, Numbers deltas, NewHandles written, NewCounts saturated,
                        std::string_view name) {
  return WriteImpl(handles, deltas, written, saturated, name, &Device::Update);
}

// handles (*batch, 2), pulses (*batch, out, in) to new handles.
ffi::Error DevicePulse(Handles handles, Counts pulses, NewHandles written, std::string_view name) {
  const std::size_t arrays = handles.element_count() / 2;
  if (written->element_count() != 2 * arrays)
    return ffi::Error::InvalidArgument("xbarax device: operands that do not match");
  return ForEachHandle(name, handles, [&](Device& device, std::size_t a, Handle handle) {
    const std::size_t size = pulses.element_count() / arrays;
    Programmed programmed = {};
    std::string error = device.Pulse(handle, pulses.typed_data() + a * size, size, &programmed);
    Store(programmed.handle, a, written);
    return error;
  });
}

// handles (*batch, 2), x (*batch, rows, from), y (*batch, rows, to).
ffi::Error ReadImpl(Handles handles, Numbers x, Results y, std::string_view name, bool transposed) {
  const auto dims = x.dimensions();
  const std::size_t arrays = handles.element_count() / 2;
  if (dims.size() < 2 || y->dimensions().size() != dims.size())
    return ffi::Error::InvalidArgument("xbarax device: operands that do not match");
  const auto rows = static_cast<std::size_t>(dims[dims.size() - 2]);
  return ForEachHandle(name, handles, [&](Device& device, std::size_t a, Handle handle) {
    const std::size_t from = x.element_count() / arrays, to = y->element_count() / arrays;
    return device.Read(handle, rows, x.typed_data() + a * from, from, y->typed_data() + a * to, to,
                       transposed);
  });
}

ffi::Error DeviceRead(Handles handles, Numbers x, Results y, std::string_view name) {
  return ReadImpl(handles, x, y, name, false);
}

ffi::Error DeviceReadTransposed(Handles handles, Numbers y, Results x, std::string_view name) {
  return ReadImpl(handles, y, x, name, true);
}

// handles (*batch, 2) to weights (*batch, out, in).
ffi::Error DeviceReadOut(Handles handles, Results weights, std::string_view name) {
  return ForEachHandle(name, handles, [&](Device& device, std::size_t a, Handle handle) {
    const std::size_t size = weights->element_count() / (handles.element_count() / 2);
    return device.ReadOut(handle, weights->typed_data() + a * size, size);
  });
}

// The handles themselves, once all the other operands are there.
ffi::Error DeviceAfter(Handles handles, ffi::RemainingArgs, NewHandles same) {
  std::memcpy(same->typed_data(), handles.typed_data(), handles.size_bytes());
  return ffi::Error::Success();
}

}  // namespace
}  // namespace xbarax

#define XBARAX_EXPORT __attribute__((visibility("default")))

extern "C" {

XBARAX_EXPORT XLA_FFI_Error* XbaraxDeviceProgram(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxDeviceUpdate(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxDevicePulse(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxDeviceRead(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxDeviceReadTransposed(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxDeviceReadOut(XLA_FFI_CallFrame* call_frame);
XBARAX_EXPORT XLA_FFI_Error* XbaraxDeviceAfter(XLA_FFI_CallFrame* call_frame);

}  // extern "C"

XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxDeviceProgram, xbarax::DeviceProgram,
                              ffi::Ffi::Bind()
                                  .Arg<xbarax::Handles>()
                                  .Arg<xbarax::Numbers>()
                                  .Ret<xbarax::Handles>()
                                  .Ret<xbarax::Counts>()
                                  .Attr<std::string_view>("device"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxDeviceUpdate, xbarax::DeviceUpdate,
                              ffi::Ffi::Bind()
                                  .Arg<xbarax::Handles>()
                                  .Arg<xbarax::Numbers>()
                                  .Ret<xbarax::Handles>()
                                  .Ret<xbarax::Counts>()
                                  .Attr<std::string_view>("device"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxDevicePulse, xbarax::DevicePulse,
                              ffi::Ffi::Bind()
                                  .Arg<xbarax::Handles>()
                                  .Arg<xbarax::Counts>()
                                  .Ret<xbarax::Handles>()
                                  .Attr<std::string_view>("device"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxDeviceRead, xbarax::DeviceRead,
                              ffi::Ffi::Bind()
                                  .Arg<xbarax::Handles>()
                                  .Arg<xbarax::Numbers>()
                                  .Ret<xbarax::Numbers>()
                                  .Attr<std::string_view>("device"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(XbaraxDeviceReadTransposed, xbarax::DeviceReadTransposed,
                              ffi::Ffi::Bind()
                                  .Arg<xbarax::Handles>()
                                  .Arg<xbarax::Numbers>()
                                  .Ret<xbarax::Numbers>()
                                  .Attr<std::string_view>("device"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    XbaraxDeviceReadOut, xbarax::DeviceReadOut,
    ffi::Ffi::Bind().Arg<xbarax::Handles>().Ret<xbarax::Numbers>().Attr<std::string_view>(
        "device"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    XbaraxDeviceAfter, xbarax::DeviceAfter,
    ffi::Ffi::Bind().Arg<xbarax::Handles>().RemainingArgs().Ret<xbarax::Handles>());
