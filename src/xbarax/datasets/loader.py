"""Cuts a data set into time-major batches."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from xbarax.datasets._check import check_generator, check_positive_integer


class BatchLoader:
    """Passes over a data set in batches, in order or newly shuffled on each pass.

    Iterating gives ``(spikes, labels)`` with spikes ``(time, batch, unit)`` and labels
    ``(batch,)``. With a generator, each pass draws one ``rng.permutation(n)`` when it starts, so a
    pass depends on nothing but the generator's state at that moment.

    Args:
      data: rasters ``(sample, time, unit)``.
      labels: the samples' classes, integers ``(sample,)``, none negative.
      batch_size: samples in a batch.
      rng: generator that shuffles; ``None`` keeps the samples in order.
      drop_last: whether to leave out the last batch where it is smaller than the others. Kept, it
        has the samples that remain.

    Raises:
      TypeError: the labels are not integers, ``batch_size`` is not an integer, or ``rng`` is not a
        Generator.
      ValueError: shapes do not fit, a label is negative, ``batch_size`` is below 1, or there would
        be no batch.
    """

    def __init__(
        self,
        data: ArrayLike,
        labels: ArrayLike,
        batch_size: int,
        rng: np.random.Generator | None = None,
        drop_last: bool = True,
    ):
        self._data = np.asarray(data)
        self._labels = np.asarray(labels)
        self._batch_size = check_positive_integer("batch_size", batch_size)
        self._rng = None if rng is None else check_generator("rng", rng)
        self._drop_last = drop_last
        _check_samples(self._data, self._labels)
        if len(self) == 0:
            raise ValueError(
                f"batch_size: expected at most the number of samples, {len(self._data)}, since "
                f"drop_last leaves partial batches out, given {self._batch_size}"
            )

    def __len__(self) -> int:
        """Number of batches in a pass."""
        full, remaining = divmod(len(self._data), self._batch_size)
        return full + (remaining > 0 and not self._drop_last)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Starts a pass, drawing its order if the loader shuffles."""
        count = len(self._data)
        order = np.arange(count) if self._rng is None else self._rng.permutation(count)
        return self._batches(order)

    def _batches(self, order: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(self) * self._batch_size, self._batch_size):
            chosen = order[start : start + self._batch_size]
            yield self._data[chosen].transpose(1, 0, 2), self._labels[chosen]


def _check_samples(data: np.ndarray, labels: np.ndarray) -> None:
    if data.ndim != 3:
        raise ValueError(f"data: expected axes (sample, time, unit), given shape {data.shape}")
    if labels.ndim != 1:
        raise ValueError(f"labels: expected one axis (sample,), given shape {labels.shape}")
    if len(data) != len(labels):
        raise ValueError(
            f"labels: expected one for each of {len(data)} samples, given {len(labels)}"
        )
    if len(data) == 0:
        raise ValueError("data: expected at least one sample, given none")
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"labels: expected integers, given {labels.dtype}")
    if labels.min() < 0:
        sample = int(labels.argmin())
        raise ValueError(
            f"labels: expected none negative, given {labels[sample]} for sample {sample}"
        )
