"""Chooses between a native kernel and its pure-JAX specification."""

from collections.abc import Callable
from typing import Any, Literal

import jax
from jax import Array

from xbarax._kernels import _library

Implementation = Literal["auto", "jax", "native"]
"""Which implementation computes something: see `xbarax.Chip`."""


def choose(
    implementation: Implementation,
    native: Callable[..., Any],
    pure: Callable[..., Any],
    *operands: Array,
) -> Any:
    """Calls `native` or `pure` with `operands`, as `implementation` says.

    With "auto" the platform that the program is compiled for decides: CPU takes the native one.

    Raises:
      NativeLibraryError: "native", and the native library cannot be used.
    """
    if implementation == "jax":
        return pure(*operands)
    if implementation == "native":
        _library.library()
        return native(*operands)
    if not _library.available():
        return pure(*operands)
    return jax.lax.platform_dependent(*operands, cpu=native, default=pure)
