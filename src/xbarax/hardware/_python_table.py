"""A driver in Python as a table of C functions."""

import ctypes
import itertools
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from xbarax.hardware._driver import CAPABILITIES, AbstractDriver, Description, DriverError, Status
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
        self._callbacks = {
            name: kind(getattr(self, f"_{name}")) for name, kind in FUNCTIONS.items()
        }
        self.table = CTable(*VERSION, ctypes.sizeof(CTable), **self._callbacks)

    # What leaves a callback as an exception is printed and forgotten by ctypes, and the call would
    # seem to have succeeded: each catches everything.

    def _open(self, config: bytes, device: Any) -> int:
        try:
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
            opened.driver.close()
        except BaseException as error:
            self._open_error = _text_of(error)  # there is nobody to tell

    def _last_error(self, device: int | None) -> int:
        opened = None if device is None else self._devices.get(device)
        return ctypes.addressof(self._open_error if opened is None else opened.error)

    def _call(self, device: int, call: Callable[["_Open"], None]) -> int:
        opened = self._devices[device]
        try:
            call(opened)
        except BaseException as error:
            opened.error = _text_of(error)
            return _status_of(error)
        return Status.OK

    def _describe(self, device: int, description: Any) -> int:
        return self._call(device, lambda opened: _describe(opened.driver, description[0]))

    def _allocate(self, device: int, outputs: int, inputs: int, array: Any) -> int:
        def call(opened: _Open) -> None:
            number = int(opened.driver.allocate(outputs, inputs))
            opened.shapes[number] = (outputs, inputs)
            array[0] = number

        return self._call(device, call)

    def _release(self, device: int, array: int) -> int:
        def call(opened: _Open) -> None:
            opened.driver.release(array)
            opened.shapes.pop(array, None)

        return self._call(device, call)

    def _program(self, device: int, array: int, weights: Any) -> int:
        return self._call(device, lambda o: o.driver.program(array, o.matrix(array, weights)))

    def _update(self, device: int, array: int, deltas: Any) -> int:
        return self._call(device, lambda o: o.driver.update(array, o.matrix(array, deltas)))

    def _pulse(self, device: int, array: int, pulses: Any) -> int:
        return self._call(device, lambda o: o.driver.pulse(array, o.matrix(array, pulses)))

    def _read(self, device: int, array: int, n: int, inputs: Any, results: Any) -> int:
        def call(opened: _Open) -> None:
            to, origin = opened.shape(array)
            given = opened.driver.read(array, _view(inputs, (n, origin)))
            _store("read", given, results, (n, to))

        return self._call(device, call)

    def _read_transposed(self, device: int, array: int, n: int, inputs: Any, results: Any) -> int:
        def call(opened: _Open) -> None:
            origin, to = opened.shape(array)
            given = opened.driver.read_transposed(array, _view(inputs, (n, origin)))
            _store("read_transposed", given, results, (n, to))

        return self._call(device, call)

    def _read_out(self, device: int, array: int, weights: Any) -> int:
        def call(opened: _Open) -> None:
            _store("read_out", opened.driver.read_out(array), weights, opened.shape(array))

        return self._call(device, call)


class _Open:
    """An open device: its driver, its arrays' shapes, its last error."""

    def __init__(self, driver: AbstractDriver):
        self.driver = driver
        self.shapes: dict[int, tuple[int, int]] = {}
        self.error = ctypes.create_string_buffer(b"")

    def shape(self, array: int) -> tuple[int, int]:
        if array not in self.shapes:
            raise DriverError(f"there is no array {array}", Status.INVALID_ARGUMENT)
        return self.shapes[array]

    def matrix(self, array: int, numbers: Any) -> np.ndarray:
        return _view(numbers, self.shape(array))


def _view(numbers: Any, shape: tuple[int, int]) -> np.ndarray:
    view = np.ctypeslib.as_array(numbers, shape)
    view.flags.writeable = False
    return view


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
    if isinstance(error, DriverError):
        return error.status
    return next((s for kind, s in _KINDS if isinstance(error, kind)), Status.DEVICE_ERROR)


def _text_of(error: BaseException) -> Any:
    text = str(error) if isinstance(error, DriverError) else f"{type(error).__name__}: {error}"
    return ctypes.create_string_buffer(text.encode(errors="replace").replace(b"\0", b"?"))
