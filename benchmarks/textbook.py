"""The program that textbooks write for a spiking network: what `training_step.py` measures against.

Every sample for itself, `vmap` over the batch; every time step for itself, all layers in it, `scan`
over time. The same neurons, loss and gradients as `xbarax.snn`, in plain JAX.
"""

from typing import Any

import jax
from jax import Array
from jax import numpy as jnp

ALPHA, BETA, BETA_RECURRENT, GAIN, STEEPNESS = 0.95, 0.9, 0.85, 20.0, 10.0


@jax.custom_jvp
def spike(x: Array) -> Array:
    """One above the threshold, zero below."""
    return (x > 0).astype(x.dtype)


@spike.defjvp
def _spike_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (STEEPNESS * jnp.abs(x) + 1.0) ** 2


def layer_step(weights: dict[str, Array], state: Any, x: Array) -> tuple[Any, Array]:
    """A layer of one sample, from one time step to the next: (inputs,) to spikes (size,)."""
    membrane, current, recurrent, spikes = state
    reset = 1.0 - jax.lax.stop_gradient(spikes)
    membrane = ALPHA * reset * membrane + (1.0 - ALPHA) * (GAIN * current + recurrent)
    current = BETA * current + (1.0 - BETA) * (weights["input"] @ x)
    if "recurrent" in weights:
        feedback = weights["recurrent"] @ spikes
        recurrent = BETA_RECURRENT * recurrent + (1.0 - BETA_RECURRENT) * feedback
    spikes = spike(membrane - 1.0)
    return (membrane, current, recurrent, spikes), spikes


def run_sample(params: list[dict[str, Array]], xs: Array) -> Array:
    """The last layer's spikes (time, classes) of one sample (time, inputs)."""

    def step(states: list[Any], x: Array) -> tuple[list[Any], Array]:
        new = []
        for weights, state in zip(params, states, strict=True):
            state, x = layer_step(weights, state, x)
            new.append(state)
        return new, x

    rest = [(jnp.zeros(len(weights["input"])),) * 4 for weights in params]
    return jax.lax.scan(step, rest, xs)[1]


def loss(params: list[dict[str, Array]], xs: Array, labels: Array) -> Array:
    """The notebook's loss, of inputs (time, batch, inputs) and labels (batch,)."""
    spikes = jax.vmap(run_sample, in_axes=(None, 1))(params, xs)
    log_shares = jax.nn.log_softmax(spikes.sum(1))
    chosen = jnp.take_along_axis(log_shares, labels[:, None], axis=1)
    return -chosen.sum() / spikes.shape[-1]
