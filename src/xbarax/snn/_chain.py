"""What a chain of LIF layers computes, forward and backward: in plain JAX, and by kernels.

A chain is a row of layers, each of which takes the spikes of the one before. Its first one takes
inputs, or is driven: by products that are computed before (those of a crossbar that kernels of
neurons cannot read). What a chain
computes is `snn.LIF.over_time`, layer by layer, in plain JAX; the kernels are an implementation of
that, and are differentiated as it is.
"""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp

from xbarax import _kernels
from xbarax.array import _primitives as primitives
from xbarax.array._keys import step_keys
from xbarax.snn.neuron import LIF, LIFState, decay_factors
from xbarax.snn.surrogate import SuperSpike
from xbarax.snn.weights import plain_product, project_sequence_apart

Params = list[dict[str, Array]]


class Chain(NamedTuple):
    """What is static of a chain.

    Attributes:
      layers: the layers.
      driven: whether the first one is given its drive.
      arrays: of each layer the types of the crossbars that its input and its recurrent products
        are read from at each step; None of plain weights, or where it has none.
    """

    layers: tuple[LIF, ...]
    driven: bool
    arrays: tuple[tuple[Any, Any], ...]

    @property
    def reads(self) -> bool:
        """Whether any products are read from crossbars."""
        return any(ty is not None for pair in self.arrays for ty in pair)


class Operands(NamedTuple):
    """What a chain computes with.

    Attributes:
      xs: (time, batch, inputs), or the first layer's drive (time, batch, size).
      states: of each layer.
      params: of each layer, plain arrays.
      parts: of each crossbar in `Chain.arrays` its state, and its key's data; None of none; in
        lists of two.
      step: int32 scalar, the number of the first time step in its stream.
    """

    xs: Array
    states: list[LIFState]
    params: Params
    parts: list[Any]
    step: Any


class Pulled(NamedTuple):
    """Cotangents of what of the operands is differentiated; that of `xs` None: not wanted."""

    xs: Array | None
    states: list[LIFState]
    params: Params


class Results(NamedTuple):
    """What it gives.

    Attributes:
      spikes: of the last layer, (time, batch, size).
      states: of each layer, at the end.
      membranes: of each layer, (time, batch, size), where they are recorded; else empty.
    """

    spikes: Array
    states: list[LIFState]
    membranes: list[Array]


# ---- In plain JAX --------------------------------------------------------------------------------


def run_in_jax(chain: Chain, record: bool, *operands: Any) -> Results:
    xs, states, params, parts, step = operands
    ends, membranes = [], []
    for i, (layer, types) in enumerate(zip(chain.layers, chain.arrays, strict=True)):
        from_input, from_recurrent = (
            None if ty is None else primitives.whole(ty, *of)
            for ty, of in zip(types, parts[i], strict=True)
        )
        if i == 0 and chain.driven:
            drive = xs
        elif from_input is None:
            drive = plain_product(params[i]["input"], xs)
        else:
            drive = project_sequence_apart(from_input, params[i]["input"], xs, step)
        done, end = layer.over_time(params[i], drive, states[i], step, from_recurrent)
        xs = done.spikes
        ends.append(end)
        membranes.append(done.membrane)
    return Results(xs, ends, membranes if record else [])


def _pure_backward(chain: Chain, record: bool, operands: Any, cotangents: Results) -> Pulled:
    like = jax.eval_shape(functools.partial(run_in_jax, chain, record), *operands)
    pure = lambda *differentiated: run_in_jax(chain, record, *differentiated, *operands[3:])
    _, pull = jax.vjp(pure, *operands[:3])
    return Pulled(*pull(filled(like, cotangents)))


# ---- By kernels ----------------------------------------------------------------------------------


def _described(layer: LIF) -> _kernels.LifLayer:
    assert isinstance(layer.surrogate, SuperSpike)
    return _kernels.LifLayer(
        layer.size,
        layer.recurrent,
        layer.input_bias,
        layer.recurrent_bias,
        layer.detach_reset,
        layer.reset,
        layer.input_gain,
        layer.threshold,
        layer.surrogate.beta,
    )


def _decays(layer: LIF) -> np.ndarray:
    rows = []
    for decay in (layer.membrane_decay, layer.input_decay, layer.recurrent_decay):
        rows += [np.broadcast_to(factor, layer.size) for factor in decay_factors(decay)]
    return np.stack(rows)


