"""Chooses between a native kernel and its pure-JAX specification."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any, Literal

import jax

from xbarax._kernels import _library

Implementation = Literal["auto", "jax", "native"]
"""Which implementation computes something: see `xbarax.Chip`."""

Where = Literal["nowhere", "cpu", "everywhere"]
"""In programs for which platforms native kernels are taken."""

_asked: contextvars.ContextVar[Implementation] = contextvars.ContextVar(
    "implementation", default="auto"
)


@contextlib.contextmanager
def using(implementation: Implementation) -> Iterator[None]:
    """Lets `implementation` decide what is chosen within."""
    token = _asked.set(implementation)
    try:
        yield
    finally:
        _asked.reset(token)


def choose(
    native: Callable[..., Any],
    pure: Callable[..., Any],
    *operands: Any,
    platforms: tuple[Literal["cpu", "cuda"], ...] = ("cpu",),
) -> Any:
    """Calls `native` or `pure` with `operands`, trees of arrays, as the implementation in use says.

    With "auto", the default, the platform that the program is compiled for decides: `platforms`
    take the native one; "cuda" only where its kernels can be used.

    Raises:
      NativeLibraryError: "native", and the native library cannot be used.
    """
    where = where_native()
    if where == "cpu":
        natives = dict.fromkeys(platforms, native)
        return jax.lax.platform_dependent(*operands, **natives, default=pure)
    return (native if where == "everywhere" else pure)(*operands)


def where_native() -> Where:
    """What `choose` goes by, for primitives that are lowered to one or the other.

    Raises:
      NativeLibraryError: "native", and the native library cannot be used.
    """
    implementation = _asked.get()
    if implementation == "native":
        _library.library()
        return "everywhere"
    return "cpu" if implementation == "auto" and _library.available() else "nowhere"
