"""``xbarax chips``: the published devices that there are."""

import dataclasses
import functools
import textwrap
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import jax
import numpy as np
import tyro

from xbarax.chip import device
from xbarax.chip.device import characterise
from xbarax.chip.device._units import format_siemens
from xbarax.chip.device.presets import PRESETS
from xbarax.cli.errors import UserError, did_you_mean
from xbarax.cli.figure_file import FigureFile, check_figure_file, write_figure
from xbarax.cli.options import parse_options

_COMMAND = "xbarax chips"
_DESCRIPTION = (
    "Lists the published devices by name, as xb.device.presets has them: what they are, their "
    "range of conductances and their source. With a name: that device in full."
)
_WIDTH = 100


@dataclasses.dataclass(frozen=True)
class _Options:
    name: Annotated[
        tyro.conf.Positional[str | None], tyro.conf.arg(metavar="[NAME]", help_behavior_hint="")
    ] = None
    """the device to show; none: all, in a table."""

    plot: FigureFile = None
    """where to draw the device: its response to pulses, its programming error, its drift."""


def run(arguments: Sequence[str]) -> int:
    """Runs the subcommand.

    Args:
      arguments: the words that follow it.

    Returns:
      The exit code.

    Raises:
      UserError: the options cannot be used.
    """
    options = parse_options(_COMMAND, arguments, _Options(), _DESCRIPTION)
    if options.name is None:
        if options.plot is not None:
            raise UserError(f"--plot: expected a device, {_COMMAND} NAME --plot …, given none")
        print("\n".join(_table()))
        return 0
    if options.name not in PRESETS:
        hint = did_you_mean(options.name, PRESETS) or f"; {_COMMAND} lists them"
        raise UserError(f"unknown device {options.name}{hint}")
    if options.plot is not None:
        check_figure_file("--plot", options.plot)
    print("\n".join(_description(options.name)))
    if options.plot is not None:
        write_figure("--plot", options.plot, functools.partial(_draw, options.name))
    return 0


def _table() -> Iterator[str]:
    """Every device with what it is, and its source below that."""
    ranges = {name: _range(preset.make()) for name, preset in PRESETS.items()}
    first, second = max(map(len, PRESETS)), max(map(len, ranges.values()))
    width = _WIDTH - first - second - 4
    yield f"{'name':<{first}}  {'range':<{second}}  what it is, and its source"
    for name, preset in PRESETS.items():
        lines = textwrap.wrap(preset.description, width)
        lines += textwrap.wrap(preset.source, width, initial_indent="  ", subsequent_indent="  ")
        for i, line in enumerate(lines):
            heads = (name, ranges[name]) if i == 0 else ("", "")
            yield f"{heads[0]:<{first}}  {heads[1]:<{second}}  {line}"
    yield ""
    yield f"{_COMMAND} NAME shows one in full."


def _description(name: str) -> Iterator[str]:
    """One device, with all of its numbers."""
    preset = PRESETS[name]
    made: Any = preset.make()
    pulsed = isinstance(made, device.AbstractPulsed)
    rows = {
        "source": preset.source,
        "range": _range(made),
        "model": f"xb.device.{type(made).__name__}, known by "
        + ("what a pulse does" if pulsed else "where programming leaves it"),
        "in code": f"xb.Chip(device=xb.device.presets.{name}())",
    }
    yield from textwrap.wrap(f"{name}: {preset.description}", _WIDTH)
    for head, text in rows.items():
        yield from textwrap.wrap(
            text, _WIDTH, initial_indent=f"  {head:<8}", subsequent_indent=" " * 10
        )
    yield ""
    yield "  parameters (* not the model's default):"
    fields = dataclasses.fields(made)
    width = max(len(field.name) for field in fields)
    for field in fields:
        value = getattr(made, field.name)
        mark = " " if value == field.default else "*"
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
        yield f"  {mark} {field.name:<{width}}  {text}"


def _range(made: device.AbstractDevice) -> str:
    """Both ends in the unit of the upper one."""
    low, high = made.conductance_range
    upper = format_siemens(high, 4)
    number, unit = upper.split()
    scale = high / float(number)
    return f"{low / scale:.3g} – {number} {unit}"


def _draw(name: str) -> object:
    from xbarax import plot

    made = PRESETS[name].make()
    low, high = made.conductance_range
    targets = np.linspace(low, high, 13)
    keys = jax.random.split(jax.random.key(0), 3)
    panels: dict[str, Any] = {
        "error": (targets, characterise.programming_error(made, targets, _CELLS, keys[0]))
    }
    if isinstance(made, device.AbstractPulsed):
        up, down = characterise.pulses_across(made)
        curve = np.asarray(characterise.response_curve(made, up, down, _CELLS, keys[1]))
        panels["response"] = curve[: up + 1], curve[up:]
        panels["note"] = _note(made, curve)
    else:
        wanted = low + (high - low) * np.array([0.1, 0.25, 0.5, 0.75, 1.0])
        aged = characterise.drift(made, wanted, _SECONDS, _CELLS, keys[2])
        if np.any(aged != aged[0]):
            panels["drift"] = _SECONDS, aged, wanted
    return plot.device_sheet(f"{name}: {PRESETS[name].description}", **panels)


def _note(made: device.AbstractPulsed, curve: np.ndarray) -> str:
    """What conductances of a pulse device stand for."""
    note = (
        f"{_range(made)} stand for the mean bounds of the model's state (illustrative); cells with "
        "wider bounds go beyond."
    )
    return note + _BELOW_ZERO if np.min(curve) < 0 else note


_BELOW_ZERO = " Below 0: relative to the reference that a sign needs, not a bare cell's."
_CELLS = 200
_SECONDS = np.geomspace(1, 365.25 * 86_400, 60)
