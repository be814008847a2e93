"""The native reader of simulated chips computes what the pure-JAX specification computes."""

import dataclasses
import functools
import re

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.helpers import normal
from xbarax.chip import _read

KEY = jax.random.key(3)
N_OUT, N_IN, ROWS = 19, 37, 26  # two blocks of the kernel's rows
WEIGHTS = jnp.asarray(normal(0, N_OUT, N_IN))

ONE = dataclasses.replace(xb.device.presets.reram_soft_bounds(), read_noise=2e-7)  # σ for all
EACH = xb.device.PCM()
QUIET = xb.device.Ideal()
map_ = xb.mapping

# Converters of each kind, σ of each kind, mappings with planes and columns, tiles that do not fit.
CHIPS = {
    "as one, one σ": xb.Chip(ONE, map_.IdealReference(), dac=xb.DAC(bits=8)),
    "as one, σ of each": xb.Chip(EACH, map_.DifferentialPair(), tile=(16, 8)),
    "as one, faults": xb.Chip(
        EACH, map_.IdealReference(), faults=xb.Faults(stuck_low=0.1, stuck_high=0.1)
    ),
    "as one, quiet": xb.Chip(QUIET, dac=xb.DAC(bits=6)),
    "own range": xb.Chip(ONE, map_.IdealReference(), dac=xb.DAC(bits=8), adc=xb.ADC(bits=8)),
    "own range, pairs in tiles": xb.Chip(
        EACH, map_.DifferentialPair(), tile=(16, 8), dac=xb.DAC(bits=8), adc=xb.ADC(bits=6)
    ),
    "own range, unsigned": xb.Chip(EACH, map_.DifferentialPair(), adc=xb.ADC(bits=8, signed=False)),
    "fixed, slices in tiles": xb.Chip(
        EACH, map_.BitSlices(bits=2, slices=2), tile=(10, 19), adc=xb.ADC(bits=7, range=1e-5)
    ),
    "own range, subtracted pairs in tiles": xb.Chip(
        EACH,
        map_.DifferentialPair(subtract="analog"),
        tile=(16, 8),
        dac=xb.DAC(bits=8),
        adc=xb.ADC(bits=6),
    ),
    "fixed, subtracted slices": xb.Chip(
        ONE, map_.BitSlices(bits=2, slices=2, subtract="analog"), adc=xb.ADC(bits=7, range=1e-5)
    ),
    "fixed, column": xb.Chip(
        ONE, map_.OffsetColumn(), tile=(37, 8), adc=xb.ADC(bits=8, range=4e-5, signed=False)
    ),
    "calibrated, column in tiles": xb.Chip(
        EACH,
        map_.OffsetColumn(),
        tile=(20, 9),
        dac=xb.DAC(bits=4, v_read=0.1),
        adc=xb.ADC(bits=9, range="calibrated"),
        faults=xb.Faults(stuck_low=0.05, stuck_high=0.05),
        drift_compensation=True,
    ),
    "quiet in tiles": xb.Chip(QUIET, tile=(16, 16), adc=xb.ADC(bits=8)),
    "exact, column": xb.Chip(ONE, map_.OffsetColumn(), tile=(20, 9)),
}
CLIPPING = [name for name, chip in CHIPS.items() if chip.clips]
PATHS = [(False, "forward"), (True, "forward"), (False, "backward"), (True, "backward")]


@functools.cache
def state_of(name):
    """The state of a case's chip; calibrated to inputs so small that others are clipped."""
    chip = CHIPS[name]
    state = jax.jit(chip.program)(WEIGHTS, jax.random.key(1))
    if chip.adc.calibrated:
        ranges = chip.calibrate(state, jnp.asarray(inputs(0.2, N_IN)))["adc_range"]
        # Transposed reads keep ranges that nothing leaves.
        state = {**state, "adc_range": {**ranges, "transposed": 0.1 * ranges["transposed"]}}
    return state


