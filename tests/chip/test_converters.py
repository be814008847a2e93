"""Converters: their levels, ranges and derivatives, against a NumPy model of the whole read."""

import re

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip import tile_model
from tests.chip.tile_model import per_vector, quantise
from tests.helpers import assert_close, assert_equal, normal

EXACT = xb.device.Ideal(g_min=2e-6, g_max=12e-6)
N_OUT, N_IN, N_ROWS = 5, 7, 6
W, DW = normal(0, N_OUT, N_IN), normal(5, N_OUT, N_IN)
LARGEST = float(np.max(np.abs(W)))
XS = 0.6 * normal(1, N_ROWS, N_IN)  # a tenth of them beyond 1
FEW = 0.7 * XS[:2]  # which ranges are calibrated to
YS, C, DX = normal(2, N_ROWS, N_OUT), normal(3, N_ROWS, N_OUT), normal(4, N_ROWS, N_IN)
DAC_BITS, ADC_BITS = 5, 6
FIXED = 3e-6  # amperes, below the largest currents

MAPPINGS = {
    "pair": (xb.mapping.DifferentialPair(), LARGEST / 10e-6 * np.array([1, -1])),
    "column": (xb.mapping.OffsetColumn(), [LARGEST / 5e-6]),
    "slices": (
        xb.mapping.BitSlices(bits=2, slices=2),
        LARGEST / 10e-6 / 5 * np.array([1, -1, 4, -4]),
    ),
    "subtracted pair": (xb.mapping.DifferentialPair(subtract="analog"), [LARGEST / 10e-6]),
}
RANGES = {"fixed": FIXED, "calibrated": "calibrated", "read": "read"}


def chip_of(mapping="pair", adc_range="fixed", **stations):
    given = {
        "tile": (3, 3),
        "dac": xb.DAC(bits=DAC_BITS, v_read=0.5),
        "adc": xb.ADC(bits=ADC_BITS, range=RANGES[adc_range]),
        **stations,
    }
    return xb.Chip(device=EXACT, mapping=MAPPINGS[mapping][0], **given)


def make(mapping="pair", adc_range="fixed", **stations):
    chip = chip_of(mapping, adc_range, **stations)
    w = xb.MemristiveCrossbarArray(W, chip)
    return w, tile_model.of(w, MAPPINGS[mapping][1])


def driven(x, bits=DAC_BITS):
    return quantise(x, 1.0, bits)


def fixed(*_):
    return FIXED


def calibrated(model, x):
    """Each tile's and plane's largest current over inputs."""
    currents = model.currents(x)
    return lambda tile, _: np.max(np.abs(currents[tile]), axis=(1, 2), keepdims=True)


# ---- Levels ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_a_dac_has_equal_steps_around_zero(bits):
    dac = xb.DAC(bits=bits)
    grid = jnp.linspace(-1.3, 1.3, 40_001)
    seen = np.asarray(dac.convert(grid), np.float64)
    half = 2 ** (bits - 1) - 1
    np.testing.assert_allclose(np.unique(seen), np.arange(-half, half + 1) / half, atol=1e-7)
    assert np.max(np.abs(seen - grid)[np.abs(grid) <= 1]) <= 0.5 / half + 1e-6
    assert_equal(dac.convert(-grid), -dac.convert(grid))
    x = jnp.asarray(normal(0, 200))
    np.testing.assert_allclose(dac.convert(x), quantise(x, 1.0, bits), atol=1e-6)


@pytest.mark.parametrize("bits", [None, *range(2, 25)])
def test_spikes_pass_every_dac_exactly(bits):
    spikes = jnp.array([0.0, 1.0, -1.0, 1.0, -0.0])
    assert_equal(xb.DAC(bits=bits).convert(spikes), spikes)
    assert_equal(xb.DAC(bits=bits).convert_scaled(spikes), spikes)


