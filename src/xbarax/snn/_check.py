"""Checks of arguments that several files share."""

import numbers
import operator
from typing import Any

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp


def positive_integer(name: str, given: Any) -> int:
    """`given` as an int, if it is an integer of at least 1."""
    try:
        value = operator.index(given)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, given {given!r}") from None
    if isinstance(given, bool):
        raise TypeError(f"{name}: expected an integer, given {given!r}")
    if value < 1:
        raise ValueError(f"{name}: expected at least 1, given {value}")
    return value


def number(name: str, given: Any) -> float:
    """`given` as a float, if it is a real number (and no array: settings are static)."""
    if isinstance(given, bool) or not isinstance(given, numbers.Real):
        raise TypeError(f"{name}: expected a number, given {given!r}")
    return float(given)


def prng_key(name: str, given: Any) -> Array:
    """`given` as a typed PRNG key, if it is one key of JAX's new or old style."""
    expected = f"{name}: expected a PRNG key such as jax.random.key(0)"
    if not isinstance(given, jax.Array):
        raise TypeError(f"{expected}, given {given!r}")
    if jnp.issubdtype(given.dtype, jax.dtypes.prng_key):
        key = given
    elif given.dtype == jnp.uint32 and given.ndim > 0:
        key = jax.random.wrap_key_data(given)
    else:
        raise TypeError(f"{expected}, given {jax.typeof(given).str_short()}")
    if key.ndim:
        raise ValueError(f"{expected}, given a batch of them of shape {key.shape}")
    return key


def float32_array(name: str, given: Any) -> jax.Array | np.ndarray:
    """`given`, if it is an array of float32; the error says what to cast."""
    if not isinstance(given, jax.Array | np.ndarray):
        raise TypeError(f"{name}: expected a float32 array, given {type(given).__name__}")
    if given.dtype != np.float32:
        raise TypeError(
            f"{name}: expected float32, given {given.dtype}; cast with .astype(np.float32)"
        )
    return given


def is_traced(*trees: Any) -> bool:
    """Whether any leaf is a value that only a compiled program will know."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(trees))
