"""The primitives that make and consume crossbar arrays: program, read, update, readout, report.

Only these look inside an array. Batch axes of an array lead; a read of one array by many inputs
stays one read.
"""

import dataclasses
import functools
from typing import Any, Literal

import jax
from jax import Array
from jax import numpy as jnp

from xbarax import _kernels
from xbarax.array import _hijax, _keys
from xbarax.array._type import FLOAT32, CrossbarType, make_value

ReadKind = Literal["forward", "backward", "tangent"]


def _effects(ty: CrossbarType) -> frozenset:
    return _kernels.side_effect() if ty.chip.has_side_effects else frozenset()


def _dense(*shape: int) -> Any:
    return _hijax.ShapedArray(shape, FLOAT32)


def _vmapped(function: Any, axes: int, in_axes: Any = 0) -> Any:
    for _ in range(axes):
        function = jax.vmap(function, in_axes=in_axes)
    return function


def _lead(axis_data: Any, x: Any, dim: Any, at: int = 0) -> Any:
    """`x` with its mapped axis at position `at`, made where it is not mapped."""
    if x is None:
        return None
    if dim is None:
        shape = (*x.shape[:at], axis_data.size, *x.shape[at:])
        return jnp.broadcast_to(jnp.expand_dims(x, at), shape)
    return jnp.moveaxis(x, dim, at)


def _matmul(x: Array, w: Array, transposed: bool) -> Array:
    """Rows of `x` (…, n, in) times plain weights (…, out, in)."""
    matrix = w if transposed else jnp.swapaxes(w, -1, -2)
    return jnp.matmul(x, matrix, precision=jax.lax.Precision.HIGHEST)


# Eager calls are jitted, so that a read outside jit costs a dispatch and not a trace.


@functools.partial(jax.jit, static_argnames="ty")
def _program(weights: Array, key: Array | None, *, ty: CrossbarType) -> Any:
    def one(w: Array, k: Array | None) -> Any:
        use, keep = _keys.next_key(k)
        return ty.chip.program(w, use), keep

    return _vmapped(one, len(ty.batch_shape))(weights, key)


@functools.partial(jax.jit, static_argnames=("ty", "transposed", "kind"))
def _read(
    state: Any, x: Array, key: Any, *, ty: CrossbarType, transposed: bool, kind: ReadKind
) -> Array:
    def one(s: Any, x: Array, k: Array | None) -> Array:
        if kind == "tangent":
            return _matmul(x, ty.chip.readout(s), transposed)
        return ty.chip.read(s, x, k, transpose=transposed, kind=kind)

    groups = x.ndim - 2 - len(ty.batch_shape)
    return _vmapped(_vmapped(one, groups, (None, 0, 0)), len(ty.batch_shape))(state, x, key)


@functools.partial(jax.jit, static_argnames="ty")
def _update(state: Any, key: Array | None, delta: Array, *, ty: CrossbarType) -> Any:
    def one(s: Any, k: Array | None, d: Array) -> Any:
        use, keep = _keys.next_key(k)
        return ty.chip.update(s, d, use), keep

    return _vmapped(one, len(ty.batch_shape))(state, key, delta)


@functools.partial(jax.jit, static_argnames="ty")
def _readout(state: Any, *, ty: CrossbarType) -> Array:
    # A copy: a readout that shared its buffer with the array would die when the array is donated.
    return jnp.copy(_vmapped(ty.chip.readout, len(ty.batch_shape))(state))


@functools.partial(jax.jit, static_argnames="ty")
def _report(state: Any, *, ty: CrossbarType) -> dict[str, Array]:
    return jax.tree.map(jnp.copy, _vmapped(ty.chip.report, len(ty.batch_shape))(state))


class Program(_hijax.Primitive):
    """weights (*batch, out, in), key (*batch) -> array; straight through for derivatives."""

    def __init__(self, weights: Any, key: Any, chip: Any):
        key_dtype = None if key is None else key.dtype
        out = CrossbarType(tuple(weights.shape), chip, key_dtype)
        super().__init__((weights, key), out, _effects(out), chip=chip)

    def expand(self, weights, key):
        return make_value(self.out_aval, *_program(weights, key, ty=self.out_aval))

    def batch_mapped(self, axis_data, args, dims):
        weights, key = (_lead(axis_data, x, d) for x, d in zip(args, dims, strict=True))
        return program(weights, key, self.chip), 0

    def vjp_fwd(self, nonzeros, weights, key):
        return self(weights, key), None

    def vjp_bwd_retval(self, residuals, cotangent):
        return _hijax.instantiate_zeros(cotangent), _hijax.zero_cotangent(self.in_avals[1])

    def jvp(self, primals, tangents):
        return self(*primals), _hijax.instantiate_zeros(tangents[0])

    def lin(self, nonzeros, weights, key):
        return self(weights, key), None

    def linearized(self, residuals, weights_dot, key_dot):
        return _hijax.instantiate_zeros(weights_dot)


