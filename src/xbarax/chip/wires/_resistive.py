"""Wires with resistance."""

import dataclasses
from typing import final

import jax
from jax import Array
from jax import numpy as jnp

from xbarax.chip.device import AbstractDevice
from xbarax.chip.device._check import check_scale
from xbarax.chip.wires._effective import effective_conductance
from xbarax.chip.wires._linear import transposed
from xbarax.chip.wires._wires import AbstractWires


@final
@dataclasses.dataclass(frozen=True)
class Resistive(AbstractWires):
    r"""Wires whose segments, from cell to cell, have a resistance (IR drop).

    Each tile is solved as a whole when its devices change, and a read is a product as before::

        I = G_effᵀ V,   G_eff = xbarax.wires.effective_conductance(G, word_line, bit_line)

    Inputs drive word lines, from their left ends; outputs are bit lines, grounded at their lower
    ends, one segment beyond the last cell. So output 0 is next to the sources, and the last input
    next to the grounds. A transposed read drives the grounds' ends and sees the transpose.

    A layer that does not fill its tile takes the bit lines next to the sources and the word lines
    next to the grounds: the rest of the tile is behind the far ends, and changes nothing. A
    reference column is the bit line behind the last output.

    Planes (polarities, slices) are tiles of their own. An ideal reference is a tile of ideal cells
    with such wires. Read noise of standard deviation σ arrives as `σ min(G_eff/G, 1)`, and that of
    an open cell (G = 0) as σ. A conductance below 0, which some pulse devices reach relative to
    their reference, is no part of a circuit: it is seen as it is, as through ideal wires.

    Args:
      word_line: resistance of a segment of word line, in ohm, at least 0.
      bit_line: resistance of a segment of bit line, in ohm, at least 0.

    Raises:
      TypeError, ValueError: a resistance that is no number, negative or not finite.

    Derivatives: exact with respect to conductances; `xbarax.wires.pull_back` has those with respect
    to an array's weights.

    Source: see `xbarax.wires.effective_conductance`.
    """

    word_line: float
    bit_line: float

    def __post_init__(self):
        """Refuses bad resistances."""
        for name in ("word_line", "bit_line"):
            given = getattr(self, name)
            check_scale(f"Resistive({name}=…)", given, "of at least 0 ohm", lambda x: x >= 0)

    def check(self, device: AbstractDevice) -> None:
        """Refuses devices that are no linear conductances."""
        if not device.conductance_range[0] >= 0:
            raise ValueError(
                f"Resistive wires need a device with conductances in siemens, from 0 on, given "
                f"{device!r}; Ideal(g_min=…, g_max=…) has them"
            )
        terms = jax.eval_shape(device.current_terms, jax.ShapeDtypeStruct((), jnp.float32))
        if len(terms) > 1:
            raise ValueError(
                f"Resistive wires take devices with a linear current, given {device!r}: for "
                "nonlinear cells use xbarax.wires.ResistivePerRead"
            )

    def effective(self, conductance: Array) -> Array:
        """Effective conductances, tile by tile."""
        cells = transposed(conductance)
        negative = cells < 0
        circuit = jnp.where(negative, 0, cells)
        seen = effective_conductance(circuit, self.word_line, self.bit_line)
        return transposed(seen + jnp.where(negative, cells, 0))
