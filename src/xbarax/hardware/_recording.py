"""Recordings of the calls into a driver: the file, and how it is read.

The file is a sequence of lines of JSON. The first says what it is:

    {"format": "xbarax recording", "version": 1, "driver": "/home/lab/libmychip.so", …}

Each call has a line that is written before it, and one that is written after it:

    {"crc": "8f00b204", "call": 7, "do": "read", "array": 1, "n": 2, "seconds": 0.0125, "data": {…}}
    {"crc": "e9800998", "answer": 7, "status": "ok", "duration": 2.1e-05, "data": {…}}

Where a line has "data": {"dtype": "<f4", "shape": [2, 5], "crc": "ecf8427e"}, those numbers follow
it, raw, row-major and little-endian, and a newline. "crc" is the CRC-32 of the rest of the line,
from the quote after the comma, and of the numbers. All times are in seconds.

What ends in the middle of a record was cut there, since records are only ever appended.
"""

import dataclasses
import json
import math
import os
import sys
import zlib
from collections.abc import Iterator
from os import PathLike
from typing import Any, BinaryIO

import numpy as np

from xbarax.hardware._driver import Description, Status

FORMAT = "xbarax recording"
VERSION = 1
_START = f'{{"format": "{FORMAT}", "version": '.encode()
_DTYPES = ("<f4", "<i4")


class RecordingError(ValueError):
    """A file is no recording, or one that cannot be read."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Block:
    """Numbers in a recording, which are read when they are asked for."""

    path: str
    offset: int
    dtype: str
    shape: tuple[int, ...]
    crc: str

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def load(self) -> np.ndarray:
        numbers = np.fromfile(self.path, self.dtype, self.size, offset=self.offset)
        if numbers.size != self.size or _crc(numbers.tobytes()) != self.crc:
            raise RecordingError(
                f"{self.path} is damaged: the {self.size} numbers at byte {self.offset} are not "
                "those that were recorded"
            )
        return numbers.reshape(self.shape).astype(np.dtype(self.dtype).newbyteorder("="))


@dataclasses.dataclass(frozen=True, slots=True)
class RecordedCall:
    """A call into a driver, as it was recorded.

    Args:
      number: of the call in its recording, from 1.
      call: the driver's function: "open", "read", …
      array: the driver's number of the array; None where the call has none.
      n: how many input vectors a read had, else None.
      shape: (outputs, inputs) of an array that was allocated, else None.
      seconds: when the call began, since the recording began, in seconds.
      duration: how long it took, in seconds; None: there is no answer, since the recording ended
        during the call.
      status: what the driver answered; None: nothing.
      error: the driver's text, where the status is not OK.
      config: what the device was opened with, else None.
      description: what the device said of itself, else None.
    """

    number: int
    call: str
    array: int | None
    n: int | None
    shape: tuple[int, int] | None
    seconds: float
    duration: float | None = None
    status: Status | None = None
    error: str = ""
    config: dict[str, Any] | None = None
    description: Description | None = None
    _given: _Block | None = dataclasses.field(default=None, repr=False)
    _returned: _Block | None = dataclasses.field(default=None, repr=False)

    @property
    def given(self) -> np.ndarray | None:
        """The numbers that the driver got: inputs, weights, deltas or pulses; else None.

        Raises:
          RecordingError: they are damaged.
          OSError: the file cannot be read any more.
        """
        return None if self._given is None else self._given.load()

    @property
    def returned(self) -> np.ndarray | None:
        """The numbers that the driver returned: results or weights; else None.

        Raises:
          RecordingError, OSError: as for `given`.
        """
        return None if self._returned is None else self._returned.load()

    @property
    def given_shape(self) -> tuple[int, ...] | None:
        """The shape of `given`."""
        return None if self._given is None else self._given.shape

    @property
    def given_checksum(self) -> str | None:
        """What `checksum` says of `given`, without reading it."""
        return None if self._given is None else self._given.crc


@dataclasses.dataclass(frozen=True)
class Recording:
    """The calls of a recording, in their order.

    Args:
      path: the file's absolute path.
      driver: the driver's path, or `module:Class`.
      isolated: whether it ran in a process of its own.
      started: when the recording began, ISO 8601.
      calls: the calls.
    """

    path: str
    driver: str
    isolated: bool
    started: str
    calls: tuple[RecordedCall, ...]

    def __iter__(self) -> Iterator[RecordedCall]:
        return iter(self.calls)

    def __len__(self) -> int:
        return len(self.calls)

    @property
    def end(self) -> str:
        """How the recording ends, in words."""
        if not self.calls:
            return "the recording ends before the first call"
        last = self.calls[-1]
        what = f"call {last.number}, {last.call}"
        if last.status is None:
            return f"the recording ends during {what}: the process ended there, or still runs"
        if last.call == "close":
            return f"the chip was closed at call {last.number}"
        return f"the recording ends after {what}, before the chip was closed"


def read_recording(path: str | PathLike) -> Recording:
    """The calls that `xbarax.hardware.load(…, record=path)` recorded.

    Their numbers stay in the file until they are asked for. A recording whose process was killed,
    or still runs, has the calls up to there.

    Args:
      path: the file.

    Returns:
      The recording, to iterate over:

          for call in xb.hardware.read_recording("run.xbr"):
              print(call.number, call.call, call.array, call.duration, call.error)

    Raises:
      RecordingError: the file is no recording, of a newer version, or damaged.
      OSError: it cannot be read.
    """
    where = os.path.abspath(os.path.expanduser(os.fspath(path)))
    with open(where, "rb") as file:
        header = _read_header(file, where)
        try:
            calls = tuple(_read_calls(file, where))
        except (ValueError, KeyError, TypeError) as error:
            raise RecordingError(f"{where} is damaged: {error}") from None
    return Recording(where, *header, calls)


def header_of(driver: str, isolated: bool, started: str) -> bytes:
    """A recording's first line."""
    said = {"driver": driver, "isolated": isolated, "started": started}
    return _START + f"{VERSION}, ".encode() + json.dumps(said)[1:].encode() + b"\n"


