"""Resistive memory of conductive metal oxide on HfOx, by statistics fitted to measurements."""

import dataclasses
from typing import Literal, final, get_args

from jax import Array
from jax import numpy as jnp

from xbarax.chip.device._check import check_not_negative, check_range, check_real
from xbarax.chip.device._statistical import AbstractStatistical

Accept = Literal["0.2%", "2%"]


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class CMOHfOx(AbstractStatistical):
    r"""CMO/HfOx resistive memory: a programming error, relaxation, and 1/f read noise.

    Conductances in microsiemens, `t = 1 s + the age`::

        G(t) = max(G_target + μ_relax + sqrt(σ_prog² + σ_relax²) ξ, 0)
        σ_prog = 8.1e-4 + 1.07e-3 G_target      where programming accepts 0.2 % off the target
                 0.01122 + 0.01129 G_target     where it accepts 2 %
        μ_relax = −0.0890 ln t,   σ_relax = 0.04201 ln t + 0.41183
        σ_read = 0.02773 max(log10 G(t), 0) sqrt(ln((t + t_r)/(2 t_r))),   t_r = 1 µs

    Programming's error and relaxation's are independent, and both new in every programming: one ξ
    stands for their sum. Age 0 already has the relaxation of the first second.

    Constants: aihwkit's fits (`ReRamCMONoiseModel`); programming and relaxation to Falcone et
    al., arXiv:2502.04524 (2025), read noise to Lombardo et al., DRC 2024.

    Args:
      g_min, g_max: range of the targets, in siemens, within the published 9 to 88.2 µS.
      accept: how far off its target programming leaves a cell, "0.2%" or "2%".
      program_noise: a factor on σ_prog; 1 is published, 0 switches it off.
      relaxation: a factor on μ_relax and σ_relax; 1 is published, 0 switches it off.
      read_noise: a factor on σ_read; 1 is published, 0 switches it off.
      min_change: see `AbstractStatistical`, in siemens.

    Raises:
      TypeError: a number that is none.
      ValueError: a number out of its range, or an unknown word for `accept`.
    """

    g_min: float = 9e-6
    g_max: float = 88.2e-6
    accept: Accept = "0.2%"
    program_noise: float = 1.0
    relaxation: float = 1.0
    read_noise: float = 1.0
    min_change: float = 0.0

    def __post_init__(self):
        """Refuses numbers out of their range."""
        check_range("CMOHfOx", self.g_min, self.g_max)
        published = "within the published 9e-06 to 8.82e-05 S"
        for name in ("g_min", "g_max"):
            value = getattr(self, name)
            check_real(f"CMOHfOx({name}=…)", value, published, lambda x: 9e-6 <= x <= 88.2e-6)
        if self.accept not in get_args(Accept):
            words = ", ".join(map(repr, get_args(Accept)))
            raise ValueError(f"CMOHfOx(accept=…): expected one of {words}, given {self.accept!r}")
        check_not_negative(self, "program_noise", "relaxation", "read_noise", "min_change")

    @property
    def conductance_range(self) -> tuple[float, float]:
        """The range given."""
        return self.g_min, self.g_max

    def settle(self, target: Array, xi: Array, eta: Array, age: Array) -> Array:
        """The programmed conductance, relaxed."""
        log_t = jnp.log1p(age)
        constant, slope = _PROGRAMMING[self.accept]
        programming = self.program_noise * (constant * 1e-6 + slope * target)
        relaxation = self.relaxation * (0.04201 * log_t + 0.41183) * 1e-6
        mean = target - self.relaxation * 0.0890e-6 * log_t
        return jnp.maximum(mean + jnp.hypot(programming, relaxation) * xi, 0)

    def deviate(self, target: Array, conductance: Array, age: Array) -> Array:
        """1/f noise, integrated from the read's duration to the time since programming."""
        level = jnp.log10(jnp.maximum(conductance * 1e6, 1))
        time = age + 1
        return 0.02773e-6 * level * jnp.sqrt(jnp.log((time + _T_READ) / (2 * _T_READ)))

    def current_terms(self, conductance: Array) -> tuple[Array, ...]:
        """A linear cell."""
        return (conductance,)


# σ_prog in microsiemens at 0, and its slope.
_PROGRAMMING = {"0.2%": (8.1e-4, 1.07e-3), "2%": (0.01122, 0.01129)}
_T_READ = 1e-6
