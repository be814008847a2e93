"""What a driver offers, in Python: the same as `native/include/xbarax/driver.h`."""

import abc
import dataclasses
import enum
from collections.abc import Set
from typing import Any, Literal

import numpy as np

Capability = Literal["read_transposed", "update", "pulse", "read_out"]
CAPABILITIES: tuple[Capability, ...] = ("read_transposed", "update", "pulse", "read_out")
"""What a device can do beyond allocating, programming and reading."""


class Status(enum.IntEnum):
    """What kind of thing went wrong, as a driver in C says it."""

    OK = 0
    INVALID_ARGUMENT = 1
    NO_SPACE = 2
    DEVICE_ERROR = 3
    TIMEOUT = 4
    UNSUPPORTED = 5
    LOST = 6


class DriverError(RuntimeError):
    """A call into a driver failed.

    Args:
      message: what went wrong, in the driver's words.
      status: what kind of thing.
    """

    def __init__(self, message: str, status: Status = Status.DEVICE_ERROR):
        super().__init__(message)
        self.status = status


class DeviceLostError(DriverError):
    """The chip and all its arrays are gone until it is closed and opened anew.

    Args:
      message: what happened.
    """

    def __init__(self, message: str):
        super().__init__(message, Status.LOST)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """What a device is; the same for as long as it is open.

    Args:
      name: of the chip, at most 63 bytes.
      max_outputs: the most outputs of one array; xbarax cuts larger layers into several arrays.
      max_inputs: the most inputs of one array.
      max_arrays: how many arrays there can be at one time; 0: not known before `allocate` says so.
      capabilities: what the device can do: "read_transposed", "update", "pulse", "read_out".
        xbarax emulates what is missing, where that is honest.
      weight_low: the lowest weight, dimensionless.
      weight_high: the highest weight.
      weight_error: programming and updates leave weights at most this far from what was asked.
      read_noise: standard deviation of a result, in units of the input vector's Euclidean length.
      read_error: a result's largest other error, in the same units.
    """

    name: str
    max_outputs: int
    max_inputs: int
    max_arrays: int = 0
    capabilities: Set[str] = frozenset()
    weight_low: float = -1.0
    weight_high: float = 1.0
    weight_error: float = 0.0
    read_noise: float = 0.0
    read_error: float = 0.0

    def __post_init__(self) -> None:
        """Refuses capabilities that are none; the numbers are checked where a device is opened."""
        capabilities = frozenset(self.capabilities)
        if unknown := sorted(capabilities - set(CAPABILITIES)):
            raise ValueError(
                f"capabilities: expected some of {', '.join(CAPABILITIES)}, given "
                f"{', '.join(map(repr, unknown))}"
            )
        object.__setattr__(self, "capabilities", capabilities)


class AbstractDriver(abc.ABC):
    """A chip's driver in Python: one object is one open device.

    Subclass it, give the class to `xbarax.hardware.load`, and check it with `xbarax driver check
    module:Class`. What `describe` names as capabilities needs the method of that name.

    xbarax makes one call at a time, from any thread. Arrays of numbers are C-contiguous, float32
    (pulses: int32), and the driver's own, to keep or to change. What is raised reaches the user as
    text; a `ValueError` says that an argument cannot be, a `MemoryError` that
    the chip has no room, a `TimeoutError` that it did not answer, a `DeviceLostError` or
    `ConnectionError` that it is gone until it is opened anew. Programming, an update or pulses
    that fail may leave their array with any weights; nothing else changes weights.

    Args:
      config: what the user gave to `load`: a dictionary of what JSON can hold.
    """

    @abc.abstractmethod
    def __init__(self, config: dict[str, Any]):
        """Opens the device."""

    @abc.abstractmethod
    def close(self) -> None:
        """Closes the device, with all its arrays."""

    @abc.abstractmethod
    def describe(self) -> Description:
        """Says what the device is."""

    @abc.abstractmethod
    def allocate(self, outputs: int, inputs: int) -> int:
        """Makes room for an array, whose weights are then anything, and returns its number."""

    @abc.abstractmethod
    def release(self, array: int) -> None:
        """Gives the room back."""

    @abc.abstractmethod
    def program(self, array: int, weights: np.ndarray) -> None:
        """Programs all weights (outputs, inputs), each within the range."""

    @abc.abstractmethod
    def read(self, array: int, inputs: np.ndarray) -> np.ndarray:
        """Reads input vectors: (n, inputs), n at least 1, to (n, outputs)."""

    def read_transposed(self, array: int, inputs: np.ndarray) -> np.ndarray:
        """Reads from the outputs to the inputs: (n, outputs) to (n, inputs)."""
        raise NotImplementedError("read_transposed")

    def update(self, array: int, deltas: np.ndarray) -> None:
        """Adds deltas (outputs, inputs), which stop at the ends of the range."""
        raise NotImplementedError("update")

    def pulse(self, array: int, pulses: np.ndarray) -> None:
        """Applies pulses (outputs, inputs), int32: above 0 upwards, below 0 downwards."""
        raise NotImplementedError("pulse")

    def read_out(self, array: int) -> np.ndarray:
        """The weights as they are, (outputs, inputs)."""
        raise NotImplementedError("read_out")
