"""The LIF neuron: its equations against closed forms and hand computations, and what it refuses."""

import dataclasses
import re

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from tests.helpers import assert_close, assert_equal, normal
from xbarax import snn

ALPHA, BETA, BETA_R, GAIN = 0.95, 0.9, 0.85, 20.0

# Numbers whose arithmetic float32 does exactly, so that a trace can be computed by hand.
BY_HAND = snn.LIF(
    1, membrane_decay=0.5, input_decay=0.5, recurrent_decay=0.5, input_gain=8.0, threshold=1.5
)


def impulse(time):
    return np.eye(time, 1, dtype=np.float32)[:, :, None]


def membrane(layer, params, xs, state=None):
    """The membrane of a layer of one neuron, one sample, over time."""
    net = snn.Sequential(layer)
    return snn.unroll(net, [params], xs, state, record=True)[2][0].membrane[:, 0, 0]


def weights(**values):
    """Parameters of a layer of one neuron with one input: matrices and biases from numbers."""
    return {
        name: np.full((1,) if "bias" in name else (1, 1), value, np.float32)
        for name, value in values.items()
    }


def closed_impulse_response(gain, beta, steps):
    return gain * (1 - ALPHA) * (1 - beta) * (ALPHA**steps - beta**steps) / (ALPHA - beta)


def closed_sum_of_squares(gain, beta):
    numerator = gain**2 * (1 - ALPHA) ** 2 * (1 - beta) ** 2 * (1 + ALPHA * beta)
    return numerator / ((1 - ALPHA**2) * (1 - beta**2) * (1 - ALPHA * beta))


class TestImpulseResponse:
    def test_of_the_input_path(self):
        layer = snn.LIF(1, reset="none", threshold=1e3)
        response = membrane(layer, weights(input=1), impulse(800))
        expected = closed_impulse_response(GAIN, BETA, np.arange(800))
        np.testing.assert_allclose(response, expected, rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(response.sum(), GAIN, rtol=1e-5)
        np.testing.assert_allclose(jnp.sum(response**2), closed_sum_of_squares(GAIN, BETA), 1e-5)
        np.testing.assert_allclose(closed_sum_of_squares(GAIN, BETA), 6.906, rtol=1e-4)

    def test_of_the_recurrent_path(self):
        layer = snn.LIF(1, recurrent=True, reset="none", threshold=1e3)
        zero, one = np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)
        spiked = snn.NetworkState((snn.LIFState(zero, zero, zero, one),), jnp.int32(0))
        silence = np.zeros((800, 1, 1), np.float32)
        response = membrane(layer, weights(input=1, recurrent=1), silence, spiked)
        expected = closed_impulse_response(1, BETA_R, np.arange(800))
        np.testing.assert_allclose(response, expected, rtol=1e-4, atol=1e-8)
        np.testing.assert_allclose(response.sum(), 1, rtol=1e-5)
        np.testing.assert_allclose(jnp.sum(response**2), closed_sum_of_squares(1, BETA_R), 1e-5)
        np.testing.assert_allclose(closed_sum_of_squares(1, BETA_R), 0.0195, rtol=2e-3)

    def test_comes_one_step_after_the_input(self):
        response = membrane(snn.LIF(1), weights(input=1000), impulse(3))
        assert response[0] == 0
        assert response[1] > 1


class TestTraceByHand:
    """A spike at step 1, after which the three resets part; at step 2 or 3 some sit at 1.5."""

    @pytest.mark.parametrize(
        ("reset", "expected"),
        [
            ("zero", [0, 2, 1, 1, 0.75]),
            ("subtract", [0, 2, 0.5, 0.75, 0.625]),
            ("none", [0, 2, 2, 1.5, 1]),
        ],
    )
    def test_of_the_resets(self, reset, expected):
        layer = dataclasses.replace(BY_HAND, reset=reset)
        net = snn.Sequential(layer)
        spikes, state, records = snn.unroll(net, [weights(input=1)], impulse(5), record=True)
        np.testing.assert_array_equal(records[0].membrane[:, 0, 0], expected)
        np.testing.assert_array_equal(spikes[:, 0, 0], np.greater(expected, 1.5))
        assert state.layers[0].input_current == 0.5**5

    def test_of_the_recurrent_current(self):
        layer = dataclasses.replace(BY_HAND, recurrent=True)
        trace = membrane(layer, weights(input=1, recurrent=1), impulse(5))
        np.testing.assert_array_equal(trace, [0, 2, 1, 1.25, 1])

    def test_of_the_biases(self):
        layer = dataclasses.replace(
            BY_HAND, recurrent=True, input_bias=True, recurrent_bias=True, threshold=100.0
        )
        params = weights(input=0, recurrent=0, input_bias=1, recurrent_bias=-4)
        trace = membrane(layer, params, np.zeros((4, 1, 1), np.float32))
        # I = 0.5, 0.75, 0.875 and Iᵣ = -2, -3, -3.5 after steps 0, 1, 2.
        np.testing.assert_array_equal(trace, [0, 1, 2, 2.75])

    def test_of_a_second_layer_that_gets_the_spike_in_the_same_step(self):
        net = snn.Sequential(BY_HAND, BY_HAND)
        params = [weights(input=1), weights(input=0.5)]
        records = snn.unroll(net, params, impulse(5), record=True)[2]
        # The first spikes at step 1, which is an impulse of 0.5 to the second.
        np.testing.assert_array_equal(records[1].membrane[:, 0, 0], [0, 0, 1, 1, 0.75])


