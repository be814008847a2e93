"""The foreign calls themselves: the only callers of `jax.ffi.ffi_call`.

Every handler takes leading batch axes, so that `vmap` is one call.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax import Array
from jax import numpy as jnp


def _float32(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def read(conductance: Array, inputs: Array, *, transpose: bool) -> Array:
    """Rows of `inputs` (n, in) times `conductance` (out, in), or (n, out) to (n, in) transposed."""
    n_out, n_in = conductance.shape
    name = "xbarax_read_transposed" if transpose else "xbarax_read"
    result = _float32(inputs.shape[0], n_in if transpose else n_out)
    call = jax.ffi.ffi_call(name, result, vmap_method="expand_dims")  # what is shared stays one
    return call(conductance, inputs)


def update(conductance: Array, delta: Array) -> tuple[Array, Array]:
    """The sum of both (any one shape), and how many of `delta` are not finite (int32)."""
    results = (_float32(*conductance.shape), jax.ShapeDtypeStruct((1,), jnp.int32))
    call = jax.ffi.ffi_call("xbarax_update", results, vmap_method="broadcast_all")
    total, bad = call(conductance, delta)
    return total, bad[0]


def draw(distribution: str, key_data: Array, shape: tuple[int, ...]) -> Array:
    """The "uniform", "normal" or "paired_normal" numbers of a threefry key's data (2,)."""
    call = jax.ffi.ffi_call(f"xbarax_{distribution}", _float32(*shape), vmap_method="broadcast_all")
    return call(key_data)


def fold_in(key_data: Array, number: Array) -> Array:
    """The data of a new threefry key (2,), from one's data (2,) and a uint32 number."""
    result = jax.ShapeDtypeStruct((2,), jnp.uint32)
    call = jax.ffi.ffi_call("xbarax_fold_in", result, vmap_method="broadcast_all")
    return call(key_data, number)


def split(key_data: Array, n: int) -> tuple[Array, ...]:
    """The data of n new threefry keys (2,), from one's data (2,)."""
    results = [jax.ShapeDtypeStruct((2,), jnp.uint32)] * n
    return tuple(jax.ffi.ffi_call("xbarax_split", results, vmap_method="broadcast_all")(key_data))


def functions_mul(conductance: Array, inputs: Array, *, library: str) -> Array:
    """`user_implementation_mul` of a shared library for each row of `inputs` (n, in) to (n, out).

    A side effect: it is called once for each row, in order, whenever the program runs.
    """
    result = _float32(inputs.shape[0], conductance.shape[0])
    return _functions_call("mul", result)(conductance, inputs, library=library)


def functions_add(conductance: Array, delta: Array, *, library: str) -> Array:
    """`user_implementation_add` of a shared library: (out, in) and (out, in) to (out, in)."""
    return _functions_call("add", _float32(*conductance.shape))(conductance, delta, library=library)


def functions_write(weights: Array, *, library: str) -> Array:
    """`user_implementation_write` of a shared library on a fresh copy of `weights` (out, in)."""
    return _functions_call("write", _float32(*weights.shape))(weights, library=library)


def _functions_call(name: str, result: jax.ShapeDtypeStruct) -> Callable[..., Array]:
    return jax.ffi.ffi_call(
        f"xbarax_functions_{name}", result, has_side_effect=True, vmap_method="broadcast_all"
    )


def device_read(handle: Array, inputs: Array, n: int, *, device: str, transpose: bool) -> Array:
    """A read of a device's array: rows of `inputs` (rows, from) to (rows, n), in one call."""
    name = "read_transposed" if transpose else "read"
    return _device_call(name, _float32(inputs.shape[0], n))(handle, inputs, device=device)


def device_write(how: str, handle: Array, numbers: Array, *, device: str) -> tuple[Array, Array]:
    """A "program" or "update" of a device's array by (out, in).

    Returns:
      The array's new handle, uint32 (2,), and how many weights were asked for beyond the range.
    """
    saturated = jax.ShapeDtypeStruct((1,), jnp.int32)
    written, count = _device_call(how, (HANDLE, saturated))(handle, numbers, device=device)
    return written, count[0]


def device_pulse(handle: Array, pulses: Array, *, device: str) -> Array:
    """Pulses, int32 (out, in), to a device's array; its new handle."""
    return _device_call("pulse", HANDLE)(handle, pulses, device=device)


def device_read_out(handle: Array, shape: tuple[int, ...], *, device: str) -> Array:
    """The weights (out, in) of a device's array."""
    return _device_call("read_out", _float32(*shape))(handle, device=device)


def device_after(handle: Array, others: list[Array]) -> Array:
    """Handles (*batch, 2), for a program that must wait for `others`: no call."""
    result = jax.ShapeDtypeStruct(handle.shape, handle.dtype)
    return jax.ffi.ffi_call("xbarax_device_after", result)(handle, *others)


HANDLE = jax.ShapeDtypeStruct((2,), jnp.uint32)
"""An array's id and generation."""


def _device_call(name: str, results: Any) -> Callable[..., Any]:
    return jax.ffi.ffi_call(
        f"xbarax_device_{name}", results, has_side_effect=True, vmap_method="broadcast_all"
    )


@functools.cache
def side_effect() -> frozenset:
    """The effects of a call that JAX must keep: those of a foreign call with side effects.

    Before 0.11.1 JAX drops foreign calls whose results nobody uses where it differentiates a loop;
    calls with the effect of a debugging one it keeps on every version.
    """
    called = jax.ffi.ffi_call("none", _float32(), has_side_effect=True)
    effects = frozenset(jax.make_jaxpr(called)().effects)
    if jax.__version_info__ >= (0, 11, 1):
        return effects
    kept = jax.make_jaxpr(lambda: jax.debug.callback(lambda: None))()
    return effects | frozenset(kept.effects)
