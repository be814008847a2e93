"""How an array is programmed: blindly, or with a look at the result."""

import abc
import dataclasses
from typing import final

from xbarax.chip.device._check import check_real


class AbstractProgramming(abc.ABC):
    """How fresh devices are brought to their targets."""

    @property
    @abc.abstractmethod
    def verifies(self) -> bool:
        """Whether it reads what it programmed, and programs again."""


@final
@dataclasses.dataclass(frozen=True)
class OpenLoop(AbstractProgramming):
    """Programs once and does not look: pulse devices get what the mean device would need."""

    @property
    def verifies(self) -> bool:
        """It does not."""
        return False


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class WriteVerify(AbstractProgramming):
    """Programs, reads, and pulses again those devices that are off, until all are near or tired.

    For devices that respond to pulses. The devices that end outside of the tolerance are counted:
    `not_converged` of `xbarax.report`.

    Args:
      tolerance: how far from its target a device may end, as a share of the conductance range.
      max_pulses: the most pulses that a device gets in this way, after those of the open loop.

    Raises:
      TypeError, ValueError: a number out of its range.
    """

    tolerance: float = 0.02
    max_pulses: int = 100

    @property
    def verifies(self) -> bool:
        """It does."""
        return True

    def __post_init__(self):
        """Refuses bad numbers."""
        check_real("WriteVerify(tolerance=…)", self.tolerance, "in (0, 1)", lambda x: 0 < x < 1)
        most = self.max_pulses
        if not isinstance(most, int) or isinstance(most, bool) or most < 1:
            raise ValueError(
                f"WriteVerify(max_pulses=…): expected a positive integer, given {most!r}"
            )
