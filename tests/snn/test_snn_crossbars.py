"""Networks whose weights sit in crossbars."""

import functools

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip.noisy import Noisy
from tests.helpers import assert_close, assert_equal
from tests.snn.test_unroll import lively_params, random_spikes
from xbarax import snn

NET = snn.Sequential(
    snn.LIF(6, recurrent=True, input_bias=True), snn.LIF(3, recurrent=True, recurrent_bias=True)
)
XS = random_spikes(0, 15, 4, 5)
LABELS = np.array([0, 2, 1, 2])
NOISE = xb.Chip(device=Noisy(read=0.2))
WHICH = {
    "last": [(1, "input")],
    "all": [(0, "input"), (0, "recurrent"), (1, "input"), (1, "recurrent")],
}


@pytest.fixture(params=WHICH)
def which(request):
    return WHICH[request.param]


@pytest.fixture
def params():
    return lively_params(NET, 5)


def test_stopped_parameters_have_no_gradient(params, which):
    """The notebooks' way to train some layers only."""

    def loss(params, first):
        stopped = jax.lax.stop_gradient(params[0])
        spikes, _ = snn.unroll(NET, [stopped if first else params[0], params[1]], XS)
        return snn.spike_count_cross_entropy(spikes, LABELS)

    arrays = on_chip(params, which, xb.Chip())
    grad = jax.jit(jax.grad(loss), static_argnums=1)
    all_layers, last_layer = grad(arrays, False), grad(arrays, True)
    assert_equal(last_layer[0], jax.tree.map(jnp.zeros_like, all_layers[0]))
    assert_equal(last_layer[1], all_layers[1])
    assert any(np.any(leaf) for leaf in jax.tree.leaves(all_layers[0]))


def on_chip(params, which, chip, seed=0):
    params = [dict(layer) for layer in params]
    keys = jax.random.split(jax.random.key(seed), len(which))
    for key, (layer, name) in zip(keys, which, strict=True):
        params[layer][name] = xb.MemristiveCrossbarArray(params[layer][name], chip, key)
    return params


def loss(params, xs=XS):
    spikes, _, records = snn.unroll(NET, params, xs, record=True)
    return snn.spike_count_cross_entropy(spikes, LABELS) + jnp.sum(records[0].membrane ** 2)


def test_an_ideal_crossbar_is_its_weights(params, which, implementation):
    crossbars = on_chip(params, which, xb.Chip(implementation=implementation))
    result, plain = (snn.unroll(NET, p, XS, record=True) for p in (crossbars, params))
    assert_close(result, plain)
    assert plain[0].any()


def test_an_ideal_crossbar_has_the_gradients_of_its_weights(params, which, implementation):
    crossbars = on_chip(params, which, xb.Chip(implementation=implementation))
    expected = jax.grad(loss)(params)
    for gradient in (jax.grad(loss), jax.jit(jax.grad(jax.checkpoint(loss)))):
        assert_close(gradient(crossbars), expected, rtol=1e-4, atol=1e-4)


def test_a_trained_network_has_the_losses_of_a_plain_one(params, which, implementation):
    @jax.jit
    def update(params, xs):
        value, gradients = jax.value_and_grad(loss)(params, xs)
        return xb.apply_updates(params, jax.tree.map(lambda g: -1e-3 * g, gradients)), value

    crossbars = on_chip(params, which, xb.Chip(implementation=implementation))
    for seed in range(5):
        xs = random_spikes(seed, *XS.shape)
        crossbars, value = update(crossbars, xs)
        params, expected = update(params, xs)
        np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_forward_mode_is_that_of_the_weights(params, which):
    crossbars = on_chip(params, which, xb.Chip(implementation="jax"))
    direction = jax.tree.map(jnp.ones_like, params)
    results = [jax.jvp(loss, (p,), (direction,)) for p in (crossbars, params)]
    assert_close(*results, rtol=1e-4)


def test_a_batch_of_networks_on_chips_is_a_loop(params, which):
    def run(key):
        crossbars = [dict(layer) for layer in params]
        for layer, name in which:
            weights = params[layer][name]
            crossbars[layer][name] = xb.MemristiveCrossbarArray(weights, NOISE, key)
        return loss(crossbars)

    keys = jax.random.split(jax.random.key(1), 3)
    values = jax.vmap(run)(keys)
    assert_close(values, jnp.stack([run(key) for key in keys]))
    assert len(set(values.tolist())) == 3


