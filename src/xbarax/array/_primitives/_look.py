"""The primitives that look at an array: its weights, counters, devices and key."""

import dataclasses
import functools
from typing import Any

import jax
from jax import Array
from jax import numpy as jnp

from xbarax.array import _hijax
from xbarax.array._held import Held
from xbarax.array._primitives import _common
from xbarax.array._type import CrossbarType
from xbarax.chip import AbstractStatefulChip


@functools.partial(jax.jit, static_argnames="ty")
def _readout(held: Held, *, ty: CrossbarType) -> Array:
    # A copy: a readout that shared its buffer with the array would die when the array is donated.
    return jnp.copy(_of_state(ty, ty.chip.readout)(held))


@functools.partial(jax.jit, static_argnames="ty")
def _report(held: Held, *, ty: CrossbarType) -> dict[str, Array]:
    return jax.tree.map(jnp.copy, _of_state(ty, ty.chip.report)(held))


@functools.partial(jax.jit, static_argnames=("ty", "name"))
def _look(held: Held, *, ty: CrossbarType, name: str) -> Array:
    return jnp.copy(_of_state(ty, getattr(ty.chip, name))(held))


def _of_state(ty: CrossbarType, look: Any) -> Any:
    return _common.vmapped(lambda held: look(held.tree[0]), len(ty.batch_shape))


class Readout(_hijax.Primitive):
    """array -> weights (*batch, out, in); the identity for derivatives."""

    def __init__(self, array: Any):
        called = isinstance(array.chip, AbstractStatefulChip)
        effects = _common.effects(array) if called else frozenset()
        super().__init__((array,), array.dense, effects)

    def expand(self, array):
        return _readout(_common.held_by(array), ty=self.in_avals[0])

    def batch_mapped(self, axis_data, args, dims):
        return readout(args[0]), 0

    def vjp_fwd(self, nonzeros, array):
        return self(array), None

    def vjp_bwd_retval(self, residuals, cotangent):
        return (_hijax.instantiate_zeros(cotangent),)

    def jvp(self, primals, tangents):
        return self(*primals), _hijax.instantiate_zeros(tangents[0])

    def lin(self, nonzeros, array):
        return self(array), None

    def linearized(self, residuals, array_dot):
        return _hijax.instantiate_zeros(array_dot)


class Inspect(_hijax.Primitive):
    """array -> something of it that has no derivative."""

    def batch_mapped(self, axis_data, args, dims):
        out = self.again(args[0])
        return out, jax.tree.map(lambda _: 0, out)

    def vjp_fwd(self, nonzeros, array):
        return self(array), None

    def vjp_bwd_retval(self, residuals, cotangent):
        return (_hijax.zero_cotangent(self.in_avals[0]),)

    def jvp(self, primals, tangents):
        return self(*primals), self.linearized(None)

    def lin(self, nonzeros, array):
        return self(array), None

    def linearized(self, residuals, *tangents):
        return jax.tree.map(lambda ty: _hijax.Zero(ty.to_tangent_aval()), self.out_aval)


class Report(Inspect):
    """array -> its counters, (*batch) int32 each."""

    def __init__(self, array: Any):
        state, _ = dataclasses.replace(array, shape=array.shape[-2:]).layout
        counters = jax.eval_shape(array.chip.report, state)
        batched = lambda c: _hijax.ShapedArray((*array.batch_shape, *c.shape), c.dtype)
        super().__init__((array,), jax.tree.map(batched, counters))

    def expand(self, array):
        return _report(array._held, ty=self.in_avals[0])

    def again(self, array):
        return report(array)


class Look(Inspect):
    """array -> (*batch, …), what the chip's method of that name gives."""

    def __init__(self, array: Any, name: str):
        state, _ = dataclasses.replace(array, shape=array.shape[-2:]).layout
        seen = jax.eval_shape(getattr(array.chip, name), state)
        out = _hijax.ShapedArray((*array.batch_shape, *seen.shape), seen.dtype)
        super().__init__((array,), out, name=name)

    def expand(self, array):
        return _look(array._held, ty=self.in_avals[0], name=self.name)

    def again(self, array):
        return look(array, self.name)


class KeyOf(Inspect):
    """array -> the PRNG key it carries."""

    def __init__(self, array: Any):
        super().__init__((array,), _hijax.ShapedArray(array.batch_shape, array.key_dtype))

    def expand(self, array):
        # A copy: JAX 0.10 cannot lower a result that is a constant, and donation spares it.
        return jnp.copy(array._key)

    def again(self, array):
        return key_of(array)


def readout(array: Any) -> Array:
    """Binds `Readout`."""
    return Readout(jax.typeof(array))(array)


def report(array: Any) -> dict[str, Array]:
    """Binds `Report`."""
    return Report(jax.typeof(array))(array)


def look(array: Any, name: str) -> Array:
    """Binds `Look`."""
    return Look(jax.typeof(array), name)(array)


def key_of(array: Any) -> Array | None:
    """The array's key, or None where it has none."""
    ty = jax.typeof(array)
    return None if ty.key_dtype is None else KeyOf(ty)(array)