def inputs(scale, n, seed=5):
    """Rows of values up to `scale`: half of them mostly zero, one altogether."""
    rng = np.random.default_rng(seed)
    x = scale * rng.uniform(-1, 1, (ROWS, n))
    x[::2] *= rng.uniform(size=(len(x[::2]), n)) < 0.1
    x[4] = 0
    return x.astype(np.float32)


def inputs_of(chip, state, transpose, kind):
    """What a read takes: where the chip clips, backward ones take partial sums' cotangents."""
    n = N_OUT if transpose else N_IN
    tiling = chip.tiling(state)
    if kind == "backward" and chip.clips:
        n *= tiling.tiles_in if transpose else tiling.tiles_out
    return inputs(1.0, n)


def both(function, chip, *args):
    """What a method of the chip gives in pure JAX, and natively."""
    results = []
    for implementation in ("jax", "native"):
        one = dataclasses.replace(chip, implementation=implementation)
        results.append(np.asarray(jax.jit(functools.partial(function, one))(*args)))
    return results


def key_of(chip):
    return KEY if chip.noisy_read else None


def level(chip, state, x, transpose, kind):
    """By how much a sum is off where every converter on its way is one level off."""
    adc, seen = chip.adc, chip.tiling(state)
    if adc.exact:
        return 0.0
    if adc.range == "calibrated" and kind == "forward":
        largest = np.max(state["adc_range"]["transposed" if transpose else "forward"])
    elif isinstance(adc.range, float) and kind == "forward":
        largest = adc.range
    else:
        lines = _read._line_inputs(chip, seen, jnp.asarray(x), transpose, kind == "backward")
        largest = np.max(np.abs(_read.line_currents(chip, state, lines, key_of(chip), transpose)))
    bits = adc.bits - 1 if adc.signed or kind == "backward" else adc.bits
    converters = seen.tiles_out if transpose else seen.tiles_in
    if seen.column and not transpose:
        converters *= 2
    weight = np.sum(np.abs(chip.read_coefficients)) * chip.weight_scale(state) / chip.dac.v_read
    return float(largest / (2**bits - 1) * converters * weight)


def assert_agree(expected, found, off):
    """Equal to rounding, but for sums at the edge between two levels, one in 1000 at the most."""
    assert found.shape == expected.shape and found.dtype == expected.dtype
    difference, rounding = np.abs(found - expected), 1e-5 * np.max(np.abs(expected))
    assert np.all(difference <= rounding + off)
    assert np.mean(difference > rounding) <= 1e-3


@pytest.mark.parametrize(("transpose", "kind"), PATHS)
@pytest.mark.parametrize("name", CHIPS)
def test_reads_agree(name, transpose, kind):
    chip, state = CHIPS[name], state_of(name)
    x = inputs_of(chip, state, transpose, kind)
    if kind == "forward":
        x = np.asarray(chip.drive(jnp.asarray(x)))
    read = lambda chip, *args: chip.read(*args, key_of(chip), transpose=transpose, kind=kind)
    expected, found = both(read, chip, state, x)
    assert np.ptp(expected) > 0
    assert_agree(expected, found, level(chip, state, x, transpose, kind))


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("name", CLIPPING)
def test_they_agree_on_what_is_clipped(name, transpose):
    chip, state = CHIPS[name], state_of(name)
    x = inputs(1.0, N_OUT if transpose else N_IN)
    inside = lambda chip, *args: chip.inside(*args, key_of(chip), transpose=transpose)
    expected, found = both(inside, chip, state, x)
    assert set(np.unique(expected)) == {0, 1}
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["as one, σ of each", "own range", "calibrated, column in tiles"])
def test_gradients_agree(name):
    def gradients(chip, x, cotangent):
        w = xb.MemristiveCrossbarArray(WEIGHTS, chip, jax.random.key(1))
        loss = lambda w, x: jnp.sum(cotangent * xb.read(w, x, key=KEY))
        by_weights, by_inputs = jax.grad(loss, (0, 1))(w, x)
        return jnp.concatenate([by_weights, by_inputs])

    expected, found = both(gradients, CHIPS[name], inputs(1.0, N_IN), inputs(1.0, N_OUT, seed=6))
    assert np.mean(np.abs(found - expected) > 1e-5 * np.max(np.abs(expected))) <= 1e-3


