"""Constant step: every pulse moves the state equally far."""

import dataclasses
from typing import final

from jax import Array
from jax import numpy as jnp

from xbarax.chip.device._pulsed import AbstractPulsed
from xbarax.chip.device._pulses import Own, Slopes


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class ConstantStep(AbstractPulsed):
    """A cell whose steps do not depend on its state.

    Up `Δ₊ (1 + σ ξ)`, down `Δ₋ (1 + σ ξ)`. Arguments are those of `AbstractPulsed`. The model: T.
    Gokmen and Y. Vlasov, Front. Neurosci. 10, 333 (2016).
    """

    @property
    def additive(self) -> bool:
        """The same thing here as noise that scales with the step."""
        return True

    def check_own(self) -> None:
        """No fields of its own."""

    def factors(self, state: Array, own: Own) -> tuple[Array, Array]:
        """1 everywhere."""
        return jnp.ones_like(state), jnp.ones_like(state)

    @property
    def slopes(self) -> Slopes:
        """Flat."""
        return 0.0, 0.0
