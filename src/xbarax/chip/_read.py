"""How a simulated chip is read: the way from inputs over currents to sums."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import jax
from jax import Array
from jax import numpy as jnp

from xbarax import _kernels
from xbarax.chip import _ideal, _tile, _wired
from xbarax.chip.converter import ADC, DAC

if TYPE_CHECKING:
    from xbarax.chip._chip import Chip

State = dict[str, Any]

Kind = Literal["whole", "forward", "backward"]
"""Whether a native read begins with the inputs' converters, behind them, or with cotangents."""


def read(
    chip: "Chip", state: State, inputs: Array, key: Array | None, transpose: bool, backward: bool
) -> Array:
    """Passes the stations; see `xbarax.Chip`.

    Where the converters clip, the inputs of a backward read are cotangents of the partial sums
    that `partial_sums` keeps apart, (rows, tiles · n); else of the whole ones.
    """
    pure = functools.partial(_read_in_jax, chip, transpose=transpose, backward=backward)
    if not _native_reads(chip, state, key, backward):
        return pure(state, inputs, key)
    kind: Kind = "backward" if backward else "forward"
    native = functools.partial(_read_natively, chip, transpose=transpose, kind=kind)
    return _choose(native, pure, state, inputs, key)


def drive_and_read(
    chip: "Chip", state: State, inputs: Array, key: Array | None, transpose: bool
) -> Array:
    """A forward read from the inputs' converters on: natively they are one pass with the rest."""

    def pure(state: State, inputs: Array, key: Array | None) -> Array:
        return _read_in_jax(chip, state, chip.drive(inputs), key, transpose, backward=False)

    if not _native_reads(chip, state, key, backward=False):
        return pure(state, inputs, key)
    native = functools.partial(_read_natively, chip, transpose=transpose, kind="whole")
    return _choose(native, pure, state, inputs, key)


def _read_in_jax(
    chip: "Chip", state: State, inputs: Array, key: Array | None, transpose: bool, backward: bool
) -> Array:
    if "matrix" in state["seen"]:
        return _read_at_once(chip, state, inputs, key, transpose, backward)
    lines = _line_inputs(chip, chip.tiling(state), inputs, transpose, backward)
    sums = line_currents(chip, state, lines, key, transpose)
    if backward:
        sums = chip.adc.convert_scaled(sums)
    else:
        sums = chip.adc.convert(sums, _calibration(chip, state, transpose))
    return combine(chip, state, sums, transpose)


def _read_at_once(
    chip: "Chip", state: State, inputs: Array, key: Array | None, transpose: bool, backward: bool
) -> Array:
    """All tiles and planes as one matrix: what linear cells give to converters that are exact."""
    x = chip.dac.convert_scaled(inputs) if backward else inputs
    seen = state["seen"]
    product = functools.partial(_ideal.product, transpose=not transpose)  # (in, out)
    y = product(seen["matrix"], x)
    if "variance" in seen:
        if seen["variance"].ndim == 0:
            total = seen["variance"] * jnp.sum(x**2, axis=1, keepdims=True)
        else:
            total = product(seen["variance"], x**2)
        assert key is not None
        y += jnp.sqrt(total) * _kernels.paired_normal(key, y.shape, y.dtype)
    return y * chip.weight_scale(state)


def inside(chip: "Chip", state: State, inputs: Array, key: Array | None, transpose: bool) -> Array:
    """Which partial sums no converter clips, float32 0 or 1, (rows, tiles · n).

    `tiles` are those along the inputs of the read, `n` its outputs. A sum counts as clipped where
    any of its planes' currents is, or that of its reference column.
    """
    pure = functools.partial(_inside_in_jax, chip, transpose=transpose)
    if not _native_reads(chip, state, key, backward=False):
        return pure(state, inputs, key)
    native = functools.partial(_inside_natively, chip, transpose=transpose)
    return _choose(native, pure, state, inputs, key)


