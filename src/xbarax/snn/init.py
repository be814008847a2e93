"""Initial weights."""

import math
from typing import Any

import jax
from jax import Array
from jax import numpy as jnp
from jaxtyping import Float

from xbarax.snn import _check


def glorot_uniform(key: Any, shape: tuple[int, int]) -> Float[Array, "out in"]:
    r"""Draws a weight matrix from :math:`U(-a, a)` with :math:`a = \sqrt{6 / (in + out)}`.

    Args:
      key: a PRNG key.
      shape: (out, in), each at least 1.

    Returns:
      The weights, float32, dimensionless.

    Raises:
      TypeError: `key` is no PRNG key, or a size is no integer.
      ValueError: `key` is a batch of keys, `shape` has not two sizes, or one is below 1.

    Derivatives: none; the weights are a function of `key`.

    Source: Glorot & Bengio 2010 (AISTATS), equation 16.
    """
    key = _check.prng_key("glorot_uniform: key", key)
    if not (isinstance(shape, tuple) and len(shape) == 2):
        raise ValueError(f"glorot_uniform: shape: expected (out, in), given {shape!r}")
    out, inputs = (
        _check.positive_integer(f"glorot_uniform: shape[{i}]", n) for i, n in enumerate(shape)
    )
    limit = math.sqrt(6 / (inputs + out))
    return jax.random.uniform(key, (out, inputs), jnp.float32, -limit, limit)
