"""Checks of the arguments that the data sets share."""

import operator

import numpy as np


def check_positive_integer(name: str, value: object) -> int:
    """The integer ``value`` if it is one and at least 1, else an error that names it."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name}: expected an integer, given {value!r}") from None
    if number < 1:
        raise ValueError(f"{name}: expected at least 1, given {number}")
    return number


def check_generator(name: str, value: object) -> np.random.Generator:
    """``value`` if it is a NumPy Generator, else an error that says how to make one."""
    if not isinstance(value, np.random.Generator):
        raise TypeError(
            f"{name}: expected a numpy.random.Generator, as numpy.random.default_rng(seed) makes "
            f"one, given {value!r}"
        )
    return value
