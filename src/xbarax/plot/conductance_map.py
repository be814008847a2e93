"""The conductance map: a crossbar's weights or conductances where they sit in the array."""

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from xbarax.plot._cells import cell_axes, cell_figure_size, cell_heading
from xbarax.plot._style import DIVERGING, SEQUENTIAL, caption, siemens


def conductance_map(weights: ArrayLike, title: str = "", unit: str = "weight") -> Figure:
    """Draws a crossbar's cells as an image: word lines across, bit lines down.

    The colour map diverges and is centred on zero, so that white is zero and equal magnitudes are
    equally strong; where no cell is negative, it begins at the white of zero. Cells that are not
    finite are grey.

    Args:
      weights: the cells' values ``(out, in)``: weights, signed conductances, or a plane of
        ``xbarax.conductances``.
      title: heading; the shape stands beside it.
      unit: what the values are, for the colour bar; ``"S"`` for conductances in siemens, which
        are then shown in µS or what suits their size.

    Returns:
      A figure with the image and its colour bar.

    Raises:
      ValueError: the weights are not two-dimensional, or empty.
    """
    values = np.asarray(weights, dtype=float)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"weights: expected axes (out, in), given shape {values.shape}")
    if unit == "S":
        scale, unit = siemens(values)
        values, unit = scale * values, f"conductance ({unit})"
    outputs, inputs = values.shape
    finite = values[np.isfinite(values)]
    largest = float(np.abs(finite).max()) if finite.size else 0.0
    limit = largest if largest > 0 else 1.0
    signed = largest == 0 or float(finite.min()) < 0
    colours = (colormaps[DIVERGING] if signed else SEQUENTIAL).with_extremes(bad="#9a9a9a")

    width, height = cell_figure_size(outputs, inputs)
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(
        values, cmap=colours, vmin=-limit if signed else 0.0, vmax=limit, aspect="auto",
        interpolation="nearest",
    )  # fmt: skip
    cell_axes(axes, outputs, inputs)
    caption(axes, cell_heading(title, outputs, inputs))
    bar = figure.colorbar(image, ax=axes, fraction=0.15 / width, pad=0.02, aspect=height / 0.15)
    bar.set_label(unit)
    bar.outline.set_visible(False)
    return figure
