"""Gradients through resistive wires: against differences of circuits that SciPy solves."""

import dataclasses
import functools
import re

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip import tile_model
from tests.hardware.python_chip import PythonChip
from tests.helpers import assert_close, assert_equal, normal

WORD_LINE, BIT_LINE = 3e3, 7e3
WIRES = xb.wires.Resistive(WORD_LINE, BIT_LINE)
LOW, HIGH, RANGE = 2e-6, 12e-6, 4.0
EXACT = xb.device.Ideal(g_min=LOW, g_max=HIGH)
N_OUT, N_IN = 5, 6
W, C = normal(0, N_OUT, N_IN), normal(1, N_OUT, N_IN)
XS = normal(2, 4, N_IN)
TILE = (4, 3)  # with remainders both ways
PAIR = xb.mapping.DifferentialPair(weight_range=RANGE)


@pytest.fixture(scope="module", autouse=True)
def compile_quickly(little_optimisation):
    """All tests here."""


def chip_of(mapping=PAIR, wires=WIRES, device=EXACT, **stations):
    return xb.Chip(device=device, mapping=mapping, wires=wires, **{"tile": TILE, **stations})


def loss(w):
    return jnp.sum(jnp.tanh(xb.read(w, XS)) ** 2)


# ---- Against differences ---------------------------------------------------------------------


def pair(u, _):
    return LOW + (HIGH - LOW) * np.stack([np.maximum(u, 0), np.maximum(-u, 0)])


def reference(u, _):
    return (LOW + HIGH) / 2 + (HIGH - LOW) / 2 * u[None]


def column(u, planes):
    return np.concatenate([reference(u, None), planes[:, N_OUT:]], axis=1)


def slices(u, planes):
    """Digits have no derivative: the least change of those of the sign held, or of both for 0."""
    positive = 0.5 * (1 + np.sign(np.einsum("p,poi->oi", [1, -1, 4, -4], planes)))
    least = (HIGH - LOW) * 5 / 17 * np.array([1, 4])[:, None, None] * (u - W / RANGE)
    both = np.stack([positive * least, (positive - 1) * least], axis=1)
    return planes + both.reshape(planes.shape)


# A mapping, its formula in double precision, and the planes' coefficients in 1/(HIGH - LOW).
MAPPINGS = {
    "pair": (PAIR, pair, [1, -1]),
    "reference": (xb.mapping.IdealReference(weight_range=RANGE), reference, [2]),
    "column": (xb.mapping.OffsetColumn(weight_range=RANGE), column, [2]),
    "slices": (
        xb.mapping.BitSlices(bits=2, slices=2, weight_range=RANGE),
        slices,
        np.array([1, -1, 4, -4]) / 5,
    ),
}


@pytest.mark.parametrize("name", MAPPINGS)
def test_is_the_derivative_of_effective_weights(name):
    """Along directions; float32 leaves 1e-5 of it."""
    mapping, targets, coefficients = MAPPINGS[name]
    w = xb.MemristiveCrossbarArray(W, chip_of(mapping))
    pulled = np.asarray(xb.wires.pull_back(w, C), np.float64)
    model = tile_model.of(w, RANGE / (HIGH - LOW) * np.asarray(coefficients))

    def value(weights):
        planes = targets(weights / RANGE, model.planes)
        seen = tile_model.through_wires(model, planes, WORD_LINE, BIT_LINE)
        if name == "column":
            tile_of = N_OUT + np.arange(N_OUT) // model.lines
            seen = seen[:, :N_OUT] - seen[:, tile_of]
        return np.sum(C * np.einsum("p,poi->oi", model.coefficients, seen))

    for seed in range(5):
        direction = normal(10 + seed, N_OUT, N_IN).astype(np.float64)
        ahead, behind = (value(W.astype(np.float64) + h * direction) for h in (1e-5, -1e-5))
        scale = np.linalg.norm(pulled) * np.linalg.norm(direction)
        assert abs(np.sum(pulled * direction) - (ahead - behind) / 2e-5) < 1e-5 * scale
    assert np.linalg.norm(pulled - C) > 0.05 * np.linalg.norm(C)


# ---- The same by building the array in the loss -----------------------------------------------


@pytest.mark.parametrize("name", ["pair", "column"])
def test_an_array_built_in_the_loss_has_the_same_gradient(name):
    chip = chip_of(MAPPINGS[name][0])
    of_plain = lambda weights: loss(xb.MemristiveCrossbarArray(weights, chip))
    w = xb.MemristiveCrossbarArray(W, chip)
    pulled = jax.jit(lambda w: xb.wires.pull_back(w, jax.grad(loss)(w)))(w)
    assert_close(jax.jit(jax.grad(of_plain))(W), pulled)
    if name == "column":
        assert_close(jax.jit(jax.grad(jax.checkpoint(of_plain)))(W), pulled)
        _, tangent = jax.jvp(lambda W: xb.MemristiveCrossbarArray(W, chip), (W,), (C,))
        assert_close(jnp.sum(tangent * XS[0]), jnp.sum(xb.wires.pull_back(w, 0 * C + XS[0]) * C))


