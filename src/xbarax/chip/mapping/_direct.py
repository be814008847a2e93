"""One plane whose conductances are the weights."""

import dataclasses
from typing import final

from jax import Array
from jax import numpy as jnp

from xbarax.chip.device import AbstractDevice, AbstractPulsed
from xbarax.chip.mapping._mapping import AbstractMapping, Reference


@final
@dataclasses.dataclass(frozen=True)
class Direct(AbstractMapping):
    """The weight is the conductance: one dimensionless, signed device per weight."""

    @property
    def fixed_range(self) -> None:
        """The device's own range."""
        return None

    @property
    def bounded(self) -> bool:
        """The device says what it takes."""
        return False

    @property
    def reference(self) -> Reference:
        """None: devices are signed."""
        return "none"

    def check(self, device: AbstractDevice) -> None:
        """Refuses devices in siemens, which cannot be negative."""
        if isinstance(device, AbstractPulsed) or device.conductance_range[0] >= 0:
            raise ValueError(
                f"Direct takes weights for conductances, and {device!r} has its own, in siemens: "
                "use DifferentialPair, IdealReference or OffsetColumn"
            )

    def largest(self, weights: Array) -> Array:
        """The unit is 1."""
        return jnp.ones((), jnp.float32)

    def start(self, device: AbstractDevice) -> float:
        """Zero."""
        return 0.0

    def coefficients(self, device: AbstractDevice) -> tuple[float, ...]:
        """One plane."""
        return (1.0,)

    def targets(self, unit: Array, device: AbstractDevice) -> Array:
        """The weights as one plane."""
        return unit[None]

    def deltas(self, change: Array, present: Array, device: AbstractDevice) -> Array:
        """The changes as one plane."""
        return change[None]

    def worn(self, present: Array, device: AbstractDevice) -> None:
        """None ever."""
        return None
