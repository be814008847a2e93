"""Phase-change memory, by the statistics of Nandakumar et al. and Joshi et al."""

import dataclasses
from typing import final

from jax import Array
from jax import numpy as jnp

from xbarax.chip.device._check import check_not_negative, check_range
from xbarax.chip.device._statistical import AbstractStatistical


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class PCM(AbstractStatistical):
    r"""Phase-change memory: programming noise, drift with an exponent per cell, and 1/f read noise.

    With `g = G_target / g_max`, in microsiemens for `g_max` = 25 µS and scaled with it::

        G_prog = max(G_target + σ_prog ξ, 0)
        σ_prog = max(−1.1731 g² + 1.9650 g + 0.26348, 0) µS
        G(t) = G_prog ((a + t₀)/t₀)^(−|μ_ν + σ_ν η|),   t₀ = 20 s, a the age
        μ_ν = clip(−0.0155 ln g + 0.0244, 0.049, 0.1)
        σ_ν = clip(−0.0125 ln g − 0.0059, 0.008, 0.045)
        σ_read = G(t) min(0.0088 / g^0.65, 0.2) sqrt(ln((a + t₀ + t_r)/(2 t_r))),   t_r = 250 ns

    Constants: S. R. Nandakumar et al., "Phase-change memory models for deep learning training and
    inference", ICECS 2019; V. Joshi et al., Nat. Commun. 11, 2473 (2020).

    Args:
      g_max: highest conductance, in siemens.
      program_noise, drift, read_noise: factors on σ_prog, on the exponents and on σ_read; 1 is
        published, 0 switches it off.
      min_change: see `AbstractStatistical`, in siemens.

    Raises:
      TypeError, ValueError: a number out of its range.
    """

    g_max: float = 25e-6
    program_noise: float = 1.0
    drift: float = 1.0
    read_noise: float = 1.0
    min_change: float = 0.0

    def __post_init__(self):
        """Refuses numbers out of their range."""
        check_range("PCM", 0.0, self.g_max)
        check_not_negative(self, "program_noise", "drift", "read_noise", "min_change")

    @property
    def conductance_range(self) -> tuple[float, float]:
        """From the fully RESET cell."""
        return 0.0, self.g_max

    def settle(self, target: Array, xi: Array, eta: Array, age: Array) -> Array:
        """The programmed conductance, drifted."""
        g = target / self.g_max
        sigma = jnp.maximum(-1.1731 * g**2 + 1.9650 * g + 0.26348, 0) * self.g_max / 25
        programmed = jnp.maximum(target + self.program_noise * sigma * xi, 0)
        log_g = jnp.log(jnp.maximum(g, 1e-9))
        mean = jnp.clip(-0.0155 * log_g + 0.0244, 0.049, 0.1)
        spread = jnp.clip(-0.0125 * log_g - 0.0059, 0.008, 0.045)
        exponent = self.drift * jnp.abs(mean + spread * eta)
        return programmed * jnp.exp(-exponent * jnp.log1p(age / _T_0))

    def deviate(self, target: Array, conductance: Array, age: Array) -> Array:
        """1/f noise, integrated from the read's duration to the time since programming."""
        g = jnp.maximum(target / self.g_max, 1e-9)
        amplitude = jnp.minimum(0.0088 / g**0.65, 0.2)
        time = age + _T_0
        return conductance * amplitude * jnp.sqrt(jnp.log((time + _T_READ) / (2 * _T_READ)))

    def current_terms(self, conductance: Array) -> tuple[Array, ...]:
        """A linear cell."""
        return (conductance,)


_T_0 = 20.0
_T_READ = 250e-9
