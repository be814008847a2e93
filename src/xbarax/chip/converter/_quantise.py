"""Uniform quantisers with a level at zero."""

from typing import Any

from jax import Array
from jax import numpy as jnp


def quantise(values: Array, full_scale: Array | float, bits: int, signed: bool) -> Array:
    """Rounds to the nearest of the levels of a mid-tread quantiser, and clips to its ends.

    `2^bits − 2` equal steps from `−full_scale` to `full_scale` where it is signed, so that zero is
    a level; else `2^bits − 1` from 0. A `full_scale` of 0 gives 0.
    """
    steps = 2**bits - 2 if signed else 2**bits - 1
    half = steps // 2 if signed else steps
    safe = jnp.where(full_scale > 0, full_scale, 1)
    low = -half if signed else 0
    return jnp.clip(jnp.round(values / safe * half), low, half) * (full_scale / half)


def largest(values: Array) -> Array:
    """The largest magnitude of each vector, (…, lines) to (…, 1); 0 where there is none."""
    return jnp.max(jnp.abs(values), axis=-1, keepdims=True, initial=0)


def check_bits(name: str, bits: Any, least: int) -> None:
    """Refuses what is no number of bits."""
    if bits is None:
        return
    if not isinstance(bits, int) or isinstance(bits, bool) or not least <= bits <= 24:
        raise ValueError(
            f"{name}(bits=…): expected an integer from {least} to 24, or None for infinite "
            f"resolution, given {bits!r}"
        )
