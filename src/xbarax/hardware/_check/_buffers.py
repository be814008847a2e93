"""Buffers for a driver, with margins that show what it writes beside them."""

import ctypes
from typing import Any

import numpy as np

# A quiet NaN that nobody computes.
_UNWRITTEN = 0x7FC5A5A5
_MARGIN = 0xA5C3F00D


class Buffer:
    """Numbers of 4 bytes between two margins.

    Args:
      numbers: what the buffer holds, float32 or int32.
    """

    def __init__(self, numbers: np.ndarray):
        self.given = np.array(numbers, order="C")
        size = self.given.size
        self._margin = max(64, min(size, 1 << 16))
        self._words = np.full(size + 2 * self._margin, _MARGIN, np.uint32)
        self.inside = self._words[self._margin : self._margin + size].view(self.given.dtype)
        self.inside[:] = self.given.ravel()

    @property
    def numbers(self) -> np.ndarray:
        """What the buffer holds now, a copy."""
        return self.inside.reshape(self.given.shape).copy()

    @property
    def pointer(self) -> Any:
        """What a driver gets."""
        kind = ctypes.c_int32 if self.given.dtype == np.int32 else ctypes.c_float
        return self.inside.ctypes.data_as(ctypes.POINTER(kind))

    def overrun(self) -> str:
        """What was written outside, in words; "" if nothing was."""
        before = np.flatnonzero(self._words[: self._margin] != _MARGIN)
        after = np.flatnonzero(self._words[self._margin + self.inside.size :] != _MARGIN)
        found = []
        if len(before):
            found.append(f"{4 * (self._margin - int(before[0]))} bytes before the begin")
        if len(after):
            found.append(f"{4 * (int(after[-1]) + 1)} bytes past the end")
        return " and ".join(found)

    def changed(self) -> int:
        """How many of its numbers are not those that were given."""
        given = self.given.ravel().view(np.uint32)
        return int(np.count_nonzero(self.inside.view(np.uint32) != given))


def unwritten(*shape: int) -> Buffer:
    """A buffer for float32 results, which tells what was not written."""
    return Buffer(np.full(shape, _UNWRITTEN, np.uint32).view(np.float32))


def count_unwritten(results: np.ndarray) -> int:
    """How many numbers are as they were in a buffer that was made by `unwritten`."""
    bits = np.ascontiguousarray(results, np.float32).view(np.uint32)
    return int(np.count_nonzero(bits == _UNWRITTEN))
