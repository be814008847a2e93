"""The foreign calls of one layer of LIF neurons over time; `native/ffi/lif_loop_handlers.cc`.

They are what GPUs run. The host has them, too, as slow as they are there, for tests.
"""

from typing import Any

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp

from xbarax._kernels._lif import RESETS, LifLayer

MOST_NEURONS = 2048
"""Of a layer, whose state is in memory that a block's threads share: 24 bytes each of 48 KiB.

Every GPU has that much; many have twice as much, or more.
"""


def lif_loop_forward(
    layer: LifLayer,
    drive: Array,
    state: list[Array],
    decays: np.ndarray,
    weights: Array | None,
    bias: Array | None,
) -> tuple[Array, Array, list[Array]]:
    """Spikes and membranes (time, batch, size), and the state at the end.

    `state` has the arrays of an `snn.LIFState`; `weights` are the recurrent ones (size, size).
    """
    feedback = None if weights is None else weights.T
    given = [drive, *_whole(layer, state), decays, feedback, bias]
    results = [_like(drive), _like(drive), *map(_like, _whole(layer, state))]
    spikes, membranes, *end = _call("forward", layer, given, results)
    return spikes, membranes, _present(layer, end)


def lif_loop_backward(
    layer: LifLayer,
    membranes: Array,
    state: list[Array],
    decays: np.ndarray,
    weights: Array | None,
    spikes_bar: Array | None,
    membranes_bar: Array | None,
    end_bar: list[Array],
) -> tuple[Array, Array | None, list[Array]]:
    """Derivatives by the drive, by what the recurrent weights give, and by the state.

    `membranes` are those of the forward pass that began with `state`; derivatives by what it gave
    are None where they are zero.
    """
    start = [state[0], state[-1]]
    given = [membranes, *start, decays, weights, spikes_bar, membranes_bar]
    given += _whole(layer, end_bar)
    feedback = _like(membranes) if layer.recurrent else _NONE
    results = [_like(membranes), feedback, *map(_like, _whole(layer, end_bar))]
    drive_bar, feedback_bar, *start_bar = _call("backward", layer, given, results)
    return drive_bar, feedback_bar if layer.recurrent else None, _present(layer, start_bar)


_NONE = jax.ShapeDtypeStruct((0,), jnp.float32)


def _call(way: str, layer: LifLayer, given: list[Any], results: list[Any]) -> Any:
    call = jax.ffi.ffi_call(f"xbarax_lif_loop_{way}", results, vmap_method="broadcast_all")
    operands = [jnp.zeros(_NONE.shape, _NONE.dtype) if x is None else x for x in given]
    words = [layer.recurrent, layer.detach_reset, RESETS.index(layer.reset)]
    return call(
        *operands,
        words=np.array(words, np.int64),
        numbers=np.array([layer.gain, layer.threshold, layer.steepness], np.float32),
    )


def _whole(layer: LifLayer, state: list[Any]) -> list[Any]:
    """A state with four arrays, also where the layer has no recurrent current."""
    return state if layer.recurrent else [*state[:2], None, state[2]]


def _present(layer: LifLayer, state: list[Array]) -> list[Array]:
    return state if layer.recurrent else [*state[:2], state[3]]


def _like(x: Any) -> jax.ShapeDtypeStruct:
    return _NONE if x is None else jax.ShapeDtypeStruct(x.shape, x.dtype)
