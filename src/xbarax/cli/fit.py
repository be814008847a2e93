"""``xbarax fit``: fits a pulse model to a measured response curve."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from xbarax.chip import device
from xbarax.cli.errors import UserError
from xbarax.cli.figure_file import FigureFile, check_figure_file, write_figure
from xbarax.cli.options import parse_options

_COMMAND = "xbarax fit"
_DESCRIPTION = (
    "Fits a pulse model to a measured response curve, and prints the device that comes out as "
    "code. The CSV file has columns named up and down: conductances in siemens, where each branch "
    "begins and after each pulse, a line a pulse; the shorter column ends with empty cells. "
    "Semicolons or tabs may stand for the commas."
)

_MODELS: dict[str, type[device.AbstractPulsed]] = {
    "constant_step": device.ConstantStep,
    "linear_step": device.LinearStep,
    "soft_bounds": device.SoftBounds,
    "exponential_step": device.ExponentialStep,
    "power_step": device.PowerStep,
}

_Model = Literal["constant_step", "linear_step", "soft_bounds", "exponential_step", "power_step"]


@dataclasses.dataclass(frozen=True)
class _Options:
    curve: Annotated[
        tyro.conf.Positional[Path | None],
        tyro.conf.arg(metavar="CURVE.csv", help_behavior_hint=""),
    ] = None
    """the measured curve."""

    model: _Model = "soft_bounds"
    """the pulse model."""

    out: FigureFile = None
    """where to draw the fit over the measured points."""


def run(arguments: Sequence[str]) -> int:
    """Runs the subcommand.

    Args:
      arguments: the words that follow it.

    Returns:
      The exit code.

    Raises:
      UserError: the options or the curve cannot be used.
    """
    options = parse_options(_COMMAND, arguments, _Options(), _DESCRIPTION)
    if options.curve is None:
        raise UserError(f"expected a file, {_COMMAND} CURVE.csv, given none")
    if options.out is not None:
        check_figure_file("--out", options.out)
    try:
        up, down = device.read_response_csv(options.curve)
    except OSError as error:
        raise UserError(f"{options.curve}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(str(error)) from error
    try:
        fit = device.fit_response(up, down, _MODELS[options.model])
    except ValueError as error:
        raise UserError(f"{options.curve}: {error}") from error
    print(fit.report())
    if options.out is not None:
        write_figure("--out", options.out, lambda: _draw(fit))
    return 0


def _draw(fit: device.Fit) -> object:
    from xbarax import plot

    return plot.response_curve(*fit.curve, measured=fit.measured, title=type(fit.device).__name__)
