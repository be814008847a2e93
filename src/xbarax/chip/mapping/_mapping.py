"""How weights become conductances and currents become sums again: the extension point."""

import abc

from jax import Array

from xbarax.chip.device import AbstractDevice


class AbstractMapping(abc.ABC):
    """A linear map between weights and one or more planes of devices (polarities, slices)."""

    @abc.abstractmethod
    def targets(self, weights: Array, device: AbstractDevice) -> Array:
        """Weights (out, in) to target conductances (planes, out, in)."""

    @abc.abstractmethod
    def deltas(self, delta: Array, device: AbstractDevice) -> Array:
        """Changes of weights (out, in) to changes of conductances (planes, out, in)."""

    @abc.abstractmethod
    def combine(self, planes: Array, device: AbstractDevice) -> Array:
        """What the planes give, (planes, rows, columns), to weights or sums (rows, columns)."""
