"""Power step: steps that shrink with a power of the way that is left."""

import dataclasses
from typing import final

from jax import Array
from jax import numpy as jnp

from xbarax.chip.device._check import check_not_negative
from xbarax.chip.device._pulsed import AbstractPulsed
from xbarax.chip.device._pulses import Own


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class PowerStep(AbstractPulsed):
    """A cell whose steps shrink with a power of the way that is left to its bound.

    ::

        up     Δ₊ ((b₊ − w)/(b₊ − b₋))^γ₊ (1 + σ ξ)
        down   Δ₋ ((w − b₋)/(b₊ − b₋))^γ₋ (1 + σ ξ)

    with each cell's own bounds b₊ and b₋. Δ is thus the step at the far end of the range.

    Args:
      gamma_up, gamma_down: the powers, at least 0 (illustrative).
      others: those of `AbstractPulsed`.

    Raises:
      TypeError, ValueError: a number out of its range.
    """

    gamma_up: float = 1.0
    gamma_down: float = 1.0

    @property
    def additive(self) -> bool:
        """Noise scales with the step."""
        return False

    def check_own(self) -> None:
        """Steps shrink towards the bounds."""
        check_not_negative(self, "gamma_up", "gamma_down")

    def factors(self, state: Array, own: Own) -> tuple[Array, Array]:
        """1 at the far bound and 0 at the near one."""
        width = own.upper - own.lower
        up, down = (own.upper - state) / width, (state - own.lower) / width
        return jnp.maximum(up, 0) ** self.gamma_up, jnp.maximum(down, 0) ** self.gamma_down

    @property
    def slopes(self) -> None:
        """Not affine, but for powers that other models are for."""
        return None