class Read(_hijax.Primitive):
    """array (*batch, out, in), x (*batch, *groups, n, in), key (*batch, *groups) -> (…, n, out).

    Groups exist only where there is a key: a mapped axis of inputs whose rows draw their noise as
    if each were read alone.

    Kinds: "forward" and "backward" go through the chip; "tangent" is the ideal forward product,
    whose *transpose* is the same backward read that the vjp rule makes. `jax.checkpoint`
    differentiates by jvp and transposition, so this is what makes both ways agree.
    """

    def __init__(self, array: Any, x: Any, key: Any, transposed: bool, kind: ReadKind):
        n_out, n_in = array.shape[-2:]
        out = _dense(*x.shape[:-1], n_in if transposed else n_out)
        effects = frozenset() if kind == "tangent" else _effects(array)
        super().__init__((array, x, key), out, effects, transposed=transposed, kind=kind)

    def expand(self, array, x, key):
        ty = self.in_avals[0]
        return _read(array._state, x, key, ty=ty, transposed=self.transposed, kind=self.kind)

    def batch_mapped(self, axis_data, args, dims):
        (array, x, key), (d_array, d_x, d_key) = args, dims
        again = functools.partial(bind_read, transposed=self.transposed, kind=self.kind)
        if d_array is not None:
            return again(array, _lead(axis_data, x, d_x), _lead(axis_data, key, d_key)), 0
        if key is not None:
            at = len(jax.typeof(array).batch_shape)
            y = again(array, _lead(axis_data, x, d_x, at), _lead(axis_data, key, d_key, at))
            return y, at
        x = jnp.moveaxis(x, d_x, -3)  # one array, no noise: all rows in one read
        y = again(array, x.reshape(*x.shape[:-3], -1, x.shape[-1]), None)
        return y.reshape(*x.shape[:-1], y.shape[-1]), y.ndim - 2

    def vjp_fwd(self, nonzeros, array, x, key):
        # What nobody asks for must not be read: on a real chip a read is a deed. The flag is in
        # the residuals' tree, not among its leaves, which become arrays.
        inputs_wanted = () if nonzeros[1] else None
        return self(array, x, key), (array, x, key, inputs_wanted)

    def vjp_bwd_retval(self, residuals, cotangent):
        array, x, key, inputs_wanted = residuals
        cotangent = _hijax.instantiate_zeros(cotangent)
        d_weights = _outer(array, cotangent, x, self.transposed)
        if inputs_wanted is None:
            d_x = _hijax.zero_cotangent(self.in_avals[1])
        else:
            d_x = self._backward(array, cotangent, key)
        return d_weights, d_x, _hijax.zero_cotangent(self.in_avals[2])

    def jvp(self, primals, tangents):
        return self(*primals), self.linearized(primals, *tangents)

    def lin(self, nonzeros, array, x, key):
        return self(array, x, key), (array, x, key)

    def linearized(self, residuals, array_dot, x_dot, key_dot):
        array, x, key = residuals
        tangent = jnp.zeros(self.out_aval.shape, FLOAT32)
        if not _hijax.is_zero(array_dot):
            batch = array_dot.ndim - 2
            groups = tuple(range(batch, x.ndim - 2))
            weights_dot = jnp.expand_dims(array_dot, groups)
            tangent += _matmul(x, weights_dot, self.transposed)
        if not _hijax.is_zero(x_dot):
            tangent += bind_read(array, x_dot, key, transposed=self.transposed, kind="tangent")
        return tangent

    def transpose(self, cotangent, array, x_accumulator, key):
        if not _hijax.is_zero(cotangent):
            x_accumulator.accum(self._backward(array, cotangent, key))

    def _backward(self, array, cotangent, key):
        if self.kind != "backward":
            key = _keys.backward_key(key)
        return bind_read(array, cotangent, key, transposed=not self.transposed, kind="backward")


