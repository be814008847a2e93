"""How a simulated chip is programmed, changed and aged: from weights to what reads see."""

from typing import TYPE_CHECKING, Any

import jax
from jax import Array
from jax import numpy as jnp

from xbarax import _kernels
from xbarax.chip import _faults, _read, _tile, _wired
from xbarax.chip._ideal import count_not_finite
from xbarax.chip._programming import WriteVerify
from xbarax.chip.device import AbstractPulsed

if TYPE_CHECKING:
    from xbarax.chip._chip import Chip

State = dict[str, Any]

_ROUNDING = 2.0**-23  # of float32, relative


def program(chip: "Chip", weights: Array, key: Array | None) -> State:
    """Brings fresh devices to the mapping's targets."""
    fault_key, program_key, verify_key = (None,) * 3 if key is None else _kernels.split(key, 3)
    largest = chip.mapping.largest(weights)
    unit, beyond = _bounded(chip, weights / largest)
    n_out, n_in = weights.shape
    tiling = _tile.cut(n_out, n_in, chip.tile, chip.has_column)
    start = chip.mapping.start(chip.device)
    targets = chip.mapping.targets(unit, chip.device)
    targets = with_column(targets, tiling, start)
    state: State = {
        "cells": chip.device.program(targets, start, program_key),
        "largest": largest,
        "saturated": beyond,
        "not_converged": jnp.zeros((), jnp.int32),
        "not_finite": count_not_finite(weights),
        # Carries the layer's shape, which tiles do not tell, and no data.
        "layer": jnp.zeros((*weights.shape, 0), weights.dtype),
    }
    if chip.faults is not None:
        state["stuck"] = _faults.draw(chip.faults, targets.shape, fault_key)
    if isinstance(chip.programming, WriteVerify):
        state = _verify(chip, state, targets, verify_key)
    if chip.mapping.reference == "ideal" and not chip.has_ideal_wires:
        state["reference"] = _wired.references(chip, tiling)
    state = see(chip, state)
    if chip.adc.calibrated:
        state["adc_range"] = _full_scale(chip, state)
    if chip.drift_compensation:
        state["total"] = jnp.sum(conductances(chip, state))
        state["gain"] = jnp.ones((), weights.dtype)
    return state


def update(chip: "Chip", state: State, delta: Array, key: Array | None) -> State:
    """Lets the devices respond to a change of the weights."""
    update_key, refresh_key = (None, None) if key is None else _kernels.split(key)
    mapping, device = chip.mapping, chip.device
    n_out = delta.shape[0]
    change = jnp.where(jnp.isfinite(delta), delta, 0) / state["largest"]
    planes = device.target(state["cells"])
    present = planes[:, :n_out]
    beyond = jnp.zeros((), jnp.int32)
    if mapping.bounded and not isinstance(device, AbstractPulsed):
        unit = _unit(chip, present)
        bounded, beyond = _bounded(chip, unit + change)
        change = jnp.where(change == 0, 0, bounded - unit)
    deltas = jnp.where(change == 0, 0, mapping.deltas(change, present, device))
    if not isinstance(device, AbstractPulsed):
        # A device that stays where it is must not be programmed for the last bit of a difference.
        rounding = _ROUNDING * jnp.maximum(jnp.abs(present), jnp.abs(present + deltas))
        deltas = jnp.where(jnp.abs(deltas) <= rounding, 0, deltas)
    columns = ((0, 0), (0, planes.shape[1] - n_out), (0, 0))  # references are left alone
    cells = device.update(state["cells"], jnp.pad(deltas, columns), update_key)
    cells, off = _refresh_worn(chip, cells, refresh_key)
    changed = {
        **state,
        "cells": cells,
        "not_converged": state["not_converged"] + off,
        "saturated": state["saturated"] + beyond,
        "not_finite": state["not_finite"] + count_not_finite(delta),
    }
    return _reprogrammed_gain(chip, state, see(chip, changed))


