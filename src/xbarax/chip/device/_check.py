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


def check_scale(name: str, value: Any, wanted: str, holds: Callable[[float], bool]) -> None:
    """Refuses what is no scale of quantities: see `check_real`, and its square must fit in float32.

    Raises:
      TypeError, ValueError: see `check_real`.
    """
    check_real(name, value, wanted, holds)
    if value != 0 and not _SMALLEST <= abs(value) <= _LARGEST:
        raise ValueError(
            f"{name}: expected a number {wanted}, if it is not 0 from {_SMALLEST:g} to "
            f"{_LARGEST:g} in magnitude, given {value!r}"
        )


# Squares of these, and products of some, are still normal numbers of float32.
_SMALLEST, _LARGEST = 1e-15, 1e15


def check_range(name: str, g_min: Any, g_max: Any) -> None:
    """Refuses conductance ranges that are negative or reversed.

    Raises:
      TypeError, ValueError: see `check_real`.
    """
    check_scale(f"{name}(g_min=…)", g_min, "at least 0 S", lambda x: x >= 0)
    check_scale(f"{name}(g_max=…)", g_max, f"above g_min={g_min} S", lambda x: x > g_min)


def check_not_negative(station: Any, *fields: str) -> None:
    """Refuses a station with a field that is not a number of at least 0.

    Raises:
      TypeError, ValueError: see `check_real`.
    """
    for field in fields:
        name = f"{type(station).__name__}({field}=…)"
        check_real(name, getattr(station, field), "at least 0", lambda x: x >= 0)


def check_flag(name: str, value: Any) -> None:
    """Refuses what is not True or False.

    Raises:
      TypeError: it is neither.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected True or False, given {value!r}")


def check_count(name: str, value: Any, least: int) -> None:
    """Refuses what is not an integer from `least` to the largest that float32 counts to.

    Raises:
      TypeError: it is no integer.
      ValueError: it is out of that range.
    """
    wanted = f"an integer from {least} to {_MOST_COUNTED}"
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name}: expected {wanted}, given {value!r}")
    if not least <= value <= _MOST_COUNTED:
        raise ValueError(f"{name}: expected {wanted}, given {value!r}")


_MOST_COUNTED = 2**24  # float32 counts no farther