# ---- Batches -----------------------------------------------------------------------------------


def native(name):
    """A case's noisy chip, and reads of rows of inputs with a state and a key."""
    chip = dataclasses.replace(CHIPS[name], implementation="native")
    read = lambda state, x, key: chip.read(state, x, key, transpose=False, kind="forward")
    return chip, jax.jit(read)


@pytest.mark.parametrize("name", ["as one, one σ", "own range, pairs in tiles", "fixed, column"])
def test_rows_do_not_depend_on_those_beside_them(name):
    _, read = native(name)
    x = inputs(1.0, N_IN)
    together = np.asarray(read(state_of(name), x, KEY))
    for n in (0, 1, 5, 25):
        np.testing.assert_array_equal(read(state_of(name), x[:n], KEY), together[:n])
    x[6:] = 0.5  # other rows, of another kind
    np.testing.assert_array_equal(np.asarray(read(state_of(name), x, KEY))[:6], together[:6])


@pytest.mark.parametrize("name", ["as one, σ of each", "calibrated, column in tiles"])
@pytest.mark.parametrize("axes", [(0, 0, 0), (0, None, None), (None, 1, 0), (None, None, 0)])
def test_vmap_is_the_loop_and_one_call(name, axes):
    chip, read = native(name)
    keys, x = jax.random.split(KEY, 3), inputs(1.0, N_IN)
    states = jax.vmap(chip.program, (None, 0))(WEIGHTS, jax.random.split(jax.random.key(8), 3))
    given = (
        state_of(name) if axes[0] is None else states,
        x if axes[1] is None else np.stack([x, 0.5 * x, x[::-1]], axes[1]),
        KEY if axes[2] is None else keys,
    )
    one = lambda z, axis, i: (
        z if axis is None else jax.tree.map(lambda a: a[i] if axis == 0 else a[:, i], z)
    )
    key = lambda i: KEY if axes[2] is None else keys[i]
    loop = [read(one(given[0], axes[0], i), one(given[1], axes[1], i), key(i)) for i in range(3)]
    mapped = jax.jit(jax.vmap(read, axes))
    np.testing.assert_array_equal(mapped(*given), np.stack(loop))
    text = mapped.lower(*given).as_text()
    assert text.count("custom_call @xbarax_analog_read") == 1


def test_chips_and_inputs_that_are_mapped_apart():
    chip, read = native("own range")
    states = jax.vmap(chip.program, (None, 0))(WEIGHTS, jax.random.split(KEY, 2))
    xs, keys = np.stack([inputs(1.0, N_IN, seed) for seed in range(3)]), jax.random.split(KEY, 3)
    mapped = jax.vmap(jax.vmap(read, (None, 0, 0)), (0, None, None))(states, xs, keys)
    for i in range(2):
        state = jax.tree.map(lambda a, i=i: a[i], states)
        for j in range(3):
            np.testing.assert_array_equal(mapped[i, j], read(state, xs[j], keys[j]))


# ---- Numbers at their ends -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["as one, one σ", "own range", "fixed, column"])
def test_what_is_not_finite_passes_as_in_jax(name):
    chip, state = CHIPS[name], state_of(name)
    x = inputs(1.0, N_IN)
    x[1, 2], x[4, 3], x[7, 5] = np.nan, np.nan, np.inf
    read = lambda chip, *args: chip.read(*args, KEY, transpose=False, kind="forward")
    expected, found = both(read, chip, state, x)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    assert np.all(np.isnan(found[1])) and not np.any(np.isnan(found[0]))


@pytest.mark.parametrize("name", ["as one, σ of each", "own range, pairs in tiles"])
def test_no_input_gives_nothing(name):
    _, read = native(name)
    assert not np.any(read(state_of(name), np.zeros((3, N_IN), np.float32), KEY))


# ---- Which one runs ------------------------------------------------------------------------------


