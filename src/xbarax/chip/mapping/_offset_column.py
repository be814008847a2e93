"""One device per weight, against a shared column of devices."""

import dataclasses
from typing import final

from xbarax.chip.mapping._mapping import Reference
from xbarax.chip.mapping._one_device import AbstractOneDevice


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class OffsetColumn(AbstractOneDevice):
    """One device per weight; one more column in each tile is the reference of all the others.

    `u = (G − G_ref) / span`, where the reference devices, one for each word line, are programmed
    to the device's `zero_conductance`, with all their errors, and `span` is the smaller one of its
    distances to the ends of the range. The column's current is converted like the others and
    subtracted from each, so that its noise is common to all outputs of the tile. It takes one of
    the tile's outputs. In a transposed read it carries minus the sum of the other lines' inputs.

    Args:
      weight_range: the magnitude of weights at `span`; None: that of the largest weight
        programmed, times `headroom`.
      headroom: at least 1: how much larger than those first programmed weights may become.

    Raises:
      TypeError, ValueError: a number out of its range.
    """

    weight_range: float | None = None
    headroom: float = 1.0

    @property
    def reference(self) -> Reference:
        """A column of each tile."""
        return "column"
