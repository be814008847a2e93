"""The primitives of a chain: how `vmap` and derivatives go through its kernels."""

import functools
from typing import Any

import jax
from jax import Array
from jax import numpy as jnp

from xbarax.array import _hijax
from xbarax.snn._chain import (
    Chain,
    Operands,
    Pulled,
    Results,
    as_implemented,
    filled,
    run_backward,
    run_in_jax,
    run_natively,
    run_traced,
)


def _vmapped(function: Any, axes: int) -> Any:
    for _ in range(axes):
        function = jax.vmap(function)
    return function


class Run(_hijax.Primitive):
    """Operands -> Results, each with the same leading batch axes."""

    def __init__(self, chain: Chain, operands: Operands, record: bool, axes: int = 0):
        of_one = jax.tree.map(lambda ty: jax.ShapeDtypeStruct(ty.shape[axes:], ty.dtype), operands)
        front = operands.xs.shape[:axes]
        shapes = jax.eval_shape(functools.partial(run_in_jax, chain, record), *of_one)
        out = jax.tree.map(lambda s: _hijax.ShapedArray((*front, *s.shape), s.dtype), shapes)
        super().__init__(tuple(operands), out, chain=chain, record=record, axes=axes)

    def expand(self, *operands):
        def one(*operands: Any) -> Results:
            native = lambda *given: run_natively(self.chain, self.record, False, *given)[0]
            pure = functools.partial(run_in_jax, self.chain, self.record)
            return as_implemented(self.chain, native, pure, *operands)

        return _vmapped(one, self.axes)(*operands)

    def batch_mapped(self, axis_data, args, dims):
        # Noise is a function of a sample's place in its batch.
        shared = [dim is None for dim in jax.tree.leaves(dims[2], is_leaf=lambda d: d is None)]
        if not self.chain.reads and all(shared) and dims[4] is None:
            return self._as_samples(axis_data, args, dims)
        led = _led(axis_data, args, dims)
        out = Run(self.chain, _types(led), self.record, self.axes + 1)(*led)
        return out, jax.tree.map(lambda _: 0, out)

    def _as_samples(self, axis_data, args, dims):
        """Copies that share their parameters are more samples."""
        xs, states, params, parts, step = args
        at = self.axes
        xs = _lead(axis_data, xs, dims[0], at + 1)  # (…, time, copies, batch, inputs)
        states = jax.tree.map(functools.partial(_lead, axis_data, at=at), states, dims[1])
        joined = lambda x, axis: x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])
        operands = Operands(
            joined(xs, at + 1), jax.tree.map(lambda s: joined(s, at), states), params, parts, step
        )
        out = Run(self.chain, _types(operands), self.record, at)(*operands)
        size = axis_data.size
        apart = lambda x, axis: x.reshape(*x.shape[:axis], size, -1, *x.shape[axis + 1 :])
        out = Results(
            apart(out.spikes, at + 1),
            jax.tree.map(lambda s: apart(s, at), out.states),
            [apart(m, at + 1) for m in out.membranes],
        )
        places = Results(
            at + 1, jax.tree.map(lambda _: at, out.states), [at + 1 for _ in out.membranes]
        )
        return out, places

    def _with_trace(self, *operands):
        traced = functools.partial(run_traced, self.chain, self.record)
        return _vmapped(traced, self.axes)(*operands)

    def vjp_fwd(self, nonzeros, *operands):
        out, trace = self._with_trace(*operands)
        # What nobody asks for costs a product; the flag is in the residuals' tree.
        return out, (operands, trace, () if nonzeros[0] else None)

    def vjp_bwd_retval(self, residuals, cotangents):
        operands, trace, xs_wanted = residuals
        return _pulled(self, operands, trace, cotangents, xs_wanted is not None)

    def jvp(self, primals, tangents):
        out, trace = self._with_trace(*primals)
        return out, self.linearized((primals, trace), *tangents)

    def lin(self, nonzeros, *operands):
        out, trace = self._with_trace(*operands)
        return out, (operands, trace)

    def linearized(self, residuals, *tangents):
        operands, trace = residuals
        none = lambda leaf: None if _hijax.is_zero(leaf) else leaf
        return _bind_tangent(
            self, operands, trace, jax.tree.map(none, tangents, is_leaf=_hijax.is_zero)
        )


def _types(operands: Any) -> Operands:
    return Operands(*jax.tree.map(jax.typeof, tuple(operands)))


