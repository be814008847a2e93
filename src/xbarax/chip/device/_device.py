"""What one memristive cell does: the extension point for device models."""

import abc
from typing import Any

from jax import Array


class AbstractDevice(abc.ABC):
    """A model of one cell, applied to all cells of a tile at once.

    A device is a frozen dataclass of numbers. What its cells hold is a pytree of arrays of its own
    choice (`cells`), with the shape of the conductances they stand for as leading axes.
    """

    @property
    @abc.abstractmethod
    def noisy_read(self) -> bool:
        """Whether `read_deviation` gives anything."""

    @property
    @abc.abstractmethod
    def noisy_program(self) -> bool:
        """Whether `program` and `update` draw random numbers."""

    @abc.abstractmethod
    def program(self, target: Array, key: Array | None) -> Any:
        """Cells that were fresh and are programmed towards the conductances `target`."""

    @abc.abstractmethod
    def update(self, cells: Any, delta: Array, key: Array | None) -> Any:
        """Cells after an attempt to change their conductances by `delta`."""

    @abc.abstractmethod
    def conductance(self, cells: Any) -> Array:
        """The cells' mean conductances at their present age."""

    @abc.abstractmethod
    def read_deviation(self, cells: Any) -> Array | None:
        """The standard deviation of one read of each conductance, or None where there is none."""

    @abc.abstractmethod
    def counters(self, cells: Any) -> dict[str, Array]:
        """What the cells have counted, int32 scalars: `saturated`, `not_converged`, `pulses`."""
