"""Weights to program so that a chip's wires make of them what is wanted."""

from typing import Any

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp
from jax.typing import ArrayLike

from xbarax import _kernels
from xbarax.chip import _program, _tile, _wired
from xbarax.chip._chip import Chip
from xbarax.chip.wires import Compensation
from xbarax.chip.wires._compensate import check_loop, iterate


def compensated(
    weights: ArrayLike, chip: Chip, tolerance: float = 1e-4, max_iterations: int = 100
) -> Compensation:
    """Weights to program on a chip, so that its effective weights are those given.

    The fixed point of `W ← W + (wanted − effective(W))`, from the wanted ones on, for devices that
    are programmed exactly, in all tiles and planes, with their references. It ends when all weights
    are what is wanted, or when the sum of the errors' magnitudes has not fallen for some
    iterations, with the best weights found. Where the mapping has a `weight_range`, weights stay
    within it; else the range grows with them. Weights that are rounded to digits (`BitSlices`) are
    as near as those allow. Wires that are solved in each read are taken for those of linear cells
    with all selectors closed, so that `reached` does not speak of their reads.

    Args:
      weights: the effective weights that are wanted, (out, in), float32.
      chip: a simulated chip.
      tolerance: the error at which a weight counts as reached, as a share of the largest one, or
        of the mapping's range where all are 0.
      max_iterations: at most so many times are the wires solved.

    Returns:
      A `xbarax.wires.Compensation`: `xb.MemristiveCrossbarArray(its.programmed, chip, …)`.

    Raises:
      TypeError: no simulated chip, weights that are not float32.
      ValueError: weights of another number of axes than two, or, outside of tracing, beyond the
        range of the mapping or not finite; see `xbarax.wires.compensate`.

    Derivatives: none.
    """
    use = "compensated"
    if not isinstance(chip, Chip):
        raise TypeError(f"{use}: chip: expected an xbarax.Chip, given {chip!r}")
    check_loop(use, tolerance, max_iterations)
    wanted = _check_weights(use, weights, chip)
    most = chip.mapping.fixed_range

    def next_one(programmed: Array, seen: Array) -> Array:
        changed = programmed + (wanted - seen)
        return changed if most is None else jnp.clip(changed, -most, most)

    largest = jnp.max(jnp.abs(wanted))
    error = tolerance * jnp.where(largest > 0, largest, chip.mapping.largest(wanted))
    with _kernels.using(chip.implementation):
        seen = lambda programmed: _effective(chip, programmed)
        return iterate(seen, next_one, wanted, wanted, error, max_iterations)


def _effective(chip: Chip, weights: Array) -> Array:
    """The effective weights of exact devices at the mapping's targets."""
    n_out, n_in = weights.shape
    tiling = _tile.cut(n_out, n_in, chip.tile, chip.has_column)
    largest = chip.mapping.largest(weights)
    targets = chip.mapping.targets(weights / largest, chip.device)
    planes = _program.with_column(targets, tiling, chip.mapping.start(chip.device))
    tiles = _wired.through(chip, tiling, _tile.split(planes, tiling))
    if chip.mapping.reference == "ideal":
        tiles -= _wired.references(chip, tiling)[0]
    return largest * _wired.as_one(chip, tiling, tiles)


def _check_weights(use: str, given: Any, chip: Chip) -> Array:
    if getattr(given, "dtype", None) != jnp.float32:
        kind = getattr(given, "dtype", type(given).__name__)
        raise TypeError(f"{use}: weights: expected a float32 array, given {kind}")
    wanted = jax.lax.stop_gradient(jnp.asarray(given))
    if wanted.ndim != 2 or wanted.size == 0:
        raise ValueError(f"{use}: weights: expected (out, in), given shape {wanted.shape}")
    if not isinstance(wanted, jax.core.Tracer):
        if not np.all(np.isfinite(wanted)):
            raise ValueError(f"{use}: weights: expected finite numbers")
        chip.check(np.asarray(wanted))
    return wanted
