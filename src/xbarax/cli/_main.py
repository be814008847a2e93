"""The command ``xbarax``: finds the subcommand, and turns the user's errors into one line."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from xbarax.cli.errors import BROKEN_PIPE, INTERRUPTED, USER_ERROR, UserError, did_you_mean

# A subcommand is a module of this package with `run(arguments) -> exit code`, imported when used.
_COMMANDS = {
    "train": "train a spiking network, with or without crossbars, on spike-timing patterns",
    "chips": "list the published devices, or show one of them",
    "fit": "fit a pulse model to a measured response curve",
    "driver": "check a chip's driver, or write one to begin with",
}

_HELP = """\
usage: xbarax COMMAND [OPTIONS]

Memristive crossbar arrays as JAX values, and spiking networks that train on them.

commands:
{commands}

options:
  -h, --help  show this text
  --version   show the version

To begin with, train a small network whose last layer is a crossbar array (some seconds):

  xbarax train --crossbar last

xbarax COMMAND --help lists a command's options.
"""


def command() -> NoReturn:
    """The process ``xbarax``: runs the command line, and ends."""
    code = main()
    if code == INTERRUPTED:
        _end_at_once(code)
    sys.exit(code)


def _end_at_once(code: int) -> NoReturn:
    """Ends the process without taking JAX down.

    What Ctrl-C interrupts may be a compilation, which goes on in a thread of XLA's own, and crashes
    when Python ends the client under it.
    """
    if load := sys.modules.get("xbarax.hardware._load"):
        load.close_all()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
      arguments: the words after ``xbarax``; None: those of the process.

    Returns:
      The exit code: 0, 1 for a driver that fails its check, 2 for an error of the user's, 130 after
      Ctrl-C, or 141 after a broken pipe.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"xbarax: error: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("\nxbarax: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Else Python complains at its end, when it cannot write what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_help(), end="")
        return 0
    if words[0] == "--version":
        print(f"xbarax {_version()}")
        return 0
    command, *options = words
    if command not in _COMMANDS:
        kind = "option" if command.startswith("-") else "command"
        known = ["--help", "--version"] if kind == "option" else _COMMANDS
        hint = did_you_mean(command, known) or f"; expected one of {', '.join(known)}"
        raise UserError(f"unknown {kind} {command}{hint}")
    code: int = importlib.import_module(f"xbarax.cli.{command}").run(options)
    return code


def _help() -> str:
    width = max(map(len, _COMMANDS))
    lines = (f"  {name:<{width}}  {purpose}" for name, purpose in _COMMANDS.items())
    return _HELP.format(commands="\n".join(lines))


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("xbarax")
    except metadata.PackageNotFoundError:
        return "(not installed)"
