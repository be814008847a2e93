"""Charge-trapping SONOS transistors, by statistics fitted to measurements."""

import dataclasses
import itertools
from typing import final

from jax import Array
from jax import numpy as jnp

from xbarax.chip.device._check import check_not_negative, check_range, check_real
from xbarax.chip.device._statistical import AbstractStatistical


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class SONOS(AbstractStatistical):
    r"""A charge-trapping transistor, read at one voltage: spread that grows for days, read noise.

    What was measured are cell currents. They are taken for conductances at the voltage of the
    measurement, `I = G cell_voltage`. In nanoamperes::

        I(t) = max(I_target + σ(I_target, t) ξ, 0)
        σ(I, t) = A_d (1 − exp(−I/B_d)) after d = 0, 1, … 5 days:
          A = 19.887, 25.591, 28.728, 31.043, 33.762, 34.579
          B = 176.31, 186.86, 193.57, 198.90, 204.77, 207.34
        σ_read = 12.580 (1 − exp(−I(t)/215.37))

    Between the days σ is linear in time, after the fifth constant; ξ is a cell's own from one
    programming to the next, and age 0 is day 0. Targets up to 3200 nA were measured on day 0, up to
    1800 nA later; above, σ has long saturated (to 2e-4 of `A_d`) and the formula is used as it is.
    The change of the *mean* over days 1 to 5 is left out.

    Constants: CrossSim's fits (`SONOS`) to the figures of V. Agrawal et al., "Subthreshold
    operation of SONOS analog memory to enable accurate low-power neural network inference", IEDM
    2022. `cell_voltage`: illustrative; it makes 16 µS of 1600 nA, CrossSim's suggestion.

    Args:
      g_max: highest conductance, in siemens; at most 3200 nA / `cell_voltage`.
      cell_voltage: the voltage, in volts, at which a cell's published current flows. It turns
        currents into conductances and is not what a chip's converters apply (`DAC(v_read=…)`).
      program_noise: a factor on the spread of day 0; 1 is published, 0 switches it off.
      relaxation: a factor on what the spread has grown by since; 1 is published, 0 switches it off.
      read_noise: a factor on σ_read; 1 is published, 0 switches it off.
      min_change: see `AbstractStatistical`, in siemens.

    Raises:
      TypeError, ValueError: a number out of its range.
    """

    g_max: float = 32e-6
    cell_voltage: float = 0.1
    program_noise: float = 1.0
    relaxation: float = 1.0
    read_noise: float = 1.0
    min_change: float = 0.0

    def __post_init__(self):
        """Refuses numbers out of their range."""
        check_range("SONOS", 0.0, self.g_max)
        check_real("SONOS(cell_voltage=…)", self.cell_voltage, "above 0 V", lambda x: x > 0)
        most = 3200e-9 / self.cell_voltage
        wanted = f"at most {most:g} S, 3200 nA at cell_voltage={self.cell_voltage} V"
        check_real("SONOS(g_max=…)", self.g_max, wanted, lambda x: x <= most * (1 + 1e-6))
        check_not_negative(self, "program_noise", "relaxation", "read_noise", "min_change")

    @property
    def conductance_range(self) -> tuple[float, float]:
        """From the closed transistor."""
        return 0.0, self.g_max

    def settle(self, target: Array, xi: Array, eta: Array, age: Array) -> Array:
        """The target with the spread that belongs to the age."""
        scale = 1e-9 / self.cell_voltage
        spreads = [_saturating(target / scale, *constants) for constants in _DAYS]
        days = age / 86_400
        growth = jnp.zeros_like(target)
        for day, (spread, following) in enumerate(itertools.pairwise(spreads)):
            growth += jnp.clip(days - day, 0, 1) * (following - spread)
        sigma = jnp.maximum(self.program_noise * spreads[0] + self.relaxation * growth, 0)
        return jnp.maximum(target + sigma * scale * xi, 0)

    def deviate(self, target: Array, conductance: Array, age: Array) -> Array:
        """Noise of the present current."""
        scale = 1e-9 / self.cell_voltage
        return _saturating(conductance / scale, 12.580, 215.37) * scale

    def current_terms(self, conductance: Array) -> tuple[Array, ...]:
        """A linear cell."""
        return (conductance,)


# A and B, in nanoamperes, of the days 0 to 5.
_DAYS = (
    (19.887, 176.31),
    (25.591, 186.86),
    (28.728, 193.57),
    (31.043, 198.90),
    (33.762, 204.77),
    (34.579, 207.34),
)


def _saturating(current: Array, a: float, b: float) -> Array:
    return -a * jnp.expm1(-current / b)
