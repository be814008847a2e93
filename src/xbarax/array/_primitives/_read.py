"""The primitive that reads, and how reads differentiate."""

import dataclasses
import functools
from typing import Any, Literal

import jax
from jax import Array
from jax import numpy as jnp

from xbarax.array import _hijax, _keys
from xbarax.array._held import Held
from xbarax.array._primitives import _common
from xbarax.array._primitives._look import readout
from xbarax.array._type import FLOAT32, CrossbarType

ReadKind = Literal["whole", "forward", "backward", "tangent", "inside"]


@functools.partial(jax.jit, static_argnames=("ty", "transposed", "kind"))
def _read(
    held: Held, x: Array, key: Any, *, ty: CrossbarType, transposed: bool, kind: ReadKind
) -> Array:
    def one(held: Held, x: Array, k: Array | None) -> Array:
        s, _ = held.tree
        if kind == "inside":
            return ty.chip.inside(s, x, k, transpose=transposed)
        if kind == "whole":
            return ty.chip.drive_and_read(s, x, k, transpose=transposed)
        if kind != "tangent":
            return ty.chip.read(s, x, k, transpose=transposed, kind=kind)
        if not ty.chip.clips:
            return _common.matmul(x, ty.chip.readout(s), transposed)
        part = ty.chip.part(s, transpose=transposed)
        return _partial_sums(x, ty.chip.readout(s), transposed, part)

    groups = x.ndim - 2 - len(ty.batch_shape)
    return _common.vmapped(_common.vmapped(one, groups, (None, 0, 0)), len(ty.batch_shape))(
        held, x, key
    )


