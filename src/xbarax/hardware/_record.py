"""Records the calls into a driver to a file."""

import contextlib
import ctypes
import dataclasses
import datetime
import functools
import os
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from xbarax.hardware._c_driver import CDriver
from xbarax.hardware._driver import AbstractDriver, Description, DriverError, Status
from xbarax.hardware._driver_chip import DriverChip
from xbarax.hardware._python_table import PythonTable
from xbarax.hardware._recording import header_of, record_of
from xbarax.hardware._table import FUNCTIONS, VERSION, CTable

# Tables must outlive the devices that are opened with them.
_kept: list[PythonTable] = []


@contextlib.contextmanager
def recorded(chip: DriverChip, table: CTable, config: str) -> Iterator[tuple[CTable, str]]:
    """The functions that open a chip, and what they open it with; recording ones if it says so.

    The recording is made here, and goes again if the chip does not open.

    Raises:
      FileExistsError: there is a file of that name.
      OSError: it cannot be made.
    """
    if chip.record is None:
        yield table, config
        return
    recorder = Recorder(chip.record, chip.driver, chip.isolated)
    recording = PythonTable(functools.partial(RecordingDriver, recorder, table, config))
    _take_after(recording.table, table)
    _kept.append(recording)
    try:
        yield recording.table, chip.config
    except BaseException:
        recorder.discard()
        raise


def _take_after(recording: CTable, table: CTable) -> None:
    """Has the recording table refused for what the driver's own would be refused for."""
    recording.version_major = table.version_major
    recording.version_minor = table.version_minor
    recording.struct_size = table.struct_size
    if table.version_major != VERSION[0] or table.struct_size < ctypes.sizeof(CTable):
        return
    for name, kind in FUNCTIONS.items():
        if not getattr(table, name):
            setattr(recording, name, kind())


class Recorder:
    """A file that calls are appended to, as they are made.

    It is open while a device is: a chip that is opened anew goes on with it.

    Args:
      path: the file, which must not exist.
      driver: the driver's name.
      isolated: whether the driver runs in a process of its own.
    """

    def __init__(self, path: str, driver: str, isolated: bool):
        self._path = path
        self._calls = 0
        self._size = 0
        self._owed = b""  # what could not be written, and is to come first
        self._start = time.perf_counter()
        started = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        self._file: int | None = _make(path)
        self._identity = os.fstat(self._file)
        try:
            self._append(header_of(driver, isolated, started))
        except BaseException:
            self.discard()
            raise

    def open(self) -> None:
        """Goes on where the last device was closed.

        Raises:
          DriverError: the file is not as it was left.
        """
        if self._file is not None:
            return
        try:
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise DriverError(f"cannot go on with the recording {self._path}: {error}") from error
        found = os.fstat(self._file)
        if not os.path.samestat(found, self._identity) or found.st_size != self._size:
            self.close()
            raise DriverError(
                f"cannot go on with the recording {self._path}: it is not the file that was "
                "written, or has been changed since"
            )

    def close(self) -> None:
        """Closes the file; one that is not there any more is told."""
        if self._file is None:
            return
        removed = not os.fstat(self._file).st_nlink
        os.close(self._file)
        self._file = None
        if removed:
            warnings.warn(f"the recording {self._path} was removed while it was made", stacklevel=2)

    def discard(self) -> None:
        """Removes the file."""
        self.close()
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def call(
        self, name: str, ask: Callable[[], Any], given: np.ndarray | None = None, **said: Any
    ) -> Any:
        """Makes a call, and records it before and after.

        Args:
          name: the driver's function.
          ask: makes the call.
          given: the numbers that go to it.
          said: what else does.

        Returns:
          What it returns.

        Raises:
          DriverError: the recording cannot be written; no call is made before it can be.
        """
        seconds = round(time.perf_counter() - self._start, 9)
        number = self._calls + 1
        self._append(record_of({"call": number, "do": name, **said, "seconds": seconds}, given))
        self._calls = number
        began = time.perf_counter()
        try:
            result = ask()
        except BaseException as error:
            self._answer(number, began, _status_of(error), {"error": _text_of(error)})
            raise
        numbers = result if isinstance(result, np.ndarray) else None
        self._answer(number, began, Status.OK, _said_of(result), numbers)
        return result

    def _answer(
        self,
        number: int,
        began: float,
        status: Status,
        said: dict[str, Any],
        numbers: np.ndarray | None = None,
    ) -> None:
        duration = round(time.perf_counter() - began, 9)
        answer = {"answer": number, "status": status.name.lower(), "duration": duration, **said}
        try:
            self._append(record_of(answer, numbers))
        except DriverError as error:
            # This is what the program gets for an answer.
            told = {"status": error.status.name.lower(), "error": str(error)}
            self._owed = record_of({"answer": number, "duration": duration, **told})
            raise

    def _append(self, record: bytes) -> None:
        """Appends what is owed and the record, or nothing."""
        assert self._file is not None
        whole = self._owed + record
        left = memoryview(whole)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            if not isinstance(error, OSError):
                raise
            raise DriverError(
                f"the recording {self._path} cannot be written ({error.strerror}): the chip is not "
                "called before it can be"
            ) from error
        self._owed = b""
        self._size += len(whole)