def record_of(said: dict[str, Any], numbers: np.ndarray | None = None) -> bytes:
    """What is appended to a recording for a question or an answer."""
    if numbers is None:
        return _line(said)
    little = np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<"))
    data = {"dtype": little.dtype.str, "shape": little.shape, "crc": _crc(little)}
    return b"".join((_line({**said, "data": data}), little.tobytes(), b"\n"))


def checksum(numbers: np.ndarray) -> str:
    """The checksum that `numbers` have in a recording."""
    return _crc(np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<")))


def _line(said: dict[str, Any]) -> bytes:
    rest = json.dumps(said)[1:].encode()
    return b'{"crc": "%s", %s\n' % (_crc(rest).encode(), rest)


def _crc(content: Any) -> str:
    return f"{zlib.crc32(content):08x}"


def _read_header(file: BinaryIO, path: str) -> tuple[str, bool, str]:
    start = file.read(len(_START))
    if start != _START:
        if start and not _START.startswith(start):
            raise RecordingError(f"{path} is no recording: it begins with {start[:40]!r}")
        raise RecordingError(f"{path} is no recording: it ends after {len(start)} bytes")
    line = file.readline()
    if not line.endswith(b"\n"):
        raise RecordingError(f"{path} is cut in its first line: it holds no calls")
    version = line.partition(b",")[0]
    if version.isdigit() and int(version) > VERSION:
        raise RecordingError(
            f"{path} is a recording of version {int(version)}, this xbarax reads up to {VERSION}: "
            "use a newer one"
        )
    try:
        said = json.loads(start + line)
        header = str(said["driver"]), bool(said["isolated"]), str(said["started"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RecordingError(f"{path} is damaged: its first line is {line[:80]!r}") from None
    return header


_Record = tuple[dict[str, Any], _Block | None]


def _read_calls(file: BinaryIO, path: str) -> Iterator[RecordedCall]:
    asked: _Record | None = None
    for said, block in _read_records(file, path):
        if "call" in said:
            if asked is not None:
                yield _call_of(asked)  # it was interrupted before the answer was written
            asked = said, block
        elif asked is not None and said["answer"] == asked[0]["call"]:
            yield _call_of(asked, (said, block))
            asked = None
        else:
            raise ValueError(f"an answer to no call before byte {file.tell()}")
    if asked is not None:
        yield _call_of(asked)


def _read_records(file: BinaryIO, path: str) -> Iterator[_Record]:
    """Each whole record: its line, its numbers."""
    size = os.fstat(file.fileno()).st_size
    while True:
        offset = file.tell()
        line = file.readline()
        if not line.endswith(b"\n"):
            return
        said = _parse(line)
        if said is None:
            raise ValueError(f"the line at byte {offset} is not what was written: {line[:80]!r}")
        block = None
        if "data" in said:
            data = said["data"]
            if data["dtype"] not in _DTYPES:
                raise ValueError(f"unknown numbers {data['dtype']!r} at byte {offset}")
            place = offset + len(line)
            block = _Block(path, place, data["dtype"], tuple(data["shape"]), data["crc"])
            last = place + 4 * block.size
            if last >= size:
                return
            file.seek(last)
            if file.read(1) != b"\n":
                raise ValueError(f"expected a newline at byte {last}")
        yield said, block


def _parse(line: bytes) -> dict[str, Any] | None:
    """A line's content, if it is as it was written."""
    begin, crc, rest = line[:9], line[9:17], line[20:-1]
    if begin != b'{"crc": "' or line[17:20] != b'", ' or _crc(rest).encode() != crc:
        return None
    return json.loads("{" + rest.decode())


def _call_of(asked: _Record, answered: _Record | None = None) -> RecordedCall:
    question, given = asked
    answer, returned = answered or ({}, None)
    shape = question.get("shape")
    status = answer.get("status")
    description = answer.get("description")
    if description is not None:
        capabilities = frozenset(description["capabilities"])
        description = Description(**{**description, "capabilities": capabilities})
    return RecordedCall(
        number=question["call"],
        call=sys.intern(question["do"]),
        array=answer.get("array", question.get("array")),
        n=question.get("n"),
        shape=None if shape is None else (shape[0], shape[1]),
        seconds=question["seconds"],
        duration=answer.get("duration"),
        status=None if status is None else Status[status.upper()],
        error=answer.get("error", ""),
        config=question.get("config"),
        description=description,
        _given=given,
        _returned=returned,
    )
