"""Drift: what time does to programmed conductances."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter
from numpy.typing import ArrayLike

from xbarax.plot._style import FAINT, caption, siemens, tidy

_TIMES = {
    "1 µs": 1e-6,
    "1 ms": 1e-3,
    "1 s": 1.0,
    "1 min": 60.0,
    "1 h": 3600.0,
    "1 day": 86_400.0,
    "1 month": 30.44 * 86_400.0,
    "1 year": 365.25 * 86_400.0,
    "10 years": 3652.5 * 86_400.0,
}
"""Ticks, by the times that one speaks of."""


def drift(
    seconds: ArrayLike,
    conductances: ArrayLike,
    targets: ArrayLike | None = None,
    title: str = "",
    log: bool = False,
) -> Figure:
    """Draws conductances over decades of time: for each target the cells' mean and ± one σ.

    Args:
      seconds: (times,), above 0: ages, as `xbarax.age` counts them.
      conductances: (times, targets, cells), in siemens.
      targets: (targets,), in siemens, to write beside the lines.
      title: heading.
      log: whether conductances are on a logarithmic axis too, on which power laws are straight;
        means that are not positive are left out there.

    Returns:
      A figure with one panel.

    Raises:
      ValueError: shapes that do not fit; times that are not above 0.
    """
    figure = Figure(figsize=(6.4, 4.0), dpi=120, layout="constrained")
    draw_drift(figure.subplots(), seconds, conductances, targets, title, log)
    return figure


def draw_drift(
    axes: Axes,
    seconds: ArrayLike,
    conductances: ArrayLike,
    targets: ArrayLike | None,
    title: str,
    log: bool = False,
) -> None:
    """Draws the panel."""
    times, values, wanted = _check(seconds, conductances, targets)
    scale, unit = siemens(values)
    means, deviations = scale * values.mean(axis=2), scale * values.std(axis=2)
    colours = _colours(means.shape[1])
    axes.set_xscale("log")
    if log:
        axes.set_yscale("log", nonpositive="mask")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    for i, colour in enumerate(colours):
        mean, deviation = means[:, i], deviations[:, i]
        band = mean - deviation, mean + deviation
        axes.fill_between(times, *band, color=colour, alpha=0.2, linewidth=0)
        axes.plot(times, mean, color=colour, linewidth=2.0)
        if wanted is not None and (mean[-1] > 0 or not log):
            axes.annotate(
                f"{scale * wanted[i]:.3g} {unit}", (times[-1], mean[-1]), (5, 0),
                textcoords="offset points", va="center", fontsize=8, color=colour,
                annotation_clip=False,
            )  # fmt: skip
    _time_axis(axes, times)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylabel(f"conductance ({unit})")
    text = f"mean ± σ of {values.shape[2]} cells" if values.shape[2] > 1 else "one cell"
    caption(axes, f"{title}: {text}" if title else text)
    tidy(axes)


def _time_axis(axes: Axes, times: np.ndarray) -> None:
    axes.set_xlim(times.min(), times.max() if len(times) > 1 else 10 * times.max())
    low, high = axes.get_xlim()
    ticks = {name: at for name, at in _TIMES.items() if 0.999 * low <= at <= 1.001 * high}
    if len(ticks) >= 2:
        axes.xaxis.set_major_locator(FixedLocator(list(ticks.values())))
        axes.set_xticklabels(list(ticks))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_minor_locator(FixedLocator([]))
        axes.set_xlabel("age, from the first measurement on")
    else:
        axes.set_xlabel("age, from the first measurement on (s)")


def _colours(count: int) -> list[str]:
    """From light to dark in the order of the targets."""
    return [to_hex(c) for c in colormaps["viridis"](np.linspace(0.8, 0.1, count))]


def _check(
    seconds: ArrayLike, conductances: ArrayLike, targets: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    times, values = np.asarray(seconds, dtype=float), np.asarray(conductances, dtype=float)
    if times.ndim != 1 or times.size == 0 or not (np.isfinite(times) & (times > 0)).all():
        raise ValueError(f"seconds: expected a list of times above 0, given {times}")
    if values.ndim != 3 or len(values) != len(times) or values.size == 0:
        raise ValueError(
            f"conductances: expected axes (times, targets, cells) with {len(times)} times, given "
            f"shape {values.shape}"
        )
    if targets is None:
        return times, values, None
    wanted = np.asarray(targets, dtype=float)
    if wanted.shape != values.shape[1:2]:
        raise ValueError(f"targets: expected axes ({values.shape[1]},), given shape {wanted.shape}")
    return times, values, wanted