@pytest.mark.parametrize(("bits", "signed"), [(2, True), (7, True), (1, False), (4, False)])
def test_an_adc_has_equal_steps_of_its_range(bits, signed):
    adc = xb.ADC(bits=bits, range=3e-6, signed=signed)
    grid = jnp.linspace(-4e-6, 4e-6, 40_001)
    seen = np.unique(np.asarray(adc.convert(grid, None), np.float64))
    half = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    levels = np.arange(-half if signed else 0, half + 1) / half
    np.testing.assert_allclose(seen / 3e-6, levels, atol=1e-6)
    assert 0 in seen
    inside = (np.abs(grid) <= np.float32(3e-6)) & ((grid >= 0) | signed)
    assert_equal(adc.inside(grid, None), inside)


def test_without_bits_converters_are_exact_and_without_bounds():
    x = jnp.asarray(100 * normal(0, 50))
    assert_equal(xb.DAC().convert(x), x)
    assert_equal(xb.ADC(range=1e-6).convert(x, None), x)
    assert not xb.Chip(device=EXACT, adc=xb.ADC(range=1e-6)).clips


# ---- Whole reads -------------------------------------------------------------------------------


@pytest.mark.parametrize("adc_range", RANGES)
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_a_read_is_that_of_the_model(mapping, adc_range):
    w, model = make(mapping, adc_range)
    if adc_range == "calibrated":
        w = xb.calibrate(w, FEW)
    ranges = {"fixed": fixed, "read": per_vector, "calibrated": calibrated(model, driven(FEW))}
    expected, inside = model.forward(driven(XS), ranges[adc_range])
    np.testing.assert_allclose(xb.read(w, XS), expected, atol=2e-5)
    assert np.all(inside) == (adc_range == "read")
    if adc_range != "calibrated":
        apart = np.repeat(driven(YS)[:, None], 3, axis=1)
        back = model.back(apart, ranges[adc_range])
        np.testing.assert_allclose(xb.read(w, YS, transpose=True), back, atol=2e-5)


@pytest.mark.parametrize("adc_range", ["fixed", "read"])
def test_unsigned_converters_see_currents_of_one_direction(adc_range):
    adc = xb.ADC(bits=ADC_BITS, range=RANGES[adc_range], signed=False)
    w, model = make("pair", adc=adc)
    for x in (np.abs(XS), XS):
        expected, _ = model.forward(driven(x), {"fixed": fixed, "read": per_vector}[adc_range])
        np.testing.assert_allclose(xb.read(w, x), expected, atol=2e-5)


def full_scale(w, transpose=False):
    """The range of the converters, (planes, tiles out, tiles in), as the array holds it."""
    name = "transposed" if transpose else "forward"
    return np.asarray(xb.array.get_state(w)[f"state/adc_range/{name}"], np.float64)


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_ranges_begin_at_the_largest_currents_of_inputs_up_to_1(mapping):
    w, model = make(mapping, "calibrated")
    forward, transposed = full_scale(w), full_scale(w, transpose=True)
    for a, b, _, rows, ins in model.tiles():
        devices = model.planes[:, rows][..., ins]
        largest = 0.5 * np.max(np.sum(np.abs(devices), axis=2), axis=1)
        np.testing.assert_allclose(forward[:, a, b], largest, rtol=1e-5)
        if model.column:  # it carries minus the sum of the others
            devices = devices[:, :-1] - devices[:, -1:]
        largest = 0.5 * np.max(np.sum(np.abs(devices), axis=1), axis=1)
        np.testing.assert_allclose(transposed[:, a, b], largest, rtol=1e-5)


