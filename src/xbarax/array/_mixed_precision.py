"""Mixed-precision training: small changes are kept digitally until they are worth a pulse."""

from typing import Any, NamedTuple

import jax
import optax
from jax import Array
from jax import numpy as jnp

from xbarax.array._simulated import pulse_step
from xbarax.array._value import MemristiveCrossbarArray
from xbarax.chip import Chip
from xbarax.chip.device import AbstractPulsed


class MixedPrecisionState(NamedTuple):
    """What `mixed_precision` keeps.

    Attributes:
      remainder: a tree like the parameters: what of the updates has not become pulses, (out, in)
        for crossbars that respond to pulses, None for everything else.
    """

    remainder: Any


def mixed_precision() -> optax.GradientTransformationExtraArgs:
    r"""Passes whole pulses on to crossbars, and keeps the remainder for later.

    The updates of each crossbar whose devices respond to pulses add up in a digital array `χ` of
    full precision; what leaves it are whole mean pulses, rounded towards zero, with `ε` from
    `xbarax.pulse_step`::

        χ ← χ + update;   n = trunc(χ / ε);   χ ← χ − n ε;   pass on n ε

    Everything else passes unchanged. Use it last:
    `optax.chain(optax.sgd(0.01), xb.mixed_precision())`.

    Source: S. R. Nandakumar et al., "Mixed-precision deep learning based on computational memory",
    Front. Neurosci. 14, 406 (2020).

    Returns:
      An optax transformation whose `update` needs the parameters.

    Raises:
      ValueError: `update` is called without the parameters.
    """

    def init(params: Any) -> MixedPrecisionState:
        empty = lambda p: jnp.zeros(p.shape, jnp.float32) if _takes_pulses(p) else None
        return MixedPrecisionState(jax.tree.map(empty, params))

    def update(
        updates: Any, state: MixedPrecisionState, params: Any = None, **_: Any
    ) -> tuple[Any, MixedPrecisionState]:
        if params is None:
            raise ValueError(
                "mixed_precision: its update needs the parameters: "
                "optimiser.update(gradients, state, params)"
            )
        is_none = lambda x: x is None  # for parameters that are left alone
        split = jax.tree.map(_split, updates, state.remainder, params, is_leaf=is_none)
        is_split = lambda x: isinstance(x, _Split)
        passed = jax.tree.map(lambda s: s.passed, split, is_leaf=is_split)
        kept = jax.tree.map(lambda s: s.kept, split, is_leaf=is_split)
        return passed, MixedPrecisionState(kept)

    return optax.GradientTransformationExtraArgs(init, update)


def _takes_pulses(param: Any) -> bool:
    if not isinstance(param, MemristiveCrossbarArray):
        return False
    chip = jax.typeof(param).chip
    return isinstance(chip, Chip) and isinstance(chip.device, AbstractPulsed)


class _Split(NamedTuple):
    passed: Array | None
    kept: Array | None


def _split(update: Array | None, remainder: Array | None, param: Any) -> _Split:
    """What of an update is passed on, and what is kept."""
    if update is None or remainder is None:
        return _Split(update, remainder)
    total = remainder + update
    steps = pulse_step(param)[..., None, None]
    step = jnp.where(total > 0, steps[..., 0, :, :], steps[..., 1, :, :])
    passed = jnp.trunc(total / step) * step
    return _Split(passed, total - passed)
