"""An independent simulator: the equations of the documentation, step by step, layer by layer.

It shares no code with the package: a Python loop over time outside of one over layers, all arrays
of one sample, the products as sums over explicit indices.
"""

import jax
from jax import numpy as jnp


@jax.custom_jvp
def step_function(x, beta):
    return jnp.where(x > 0, 1.0, 0.0)


@step_function.defjvp
def _(primals, tangents):
    x, beta = primals
    slope = 1 / (beta * jnp.abs(x) + 1) / (beta * jnp.abs(x) + 1)
    return step_function(x, beta), slope * tangents[0]


def simulate(net, params, xs):
    """Spikes and membranes of each layer, (time, batch, size), for xs (time, batch, inputs)."""
    return jax.vmap(lambda x: _one_sample(net, params, x), in_axes=1, out_axes=1)(xs)


def _one_sample(net, params, xs):
    states = [[jnp.zeros(layer.size)] * 4 for layer in net.layers]
    history = [([], []) for _ in net.layers]
    for x in xs:
        for n, (layer, p) in enumerate(zip(net.layers, params, strict=True)):
            states[n] = _one_step(layer, p, states[n], x)
            x = states[n][3]
            history[n][0].append(x)
            history[n][1].append(states[n][0])
    return [(jnp.stack(spikes), jnp.stack(membranes)) for spikes, membranes in history]


def _one_step(layer, p, state, x):
    u, i, ir, s = state
    alpha, beta, beta_r = (
        jnp.asarray(d) for d in (layer.membrane_decay, layer.input_decay, layer.recurrent_decay)
    )
    inputs = (p["input"] * x).sum(axis=1)
    if "input_bias" in p:
        inputs = inputs + p["input_bias"]
    feedback = (p["recurrent"] * s).sum(axis=1) if "recurrent" in p else jnp.zeros(layer.size)
    if "recurrent_bias" in p:
        feedback = feedback + p["recurrent_bias"]
    reset = jax.lax.stop_gradient(s) if layer.detach_reset else s
    kept = {
        "zero": alpha * u * (1 - reset),
        "subtract": alpha * u - layer.threshold * reset,
        "none": alpha * u,
    }[layer.reset]
    new_u = kept + (1 - alpha) * (layer.input_gain * i + ir)
    new_i = beta * i + (1 - beta) * inputs
    new_ir = beta_r * ir + (1 - beta_r) * feedback
    return [new_u, new_i, new_ir, step_function(new_u - layer.threshold, layer.surrogate.beta)]
