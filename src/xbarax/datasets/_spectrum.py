"""The spectra of random manifolds: a coordinate's frequencies, and how strong each is."""

import dataclasses
from typing import Literal, get_args

import numpy as np

Spectrum = Literal["notebook", "pytorch", "paper"]

PRECISION = 1e-3
"""Amplitude, relative to the first, below which the generators leave a frequency out."""

MAX_FREQUENCIES = 1000
"""Most frequencies a series has; the paper's series always has this many."""


@dataclasses.dataclass(frozen=True)
class FourierSeries:
    """Frequencies and amplitudes of one coordinate's series.

    Args:
      frequencies: shape ``(F,)``, cycles over the unit interval (before the random stretch).
      amplitudes: shape ``(F,)``, dimensionless.
      constant: whether the first term has frequency 0. It only shifts the manifold, and the
        generators set its random strength to zero.
    """

    frequencies: np.ndarray
    amplitudes: np.ndarray
    constant: bool


def fourier_series(spectrum: str, alpha: float) -> FourierSeries:
    """The series that a choice of ``spectrum`` stands for, at smoothness ``alpha``.

    With ``F = min(ceil(1e-3^(-1/alpha)), 1000)`` and ``i = 0 … F-1``:

    - ``"notebook"``: amplitudes ``(i+1)^-alpha`` at frequencies ``i``;
    - ``"pytorch"``: amplitudes ``1 / ((i+1)^alpha + 1)`` at frequencies ``i``;
    - ``"paper"``: amplitudes ``k^-alpha`` at frequencies ``k = 1 … 1000``.

    Raises:
      ValueError: ``spectrum`` is none of these, or ``alpha`` is not positive and finite.

    Source: Zenke & Vogels, Neural Computation 33(4), 2021 (``"paper"``), and the NumPy and PyTorch
    generators that its authors published with it.
    """
    choices = get_args(Spectrum)
    if spectrum not in choices:
        raise ValueError(
            f"spectrum: expected one of {', '.join(map(repr, choices))}, given {spectrum!r}"
        )
    if not (np.isfinite(alpha) and alpha > 0):
        raise ValueError(f"alpha: expected a positive, finite smoothness, given {alpha}")
    if spectrum == "paper":
        harmonics = np.arange(1, MAX_FREQUENCIES + 1)
        return FourierSeries(harmonics, harmonics ** -float(alpha), constant=False)
    with np.errstate(over="ignore"):  # a small alpha asks for more frequencies than a float counts
        wanted = np.ceil(np.power(PRECISION, -1.0 / alpha))
    frequencies = np.arange(int(min(wanted, MAX_FREQUENCIES)))
    power = (frequencies + 1.0) ** alpha
    amplitudes = 1.0 / power if spectrum == "notebook" else 1.0 / (power + 1.0)
    return FourierSeries(frequencies, amplitudes, constant=True)
