"""Chains of LIF layers as one foreign call, forward and backward.

A chain is a row of layers, each of which takes the spikes of the one before. Its first one takes
inputs, or is driven: by products that are computed before (those of a noisy crossbar). What a chain
computes is `snn.LIF.over_time`, layer by layer, in plain JAX; the kernels are an implementation of
that, and are differentiated as it is.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp

from xbarax import _kernels, array
from xbarax.array import _hijax
from xbarax.array import _primitives as primitives
from xbarax.array._keys import step_keys
from xbarax.snn.neuron import LIF, LayerRecord, LIFState, decay_factors
from xbarax.snn.surrogate import SuperSpike
from xbarax.snn.weights import plain_product, plain_weights, readable_in_kernels

Params = list[dict[str, Array]]


class Chain(NamedTuple):
    """What is static of a chain.

    Attributes:
      layers: the layers.
      driven: whether the first one is given its drive.
      arrays: of each layer the type of the crossbar that its recurrent products are read from at
        each step; None of one whose recurrent weights are plain, or that has none.
    """

    layers: tuple[LIF, ...]
    driven: bool
    arrays: tuple[Any, ...]


class Operands(NamedTuple):
    """What a chain computes with.

    Attributes:
      xs: (time, batch, inputs), or the first layer's drive (time, batch, size).
      states: of each layer.
      params: of each layer, plain arrays.
      parts: of each crossbar in `Chain.arrays` its state, and its key's data; None of none.
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


class Piece(NamedTuple):
    """Layers that are run together.

    Attributes:
      first: the number of the first one.
      layers: the layers.
      params: their parameters as plain arrays where kernels run them; None: plain JAX.
      arrays: of each the crossbar that its recurrent products are read from, or None.
    """

    first: int
    layers: tuple[Any, ...]
    params: Params | None = None
    arrays: tuple[Any, ...] = ()

    @property
    def driven(self) -> bool:
        """Whether the first layer is given its drive."""
        return self.params is not None and "input" not in self.params[0]


def pieces(layers: Sequence[Any], params: Sequence[Mapping[str, Any]]) -> list[Piece]:
    """Cuts a network into chains for kernels, and single layers for plain JAX."""
    cut: list[Piece] = []
    for i, (layer, given) in enumerate(zip(layers, params, strict=True)):
        found = _fusible(layer, given)
        if found is None:
            cut.append(Piece(i, (layer,)))
            continue
        plain, crossbar = found
        before = cut[-1] if cut else None
        if before is None or before.params is None or "input" not in plain:
            cut.append(Piece(i, (layer,), [plain], (crossbar,)))
        else:
            together = (*before.layers, layer), [*before.params, plain]
            cut[-1] = Piece(before.first, *together, (*before.arrays, crossbar))
    return cut


def _fusible(layer: Any, params: Mapping[str, Any]) -> tuple[dict[str, Array], Any] | None:
    """The layer's parameters as plain arrays, if kernels can run it; else None.

    "input" is left out where it is a crossbar that is more than its weights: the layer can be
    driven. Where "recurrent" is one, that is given beside its weights.
    """
    if not (type(layer) is LIF and type(layer.surrogate) is SuperSpike):
        return None
    if layer.implementation == "jax":
        return None
    if layer.implementation == "auto" and (
        jax.default_backend() != "cpu" or not _kernels.available()
    ):
        return None
    plain = {name: plain_weights(weight) for name, weight in params.items()}
    crossbar = None
    if layer.recurrent and plain["recurrent"] is None:
        crossbar = params["recurrent"]
        if not readable_in_kernels(crossbar):
            if layer.implementation == "native":
                raise ValueError(
                    "LIF: implementation='native': expected recurrent weights that are a plain "
                    "array, or a crossbar on a simulated chip with linear devices and converters "
                    f"that do not clip, given {jax.typeof(crossbar)!r}"
                )
            return None
        plain["recurrent"] = array.readout(crossbar)
    return {name: weight for name, weight in plain.items() if weight is not None}, crossbar