def test_a_change_of_an_array_is_pulled_back_where_it_leads_to():
    w, dw = xb.MemristiveCrossbarArray(0.1 * W, chip_of()), 0.9 * W
    of_array, of_change = jax.jit(jax.grad(lambda w, d: loss(w + d), (0, 1)))(w, dw)
    effective = jax.grad(loss)(w + dw)
    assert_close(of_array, effective)
    assert_close(of_change, xb.wires.pull_back(w + dw, effective))
    _, tangent = jax.jvp(lambda w, d: w + d, (w, dw), (0 * C, C))
    assert_close(jnp.sum(tangent * effective), jnp.sum(of_change * C))


# ---- Transformations -------------------------------------------------------------------------


def test_vmap_over_chips_is_the_loop_and_jit_is_eager():
    chip = chip_of(device=xb.device.PCM(), faults=xb.Faults(stuck_low=0.1))
    keys = jax.random.split(jax.random.key(0), 3)
    gradients = jnp.asarray(normal(3, 3, N_OUT, N_IN))
    make = lambda key: xb.MemristiveCrossbarArray(W, chip, key)
    loop = jnp.stack(
        [xb.wires.pull_back(make(key), g) for key, g in zip(keys, gradients, strict=True)]
    )
    one = lambda key, g: xb.wires.pull_back(make(key), g)
    assert_close(jax.jit(jax.vmap(one))(keys, gradients), loop)
    assert_close(xb.wires.pull_back(jax.vmap(make)(keys), gradients), loop)
    assert np.all(np.std(loop - jnp.asarray(gradients), axis=0) > 0)


def test_is_linear_and_differentiates_as_such():
    w = xb.MemristiveCrossbarArray(W, chip_of())
    pull = functools.partial(xb.wires.pull_back, w)
    gradient = jax.grad(lambda g: jnp.sum(C * pull(g)))(0 * C)
    assert_close(jnp.sum(gradient * W), jnp.sum(C * pull(W)))


@pytest.mark.parametrize("chip", [xb.Chip(), chip_of(wires=xb.wires.Ideal())])
def test_ideal_wires_pull_nothing(chip):
    w = xb.MemristiveCrossbarArray(W, chip)
    assert_equal(xb.wires.pull_back(w, C), jnp.asarray(C))


@dataclasses.dataclass(frozen=True)
class Leaking(xb.wires.AbstractWires):
    """Wires that pass a quarter of each conductance."""

    def effective(self, conductance):
        return conductance / 4


def test_other_wires_and_devices_without_siemens_are_pulled_through_too():
    w = xb.MemristiveCrossbarArray(W, xb.Chip(wires=Leaking()))
    assert_close(xb.wires.pull_back(w, C), jnp.asarray(C / 4))


@pytest.mark.parametrize("name", MAPPINGS)
def test_a_change_of_a_weight_is_shared_by_its_devices(name):
    mapping = MAPPINGS[name][0]
    present = mapping.targets(jnp.asarray(np.sign(W) * (np.abs(W) > 0.5)), EXACT)
    changes = mapping.derivatives(present, EXACT)
    coefficients = np.asarray(mapping.coefficients(EXACT), np.float32)
    assert_close(jnp.einsum("p,poi->oi", coefficients, changes), jnp.ones((N_OUT, N_IN)))
    if len(coefficients) > 1:  # a device of the other sign stays where it is
        assert np.all(np.asarray(changes)[1::2, W > 0.5] == 0)
        assert np.all(np.asarray(changes)[::2, W < -0.5] == 0)


# ---- Bad input -------------------------------------------------------------------------------


def test_refuses_what_it_cannot_pull_back(as_users_call):
    w = xb.MemristiveCrossbarArray(W, chip_of())
    for bad, kind, message in [
        ((W, C), TypeError, "expected a MemristiveCrossbarArray, given ndarray"),
        ((w, w), TypeError, "gradient: expected a plain array, given a crossbar array"),
        ((w, C.astype(np.float64)), TypeError, "gradient: expected float32, given float64"),
        ((w, C[0]), ValueError, "given crossbar[float32[5,6]] and float32[6]"),
        ((w, C.T), ValueError, "given crossbar[float32[5,6]] and float32[6,5]"),
    ]:
        with pytest.raises(kind, match=re.escape(message)):
            xb.wires.pull_back(*bad)


def test_refuses_real_chips_whose_wires_nobody_knows():
    chip = xb.hardware.load(PythonChip)
    try:
        w = xb.MemristiveCrossbarArray(np.zeros((3, 5), np.float32), chip)
        with pytest.raises(TypeError, match="pull_back: expected an array on a simulated chip"):
            xb.wires.pull_back(w, np.zeros((3, 5), np.float32))
    finally:
        xb.hardware.close(chip)
