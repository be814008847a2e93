"""A driver in C, or any table of the interface, as a driver in Python."""

import ctypes
import json
from typing import Any

import numpy as np

from xbarax.hardware._driver import (
    AbstractDriver,
    Description,
    DeviceLostError,
    DriverError,
    Status,
)
from xbarax.hardware._table import CDescription, CTable, description_of


class CDriver(AbstractDriver):
    """A device that a table of C functions opens.

    Args:
      table: the table.
      config: the configuration for the table's `open`; a text is handed over as it is.

    Raises:
      DriverError: it does not open.
    """

    def __init__(self, table: CTable, config: dict[str, Any] | str):
        self._table = table
        self._shapes: dict[int, tuple[int, int]] = {}
        self._device = ctypes.c_void_p()
        text = config if isinstance(config, str) else json.dumps(config)
        self._check(table.open(text.encode(), ctypes.byref(self._device)))

    def close(self) -> None:
        """Closes the device."""
        if self._device.value is not None:
            self._table.close(self._device)
            self._device = ctypes.c_void_p()

    def describe(self) -> Description:
        """What the device says of itself."""
        said = CDescription(struct_size=ctypes.sizeof(CDescription))
        self._check(self._table.describe(self._device, ctypes.byref(said)))
        return description_of(said)

    def allocate(self, outputs: int, inputs: int) -> int:
        """Makes room for an array."""
        array = ctypes.c_uint64()
        self._check(self._table.allocate(self._device, outputs, inputs, ctypes.byref(array)))
        self._shapes[array.value] = (outputs, inputs)
        return array.value

    def release(self, array: int) -> None:
        """Gives the room back."""
        self._check(self._table.release(self._device, array))
        self._shapes.pop(array, None)

    def program(self, array: int, weights: np.ndarray) -> None:
        """Programs all weights."""
        self._check(self._table.program(self._device, array, _floats(weights)))

    def read(self, array: int, inputs: np.ndarray) -> np.ndarray:
        """Reads (n, inputs) to (n, outputs)."""
        results = _unwritten(len(inputs), self._shapes[array][0])
        call = self._table.read
        self._check(call(self._device, array, len(inputs), _floats(inputs), _floats(results)))
        return results

    def read_transposed(self, array: int, inputs: np.ndarray) -> np.ndarray:
        """Reads (n, outputs) to (n, inputs)."""
        results = _unwritten(len(inputs), self._shapes[array][1])
        call = self._function("read_transposed")
        self._check(call(self._device, array, len(inputs), _floats(inputs), _floats(results)))
        return results

    def update(self, array: int, deltas: np.ndarray) -> None:
        """Adds deltas."""
        self._check(self._function("update")(self._device, array, _floats(deltas)))

    def pulse(self, array: int, pulses: np.ndarray) -> None:
        """Applies pulses."""
        numbers = np.ascontiguousarray(pulses, np.int32)
        pointer = numbers.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        self._check(self._function("pulse")(self._device, array, pointer))

    def read_out(self, array: int) -> np.ndarray:
        """The weights as they are."""
        weights = _unwritten(*self._shapes[array])
        self._check(self._function("read_out")(self._device, array, _floats(weights)))
        return weights

    def _function(self, name: str) -> Any:
        function = getattr(self._table, name)
        if not function:
            raise DriverError(f"the driver has no function {name}", Status.UNSUPPORTED)
        return function

    def _check(self, status: int) -> None:
        if status == Status.OK:
            return
        address = self._table.last_error(self._device)
        text = "" if address is None else ctypes.string_at(address).decode(errors="replace")
        if status == Status.LOST:
            raise DeviceLostError(text)
        known = status in Status.__members__.values()
        text = text if known else f"unknown status {status}: {text}"
        raise DriverError(text, Status(status) if known else Status.DEVICE_ERROR)


def _unwritten(*shape: int) -> np.ndarray:
    """Room for results, which are not a number before the driver writes them."""
    return np.full(shape, np.nan, np.float32)


def _floats(numbers: np.ndarray) -> Any:
    """A pointer to float32; the array that it points into lives as long as the pointer."""
    contiguous = np.ascontiguousarray(numbers, np.float32)
    return contiguous.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