def run(
    piece: Piece, xs: Array, states: Sequence[LIFState], step: Any, record: bool
) -> tuple[list[LayerRecord], list[LIFState]]:
    """Runs a chain: what its layers did, and their states at the end.

    `xs` are the first layer's inputs, or its drive. Without `record` only what the last layer did
    is returned, and its membranes are empty.
    """
    assert piece.params is not None
    types = tuple(None if w is None else jax.typeof(w) for w in piece.arrays)
    parts = [None if w is None else primitives.parts(w) for w in piece.arrays]
    chain = Chain(piece.layers, piece.driven, types)
    operands = Operands(xs, list(states), piece.params, parts, jnp.asarray(step, jnp.int32))
    out: Results = Run(chain, jax.tree.map(jax.typeof, operands), record)(*operands)
    if not record:
        return [LayerRecord(out.spikes, jnp.zeros((0,)))], out.states
    spikes = [
        layer.spikes_of(membrane)
        for layer, membrane in zip(piece.layers[:-1], out.membranes[:-1], strict=True)
    ]
    records = map(LayerRecord, [*spikes, out.spikes], out.membranes)
    return list(records), out.states


# ---- In plain JAX --------------------------------------------------------------------------------


def _pure(chain: Chain, record: bool, *operands: Any) -> Results:
    xs, states, params, parts, step = operands
    ends, membranes = [], []
    for i, (layer, ty) in enumerate(zip(chain.layers, chain.arrays, strict=True)):
        drive = xs if i == 0 and chain.driven else plain_product(params[i]["input"], xs)
        crossbar = None if ty is None else primitives.whole(ty, *parts[i])
        done, end = layer.over_time(params[i], drive, states[i], step, crossbar)
        xs = done.spikes
        ends.append(end)
        membranes.append(done.membrane)
    return Results(xs, ends, membranes if record else [])


def _pure_backward(chain: Chain, record: bool, operands: Any, cotangents: Results) -> Pulled:
    like = jax.eval_shape(functools.partial(_pure, chain, record), *operands)
    pure = lambda *differentiated: _pure(chain, record, *differentiated, *operands[3:])
    _, pull = jax.vjp(pure, *operands[:3])
    return Pulled(*pull(_filled(like, cotangents)))


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
    reads = [
        None if ty is None else _reads(ty.chip, of, step, xs.shape[0])
        for ty, of in zip(chain.arrays, parts, strict=True)
    ]
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


def _native(chain: Chain, record: bool, traced: bool, *operands: Any) -> Any:
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
    if record or any(ty is not None for ty in chain.arrays):
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


# ---- Both ----------------------------------------------------------------------------------------


def _chosen(chain: Chain, native: Any, pure: Any, *operands: Any) -> Any:
    word: _kernels.Implementation = (
        "native" if any(la.implementation == "native" for la in chain.layers) else "auto"
    )
    with _kernels.using(word):
        return _kernels.choose(native, pure, *operands)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _traced(chain: Chain, record: bool, *operands: Any) -> tuple[Results, _kernels.LifTrace]:
    """The results, and the trace, which is empty where no kernel reads it."""
    layers = list(map(_described, chain.layers))

    def pure(*operands: Any) -> Any:
        segment = _segment(chain, record, operands[0])
        shapes = _kernels.lif_trace(layers, operands[0], chain.driven, segment)
        empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        return _pure(chain, record, *operands), empty

    return _chosen(chain, functools.partial(_native, chain, record, True), pure, *operands)


@_traced.defjvp
def _traced_jvp(chain: Chain, record: bool, primals: Any, tangents: Any) -> Any:
    # A trace that is differentiated goes into the derivative of `_backward`, which asks for none.
    out, trace = _traced(chain, record, *primals)
    _, out_dot = jax.jvp(functools.partial(_pure, chain, record), primals, tangents)
    return (out, trace), (out_dot, _no_tangent(trace))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _backward(
    chain: Chain, record: bool, with_xs: bool, operands: Any, trace: Any, cotangents: Results
) -> Pulled:
    """The cotangents of the operands; that of `xs` is None where it is not wanted."""

    def pure(operands: Any, trace: Any, cotangents: Results) -> Pulled:
        return _without_xs(_pure_backward(chain, record, operands, cotangents), with_xs)

    native = functools.partial(_native_backward, chain, record, with_xs)
    return _chosen(chain, native, pure, operands, trace, cotangents)


