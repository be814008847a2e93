"""Replays recordings: a driver that answers as the recorded one did, and refuses anything else."""

import itertools
import json
import os
from os import PathLike
from typing import Any, NoReturn

import numpy as np

from xbarax.hardware import _load, _sources
from xbarax.hardware._driver import (
    AbstractDriver,
    Description,
    DeviceLostError,
    DriverError,
    Status,
)
from xbarax.hardware._driver_chip import DriverChip
from xbarax.hardware._recorded_arrays import RecordedArray, Session, difference, sessions_of
from xbarax.hardware._recording import RecordedCall, Recording, RecordingError, read_recording


class ReplayError(DriverError):
    """The program asks something else than what was recorded.

    Args:
      message: the first difference.
    """

    def __init__(self, message: str):
        super().__init__(message, Status.INVALID_ARGUMENT)


def replay(path: str | PathLike, tolerance: float = 1e-5) -> DriverChip:
    """Opens a recording in the place of its chip.

    The program that was recorded runs on it as it did, errors included. Where it asks something
    else, the call is refused with the first difference, and so is every call after it. Calls to
    different arrays may come in any order, and so may the reads of an array between two of its
    changes; each gets the answer to what it asks. Arrays may be given back at any time.

    Each call of this function begins another replay, from the start.

    Args:
      path: a file that `xbarax.hardware.load(…, record=path)` wrote.
      tolerance: how far numbers may be from the recorded ones, relative to the largest of them in
        the same call: another processor rounds differently. 0: not at all.

    Returns:
      A chip for the recorded program, without the chip's times.

    Raises:
      RecordingError: the file is no recording, of a newer version, or damaged.
      OSError: it cannot be read.
      DriverError: it ends before the chip was open.
      ValueError: a tolerance that is not a number from 0.
    """
    if not (isinstance(tolerance, int | float) and 0 <= tolerance < float("inf")):
        raise ValueError(f"tolerance: expected a number from 0, given {tolerance!r}")
    where = os.path.abspath(os.path.expanduser(os.fspath(path)))
    config = {"recording": where, "tolerance": float(tolerance), "replay": next(_numbers)}
    text = json.dumps(config, sort_keys=True)
    _replays[text] = _Replay(config)
    try:
        return _load.open_chip(_sources.name_of(ReplayDriver), text, False, 60.0, None)
    except BaseException:
        _replays.pop(text, None)
        raise


_numbers = itertools.count(1)


class _Replay:
    """How far a replay has come; it lives on while a chip that was lost is opened anew."""

    def __init__(self, config: dict[str, Any]):
        self.recording: Recording = read_recording(config["recording"])
        self.tolerance: float = config["tolerance"]
        try:
            self.sessions = sessions_of(self.recording)
        except KeyError as error:
            raise RecordingError(f"{self.recording.path} is damaged: {error.args[0]}") from None
        self.lost = False
        self._refusal = ""

    def check(self) -> None:
        """Refuses everything after a first difference."""
        if self._refusal:
            raise ReplayError(self._refusal)

    def refuse(self, recorded: str, asked: str) -> NoReturn:
        self._refusal = (
            f"replay of {self.recording.path}: the program differs from the recording; recorded: "
            f"{recorded}; asked: {asked}"
        )
        raise ReplayError(self._refusal)

    def answer(self, call: RecordedCall) -> RecordedCall:
        """Fails as the call did."""
        if call.status is None:
            self._refusal = f"replay of {self.recording.path}: {self.recording.end}"
            raise ReplayError(self._refusal)
        if call.status == Status.LOST:
            self.lost = True
            raise DeviceLostError(call.error)
        if call.status != Status.OK:
            raise DriverError(call.error, call.status)
        return call


# By the configuration that a device is opened with.
_replays: dict[str, _Replay] = {}


