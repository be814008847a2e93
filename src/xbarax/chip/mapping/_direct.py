"""One plane whose conductances are the weights."""

import dataclasses

from jax import Array

from xbarax.chip.device import AbstractDevice
from xbarax.chip.mapping._mapping import AbstractMapping


@dataclasses.dataclass(frozen=True)
class Direct(AbstractMapping):
    """The weight is the conductance: one dimensionless, signed device per weight."""

    def targets(self, weights: Array, device: AbstractDevice) -> Array:
        """The weights as one plane."""
        return weights[None]

    def deltas(self, delta: Array, device: AbstractDevice) -> Array:
        """The changes as one plane."""
        return delta[None]

    def combine(self, planes: Array, device: AbstractDevice) -> Array:
        """The one plane."""
        return planes[0]
