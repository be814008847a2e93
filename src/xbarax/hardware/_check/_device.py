"""An open device, as the checks see it: every call noted, every buffer with margins."""

import ctypes
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from xbarax.hardware._check._buffers import Buffer, unwritten
from xbarax.hardware._check._result import Failed, status_name
from xbarax.hardware._driver import Description, Status
from xbarax.hardware._table import CDescription, CTable, description_of

CANARY = 0x5A5A0000
"""What `*device` is before `open`."""


class Calls:
    """A table's functions; who supervises the process learns which of them is running.

    Args:
      table: the table.
      note: takes the name of a function before its call, and "" after it.
    """

    def __init__(self, table: CTable, note: Callable[[str], None]):
        self.table = table
        self.note = note
        self._process = os.getpid()

    def __call__(self, name: str, *arguments: Any) -> Any:
        """Calls a function."""
        function = getattr(self.table, name)
        self.note(name)
        result = function(*arguments)
        if os.getpid() != self._process:
            os._exit(0)  # a copy that a driver has forked: it must not go on with the checks, too
        self.note("")
        return result

    def text(self, device: Any) -> str | None:
        """What `last_error` says; None: NULL."""
        address = self("last_error", device)
        if address is None:
            return None
        self.note("last_error (reading its text)")
        text = ctypes.string_at(address).decode(errors="replace")
        self.note("")
        return text

    def open(self, config: str) -> tuple[int, int | None]:
        """The status of `open`, and the device's address."""
        device = ctypes.c_void_p(CANARY)
        return self("open", config.encode(), ctypes.byref(device)), device.value


class Device:
    """An open device.

    Args:
      calls: the driver's functions.
      config: a JSON object as text.

    Raises:
      Failed: it does not open.
    """

    def __init__(self, calls: Calls, config: str):
        self._calls = calls
        self.shapes: dict[int, tuple[int, int]] = {}
        # A driver that uses buffers after the call is found by the check for that alone.
        self.kept: list[Buffer] = []
        status, self.pointer = calls.open(config)
        if status != Status.OK:
            raise Failed(
                asked=f"open with {config}",
                got=f"{status_name(status)}: {calls.text(None)!r}",
                advice="if the device needs a configuration, give it: --config '{…}'",
            )
        if self.pointer in (None, CANARY):
            raise Failed(
                asked=f"open with {config}",
                got="XBARAX_OK, and " + ("NULL" if self.pointer is None else "no device"),
                advice="set *device to the address of what you keep of the device",
                contract="open sets *device on success",
            )

    def close(self) -> None:
        """Closes the device."""
        self._calls("close", self.pointer)

    def status(self, name: str, *arguments: Any) -> int:
        """Calls a function of the device."""
        status: int = self._calls(name, self.pointer, *arguments)
        return status

    def text(self) -> str | None:
        """The device's last error."""
        return self._calls.text(self.pointer)

    def must(self, name: str, asked: str, *arguments: Any) -> None:
        """Calls a function that has no reason to fail."""
        status = self.status(name, *arguments)
        if status != Status.OK:
            raise Failed(
                asked=asked,
                got=f"{name} returned {status_name(status)}: {self.text()!r}",
                contract="what the device describes, it does: the call is within all limits",
                advice=f"find out why {name} fails here, or describe what the device can do",
            )

    def describe(self) -> Description:
        """What the device says of itself."""
        room = (ctypes.c_char * (ctypes.sizeof(CDescription) + 256))()  # some write beyond it
        said = CDescription.from_buffer(room)
        said.struct_size = ctypes.sizeof(CDescription)
        self.must("describe", "describe", ctypes.byref(said))
        return description_of(said)

    def try_allocate(self, outputs: int, inputs: int) -> tuple[int, int]:
        """The status of `allocate`, and the array."""
        array = ctypes.c_uint64()
        status = self.status("allocate", outputs, inputs, ctypes.byref(array))
        if status == Status.OK:
            self.shapes[array.value] = (outputs, inputs)
        return status, array.value

    def allocate(self, outputs: int, inputs: int) -> int:
        """Makes room for an array, which there must be."""
        array = ctypes.c_uint64()
        asked = f"allocate {outputs}×{inputs}"
        self.must("allocate", asked, outputs, inputs, ctypes.byref(array))
        self.shapes[array.value] = (outputs, inputs)
        return array.value

    def place(self, weights: np.ndarray) -> int:
        """An array with these weights."""
        array = self.allocate(*weights.shape)
        self.program(array, weights)
        return array

    def release(self, array: int) -> None:
        """Gives an array's room back."""
        self.must("release", f"release of an array {_shape(self.shapes[array])}", array)
        del self.shapes[array]

    def _write(self, name: str, array: int, numbers: np.ndarray) -> Buffer:
        buffer = Buffer(numbers)
        self.kept.append(buffer)
        asked = f"{name} of an array {_shape(self.shapes[array])}"
        self.must(name, asked, array, buffer.pointer)
        return buffer

    def program(self, array: int, weights: np.ndarray) -> Buffer:
        """Programs all weights; the buffer that they were in."""
        return self._write("program", array, np.asarray(weights, np.float32))

    def update(self, array: int, deltas: np.ndarray) -> Buffer:
        """Adds deltas; the buffer that they were in."""
        return self._write("update", array, np.asarray(deltas, np.float32))

    def pulse(self, array: int, pulses: np.ndarray) -> Buffer:
        """Applies pulses; the buffer that they were in."""
        return self._write("pulse", array, np.asarray(pulses, np.int32))

    def read_out(self, array: int) -> np.ndarray:
        """The weights as they are."""
        buffer = unwritten(*self.shapes[array])
        self.kept.append(buffer)
        asked = f"read_out of an array {_shape(self.shapes[array])}"
        self.must("read_out", asked, array, buffer.pointer)
        return buffer.numbers

    def read(self, array: int, inputs: np.ndarray, name: str = "read") -> np.ndarray:
        """Reads (n, from) to (n, to), with `read` or `read_transposed`."""
        return self.read_into(array, inputs, None, name)[1].numbers

    def read_into(
        self, array: int, inputs: np.ndarray, results: np.ndarray | None, name: str = "read"
    ) -> tuple[Buffer, Buffer]:
        """Reads into a buffer that holds `results` before; both buffers."""
        to = self.shapes[array][name == "read_transposed"]
        given = Buffer(np.asarray(inputs, np.float32))
        filled = unwritten(len(inputs), to) if results is None else Buffer(results)
        self.kept += [given, filled]
        asked = f"{name} of {len(inputs)} vectors, array {_shape(self.shapes[array])}"
        self.must(name, asked, array, len(inputs), given.pointer, filled.pointer)
        return given, filled


def _shape(shape: tuple[int, int]) -> str:
    return f"{shape[0]}×{shape[1]}"
