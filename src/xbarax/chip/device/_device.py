"""What one memristive cell does: the extension point for device models."""

import abc
import math
from typing import Any

from jax import Array


class AbstractDevice(abc.ABC):
    """A model of one cell, applied to all cells of an array at once.

    A device is a frozen dataclass of numbers, in SI units. What its cells hold is a pytree of
    arrays of its own choice (`cells`): one entry per cell with the shape of the conductances,
    scalars (counters, a PRNG key), or nothing of a kind. Methods are pure functions of arrays, in
    plain JAX; batches, tiles, faults and derivatives are not the device's business.

    Most devices derive from one of the two families instead, and give formulas alone:
    `AbstractStatistical` for devices that are known by where their conductance ends up,
    `AbstractPulsed` for those that are known by what a pulse does.
    """

    @property
    @abc.abstractmethod
    def conductance_range(self) -> tuple[float, float]:
        """The conductances that can be programmed, `(g_min, g_max)` in siemens."""

    @property
    @abc.abstractmethod
    def zero_conductance(self) -> float:
        """The conductance, in siemens, of a weight of zero where one cell stands for both signs."""

    @property
    @abc.abstractmethod
    def noisy_read(self) -> bool:
        """Whether `read_deviation` gives anything."""

    @property
    @abc.abstractmethod
    def noisy_program(self) -> bool:
        """Whether `program` and `update` draw random numbers."""

    @property
    def max_voltage(self) -> float:
        """The voltage, in volts and of either sign, up to which the model holds.

        By default any. A chip whose converters' `v_read` is beyond it is refused.
        """
        return math.inf

    @abc.abstractmethod
    def program(self, target: Array, start: float, key: Array | None) -> Any:
        """Fresh cells at the conductance `start`, programmed towards `target`, in siemens."""

    @abc.abstractmethod
    def update(self, cells: Any, delta: Array, key: Array | None) -> Any:
        """Cells after an attempt to change their conductances by `delta`, in siemens."""

    @abc.abstractmethod
    def target(self, cells: Any) -> Array:
        """The conductances that a change counts from: stored targets, or else present values."""

    @abc.abstractmethod
    def conductance(self, cells: Any) -> Array:
        """The cells' mean conductances at their present age, in siemens."""

    @abc.abstractmethod
    def read_deviation(self, cells: Any) -> Array | None:
        """The standard deviation of one read of each cell, or one for all, in siemens.

        None where a read has no noise.
        """

    @abc.abstractmethod
    def current_terms(self, conductance: Array) -> tuple[Array, ...]:
        """The coefficients of a cell's current in powers of the voltage.

        `(c_1, c_2, …)` of `I = c_1 V + c_2 V² + …`; for a linear cell `(conductance,)`.
        """

    @abc.abstractmethod
    def age(self, cells: Any, seconds: Array) -> Any:
        """The cells `seconds` later, a float32 scalar that is not negative."""

    @abc.abstractmethod
    def counters(self, cells: Any) -> dict[str, Array]:
        """What the cells have counted, int32 scalars: `saturated`, `pulses` and others."""
