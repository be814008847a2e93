"""Checks that a network, its parameters, its state and its inputs fit each other."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from xbarax import array
from xbarax.snn import _check
from xbarax.snn.neuron import AbstractNeuron


def inputs(xs: Any) -> None:
    """Refuses inputs that are not float32 of (time, batch, inputs)."""
    _check.float32_array("xs", xs)
    if xs.ndim != 3:
        hint = "; a single sample is xs[:, None]" if xs.ndim == 2 else ""
        raise ValueError(
            f"xs: expected three axes (time, batch, inputs), time first, given "
            f"{xs.ndim} of shape {xs.shape}{hint}"
        )


def parameters(layers: Sequence[AbstractNeuron], params: Any, xs_shape: tuple[int, ...]) -> None:
    """Refuses parameters that are not those of the layers, for inputs of `xs_shape`."""
    if not isinstance(params, list | tuple):
        raise TypeError(
            "params: expected a list with a dict per layer, as net.init gives, given "
            f"{type(params).__name__}"
        )
    if len(params) != len(layers):
        raise ValueError(
            f"params: expected a dict for each of {len(layers)} layers, given {len(params)}"
        )
    n_inputs = xs_shape[2]
    for i, (layer, given) in enumerate(zip(layers, params, strict=True)):
        shapes = layer.parameter_shapes(n_inputs)
        _names(f"params[{i}]", shapes, given)
        for name, shape in shapes.items():
            _parameter(f"params[{i}][{name!r}]", shape, given[name])
            if given[name].shape != shape:
                raise ValueError(_mismatch(i, name, layer, given[name].shape, xs_shape, n_inputs))
        n_inputs = layer.size


def state(initial_state: Callable[[int], Any], given: Any, xs_shape: tuple[int, ...]) -> None:
    """Refuses a state that is not one of the network with the batch of inputs of `xs_shape`."""
    batch = xs_shape[1]
    expected = jax.eval_shape(lambda: initial_state(batch))
    structure, wanted_structure = (str(jax.tree.structure(tree)) for tree in (given, expected))
    if structure != wanted_structure:
        raise TypeError(
            "state: expected one that unroll or net.initial_state gave for this network, "
            f"{wanted_structure}, given {structure}"
        )
    pairs = zip(jax.tree_util.tree_leaves_with_path(given), jax.tree.leaves(expected), strict=True)
    for (path, leaf), wanted in pairs:
        where = f"state{jax.tree_util.keystr(path)}"
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
            raise TypeError(f"{where}: expected an array, given {type(leaf).__name__}")
        if (leaf.shape, leaf.dtype) != (wanted.shape, wanted.dtype):
            raise ValueError(
                f"{where}: expected {wanted.dtype}{list(wanted.shape)} for xs of shape {xs_shape}, "
                f"(time, batch, inputs), given {leaf.dtype}{list(leaf.shape)}"
                f"{_batch_hint(leaf.shape, xs_shape)}"
            )


def _names(where: str, expected: Mapping[str, Any], given: Any) -> None:
    if not isinstance(given, Mapping):
        raise TypeError(
            f"{where}: expected a dict with {sorted(expected)}, given {type(given).__name__}"
        )
    missing, unknown = sorted(set(expected) - set(given)), sorted(set(given) - set(expected))
    if missing or unknown:
        raise ValueError(
            f"{where}: expected exactly {sorted(expected)}, given {sorted(given)}: "
            f"missing {missing}, unknown {unknown}"
        )


def _parameter(where: str, shape: tuple[int, ...], given: Any) -> None:
    if not isinstance(given, array.MemristiveCrossbarArray):
        _check.float32_array(f"{where}", given)
    elif len(shape) != 2:
        raise TypeError(
            f"{where}: expected a plain array of shape {shape}, given a crossbar array; "
            "only matrices can be crossbars"
        )


def _mismatch(
    i: int,
    name: str,
    layer: AbstractNeuron,
    shape: tuple[int, ...],
    xs_shape: tuple[int, ...],
    n_inputs: int,
) -> str:
    expected = layer.parameter_shapes(n_inputs)[name]
    message = f"params[{i}][{name!r}]: expected shape {expected} for {layer.size} neurons"
    if i > 0:
        return f"{message} after a layer of {n_inputs}, given {shape}"
    message += f" and xs of shape {xs_shape}, (time, batch, inputs), given {shape}"
    for axis in (0, 1):
        if layer.parameter_shapes(xs_shape[axis])[name] == shape:
            message += f"; axis {axis} of xs has {xs_shape[axis]}: the inputs are the last axis"
    return message


def _batch_hint(shape: tuple[int, ...], xs_shape: tuple[int, ...]) -> str:
    if len(shape) == 2 and shape[0] == xs_shape[0]:
        return (
            f"; the first axis of xs has {xs_shape[0]}: if those are samples, swap the axes with "
            "xs.swapaxes(0, 1), time is the first"
        )
    return ""
