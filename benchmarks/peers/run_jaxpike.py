"""jaxpike's program: `Dense` and `LIF` in `Sequential`, or `Graph` for feedback; see `compare.py`.

Its neuron has a membrane alone and no currents, so that it does less than the others', and
subtracts the threshold after a spike.
"""

from typing import Any

import equinox as eqx
import jax
import jaxpike
import numpy as np
import optax
from jax import numpy as jnp
from serve import (
    ALPHA,
    GAIN,
    LEARNING_RATE,
    STEEPNESS,
    Case,
    case_of_command,
    count_loss,
    serve,
)

# Without a current a spike moves the membrane at once, and further; so that the membranes' variance
# is that of the neuron with currents.
SHARPER_INPUT, SHARPER_FEEDBACK = 0.82, 0.87


def dense(matrix: np.ndarray) -> Any:
    """A product with the matrix."""
    size, inputs = matrix.shape
    layer = jaxpike.Dense(inputs, size, key=jax.random.key(0), use_bias=False)
    return eqx.tree_at(lambda layer: layer.weight, layer, jnp.asarray(matrix))


def neuron() -> Any:
    """A layer of neurons."""
    surrogate = jaxpike.FastSigmoid(slope=STEEPNESS)
    return jaxpike.LIF(tau=-1 / np.log(ALPHA), surrogate=surrogate)


def network(inputs: list[np.ndarray], recurrent: list[np.ndarray] | None) -> Any:
    """The layers, with these weights."""
    if recurrent is None:
        return jaxpike.Sequential(*(part for w in inputs for part in (dense(w), neuron())))
    nodes, edges, before = {}, [], "input"
    for i, (w, v) in enumerate(zip(inputs, recurrent, strict=True)):
        nodes |= {f"in{i}": dense(w), f"lif{i}": neuron(), f"back{i}": dense(v)}
        edges += [(before, f"in{i}"), (f"in{i}", f"lif{i}")]
        edges += [(f"lif{i}", f"back{i}"), (f"back{i}", f"lif{i}")]
        before = f"lif{i}"
    return jaxpike.Graph(nodes=nodes, edges=edges, output=before)


class Jaxpike:
    """The network, its weights trained and its time constants not; all in one jitted function."""

    def __init__(self, case: Case):
        self._case = case = case.scaled(GAIN * SHARPER_INPUT, SHARPER_FEEDBACK)
        optimiser = optax.sgd(LEARNING_RATE)
        net = network(case.inputs, case.recurrent)
        is_weight = jax.tree.map(lambda leaf: eqx.is_array(leaf) and leaf.ndim == 2, net)
        self._weights, rest = eqx.partition(net, is_weight)
        self._state = optimiser.init(self._weights)
        self._xs, self._labels = jnp.asarray(case.xs), jnp.asarray(case.labels)

        def loss(weights: Any, xs: Any, labels: Any) -> Any:
            spikes, _ = jaxpike.unroll(eqx.combine(weights, rest), xs)
            return count_loss(jax.nn.log_softmax(spikes.sum(0)), labels, spikes.shape[-1])

        def step(weights: Any, state: Any, xs: Any, labels: Any) -> Any:
            value, gradients = jax.value_and_grad(loss)(weights, xs, labels)
            updates, state = optimiser.update(gradients, state, weights)
            return optax.apply_updates(weights, updates), state, value

        self._loss, self._step = jax.jit(loss), jax.jit(step)

    def tune(self) -> None:
        """XLA has nothing to choose."""

    def forward(self) -> float:
        """The loss."""
        return float(self._loss(self._weights, self._xs, self._labels))

    def step(self) -> float:
        """The loss, and an update."""
        self._weights, self._state, loss = self._step(
            self._weights, self._state, self._xs, self._labels
        )
        return float(loss)

    def spike_rates(self) -> list[float]:
        """Spikes a step of each layer."""
        rates, xs = [], self._xs
        for i, matrix in enumerate(self._case.inputs):
            recurrent = self._case.recurrent and [self._case.recurrent[i]]
            xs, _ = jaxpike.unroll(network([matrix], recurrent), xs)
            rates.append(float(np.mean(xs)))
        return rates


if __name__ == "__main__":
    serve(Jaxpike, case_of_command(), ["jaxpike", "jax"])
