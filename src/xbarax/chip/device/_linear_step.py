"""Linear step: steps that shrink linearly towards the mean bounds."""

import dataclasses
from typing import final

from jax import Array

from xbarax.chip.device._check import check_flag, check_not_negative
from xbarax.chip.device._pulsed import AbstractPulsed
from xbarax.chip.device._pulses import Own, Slopes


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearStep(AbstractPulsed):
    """A cell whose steps shrink linearly with its state, with slopes from the mean bounds.

    ::

        up     Δ₊ (1 − γ₊ w/b₊) (1 + σ ξ)    or    Δ₊ (1 − γ₊ w/b₊ + σ ξ)
        down   Δ₋ (1 − γ₋ w/b₋) (1 + σ ξ)    or    Δ₋ (1 − γ₋ w/b₋ + σ ξ)

    with the mean bounds b₊ = `upper` and b₋ = `lower`, and each cell's own steps. Beyond `b/γ`,
    which only cells of wider own bounds reach, a mean step leads back.

    Args:
      gamma_up, gamma_down: the share of a step up that is lost between state 0 and `upper`, and of
        a step down between state 0 and `lower` (illustrative).
      additive_noise: whether the noise of a step does not shrink with it.
      others: those of `AbstractPulsed`.

    Raises:
      TypeError, ValueError: a number out of its range.
    """

    gamma_up: float = 0.5
    gamma_down: float = 0.5
    additive_noise: bool = False

    @property
    def additive(self) -> bool:
        """As chosen."""
        return self.additive_noise

    def check_own(self) -> None:
        """Slopes lead towards the bounds."""
        check_not_negative(self, "gamma_up", "gamma_down")
        check_flag("LinearStep(additive_noise=…)", self.additive_noise)

    def factors(self, state: Array, own: Own) -> tuple[Array, Array]:
        """Linear between 1 at state 0 and 1 − γ at the mean bound."""
        return (
            1 - self.gamma_up / self.upper * state,
            1 - self.gamma_down / self.lower * state,
        )

    @property
    def slopes(self) -> Slopes:
        """The same for all cells."""
        return self.gamma_up / self.upper, self.gamma_down / self.lower
