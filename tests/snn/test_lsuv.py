"""LSUV initialisation: what it reaches, by which changes, and when it gives up."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.helpers import assert_equal
from tests.snn.test_unroll import random_spikes
from xbarax import snn

XS = random_spikes(0, 100, 24, 16, rate=0.01)  # as sparse as Randman's
RECURRENT = snn.Sequential(snn.LIF(32, recurrent=True), snn.LIF(2, recurrent=True))
DEEP = snn.Sequential(*[snn.LIF(40, input_bias=True, reset="subtract")] * 3, snn.LIF(10))
UNRESET = snn.Sequential(snn.LIF(64, recurrent=True, reset="none"), snn.LIF(5, reset="none"))


def variances_and_counts(net, params, xs=XS):
    records = snn.unroll(net, params, xs, record=True)[2]
    variances = [np.var(np.asarray(record.membrane, np.float64)) for record in records]
    return variances, [np.sum(record.spikes, axis=(0, 1)) for record in records]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("net", [RECURRENT, DEEP, UNRESET], ids=["recurrent", "deep", "unreset"])
def test_reaches_the_variance_and_wakes_every_neuron(net, seed):
    params = net.init(jax.random.key(seed), 16)
    before, _ = variances_and_counts(net, params)
    after, counts = variances_and_counts(net, snn.lsuv(net, params, XS))
    assert any(abs(variance - 1) > 0.1 for variance in before)
    np.testing.assert_allclose(after, 1, rtol=0.1)
    assert all((count > 0).all() for count in counts)


@pytest.mark.parametrize(("target", "tolerance"), [(0.5, 0.02), (2.0, 0.05)])
def test_reaches_what_it_is_asked_for(target, tolerance):
    params = snn.lsuv(RECURRENT, RECURRENT.init(jax.random.key(0), 16), XS, target, tolerance)
    variances, _ = variances_and_counts(RECURRENT, params)
    np.testing.assert_allclose(variances, target, rtol=tolerance)


def test_is_deterministic_and_leaves_its_arguments_alone():
    params = RECURRENT.init(jax.random.key(0), 16)
    copy = jax.tree.map(np.array, params)
    assert_equal(snn.lsuv(RECURRENT, params, XS), snn.lsuv(RECURRENT, params, XS))
    assert_equal(jax.tree.map(np.asarray, params), copy)


def test_leaves_what_is_good_as_it_is():
    params = snn.lsuv(RECURRENT, RECURRENT.init(jax.random.key(0), 16), XS)
    assert_equal(snn.lsuv(RECURRENT, params, XS, max_iterations=1), params)


def test_multiplies_rows_and_leaves_biases():
    params = [
        {k: np.full(w.shape, 0.01, np.float32) if "bias" in k else w for k, w in layer.items()}
        for layer in DEEP.init(jax.random.key(0), 16)
    ]
    fitted = snn.lsuv(DEEP, params, XS)
    repaired = 0
    for old, new in zip(params, fitted, strict=True):
        ratios = new["input"] / old["input"]
        np.testing.assert_allclose(ratios, ratios[:, :1] + 0 * ratios, rtol=1e-5)
        scale = np.abs(ratios[:, 0]).min()
        doublings = np.log2(np.abs(ratios[:, 0]) / scale)
        np.testing.assert_allclose(doublings, doublings.round(), atol=1e-4)
        repaired += (ratios[:, 0] < 0).sum()
        if "input_bias" in old:
            assert_equal(new["input_bias"], old["input_bias"])
    assert repaired > 0  # or the test has not seen a sign change


def test_scales_the_matrices_of_a_layer_alike():
    params = RECURRENT.init(jax.random.key(0), 16)
    fitted = snn.lsuv(RECURRENT, params, XS)
    for old, new in zip(params, fitted, strict=True):
        factors = [np.mean(new[name] / old[name], axis=1) for name in ("input", "recurrent")]
        np.testing.assert_allclose(*factors, rtol=1e-5)


def test_doubles_a_silent_neuron_that_is_driven_the_right_way():
    net = snn.Sequential(snn.LIF(8))
    params = [{"input": np.abs(net.init(jax.random.key(0), 16)[0]["input"])}]
    params[0]["input"][3] *= 0.01
    fitted = snn.lsuv(net, params, XS)
    ratios = fitted[0]["input"][:, 0] / params[0]["input"][:, 0]
    others = np.delete(ratios, 3)
    np.testing.assert_allclose(others, others[0], rtol=1e-5)
    doublings = np.log2(ratios[3] / others[0])
    assert doublings >= 1
    np.testing.assert_allclose(doublings, doublings.round(), atol=1e-4)


def test_turns_a_neuron_that_is_inhibited_alone():
    net = snn.Sequential(snn.LIF(8))
    params = [{"input": np.abs(net.init(jax.random.key(0), 16)[0]["input"])}]
    params[0]["input"][3] *= -1
    fitted = snn.lsuv(net, params, XS)
    assert (fitted[0]["input"] > 0).all()


class TestGivesUp:
    def test_where_no_spikes_come_in(self):
        params = RECURRENT.init(jax.random.key(0), 16)
        message = (
            r"lsuv: params\[0\]: after 0 iterations the membrane's variance is 0, expected 1 "
            r"within 10 %, and 32 of 32 neurons are silent"
        )
        with pytest.raises(RuntimeError, match=message):
            snn.lsuv(RECURRENT, params, np.zeros_like(XS))

    def test_after_its_iterations(self):
        params = RECURRENT.init(jax.random.key(0), 16)
        with pytest.raises(RuntimeError, match=r"\[0\]: after 1 iterations .* variance is 0\."):
            snn.lsuv(RECURRENT, params, XS, tolerance=1e-6, max_iterations=1)

    def test_where_the_weights_are_not_finite(self):
        params = RECURRENT.init(jax.random.key(0), 16)
        params[0]["input"] = params[0]["input"].at[0, 0].set(jnp.nan)
        with pytest.raises(RuntimeError, match="variance is nan"):
            snn.lsuv(RECURRENT, params, XS)


@pytest.mark.usefixtures("as_users_call")
class TestRefuses:
    @pytest.fixture
    def params(self):
        return RECURRENT.init(jax.random.key(0), 16)

    def test_crossbars(self, params):
        params[1]["input"] = xb.MemristiveCrossbarArray(params[1]["input"])
        message = r"lsuv: params\[1\]\['input'\]: .* a crossbar array; initialise first, .*xb.to_"
        with pytest.raises(TypeError, match=message):
            snn.lsuv(RECURRENT, params, XS)

    def test_traced_values(self, params):
        with pytest.raises(TypeError, match="lsuv: expected concrete values, given traced ones"):
            jax.jit(lambda xs: snn.lsuv(RECURRENT, params, xs))(XS)

    def test_no_data(self, params):
        with pytest.raises(ValueError, match=r"xs: expected data, given the empty shape"):
            snn.lsuv(RECURRENT, params, XS[:0])

    def test_what_does_not_fit(self, params):
        with pytest.raises(ValueError, match=r"params\[0\]\['input'\]: expected shape \(32, 15\)"):
            snn.lsuv(RECURRENT, params, XS[:, :, 1:])
        with pytest.raises(TypeError, match="lsuv: net: expected a snn.Sequential, given LIF"):
            snn.lsuv(snn.LIF(3), params, XS)

    @pytest.mark.parametrize("target", [0.0, -1.0, np.inf, np.nan])
    def test_no_variance(self, params, target):
        with pytest.raises(ValueError, match=f"target_variance: .* more than 0, given {target}"):
            snn.lsuv(RECURRENT, params, XS, target_variance=target)

    @pytest.mark.parametrize("tolerance", [0.0, 1.0, -0.1, np.nan])
    def test_no_tolerance(self, params, tolerance):
        with pytest.raises(ValueError, match=rf"expected one in \(0, 1\), given {tolerance}"):
            snn.lsuv(RECURRENT, params, XS, tolerance=tolerance)

    def test_no_iterations(self, params):
        with pytest.raises(ValueError, match="max_iterations: expected at least 1, given 0"):
            snn.lsuv(RECURRENT, params, XS, max_iterations=0)
