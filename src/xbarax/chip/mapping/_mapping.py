"""How weights become conductances and currents become sums again: the extension point."""

import abc
from typing import Literal

from jax import Array
from jax import numpy as jnp

from xbarax.chip.device import AbstractDevice

Reference = Literal["none", "ideal", "column"]
"""What a line's current is compared with: nothing, ideal cells, or a column of real ones."""


class AbstractMapping(abc.ABC):
    """A linear map between weights and one or more planes of devices (polarities, slices).

    Weights are given in units of the largest one, `u = w / largest(weights)`. With the conductances
    `G_p` of plane `p`, the reference's `G_ref` and the coefficients `c_p` in 1/S::

        u = Σ_p c_p (G_p − G_ref)
    """

    @property
    @abc.abstractmethod
    def fixed_range(self) -> float | None:
        """The magnitude of weights that stands for the whole range, or None where data say."""

    @property
    @abc.abstractmethod
    def bounded(self) -> bool:
        """Whether weights beyond `largest` cannot be programmed."""

    @property
    @abc.abstractmethod
    def reference(self) -> Reference:
        """What a line's current is compared with."""

    @property
    def subtracts_currents(self) -> bool:
        """Whether planes 0 and 1, 2 and 3, … share converters, as pairs of opposite sign.

        The second one's current is subtracted from the first one's, and the difference converted.
        By default each plane has converters of its own.
        """
        return False

    @abc.abstractmethod
    def check(self, device: AbstractDevice) -> None:
        """Refuses a device that cannot stand for weights in this way, by a ValueError."""

    @abc.abstractmethod
    def largest(self, weights: Array) -> Array:
        """The magnitude (float32 scalar, positive) that stands for the whole range."""

    @abc.abstractmethod
    def start(self, device: AbstractDevice) -> float:
        """The conductance of a weight of zero, where fresh devices begin, in siemens."""

    @abc.abstractmethod
    def coefficients(self, device: AbstractDevice) -> tuple[float, ...]:
        """The planes' coefficients `c_p`, in 1/S."""

    @abc.abstractmethod
    def targets(self, unit: Array, device: AbstractDevice) -> Array:
        """Weights `u` (out, in) to target conductances (planes, out, in), in siemens."""

    @abc.abstractmethod
    def deltas(self, change: Array, present: Array, device: AbstractDevice) -> Array:
        """Changes of `u` (out, in) to changes of conductances (planes, out, in).

        `present` are the targets or conductances (planes, out, in) that they count from.
        """

    def derivatives(self, present: Array, device: AbstractDevice) -> Array:
        """How conductances (planes, out, in), in siemens, follow a small change of `u`.

        At the conductances `present`, so that `Σ_p c_p derivatives_p = 1`. By default the least
        change of all planes that there is, `c_p / Σ c²`.
        """
        coefficients = jnp.asarray(self.coefficients(device), present.dtype)
        shares = coefficients / jnp.sum(coefficients**2)
        return jnp.broadcast_to(shares[:, None, None], present.shape)

    @abc.abstractmethod
    def worn(self, present: Array, device: AbstractDevice) -> Array | None:
        """Which devices (planes, out, in) must be set back and programmed anew, if any ever are."""