def age(chip: "Chip", state: State, seconds: Array) -> State:
    """Lets time pass; a time that is negative or not finite passes none, and is counted."""
    good = jnp.isfinite(seconds) & (seconds >= 0)
    cells = chip.device.age(state["cells"], jnp.where(good, seconds, 0))
    bad = jnp.where(good, 0, 1).astype(jnp.int32)
    aged = see(chip, {**state, "cells": cells, "not_finite": state["not_finite"] + bad})
    if not chip.drift_compensation:
        return aged
    now = jnp.sum(conductances(chip, aged))
    total = state["total"] * state["gain"]
    return {**aged, "total": now, "gain": jnp.where(now > 0, total / jnp.where(now > 0, now, 1), 1)}


def set_faults(chip: "Chip", state: State, stuck: Array) -> State:
    """Replaces the map of stuck devices."""
    known = see(chip, {**state, "stuck": stuck})
    if not chip.drift_compensation:
        return known
    return {**known, "total": jnp.sum(conductances(chip, known))}  # a fault is no drift


def calibrate(chip: "Chip", state: State, inputs: Array) -> State:
    """Sets each tile's converters to the largest noiseless current that `inputs` give there."""
    seen = chip.tiling(state)
    quiet = {**state, "seen": {"terms": state["seen"]["terms"]}}
    lines = _tile.spread(chip.dac.convert(inputs), seen.tiles_in, seen.words)
    sums = jnp.abs(_read.line_currents(chip, quiet, lines, None, transpose=False))
    largest = jnp.max(sums, axis=(0, 4), initial=0)
    forward = jnp.where(largest > 0, largest, state["adc_range"]["forward"])
    return {**state, "adc_range": {**state["adc_range"], "forward": forward}}


def see(chip: "Chip", state: State) -> State:
    """Computes what reads see of the devices, and keeps it.

    Reads are many and changes few: computing it in each read of 48 inputs takes 3 to 6 times as
    long at 256 x 256 (`benchmarks/stored_or_drawn.py`).
    """
    conductance = conductances(chip, state)
    tiling = chip.tiling(state)
    terms = chip.device.current_terms(conductance)
    variance = _variance(chip, state)
    split = lambda planes: _tile.split(planes, tiling)
    if chip.has_ideal_wires:
        terms = tuple(map(split, _relative(chip, terms)))
        if variance is not None and variance.ndim > 0:
            variance = split(variance)
    else:
        cells = tuple(map(split, terms))
        per_read = chip.wires.per_read
        terms = cells if per_read else _wired.shown(chip, tiling, cells)
        if variance is not None:
            own = split(jnp.broadcast_to(variance, conductance.shape))
            shown = _wired.through(chip, tiling, cells[0]) if per_read else terms[0]
            variance = _wired.variance(own, cells[0], shown)
        if chip.mapping.reference == "ideal" and not per_read:
            terms = tuple(map(jnp.subtract, terms, state["reference"]))
    common_noise = chip.has_column and variance is not None
    linear = len(terms) == 1 and not chip.wires.per_read
    if chip.adc.exact and linear and not common_noise:
        return {**state, "seen": _as_one(chip, tiling, terms[0], variance)}
    if chip.mapping.subtracts_currents:
        if not chip.wires.per_read:
            terms = _pairs(terms)
        if variance is not None:
            # Noise adds up, whatever the sign.
            variance = variance[::2] + variance[1::2] if variance.ndim > 0 else 2 * variance
    seen: State = {"terms": terms}
    return {**state, "seen": seen if variance is None else {**seen, "variance": variance}}


def _pairs(terms: tuple[Array, ...]) -> tuple[Array, ...]:
    """Terms of the differences of currents of pairs of planes."""
    return tuple(tiles[::2] - tiles[1::2] for tiles in terms)


def _relative(chip: "Chip", terms: tuple[Array, ...]) -> tuple[Array, ...]:
    """Terms of currents less those of ideal references, where the mapping has them."""
    if chip.mapping.reference != "ideal":
        return terms
    zero = jnp.full((), chip.mapping.start(chip.device), terms[0].dtype)
    return tuple(map(jnp.subtract, terms, chip.device.current_terms(zero)))


