"""What GPUs run of layers of neurons, on the host: the same text, compiled for it."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from tests.helpers import normal
from tests.snn.test_fused import as_implemented, assert_near, lively, outcome
from tests.snn.test_unroll import random_spikes
from xbarax import _kernels, snn
from xbarax.snn import _fused, network
from xbarax.snn._chain import described


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch):
    """`unroll` takes the kernels of GPUs, which layers with `implementation="native"` run here."""
    monkeypatch.setattr(_fused, "_on_gpu", lambda: True)
    monkeypatch.setattr(_kernels, "cuda_available", lambda: True)
    network._unroll.clear_cache()
    yield
    network._unroll.clear_cache()


WAYS = ("native", "jax")


def agrees(net, n_inputs, time, batch, rate=0.3):
    """Spikes and derivatives by kernels are those of plain JAX."""
    params = lively(net, n_inputs)
    xs = random_spikes(0, time, batch, n_inputs, rate=rate)
    state = jax.tree.map(
        lambda s: s + jnp.asarray(0.1 * normal(1, *s.shape), s.dtype), net.initial_state(batch)
    )
    native, plain = (outcome(as_implemented(net, how), params, xs, state) for how in WAYS)
    np.testing.assert_array_equal(native[0], plain[0])
    assert_near(native, plain)
    return native


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("detach", [True, False])
def test_a_recurrent_layer(reset, detach):
    layer = snn.LIF(
        21,
        recurrent=True,
        input_bias=True,
        recurrent_bias=True,
        reset=reset,
        detach_reset=detach,
        membrane_decay=tuple(0.9 + 0.004 * i for i in range(21)),
    )
    spikes, _ = agrees(snn.Sequential(layer), 9, 15, 8)
    assert 0.02 < spikes.mean() < 0.98


NET = snn.Sequential(
    snn.LIF(24, recurrent=True), snn.LIF(17, input_bias=True), snn.LIF(5, recurrent=True)
)


@pytest.mark.parametrize("time", [0, 1, 12])
@pytest.mark.parametrize("batch", [1, 40])
def test_layers_of_several_sizes(time, batch):
    """Blocks have some samples, or the whole batch, or a part of the last block is empty."""
    agrees(NET, 11, time, batch)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_no_spikes_and_all(rate):
    agrees(NET, 11, 9, 3, rate)


def test_a_layer_of_more_neurons_than_a_block_has_threads():
    agrees(snn.Sequential(snn.LIF(1100, recurrent=True)), 5, 6, 2)


def test_copies():
    """Each of a batch of networks is a call's own."""
    many = jax.vmap(lambda key: NET.init(key, 11))(jax.random.split(jax.random.key(0), 3))
    many = jax.tree.map(lambda p: 2.5 * p + 0.03, many)
    xs = jnp.asarray(random_spikes(2, 10, 4, 11))
    gradient = jax.grad(lambda p, net: jnp.sum(snn.unroll(net, p, xs)[0] ** 2))
    of = lambda net: jax.jit(jax.vmap(lambda p: gradient(p, net)))(many)
    found, expected = (of(as_implemented(NET, how)) for how in WAYS)
    assert_near(found, expected)


def test_what_is_no_number_stays_so():
    params, xs = lively(NET, 11), np.ones((8, 2, 11), np.float32)
    xs[3, 1, 4] = np.nan
    found, expected = (snn.unroll(as_implemented(NET, how), params, xs)[0] for how in WAYS)
    assert np.isnan(expected).any()
    np.testing.assert_array_equal(found, expected)


def test_operands_that_do_not_match_are_refused():
    layer, drive = described(snn.LIF(7)), jnp.zeros((3, 2, 7))
    state = [jnp.zeros((2, 7)), jnp.zeros((2, 7)), jnp.zeros((2, 6))]
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"do not match float32\[3,2,7\]"):
        jax.block_until_ready(
            _kernels.lif_loop_forward(layer, drive, state, np.zeros((6, 7), np.float32), None, None)
        )


def test_a_gpu_without_kernels_is_named(monkeypatch):
    monkeypatch.setattr(_kernels, "cuda_available", lambda: False)
    net = as_implemented(NET, "native")
    with pytest.raises(ValueError, match="expected JAX's default devices to be the CPU, or NVIDIA"):
        snn.unroll(net, lively(NET, 11), jnp.ones((2, 1, 11)))
