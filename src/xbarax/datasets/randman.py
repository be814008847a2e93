"""Randman: classes of spike trains whose spike times lie on smooth random manifolds.

A sample is a point ``x`` of a ``D``-dimensional cube; each unit's spike time is a smooth random
function of it. Whoever wants to tell the classes apart has to read spike *times*: every unit of
every sample fires equally often. ``D`` sets how many ways a class varies, ``alpha`` how smoothly.

Source: Zenke & Vogels, *The Remarkable Robustness of Surrogate Gradient Learning for Instilling
Complex Function in Spiking Neural Networks*, Neural Computation 33(4), 2021.
"""

import dataclasses

import numpy as np

from xbarax.datasets._check import check_generator, check_positive_integer
from xbarax.datasets._spectrum import FourierSeries, Spectrum, fourier_series

_STANDARDISATION_EPSILON = 1e-7
"""Keeps what does not vary finite, and every value below 1; the published generators' value."""


@dataclasses.dataclass(frozen=True)
class _Raster:
    """What every class of one data set shares."""

    units: int
    steps: int
    active_steps: float
    series: FourierSeries


def make_spike_raster_dataset(
    rng: np.random.Generator,
    nb_classes: int = 10,
    nb_units: int = 100,
    nb_steps: int = 100,
    step_frac: float = 1.0,
    dim_manifold: int = 2,
    nb_spikes: int = 1,
    nb_samples: int = 1000,
    alpha: float = 2.0,
    shuffle: bool = True,
    *,
    spectrum: Spectrum = "notebook",
) -> tuple[np.ndarray, np.ndarray]:
    """Draws a labelled data set of spike rasters from random manifolds.

    Unit ``m`` of class ``c`` has, for each of its spikes, a random function of the sample's point
    ``x ~ U(0, 1)^D``::

        f_m(x) = Π_d Σ_i θ[m,d,0,i] s_i sin(2π (k_i x_d θ[m,d,1,i] + θ[m,d,2,i])),  θ ~ U(0, 1)

    with frequencies ``k`` and amplitudes ``s`` of the chosen spectrum; the strength of a frequency
    0 is set to zero. Over the samples of the class the values are standardised to ``(y - min) /
    (max - min + 1e-7)`` and become spike times ``y * nb_steps * step_frac``, counted in the bin
    ``floor(time)``. Spikes of one unit that fall into the same bin add up.

    The same generator state gives the same data, bit for bit; one data set takes a fixed number of
    draws from ``rng``, whatever the manifolds look like: one integer per (class, spike), from which
    that manifold's own generator is seeded, then the points class by class, then the shuffle.

    Args:
      rng: Generator that everything is drawn from.
      nb_classes: number of classes.
      nb_units: number of units that spike (``M``, the dimension that the manifold is embedded in).
      nb_steps: number of time bins.
      step_frac: share of the bins, from the first, that spikes fall into; in (0, 1].
      dim_manifold: dimension ``D`` of each manifold.
      nb_spikes: spikes of each unit in each sample; each has its own manifold.
      nb_samples: samples of each class.
      alpha: smoothness of the manifolds, positive; larger is smoother.
      shuffle: whether to mix the classes; without it, samples are ordered by class.
      spectrum: ``"notebook"`` (amplitudes ``(i+1)^-alpha`` at frequencies ``i = 0 … F-1``, ``F =
        min(ceil(1e-3^(-1/alpha)), 1000)``), ``"pytorch"`` (``1 / ((i+1)^alpha + 1)`` at the same
        frequencies) or ``"paper"`` (``k^-alpha`` at ``k = 1 … 1000``).

    Returns:
      Spike counts ``(sample, time, unit)`` float32 and labels ``(sample,)`` int32, with
      ``nb_classes * nb_samples`` samples.

    Raises:
      TypeError: ``rng`` is not a Generator, or a count is not an integer.
      ValueError: a count is below 1, ``step_frac`` is outside (0, 1], ``alpha`` is not positive and
        finite, or the spectrum is unknown.
    """
    check_generator("rng", rng)
    nb_classes = check_positive_integer("nb_classes", nb_classes)
    nb_units = check_positive_integer("nb_units", nb_units)
    nb_steps = check_positive_integer("nb_steps", nb_steps)
    dim_manifold = check_positive_integer("dim_manifold", dim_manifold)
    nb_spikes = check_positive_integer("nb_spikes", nb_spikes)
    nb_samples = check_positive_integer("nb_samples", nb_samples)
    if not 0.0 < step_frac <= 1.0:
        raise ValueError(f"step_frac: expected a share in (0, 1], given {step_frac}")
    raster = _Raster(nb_units, nb_steps, nb_steps * step_frac, fourier_series(spectrum, alpha))

    seeds = rng.integers(2**63 - 1, size=(nb_classes, nb_spikes))
    points = [rng.random((nb_samples, dim_manifold)) for _ in range(nb_classes)]
    order = np.arange(nb_classes * nb_samples)
    if shuffle:
        rng.shuffle(order)
    data = _draw_classes(points, seeds, order, raster)
    return data, (order // nb_samples).astype(np.int32)


def _draw_classes(
    points: list[np.ndarray], seeds: np.ndarray, order: np.ndarray, raster: _Raster
) -> np.ndarray:
    """The rasters of all samples: in row ``i`` sample ``order[i]``, counted class by class."""
    # Filling shuffled rows directly saves a copy of the whole data set.
    row = np.empty_like(order)
    row[order] = np.arange(order.size)
    data = np.zeros((order.size, raster.steps, raster.units), np.float32)
    rows_of_class = row.reshape(len(points), -1)
    for rows, at, manifolds in zip(rows_of_class, points, seeds, strict=True):
        for seed in manifolds:
            _add_spikes(data, rows, at, int(seed), raster)
    return data


def _add_spikes(
    data: np.ndarray, rows: np.ndarray, points: np.ndarray, seed: int, raster: _Raster
) -> None:
    """Adds a spike of each unit to the given rows, at times from the manifold of ``seed``."""
    values = _evaluate_manifold(np.random.default_rng(seed), points, raster.units, raster.series)
    low, high = values.min(axis=0), values.max(axis=0)
    times = (values - low) / (high - low + _STANDARDISATION_EPSILON) * raster.active_steps
    bins = np.minimum(np.floor(times).astype(np.int64), raster.steps - 1)
    np.add.at(data, (rows[:, None], bins, np.arange(raster.units)[None, :]), 1.0)


def _evaluate_manifold(
    rng: np.random.Generator, points: np.ndarray, units: int, series: FourierSeries
) -> np.ndarray:
    """The random functions' values, ``(sample, unit)``, at points ``(sample, dimension)``."""
    dimensions = points.shape[1]
    theta = rng.uniform(0.0, 1.0, (units, dimensions, 3, series.frequencies.size))
    if series.constant:
        theta[:, :, 0, 0] = 0.0
    values = np.ones((points.shape[0], units))
    for d in range(dimensions):
        # One frequency at a time: all at once would hold a (sample, unit, frequency) array.
        total = np.zeros_like(values)
        for i, (frequency, amplitude) in enumerate(
            zip(series.frequencies, series.amplitudes, strict=True)
        ):
            strength, stretch, phase = theta[:, d, :, i].T
            angle = 2.0 * np.pi * (frequency * points[:, d, None] * stretch + phase)
            total += strength * amplitude * np.sin(angle)
        values *= total
    return values
