"""Everything that JAX does with functions, done with a network."""

import functools
import itertools

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from tests.helpers import assert_close, assert_equal, normal
from tests.snn.test_unroll import NETWORKS, lively_params, random_spikes
from xbarax import snn

# Gradients through spikes differ by more than rounding wherever a single spike does; within, they
# are sums of some hundred terms.
close = functools.partial(assert_close, rtol=1e-4, atol=1e-4)

XS = random_spikes(0, 14, 4, 4)
LABELS = np.array([0, 1, 1, 0])


@pytest.fixture(params=["recurrent", "all settings"])
def net(request):
    return NETWORKS[request.param]


@pytest.fixture
def params(net):
    return lively_params(net, 4)


@pytest.fixture
def loss(net):
    def loss(params, xs, labels=LABELS):
        spikes, _, records = snn.unroll(net, params, xs, record=True)
        return snn.spike_count_cross_entropy(spikes, labels) + jnp.sum(records[-1].membrane ** 2)

    return loss


def test_jit_is_eager(net, params, loss):
    run = functools.partial(snn.unroll, net, record=True)
    close(jax.jit(run)(params, XS), run(params, XS))
    close(jax.jit(jax.grad(loss))(params, XS), jax.grad(loss)(params, XS))


def test_the_network_is_a_static_argument(net, params):
    run = jax.jit(snn.unroll, static_argnums=0)
    assert_equal(run(net, params, XS), snn.unroll(net, params, XS))


def test_vmap_over_samples_is_a_batch(net, params):
    one = lambda x: snn.unroll(net, params, x[:, None])[0][:, 0]
    close(jax.vmap(one, in_axes=1, out_axes=1)(XS), snn.unroll(net, params, XS)[0])


def test_vmap_over_parameters_is_a_loop(net, loss):
    ensemble = [lively_params(net, 4, seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *ensemble)
    both = jax.value_and_grad(loss)
    looped = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(both(p, XS) for p in ensemble))
    close(jax.vmap(both, in_axes=(0, None))(stacked, XS), looped)


def test_vmap_over_states_is_a_loop(net, params):
    states = [snn.unroll(net, params, random_spikes(seed, 5, 2, 4))[1] for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    run = lambda state: snn.unroll(net, params, XS[:, :2], state)
    looped = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(run, states))
    close(jax.vmap(run)(stacked), looped)


def test_grad_of_vmap_is_the_sum_of_vmap_of_grad(params, loss):
    one = lambda params, x, y: loss(params, x[:, None], y[None])
    mapped = functools.partial(jax.vmap, in_axes=(None, 1, 0))
    total = jax.grad(lambda params: jnp.sum(mapped(one)(params, XS, LABELS)))(params)
    each = mapped(jax.grad(one))(params, XS, LABELS)
    close(total, jax.grad(loss)(params, XS))
    close(jax.tree.map(lambda g: g.sum(axis=0), each), total)


def test_scan_over_pieces_is_one_run(net, params):
    def piece(state, xs):
        spikes, state = snn.unroll(net, params, xs, state)
        return state, spikes

    state, spikes = jax.lax.scan(piece, net.initial_state(4), XS.reshape(2, 7, 4, 4))
    close((spikes.reshape(14, 4, -1), state), snn.unroll(net, params, XS))


def test_forward_and_reverse_mode_agree(params, loss):
    direction = [{k: normal(n, *w.shape) for n, (k, w) in enumerate(p.items())} for p in params]
    gradient = jax.grad(loss)(params, XS)
    pairs = zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True)
    expected = sum(jnp.vdot(g, d) for g, d in pairs)
    _, tangent = jax.jvp(lambda p: loss(p, XS), (params,), (direction,))
    np.testing.assert_allclose(tangent, expected, rtol=1e-4)


def test_jacfwd_is_jacrev(net, params):
    last = lambda x: snn.unroll(net, params, x, record=True)[2][-1].membrane[-1]
    close(jax.jacfwd(last)(XS[:, :1]), jax.jacrev(last)(XS[:, :1]))


def test_checkpoint_has_the_same_gradients(params, loss):
    close(jax.grad(jax.checkpoint(loss))(params, XS), jax.grad(loss)(params, XS))


def test_gradients_of_a_stream_in_pieces_are_those_of_the_whole(net, params):
    def total(params, cuts):
        state, total = net.initial_state(4), 0.0
        for start, stop in itertools.pairwise([0, *cuts, 14]):
            _, state, records = snn.unroll(net, params, XS[start:stop], state, record=True)
            total += jnp.sum(records[-1].membrane ** 2)
        return total

    close(jax.grad(total)(params, [3, 4]), jax.grad(total)(params, []))


def test_the_hessian_of_a_quadratic_is_exact():
    # Without spikes U is linear in x, so that sum(U²) has the Hessian 2 JᵀJ.
    net = snn.Sequential(snn.LIF(3, recurrent=True, threshold=1e6))
    params = net.init(jax.random.key(0), 2)
    membrane = lambda x: snn.unroll(net, params, x[:, None], record=True)[2][0].membrane.ravel()
    x = normal(0, 4, 2)
    jacobian = jax.jacfwd(membrane)(x).reshape(-1, 8)
    assert jacobian.any()
    hessian = jax.hessian(lambda x: jnp.sum(membrane(x) ** 2))(x).reshape(8, 8)
    assert_close(hessian, 2 * jacobian.T @ jacobian)


def test_the_hessian_through_spikes_is_symmetric(net, params, loss):
    hessian = jax.hessian(lambda x: loss(params, x, LABELS[:1]))(XS[:5, :1]).reshape(20, 20)
    assert jnp.isfinite(hessian).all()
    assert hessian.any()
    close(hessian, hessian.T)


def test_eval_shape_and_ahead_of_time_compilation(net, params):
    run = functools.partial(snn.unroll, net, record=True)
    result = run(params, XS)
    shapes = jax.eval_shape(run, params, XS)
    assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, result)
    assert_equal(jax.jit(run).lower(params, XS).compile()(params, XS), jax.jit(run)(params, XS))


def test_a_hundred_steps_of_training_compile_once(net, params, loss):
    traces = []

    @jax.jit
    def update(params, xs):
        traces.append(None)
        return jax.tree.map(lambda w, g: w - 1e-3 * g, params, jax.grad(loss)(params, xs))

    for seed in range(100):
        params = update(params, random_spikes(seed, 14, 4, 4))
    assert len(traces) == 1


def test_errors_are_raised_while_tracing(net, params):
    with pytest.raises(ValueError, match=r"three axes \(time, batch, inputs\)"):
        jax.jit(functools.partial(snn.unroll, net))(params, XS[0])