class TestNoise:
    """Each array reads step t with its key for step t, and each sample is a row."""

    def test_of_the_inputs_is_that_of_the_step_keys(self, params):
        layer = snn.LIF(6, reset="none", threshold=1e6, membrane_decay=0.0, input_decay=0.0)
        w = xb.MemristiveCrossbarArray(params[0]["input"], NOISE, jax.random.key(3))
        start = snn.Sequential(layer).initial_state(4)._replace(step=jnp.int32(40))
        run = lambda w: snn.unroll(snn.Sequential(layer), [{"input": w}], XS, start, record=True)
        # A neuron without memory has 20 times the read of the step before as its membrane.
        reads = run(w)[2][0].membrane[1:] / 20
        for t, read in enumerate(reads):
            key = xb.array.step_key(w, 40 + t)
            np.testing.assert_allclose(read, xb.read(w, XS[t], key), rtol=1e-5, atol=1e-6)

    def test_of_the_feedback_is_that_of_the_step_keys(self, params):
        layer = snn.LIF(6, recurrent=True, recurrent_decay=0.0)
        v = xb.MemristiveCrossbarArray(params[0]["recurrent"], NOISE, jax.random.key(3))
        net, state = snn.Sequential(layer), None
        for t in range(15):
            before = jnp.zeros((4, 6)) if state is None else state.layers[0].spikes
            now = {"input": params[0]["input"], "recurrent": v}
            spikes, state = snn.unroll(net, [now], XS[t : t + 1], state)
            expected = xb.read(v, before, xb.array.step_key(v, t))
            assert_close(state.layers[0].recurrent_current, expected)
        assert spikes.any()

    def test_goes_on_in_a_stream_that_is_cut(self, params, which):
        crossbars = on_chip(params, which, NOISE)
        whole, final = snn.unroll(NET, crossbars, XS)
        first, state = snn.unroll(NET, crossbars, XS[:4])
        second, state = snn.unroll(NET, crossbars, XS[4:], state)
        assert_equal(jnp.concatenate([first, second]), whole)
        assert_close(state, final)

    def test_differs_between_steps_samples_and_arrays(self, params):
        layer = snn.LIF(6, threshold=1e6, membrane_decay=0.0, input_decay=0.0)
        xs = np.ones((8, 3, 5), np.float32)
        membranes = []
        for seed in range(2):
            w = xb.MemristiveCrossbarArray(params[0]["input"], NOISE, jax.random.key(seed))
            records = snn.unroll(snn.Sequential(layer), [{"input": w}], xs, record=True)[2]
            membranes.append(records[0].membrane[1:])
        assert len(np.unique(membranes)) == 2 * 7 * 3 * 6

    def test_is_the_same_jitted_and_for_a_step_of_any_kind(self, params, which):
        crossbars = on_chip(params, which, NOISE)
        run = functools.partial(snn.unroll, NET)
        assert_close(jax.jit(run)(crossbars, XS), run(crossbars, XS))

    def test_gradients_agree_with_those_of_checkpoint(self, params, which):
        crossbars = on_chip(params, which, NOISE)
        expected = jax.grad(loss)(crossbars)
        assert_close(jax.grad(jax.checkpoint(loss))(crossbars), expected, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("shape", [(0, 3, 5), (4, 0, 5), (1, 1, 5)], ids=str)
    def test_of_odd_sizes(self, params, shape):
        crossbars = on_chip(params, WHICH["all"], NOISE)
        spikes, state = snn.unroll(NET, crossbars, np.zeros(shape, np.float32))
        assert (spikes.shape, state.step) == ((*shape[:2], 3), shape[0])


@pytest.mark.usefixtures("as_users_call")
class TestRefuses:
    def test_a_crossbar_of_another_shape(self, params):
        params[1]["input"] = xb.MemristiveCrossbarArray(params[1]["recurrent"])
        message = r"params\[1\]\['input'\]: expected shape \(3, 6\) .* of 6, given \(3, 3\)"
        with pytest.raises(ValueError, match=message):
            snn.unroll(NET, params, XS)

    def test_a_crossbar_for_a_bias(self, params):
        params[0]["input_bias"] = xb.MemristiveCrossbarArray(params[0]["input"])
        with pytest.raises(TypeError, match="given a crossbar array; only matrices can be"):
            snn.unroll(NET, params, XS)

    def test_a_crossbar_for_a_state(self, params):
        state = NET.initial_state(6)
        crossbar = xb.MemristiveCrossbarArray(params[0]["recurrent"])
        layers = (state.layers[0]._replace(membrane=crossbar), state.layers[1])
        with pytest.raises(TypeError, match="membrane: expected an array, given Memristive"):
            snn.unroll(NET, params, random_spikes(0, 3, 6, 5), state._replace(layers=layers))


def test_project_is_one_product(params, implementation):
    w = params[0]["input"]
    crossbar = xb.MemristiveCrossbarArray(w, xb.Chip(implementation=implementation))
    expected = np.einsum("oi,tbi->tbo", w, XS)
    for weight in (w, crossbar):
        for product in (snn.project(weight, XS), snn.project_sequence(weight, XS, 3)):
            np.testing.assert_allclose(product, expected, rtol=1e-5, atol=1e-6)
