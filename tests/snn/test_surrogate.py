"""The spike and its surrogate derivatives."""

import dataclasses

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from tests.helpers import assert_close, normal
from xbarax import snn

X = np.array([-3.0, -0.5, -1e-6, 0.0, 1e-6, 0.25, 2.0], np.float32)


@dataclasses.dataclass(frozen=True)
class Box(snn.AbstractSurrogate):
    """A surrogate of a user's own."""

    width: float = 1.0

    def derivative(self, x):
        return jnp.where(jnp.abs(x) < self.width / 2, 1 / self.width, 0.0)


def test_a_spike_is_above_the_threshold_and_not_on_it():
    np.testing.assert_array_equal(
        snn.heaviside(X), np.array([0, 0, 0, 0, 1, 1, 1], np.float32), strict=True
    )


def test_infinities_decide_and_nan_stays():
    spikes = snn.heaviside(jnp.array([-jnp.inf, jnp.inf, jnp.nan]))
    np.testing.assert_array_equal(spikes, [0, 1, np.nan])


@pytest.mark.parametrize("beta", [0.0, 1.0, 10.0, 137.5])
def test_superspike_follows_its_formula(beta):
    slope = snn.SuperSpike(beta).derivative(jnp.asarray(X))
    np.testing.assert_allclose(slope, 1 / (beta * np.abs(X) + 1) ** 2, rtol=1e-6)


def test_superspike_is_the_derivative_of_the_fast_sigmoid():
    fast_sigmoid = lambda x: x / (1 + 10 * np.abs(x))
    x, h = np.linspace(-2, 2, 40), 1e-6  # without the kink at 0
    difference = (fast_sigmoid(x + h) - fast_sigmoid(x - h)) / (2 * h)
    slope = snn.SuperSpike(10.0).derivative(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(slope, difference, rtol=1e-4)


@pytest.mark.parametrize("surrogate", [snn.SuperSpike(), snn.SuperSpike(3.0), Box(), Box(0.25)])
class TestEverySurrogate:
    def test_is_the_jvp(self, surrogate):
        direction = normal(0, *X.shape)
        spikes, tangent = jax.jvp(lambda x: snn.heaviside(x, surrogate), (X,), (direction,))
        assert_close(spikes, snn.heaviside(X))
        np.testing.assert_allclose(
            tangent, np.asarray(surrogate.derivative(jnp.asarray(X))) * direction
        )

    def test_is_the_vjp(self, surrogate):
        cotangent = normal(1, *X.shape)
        _, pull = jax.vjp(lambda x: snn.heaviside(x, surrogate), X)
        expected = np.asarray(surrogate.derivative(jnp.asarray(X))) * cotangent
        np.testing.assert_allclose(pull(cotangent)[0], expected)

    def test_forward_and_reverse_jacobians_agree(self, surrogate):
        f = lambda x: snn.heaviside(x, surrogate)
        assert_close(jax.jacfwd(f)(X), jax.jacrev(f)(X), rtol=1e-6, atol=0)

    def test_is_the_same_jitted_mapped_and_checkpointed(self, surrogate):
        slope = jax.grad(lambda x: snn.heaviside(x, surrogate))
        one_by_one = jnp.stack([slope(x) for x in X])
        assert_close(jax.vmap(slope)(X), one_by_one, rtol=1e-6)
        assert_close(jax.jit(jax.vmap(slope))(X), one_by_one, rtol=1e-6)
        assert_close(
            jax.vmap(jax.grad(jax.checkpoint(lambda x: snn.heaviside(x, surrogate))))(X),
            one_by_one,
            rtol=1e-6,
        )

    def test_is_a_static_value(self, surrogate):
        again = dataclasses.replace(surrogate)
        assert (again, hash(again)) == (surrogate, hash(surrogate))


def test_the_second_derivative_is_that_of_the_surrogate():
    x = np.array([-0.7, -0.1, 0.2, 1.5], np.float32)
    bend = jax.vmap(jax.hessian(snn.heaviside))(x)
    np.testing.assert_allclose(bend, -20 * np.sign(x) / (10 * np.abs(x) + 1) ** 3, rtol=1e-5)


def test_keeps_shape_and_dtype():
    for x in (jnp.ones((2, 0, 3)), jnp.ones((), jnp.float16), jnp.ones((1,), jnp.bfloat16)):
        spikes = snn.heaviside(x)
        assert (spikes.shape, spikes.dtype) == (x.shape, x.dtype)


def test_numbers_are_kept_as_floats(as_users_call):
    assert repr(snn.SuperSpike(np.float32(2))) == "SuperSpike(beta=2.0)"
    assert snn.SuperSpike(2) == snn.SuperSpike(2.0)


@pytest.mark.usefixtures("as_users_call")
class TestRefuses:
    @pytest.mark.parametrize("beta", [-1.0, np.nan, np.inf])
    def test_no_steepness(self, beta):
        with pytest.raises(ValueError, match=f"beta: expected a finite number .* given {beta}"):
            snn.SuperSpike(beta)

    @pytest.mark.parametrize("beta", ["10", None, True])
    def test_no_number(self, beta):
        with pytest.raises(TypeError, match=f"beta: expected a number, given {beta!r}"):
            snn.SuperSpike(beta)

    @pytest.mark.parametrize("dtype", ["int32", "bool"])
    def test_whole_numbers(self, dtype):
        with pytest.raises(TypeError, match=rf"given {dtype}; cast with x.astype\(jnp.float32\)"):
            snn.heaviside(jnp.ones(3, dtype))

    def test_no_surrogate(self):
        with pytest.raises(TypeError, match=r"expected a surrogate such as .* given 10.0"):
            snn.heaviside(X, 10.0)

    def test_a_surrogate_without_a_derivative(self):
        with pytest.raises(TypeError, match="abstract"):
            snn.AbstractSurrogate()
