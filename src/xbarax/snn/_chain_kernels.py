"""Chains by kernels, forward and backward, or in plain JAX, as their layers ask for.

On the CPU a call runs all layers; on a GPU each layer has one, between products.
"""

import functools
from typing import Any

import jax
from jax import Array
from jax import numpy as jnp

from xbarax import _kernels
from xbarax.array._keys import BACKWARD
from xbarax.snn import _layer_by_layer
from xbarax.snn._chain import (
    Chain,
    Operands,
    Pulled,
    Results,
    decays_of,
    described,
    filled,
    run_in_jax,
    zero_tangent,
)
from xbarax.snn.neuron import LIFState

# ---- By kernels ----------------------------------------------------------------------------------


def _call(chain: Chain, operands: Any) -> _kernels.LifCall:
    xs, states, params, parts, step = operands
    decays = [decays_of(layer) for layer in chain.layers]

    def reads_of(types: Any, parts: Any) -> Any:
        """Of a layer's two, how kernels read them."""
        return tuple(
            None if ty is None else _reads(ty.chip, of, step)
            for ty, of in zip(types, parts, strict=True)
        )

    reads = [reads_of(*of) for of in zip(chain.arrays, parts, strict=True)]
    leaves = [jax.tree.leaves(state) for state in states]
    return _kernels.LifCall(xs, leaves, decays, params, reads, BACKWARD)


def _reads(chip: Any, parts: Any, step: Array) -> _kernels.LifReads:
    """How kernels read the array of those parts, from a step on."""
    state, data = parts
    forward, backward, operands = chip.reads_of_a_kernel(state)
    return _kernels.LifReads(
        forward,
        backward,
        operands["conductance"],
        operands["variance"],
        operands["scale"],
        data if chip.noisy_read else None,
        step if chip.noisy_read else None,
    )


def _as_states(leaves: list[list[Array]], like: list[LIFState]) -> list[LIFState]:
    return [
        jax.tree.unflatten(jax.tree.structure(state), given)
        for state, given in zip(like, leaves, strict=True)
    ]


def run_natively(chain: Chain, record: bool, traced: bool, *operands: Any) -> Any:
    """The results and, where it is traced, the trace."""
    if chain.on_gpu:
        out, membranes = _layer_by_layer.forward(chain, Operands(*operands))
        return out._replace(membranes=membranes if record else []), membranes if traced else None
    layers = list(map(described, chain.layers))
    spikes, leaves, trace = _kernels.lif_forward(
        layers,
        _call(chain, operands),
        driven=chain.driven,
        traced=traced or record,
        kept=_kept(chain, record, operands[0]),
    )
    states = _as_states(leaves, operands[1])
    membranes = trace.membranes if record and trace is not None else []
    return Results(spikes, states, membranes), trace if traced else None


def _kept(chain: Chain, record: bool, xs: Array) -> _kernels.LifKept:
    """What of the membranes is kept for the backward pass, which runs other steps again."""
    if record or chain.reads:  # they are there anyway, or reads cost more than memory
        return _kernels.LifKept(0, 0, shown=record)
    return _kernels.lif_kept(list(map(described, chain.layers)), xs)


def _native_backward(
    chain: Chain,
    record: bool,
    with_xs: bool,
    operands: Any,
    trace: Any,
    cotangents: Results,
) -> Pulled:
    if chain.on_gpu:
        return _layer_by_layer.backward(chain, with_xs, Operands(*operands), trace, cotangents)
    none: list[Any] = [None] * len(chain.layers)
    given = _kernels.LifCotangents(
        cotangents.spikes,
        none,
        [*cotangents.membranes] or none,
        [jax.tree.leaves(state) for state in cotangents.states],
    )
    xs, states, params = _kernels.lif_backward(
        list(map(described, chain.layers)),
        _call(chain, operands),
        trace,
        given,
        driven=chain.driven,
        with_xs=with_xs,
        kept=_kept(chain, record, operands[0]),
    )
    return Pulled(xs, _as_states(states, operands[1]), params)


# ---- As the implementation says ------------------------------------------------------------------


def as_implemented(chain: Chain, native: Any, pure: Any, *operands: Any) -> Any:
    word: _kernels.Implementation = (
        "native" if any(la.implementation == "native" for la in chain.layers) else "auto"
    )
    with _kernels.using(word):
        platform: Any = "cuda" if chain.on_gpu else "cpu"
        return _kernels.choose(native, pure, *operands, platforms=(platform,))


def _trace_shapes(chain: Chain, record: bool, xs: Array) -> Any:
    """What the forward pass of kernels leaves for the backward one."""
    layers = list(map(described, chain.layers))
    if chain.on_gpu:
        return [jax.ShapeDtypeStruct((*xs.shape[:2], la.size), jnp.float32) for la in layers]
    return _kernels.lif_trace(layers, xs, chain.driven, _kept(chain, record, xs))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def run_traced(chain: Chain, record: bool, *operands: Any) -> tuple[Results, Any]:
    """The results, and the trace, which is empty where no kernel reads it."""

    def pure(*operands: Any) -> Any:
        shapes = _trace_shapes(chain, record, operands[0])
        empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        return run_in_jax(chain, record, *operands), empty

    return as_implemented(
        chain, functools.partial(run_natively, chain, record, True), pure, *operands
    )


@run_traced.defjvp
def _traced_jvp(chain: Chain, record: bool, primals: Any, tangents: Any) -> Any:
    # A trace goes into `run_backward`, whose derivative asks for none of its tangent.
    out, trace = run_traced(chain, record, *primals)
    _, out_dot = jax.jvp(functools.partial(run_in_jax, chain, record), primals, tangents)
    return (out, trace), (out_dot, _no_tangent(trace))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def run_backward(
    chain: Chain, record: bool, with_xs: bool, operands: Any, trace: Any, cotangents: Results
) -> Pulled:
    """The cotangents of the operands; that of `xs` is None where it is not wanted."""

    def pure(operands: Any, trace: Any, cotangents: Results) -> Pulled:
        return _without_xs(_pure_backward(chain, record, operands, cotangents), with_xs)

    native = functools.partial(_native_backward, chain, record, with_xs)
    return as_implemented(chain, native, pure, operands, trace, cotangents)


@run_backward.defjvp
def _backward_jvp(chain: Chain, record: bool, with_xs: bool, primals: Any, tangents: Any) -> Any:
    operands, _, cotangents = primals
    operands_dot, _, cotangents_dot = tangents

    def pure(operands: Any, cotangents: Results) -> Pulled:
        return _without_xs(_pure_backward(chain, record, operands, cotangents), with_xs)

    out = run_backward(chain, record, with_xs, *primals)
    _, out_dot = jax.jvp(pure, (operands, cotangents), (operands_dot, cotangents_dot))
    return out, out_dot


def _without_xs(pulled: Pulled, with_xs: bool) -> Pulled:
    return pulled if with_xs else pulled._replace(xs=None)


def _no_tangent(tree: Any) -> Any:
    return jax.tree.map(zero_tangent, tree)


def _pure_backward(chain: Chain, record: bool, operands: Any, cotangents: Results) -> Pulled:
    like = jax.eval_shape(functools.partial(run_in_jax, chain, record), *operands)
    pure = lambda *differentiated: run_in_jax(chain, record, *differentiated, *operands[3:])
    _, pull = jax.vjp(pure, *operands[:3])
    return Pulled(*pull(filled(like, cotangents)))
