"""Checks at run time that annotations are true, for the import hook of conftest.py."""

import functools
from typing import Any, ForwardRef, NoReturn, get_args

import jaxtyping
from beartype import BeartypeConf, FrozenDict, beartype


class _NeverReturned:
    """No value is one of these."""


# beartype lets operators return NotImplemented besides what they are annotated with, and does not
# take NoReturn in such a union.
_CONFIGURATION = BeartypeConf(
    hint_overrides=FrozenDict({NoReturn: _NeverReturned}), violation_type=jaxtyping.TypeCheckError
)


def check(function: Any) -> Any:
    """The function or class, with its arguments and results checked on every call."""
    return beartype(function, conf=_CONFIGURATION)


def install() -> None:
    """Has everything in the package checked that is imported from now on."""
    with_axes = jaxtyping.jaxtyped

    def jaxtyped(*, typechecker: Any) -> Any:
        def decorate(what: Any) -> Any:
            if isinstance(what, type) or _needs_jaxtyping(what):
                return with_axes(what, typechecker=typechecker)
            return _checked(what, typechecker(what))

        return decorate

    # In each call, jaxtyping accounts for the axes that arguments name. Where none are named, that
    # takes longer than the checks themselves, and often than what the function does.
    jaxtyping.jaxtyped = jaxtyped
    jaxtyping.install_import_hook("xbarax", f"{__name__}.check")


def _checked(function: Any, checked: Any) -> Any:
    """Both in one, as jaxtyping has it: `jaxtyping_disable` chooses in each call."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        chosen = function if jaxtyping.config.jaxtyping_disable else checked
        return chosen(*args, **kwargs)

    return call


def _needs_jaxtyping(function: Any) -> bool:
    """Whether annotations name axes, or wait for a name: what it cannot find, jaxtyping ignores."""
    return any(map(_names_axes, function.__annotations__.values()))


def _names_axes(hint: Any) -> bool:
    if isinstance(hint, str | ForwardRef):
        return True
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_names_axes, get_args(hint)))
