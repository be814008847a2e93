"""One device per weight, against an ideal reference."""

import dataclasses
from typing import final

from xbarax.chip.mapping._mapping import Reference
from xbarax.chip.mapping._one_device import AbstractOneDevice


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class IdealReference(AbstractOneDevice):
    """One device per weight, whose conductance is compared with an ideal reference's.

    `u = (G − G_zero) / span`, where `G_zero` is the device's `zero_conductance` and `span` the
    smaller one of its distances to the ends of the range.

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
        """Ideal cells."""
        return "ideal"