def _variance(chip: "Chip", state: State) -> Array | None:
    """The variance of a read of each device, or one for all; None where reads have no noise."""
    deviation = chip.device.read_deviation(state["cells"])
    if deviation is None:
        return None
    variance = jnp.square(deviation)
    if chip.faults is None:
        return variance
    return jnp.where(state["stuck"] == 0, variance, 0)  # what is stuck is a fixed resistor


def _as_one(chip: "Chip", tiling: _tile.Tiling, tiles: Array, variance: Array | None) -> State:
    """All tiles and planes as one matrix, in units of the largest weight.

    (in, out), the order in which forward reads, the most frequent ones, are fastest.
    """
    seen = {"matrix": _wired.as_one(chip, tiling, tiles).T}
    if variance is None:
        return seen
    coefficients = jnp.asarray(chip.coefficients, tiles.dtype)
    if variance.ndim == 0:
        # Every plane has its cell in every sum.
        return {**seen, "variance": variance * jnp.sum(coefficients**2)}
    total = jnp.einsum("p,pabij->abij", coefficients**2, variance)
    return {**seen, "variance": _tile.merge(total, tiling).T}


def conductances(chip: "Chip", state: State) -> Array:
    """The devices' conductances at their age, faults included, (planes, rows, in) in siemens."""
    conductance = chip.device.conductance(state["cells"])
    if chip.faults is None:
        return conductance
    return _faults.apply(state["stuck"], conductance, chip.device.conductance_range)


def readout(chip: "Chip", state: State) -> Array:
    """The weights that the conductances stand for."""
    planes = conductances(chip, state)
    tiling = chip.tiling(state)
    mapping = chip.mapping
    weights = planes[:, : tiling.n_out]
    if mapping.reference == "ideal":
        weights = weights - mapping.start(chip.device)
    elif mapping.reference == "column":
        tile_of = jnp.arange(tiling.n_out) // tiling.lines
        weights = weights - planes[:, tiling.n_out :][:, tile_of]
    unit = jnp.einsum("p,poi->oi", jnp.asarray(chip.coefficients, weights.dtype), weights)
    return unit * chip.weight_scale(state)


def _unit(chip: "Chip", planes: Array) -> Array:
    """What targets (planes, out, in) stand for, in units of the largest weight."""
    mapping = chip.mapping
    zero = mapping.start(chip.device)
    return jnp.einsum("p,poi->oi", jnp.asarray(chip.coefficients, planes.dtype), planes - zero)


def _bounded(chip: "Chip", unit: Array) -> tuple[Array, Array]:
    """Weights within the range, and how many were not, by more than rounding."""
    if not chip.mapping.bounded:
        return unit, jnp.zeros((), jnp.int32)
    beyond = jnp.sum(jnp.abs(unit) > 1 + 1e-5, dtype=jnp.int32)
    return jnp.clip(unit, -1, 1), beyond


def with_column(planes: Array, tiling: _tile.Tiling, start: float) -> Array:
    """Planes (planes, out, in) with the reference columns' devices behind them."""
    if not tiling.column:
        return planes
    column = jnp.full((planes.shape[0], tiling.tiles_out, tiling.n_in), start, planes.dtype)
    return jnp.concatenate([planes, column], axis=1)


def _verify(chip: "Chip", state: State, targets: Array, key: Array | None) -> State:
    assert key is not None
    state = {**state, "cells": _verified(chip, state["cells"], targets, key)[0]}
    off = jnp.abs(conductances(chip, state) - targets) > _tolerance(chip)
    return {**state, "not_converged": jnp.sum(off, dtype=jnp.int32)}


def _verified(chip: "Chip", cells: Any, targets: Array, key: Array) -> tuple[Any, Array]:
    """Cells after write–verify, as far as its budget leads, and how many are off."""
    assert isinstance(chip.programming, WriteVerify) and isinstance(chip.device, AbstractPulsed)
    budget = chip.programming.max_pulses
    return chip.device.verify(cells, targets, _tolerance(chip), budget, key)