def test_calibrated_ranges_are_the_largest_currents_of_the_data():
    w, model = make("column", "calibrated")
    after = xb.calibrate(w, XS.reshape(2, 3, N_IN))
    expected, before = calibrated(model, driven(XS)), full_scale(w)
    for a, b, *_ in model.tiles():
        np.testing.assert_allclose(full_scale(after)[:, a, b], expected((a, b), 0).ravel(), 1e-5)
    assert np.all(full_scale(after) < before * (1 + 1e-6))
    assert np.mean(full_scale(after) < 0.8 * before) > 0.5
    assert_equal(full_scale(after, transpose=True), full_scale(w, transpose=True))
    assert_equal(xb.readout(after), xb.readout(w))
    assert_equal(full_scale(after + DW), full_scale(after))
    assert_close(full_scale(jax.jit(xb.calibrate)(w, XS)), full_scale(after), atol=0)


def test_tiles_without_current_keep_their_range():
    w, _ = make("pair", "calibrated")
    some = np.zeros((1, N_IN), np.float32)
    some[0, 4] = 0.5
    before, after = full_scale(w), full_scale(xb.calibrate(w, some))
    assert_equal(after[..., [0, 2]], before[..., [0, 2]])
    assert np.all(after[..., 1] < before[..., 1])


def test_calibration_is_without_noise():
    device = xb.device.PCM(program_noise=0.0, drift=0.0, read_noise=100.0)
    adc = xb.ADC(bits=8, range="calibrated")
    noisy, quiet = (
        xb.MemristiveCrossbarArray(W, xb.Chip(device=d, adc=adc), jax.random.key(0))
        for d in (device, xb.device.Ideal(g_min=0.0, g_max=25e-6))
    )
    ranges = [full_scale(xb.calibrate(w, XS)) for w in (noisy, quiet)]
    np.testing.assert_allclose(*ranges, rtol=1e-5)


def test_vmap_over_calibrations_makes_a_batch():
    w, _ = make("pair", "calibrated")
    data = jnp.stack([XS, 0.5 * XS])
    reads = jax.vmap(lambda x: xb.read(xb.calibrate(w, x), XS))(data)
    assert_close(reads, jnp.stack([xb.read(xb.calibrate(w, x), XS) for x in data]))
    assert np.any(np.abs(reads[0] - reads[1]) > 0.01)


@pytest.mark.parametrize("adc_range", RANGES)
def test_zeros_are_ordinary_input(adc_range):
    w, _ = make("column", adc_range)
    zeros = np.zeros((2, N_IN), np.float32)
    assert_equal(xb.read(w, zeros), jnp.zeros((2, N_OUT)))
    gradients = jax.grad(lambda w, x: jnp.sum(xb.read(w, x) ** 2), (0, 1))(w, zeros)
    assert_equal(gradients, (jnp.zeros((N_OUT, N_IN)), jnp.asarray(zeros)))


# ---- Derivatives -------------------------------------------------------------------------------


def expected_gradients(model, ranges, **back):
    """Those of Σ C y, for the weights and the inputs."""
    _, inside = model.forward(driven(XS), ranges)
    apart = C[:, None] * inside
    tile_of = np.arange(N_IN) // 3
    of_weights = np.einsum("nio,ni->oi", apart[:, tile_of], driven(XS))
    of_inputs = model.back(apart, per_vector, **back)
    return of_weights, np.where(np.abs(XS) <= 1, of_inputs, 0), inside


def value(w, x):
    return jnp.sum(C * xb.read(w, x))


@pytest.mark.parametrize("adc_range", ["fixed", "read"])
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_gradients_are_straight_through_inside_and_zero_beyond(mapping, adc_range):
    """And cotangents are read through the chip, scaled to each vector's own range."""
    w, model = make(mapping, adc_range)
    scaled = lambda c: quantise(c, np.max(np.abs(c), axis=1, keepdims=True), DAC_BITS)
    ranges = {"fixed": fixed, "read": per_vector}[adc_range]
    of_weights, of_inputs, inside = expected_gradients(model, ranges, dac=scaled)
    gradients = jax.grad(value, (0, 1))(w, XS)
    np.testing.assert_allclose(gradients[0], of_weights, atol=2e-5)
    np.testing.assert_allclose(gradients[1], of_inputs, atol=5e-5)
    assert 0.05 < np.mean(np.abs(XS) > 1) < 0.3
    assert (0.1 < np.mean(inside) < 0.9) if adc_range == "fixed" else np.all(inside)