class Update(_hijax.Primitive):
    """array, delta (*batch, out, in) -> array; straight through for derivatives."""

    def __init__(self, array: Any, delta: Any):
        super().__init__((array, delta), array, _effects(array))

    def expand(self, array, delta):
        ty = self.out_aval
        return make_value(ty, *_update(array._state, array._key, delta, ty=ty))

    def batch_mapped(self, axis_data, args, dims):
        (array, delta), (d_array, d_delta) = args, dims
        if d_array is None:
            raise ValueError(
                f"one array, {self.in_avals[0].str_short()}, cannot take a batch of "
                f"{axis_data.size} updates: add them up first, or make a batch of arrays with "
                "jax.vmap over their keys"
            )
        return update(array, _lead(axis_data, delta, d_delta)), 0

    def vjp_fwd(self, nonzeros, array, delta):
        return self(array, delta), None

    def vjp_bwd_retval(self, residuals, cotangent):
        cotangent = _hijax.instantiate_zeros(cotangent)
        return cotangent, cotangent

    def jvp(self, primals, tangents):
        return self(*primals), self.linearized(None, *tangents)

    def lin(self, nonzeros, array, delta):
        return self(array, delta), None

    def linearized(self, residuals, array_dot, delta_dot):
        return _hijax.instantiate_zeros(array_dot) + _hijax.instantiate_zeros(delta_dot)


class Readout(_hijax.Primitive):
    """array -> weights (*batch, out, in); the identity for derivatives."""

    def __init__(self, array: Any):
        super().__init__((array,), array.dense)

    def expand(self, array):
        return _readout(array._state, ty=self.in_avals[0])

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


class _Inspect(_hijax.Primitive):
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


class Report(_Inspect):
    """array -> its counters, (*batch) int32 each."""

    def __init__(self, array: Any):
        state, _ = dataclasses.replace(array, shape=array.shape[-2:]).layout
        counters = jax.eval_shape(array.chip.report, state)
        batched = lambda c: _hijax.ShapedArray((*array.batch_shape, *c.shape), c.dtype)
        super().__init__((array,), jax.tree.map(batched, counters))

    def expand(self, array):
        return _report(array._state, ty=self.in_avals[0])

    def again(self, array):
        return report(array)


class KeyOf(_Inspect):
    """array -> the PRNG key it carries."""

    def __init__(self, array: Any):
        super().__init__((array,), _hijax.ShapedArray(array.batch_shape, array.key_dtype))

    def expand(self, array):
        # A copy: JAX 0.10 cannot lower a result that is a constant, and donation spares it.
        return jnp.copy(array._key)

    def again(self, array):
        return key_of(array)


def program(weights: Array, key: Array | None, chip: Any) -> Any:
    """Binds `Program`."""
    return Program(jax.typeof(weights), _hijax.typeof(key), chip)(weights, key)


def bind_read(
    array: Any, x: Array, key: Array | None, *, transposed: bool, kind: ReadKind = "forward"
) -> Array:
    """Binds `Read`."""
    types = (jax.typeof(array), jax.typeof(x), _hijax.typeof(key))
    return Read(*types, transposed, kind)(array, x, key)


def update(array: Any, delta: Array) -> Any:
    """Binds `Update`."""
    return Update(jax.typeof(array), jax.typeof(delta))(array, delta)


def readout(array: Any) -> Array:
    """Binds `Readout`."""
    return Readout(jax.typeof(array))(array)


def report(array: Any) -> dict[str, Array]:
    """Binds `Report`."""
    return Report(jax.typeof(array))(array)


def key_of(array: Any) -> Array | None:
    """The array's key, or None where it has none."""
    ty = jax.typeof(array)
    return None if ty.key_dtype is None else KeyOf(ty)(array)


def _outer(array: Any, cotangent: Array, x: Array, transposed: bool) -> Array:
    """The cotangent of the weights (*batch, out, in), summed over groups and rows."""
    left, right = (x, cotangent) if transposed else (cotangent, x)
    batch = len(jax.typeof(array).batch_shape)
    rows = lambda z: z.reshape(*z.shape[:batch], -1, z.shape[-1])
    swapped = jnp.swapaxes(rows(left), -1, -2)
    return jnp.matmul(swapped, rows(right), precision=jax.lax.Precision.HIGHEST)