def calls(chip, key=KEY):
    """How often a read calls the native reader."""
    w = xb.MemristiveCrossbarArray(WEIGHTS, chip, jax.random.key(1))
    read = jax.jit(lambda w, x: xb.read(w, x, key=key))
    return len(re.findall(r"@xbarax_analog_read\b", read.lower(w, inputs(1.0, N_IN)).as_text()))


@pytest.mark.parametrize(("implementation", "n"), [("jax", 0), ("native", 1), ("auto", 1)])
def test_a_noisy_chip_calls_what_was_asked_for(implementation, n):
    assert calls(dataclasses.replace(CHIPS["own range"], implementation=implementation)) == n


def test_what_the_reader_is_not_for_is_left_to_jax():
    assert calls(xb.Chip(xb.device.RRAMMilo(), implementation="native")) == 0  # nonlinear
    assert calls(CHIPS["own range"], jax.random.key(3, impl="rbg")) == 0


# ---- What the handler refuses --------------------------------------------------------------------


ATTRIBUTES = {
    **{"transposed": False, "apart": False, "inside": False, "column": False},
    "coefficients": np.ones(2, np.float32),
    **{"v_read": np.float32(1), "dac_bits": np.int64(0), "dac_scaled": False},
    **{"adc_bits": np.int64(0), "adc_signed": True, "adc_range": "read"},
    "full_scale": np.float32(0),
}
# (planes, tiles out, tiles in, lines, words) of a layer (6, 7) in tiles (4, 3).
SHAPES = {
    **{"conductance": (2, 2, 2, 3, 4), "variance": (0,), "ranges": (0,), "scale": ()},
    **{"x": (5, 7), "key": (2,), "y": (5, 6)},
}


def call(attributes=None, **shapes):
    *operands, result = (SHAPES | shapes).values()
    types = [jnp.float32] * 5 + [jnp.uint32]
    arrays = [jnp.ones(shape, dtype) for shape, dtype in zip(operands, types, strict=True)]
    call = jax.ffi.ffi_call("xbarax_analog_read", jax.ShapeDtypeStruct(result, jnp.float32))
    return jax.block_until_ready(call(*arrays, **ATTRIBUTES | (attributes or {})))


def test_the_handler_takes_shapes_that_match():
    np.testing.assert_array_equal(call(), np.full((5, 6), 2 * 7))


@pytest.mark.parametrize(
    "shapes",
    [
        {"x": (5, 9)},
        {"x": (5, 4)},
        {"x": (4, 7)},
        {"x": (7,)},
        {"y": (5, 7)},
        {"y": (3, 5, 6)},
        {"conductance": (3, 2, 2, 3, 4)},
        {"conductance": (2, 2, 3, 4)},
        {"variance": (2, 2, 2, 3, 5)},
        {"variance": (1,)},
        {"scale": (2,)},
        {"key": (3,)},
    ],
)
def test_the_handler_prints_the_shapes_that_do_not_match(shapes):
    shapes = SHAPES | shapes
    text = " ".join(
        f"{'uint32' if name == 'key' else 'float32'}[{','.join(map(str, shape))}]"
        for name, shape in shapes.items()
    )
    message = re.escape(f"xbarax analog read: operands that do not match: {text}")
    with pytest.raises((ValueError, jax.errors.JaxRuntimeError), match=message):
        call(**shapes)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"adc_bits": np.int64(25)}, "to 24 bits, given dac_bits 0 and adc_bits 25"),
        ({"dac_bits": np.int64(-1)}, "to 24 bits, given dac_bits -1 and adc_bits 0"),
        ({"dac_bits": np.int64(1)}, "to 24 bits, given dac_bits 1 and adc_bits 0"),
        ({"adc_range": "own"}, "adc_range read, fixed or calibrated, given own"),
        ({"adc_range": "calibrated", "adc_bits": np.int64(8)}, "do not match"),
        ({"apart": True}, "do not match"),
        ({"column": True}, "do not match"),
    ],
)
def test_the_handler_refuses_attributes(attributes, message):
    with pytest.raises((ValueError, jax.errors.JaxRuntimeError), match=message):
        call(attributes)
