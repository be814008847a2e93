"""The chips that a training run knows by name."""

import difflib
from pathlib import Path

from xbarax import hardware
from xbarax.chip import AbstractChip, Chip
from xbarax.chip.device.presets import PRESETS
from xbarax.chip.mapping import DifferentialPair

IDEAL_CHIP = "ideal"
"""The name of an ideal array."""

HEADROOM = 4.0
"""How much larger than the largest initial weight a trained one may become, on a preset's chip.

On the default task digital weights grow about fivefold; `benchmarks/training_in_place.py`
compares.
"""


def is_library(chip: str) -> bool:
    """Whether a name is meant as the path of a shared library."""
    return chip not in (IDEAL_CHIP, *PRESETS) and (
        "/" in chip or "." in chip or Path(chip).exists()
    )


def check_name(chip: str) -> None:
    """Refuses what is neither a known name nor a path.

    Raises:
      ValueError: it is not; the message lists the names.
    """
    if chip == IDEAL_CHIP or chip in PRESETS or is_library(chip):
        return
    close = difflib.get_close_matches(chip, [IDEAL_CHIP, *PRESETS], 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(
        f"chip: expected {IDEAL_CHIP!r}, a preset ({', '.join(PRESETS)}) or the path of a library, "
        f"given {chip!r}{hint}"
    )


def make_chip(chip: str) -> AbstractChip:
    """The chip of that name: ideal, a preset's devices in differential pairs, or a library.

    Raises:
      ValueError: no such name.
      OSError, AttributeError: a library that cannot be used.
    """
    check_name(chip)
    if chip == IDEAL_CHIP:
        return Chip()
    if chip in PRESETS:
        return Chip(device=PRESETS[chip].make(), mapping=DifferentialPair(headroom=HEADROOM))
    return hardware.load(chip)
