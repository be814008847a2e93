"""Networks: layers of neurons in a row, and what they do over time."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, overload

import jax
from jax import Array
from jax import numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Int32

from xbarax.snn import _check, _check_network, _fused
from xbarax.snn.init import glorot_uniform
from xbarax.snn.neuron import AbstractNeuron, LayerRecord
from xbarax.snn.weights import project_sequence


class NetworkState(NamedTuple):
    """Where a network stands in a stream of inputs.

    Attributes:
      layers: the state of each layer, for `LIF` an `LIFState`.
      step: int32 scalar: how many time steps the stream has had. Noisy crossbars take the key
        of each read from it.
    """

    layers: tuple[Any, ...]
    step: Int32[Array, ""]


@dataclasses.dataclass(frozen=True, init=False, repr=False)
class Sequential:
    """Layers of neurons, each fed with the spikes that the one before emits in the same step.

    A static, hashable description; the parameters are separate, a list with a dict per layer::

        net = snn.Sequential(snn.LIF(32, recurrent=True), snn.LIF(2, recurrent=True))
        params = net.init(jax.random.key(0), 16)
        spikes, state = snn.unroll(net, params, xs)

    Args:
      *layers: the layers, the first one first.

    Attributes:
      layers: the layers as a tuple.

    Raises:
      TypeError: something that is no neuron.
      ValueError: no layers.
    """

    layers: tuple[AbstractNeuron, ...]

    def __init__(self, *layers: Any):
        """See the class."""
        if not layers:
            raise ValueError("Sequential: expected at least one layer, given none")
        for i, layer in enumerate(layers):
            if not isinstance(layer, AbstractNeuron):
                hint = "; give the layers one by one, Sequential(*layers)"
                raise TypeError(
                    f"Sequential: layer {i}: expected a neuron such as snn.LIF(32), given "
                    f"{layer!r}{hint if isinstance(layer, list | tuple) else ''}"
                )
        object.__setattr__(self, "layers", layers)

    def __len__(self) -> int:
        """The number of layers."""
        return len(self.layers)

    def __repr__(self) -> str:
        """As it is written."""
        return f"Sequential({', '.join(map(repr, self.layers))})"

    def init(self, key: Any, n_inputs: int) -> list[dict[str, Any]]:
        """Draws parameters: matrices by `glorot_uniform`, biases zero.

        Args:
          key: a PRNG key.
          n_inputs: the number of the network's inputs.

        Returns:
          A list with a dict per layer, for `LIF` with "input" and, where the layer has them,
          "recurrent", "input_bias" and "recurrent_bias"; float32, dimensionless.

        Raises:
          TypeError: `key` is no PRNG key, or `n_inputs` no integer.
          ValueError: `key` is a batch of keys, or `n_inputs` is below 1.
        """
        key = _check.prng_key("init: key", key)
        n_inputs = _check.positive_integer("init: n_inputs", n_inputs)
        params = []
        for layer, layer_key in zip(self.layers, jax.random.split(key, len(self)), strict=True):
            params.append(_draw(layer_key, layer.parameter_shapes(n_inputs)))
            n_inputs = layer.size
        return params

    def initial_state(self, batch: int) -> NetworkState:
        """The state at rest of `batch` samples, at step 0: what `unroll` starts with."""
        layers = tuple(layer.initial_state(batch) for layer in self.layers)
        return NetworkState(layers, jnp.zeros((), jnp.int32))


@overload
def unroll(
    net: Sequential,
    params: Sequence[Any],
    xs: ArrayLike,
    state: NetworkState | None = None,
    *,
    record: Literal[False] = False,
) -> tuple[Array, NetworkState]: ...


@overload
def unroll(
    net: Sequential,
    params: Sequence[Any],
    xs: ArrayLike,
    state: NetworkState | None = None,
    *,
    record: Literal[True],
) -> tuple[Array, NetworkState, list[LayerRecord]]: ...


def unroll(
    net: Any, params: Any, xs: Any, state: Any = None, *, record: bool = False
) -> tuple[Array, NetworkState] | tuple[Array, NetworkState, list[LayerRecord]]:
    """Runs a network over a sequence of inputs.

    The layers are computed one after the other, each over the whole sequence, which is the same
    as all of them step by step: layer `l` at step `t` takes the spikes of layer `l − 1` at step
    `t`. A crossbar whose reads are noisy reads step `t` with `xbarax.array.step_key(w, step)`,
    `step` counted from the start of the stream, and with a sample's place in the batch as row.

    Args:
      net: the network.
      params: its parameters as `net.init` gives them; any matrix may be a crossbar array.
      xs: (time, batch, inputs), float32: time is the first axis. Any length, also none.
      state: where to go on; None: at rest, `net.initial_state(batch)`.
      record: whether to return what every layer did.

    Returns:
      The last layer's spikes (time, batch, size), the state after the last step, and, where
      `record` is true, a list with a `LayerRecord` (spikes, membrane) per layer. The state fed
      to the next call continues the stream: the results are those of one long call, to rounding
      (products of other shapes may be summed in another order).

    Raises:
      TypeError: arguments of another type or dtype than described.
      ValueError: shapes that do not fit each other, missing or unknown parameters.

    Derivatives: in forward and reverse mode with respect to `params`, `xs` and `state`;
    crossbars have plain arrays as gradients.
    """
    if not isinstance(net, Sequential):
        raise TypeError(f"unroll: net: expected a snn.Sequential, given {net!r}")
    _check_network.inputs(xs)
    _check_network.parameters(net.layers, params, xs.shape)
    if state is None:
        state = net.initial_state(xs.shape[1])
    else:
        _check_network.state(net.initial_state, state, xs.shape)
    spikes, state, records = _unroll(net, list(params), xs, state, bool(record))
    return (spikes, state, records) if record else (spikes, state)


# Compiled as one also where the caller compiles nothing: a loop over time that is traced anew in
# each call would be compiled anew in each call.
@functools.partial(jax.jit, static_argnums=(0, 4))
def _unroll(
    net: Sequential, params: list[Any], xs: Array, state: NetworkState, record: bool
) -> tuple[Array, NetworkState, list[LayerRecord]]:
    spikes, layers, records = xs, [], []
    for piece in _fused.pieces(net.layers, params):
        states = state.layers[piece.first : piece.first + len(piece.layers)]
        first = params[piece.first]
        if piece.params is None:
            (layer,), (layer_state,) = piece.layers, states
            layer_record, end = layer.run(first, spikes, layer_state, state.step)
            done, ends = [layer_record], [end]
        else:
            if piece.driven:
                spikes = project_sequence(first["input"], spikes, state.step)
            done, ends = _fused.run(piece, spikes, states, state.step, record)
        spikes = done[-1].spikes
        layers += ends
        records += done
    state = NetworkState(tuple(layers), state.step + xs.shape[0])
    return spikes, state, records if record else []


def _draw(key: Array, shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    keys = jax.random.split(key, len(shapes))
    return {
        name: glorot_uniform(k, shape) if len(shape) == 2 else jnp.zeros(shape, jnp.float32)
        for k, (name, shape) in zip(keys, shapes.items(), strict=True)
    }
