"""The native library's functions for devices, with errors as exceptions."""

import ctypes
from typing import Any

from xbarax import _kernels
from xbarax.hardware._driver import Description, DriverError
from xbarax.hardware._table import CDescription, CTable, description_of

_ERROR_BYTES = 4096


def open_device(name: str, table: CTable, config: str) -> None:
    """Opens a device under `name`, if none is open under it."""
    _call("xbarax_device_open", name.encode(), ctypes.byref(table), config.encode())


def open_if_lost(name: str) -> None:
    """Opens a device that was lost anew; its arrays have to be recovered."""
    _call("xbarax_device_open_if_lost", name.encode())


def close_device(name: str) -> None:
    """Closes a device; nothing happens if none is open under `name`."""
    _kernels.library().xbarax_device_close(name.encode())


def describe(name: str) -> Description:
    """What the device that is open under `name` says of itself."""
    said = CDescription()
    _call("xbarax_device_describe", name.encode(), ctypes.byref(said))
    return description_of(said)


def allocate(name: str, n_out: int, n_in: int) -> tuple[int, int]:
    """Takes a place for an array (out, in); its id and generation."""
    handle = (ctypes.c_uint32 * 2)()
    sizes = ctypes.c_size_t(n_out), ctypes.c_size_t(n_in)
    _call("xbarax_device_allocate", name.encode(), *sizes, handle)
    return handle[0], handle[1]


def release(name: str, array: int) -> None:
    """Has an array's place freed at the next call into the device."""
    _kernels.library().xbarax_device_release(name.encode(), ctypes.c_uint32(array))


def recover(name: str, array: int) -> tuple[int, int, bool]:
    """An array's current id and generation, whatever happened; whether pulses were lost."""
    handle = (ctypes.c_uint32 * 3)()
    _call("xbarax_device_recover", name.encode(), ctypes.c_uint32(array), handle)
    return handle[0], handle[1], bool(handle[2])


def _call(function: str, *arguments: Any) -> None:
    message = ctypes.create_string_buffer(_ERROR_BYTES)
    size = ctypes.c_size_t(_ERROR_BYTES)
    if getattr(_kernels.library(), function)(*arguments, message, size):
        raise DriverError(message.value.decode(errors="replace"))