@pytest.mark.parametrize("mapping", ["pair", "column"])
def test_gradients_of_ideal_backward_reads(mapping):
    w, model = make(mapping, backward="ideal")
    of_weights, of_inputs, _ = expected_gradients(model._replace(bits=40), fixed)
    _, _, inside = expected_gradients(model, fixed)
    weights = np.asarray(xb.readout(w), np.float64)
    apart = (C[:, None] * inside)[:, np.arange(N_IN) // 3]
    exact = np.where(np.abs(XS) <= 1, np.einsum("nio,oi->ni", apart, weights), 0)
    np.testing.assert_allclose(of_inputs, exact, atol=1e-5)  # the model's own check
    gradients = jax.grad(value, (0, 1))(w, XS)
    np.testing.assert_allclose(gradients[0], of_weights, atol=2e-5)
    np.testing.assert_allclose(gradients[1], exact, atol=2e-5)


def test_transposed_reads_clip_their_gradients_too():
    w, model = make("pair", backward="ideal")
    gradients = jax.grad(lambda w: jnp.sum(DX * xb.read(w, YS, transpose=True)))(w)
    on_lines, expected = driven(YS), np.zeros(W.shape)
    for _, _, outs, rows, ins in model.tiles():
        currents = np.einsum(
            "plw,nl->pnw", 0.5 * model.planes[:, rows][..., ins], on_lines[:, outs]
        )
        inside = np.all(np.abs(currents) <= FIXED, axis=0)
        expected[np.ix_(outs, ins)] = on_lines[:, outs].T @ (DX[:, ins] * inside)
    np.testing.assert_allclose(gradients, expected, atol=2e-5)


@pytest.mark.parametrize("mapping", ["pair", "column"])
def test_forward_mode_is_reverse_mode(mapping):
    w, model = make(mapping, backward="ideal")
    y, tangent = jax.jvp(xb.read, (w, XS), (DW, DX))
    assert_equal(y, xb.read(w, XS))
    of_weights, of_inputs = jax.grad(value, (0, 1))(w, XS)
    both = np.sum(np.float64(DW) * of_weights) + np.sum(np.float64(DX) * of_inputs)
    np.testing.assert_allclose(np.sum(np.float64(C) * tangent), both, atol=1e-4)
    # Output by output, against the model.
    _, inside = model.forward(driven(XS), fixed)
    dx = np.where(np.abs(XS) <= 1, DX, 0)
    tile_of = np.arange(N_IN) // 3
    weights = np.asarray(xb.readout(w), np.float64)
    products = driven(XS)[:, None] * DW + dx[:, None] * weights
    expected = np.einsum("noi,nio->no", products, inside[:, tile_of])
    np.testing.assert_allclose(tangent, expected, atol=5e-5)


def test_no_rows_have_derivatives_too():
    w, _ = make()
    none = jnp.zeros((0, N_IN))
    y, tangent = jax.jvp(lambda x: xb.read(w, x), (none,), (none,))
    assert y.shape == tangent.shape == (0, N_OUT)
    total = jax.checkpoint(lambda x: jnp.sum(xb.read(w, x) ** 2))
    assert jax.grad(total)(none).shape == none.shape
    assert jax.hessian(total)(none).shape == none.shape * 2


def bent(w, x):
    return jnp.sum(jnp.tanh(xb.read(w, x)) ** 2)


@pytest.mark.parametrize("adc_range", RANGES)
def test_grad_is_grad_of_checkpoint(adc_range):
    w, _ = make("pair", adc_range)
    w = xb.calibrate(w, FEW) if adc_range == "calibrated" else w
    plain = jax.jit(jax.grad(bent, (0, 1)))(w, XS)
    assert_close(jax.jit(jax.grad(jax.checkpoint(bent), (0, 1)))(w, XS), plain)
    assert np.any(plain[0] != 0)


def test_vmap_of_grad_is_the_loop():
    w, _ = make("column")
    grad = jax.grad(bent, (0, 1))
    loop = jax.tree.map(lambda *each: jnp.stack(each), *[grad(w, x) for x in XS])
    assert_close(jax.vmap(grad, (None, 0))(w, XS), loop)
    chips = jax.vmap(lambda k: xb.MemristiveCrossbarArray(k * W, w.chip))(jnp.array([1.0, 0.5]))
    one = [grad(xb.MemristiveCrossbarArray(k * W, w.chip), XS[0]) for k in (1.0, np.float32(0.5))]
    both = jax.vmap(grad, (0, None))(chips, XS[0])
    assert_close(both, jax.tree.map(lambda *each: jnp.stack(each), *one))


# ---- Bad input ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("as_users_call")
@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: xb.DAC(bits=0), ValueError, "DAC(bits=…): expected an integer from 2 to 24, or"),
        (lambda: xb.DAC(bits=1), ValueError, "infinite resolution, given 1"),
        (lambda: xb.DAC(bits=25), ValueError, "infinite resolution, given 25"),
        (lambda: xb.DAC(bits=8.0), ValueError, "infinite resolution, given 8.0"),
        (lambda: xb.DAC(bits=True), ValueError, "infinite resolution, given True"),
        (lambda: xb.DAC(v_read=0.0), ValueError, "DAC(v_read=…): expected a number above 0 V"),
        (lambda: xb.DAC(v_read=np.nan), ValueError, "above 0 V, given nan"),
        (lambda: xb.DAC(v_read="0.2"), TypeError, "above 0 V, given '0.2'"),
        (lambda: xb.ADC(bits=1), ValueError, "ADC(bits=…): expected an integer from 2 to 24"),
        (lambda: xb.ADC(bits=0, signed=False), ValueError, "from 1 to 24, or None"),
        (lambda: xb.ADC(range="fixed"), ValueError, "amperes, 'calibrated' or 'read', given 'fix"),
        (lambda: xb.ADC(range=-1e-6), ValueError, "ADC(range=…): expected a number of amperes abo"),
        (lambda: xb.ADC(range=None), TypeError, "of amperes above 0, given None"),
    ],
)
def test_bad_converters(build, error, message):
    with pytest.raises(error, match=re.escape(message)):
        build()