def _lead(axis_data: Any, x: Array, dim: Any, at: int = 0) -> Array:
    """`x` with its mapped axis at position `at`, made where it is not mapped."""
    if dim is None:
        shape = (*x.shape[:at], axis_data.size, *x.shape[at:])
        return jnp.broadcast_to(jnp.expand_dims(x, at), shape)
    return jnp.moveaxis(x, dim, at)


def _led(axis_data: Any, args: Any, dims: Any) -> Any:
    return jax.tree.map(functools.partial(_lead, axis_data), args, dims)


class Tangent(_hijax.Primitive):
    """Operands, trace, the operands' tangents (None: zero) -> those of the Results.

    In plain JAX, but for its transpose, which is the kernels' backward pass: so `jax.checkpoint`,
    which differentiates by tangents and transposition, comes to what `vjp` gives.
    """

    def __init__(self, run: Run, operands: Any, trace: Any, tangents: Any):
        super().__init__((operands, trace, tangents), run.out_aval, run=run)

    def expand(self, operands, trace, tangents):
        return self._by_jax(operands, tangents)

    def _by_jax(self, operands, tangents):
        def one(operands: Any, tangents: Any) -> Results:
            dots = filled(operands, tangents)
            return jax.jvp(
                functools.partial(run_in_jax, self.run.chain, self.run.record), operands, dots
            )[1]

        return _vmapped(one, self.run.axes)(operands, tangents)

    def transpose(self, cotangents, operands, trace, accumulators):
        if all(map(_hijax.is_zero, _leaves(cotangents))):
            return
        wanted = accumulators[0] is not None
        pulled = _pulled(self.run, operands, trace, cotangents, wanted)[:3]

        def accumulate(_, cotangent, accumulator):
            if accumulator is not None:
                accumulator.accum(cotangent)

        jax.tree.map(accumulate, operands[:3], pulled, accumulators[:3])

    def batch_mapped(self, axis_data, args, dims):
        led = _led(axis_data, args, dims)
        operands, trace, tangents = led
        run = Run(self.run.chain, _types(operands), self.run.record, self.run.axes + 1)
        out = _bind_tangent(run, *led)
        return out, jax.tree.map(lambda _: 0, out)

    def vjp_fwd(self, nonzeros, operands, trace, tangents):
        return jax.vjp(self._by_jax, operands, tangents)

    def vjp_bwd_retval(self, pull, cotangents):
        operands, tangents = pull(
            jax.tree.map(_hijax.instantiate_zeros, cotangents, is_leaf=_hijax.is_zero)
        )
        return operands, jax.tree.map(_hijax.zero_cotangent, self.in_avals[1]), tangents

    def jvp(self, primals, tangents):
        return self(*primals), self.linearized(primals, *tangents)

    def lin(self, nonzeros, *primals):
        return self(*primals), primals

    def linearized(self, residuals, operands_dot, trace_dot, tangents_dot):
        operands, _, tangents = residuals
        dots = jax.tree.map(
            _hijax.instantiate_zeros, (operands_dot, tangents_dot), is_leaf=_hijax.is_zero
        )
        return jax.jvp(self._by_jax, (operands, tangents), dots)[1]


def _bind_tangent(run: Run, operands: Any, trace: Any, tangents: Any) -> Results:
    given = (tuple(operands), trace, tangents)
    return Tangent(run, *jax.tree.map(jax.typeof, given))(*given)


def _leaves(tree: Any) -> list[Any]:
    return jax.tree.leaves(tree, is_leaf=_hijax.is_zero)


def _pulled(run: Run, operands: Any, trace: Any, cotangents: Results, with_xs: bool) -> Any:
    """The cotangents of the operands; those of xs are zero where they are not wanted."""
    none: Any = lambda leaf: None if _hijax.is_zero(leaf) else leaf
    dense = functools.partial(jax.tree.map, _hijax.instantiate_zeros, is_leaf=_hijax.is_zero)
    given = Results(
        none(cotangents.spikes), dense(cotangents.states), list(map(none, cotangents.membranes))
    )
    back = functools.partial(run_backward, run.chain, run.record, with_xs)
    pulled: Pulled = _vmapped(back, run.axes)(operands, trace, given)
    xs = pulled.xs if with_xs else _hijax.zero_cotangent(run.in_avals[0])
    others = jax.tree.map(_hijax.zero_cotangent, run.in_avals[3:])
    return xs, pulled.states, pulled.params, *others