def _inside_in_jax(
    chip: "Chip", state: State, inputs: Array, key: Array | None, transpose: bool
) -> Array:
    seen = chip.tiling(state)
    lines = _line_inputs(chip, seen, inputs, transpose, backward=False)
    sums = line_currents(chip, state, lines, key, transpose)
    open_ = chip.adc.inside(sums, _calibration(chip, state, transpose))
    open_ = jnp.all(open_, axis=1)  # (rows, tiles out, tiles in, lines)
    if seen.column and not transpose:
        open_ = open_[..., :-1] & open_[..., -1:]
    n = seen.n_in if transpose else seen.n_out
    joined = _tile.join(jnp.moveaxis(open_, 2, 1), n)
    rows, tiles, _ = joined.shape
    return joined.reshape(rows, tiles * n).astype(jnp.float32)


def line_currents(
    chip: "Chip", state: State, lines: Array, key: Array | None, transpose: bool
) -> Array:
    """Each tile's currents in amperes, read noise included, before the converters."""
    currents = functools.partial(_tile.currents, transpose=transpose)
    volts = lines * chip.dac.v_read
    if chip.wires.per_read:
        sums = _wired.currents(chip, state, volts, transpose)
        if chip.mapping.subtracts_currents:
            sums = sums[:, ::2] - sums[:, 1::2]
    else:
        first, *higher = state["seen"]["terms"]
        sums = currents(first, volts)
        for power, tiles in enumerate(higher, start=2):
            sums += currents(tiles, volts**power)
    variance = state["seen"].get("variance")
    if variance is None:
        return sums
    if variance.ndim == 0:
        total = variance * jnp.sum(volts**2, axis=-1, keepdims=True)
        total = total[:, None] if volts.ndim == 4 else total[:, None, None]
    else:
        total = currents(variance, volts**2)
    assert key is not None
    # Rows come first, so that a row's noise depends on the key and its number alone. A tile's
    # planes are one line of numbers, four of which come of each counter.
    rows, planes, *tiles, n = sums.shape
    normal = _kernels.paired_normal(key, (rows, *tiles, planes * n), sums.dtype)
    normal = jnp.moveaxis(normal.reshape(rows, *tiles, planes, n), -2, 1)
    return sums + jnp.sqrt(total) * normal


def combine(chip: "Chip", state: State, sums: Array, transpose: bool) -> Array:
    """What the converted currents of all tiles stand for, (rows, n)."""
    seen = chip.tiling(state)
    if seen.column and not transpose:
        sums = sums[..., :-1] - sums[..., -1:]
    coefficients = jnp.asarray(chip.read_coefficients, sums.dtype)
    per_tile = jnp.einsum("p,npabo->nao", coefficients, sums)
    unit = _tile.join(per_tile, seen.n_in if transpose else seen.n_out)
    return unit * (chip.weight_scale(state) / chip.dac.v_read)


def _line_inputs(
    chip: "Chip", seen: _tile.Tiling, inputs: Array, transpose: bool, backward: bool
) -> Array:
    """What each tile's lines are driven with, in units of v_read."""
    tiles, width = (seen.tiles_out, seen.lines) if transpose else (seen.tiles_in, seen.words)
    n = seen.n_out if transpose else seen.n_in
    if backward and chip.clips:  # cotangents that differ from tile to tile
        rows, parts = inputs.shape[0], inputs.shape[1] // n
        pieces = _tile.spread(inputs.reshape(rows * parts, n), tiles, width)
        # A part is a tile along the other axis, which comes first for a transposed read.
        lines = pieces.reshape(rows, parts, tiles, width)
    else:
        lines = _tile.spread(inputs, tiles, width)
    if backward:
        lines = chip.dac.convert_scaled(lines)
    if transpose and seen.column:
        lines = jnp.concatenate([lines, -jnp.sum(lines, axis=-1, keepdims=True)], axis=-1)
    return lines


def _calibration(chip: "Chip", state: State, transpose: bool) -> Array | None:
    """The converters' ranges, (planes, tiles out, tiles in, 1), as the read sees the tiles."""
    if not chip.adc.calibrated:
        return None
    ranges = state["adc_range"]["transposed" if transpose else "forward"]
    return (ranges.swapaxes(1, 2) if transpose else ranges)[..., None]


