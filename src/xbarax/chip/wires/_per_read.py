"""Wires with resistance between cells that each read finds the currents of."""

import dataclasses
from typing import final

from jax import Array
from jax import numpy as jnp

from xbarax.chip.device import AbstractDevice
from xbarax.chip.device._check import check_scale
from xbarax.chip.wires._linear import transposed
from xbarax.chip.wires._nonlinear import solve_nonlinear
from xbarax.chip.wires._resistive import Resistive
from xbarax.chip.wires._wires import AbstractWires


@final
@dataclasses.dataclass(frozen=True)
class ResistivePerRead(AbstractWires):
    """Wires whose segments have a resistance, for nonlinear cells and for selectors.

    The circuit is that of `xbarax.wires.Resistive`, which is far faster where cells are linear and
    always conduct: here each input is solved in each read, by `xbarax.wires.solve_nonlinear`, with
    the current–voltage curve that the device has. A read whose solution is not found is NaN.

    A transposed read drives the grounds' ends of the bit lines, and its currents leave at the
    sources' ends. What a cell conducts is f(u) both ways, u being positive at its driven end, so
    that with wires of 0 Ω each read is that through ideal ones.

    Reads take the JAX path. Read noise arrives as through the wires of linear cells with the
    devices' conductances, as `Resistive` has it, and so do derivatives with respect to programmed
    weights; those of reads are straight-through, as ever.

    Args:
      word_line: resistance of a segment of word line, in ohm, at least 0.
      bit_line: resistance of a segment of bit line, in ohm, at least 0.
      selectors: whether the word lines whose input is 0 are cut off (1T1R). In transposed reads all
        conduct.

    Raises:
      TypeError, ValueError: a resistance that is no number, negative or not finite; `selectors`
        that is not True or False.

    Source: see `xbarax.wires.solve_nonlinear`.
    """

    word_line: float
    bit_line: float
    selectors: bool = False

    def __post_init__(self):
        """Refuses bad resistances."""
        for name in ("word_line", "bit_line"):
            given = getattr(self, name)
            use = f"ResistivePerRead({name}=…)"
            check_scale(use, given, "of at least 0 ohm", lambda x: x >= 0)
        if not isinstance(self.selectors, bool):
            raise TypeError(
                f"ResistivePerRead(selectors=…): expected True or False, given {self.selectors!r}"
            )

    @property
    def per_read(self) -> bool:
        """Each read finds its currents."""
        return True

    def check(self, device: AbstractDevice) -> None:
        """Refuses devices without conductances in siemens."""
        if not device.conductance_range[0] >= 0:
            raise ValueError(
                f"ResistivePerRead wires need a device with conductances in siemens, from 0 on, "
                f"given {device!r}; Ideal(g_min=…, g_max=…) has them"
            )

    def effective(self, conductance: Array) -> Array:
        """Effective conductances of linear cells, tile by tile."""
        return Resistive(self.word_line, self.bit_line).effective(conductance)

    def currents(self, terms: tuple[Array, ...], volts: Array, *, transpose: bool) -> Array:
        """Currents of each input, by Newton's method."""
        if transpose:  # the same circuit, with the other ends' drive and turned by 180°
            cells = tuple(jnp.flip(term, (-2, -1)) for term in terms)
            inputs, wires, rows = jnp.flip(volts, -1), (self.bit_line, self.word_line), None
        else:
            cells = tuple(map(transposed, terms))
            inputs, wires = volts, (self.word_line, self.bit_line)
            rows = volts != 0 if self.selectors else None
        solution, convergence = solve_nonlinear(_polynomial, cells, inputs, *wires, selected=rows)
        found = convergence.converged[..., None]
        currents = jnp.where(found, solution.output_current, jnp.nan)
        return jnp.flip(currents, -1) if transpose else currents


def _polynomial(across: Array, terms: tuple[Array, ...]) -> Array:
    total = jnp.zeros_like(across)
    for term in reversed(terms):
        total = (total + term) * across
    return total
