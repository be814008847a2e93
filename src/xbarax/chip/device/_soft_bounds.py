"""Soft bounds: steps that shrink towards each cell's own bound."""

import dataclasses
from typing import final

from jax import Array

from xbarax.chip.device._pulsed import AbstractPulsed
from xbarax.chip.device._pulses import Own, Slopes


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class SoftBounds(AbstractPulsed):
    """A cell whose steps shrink linearly to 0 at its own bound.

    Up `Δ₊ (1 − w/b₊)`, down `Δ₋ (1 − w/b₋)`, plus noise `Δ σ ξ`: the linear step with slope 1
    and each cell's own bound. Arguments are those of `AbstractPulsed`.
    """

    @property
    def additive(self) -> bool:
        """Noise does not shrink with the step."""
        return True

    def check_own(self) -> None:
        """No fields of its own."""

    def factors(self, state: Array, own: Own) -> tuple[Array, Array]:
        """Linear between 1 at state 0 and 0 at the cell's bound."""
        return 1 - state / own.upper, 1 - state / own.lower

    @property
    def slopes(self) -> Slopes:
        """Zero at the cell's own bounds."""
        return "bounds"