@_backward.defjvp
def _backward_jvp(chain: Chain, record: bool, with_xs: bool, primals: Any, tangents: Any) -> Any:
    operands, _, cotangents = primals
    operands_dot, _, cotangents_dot = tangents

    def pure(operands: Any, cotangents: Results) -> Pulled:
        return _without_xs(_pure_backward(chain, record, operands, cotangents), with_xs)

    out = _backward(chain, record, with_xs, *primals)
    _, out_dot = jax.jvp(pure, (operands, cotangents), (operands_dot, cotangents_dot))
    return out, out_dot


def _without_xs(pulled: Pulled, with_xs: bool) -> Pulled:
    return pulled if with_xs else pulled._replace(xs=None)


def _no_tangent(tree: Any) -> Any:
    return jax.tree.map(_zero, tree)


def _zero(leaf: Any) -> Any:
    """The tangent of what does not change."""
    if jnp.issubdtype(leaf.dtype, jnp.floating):
        return jnp.zeros(leaf.shape, leaf.dtype)
    return np.zeros(leaf.shape, jax.dtypes.float0)


def _vmapped(function: Any, axes: int) -> Any:
    for _ in range(axes):
        function = jax.vmap(function)
    return function


class Run(_hijax.Primitive):
    """Operands -> Results, each with the same leading batch axes."""

    def __init__(self, chain: Chain, operands: Operands, record: bool, axes: int = 0):
        of_one = jax.tree.map(lambda ty: jax.ShapeDtypeStruct(ty.shape[axes:], ty.dtype), operands)
        front = operands.xs.shape[:axes]
        shapes = jax.eval_shape(functools.partial(_pure, chain, record), *of_one)
        out = jax.tree.map(lambda s: _hijax.ShapedArray((*front, *s.shape), s.dtype), shapes)
        super().__init__(tuple(operands), out, chain=chain, record=record, axes=axes)

    def expand(self, *operands):
        def one(*operands: Any) -> Results:
            native = lambda *given: _native(self.chain, self.record, False, *given)[0]
            pure = functools.partial(_pure, self.chain, self.record)
            return _chosen(self.chain, native, pure, *operands)

        return _vmapped(one, self.axes)(*operands)

    def batch_mapped(self, axis_data, args, dims):
        # Noise is a function of a sample's place in its batch.
        plain = all(ty is None for ty in self.chain.arrays)
        shared = [dim is None for dim in jax.tree.leaves(dims[2], is_leaf=lambda d: d is None)]
        if plain and all(shared) and dims[4] is None:
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
        traced = functools.partial(_traced, self.chain, self.record)
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
            dots = _filled(operands, tangents)
            return jax.jvp(
                functools.partial(_pure, self.run.chain, self.run.record), operands, dots
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


def _filled(like: Any, given: Any) -> Any:
    """What is given, with zeros where it has None, in the shapes of `like`."""
    return jax.tree.map(lambda leaf, x: _zero(leaf) if x is None else x, like, given)


def _leaves(tree: Any) -> list[Any]:
    return jax.tree.leaves(tree, is_leaf=_hijax.is_zero)


def _pulled(run: Run, operands: Any, trace: Any, cotangents: Results, with_xs: bool) -> Any:
    """The cotangents of the operands; those of xs are zero where they are not wanted."""
    none: Any = lambda leaf: None if _hijax.is_zero(leaf) else leaf
    dense = functools.partial(jax.tree.map, _hijax.instantiate_zeros, is_leaf=_hijax.is_zero)
    given = Results(
        none(cotangents.spikes), dense(cotangents.states), list(map(none, cotangents.membranes))
    )
    back = functools.partial(_backward, run.chain, run.record, with_xs)
    pulled: Pulled = _vmapped(back, run.axes)(operands, trace, given)
    xs = pulled.xs if with_xs else _hijax.zero_cotangent(run.in_avals[0])
    others = jax.tree.map(_hijax.zero_cotangent, run.in_avals[3:])
    return xs, pulled.states, pulled.params, *others
