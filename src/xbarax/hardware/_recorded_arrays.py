"""What a recording says of each array, and which of its calls can be asked for next."""

from collections import OrderedDict, deque
from collections.abc import Iterable

import numpy as np

from xbarax.hardware._driver import Status
from xbarax.hardware._recording import RecordedCall, Recording, checksum

_READS = ("read", "read_transposed", "read_out")
_CHANGES = ("program", "update", "pulse")


class RecordedArray:
    """An array, from its allocation to its release.

    Reads between two changes can be asked for in any order; a change, after all reads before it.

    Args:
      call: its allocation.
    """

    def __init__(self, call: RecordedCall):
        self.call = call
        self.shape = call.shape
        self.released: RecordedCall | None = None
        # Between changes; ordered ones find their first quickly, however many were deleted.
        self._reads: list[OrderedDict[int, RecordedCall]] = [OrderedDict()]
        self._changes: list[RecordedCall] = []
        self._now = 0  # how many changes were asked for

    def __str__(self) -> str:
        n_out, n_in = self.shape or (0, 0)
        return f"array {self.call.array} ({n_out} × {n_in})"

    def record(self, call: RecordedCall) -> None:
        """Adds a call, while the recording is read."""
        if call.call in _READS:
            self._reads[-1][call.number] = call
        else:
            self._changes.append(call)
            self._reads.append(OrderedDict())

    @property
    def change(self) -> RecordedCall | None:
        """The next change."""
        return self._changes[self._now] if self._now < len(self._changes) else None

    def next_change(self) -> None:
        """Goes on after the next change."""
        self._now += 1

    def take_read(
        self, name: str, inputs: np.ndarray | None, tolerance: float
    ) -> RecordedCall | None:
        """A read of this kind that was not asked for yet, of the same inputs."""
        reads = self._reads[self._now]
        if inputs is None:
            found = next((call for call in reads.values() if call.call == name), None)
        else:
            found = _exact(name, inputs, reads.values())
            found = found or _near(name, inputs, reads.values(), tolerance)
        if found is not None:
            del reads[found.number]
        return found

    def nearest_read(self, name: str, shape: tuple[int, ...] | None) -> RecordedCall | None:
        """The first read that was not asked for yet; one of this kind and shape if there is."""
        reads = list(self._reads[self._now].values())
        kind = [call for call in reads if call.call == name]
        same = [call for call in kind if call.given_shape == shape]
        return next(iter(same or kind or reads), None)


class Session:
    """What was recorded from an opening of the chip to its end.

    Args:
      opened: the opening.
    """

    def __init__(self, opened: RecordedCall):
        self.opened = opened
        self.described: RecordedCall | None = None
        self.allocated: deque[RecordedArray] = deque()


def sessions_of(recording: Recording) -> deque[Session]:
    """The recording's calls, ordered.

    Raises:
      KeyError: a call is to a device or an array that there was not.
    """
    sessions: deque[Session] = deque()
    arrays: dict[int | None, RecordedArray] = {}
    for call in recording.calls:
        if call.call == "open":
            sessions.append(Session(call))
            arrays.clear()
        elif not sessions:
            raise KeyError(f"call {call.number}, {call.call}, comes before the chip was opened")
        elif call.call == "describe":
            sessions[-1].described = sessions[-1].described or call
        elif call.call == "allocate":
            sessions[-1].allocated.append(array := RecordedArray(call))
            if call.status == Status.OK:
                arrays[call.array] = array
        elif call.call != "close":
            if call.array not in arrays:
                raise KeyError(f"call {call.number}, {call.call}, is to no array: {call.array}")
            if call.call == "release":
                arrays.pop(call.array).released = call
            elif call.call in _READS or call.call in _CHANGES:
                arrays[call.array].record(call)
            else:
                raise KeyError(f"call {call.number}, {call.call}, is no function of a driver")
    return sessions


def difference(recorded: np.ndarray, asked: np.ndarray, tolerance: float) -> str:
    """Where numbers first differ, in words; nothing if they do not.

    Args:
      recorded: what was recorded.
      asked: what is asked.
      tolerance: how far floats may differ, relative to the largest recorded one.
    """
    if recorded.shape != asked.shape:
        return f"the shape differs: recorded {recorded.shape}, asked {asked.shape}"
    if recorded.dtype.kind == "f":
        largest = np.abs(recorded).max(initial=0)
        distance = np.abs(asked.astype(np.float64) - recorded)
        wrong = ~(distance <= tolerance * np.float64(largest))
    else:
        wrong = asked != recorded
    if not wrong.any():
        return ""
    first = tuple(map(int, np.argwhere(wrong)[0]))
    return (
        f"{wrong.sum()} of {wrong.size} numbers differ, first at {list(first)}: recorded "
        f"{recorded[first]:.9g}, asked {asked[first]:.9g} (tolerance {tolerance:g})"
    )


def _exact(name: str, inputs: np.ndarray, calls: Iterable[RecordedCall]) -> RecordedCall | None:
    """The first call that got exactly these inputs."""
    wanted = checksum(inputs), name, inputs.shape  # which is quick, and reads no file
    for call in calls:
        if (call.given_checksum, call.call, call.given_shape) == wanted:
            given = call.given
            if given is not None and np.array_equal(given, inputs):
                return call
    return None


def _near(
    name: str, inputs: np.ndarray, calls: Iterable[RecordedCall], tolerance: float
) -> RecordedCall | None:
    """The first call that got these inputs within the tolerance."""
    for call in calls:
        if call.call == name and call.given_shape == inputs.shape:
            given = call.given
            if given is not None and not difference(given, inputs, tolerance):
                return call
    return None
