"""Phase-change memory of the HERMES chip, by statistics fitted to its measurements."""

import dataclasses
from typing import final

from jax import Array
from jax import numpy as jnp

from xbarax.chip.device._check import check_not_negative, check_range
from xbarax.chip.device._statistical import AbstractStatistical


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class PCMHermes(AbstractStatistical):
    r"""Phase-change memory of IBM's HERMES chip, one cell for each polarity of a weight.

    The formulas are those of `PCM` with other numbers. With `g = G_target / g_max`, in
    microsiemens for `g_max` = 10.35 µS and scaled with it::

        G_prog = max(G_target + σ_prog ξ, 0)
        σ_prog = max(0.1578 + 2.3244 g − 2.1631 g² + 0.6884 g³, 0) µS
        G(t) = G_prog ((a + t₀)/t₀)^(−|μ_ν + σ_ν η|),   t₀ = 200 s, a the age
        μ_ν = clip(−0.0387 ln g − 0.0182, 0.072, 0.13)       for g < 0.0945,
              −0.0436 g² − 0.0126 g + 0.0736                 else
        σ_ν = clip(−0.0120 ln g − 0.0023, 0.0124, 0.04)      for g < 0.3039,
              −0.0165 g² + 0.0116 g + 0.0104                 else
        σ_read = G(t) Q_s sqrt(ln((a + t₀ + t_r)/(2 t_r))),   t_r = 512 ns
        Q_s = clip(−0.0078 ln g + 0.0038, 0.0179, 0.04)      for g < 0.1591,
              0.0664 g³ − 0.1352 g² + 0.0768 g + 0.0088      else

    Constants: aihwkit's fit (`HermesNoiseModel`, one device per polarity) to the measurements of
    M. Le Gallo et al., Nat. Electron. 6, 680 (2023).

    Args:
      g_max: highest conductance, in siemens.
      program_noise, drift, read_noise: factors on σ_prog, on the exponents and on σ_read; 1 is
        published, 0 switches it off.
      min_change: see `AbstractStatistical`, in siemens.

    Raises:
      TypeError, ValueError: a number out of its range.
    """

    g_max: float = 10.35e-6
    program_noise: float = 1.0
    drift: float = 1.0
    read_noise: float = 1.0
    min_change: float = 0.0

    def __post_init__(self):
        """Refuses numbers out of their range."""
        check_range("PCMHermes", 0.0, self.g_max)
        check_not_negative(self, "program_noise", "drift", "read_noise", "min_change")

    @property
    def conductance_range(self) -> tuple[float, float]:
        """From the fully RESET cell."""
        return 0.0, self.g_max

    def settle(self, target: Array, xi: Array, eta: Array, age: Array) -> Array:
        """The programmed conductance, drifted."""
        g = target / self.g_max
        sigma = jnp.maximum(0.1578 + 2.3244 * g - 2.1631 * g**2 + 0.6884 * g**3, 0)
        sigma = sigma * self.g_max / 10.35
        programmed = jnp.maximum(target + self.program_noise * sigma * xi, 0)
        mean, spread = _exponent(g)
        exponent = self.drift * jnp.abs(mean + spread * eta)
        return programmed * jnp.exp(-exponent * jnp.log1p(age / _T_0))

    def deviate(self, target: Array, conductance: Array, age: Array) -> Array:
        """1/f noise, integrated from the read's duration to the time since programming."""
        g = target / self.g_max
        low = jnp.clip(-0.0078 * _log(g) + 0.0038, 0.0179, 0.04)
        high = 0.0664 * g**3 - 0.1352 * g**2 + 0.0768 * g + 0.0088
        amplitude = jnp.where(g < 0.1591, low, high)
        time = age + _T_0
        return conductance * amplitude * jnp.sqrt(jnp.log((time + _T_READ) / (2 * _T_READ)))

    def current_terms(self, conductance: Array) -> tuple[Array, ...]:
        """A linear cell."""
        return (conductance,)


_T_0 = 200.0
_T_READ = 512e-9


def _exponent(g: Array) -> tuple[Array, Array]:
    """Mean and spread of the drift exponent."""
    low = jnp.clip(-0.0387 * _log(g) - 0.0182, 0.072, 0.13)
    mean = jnp.where(g < 0.0945, low, -0.0436 * g**2 - 0.0126 * g + 0.0736)
    low = jnp.clip(-0.0120 * _log(g) - 0.0023, 0.0124, 0.04)
    spread = jnp.where(g < 0.3039, low, -0.0165 * g**2 + 0.0116 * g + 0.0104)
    return mean, spread


def _log(g: Array) -> Array:
    # Every logarithm is clipped long before this bound, which only keeps 0 finite.
    return jnp.log(jnp.maximum(g, 1e-9))
