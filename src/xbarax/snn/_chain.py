"""What a chain of LIF layers computes, forward and backward: in plain JAX, and by kernels.

A chain is a row of layers, each of which takes the spikes of the one before. Its first one takes
inputs, or is driven: by products that are computed before (those of a crossbar that kernels of
neurons cannot read). What a chain computes is `snn.LIF.over_time`, layer by layer, in plain JAX;
the kernels are an implementation of that, and are differentiated as it is.
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp

from xbarax import _kernels
from xbarax.array import _primitives as primitives
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
      on_gpu: whether kernels are those of GPUs, which run a layer at a time, and read no crossbars.
    """

    layers: tuple[LIF, ...]
    driven: bool
    arrays: tuple[tuple[Any, Any], ...]
    on_gpu: bool = False

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


# ---- For kernels ---------------------------------------------------------------------------------


def described(layer: LIF) -> _kernels.LifLayer:
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


def decays_of(layer: LIF) -> np.ndarray:
    rows = []
    for decay in (layer.membrane_decay, layer.input_decay, layer.recurrent_decay):
        rows += [np.broadcast_to(factor, layer.size) for factor in decay_factors(decay)]
    return np.stack(rows)


# ---- What is not differentiated ------------------------------------------------------------------


def zero_tangent(leaf: Any) -> Any:
    """The tangent of what does not change."""
    if jnp.issubdtype(leaf.dtype, jnp.floating):
        return jnp.zeros(leaf.shape, leaf.dtype)
    return np.zeros(leaf.shape, jax.dtypes.float0)


def filled(like: Any, given: Any) -> Any:
    """What is given, with zeros where it has None, in the shapes of `like`."""
    return jax.tree.map(lambda leaf, x: zero_tangent(leaf) if x is None else x, like, given)