class ReplayDriver(AbstractDriver):
    """A recording's device.

    Args:
      config: `recording`, the file's absolute path; `tolerance`; `replay`, the replay's number.

    Raises:
      DriverError: as the recorded device did, or since the recording ends.
      RecordingError, OSError: as for `replay`.
    """

    def __init__(self, config: dict[str, Any]):
        self._key = json.dumps(config, sort_keys=True)
        if self._key not in _replays:
            _replays[self._key] = _Replay(config)
        self._replay = _replays[self._key]
        self._replay.check()
        if not self._replay.sessions:
            self._replay.refuse(f"no opening of the chip: {self._replay.recording.end}", "open")
        self._replay.lost = False
        self._session: Session = self._replay.sessions.popleft()
        self._arrays: dict[int, RecordedArray] = {}
        self._others = itertools.count(2**63)
        self._replay.answer(self._session.opened)

    def close(self) -> None:
        """Ends the replay, if no lost chip is to be opened anew."""
        if not self._replay.lost:
            _replays.pop(self._key, None)

    def describe(self) -> Description:
        """What the device said of itself."""
        self._replay.check()
        if self._session.described is None:
            self._replay.refuse(self._nothing_more("no description"), "describe")
        said = self._replay.answer(self._session.described).description
        assert said is not None
        return said

    def allocate(self, outputs: int, inputs: int) -> int:
        """The next array that was allocated."""
        self._replay.check()
        asked = f"allocate, {outputs} × {inputs}"
        if not self._session.allocated:
            self._replay.refuse(self._nothing_more("no more arrays"), asked)
        array = self._session.allocated[0]
        if array.shape != (outputs, inputs):
            self._replay.refuse(_text_of(array.call), asked)
        self._session.allocated.popleft()
        number = self._replay.answer(array.call).array
        assert number is not None
        if number in self._arrays:  # whose release comes later than it did
            number = next(self._others)
        self._arrays[number] = array
        return number

    def release(self, array: int) -> None:
        """Forgets the array, whenever that is."""
        self._replay.check()
        released = self._array(array, "release").released
        del self._arrays[array]
        if released is not None and released.status is not None:
            self._replay.answer(released)

    def program(self, array: int, weights: np.ndarray) -> None:
        """As it was recorded."""
        self._change("program", array, weights)

    def read(self, array: int, inputs: np.ndarray) -> np.ndarray:
        """As it was recorded."""
        return self._read("read", array, inputs)

    def read_transposed(self, array: int, inputs: np.ndarray) -> np.ndarray:
        """As it was recorded."""
        return self._read("read_transposed", array, inputs)

    def update(self, array: int, deltas: np.ndarray) -> None:
        """As it was recorded."""
        self._change("update", array, deltas)

    def pulse(self, array: int, pulses: np.ndarray) -> None:
        """As it was recorded."""
        self._change("pulse", array, pulses)

    def read_out(self, array: int) -> np.ndarray:
        """As it was recorded."""
        return self._read("read_out", array, None)

    def _array(self, number: int, asked: str) -> RecordedArray:
        if number not in self._arrays:
            self._replay.refuse("a release of the array before", f"{asked}, array {number}")
        return self._arrays[number]

    def _read(self, name: str, number: int, inputs: np.ndarray | None) -> np.ndarray:
        self._replay.check()
        array = self._array(number, name)
        call = array.take_read(name, inputs, self._replay.tolerance)
        if call is None:
            self._refuse_read(name, array, inputs)
        results = self._replay.answer(call).returned
        assert results is not None
        return results

    def _refuse_read(self, name: str, array: RecordedArray, inputs: np.ndarray | None) -> NoReturn:
        asked = name if inputs is None else f"{name}, n = {len(inputs)}"
        shape = None if inputs is None else inputs.shape
        near = array.nearest_read(name, shape) or array.change
        if near is None:
            self._replay.refuse(self._nothing_more(f"no more of {array}", array), asked)
        if inputs is not None and near.call == name and near.given_shape == shape:
            asked = f"the same, where {self._difference(near, inputs)}"
        self._replay.refuse(_text_of(near), asked)

    def _change(self, name: str, number: int, numbers: np.ndarray) -> None:
        self._replay.check()
        array = self._array(number, name)
        first = array.nearest_read(name, None) or array.change
        if first is None:
            self._replay.refuse(self._nothing_more(f"no more of {array}", array), name)
        if first.call != name:
            self._replay.refuse(_text_of(first), f"{name} before that")
        if where := self._difference(first, numbers):
            self._replay.refuse(_text_of(first), f"the same, where {where}")
        array.next_change()
        self._replay.answer(first)

    def _difference(self, recorded: RecordedCall, numbers: np.ndarray) -> str:
        given = recorded.given
        assert given is not None
        return difference(given, numbers, self._replay.tolerance)

    def _nothing_more(self, what: str, array: RecordedArray | None = None) -> str:
        if array is not None and array.released is not None:
            return f"{what}, which was released at call {array.released.number}"
        if self._replay.sessions:
            number = self._replay.sessions[0].opened.number
            return f"{what} before the chip was opened anew at call {number}"
        return f"{what}: {self._replay.recording.end}"


def _text_of(call: RecordedCall) -> str:
    """A call in words."""
    shape = "" if call.shape is None else f", {call.shape[0]} × {call.shape[1]}"
    array = "" if call.array is None or call.shape else f", array {call.array}"
    vectors = "" if call.n is None else f", n = {call.n}"
    return f"call {call.number} at {call.seconds:.6g} s, {call.call}{array}{shape}{vectors}"
