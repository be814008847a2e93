"""A driver in Python that remembers its calls, and fails when it is told to.

It computes exactly, as `counting_driver.c` does: one set of tests is for both.
"""

import threading
import time
from typing import Any, ClassVar, NamedTuple

import numpy as np

import xbarax as xb

KINDS = (
    "allocate",
    "release",
    "program",
    "read",
    "read_transposed",
    "update",
    "pulse",
    "read_out",
)
"""What is remembered, in the order of the C driver's numbers."""


MOST_ARRAYS = 64
"""What there is room for, on the chip in C too."""


class Call(NamedTuple):
    """One call: its name, the array's number, how many vectors."""

    name: str
    array: int
    n: int


class PythonChip(xb.hardware.AbstractDriver):
    """`{"outputs": 4, "inputs": 3, "range": 1.0, "can": 15}` are its size, range, capabilities."""

    calls: ClassVar[list[Call]] = []
    living: ClassVar[dict[int, np.ndarray]] = {}
    overlaps: ClassVar[int] = 0
    delay: ClassVar[float] = 0.0
    fault: ClassVar[tuple[str, int, BaseException] | None] = None
    last: ClassVar[int] = 0
    _inside = threading.Lock()

    def __init__(self, config: dict[str, Any]):
        self._config = config
        self._range = config.get("range", 100.0)

    def close(self):
        self.living.clear()

    def describe(self):
        can = self._config.get("can", 15)
        return xb.hardware.Description(
            name="counting",
            max_outputs=self._config.get("outputs", 32),
            max_inputs=self._config.get("inputs", 32),
            capabilities={
                name
                for bit, name in enumerate(("read_transposed", "update", "pulse", "read_out"))
                if can >> bit & 1
            },
            weight_low=-self._range,
            weight_high=self._range,
        )

    def allocate(self, outputs, inputs):
        cls = type(self)
        with self._call("allocate", cls.last + 1):
            if len(self.living) == MOST_ARRAYS:
                raise MemoryError("all places are taken")
            cls.last += 1
            self.living[cls.last] = np.zeros((outputs, inputs), np.float32)
            return cls.last

    def release(self, array):
        with self._call("release", array):
            del self.living[array]

    def program(self, array, weights):
        with self._call("program", array):
            self.living[array] = weights.copy()

    def read(self, array, inputs):
        with self._call("read", array, len(inputs)):
            return inputs @ self.living[array].T

    def read_transposed(self, array, inputs):
        with self._call("read_transposed", array, len(inputs)):
            return inputs @ self.living[array]

    def update(self, array, deltas):
        with self._call("update", array):
            self._add(array, deltas)

    def pulse(self, array, pulses):
        with self._call("pulse", array):
            self._add(array, pulses.astype(np.float32) / 100)

    def read_out(self, array):
        with self._call("read_out", array):
            return self.living[array]

    def _add(self, array, deltas):
        self.living[array] = np.clip(self.living[array] + deltas, -self._range, self._range)

    def _call(self, name, array, n=1):
        return _Inside(type(self), Call(name, array, n))


class _Inside:
    """A call that is being made."""

    def __init__(self, chip: type[PythonChip], call: Call):
        self._chip, self._call = chip, call

    def __enter__(self):
        self._alone = self._chip._inside.acquire(blocking=False)
        self._chip.overlaps += not self._alone
        self._chip.calls.append(self._call)
        if self._chip.delay and self._call.name.startswith("read"):
            time.sleep(self._chip.delay)
        if self._chip.fault and self._chip.fault[0] == self._call.name:
            name, after, error = self._chip.fault
            self._chip.fault = (name, after - 1, error) if after else None
            if not after:
                self.__exit__()
                raise error

    def __exit__(self, *_):
        if self._alone:
            self._chip._inside.release()
