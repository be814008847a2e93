"""Devices that are known by where their conductance ends up: the statistical family."""

import abc
from typing import Any, final

from jax import Array
from jax import numpy as jnp

from xbarax import _kernels
from xbarax.chip.device._device import AbstractDevice

Cells = dict[str, Array]


class AbstractStatistical(AbstractDevice):
    """A cell whose published statistics say where programming to a target leaves it.

    Programming draws a standard normal number `xi` for each cell, which is stored. A second one,
    `eta`, belongs to the cell for life: it is drawn from the array's key whenever it is needed.
    A subclass gives the conductance as a formula of both, of the target and of the age.

    A change of the weights reprograms the cells whose target moves by at least `min_change`, each
    with a new `xi`; smaller changes are not made, and counted as `too_small`. A cell's age counts
    from its last programming.
    """

    @property
    @abc.abstractmethod
    def min_change(self) -> float:
        """The smallest change of a target, in siemens, for which a cell is reprogrammed."""

    @property
    @abc.abstractmethod
    def read_noise(self) -> float:
        """A factor on the published read noise; 0 where there is none."""

    @abc.abstractmethod
    def settle(self, target: Array, xi: Array, eta: Array, age: Array) -> Array:
        """The conductance, in siemens, of cells programmed to `target` and `age` seconds old.

        `xi` and `eta` are independent standard normal numbers, all arguments of one shape. Age 0
        is the device's first measured time.
        """

    @abc.abstractmethod
    def deviate(self, target: Array, conductance: Array, age: Array) -> Array:
        """The standard deviation of one read of each cell, in siemens, for `read_noise` 1."""

    @property
    @final
    def zero_conductance(self) -> float:
        """The middle of the range."""
        low, high = self.conductance_range
        return (low + high) / 2

    @property
    @final
    def noisy_program(self) -> bool:
        """Always: the family is its programming error."""
        return True

    @property
    @final
    def noisy_read(self) -> bool:
        """Whether the factor on the read noise is not 0."""
        return self.read_noise > 0

    @final
    def program(self, target: Array, start: float, key: Array | None) -> Cells:
        """Draws each cell's programming error and starts its clock."""
        assert key is not None
        use, own = _kernels.split(key)
        return {
            "target": jnp.copy(target),
            "xi": _kernels.normal(use, target.shape, target.dtype),
            "age": jnp.zeros_like(target),
            "own": own,
            "too_small": jnp.zeros((), jnp.int32),
        }

    @final
    def update(self, cells: Cells, delta: Array, key: Array | None) -> Cells:
        """Reprograms the cells whose target moves far enough."""
        assert key is not None
        asked = delta != 0
        touched = asked & (jnp.abs(delta) >= self.min_change)
        fresh = _kernels.normal(key, delta.shape, delta.dtype)
        lost = jnp.sum(asked & ~touched, dtype=jnp.int32)
        return {
            "target": jnp.where(touched, cells["target"] + delta, cells["target"]),
            "xi": jnp.where(touched, fresh, cells["xi"]),
            "age": jnp.where(touched, 0, cells["age"]),
            "own": cells["own"],
            "too_small": cells["too_small"] + lost,
        }

    @final
    def target(self, cells: Cells) -> Array:
        """The stored target."""
        return cells["target"]

    @final
    def conductance(self, cells: Cells) -> Array:
        """What the cells have settled to at their age."""
        eta = _kernels.normal(cells["own"], cells["target"].shape, cells["target"].dtype)
        return self.settle(cells["target"], cells["xi"], eta, cells["age"])

    @final
    def read_deviation(self, cells: Cells) -> Array | None:
        """The published read noise times the factor."""
        if not self.noisy_read:
            return None
        deviation = self.deviate(cells["target"], self.conductance(cells), cells["age"])
        return self.read_noise * deviation

    @final
    def age(self, cells: Cells, seconds: Array) -> Cells:
        """Every clock goes on."""
        return {**cells, "age": cells["age"] + seconds}

    @final
    def counters(self, cells: Cells) -> dict[str, Any]:
        """Changes of targets that were too small to be made."""
        return {"too_small": cells["too_small"]}
