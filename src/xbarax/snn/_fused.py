"""Which layers of a network run as chains, by kernels."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
from jax import Array
from jax import numpy as jnp

from xbarax import _kernels, array
from xbarax.array import _hijax
from xbarax.array import _primitives as primitives
from xbarax.snn._chain import Chain, Operands, Params
from xbarax.snn._chain_primitive import run_chain
from xbarax.snn.neuron import LIF, LayerRecord, LIFState
from xbarax.snn.surrogate import SuperSpike
from xbarax.snn.weights import plain_weights, readable_in_kernels


class Piece(NamedTuple):
    """Layers that are run together.

    Attributes:
      first: the number of the first one.
      layers: the layers.
      params: their parameters as plain arrays where kernels run them; None: plain JAX.
      arrays: of each the crossbars that its input and its recurrent products are read from, or
        None.
    """

    first: int
    layers: tuple[Any, ...]
    params: Params | None = None
    arrays: tuple[tuple[Any, Any], ...] = ()

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
        plain, crossbars = found
        before = cut[-1] if cut else None
        if before is None or before.params is None or "input" not in plain:
            cut.append(Piece(i, (layer,), [plain], (crossbars,)))
        else:
            together = (*before.layers, layer), [*before.params, plain]
            cut[-1] = Piece(before.first, *together, (*before.arrays, crossbars))
    return cut


def _fusible(
    layer: Any, params: Mapping[str, Any]
) -> tuple[dict[str, Array], tuple[Any, Any]] | None:
    """The layer's parameters as plain arrays, if kernels can run it; else None.

    Beside them the crossbars that its products are read from. "input" is left out where it is one
    that kernels cannot read: the layer can be driven.
    """
    if not (type(layer) is LIF and type(layer.surrogate) is SuperSpike):
        return None
    if layer.implementation == "jax" or not _has_kernels(layer):
        return None
    plain, crossbars = {}, {}
    for name, weight in params.items():
        found = plain_weights(weight)
        if found is None and not _on_gpu() and readable_in_kernels(weight):
            crossbars[name], found = weight, array.readout(weight)
        if found is not None:
            plain[name] = found
    if layer.recurrent and "recurrent" not in plain:
        if layer.implementation == "native":
            raise ValueError(
                "LIF: implementation='native': expected recurrent weights that are a plain "
                "array, or a crossbar on a simulated chip with linear devices and converters "
                f"that do not clip, given {jax.typeof(params['recurrent'])!r}"
            )
        return None
    return plain, (crossbars.get("input"), crossbars.get("recurrent"))


def _on_gpu() -> bool:
    return jax.default_backend() != "cpu"


def _has_kernels(layer: LIF) -> bool:
    """Whether JAX's default devices have kernels for it; an error where it must have them."""
    if not _on_gpu():
        return layer.implementation == "native" or _kernels.available()
    found = layer.size <= _kernels.MOST_NEURONS and _kernels.cuda_available()
    if layer.implementation == "native" and not found:
        raise ValueError(
            "LIF: implementation='native': expected JAX's default devices to be the CPU, or NVIDIA "
            f"GPUs and a layer of at most {_kernels.MOST_NEURONS} neurons, given "
            f"{jax.default_backend()!r} and {layer.size}"
        )
    return found


def run(
    piece: Piece, xs: Array, states: Sequence[LIFState], step: Any, record: bool
) -> tuple[list[LayerRecord], list[LIFState]]:
    """Runs a chain: what its layers did, and their states at the end.

    `xs` are the first layer's inputs, or its drive. Without `record` only what the last layer did
    is returned, and its membranes are empty.
    """
    assert piece.params is not None
    types = tuple(
        (_hijax.typeof(from_input), _hijax.typeof(from_recurrent))
        for from_input, from_recurrent in piece.arrays
    )
    parts = [[None if w is None else primitives.parts(w) for w in pair] for pair in piece.arrays]
    chain = Chain(piece.layers, piece.driven, types, _on_gpu())
    operands = Operands(xs, list(states), piece.params, parts, jnp.asarray(step, jnp.int32))
    out = run_chain(chain, record, operands)
    if not record:
        return [LayerRecord(out.spikes, jnp.zeros((0,)))], out.states
    spikes = [
        layer.spikes_of(membrane)
        for layer, membrane in zip(piece.layers[:-1], out.membranes[:-1], strict=True)
    ]
    records = map(LayerRecord, [*spikes, out.spikes], out.membranes)
    return list(records), out.states
