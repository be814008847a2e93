"""Losses and scores of the spikes of a last layer."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Float

from xbarax.snn import _check


def spike_count_cross_entropy(
    spikes: ArrayLike, labels: ArrayLike | Sequence[int]
) -> Float[Array, ""]:
    r"""Cross-entropy of the softmax of the spike counts, over the classes' number, summed.

    .. math:: L = -\sum_b \frac{1}{C} \log \mathrm{softmax}(n_b)_{y_b}, \quad
              n_{bc} = \sum_t S_{tbc}

    It is the notebook's, with its quirks: a sum over the batch, and the division by the number
    of classes `C`, without which its learning rate would mean something else. Two classes with
    equal counts give `ln 2 / 2 = 0.3466` a sample.

    Args:
      spikes: (time, batch, classes), float32: the last layer's spikes, time first.
      labels: (batch,), integers in [0, classes).

    Returns:
      The loss, a float32 scalar; 0 for an empty batch. NaN, and with it its gradient, where a
      label that only the compiled program knows is out of range.

    Raises:
      TypeError: `spikes` is not float32, or `labels` are not integers.
      ValueError: shapes that do not fit; no classes; known labels out of range.

    Derivatives: exact with respect to `spikes`.
    """
    labels = _check_arguments("spike_count_cross_entropy", spikes, labels)
    spikes = jnp.asarray(spikes)
    classes = spikes.shape[2]
    valid = _valid(labels, classes)
    # Times NaN, for the gradient; the loss needs more, for XLA takes 0 · NaN of a one-hot for 0.
    counts = jnp.sum(spikes, axis=0) * jnp.where(valid, 1.0, jnp.nan)[:, None]
    chosen = jnp.asarray(labels[:, None] == jnp.arange(classes), jnp.float32)
    losses = -jnp.sum(chosen * jax.nn.log_softmax(counts), axis=1) / classes
    return jnp.sum(jnp.where(valid, losses, jnp.nan))


def spike_count_accuracy(spikes: ArrayLike, labels: ArrayLike | Sequence[int]) -> Float[Array, ""]:
    """The share of samples whose label is the class that spiked most.

    Args:
      spikes: (time, batch, classes), float32: the last layer's spikes, time first.
      labels: (batch,), integers in [0, classes).

    Returns:
      A float32 scalar in [0, 1]. Where several classes spiked most, the first of them counts.
      NaN where a label that only the compiled program knows is out of range.

    Raises:
      TypeError: `spikes` is not float32, or `labels` are not integers.
      ValueError: shapes that do not fit; no classes; known labels out of range; an empty batch,
        which has no share.

    Derivatives: zero.
    """
    labels = _check_arguments("spike_count_accuracy", spikes, labels)
    spikes = jnp.asarray(spikes)
    _, batch, classes = spikes.shape
    if batch == 0:
        raise ValueError(
            "spike_count_accuracy: spikes: expected at least one sample, given shape "
            f"{spikes.shape}, (time, batch, classes)"
        )
    right = jnp.argmax(jnp.sum(spikes, axis=0), axis=1) == labels
    share = jnp.asarray(right, jnp.float32)
    return jnp.mean(jnp.where(_valid(labels, classes), share, jnp.nan))


def _valid(labels: Array | np.ndarray, classes: int) -> Array:
    """Which labels are in range; those that are known have been checked to be."""
    return jnp.asarray((labels >= 0) & (labels < classes))


def _check_arguments(use: str, spikes: Any, labels: Any) -> Array | np.ndarray:
    """The labels as an array, if they fit to the spikes."""
    _check.float32_array(f"{use}: spikes", spikes)
    labels = labels if isinstance(labels, jax.Array) else np.asarray(labels)
    if spikes.ndim != 3 or spikes.shape[2] == 0:
        raise ValueError(
            f"{use}: spikes: expected (time, batch, classes) with at least one class, given shape "
            f"{spikes.shape}"
        )
    if labels.shape != spikes.shape[1:2]:
        swapped = labels.shape == spikes.shape[:1]
        hint = "; is time the second axis of spikes? spikes.swapaxes(0, 1) makes it the first"
        raise ValueError(
            f"{use}: labels: expected shape {spikes.shape[1:2]} for spikes of shape "
            f"{spikes.shape}, (time, batch, classes), given {labels.shape}{hint if swapped else ''}"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"{use}: labels: expected integers, given {labels.dtype}")
    if not _check.is_traced(labels):
        _check_range(use, np.asarray(labels), spikes.shape[2])
    # Types of fewer bits may not hold the number of classes, which they are compared with.
    return labels.astype(np.int32) if labels.dtype.itemsize < 4 else labels


def _check_range(use: str, labels: np.ndarray, classes: int) -> None:
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise ValueError(
            f"{use}: labels: expected integers in [0, {classes}), given {labels[wrong[0]]} for "
            f"sample {wrong[0]}"
            + (f" ({len(wrong)} of {len(labels)} are out of range)" if len(wrong) > 1 else "")
        )