# ---- The same natively: one call ----------------------------------------------------------------

_READ = ("seen", "layer", "largest", "gain", "adc_range")  # what of a state reads use


def _native_reads(chip: "Chip", state: State, key: Array | None, backward: bool) -> bool:
    """Whether the native reader is one for this chip, and better than a mere product."""
    seen = state["seen"]
    if chip.wires.per_read:
        return False
    if "matrix" in seen:
        if key is None and not (backward and isinstance(chip.dac, DAC) and chip.dac.bits):
            return False
    elif len(seen["terms"]) > 1:
        return False
    known = isinstance(chip.dac, DAC) and isinstance(chip.adc, ADC)
    return known and (key is None or _kernels.is_threefry(key))


def _choose(
    native: Callable[..., Array],
    pure: Callable[..., Array],
    state: State,
    inputs: Array,
    key: Array | None,
) -> Array:
    """`_kernels.choose`, with what reads need of the state."""

    def specified(*operands: Any) -> Array:
        with _kernels.using("jax"):
            return pure(*operands)

    used = {name: state[name] for name in _READ if name in state}
    return _kernels.choose(native, specified, used, inputs, key)


def _read_natively(
    chip: "Chip", state: State, inputs: Array, key: Array | None, transpose: bool, kind: Kind
) -> Array:
    seen = chip.tiling(state)
    n = seen.n_in if transpose else seen.n_out
    return _native(chip, state, inputs, key, n, transpose, kind, inside=False)


def _inside_natively(
    chip: "Chip", state: State, inputs: Array, key: Array | None, transpose: bool
) -> Array:
    seen = chip.tiling(state)
    n = seen.tiles_out * seen.n_in if transpose else seen.tiles_in * seen.n_out
    return _native(chip, state, inputs, key, n, transpose, "forward", inside=True)


def _native(
    chip: "Chip",
    state: State,
    inputs: Array,
    key: Array | None,
    n: int,
    transpose: bool,
    kind: Kind,
    inside: bool,
) -> Array:
    read, operands = described(chip, state, transpose=transpose, kind=kind, inside=inside)
    key_data = None if key is None else jax.random.key_data(key)
    return _kernels.analog_read(read, inputs=inputs, n=n, key_data=key_data, **operands)


def described(
    chip: "Chip", state: State, *, transpose: bool, kind: Kind, inside: bool = False
) -> tuple[_kernels.AnalogRead, dict[str, Any]]:
    """A read as the native reader takes it, and what of the state are its operands."""
    seen, dac, adc = state["seen"], chip.dac, chip.adc
    assert isinstance(dac, DAC) and isinstance(adc, ADC)
    path: dict[str, Any] = {"transpose": transpose, "inside": inside}
    backward = kind == "backward"
    if kind != "forward":
        path |= {"dac_bits": dac.bits, "dac_scaled": backward}
    operands: dict[str, Any] = {"variance": seen.get("variance")}
    if "matrix" in seen:
        operands |= {"conductance": seen["matrix"], "scale": chip.weight_scale(state)}
        return _kernels.AnalogRead(**path), operands
    path |= {"adc_bits": adc.bits, "adc_signed": adc.signed, "adc_range": adc.range}
    if backward:  # `ADC.convert_scaled`
        bits = None if adc.bits is None else max(adc.bits, 2)
        path |= {"adc_bits": bits, "adc_signed": True, "adc_range": "read"}
    if adc.calibrated and not backward:
        operands["full_scales"] = state["adc_range"]["transposed" if transpose else "forward"]
    operands |= {
        "conductance": seen["terms"][0],
        "scale": chip.weight_scale(state),
    }
    read = _kernels.AnalogRead(
        **path,
        apart=backward and chip.clips,
        column=chip.has_column,
        coefficients=tuple(c / dac.v_read for c in chip.read_coefficients),
        v_read=dac.v_read,
    )
    return read, operands
