"""The foreign calls of layers of LIF neurons; `native/ffi/lif_handlers.cc` has their order."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp

from xbarax._kernels._analog import AnalogRead

PARAMETERS = ("input", "input_bias", "recurrent", "recurrent_bias")
"""What a layer may have, in the order in which kernels take it."""

_READ = ("input", "recurrent")
"""Which of these may be arrays that are read, in that order."""

RESETS = ("zero", "subtract", "none")


class LifLayer(NamedTuple):
    """A layer as kernels take it; beside it `decays` (6, size): α, 1 − α, β, 1 − β, βᵣ, 1 − βᵣ."""

    size: int
    recurrent: bool
    input_bias: bool
    recurrent_bias: bool
    detach_reset: bool
    reset: str
    gain: float
    threshold: float
    steepness: float


class LifReads(NamedTuple):
    """Weights in an array that is read at each step.

    Attributes:
      forward, backward: how; backward None: plain weights stand for it, those of the parameters.
      conductance, variance, scale: as in `analog_read`.
      key, step: the data (2,) of the array's key, and the int32 number of the first step, which
        make each step's key; None without noise.
    """

    forward: AnalogRead
    backward: AnalogRead | None
    conductance: Array
    variance: Array | None
    scale: Array
    key: Array | None
    step: Array | None


class LifCall(NamedTuple):
    """The operands of a chain of layers, time first.

    Attributes:
      xs: (time, batch, inputs) of the first layer; its drive where it has no "input".
      states: of each layer, its arrays (batch, size) in the order of `snn.LIFState`.
      decays: of each layer.
      params: of each layer, a dict of plain arrays.
      reads: of each layer, of its input and of its recurrent weights, where these are an array's;
        None of others.
      backward_tag: what is folded into the keys of reads for those of their backward reads.
    """

    xs: Array
    states: list[list[Array]]
    decays: list[np.ndarray]
    params: list[dict[str, Array]]
    reads: list[tuple[LifReads | None, LifReads | None]]
    backward_tag: int


class LifTrace(NamedTuple):
    """What the forward pass leaves for the backward one.

    Attributes:
      events: (time, batch, words), uint32: which of `xs` are not zero, as bits, and in a word more
        whether these are all 1; None of a drive.
      spikes: of each layer, as bits, (time, batch, words), uint32.
      membranes: of each layer, (time − again, batch, size), as `LifKept` says; or in a list its
        state at the beginning of all segments but the first, (segments − 1, batch, size) each, in
        the order of `snn.LIFState`.
    """

    events: Array | None
    spikes: list[Array]
    membranes: list[Any]


class LifCotangents(NamedTuple):
    """Derivatives by what the forward pass gives; None: zero.

    Attributes:
      spikes: those of the last layer.
      hidden: those of each layer; None for the last.
      membranes: those of each layer.
      states: of each layer, of its arrays.
    """

    spikes: Array | None
    hidden: list[Array | None]
    membranes: list[Array | None]
    states: list[list[Array]]


class LifKept(NamedTuple):
    """Which membranes a trace has; the backward pass runs the other steps again.

    Attributes:
      segment: the steps of a segment, of which only the first state is kept; 0: there are none.
      again: the steps at the beginning whose membranes are not kept.
      shown: whether others look at the membranes, of which there are all then; else how they are
        arranged is between the kernels.
    """

    segment: int
    again: int
    shown: bool


_SEGMENT = 16
"""Steps of which kernels keep the membranes at a time, where they run them again."""

_MOST_MEMBRANES = 2**24
"""Bytes of membranes of all steps that are kept rather than computed again.

Some 30 MB of memory are allocated anew in each call of a program, which costs more than that.
"""


_AGAIN = 4
"""One of so many steps is run again where the membranes of the others are kept.