class RecordingDriver(AbstractDriver):
    """A driver's device, with every call recorded.

    Args:
      recorder: where to.
      table: the driver's functions.
      text: what its `open` takes, as it is.
      config: the same, as it is recorded.

    Raises:
      DriverError: the device does not open, or the recording cannot be written.
    """

    def __init__(self, recorder: Recorder, table: CTable, text: str, config: dict[str, Any]):
        self._recorder = recorder
        opened: list[CDriver] = []
        recorder.open()
        try:
            recorder.call("open", lambda: opened.append(CDriver(table, text)), config=config)
        except BaseException:
            for driver in opened:  # and its answer could not be written
                driver.close()
            recorder.close()
            raise
        self._driver = opened[0]

    def close(self) -> None:
        """Closes the device, also where that cannot be recorded any more."""
        closed = False

        def close() -> None:
            nonlocal closed
            closed = True
            self._driver.close()

        try:
            self._recorder.call("close", close)
        finally:
            if not closed:
                self._driver.close()
            self._recorder.close()

    def describe(self) -> Description:
        """What the device says of itself."""
        return self._recorder.call("describe", self._driver.describe)

    def allocate(self, outputs: int, inputs: int) -> int:
        """Makes room for an array."""
        ask = lambda: self._driver.allocate(outputs, inputs)
        return self._recorder.call("allocate", ask, shape=[outputs, inputs])

    def release(self, array: int) -> None:
        """Gives the room back."""
        self._recorder.call("release", lambda: self._driver.release(array), array=array)

    def program(self, array: int, weights: np.ndarray) -> None:
        """Programs all weights."""
        ask = lambda: self._driver.program(array, weights)
        self._recorder.call("program", ask, weights, array=array)

    def read(self, array: int, inputs: np.ndarray) -> np.ndarray:
        """Reads (n, inputs) to (n, outputs)."""
        ask = lambda: self._driver.read(array, inputs)
        return self._recorder.call("read", ask, inputs, array=array, n=len(inputs))

    def read_transposed(self, array: int, inputs: np.ndarray) -> np.ndarray:
        """Reads (n, outputs) to (n, inputs)."""
        ask = lambda: self._driver.read_transposed(array, inputs)
        return self._recorder.call("read_transposed", ask, inputs, array=array, n=len(inputs))

    def update(self, array: int, deltas: np.ndarray) -> None:
        """Adds deltas."""
        ask = lambda: self._driver.update(array, deltas)
        self._recorder.call("update", ask, deltas, array=array)

    def pulse(self, array: int, pulses: np.ndarray) -> None:
        """Applies pulses."""
        ask = lambda: self._driver.pulse(array, pulses)
        self._recorder.call("pulse", ask, pulses, array=array)

    def read_out(self, array: int) -> np.ndarray:
        """The weights as they are."""
        return self._recorder.call("read_out", lambda: self._driver.read_out(array), array=array)


def _make(path: str) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o666)
    except FileExistsError:
        raise FileExistsError(
            f"record: {path} exists, and a recording never replaces a file: move it, or record to "
            "another one. Chips take record= along when they are stored, and begin their recording "
            "anew when they are opened elsewhere, or after close"
        ) from None
    except OSError as error:
        why = f"record: the recording cannot be made: {error.strerror}"
        raise OSError(error.errno, why, path) from None


def _said_of(result: Any) -> dict[str, Any]:
    if isinstance(result, Description):
        said = dataclasses.asdict(result)
        return {"description": {**said, "capabilities": sorted(result.capabilities)}}
    return {"array": result} if isinstance(result, int) else {}


def _status_of(error: BaseException) -> Status:
    return error.status if isinstance(error, DriverError) else Status.DEVICE_ERROR


def _text_of(error: BaseException) -> str:
    return str(error) if isinstance(error, DriverError) else f"{type(error).__name__}: {error}"
