"""Checks of the numbers that stations are made of."""

import math
from collections.abc import Callable
from typing import Any


def check_real(name: str, value: Any, wanted: str, holds: Callable[[float], bool]) -> None:
    """Refuses what is not a finite number with a property.

    Raises:
      TypeError: it is no number.
      ValueError: it is not finite, or lacks the property that `wanted` describes.
    """
    if not isinstance(value, float | int) or isinstance(value, bool):
        kind = type(value).__name__
        raise TypeError(
            f"{name}: expected a number {wanted}, given {value!r}: a {kind}, not a float or an int"
        )
    if not (math.isfinite(value) and holds(value)):
        raise ValueError(f"{name}: expected a number {wanted}, given {value!r}")


def check_range(name: str, g_min: Any, g_max: Any) -> None:
    """Refuses conductance ranges that are negative or reversed.

    Raises:
      TypeError, ValueError: see `check_real`.
    """
    check_real(f"{name}(g_min=…)", g_min, "at least 0 S", lambda x: x >= 0)
    check_real(f"{name}(g_max=…)", g_max, f"above g_min={g_min} S", lambda x: x > g_min)