That takes a twenty-fifth of the time of a step, and a quarter less memory.
"""


def lif_kept(layers: Sequence[LifLayer], xs: Any) -> LifKept:
    """What kernels keep of a chain's membranes."""
    time, batch, _ = xs.shape
    kept = 4 * time * batch * sum(layer.size for layer in layers)
    if kept > _MOST_MEMBRANES and time > 2 * _SEGMENT:
        return LifKept(_SEGMENT, 0, shown=False)
    return LifKept(0, time // _AGAIN, shown=False)


def lif_trace(layers: Sequence[LifLayer], xs: Any, driven: bool, kept: LifKept) -> LifTrace:
    """The shapes of a trace."""
    time, batch, inputs = xs.shape
    shape: Any = jax.ShapeDtypeStruct
    words = lambda n: shape((time, batch, n), jnp.uint32)

    def membranes(layer: LifLayer) -> Any:
        if not kept.segment:
            return shape((time - kept.again, batch, layer.size), jnp.float32)
        states = (max(0, -(-time // kept.segment) - 1), batch, layer.size)
        return [shape(states, jnp.float32)] * (4 if layer.recurrent else 3)

    return LifTrace(
        None if driven else words(-(-inputs // 32) + 1),
        [words(-(-layer.size // 32)) for layer in layers],
        [membranes(layer) for layer in layers],
    )


def lif_forward(
    layers: Sequence[LifLayer], call: LifCall, *, driven: bool, traced: bool, kept: LifKept
) -> tuple[Array, list[list[Array]], LifTrace | None]:
    """Runs a chain: the last layer's spikes, the states at the end, and the trace."""
    time, batch, _ = call.xs.shape
    spikes = jax.ShapeDtypeStruct((time, batch, layers[-1].size), jnp.float32)
    trace = lif_trace(layers, call.xs, driven, kept) if traced else None
    results = [spikes, *_shapes(call.states)]
    if trace is not None:
        results += _trace_leaves(trace)
    foreign = jax.ffi.ffi_call("xbarax_lif_forward", results, vmap_method="broadcast_all")
    attributes: dict[str, Any] = {
        **_attributes(layers, call),
        "kept": np.array(kept, np.int64),
    }
    out = iter(foreign(*_operands(call), **attributes, driven=driven, traced=traced))
    return (
        next(out),
        [[next(out) for _ in state] for state in call.states],
        None if trace is None else _as_trace(trace, out),
    )


def lif_backward(
    layers: Sequence[LifLayer],
    call: LifCall,
    trace: LifTrace,
    cotangents: LifCotangents,
    *,
    driven: bool,
    with_xs: bool,
    kept: LifKept,
) -> tuple[Array | None, list[list[Array]], list[dict[str, Array]]]:
    """Derivatives by `xs` (None where they are not wanted), the states and the parameters."""
    given = [] if cotangents.spikes is None else [cotangents.spikes]
    results: list[Any] = _shapes([call.xs]) if with_xs else []
    wanted = [with_xs + 2 * (cotangents.spikes is not None)]
    for i, (state, params) in enumerate(zip(call.states, call.params, strict=True)):
        membranes, hidden = cotangents.membranes[i], cotangents.hidden[i]
        given += [*cotangents.states[i], *(x for x in (membranes, hidden) if x is not None)]
        wanted.append((membranes is not None) + 2 * (hidden is not None))
        results += _shapes([state, _in_order(params)])
    foreign = jax.ffi.ffi_call("xbarax_lif_backward", results, vmap_method="broadcast_all")
    operands = [*_operands(call), *_trace_leaves(trace), *given]
    attributes = {**_attributes(layers, call), "wanted": np.array(wanted, np.int64)}
    attributes["kept"] = np.array(kept, np.int64)
    out = iter(foreign(*operands, **attributes, driven=driven))
    xs = next(out) if with_xs else None
    states, gradients = [], []
    for state, params in zip(call.states, call.params, strict=True):
        states.append([next(out) for _ in state])
        gradients.append({name: next(out) for name in PARAMETERS if name in params})
    return xs, states, gradients


def _in_order(params: dict[str, Array]) -> list[Array]:
    return [params[name] for name in PARAMETERS if name in params]


def _operands(call: LifCall) -> list[Any]:
    operands: list[Any] = [call.xs]
    rows = zip(call.states, call.decays, call.params, call.reads, strict=True)
    for state, decays, params, reads in rows:
        read = [name for name, of in zip(_READ, reads, strict=True) if of and of.backward]
        params = {name: given for name, given in params.items() if name not in read}
        operands += [*state, decays, *_in_order(params)]
        for of in reads:
            if of is not None:
                given = [of.conductance, of.variance, of.scale, of.key, of.step]
                operands += [x for x in given if x is not None]
    return operands


def _trace_leaves(trace: LifTrace) -> list[Any]:
    leaves = [] if trace.events is None else [trace.events]
    for spikes, membranes in zip(trace.spikes, trace.membranes, strict=True):
        leaves += [spikes, *jax.tree.leaves(membranes)]
    return leaves


def _as_trace(shapes: LifTrace, leaves: Any) -> LifTrace:
    events = None if shapes.events is None else next(leaves)
    spikes, membranes = [], []
    for like in shapes.membranes:
        spikes.append(next(leaves))
        membranes.append(jax.tree.map(lambda _: next(leaves), like))
    return LifTrace(events, spikes, membranes)


def _shapes(tree: Any) -> list[jax.ShapeDtypeStruct]:
    return [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]


def _attributes(layers: Sequence[LifLayer], call: LifCall) -> dict[str, np.ndarray | np.uint32]:
    words, numbers = [], []
    read_words: list[int] = []
    read_numbers: list[float] = []
    for layer, reads in zip(layers, call.reads, strict=True):
        from_input, from_recurrent = reads
        switches = (
            layer.recurrent,
            layer.input_bias,
            layer.recurrent_bias,
            layer.detach_reset,
            from_recurrent is not None,
            from_recurrent is not None and from_recurrent.backward is not None,
            from_input is not None,
            from_input is not None and from_input.backward is not None,
        )
        flags = sum(2**i for i, switch in enumerate(switches) if switch)
        words += [layer.size, flags, RESETS.index(layer.reset)]
        numbers += [layer.gain, layer.threshold, layer.steepness]
        for of in reads:
            if of is not None:
                read_words += _words_of(of)
                read_numbers += [of.forward.v_read, *of.forward.coefficients]
    return {
        "backward_tag": np.uint32(call.backward_tag),
        "layers": np.array(words, np.int64),
        "numbers": np.array(numbers, np.float32),
        "reads": np.array(read_words, np.int64),
        "read_numbers": np.array(read_numbers, np.float32),
    }


def _words_of(reads: LifReads) -> list[int]:
    """What describes an array, and the converters of both directions."""
    shape = reads.conductance.shape
    matrix = len(shape) == 2
    tiles = (1, 1, 1, *shape[::-1]) if matrix else shape
    noise = 0 if reads.variance is None else 1 if reads.variance.ndim == 0 else 2
    words = [*tiles, int(reads.forward.column), int(matrix), noise]
    for read in (reads.forward, reads.backward or reads.forward):
        words += [read.dac_bits or 0, int(read.dac_scaled)]
        words += [read.adc_bits or 0, int(read.adc_signed)]
    return words