@pytest.mark.usefixtures("as_users_call")
def test_bad_calibrations():
    w, _ = make("pair", "calibrated")
    chips = jax.vmap(lambda weights: xb.MemristiveCrossbarArray(weights, w.chip))(W[None])
    for array, inputs, error, message in [
        (make("pair", "read")[0], XS, ValueError, "expected a chip with adc=xb.ADC(bits=…, range="),
        (xb.MemristiveCrossbarArray(W), XS, ValueError, "given ADC(bits=None, range='read'"),
        (
            w,
            XS[:, :3],
            ValueError,
            f"expected inputs (…, {N_IN}), at least one, given shape (6, 3)",
        ),
        (w, XS[:0], ValueError, f"expected inputs (…, {N_IN}), at least one, given shape (0, 7)"),
        (w, np.float32(1), ValueError, "at least one, given shape ()"),
        (w, np.ones((2, N_IN)), TypeError, "inputs: expected float32, given float64"),
        (W, XS, TypeError, "xb.calibrate: expected a MemristiveCrossbarArray, given ndarray"),
        (chips, XS, ValueError, "is a batch of arrays; use it inside jax.vmap"),
    ]:
        with pytest.raises(error, match=re.escape(message)):
            xb.calibrate(array, inputs)


def test_an_adcs_flag_is_true_or_false(as_users_call):
    with pytest.raises(TypeError, match=r"ADC\(signed=…\): expected True or False, given 'no'"):
        xb.ADC(bits=8, signed="no")
