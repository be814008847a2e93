"""Initial weights and parameters."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from tests.helpers import assert_equal
from xbarax import snn

KEY = jax.random.key(0)
NET = snn.Sequential(
    snn.LIF(32, recurrent=True, input_bias=True), snn.LIF(2, recurrent=True, recurrent_bias=True)
)


def test_glorot_fills_its_interval_evenly():
    weights = snn.glorot_uniform(KEY, (200, 400))
    assert (weights.shape, weights.dtype) == ((200, 400), jnp.float32)
    limit = 0.1  # sqrt(6 / 600)
    assert limit * 0.999 < weights.max() <= limit
    assert -limit <= weights.min() < -limit * 0.999
    # The moments of 80,000 draws of U(-a, a), to five standard errors.
    assert abs(weights.mean()) < 5 * limit / np.sqrt(3 * 80_000)
    assert abs(3 * (weights**2).mean() / limit**2 - 1) < 5 * np.sqrt(0.8 / 80_000)


def test_glorot_depends_on_the_key_alone():
    assert_equal(snn.glorot_uniform(KEY, (3, 4)), snn.glorot_uniform(jax.random.PRNGKey(0), (3, 4)))
    assert (snn.glorot_uniform(KEY, (3, 4)) != snn.glorot_uniform(jax.random.key(1), (3, 4))).all()


def test_init_has_the_shapes_of_the_layers():
    params = NET.init(KEY, 16)
    assert jax.tree.map(jnp.shape, params, is_leaf=lambda x: hasattr(x, "shape")) == [
        {"input": (32, 16), "recurrent": (32, 32), "input_bias": (32,)},
        {"input": (2, 32), "recurrent": (2, 2), "recurrent_bias": (2,)},
    ]
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}


def test_init_draws_matrices_and_zeroes_biases():
    params = NET.init(KEY, 16)
    for layer in params:
        for name, value in layer.items():
            if "bias" in name:
                assert not value.any()
            else:
                limit = np.sqrt(6 / sum(value.shape))
                assert 0.5 * limit < np.abs(value).max() <= limit


def test_init_draws_every_matrix_by_itself():
    net = snn.Sequential(*[snn.LIF(4, recurrent=True)] * 3)
    params = net.init(KEY, 4)
    matrices = {tuple(w.ravel().tolist()) for w in jax.tree.leaves(params)}
    assert len(matrices) == 6
    other = net.init(jax.random.key(1), 4)
    assert all((a != b).all() for a, b in zip(*map(jax.tree.leaves, (params, other)), strict=True))


def test_init_is_the_same_jitted_and_mapped():
    init = lambda key: NET.init(key, 16)
    keys = jax.random.split(KEY, 2)
    assert_equal(jax.jit(init)(KEY), init(KEY))
    assert_equal(jax.tree.map(lambda leaf: leaf[1], jax.vmap(init)(keys)), init(keys[1]))


@pytest.mark.usefixtures("as_users_call")
class TestRefuses:
    @pytest.mark.parametrize("key", [0, None, np.array([0, 1], np.uint32), jnp.zeros(2)])
    def test_what_is_no_key(self, key):
        with pytest.raises(
            TypeError, match=r"key: expected a PRNG key such as jax.random.key\(0\)"
        ):
            NET.init(key, 16)
        with pytest.raises(
            TypeError, match=r"key: expected a PRNG key such as jax.random.key\(0\)"
        ):
            snn.glorot_uniform(key, (3, 4))

    @pytest.mark.parametrize("keys", [jax.random.split(KEY, 3), jnp.zeros((3, 2), jnp.uint32)])
    def test_many_keys(self, keys):
        with pytest.raises(ValueError, match=r"given a batch of them of shape \(3,\)"):
            NET.init(keys, 16)

    def test_no_inputs(self):
        with pytest.raises(ValueError, match="n_inputs: expected at least 1, given 0"):
            NET.init(KEY, 0)
        with pytest.raises(TypeError, match="n_inputs: expected an integer, given 16.0"):
            NET.init(KEY, 16.0)

    @pytest.mark.parametrize("shape", [(3,), (3, 4, 5), 3])
    def test_another_number_of_sizes(self, shape):
        with pytest.raises(ValueError, match=r"shape: expected \(out, in\), given"):
            snn.glorot_uniform(KEY, shape)

    def test_an_empty_matrix(self):
        with pytest.raises(ValueError, match=r"shape\[1\]: expected at least 1, given 0"):
            snn.glorot_uniform(KEY, (3, 0))
