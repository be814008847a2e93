"""Resistive memory with a nonlinear current, by statistics and a curve fitted to measurements."""

import dataclasses
from typing import final

import numpy as np
from jax import Array
from jax import numpy as jnp

from xbarax.chip.device._check import check_not_negative, check_range, check_real
from xbarax.chip.device._statistical import AbstractStatistical


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class RRAMMilo(AbstractStatistical):
    r"""Resistive memory programmed by incremental gate pulses, with a nonlinear current.

    Conductances in microsiemens, `L = log10(G/1 S)`::

        G = max(G_target + σ_prog ξ, 0),   σ_prog = max(4.782321 − 0.009107 G_target, 0)
        I = G V + N₂ V² + N₃ V³,   |V| ≤ 0.5 V
        N₂ = 1.388e-4 L³ + 1.541e-3 L² + 5.711e-3 L + 7.063e-3 A/V²
        N₃ = 8.871e-5 L² + 6.7919e-4 L + 1.2968e-3 A/V³

    The curve was measured for 62.5 to 110 µS and up to 0.5 V (`max_voltage`): a chip that reads
    at more is refused. At 225 µS the fit takes the cell for linear. Below 40 µS and above 240 µS,
    where programming's error hardly ever leads but stuck cells can be, `N₂/G` and `N₃/G` keep their
    values: from 38 µS down the polynomials would let the current fall with a rising voltage.
    Neither ageing nor read noise was published.

    Constants: CrossSim's fits (`RRAMMilo`) to the figures of V. Milo et al., "Optimized programming
    algorithms for multilevel RRAM in hardware neural networks", IRPS 2021.

    Args:
      g_min, g_max: range of the targets, in siemens, within the published 50 to 225 µS.
      program_noise: a factor on σ_prog; 1 is published, 0 switches it off.
      min_change: see `AbstractStatistical`, in siemens.

    Raises:
      TypeError, ValueError: a number out of its range.
    """

    g_min: float = 50e-6
    g_max: float = 225e-6
    program_noise: float = 1.0
    min_change: float = 0.0

    def __post_init__(self):
        """Refuses numbers out of their range."""
        check_range("RRAMMilo", self.g_min, self.g_max)
        published = "within the published 50e-06 to 0.000225 S"
        for name in ("g_min", "g_max"):
            value = getattr(self, name)
            check_real(f"RRAMMilo({name}=…)", value, published, lambda x: 50e-6 <= x <= 225e-6)
        check_not_negative(self, "program_noise", "min_change")

    @property
    def conductance_range(self) -> tuple[float, float]:
        """The range given."""
        return self.g_min, self.g_max

    @property
    def max_voltage(self) -> float:
        """The voltage, in volts and of either sign, up to which the current was measured."""
        return 0.5

    @property
    def read_noise(self) -> float:
        """None was published."""
        return 0.0

    def settle(self, target: Array, xi: Array, eta: Array, age: Array) -> Array:
        """The programmed conductance, at every age."""
        sigma = jnp.maximum(4.782321e-6 - 0.009107 * target, 0)
        return jnp.maximum(target + self.program_noise * sigma * xi, 0)

    def deviate(self, target: Array, conductance: Array, age: Array) -> Array:
        """None was published."""
        return jnp.zeros_like(conductance)

    def current_terms(self, conductance: Array) -> tuple[Array, ...]:
        """`(G, N₂, N₃)`."""
        inside = jnp.clip(conductance, *_CURVE_RANGE)
        share = conductance / inside
        x = jnp.log10(inside / 1e-4)
        return conductance, share * jnp.polyval(_N_2, x), share * jnp.polyval(_N_3, x)


_CURVE_RANGE = (40e-6, 240e-6)


def _around_100_microsiemens(*coefficients: float) -> np.ndarray:
    """Coefficients in powers of L + 4, given those in powers of L, highest power first.

    In powers of L the terms are a thousand times their sum, too much for float32.
    """
    shifted = np.poly1d(coefficients)(np.poly1d([1.0, -4.0]))
    return shifted.coefficients.astype(np.float32)


_N_2 = _around_100_microsiemens(1.388e-4, 1.541e-3, 5.711e-3, 7.063e-3)
_N_3 = _around_100_microsiemens(8.871e-5, 6.7919e-4, 1.2968e-3)
