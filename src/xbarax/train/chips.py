"""The chips that a training run knows by name."""

import difflib
import json
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


def is_hardware(chip: str) -> bool:
    """Whether a name is meant as a real chip's: the path of a shared library, or module:Class."""
    return chip not in (IDEAL_CHIP, *PRESETS) and (
        any(mark in chip for mark in "/.:") or Path(chip).exists()
    )


def check_name(chip: str) -> None:
    """Refuses what is neither a known name nor a path.

    Raises:
      ValueError: it is not; the message lists the names.
    """
    if chip == IDEAL_CHIP or chip in PRESETS or is_hardware(chip):
        return
    close = difflib.get_close_matches(chip, [IDEAL_CHIP, *PRESETS], 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(
        f"chip: expected {IDEAL_CHIP!r}, a preset ({', '.join(PRESETS)}), the path of a library or "
        f"module:Class, given {chip!r}{hint}"
    )


def make_chip(chip: str, config: str = "{}", isolated: bool = False) -> AbstractChip:
    """The chip of that name: ideal, a preset's devices in differential pairs, or a real one.

    Args:
      chip: the name.
      config: what a real chip's driver is opened with, a JSON object as text.
      isolated: whether that runs in a process of its own.

    Raises:
      ValueError: no such name.
      OSError, AttributeError, ImportError, TypeError, DriverError: see `xbarax.hardware.load`.
    """
    check_name(chip)
    if chip == IDEAL_CHIP:
        return Chip()
    if chip in PRESETS:
        return Chip(device=PRESETS[chip].make(), mapping=DifferentialPair(headroom=HEADROOM))
    return hardware.load(chip, config=json.loads(config), isolated=isolated)