def _tolerance(chip: "Chip") -> float:
    """How far from its target write–verify leaves a cell, in siemens."""
    assert isinstance(chip.programming, WriteVerify)
    low, high = chip.device.conductance_range
    return chip.programming.tolerance * (high - low)


def _refresh_worn(chip: "Chip", cells: Any, key: Array | None) -> tuple[Any, Array]:
    """Sets pairs that are near the end of their range back, and programs their difference anew.

    Counts the cells that write–verify, where the chip has it, leaves outside of its tolerance.
    """
    device, mapping = chip.device, chip.mapping
    none = jnp.zeros((), jnp.int32)
    if not isinstance(device, AbstractPulsed):
        return cells, none
    present = device.conductance(cells)
    worn = mapping.worn(present, device)
    if worn is None:
        return cells, none
    assert key is not None

    def refresh(cells: Any) -> tuple[Any, Array]:
        unit = jnp.clip(_unit(chip, present), -1, 1)
        targets = mapping.targets(unit, device)
        restart_key, verify_key = _kernels.split(key)
        cells = device.restart(cells, worn, targets, mapping.start(device), restart_key)
        if not isinstance(chip.programming, WriteVerify):
            return cells, none
        now = device.conductance(cells)
        wanted = jnp.where(worn, targets, now)  # the others are where they should be
        return _verified(chip, cells, wanted, verify_key)

    return jax.lax.cond(jnp.any(worn), refresh, lambda cells: (cells, none), cells)


def _reprogrammed_gain(chip: "Chip", before: State, after: State) -> State:
    """Devices that were programmed count with what they have now, the others with their gain."""
    if not chip.drift_compensation:
        return after
    then, now = conductances(chip, before), conductances(chip, after)
    reference = jnp.sum(jnp.where(then == now, before["gain"] * now, now))
    total = jnp.sum(now)
    gain = jnp.where(total > 0, reference / jnp.where(total > 0, total, 1), 1)
    return {**after, "total": total, "gain": gain}


def _full_scale(chip: "Chip", state: State) -> dict[str, Array]:
    """The largest currents that inputs from −1 to 1 can give: where calibrated ranges start."""
    volts = chip.dac.v_read
    terms = _weighted_terms(chip, state)

    def largest(terms: tuple[Array, ...], axis: int) -> Array:
        sums = [
            jnp.max(jnp.sum(jnp.abs(tiles), axis=axis), axis=-1) * volts**power
            for power, tiles in enumerate(terms, start=1)
        ]
        return jnp.sum(jnp.stack(sums), axis=0)

    return {"forward": largest(terms, 4), "transposed": largest(_seen_back(chip, state), 3)}


def _weighted_terms(chip: "Chip", state: State) -> tuple[Array, ...]:
    """Terms of what is converted, without those of ideal references."""
    terms = state["seen"]["terms"]
    if not chip.wires.per_read:
        return terms
    if chip.mapping.reference == "ideal":
        terms = tuple(map(jnp.subtract, terms, state["reference"]))
    return _pairs(terms) if chip.mapping.subtracts_currents else terms


def _seen_back(chip: "Chip", state: State) -> tuple[Array, ...]:
    """Terms without reference columns, for what those add to transposed currents at the most.

    A column carries minus the sum of its tile's inputs: in the linear term it is subtracted from
    each line; in that of a power `k` it sees up to `lines^k`.
    """
    first, *higher = _weighted_terms(chip, state)
    tiling = chip.tiling(state)
    if not tiling.column:
        return first, *higher
    places = jnp.arange(tiling.tiles_out * tiling.lines).reshape(tiling.tiles_out, 1, -1, 1)
    weights = first[..., :-1, :] - first[..., -1:, :]
    grown = (
        jnp.concatenate([t[..., :-1, :], t[..., -1:, :] * float(tiling.lines) ** power], axis=3)
        for power, t in enumerate(higher, start=2)
    )
    return jnp.where(places < tiling.n_out, weights, 0), *grown
