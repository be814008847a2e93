"""Wires without resistance."""

import dataclasses

from jax import Array

from xbarax.chip.wires._wires import AbstractWires


@dataclasses.dataclass(frozen=True)
class Ideal(AbstractWires):
    """Wires without resistance: every cell sees its inputs unchanged."""

    def effective(self, conductance: Array) -> Array:
        """The conductances themselves."""
        return conductance
