"""Options of a subcommand: tyro reads them, and its refusals become one line."""

import contextlib
import dataclasses
import io
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro

from xbarax.cli.errors import UserError, did_you_mean

Options = TypeVar("Options")

# What tyro frames its messages with: box drawing (U+2500 to U+257F), and colours.
_FRAME = re.compile("[\u2500-\u257f]|\x1b\\[[0-9;]*m")

# What tyro says of a value that is not of the option's type, or is not there.
_REFUSED_VALUE = re.compile(r"(--[\w-]+): |Missing value for argument '(--[\w-]+)'")

_KINDS = {int: ("an integer", "integers"), float: ("a number", "numbers")}


def parse_options(
    command: str, arguments: Sequence[str], default: Options, description: str
) -> Options:
    """Reads a subcommand's options.

    Args:
      command: what the user typed before the options, for the help text.
      arguments: the words to read.
      default: a dataclass with the values of options that are not given.
      description: what the help text begins with.

    Returns:
      A dataclass like `default`.

    Raises:
      UserError: an option is unknown, lacks its value, or has a bad one.
      SystemExit: the help text was asked for, and shown.
    """
    options, unknown = _call_tyro(
        type(default),
        prog=command,
        args=list(arguments),
        default=default,
        description=description,
    )
    refuse_unknown(command, unknown, option_names(default))
    return options


def parse_some(arguments: Sequence[str], default: Options) -> Options:
    """Reads the options that `default` has, and passes over all others.

    Raises:
      UserError: one of these options lacks its value, or has a bad one.
    """
    options, _ = _call_tyro(type(default), args=list(arguments), default=default, add_help=False)
    return options


def option_names(options: Any) -> list[str]:
    """The names of a dataclass's options as they are typed, those of inner dataclasses included."""
    return list(_defaults(options))


def _defaults(options: Any) -> dict[str, Any]:
    """The values of a dataclass's options by the names that are typed."""
    defaults = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            defaults.update(_defaults(value))
        else:
            defaults["--" + field.name.replace("_", "-")] = value
    return defaults


def refuse_unknown(command: str, words: Sequence[str], known: Sequence[str]) -> None:
    """Refuses words that are no option, or no option's value.

    Raises:
      UserError: there is such a word.
    """
    if not words:
        return
    name = words[0].split("=")[0]
    if name.startswith("-"):
        hint = did_you_mean(name, known) or f"; {command} --help lists the options"
        raise UserError(f"unknown option {name}{hint}")
    raise UserError(f"unexpected word {name!r}; {command} --help lists the options")


def _call_tyro(form: type, **settings: Any) -> tuple[Any, list[str]]:
    """Calls tyro, and turns what it prints before it exits with an error into an error."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            result: tuple[Any, list[str]] = tyro.cli(form, return_unknown_args=True, **settings)
            return result
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        message = _one_line(printed.getvalue())
        refused = _REFUSED_VALUE.match(message)
        defaults = _defaults(settings["default"])
        if refused and (name := refused[1] or refused[2]) in defaults:
            message = _refused_value(name, defaults[name], settings["args"])
        raise UserError(message) from None


def _refused_value(name: str, default: Any, words: Sequence[str]) -> str:
    """Says in our own words what is wrong with an option's value, or that it has none."""
    if isinstance(default, tuple):
        wanted = f"{_KINDS[type(default[0])][1]} with spaces between them"
    else:
        wanted = _KINDS.get(type(default), ("a value", ""))[0]
    given = " ".join(_values(name, words))
    return f"{name}: expected {wanted}, given {repr(given) if given else 'nothing'}"


def _values(name: str, words: Sequence[str]) -> list[str]:
    """The words that follow an option, where it is given for the last time."""
    values: list[str] = []
    reading = False
    for word in words:
        if word.startswith("--"):
            typed, equals, value = word.partition("=")
            reading = typed.replace("_", "-") == name
            if reading:
                values = [value] if equals else []
        elif reading:
            values.append(word)
    return values


def _one_line(framed: str) -> str:
    """The first paragraph of a framed message, without frame and heading."""
    lines = [_FRAME.sub("", line).strip() for line in framed.splitlines()]
    is_rule = [not line.strip("-") for line in lines]  # of dashes where the terminal has no frames
    start = next((i for i in range(1, len(lines)) if not is_rule[i]), 0)
    end = next((i for i in range(start, len(lines)) if is_rule[i]), len(lines))
    message = " ".join(lines[start:end])
    # Ours are about a value and name it; tyro's are about a word and name the option.
    message = re.sub(r"^Error parsing [\w.]+: (?=\w+: expected)", "", message)
    return message.removeprefix("Error parsing ").removesuffix(".")
