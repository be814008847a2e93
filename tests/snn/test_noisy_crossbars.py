"""Networks on chips with physics: fresh noise, the same in every way to run them, and zeros."""

import dataclasses

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip.registry import CHIPS
from tests.helpers import assert_close, assert_equal
from tests.snn.test_unroll import lively_params, random_spikes
from xbarax import snn

PCM = xb.Chip(device=xb.device.PCM(), tile=(3, 4))
CONVERTING = dataclasses.replace(PCM, dac=xb.DAC(bits=8), adc=xb.ADC(bits=9))
NOISY = {
    "PCM": PCM,
    "PCM, converters": CONVERTING,
    "pulses": xb.Chip(device=xb.device.SoftBounds(read_noise=2e-7, step_up=0.01)),
    "column": xb.Chip(device=xb.device.CMOHfOx(), mapping=xb.mapping.OffsetColumn(), tile=(4, 3)),
}
WIRED = dataclasses.replace(PCM, wires=xb.wires.Resistive(500.0, 500.0))
# All matrices have one shape, so that each chip is compiled once.
NET = snn.Sequential(snn.LIF(5, recurrent=True), snn.LIF(5))
XS = random_spikes(0, 10, 4, 5)
LABELS = np.array([0, 2, 1, 4])


@pytest.fixture(scope="module", autouse=True)
def little_optimisation():
    """XLA takes long to optimise random numbers."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(params=NOISY)
def chip(request):
    return NOISY[request.param]


def on_chip(params, chip, seed=0):
    """All matrices in crossbars."""
    everything = lambda p: [layer[name] for layer in p for name in sorted(layer)]
    return xb.to_crossbar(params, everything, chip, jax.random.key(seed))


def run(params, xs=XS):
    spikes, _, records = snn.unroll(NET, params, xs, record=True)
    return spikes, [record.membrane for record in records]


def loss(params, xs=XS):
    spikes, membranes = run(params, xs)
    return snn.spike_count_cross_entropy(spikes, LABELS) + jnp.sum(membranes[0] ** 2)


def test_equal_spikes_have_fresh_noise_at_every_step(chip):
    """A neuron without memory has 20 times the read of the step before as its membrane."""
    layer = snn.LIF(5, reset="none", threshold=1e6, membrane_decay=0.0, input_decay=0.0)
    weights = lively_params(NET, 5)[0]["input"]
    w = xb.MemristiveCrossbarArray(weights, chip, jax.random.key(3))
    xs = np.ones((9, 3, 5), np.float32)
    membranes = snn.unroll(snn.Sequential(layer), [{"input": w}], xs, record=True)[2][0].membrane
    reads = np.asarray(membranes[1:]).reshape(24, 5)
    if chip.adc.bits is None:
        assert all(len(np.unique(reads[:, n])) == 24 for n in range(5))
    assert len(np.unique(reads, axis=0)) == 24
    spread = np.std(reads, axis=0)
    assert np.all(spread > 0) and np.all(spread < 20 * np.sum(np.abs(weights), axis=1))


def test_the_same_run_twice_is_bit_equal(chip):
    once, again = (run(on_chip(lively_params(NET, 5), chip)) for _ in range(2))
    assert_equal(again, once)
    assert once[0].any()
    other = run(on_chip(lively_params(NET, 5), chip, seed=1))
    assert np.mean(other[1][0] != once[1][0]) > 0.5


@pytest.mark.parametrize("chip", [PCM, CONVERTING, WIRED], ids=["PCM", "converters", "wires"])
def test_eager_is_jit_is_native(chip):
    params = lively_params(NET, 5)
    ways = {
        word: on_chip(params, dataclasses.replace(chip, implementation=word))
        for word in ("jax", "native")
    }
    expected = jax.jit(run)(ways["jax"])
    assert expected[0].any()
    for result in (run(ways["jax"]), jax.jit(run)(ways["native"])):
        assert_close(result, expected, rtol=1e-4, atol=1e-4)
    gradients = [jax.jit(jax.grad(loss))(crossbars) for crossbars in ways.values()]
    assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-3)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradients[0][0]))


def test_more_samples_than_a_kernel_takes_at_a_time():
    net = snn.Sequential(snn.LIF(64, recurrent=True), snn.LIF(7))
    xs, params = random_spikes(5, 6, 331, 80), lively_params(net, 80)
    chip = xb.Chip(device=xb.device.PCM())  # without converters, that no level is another
    spikes, membranes = [], []
    for word in ("jax", "native"):
        crossbars = on_chip(params, dataclasses.replace(chip, implementation=word))
        unroll = jax.jit(lambda params: snn.unroll(net, params, xs, record=True)[::2])
        result, records = unroll(crossbars)
        spikes.append(result)
        membranes.append([record.membrane for record in records])
    assert spikes[0].any()
    assert_equal(spikes[1], spikes[0])
    assert_close(membranes[1], membranes[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("number", [1e-21, 1e37, np.inf, np.nan])
@pytest.mark.parametrize("each", [False, True])
def test_a_sample_does_not_depend_on_its_neighbours(number, each):
    """Not where one's currents are so small or large that levels are found otherwise."""
    device = xb.device.PCM() if each else xb.device.SoftBounds(read_noise=1e-7)
    net = snn.Sequential(snn.LIF(16, reset="none"))
    params = on_chip(lively_params(net, 30), xb.Chip(device=device, adc=xb.ADC(bits=9)))
    xs = np.random.default_rng(2).standard_normal((9, 32, 30)).astype(np.float32)
    other = xs.copy()
    other[:, 3] = 0
    other[:, 3, 0] = number
    unroll = jax.jit(lambda xs: snn.unroll(net, params, xs, record=True)[2][0].membrane)
    membranes, others = (np.delete(unroll(x), 3, axis=1) for x in (xs, other))
    assert np.all(np.isfinite(membranes))
    assert_equal(others, membranes)


ZEROS = {"spikes": (1, 0), "weights": (0, 1), "both": (0, 0)}


@pytest.mark.parametrize("name", CHIPS)
def test_zeros_are_ordinary(name):
    @jax.jit
    def update(params, xs):
        value, gradients = jax.value_and_grad(loss)(params, xs)
        trained = xb.apply_updates(params, jax.tree.map(lambda g: -1e-2 * g, gradients))
        matrices = [weights for layer in trained for weights in layer.values()]
        counts = [xb.report(w)["not_finite"] for w in matrices]
        return value, gradients, run(params, xs), [xb.readout(w) for w in matrices], counts

    for of_weights, of_spikes in ZEROS.values():
        params = jax.tree.map(lambda w, k=of_weights: np.float32(k) * w, lively_params(NET, 5))
        results = update(on_chip(params, CHIPS[name]), np.float32(of_spikes) * XS[:4])
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(results))
        *_, (spikes, membranes), _, counts = results
        assert not np.any(counts)
        if not of_spikes:
            assert not spikes.any() and not np.any(membranes[0])
