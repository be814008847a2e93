"""What checks stand on: devices to open, numbers to try, and how far results may be off."""

import contextlib
import functools
import os
import time
from collections.abc import Iterator

import numpy as np

from xbarax.hardware._check._device import Calls, Device
from xbarax.hardware._check._result import READS, Failed, NotApplicable
from xbarax.hardware._driver import Description, Status

K = 8.0
"""How many standard deviations a result may be off: one of a million Gaussian ones is further off
with a probability of 1e-9."""

_EPSILON = float(np.finfo(np.float32).eps)

# Beyond this a range is no chip's, and float32's rounding would hide everything.
_WIDEST = 1e6


class Bench:
    """A driver on the bench.

    Args:
      driver: its name.
      calls: its functions.
      config: a JSON object as text.
      deadline: how long a check may take, in seconds.
    """

    def __init__(self, driver: str, calls: Calls, config: str, deadline: float):
        self.driver = driver
        self.calls = calls
        self.config = config
        self._deadline = deadline
        self.failed: set[str] = set()
        self.begin()

    @property
    def is_python(self) -> bool:
        """Whether the driver is a class in Python."""
        return not os.path.isabs(self.driver)

    def begin(self, measures: bool = False) -> None:
        """A check begins.

        Args:
          measures: whether it reads. What that takes is asked for now, while no device is open: a
            chip may be such that only one can be.
        """
        self.random = np.random.default_rng(0)
        self._began = time.monotonic()
        if measures:
            _ = self.noise

    def repeat(self, most: int, least: int = 8) -> Iterator[int]:
        """Counts to `most`, or less far where that would take too much of the deadline."""
        began = time.monotonic()
        for count in range(most):
            yield count
            now = time.monotonic()
            slow = now - began > self._deadline / 8 or now - self._began > self._deadline / 2
            if slow and count + 1 >= least:
                return

    @contextlib.contextmanager
    def device(self) -> Iterator[Device]:
        """A device that is open for as long as the context."""
        device = Device(self.calls, self.config)
        try:
            yield device
        finally:
            device.close()

    @functools.cached_property
    def said(self) -> Description:
        """What a device says of itself."""
        with self.device() as device:
            return device.describe()

    def need(self, *capabilities: str) -> None:
        """Refuses devices that lack a capability."""
        if missing := [name for name in capabilities if name not in self.said.capabilities]:
            raise NotApplicable(f"the device does not describe {' and '.join(missing)}")

    def require(self, *checks: str) -> None:
        """Refuses to go on where one of these checks failed."""
        if missing := [name for name in checks if name in self.failed]:
            raise NotApplicable(f"needs `{missing[0]}`, which failed")

    def shape(self, outputs: int, inputs: int) -> tuple[int, int]:
        """The shape of an array, or what the device can hold of it."""
        return min(outputs, self.said.max_outputs), min(inputs, self.said.max_inputs)

    @property
    def range(self) -> tuple[float, float]:
        """The weights' range, or the part of it in which to compute."""
        low, high = self.said.weight_low, self.said.weight_high
        if high - low <= _WIDEST:
            return low, high
        part = max(low, min(-1.0, high - 2)), min(high, max(1.0, low + 2))
        return part if part[1] - part[0] >= 1 else (low, high)

    def weights(self, *shape: int, part: float = 0.8) -> np.ndarray:
        """Random weights (…, outputs, inputs) in the middle `part` of the range."""
        low, high = self.range
        middle, half = low / 2 + high / 2, part * (high / 2 - low / 2)
        drawn = self.random.uniform(middle - half, middle + half, shape).astype(np.float32)
        return np.clip(drawn, np.float32(self.said.weight_low), np.float32(self.said.weight_high))

    def vectors(self, n: int, size: int, length: float = 1.0) -> np.ndarray:
        """Random vectors (n, size) of a length."""
        drawn = self.random.normal(size=(n, size)) + 0.01
        return (drawn * (length / np.linalg.norm(drawn, axis=1, keepdims=True))).astype(np.float32)

    def second_array(self, device: Device, *shape: int) -> int:
        """One more array, if there is room for more than one."""
        if self.said.max_arrays == 1:
            raise NotApplicable("the device holds one array at a time")
        status, array = device.try_allocate(*shape)
        if status == Status.NO_SPACE and not self.said.max_arrays:
            raise NotApplicable("the device has no room for another array")
        return array if status == Status.OK else device.allocate(*shape)

    @functools.cached_property
    def noise(self) -> float:
        """The noise to reckon with: what is stated or, if larger, found: the lie has its check."""
        weights = self.weights(*self.shape(8, 6))
        inputs = self.vectors(4, weights.shape[1])
        try:
            with self.device() as device:
                array = device.place(weights)
                results = [device.read(array, inputs) for _ in self.repeat(24)]
        except Failed:
            return self.said.read_noise
        with np.errstate(all="ignore"):
            found = float(np.sqrt(np.mean(np.var(results, axis=0, ddof=1, dtype=np.float64))))
        return max(self.said.read_noise, found) if np.isfinite(found) else self.said.read_noise

    def allow(self, weights: np.ndarray, inputs: np.ndarray, *, programmed: int = 1) -> np.ndarray:
        """How far results (n, outputs) of one read may be off.

        Args:
          weights: (outputs, inputs).
          inputs: (n, inputs).
          programmed: how many times an error of programming may be in the weights.
        """
        length = np.linalg.norm(inputs.astype(np.float64), axis=1, keepdims=True)
        sums = np.abs(inputs).sum(1, dtype=np.float64, initial=0)[:, None]
        random = (K * self.noise + self.said.read_error) * length
        return (
            rounding(weights, inputs) + random + programmed * self.said.weight_error * sums
        ).astype(np.float64)

    def measure(self, device: Device, array: int) -> tuple[np.ndarray, float]:
        """An array's weights, and how far they may be off, by read_out or else by reading."""
        if "read_out" in self.said.capabilities:
            found = [device.read_out(array) for _ in self.repeat(16)]
        else:
            self.require(*READS)
            each = np.eye(device.shapes[array][1], dtype=np.float32)
            found = [device.read(array, each).T for _ in self.repeat(16)]
        with np.errstate(all="ignore"):
            mean = np.asarray(np.mean(found, axis=0, dtype=np.float64))
            spread = np.max(np.std(found, axis=0, ddof=1, dtype=np.float64))
            small = 8 * _EPSILON * float(np.max(np.abs(mean)))
        return mean, K * float(spread) / np.sqrt(len(found)) + self.said.read_error + small


def rounding(weights: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """How far float32 sums may be off."""
    sums = np.abs(inputs.astype(np.float64)) @ np.abs(weights.astype(np.float64)).T
    return _EPSILON * (weights.shape[1] + 8) * sums + 1e-37


def product(weights: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """What a read should give."""
    return np.asarray(inputs.astype(np.float64) @ weights.astype(np.float64).T)
