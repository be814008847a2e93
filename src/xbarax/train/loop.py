"""The training loop: updates over an epoch, accuracy over the test data."""

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
import optax
from jax import Array
from jax import numpy as jnp

from xbarax import snn
from xbarax.array import apply_updates

Batch = tuple[np.ndarray, np.ndarray]
Update = Callable[[Any, Any, np.ndarray, np.ndarray], tuple[Any, Any, Array]]
Accuracy = Callable[[Any, np.ndarray, np.ndarray], Array]
Evaluation = Callable[[Any, np.ndarray, np.ndarray], tuple[Array, Array]]


@functools.lru_cache(maxsize=16)
def make_update(
    net: snn.Sequential, optimiser: optax.GradientTransformation, donate: bool = True
) -> Update:
    """The compiled training step on one batch.

    The loss is the notebook's `xbarax.snn.spike_count_cross_entropy`, summed over the batch. Equal
    networks with the same optimiser share one compiled step.

    Args:
      net: the network.
      optimiser: an optax optimiser; one that needs parameter values goes through `xbarax.plain`.
      donate: whether the step may reuse the memory of the parameters and the optimiser's state it
        is given, which are gone afterwards. Not for real chips: their arrays are not memory.

    Returns:
      `update(params, opt_state, spikes, labels) -> (params, opt_state, loss)`.
    """

    def batch_loss(params: Any, spikes: Array, labels: Array) -> Array:
        output, _ = snn.unroll(net, params, spikes)
        return snn.spike_count_cross_entropy(output, labels)

    def update(params: Any, opt_state: Any, spikes: Array, labels: Array) -> tuple[Any, Any, Array]:
        loss, gradients = jax.value_and_grad(batch_loss)(params, spikes, labels)
        updates, opt_state = optimiser.update(gradients, opt_state, params)
        return apply_updates(params, updates), opt_state, loss

    return jax.jit(update, donate_argnums=(0, 1) if donate else ())


@functools.lru_cache(maxsize=16)
def make_accuracy(net: snn.Sequential) -> Accuracy:
    """The compiled share of a batch's samples that the network classifies as labelled.

    Returns:
      `accuracy(params, spikes, labels) -> share`.
    """

    def accuracy(params: Any, spikes: Array, labels: Array) -> Array:
        output, _ = snn.unroll(net, params, spikes)
        return snn.spike_count_accuracy(output, labels)

    return jax.jit(accuracy)


@functools.lru_cache(maxsize=16)
def make_evaluation(net: snn.Sequential) -> Evaluation:
    """What `make_accuracy` gives, and with it which layers spike at all, (layers,) bool."""

    def evaluate(params: Any, spikes: Array, labels: Array) -> tuple[Array, Array]:
        output, _, records = snn.unroll(net, params, spikes, record=True)
        spiking = jnp.stack([jnp.any(record.spikes > 0) for record in records])
        return snn.spike_count_accuracy(output, labels), spiking

    return jax.jit(evaluate)


def train_epoch(
    update: Update, params: Any, opt_state: Any, batches: Iterable[Batch]
) -> tuple[Any, Any, float]:
    """Trains on each batch once.

    Args:
      update: what `make_update` returned.
      params: parameters.
      opt_state: the optimiser's state.
      batches: the batches, at least one.

    Returns:
      Parameters, the optimiser's state, and the mean loss per sample. Each batch's loss is that of
      the parameters before its update.
    """
    losses, samples = [], 0
    for spikes, labels in batches:
        params, opt_state, loss = update(params, opt_state, spikes, labels)
        losses.append(loss)  # not looked at before the epoch ends, so that steps run ahead
        samples += len(labels)
    return params, opt_state, math.fsum(map(float, losses)) / samples


def measure_accuracy(accuracy: Accuracy, params: Any, batches: Iterable[Batch]) -> float:
    """The share of all samples that are classified as labelled.

    Every sample counts once. The notebook takes the mean of its full batches' accuracies and leaves
    out the samples of the last, partial one.

    Args:
      accuracy: what `make_accuracy` returned.
      params: parameters.
      batches: the batches, at least one.

    Raises:
      ValueError: a batch has no share of right answers, since a label is out of range.
    """
    correct, samples = 0, 0
    for spikes, labels in batches:
        share = float(accuracy(params, spikes, labels))
        if not 0 <= share <= 1:
            raise ValueError(
                f"measure_accuracy: expected a share in [0, 1], given {share} for a batch with "
                f"labels {min(labels)} to {max(labels)}: is one out of range?"
            )
        # Shares of whole samples: rounding gives the count back exactly.
        correct += round(share * len(labels))
        samples += len(labels)
    return correct / samples
