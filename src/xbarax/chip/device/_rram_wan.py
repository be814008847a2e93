"""Resistive memory of the NeuRRAM chip, by statistics fitted to its measurements."""

import dataclasses
import math
from typing import final

from jax import Array
from jax import numpy as jnp

from xbarax.chip.device._check import check_not_negative, check_range
from xbarax.chip.device._statistical import AbstractStatistical


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class RRAMWan(AbstractStatistical):
    r"""Resistive memory of the NeuRRAM chip: a spread around the target that grows with time.

    With `g = G_target / g_max`, in microsiemens for `g_max` = 40 µS and scaled with it::

        G(t) = max(G_target + max(σ(g, t), 0) ξ, 0),   t = 1 s + the age
        σ(g, 1 s)    = 0.348 + 16.030 g − 43.853 g² + 45.393 g³ − 16.815 g⁴ µS
        σ(g, 1 day)  = 0.701 + 22.086 g − 50.773 g² + 47.095 g³ − 16.458 g⁴ µS
        σ(g, 2 days) = 0.782 + 20.274 g − 43.507 g² + 37.062 g³ − 11.934 g⁴ µS

    In between σ is linear in ln t, after two days constant; ξ is a cell's own from one programming
    to the next. No read noise was published apart.

    Constants: aihwkit's fit (`ReRamWan2022NoiseModel`) to the figures of W. Wan et al., Nature 608,
    504 (2022).

    Args:
      g_max: highest conductance, in siemens.
      program_noise: a factor on the spread after 1 s; 1 is published, 0 switches it off.
      relaxation: a factor on what the spread has grown by since; 1 is published, 0 switches it off.
      min_change: see `AbstractStatistical`, in siemens.

    Raises:
      TypeError, ValueError: a number out of its range.
    """

    g_max: float = 40e-6
    program_noise: float = 1.0
    relaxation: float = 1.0
    min_change: float = 0.0

    def __post_init__(self):
        """Refuses numbers out of their range."""
        check_range("RRAMWan", 0.0, self.g_max)
        check_not_negative(self, "program_noise", "relaxation", "min_change")

    @property
    def conductance_range(self) -> tuple[float, float]:
        """From the open cell."""
        return 0.0, self.g_max

    @property
    def read_noise(self) -> float:
        """None was published."""
        return 0.0

    def settle(self, target: Array, xi: Array, eta: Array, age: Array) -> Array:
        """The target with the spread that belongs to the age."""
        second, day, two_days = (jnp.polyval(jnp.array(c), target / self.g_max) for c in _SPREADS)
        log_t = jnp.log1p(age)
        to_day = jnp.clip(log_t / _LOG_DAY, 0, 1)
        to_two_days = jnp.clip((log_t - _LOG_DAY) / math.log(2), 0, 1)
        growth = to_day * (day - second) + to_two_days * (two_days - day)
        sigma = jnp.maximum(self.program_noise * second + self.relaxation * growth, 0)
        return jnp.maximum(target + sigma * self.g_max / 40 * xi, 0)

    def deviate(self, target: Array, conductance: Array, age: Array) -> Array:
        """None was published."""
        return jnp.zeros_like(conductance)

    def current_terms(self, conductance: Array) -> tuple[Array, ...]:
        """A linear cell."""
        return (conductance,)


# Coefficients of g⁴, g³, …, 1 in microsiemens, after 1 s, 1 day and 2 days.
_SPREADS = (
    (-16.815, 45.393, -43.853, 16.030, 0.348),
    (-16.458, 47.095, -50.773, 22.086, 0.701),
    (-11.934, 37.062, -43.507, 20.274, 0.782),
)
_LOG_DAY = math.log(86_400)
