"""A device's data sheet: what was measured of it, side by side."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from xbarax.plot._style import INK
from xbarax.plot.drift import draw_drift
from xbarax.plot.programming_error import draw_programming_error
from xbarax.plot.response_curve import draw_response_curve


def device_sheet(
    title: str = "",
    response: tuple[ArrayLike, ArrayLike] | None = None,
    error: tuple[ArrayLike, ArrayLike] | None = None,
    drift: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
    note: str = "",
) -> Figure:
    """Draws what is known of a device, a panel for each.

    Args:
      title: heading of the whole figure.
      response: branches up and down, (pulses + 1, cells), in siemens: see `response_curve`.
      error: targets and errors, in siemens: see `programming_error`.
      drift: seconds, conductances and targets: see `drift`.
      note: a line below the panels.

    Returns:
      A figure with the panels beside each other.

    Raises:
      ValueError: nothing to draw.
    """
    count = sum(data is not None for data in (response, error, drift))
    if count == 0:
        raise ValueError("device_sheet: expected response, error or drift, given none of them")
    figure = Figure(figsize=(5.6 * count, 4.2), dpi=120, layout="constrained")
    panels = iter(figure.subplots(1, count, squeeze=False)[0])
    if response is not None:
        up, down = (np.asarray(branch, dtype=float) for branch in response)
        draw_response_curve(next(panels), (up, down), None, "response")
    if error is not None:
        draw_programming_error(next(panels), *error, "programming error")
    if drift is not None:
        draw_drift(next(panels), *drift, "drift")
    if title:
        figure.suptitle(title, fontsize=11, color=INK)
    if note:
        figure.supxlabel(note, fontsize=8, color=INK)
    return figure
