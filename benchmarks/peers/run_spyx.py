"""spyx's program: `Sequential` of `Linear` and `RCuBaLIF` or `CuBaLIF`; see `compare.py`.

Its neuron has one current for inputs and feedback, and subtracts the threshold after a spike.
"""

from typing import Any

import jax
import numpy as np
import optax
import spyx
from flax import nnx
from jax import numpy as jnp
from serve import (
    ALPHA,
    BETA,
    BETA_RECURRENT,
    GAIN,
    LEARNING_RATE,
    STEEPNESS,
    Case,
    case_of_command,
    count_loss,
    serve,
)


def network(case: Case) -> spyx.nn.Sequential:
    """The layers, with the case's weights."""
    rngs = nnx.Rngs(0)
    settings = {"alpha": BETA, "beta": ALPHA, "activation": spyx.axn.superspike(STEEPNESS)}
    layers: list[Any] = []
    for i, matrix in enumerate(case.inputs):
        size, inputs = matrix.shape
        linear = nnx.Linear(inputs, size, use_bias=False, rngs=rngs)
        linear.kernel[...] = jnp.asarray(matrix.T)
        if case.recurrent is None:
            neuron = spyx.nn.CuBaLIF((size,), **settings, rngs=rngs)
        else:
            neuron = spyx.nn.RCuBaLIF((size,), **settings, rngs=rngs)
            neuron.recurrent_w[...] = jnp.asarray(case.recurrent[i].T)
        layers += [linear, neuron]
    return spyx.nn.Sequential(*layers)


class Spyx:
    """The network, its weights trained and its decay constants not; all in one jitted function."""

    def __init__(self, case: Case):
        case = case.scaled(GAIN * (1 - ALPHA) * (1 - BETA), (1 - ALPHA) * (1 - BETA_RECURRENT))
        optimiser = optax.sgd(LEARNING_RATE)
        self._xs, self._labels = jnp.asarray(case.xs), jnp.asarray(case.labels)
        is_weight = lambda path, value: path[-1] in ("kernel", "recurrent_w")
        graph, self._weights, self._rest = nnx.split(network(case), is_weight, ...)
        self._state = optimiser.init(self._weights)

        def loss(weights: Any, rest: Any, xs: Any, labels: Any) -> Any:
            spikes, _ = spyx.nn.run(nnx.merge(graph, weights, rest), xs)
            return count_loss(jax.nn.log_softmax(spikes.sum(0)), labels, spikes.shape[-1])

        def step(weights: Any, state: Any, rest: Any, xs: Any, labels: Any) -> Any:
            value, gradients = jax.value_and_grad(loss)(weights, rest, xs, labels)
            updates, state = optimiser.update(gradients, state, weights)
            return optax.apply_updates(weights, updates), state, value

        self._graph, self._loss, self._step = graph, jax.jit(loss), jax.jit(step)

    def tune(self) -> None:
        """XLA has nothing to choose."""

    def forward(self) -> float:
        """The loss."""
        return float(self._loss(self._weights, self._rest, self._xs, self._labels))

    def step(self) -> float:
        """The loss, and an update."""
        self._weights, self._state, loss = self._step(
            self._weights, self._state, self._rest, self._xs, self._labels
        )
        return float(loss)

    def spike_rates(self) -> list[float]:
        """Spikes a step of each layer."""
        layers = nnx.merge(self._graph, self._weights, self._rest).layers
        rates, xs = [], self._xs
        for linear, neuron in zip(layers[::2], layers[1::2], strict=True):
            xs, _ = spyx.nn.run(spyx.nn.Sequential(linear, neuron), xs)
            rates.append(float(np.mean(xs)))
        return rates


if __name__ == "__main__":
    serve(Spyx, case_of_command(), ["spyx", "jax"])
