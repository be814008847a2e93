"""Checks at run time that annotations are true, for the import hook of conftest.py."""

from typing import Any, NoReturn

from beartype import BeartypeConf, FrozenDict, beartype


class _NeverReturned:
    """No value is one of these."""


# beartype lets operators return NotImplemented besides what they are annotated with, and does not
# take NoReturn in such a union.
_CONFIGURATION = BeartypeConf(hint_overrides=FrozenDict({NoReturn: _NeverReturned}))


def check(function: Any) -> Any:
    """The function or class, with its arguments and results checked on every call."""
    return beartype(function, conf=_CONFIGURATION)