class TestReset:
    """dU/dW at step 2 of the trace by hand: dU₁ = 2, dI₁ = 1/4, and dS₁ = 2 H'(0.5) = 2/36."""

    SLOPE = 2 / 36

    @pytest.mark.parametrize(
        ("reset", "detach", "expected"),
        [
            ("zero", True, 1),
            ("zero", False, 1 - 0.5 * 2 * SLOPE),
            ("subtract", True, 2),
            ("subtract", False, 2 - 1.5 * SLOPE),
            ("none", True, 2),
            ("none", False, 2),
        ],
    )
    def test_passes_gradients_only_where_it_is_not_detached(self, reset, detach, expected):
        layer = dataclasses.replace(BY_HAND, reset=reset, detach_reset=detach)
        last = lambda w: membrane(layer, {"input": w}, impulse(3))[2]
        w = jnp.ones((1, 1))
        np.testing.assert_allclose(jax.grad(last)(w), [[expected]], rtol=1e-6)
        np.testing.assert_allclose(jax.jvp(last, (w,), (w,))[1], expected, rtol=1e-6)

    def test_detached_still_passes_gradients_through_recurrent_spikes(self):
        layer = dataclasses.replace(BY_HAND, recurrent=True, detach_reset=True)
        last = lambda w: membrane(layer, weights(recurrent=1) | {"input": w}, impulse(4))[3]
        # dU₃ = α dU₂ + (1-α)(g dI₂ + dIᵣ₂) = 0.5·1 + 0.5·(8·0.125 + 0.5·2/36)
        expected = 1 + 0.25 * self.SLOPE
        np.testing.assert_allclose(jax.grad(last)(jnp.ones((1, 1))), [[expected]], rtol=1e-6)


class TestDecays:
    def test_of_zero_leave_a_delay_of_one_step(self):
        layer = snn.LIF(1, membrane_decay=0.0, input_decay=0.0, input_gain=3.0, threshold=1e3)
        xs = normal(0, 6, 1, 1)
        trace = membrane(layer, weights(input=2), xs)
        np.testing.assert_allclose(trace, [0, *(6 * xs[:-1, 0, 0])], rtol=1e-6)

    def test_of_one_never_move(self):
        for layer in (snn.LIF(1, membrane_decay=1.0), snn.LIF(1, input_decay=1.0)):
            assert not membrane(layer, weights(input=5), np.ones((9, 1, 1), np.float32)).any()

    def test_of_each_neuron_are_as_a_layer_of_each(self):
        decays = [(0.5, 0.8, 0.1), (0.9, 0.0, 0.7), (1.0, 0.99, 0.3)]
        names = ("membrane_decay", "input_decay", "recurrent_decay")
        all_decays = dict(zip(names, zip(*decays, strict=True), strict=True))
        xs = (normal(0, 20, 4, 2) > 0).astype(np.float32)
        w, v = normal(1, 3, 2), np.diag(normal(2, 3))
        layer = snn.LIF(3, recurrent=True, **all_decays)
        together, _ = snn.unroll(snn.Sequential(layer), [{"input": w, "recurrent": v}], xs)
        assert together.any(axis=(0, 1))[:2].all()
        for i, decay in enumerate(decays):
            single = snn.LIF(1, recurrent=True, **dict(zip(names, decay, strict=True)))
            params = {"input": w[i : i + 1], "recurrent": v[i : i + 1, i : i + 1]}
            alone, _ = snn.unroll(snn.Sequential(single), [params], xs)
            assert_equal(together[:, :, i : i + 1], alone)

    def test_leave_a_membrane_alone_that_equals_its_drive(self):
        # α U + (1 − α) g I = U for U = g I: in float32 only where α + (1 − α) is 1 there too.
        layer = snn.LIF(1, membrane_decay=0.3, input_decay=1.0, input_gain=1.0, threshold=1e3)
        one = np.ones((1, 1), np.float32)
        rest = snn.NetworkState((snn.LIFState(one, one, None, 0 * one),), jnp.int32(0))
        trace = membrane(layer, weights(input=0), np.zeros((50, 1, 1), np.float32), rest)
        np.testing.assert_array_equal(trace, np.ones(50))


