"""Exponential step: steps that change exponentially with the state."""

import dataclasses
from typing import final

from jax import Array
from jax import numpy as jnp

from xbarax.chip.device._check import check_real
from xbarax.chip.device._pulsed import AbstractPulsed
from xbarax.chip.device._pulses import Own


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class ExponentialStep(AbstractPulsed):
    """A cell whose steps change exponentially with its state.

    ::

        up     Δ₊ max(1 − A₊ e^{γ₊ z}, 0) (1 + σ ξ),    z = 2 a w/(b₊ − b₋) + b
        down   Δ₋ max(1 − A₋ e^{−γ₋ z}, 0) (1 + σ ξ)

    with each cell's own bounds b₊ and b₋. Default constants: the fit of the aihwkit simulator
    (preset ReRamES) to N. Gong et al., Nat. Commun. 9, 2102 (2018).

    Args:
      a, b: the scale and the offset of `z`.
      gamma_up, gamma_down: how fast steps change with `z`, at least 0.
      amplitude_up, amplitude_down: A₊ and A₋; where negative, steps are larger than Δ.
      others: those of `AbstractPulsed`.

    Raises:
      TypeError, ValueError: a number out of its range.
    """

    a: float = -0.5
    b: float = -0.5
    gamma_up: float = 5.0
    gamma_down: float = 5.0
    amplitude_up: float = -1.184
    amplitude_down: float = -0.0814

    @property
    def additive(self) -> bool:
        """Noise scales with the step."""
        return False

    def check_own(self) -> None:
        """Growth has the sign of its exponent."""
        for field in ("a", "b", "amplitude_up", "amplitude_down"):
            value = getattr(self, field)
            check_real(f"ExponentialStep({field}=…)", value, "that is finite", lambda x: True)
        for field in ("gamma_up", "gamma_down"):
            value = getattr(self, field)
            check_real(f"ExponentialStep({field}=…)", value, "at least 0", lambda x: x >= 0)
            largest = value * (2 * abs(self.a) + abs(self.b))
            wanted = f"at most {_LARGEST_EXPONENT}, or float32 overflows"
            name = f"ExponentialStep({field}=…)·(2 |a| + |b|)"
            check_real(name, largest, wanted, lambda x: x <= _LARGEST_EXPONENT)

    def factors(self, state: Array, own: Own) -> tuple[Array, Array]:
        """Exponential in opposite senses of the same `z`, and never backwards."""
        z = 2 * self.a * state / (own.upper - own.lower) + self.b
        up = 1 - self.amplitude_up * jnp.exp(self.gamma_up * z)
        down = 1 - self.amplitude_down * jnp.exp(-self.gamma_down * z)
        return jnp.maximum(up, 0), jnp.maximum(down, 0)

    @property
    def slopes(self) -> None:
        """Not affine."""
        return None


_LARGEST_EXPONENT = 80
