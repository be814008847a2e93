"""Errors that are the user's to mend: one line, no traceback."""

import difflib
from collections.abc import Iterable

USER_ERROR = 2
"""Exit code for what the user can mend, as for shells' own commands."""

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of the signal."""

BROKEN_PIPE = 141
"""Exit code after the reader of the output, such as `head`, has seen enough: likewise."""


class UserError(Exception):
    """What was given cannot be done; the text says why in a line."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """A hint at the nearest of the known words, or nothing if none is near."""
    near = difflib.get_close_matches(given, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