class TestDescription:
    def test_is_hashable_and_equal_to_its_like(self, as_users_call):
        one = snn.LIF(3, membrane_decay=(0.1, 0.2, 0.3), input_decay=1, threshold=np.float32(0.5))
        other = snn.LIF(np.int64(3), membrane_decay=(0.1, 0.2, 0.3), input_decay=1.0, threshold=0.5)
        assert one == other
        assert hash(one) == hash(other)
        assert eval(repr(one), vars(snn)) == one

    def test_has_the_parameters_it_is_asked_for(self):
        assert snn.LIF(3).parameter_shapes(5) == {"input": (3, 5)}
        full = snn.LIF(3, recurrent=True, input_bias=True, recurrent_bias=True)
        assert full.parameter_shapes(5) == {
            "input": (3, 5),
            "recurrent": (3, 3),
            "input_bias": (3,),
            "recurrent_bias": (3,),
        }

    def test_starts_at_zero(self):
        state = snn.LIF(3, recurrent=True).initial_state(2)
        assert_close(state, snn.LIFState(*[jnp.zeros((2, 3))] * 4), 0, 0)
        assert snn.LIF(3).initial_state(2).recurrent_current is None

    def test_the_implementations_are_one(self):
        xs, params = np.ones((30, 1, 1), np.float32), weights(input=1)
        results = [membrane(snn.LIF(1, implementation=i), params, xs) for i in ("auto", "jax")]
        assert_close(*results, rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("as_users_call")
class TestRefuses:
    @pytest.mark.parametrize("name", ["membrane_decay", "input_decay", "recurrent_decay"])
    @pytest.mark.parametrize("decay", [-0.01, 1.5, np.nan, np.inf])
    def test_decay_constants_outside_of_0_to_1(self, name, decay):
        message = rf"LIF: {name}: expected a decay constant in \[0, 1\], given {decay}"
        with pytest.raises(ValueError, match=message):
            snn.LIF(2, recurrent=True, **{name: decay})
        with pytest.raises(ValueError, match=rf"LIF: {name}\[1\]: .* given {decay}"):
            snn.LIF(2, recurrent=True, **{name: (0.5, decay)})

    def test_another_number_of_decay_constants_than_of_neurons(self):
        with pytest.raises(ValueError, match="input_decay: .* each of 3 neurons, given 2"):
            snn.LIF(3, input_decay=(0.5, 0.5))

    @pytest.mark.parametrize("decay", [[0.5, 0.5], np.array([0.5, 0.5]), jnp.array([0.5, 0.5])])
    def test_decay_constants_that_are_not_hashable(self, decay):
        with pytest.raises(TypeError, match="a tuple of numbers.*make it one with tuple"):
            snn.LIF(2, membrane_decay=decay)

    @pytest.mark.parametrize("decay", ["0.5", None, True])
    def test_decay_constants_that_are_no_numbers(self, decay):
        with pytest.raises(TypeError, match=f"expected a number, given {decay!r}"):
            snn.LIF(2, membrane_decay=decay)

    @pytest.mark.parametrize("size", [0, -3])
    def test_no_neurons(self, size):
        with pytest.raises(ValueError, match=f"LIF: size: expected at least 1, given {size}"):
            snn.LIF(size)

    @pytest.mark.parametrize("size", [2.0, "2", None, True])
    def test_a_size_that_is_no_integer(self, size):
        with pytest.raises(TypeError, match=f"LIF: size: expected an integer, given {size!r}"):
            snn.LIF(size)

    @pytest.mark.parametrize("threshold", [0.0, -1.0, np.nan, np.inf, 1e39, 1e-50])
    def test_thresholds_that_rest_crosses_or_float32_has_not(self, threshold):
        given = re.escape(str(threshold))
        with pytest.raises(ValueError, match=f"threshold: .* more than 0, given {given}; float32"):
            snn.LIF(1, threshold=threshold)

    @pytest.mark.parametrize("gain", [np.nan, np.inf, -1e39])
    def test_gains_that_float32_has_not(self, gain):
        message = f"input_gain: expected a finite number, given {re.escape(str(gain))}; float32"
        with pytest.raises(ValueError, match=message):
            snn.LIF(1, input_gain=gain)

    def test_unknown_words(self):
        with pytest.raises(ValueError, match="'zero', 'subtract', 'none', given 'hard'"):
            snn.LIF(1, reset="hard")
        with pytest.raises(ValueError, match="'auto', 'jax', 'native', given 'fast'"):
            snn.LIF(1, implementation="fast")

    @pytest.mark.parametrize("name", ["recurrent", "input_bias", "recurrent_bias", "detach_reset"])
    def test_switches_that_are_not_switches(self, name):
        with pytest.raises(TypeError, match=f"LIF: {name}: expected True or False, given 1"):
            snn.LIF(1, **{name: 1})

    def test_a_recurrent_bias_without_recurrence(self):
        with pytest.raises(ValueError, match="recurrent_bias=True: expected recurrent=True"):
            snn.LIF(1, recurrent_bias=True)

    def test_no_surrogate(self):
        with pytest.raises(TypeError, match="LIF: surrogate: expected .* given 10.0"):
            snn.LIF(1, surrogate=10.0)