class Read(_hijax.Primitive):
    """array (*batch, out, in), x (*batch, *groups, n, in), key (*batch, *groups) -> (…, n, out).

    Groups exist only where there is a key: a mapped axis of inputs whose rows draw their noise as
    if each were read alone.

    Kinds: "whole", "forward" and "backward" go through the chip. The first is the second with the
    inputs' converters before it, of what they make of `x`. "tangent" is the ideal forward product,
    whose *transpose* is the same backward read that the vjp rule makes. `jax.checkpoint`
    differentiates by jvp and transposition, so this is what makes both ways agree.

    Where the chip clips, "inside" says which partial sums it does not clip, (…, n, parts · out):
    these alone pass derivatives. Tangents then are partial sums too, and cotangents of partial
    sums are what a backward read takes.
    """

    def __init__(self, array: Any, x: Any, key: Any, transposed: bool, kind: ReadKind):
        n_out, n_in = array.shape[-2:]
        size = n_in if transposed else n_out
        if array.chip.clips and kind in ("tangent", "inside"):
            size *= _parts(array, transposed)
        effects = frozenset() if kind == "tangent" else _common.effects(array)
        out = _common.dense(*x.shape[:-1], size)
        super().__init__((array, x, key), out, effects, transposed=transposed, kind=kind)

    def expand(self, array, x, key):
        ty = self.in_avals[0]
        held = _common.held_by(array)
        return _read(held, x, key, ty=ty, transposed=self.transposed, kind=self.kind)

    def batch_mapped(self, axis_data, args, dims):
        (array, x, key), (d_array, d_x, d_key) = args, dims
        again = functools.partial(bind_read, transposed=self.transposed, kind=self.kind)
        if d_array is not None:
            return again(
                array, _common.lead(axis_data, x, d_x), _common.lead(axis_data, key, d_key)
            ), 0
        if key is not None:
            at = len(jax.typeof(array).batch_shape)
            y = again(
                array, _common.lead(axis_data, x, d_x, at), _common.lead(axis_data, key, d_key, at)
            )
            return y, at
        x = jnp.moveaxis(x, d_x, -3)  # one array, no noise: all rows in one read
        y = again(array, x.reshape(*x.shape[:-3], -1, x.shape[-1]), None)
        return y.reshape(*x.shape[:-1], y.shape[-1]), y.ndim - 2

    def vjp_fwd(self, nonzeros, array, x, key):
        # What nobody asks for must not be read: on a real chip a read is a deed. The flag is in
        # the residuals' tree, not among its leaves, which become arrays.
        inputs_wanted = () if nonzeros[1] else None
        return self(array, x, key), (array, x, key, self._inside(array, x, key), inputs_wanted)

    def vjp_bwd_retval(self, residuals, cotangent):
        array, x, key, inside, inputs_wanted = residuals
        no_key = _hijax.zero_cotangent(self.in_avals[2])
        if self.kind == "inside":
            return *map(_hijax.zero_cotangent, self.in_avals[:2]), no_key
        cotangent = _hijax.instantiate_zeros(cotangent)
        if self.kind == "backward" and self._clips:
            _, pull = jax.vjp(self._plain_backward, readout(array), x)
            return *pull(cotangent), no_key
        x, pull = jax.vjp(self._driven, x)
        apart = self._apart(cotangent, inside)
        d_weights = self._outer(array, apart, x)
        if inputs_wanted is None:
            d_x = _hijax.zero_cotangent(self.in_avals[1])
        else:
            (d_x,) = pull(self._backward(array, apart, key))
        return d_weights, d_x, no_key

    def jvp(self, primals, tangents):
        array, x, key = primals
        residuals = (array, x, key, self._inside(array, x, key))
        return self(*primals), self.linearized(residuals, *tangents)

    def lin(self, nonzeros, array, x, key):
        return self(array, x, key), (array, x, key, self._inside(array, x, key))

    def linearized(self, residuals, array_dot, x_dot, key_dot):
        array, x, key, inside = residuals
        tangent = jnp.zeros(self.out_aval.shape, FLOAT32)
        if self.kind == "inside":
            return tangent
        if self.kind == "backward" and self._clips:
            dots = tuple(map(_hijax.instantiate_zeros, (array_dot, x_dot)))
            return jax.jvp(self._plain_backward, (readout(array), x), dots)[1]
        if _hijax.is_zero(x_dot):
            x = self._driven(x)
        else:
            x, x_dot = jax.jvp(self._driven, (x,), (x_dot,))
        if not _hijax.is_zero(array_dot):
            groups = tuple(range(array_dot.ndim - 2, x.ndim - 2))
            weights_dot = jnp.expand_dims(array_dot, groups)
            tangent += self._together(self._product(x, weights_dot), inside)
        if not _hijax.is_zero(x_dot):
            read = bind_read(array, x_dot, key, transposed=self.transposed, kind="tangent")
            tangent += self._together(read, inside)
        return tangent

    def transpose(self, cotangent, array, x_accumulator, key):
        if not _hijax.is_zero(cotangent):
            x_accumulator.accum(self._backward(array, cotangent, key))

    def _backward(self, array, cotangent, key):
        if self.kind != "backward":
            key = _keys.backward_key(key)
        return bind_read(array, cotangent, key, transposed=not self.transposed, kind="backward")

    def _driven(self, x):
        return self.in_avals[0].chip.drive(x) if self.kind == "whole" else x

    # Where the chip clips: partial sums of their own.

    @property
    def _clips(self) -> bool:
        return self.in_avals[0].chip.clips

    @property
    def _part(self) -> int:
        return _part(self.in_avals[0], self.transposed)

    def _inside(self, array, x, key):
        if not (self._clips and self.kind in ("whole", "forward")):
            return None
        x = self._driven(x)
        return bind_read(array, x, key, transposed=self.transposed, kind="inside")

    def _product(self, x, weights):
        if not self._clips:
            return _common.matmul(x, weights, self.transposed)
        return _partial_sums(x, weights, self.transposed, self._part)

    def _together(self, sums, inside):
        """The sums, from the partial sums that pass derivatives."""
        if inside is None:
            return sums
        n = self.out_aval.shape[-1]
        return (sums * inside).reshape(*sums.shape[:-1], sums.shape[-1] // n, n).sum(-2)

    def _apart(self, cotangent, inside):
        """Its transpose: the cotangents of the partial sums, from those of the sums."""
        if inside is None:
            return cotangent
        parts = inside.shape[-1] // cotangent.shape[-1]
        return jnp.tile(cotangent, parts) * inside

    def _outer(self, array, cotangent, x):
        if not self._clips:
            return _outer(array, cotangent, x, self.transposed)
        n_out, n_in = self.in_avals[0].shape[-2:]
        n, size = (n_in, n_out) if self.transposed else (n_out, n_in)
        pieces = [
            _outer(
                array,
                cotangent[..., i * n : (i + 1) * n],
                x[..., i * self._part : min((i + 1) * self._part, size)],
                self.transposed,
            )
            for i in range(_parts(self.in_avals[0], self.transposed))
        ]
        return jnp.concatenate(pieces, axis=-2 if self.transposed else -1)

    def _plain_backward(self, weights, x):
        """What a backward read of partial cotangents computes, ideally."""
        # The parts are those of the forward read, whose inputs are this one's outputs.
        n_out, n_in = self.in_avals[0].shape[-2:]
        n = n_in if self.transposed is False else n_out
        part = _part(self.in_avals[0], not self.transposed)
        apart = x.reshape(*x.shape[:-1], x.shape[-1] // n, n)
        axis = weights.ndim - (2 if not self.transposed else 1)
        groups = tuple(range(weights.ndim - 2, x.ndim - 2))
        pieces = []
        for i in range(apart.shape[-2]):
            end = min((i + 1) * part, weights.shape[axis])
            columns = jax.lax.slice_in_dim(weights, i * part, end, axis=axis)
            columns = jnp.expand_dims(columns, groups)
            pieces.append(_common.matmul(apart[..., i, :], columns, self.transposed))
        return jnp.concatenate(pieces, axis=-1)


def bind_read(
    array: Any, x: Array, key: Array | None, *, transposed: bool, kind: ReadKind = "forward"
) -> Array:
    """Binds `Read`."""
    types = (jax.typeof(array), jax.typeof(x), _hijax.typeof(key))
    return Read(*types, transposed, kind)(array, x, key)


def _partial_sums(x: Array, w: Array, transposed: bool, part: int) -> Array:
    """The same, with the sums over each `part` of the inputs apart: (…, n, parts · out)."""
    n = x.shape[-1]
    cut = lambda z, axis: [
        jax.lax.slice_in_dim(z, i, min(i + part, n), axis=axis) for i in range(0, n, part)
    ]
    pieces = zip(cut(x, x.ndim - 1), cut(w, w.ndim - (2 if transposed else 1)), strict=True)
    return jnp.concatenate([_common.matmul(x_i, w_i, transposed) for x_i, w_i in pieces], axis=-1)


def _part(array: Any, transposed: bool) -> int:
    """The length of the parts that the inputs' axis of a read falls into."""
    state, _ = dataclasses.replace(array, shape=array.shape[-2:]).layout
    return array.chip.part(state, transpose=transposed)


def _parts(array: Any, transposed: bool) -> int:
    """How many these are."""
    size = array.shape[-2] if transposed else array.shape[-1]
    return -(-size // _part(array, transposed))


def _outer(array: Any, cotangent: Array, x: Array, transposed: bool) -> Array:
    """The cotangent of the weights (*batch, out, in), summed over groups and rows."""
    left, right = (x, cotangent) if transposed else (cotangent, x)
    batch = len(jax.typeof(array).batch_shape)
    rows = lambda z: z.reshape(*z.shape[:batch], -1, z.shape[-1])
    swapped = jnp.swapaxes(rows(left), -1, -2)
    return jnp.matmul(swapped, rows(right), precision=jax.lax.Precision.HIGHEST)
