"""``xbarax driver``: for who makes a chip: checks a driver, and writes one to begin with."""

import dataclasses
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from xbarax import hardware
from xbarax.cli.errors import UserError, did_you_mean
from xbarax.cli.options import parse_options
from xbarax.hardware import _skeleton

_COMMAND = "xbarax driver"

_HELP = f"""\
usage: {_COMMAND} COMMAND [OPTIONS]

For who makes a chip: a driver tells xbarax how to program and read it.

commands:
  check  test a driver against the contract
  new    write a driver to begin with, in C or in Python

To begin with, write a driver, and let the chip do what it does in memory:

  {_COMMAND} new mychip --language python
  cd mychip
  {_COMMAND} check mychip:Driver

{_COMMAND} COMMAND --help lists a command's options.
"""

_CHECK_DESCRIPTION = (
    "Tests a driver against the contract in xbarax/driver.h, and says for each failure what was "
    "asked, what came back, what the contract says and what to do. The driver runs in a process of "
    "its own, which it may crash or hang. The chip is programmed with random weights. The exit "
    "code is 0 if all checks pass, 1 if some fail."
)

_NEW_DESCRIPTION = (
    "Writes a folder with a driver that works in memory and passes the check, with marks where to "
    "talk to the chip, and with the commands that build and check it."
)


@dataclasses.dataclass(frozen=True)
class _CheckOptions:
    driver: Annotated[
        tyro.conf.Positional[str | None],
        tyro.conf.arg(metavar="PATH|module:Class", help_behavior_hint=""),
    ] = None
    """the driver: a shared library, or a class in Python, found from the current directory."""

    config: Annotated[str, tyro.conf.arg(metavar="JSON")] = "{}"
    """what the driver's open gets, a JSON object."""

    deadline: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 20.0
    """how long each check may take."""


@dataclasses.dataclass(frozen=True)
class _NewOptions:
    name: Annotated[
        tyro.conf.Positional[str | None], tyro.conf.arg(metavar="NAME", help_behavior_hint="")
    ] = None
    """the driver's name: letters, digits and _."""

    language: Literal["c", "python"] = "c"
    """the language to write the driver in."""

    out: Annotated[
        Path, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(default: the current one)")
    ] = Path(".")
    """where to make the folder NAME."""


def run(arguments: Sequence[str]) -> int:
    """Runs the subcommand.

    Args:
      arguments: the words that follow it.

    Returns:
      The exit code: 0, or 1 for a driver that fails a check.

    Raises:
      UserError: the options cannot be used.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_HELP, end="")
        return 0
    commands = {"check": _check, "new": _new}
    command, *options = arguments
    if command not in commands:
        hint = did_you_mean(command, commands) or f"; expected one of {', '.join(commands)}"
        raise UserError(f"unknown command {_COMMAND} {command}{hint}")
    return commands[command](options)


def _new(arguments: Sequence[str]) -> int:
    options = parse_options(f"{_COMMAND} new", arguments, _NewOptions(), _NEW_DESCRIPTION)
    if options.name is None:
        raise UserError(f"expected a name, {_COMMAND} new NAME, given none")
    try:
        written = _skeleton.write_skeleton(options.name, options.language, options.out)
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from error
    for path in written:
        print(path)
    print(f"{written[-1]} says how to build and check it")
    return 0


def _check(arguments: Sequence[str]) -> int:
    options = parse_options(f"{_COMMAND} check", arguments, _CheckOptions(), _CHECK_DESCRIPTION)
    if options.driver is None:
        raise UserError(f"expected a driver, {_COMMAND} check PATH|module:Class, given none")
    config = _parse_config(options.config)
    try:
        results = hardware.check(
            options.driver, config=config, deadline=options.deadline, on_result=_show
        )
    except BrokenPipeError:
        raise  # of standard output
    except (OSError, ImportError, TypeError, ValueError) as error:
        raise UserError(str(error)) from error
    print(_summary(options.driver, results))
    return int(any(result.outcome == "fail" for result in results))


def _parse_config(text: str) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except ValueError as error:
        raise UserError(f"--config: expected a JSON object, given {text!r}: {error}") from None
    if not isinstance(config, dict):
        raise UserError(f"--config: expected a JSON object, given {text!r}")
    return config


_OUTCOMES = {"pass": "pass", "fail": "FAIL", "not applicable": "not applicable"}
_NAME_WIDTH = 39
_LABELS = {"asked": "asked", "got": "came back", "contract": "contract", "advice": "what to do"}


def _show(result: hardware.CheckResult) -> None:
    print("\n".join(_lines(result)))
    sys.stdout.flush()


def _lines(result: hardware.CheckResult) -> Iterator[str]:
    """A check in the table: one line or, where there is something to do, several."""
    outcome = _OUTCOMES[result.outcome]
    line = f"{result.name:<{_NAME_WIDTH}}  {outcome}"
    if result.note:
        line += f"{'  ' if outcome == 'pass' else ': '}{result.note}"
    indent = " " * (_NAME_WIDTH + 8)
    yield from _wrap(line, indent)
    if result.outcome == "fail":
        for field, label in _LABELS.items():
            yield from _wrap(f"    {label:<10}  {getattr(result, field)}", " " * 16)


def _wrap(line: str, indent: str) -> list[str]:
    width = max(72, min(shutil.get_terminal_size((100, 24)).columns, 100))
    return textwrap.wrap(
        line, width, subsequent_indent=indent, break_on_hyphens=False, drop_whitespace=True
    )


def _summary(driver: str, results: Sequence[hardware.CheckResult]) -> str:
    count = {o: sum(result.outcome == o for result in results) for o in _OUTCOMES}
    first = next((result.name for result in results if result.outcome == "fail"), None)
    numbers = (
        f"{count['pass']} passed, {count['fail']} failed, {count['not applicable']} not applicable"
    )
    if first is None:
        return f"\n{driver} keeps the contract: {numbers}"
    return f"\n{driver} breaks the contract: {numbers}\nbegin with `{first}`"
