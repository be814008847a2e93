"""Chains as GPUs run them: a kernel for each layer, and products for all steps between them.

There is no product in a loop but the recurrent one. Of the forward pass, membranes are kept.
"""

from typing import Any

import jax
from jax import Array
from jax import numpy as jnp

from xbarax import _kernels
from xbarax.snn._chain import Chain, Operands, Pulled, Results, decays_of, described
from xbarax.snn.weights import plain_product


def forward(chain: Chain, operands: Operands) -> tuple[Results, list[Array]]:
    """The results, without membranes, and the membranes of each layer."""
    xs, ends, membranes = operands.xs, [], []
    for i, (layer, state, params) in enumerate(
        zip(chain.layers, operands.states, operands.params, strict=True)
    ):
        drive = xs if i == 0 and chain.driven else plain_product(params["input"], xs)
        if layer.input_bias:
            drive = drive + params["input_bias"]
        xs, membrane, end = _kernels.lif_loop_forward(
            described(layer),
            drive,
            jax.tree.leaves(state),
            decays_of(layer),
            params.get("recurrent"),
            params.get("recurrent_bias"),
        )
        ends.append(jax.tree.unflatten(jax.tree.structure(state), end))
        membranes.append(membrane)
    return Results(xs, ends, []), membranes


def backward(
    chain: Chain, with_xs: bool, operands: Operands, membranes: list[Array], given: Results
) -> Pulled:
    """Derivatives by the operands; `given` may have None for its spikes and its membranes."""
    n_layers = len(chain.layers)
    spikes_bar, states, gradients = given.spikes, [], []
    for i in reversed(range(n_layers)):
        layer, params, state = chain.layers[i], operands.params[i], operands.states[i]
        drive_bar, feedback_bar, start_bar = _kernels.lif_loop_backward(
            described(layer),
            membranes[i],
            jax.tree.leaves(state),
            decays_of(layer),
            params.get("recurrent"),
            spikes_bar,
            given.membranes[i] if given.membranes else None,
            jax.tree.leaves(given.states[i]),
        )
        states.append(jax.tree.unflatten(jax.tree.structure(state), start_bar))
        below = operands.xs if i == 0 else chain.layers[i - 1].spikes_of(membranes[i - 1])
        gradient = {}
        if "input" in params:
            gradient["input"] = _sum_of_products(drive_bar, below)
        if layer.input_bias:
            gradient["input_bias"] = drive_bar.sum((0, 1))
        if feedback_bar is not None:
            spikes = layer.spikes_of(membranes[i])
            before = jnp.concatenate([state.spikes[None], spikes])[: len(spikes)]
            gradient["recurrent"] = _sum_of_products(feedback_bar, before)
            if layer.recurrent_bias:
                gradient["recurrent_bias"] = feedback_bar.sum((0, 1))
        gradients.append(gradient)
        if i == 0 and chain.driven:
            spikes_bar = drive_bar
        elif i > 0 or with_xs:
            spikes_bar = plain_product(params["input"].T, drive_bar)
    return Pulled(spikes_bar if with_xs else None, states[::-1], gradients[::-1])


def _sum_of_products(rows: Array, columns: Array) -> Any:
    """Of all steps and samples: (time, batch, n) and (time, batch, m) to (n, m)."""
    return jnp.einsum("tbn,tbm->nm", rows, columns, precision=jax.lax.Precision.HIGHEST)
