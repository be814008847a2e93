"""A driver in Python as a table of C functions."""

import ctypes
import functools
import itertools
import json
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from xbarax.hardware._driver import CAPABILITIES, AbstractDriver, Description, DriverError, Status
from xbarax.hardware._interrupts import InterruptLater
from xbarax.hardware._table import FUNCTIONS, VERSION, CDescription, CTable

_KINDS: tuple[tuple[type[BaseException], Status], ...] = (
    (NotImplementedError, Status.UNSUPPORTED),
    (MemoryError, Status.NO_SPACE),
    (TimeoutError, Status.TIMEOUT),
    (ConnectionError, Status.LOST),
    (ValueError, Status.INVALID_ARGUMENT),
)


class PythonTable:
    """The functions of the interface, for drivers that `make` opens.

    The table lives as long as this object, which must outlive the devices opened with it.

    Args:
      make: takes a device's configuration and opens it.
    """

    def __init__(self, make: Callable[[dict[str, Any]], AbstractDriver]):
        self._make = make
        self._devices: dict[int, _Open] = {}
        self._numbers = itertools.count(1)
        self._open_error = ctypes.create_string_buffer(b"")
        own = {"open": self._open, "close": self._close, "last_error": self._last_error}
        self._callbacks = {
            name: kind(own.get(name) or functools.partial(self._call, name))
            for name, kind in FUNCTIONS.items()
        }
        self.table = CTable(*VERSION, ctypes.sizeof(CTable), **self._callbacks)

    # What leaves a callback as an exception is printed and forgotten by ctypes, and the call would
    # seem to have succeeded: each catches everything.

    def _open(self, config: bytes, device: Any) -> int:
        try:
            with InterruptLater():
                driver = self._make(json.loads(config))
        except BaseException as error:
            self._open_error = _text_of(error)
            return _status_of(error)
        number = next(self._numbers)
        self._devices[number] = _Open(driver)
        device[0] = number
        return Status.OK

    def _close(self, device: int) -> None:
        opened = self._devices.pop(device)
        try:
            with InterruptLater():
                opened.close()
        except BaseException as error:
            self._open_error = _text_of(error)  # there is nobody to tell

    def _last_error(self, device: int | None) -> int:
        opened = None if device is None else self._devices.get(device)
        return ctypes.addressof(self._open_error if opened is None else opened.error)

    def _call(self, name: str, device: int, *arguments: Any) -> int:
        opened = self._devices[device]
        try:
            with InterruptLater():
                getattr(opened, name)(*arguments)
        except BaseException as error:
            opened.error = _text_of(error)
            return _status_of(error)
        return Status.OK


class _Open:
    """An open device: its driver, its arrays' shapes, its last error; the table's functions."""

    def __init__(self, driver: AbstractDriver):
        self._driver = driver
        self._shapes: dict[int, tuple[int, int]] = {}
        self.error = ctypes.create_string_buffer(b"")

    def close(self) -> None:
        self._driver.close()

    def describe(self, description: Any) -> None:
        _describe(self._driver, description[0])

    def allocate(self, outputs: int, inputs: int, array: Any) -> None:
        number = self._driver.allocate(outputs, inputs)
        if not (hasattr(number, "__index__") and 0 <= operator.index(number) < 2**64):
            raise DriverError(
                f"allocate: expected an array's number, 0 to 2⁶⁴ - 1, the driver "
                f"returned {number!r}"
            )
        array[0] = operator.index(number)
        self._shapes[array[0]] = (outputs, inputs)

    def release(self, array: int) -> None:
        self._driver.release(array)
        self._shapes.pop(array, None)

    def program(self, array: int, weights: Any) -> None:
        self._driver.program(array, _array(weights, self._shape(array)))

    def update(self, array: int, deltas: Any) -> None:
        self._driver.update(array, _array(deltas, self._shape(array)))

    def pulse(self, array: int, pulses: Any) -> None:
        self._driver.pulse(array, _array(pulses, self._shape(array)))

    def read(self, array: int, n: int, inputs: Any, results: Any) -> None:
        to, origin = self._shape(array)
        given = self._driver.read(array, _array(inputs, (n, origin)))
        _store("read", given, results, (n, to))

    def read_transposed(self, array: int, n: int, inputs: Any, results: Any) -> None:
        origin, to = self._shape(array)
        given = self._driver.read_transposed(array, _array(inputs, (n, origin)))
        _store("read_transposed", given, results, (n, to))

    def read_out(self, array: int, weights: Any) -> None:
        _store("read_out", self._driver.read_out(array), weights, self._shape(array))

    def _shape(self, array: int) -> tuple[int, int]:
        if array not in self._shapes:
            raise DriverError(f"there is no array {array}", Status.INVALID_ARGUMENT)
        return self._shapes[array]


# A copy, since a driver that keeps a view of the caller's buffer would not know when it changes.
def _array(numbers: Any, shape: tuple[int, int]) -> np.ndarray:
    return np.ctypeslib.as_array(numbers, shape).copy()


def _store(call: str, given: Any, to: Any, shape: tuple[int, int]) -> None:
    numbers = np.asarray(given)
    if numbers.shape != shape or numbers.dtype.kind not in "biuf":
        raise DriverError(
            f"{call}: expected float32 of shape {shape}, the driver returned {numbers.dtype} of "
            f"shape {numbers.shape}"
        )
    np.ctypeslib.as_array(to, shape)[...] = numbers


def _describe(driver: AbstractDriver, description: CDescription) -> None:
    said = driver.describe()
    if not isinstance(said, Description):
        raise DriverError(
            f"describe: expected an xbarax.hardware.Description, given {type(said).__name__}"
        )
    name = said.name.encode()
    if not 0 < len(name) < 64:
        raise DriverError(f"describe: name: expected 1 to 63 bytes, given {said.name!r}")
    description.name = name
    description.capabilities = sum(
        1 << bit for bit, known in enumerate(CAPABILITIES) if known in said.capabilities
    )
    for field in ("max_outputs", "max_inputs", "max_arrays"):
        number = getattr(said, field)
        if not 0 <= number < 2**32:
            raise DriverError(f"describe: {field}: expected 0 to 2³² - 1, given {number!r}")
        setattr(description, field, number)
    for field in ("weight_low", "weight_high", "weight_error", "read_noise", "read_error"):
        setattr(description, field, getattr(said, field))


def _status_of(error: BaseException) -> int:
    if not isinstance(error, DriverError):
        return next((s for kind, s in _KINDS if isinstance(error, kind)), Status.DEVICE_ERROR)
    status = getattr(error, "status", None)  # a subclass may have left it out
    # What was raised is no success, whatever it says.
    return status if isinstance(status, Status) and status else Status.DEVICE_ERROR


def _text_of(error: BaseException) -> Any:
    try:
        said = str(error)
    except BaseException:
        said = "(its text raises an exception)"
    text = said if isinstance(error, DriverError) else f"{type(error).__name__}: {said}"
    return ctypes.create_string_buffer(text.encode(errors="replace").replace(b"\0", b"?"))