def _call(chain: Chain, operands: Any) -> _kernels.LifCall:
    xs, states, params, parts, step = operands
    decays = [_decays(layer) for layer in chain.layers]

    def reads_of(types: Any, parts: Any) -> Any:
        """Of a layer's two, how kernels read them."""
        return tuple(
            None if ty is None else _reads(ty.chip, of, step, xs.shape[0])
            for ty, of in zip(types, parts, strict=True)
        )

    reads = [reads_of(*of) for of in zip(chain.arrays, parts, strict=True)]
    leaves = [jax.tree.leaves(state) for state in states]
    return _kernels.LifCall(xs, leaves, decays, params, reads)


def _reads(chip: Any, parts: Any, step: Array, time: int) -> _kernels.LifReads:
    """How kernels read the array of those parts, at `time` steps."""
    state, data = parts
    forward, backward, operands = chip.reads_of_a_kernel(state)
    keys, backward_keys = (None, None) if data is None else step_keys(data, step, time)
    if not chip.noisy_read:
        keys = backward_keys = None
    return _kernels.LifReads(
        forward,
        backward,
        operands["conductance"],
        operands["variance"],
        operands["scale"],
        keys,
        None if backward is None else backward_keys,
    )


def _as_states(leaves: list[list[Array]], like: list[LIFState]) -> list[LIFState]:
    return [
        jax.tree.unflatten(jax.tree.structure(state), given)
        for state, given in zip(like, leaves, strict=True)
    ]


def run_natively(chain: Chain, record: bool, traced: bool, *operands: Any) -> Any:
    """The results and, where it is traced, the trace."""
    layers = list(map(_described, chain.layers))
    spikes, leaves, trace = _kernels.lif_forward(
        layers,
        _call(chain, operands),
        driven=chain.driven,
        traced=traced or record,
        segment=_segment(chain, record, operands[0]),
    )
    states = _as_states(leaves, operands[1])
    membranes = trace.membranes if record and trace is not None else []
    return Results(spikes, states, membranes), trace if traced else None


def _segment(chain: Chain, record: bool, xs: Array) -> int:
    """The steps of a segment that the backward pass runs again; 0: all membranes are kept."""
    if record or chain.reads:
        return 0  # they are there anyway, or reads cost more than memory
    return _kernels.lif_segment(list(map(_described, chain.layers)), xs)


def _native_backward(
    chain: Chain,
    record: bool,
    with_xs: bool,
    operands: Any,
    trace: _kernels.LifTrace,
    cotangents: Results,
) -> Pulled:
    none: list[Any] = [None] * len(chain.layers)
    given = _kernels.LifCotangents(
        cotangents.spikes,
        none,
        [*cotangents.membranes] or none,
        [jax.tree.leaves(state) for state in cotangents.states],
    )
    xs, states, params = _kernels.lif_backward(
        list(map(_described, chain.layers)),
        _call(chain, operands),
        trace,
        given,
        driven=chain.driven,
        with_xs=with_xs,
        segment=_segment(chain, record, operands[0]),
    )
    return Pulled(xs, _as_states(states, operands[1]), params)


# ---- As the implementation says ------------------------------------------------------------------


def as_implemented(chain: Chain, native: Any, pure: Any, *operands: Any) -> Any:
    word: _kernels.Implementation = (
        "native" if any(la.implementation == "native" for la in chain.layers) else "auto"
    )
    with _kernels.using(word):
        return _kernels.choose(native, pure, *operands)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def run_traced(chain: Chain, record: bool, *operands: Any) -> tuple[Results, _kernels.LifTrace]:
    """The results, and the trace, which is empty where no kernel reads it."""
    layers = list(map(_described, chain.layers))

    def pure(*operands: Any) -> Any:
        segment = _segment(chain, record, operands[0])
        shapes = _kernels.lif_trace(layers, operands[0], chain.driven, segment)
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


def zero_tangent(leaf: Any) -> Any:
    """The tangent of what does not change."""
    if jnp.issubdtype(leaf.dtype, jnp.floating):
        return jnp.zeros(leaf.shape, leaf.dtype)
    return np.zeros(leaf.shape, jax.dtypes.float0)


def filled(like: Any, given: Any) -> Any:
    """What is given, with zeros where it has None, in the shapes of `like`."""
    return jax.tree.map(lambda leaf, x: zero_tangent(leaf) if x is None else x, like, given)
