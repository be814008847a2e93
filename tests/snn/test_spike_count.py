"""The spike-count loss and accuracy."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from tests.helpers import assert_close
from xbarax import snn

BOTH = pytest.mark.parametrize(
    "function", [snn.spike_count_cross_entropy, snn.spike_count_accuracy], ids=lambda f: f.__name__
)


def spikes_with(counts, time=10):
    """Spike trains (time, batch, classes) with these counts (batch, classes)."""
    counts = np.asarray(counts)
    return (np.arange(time)[:, None, None] < counts).astype(np.float32)


class TestCrossEntropy:
    def test_of_equal_counts_is_the_notebooks(self):
        loss = snn.spike_count_cross_entropy(spikes_with([[3, 3]]), np.array([1]))
        np.testing.assert_allclose(loss, np.log(2) / 2, rtol=1e-6)
        assert (loss.shape, loss.dtype) == ((), jnp.float32)

    def test_sums_over_the_batch_and_divides_by_the_classes(self):
        counts, labels = [[3, 1, 0], [2, 2, 5]], np.array([0, 1])
        # -log softmax at the label: log(1 + e⁻² + e⁻³), and log(1 + 1 + e³)
        expected = (np.log(1 + np.exp(-2) + np.exp(-3)) + np.log(2 + np.exp(3))) / 3
        loss = snn.spike_count_cross_entropy(spikes_with(counts), labels)
        np.testing.assert_allclose(loss, expected, rtol=1e-6)

    def test_does_not_depend_on_when_spikes_come(self):
        spikes = spikes_with([[3, 1, 0], [2, 2, 5]])
        shuffled = np.random.default_rng(0).permuted(spikes, axis=0)
        assert (spikes != shuffled).any()
        losses = [snn.spike_count_cross_entropy(s, np.array([0, 1])) for s in (spikes, shuffled)]
        assert losses[0] == losses[1]

    def test_has_the_gradient_of_a_softmax(self):
        counts = np.array([[3, 1, 0], [2, 2, 5]])
        gradient = jax.grad(snn.spike_count_cross_entropy)(spikes_with(counts), np.array([0, 1]))
        softmax = np.exp(counts) / np.exp(counts).sum(axis=1, keepdims=True)
        expected = (softmax - np.eye(3)[[0, 1]]) / 3
        np.testing.assert_allclose(gradient, np.tile(expected, (10, 1, 1)), rtol=1e-5)

    def test_of_many_spikes_does_not_overflow(self):
        loss = snn.spike_count_cross_entropy(spikes_with([[2000, 0]], 2000), np.array([1]))
        np.testing.assert_allclose(loss, 1000, rtol=1e-6)

    def test_of_nobody_is_0_and_of_no_time_is_chance(self):
        nobody = np.zeros((10, 0, 2), np.float32)
        assert snn.spike_count_cross_entropy(nobody, np.zeros(0, np.int32)) == 0
        at_once = snn.spike_count_cross_entropy(np.zeros((0, 4, 2), np.float32), np.zeros(4, int))
        np.testing.assert_allclose(at_once, 4 * np.log(2) / 2, rtol=1e-6)

    def test_of_one_class_is_0(self):
        assert snn.spike_count_cross_entropy(spikes_with([[4], [0]]), np.array([0, 0])) == 0


class TestAccuracy:
    def test_is_the_share_of_right_samples(self):
        counts = [[3, 1, 0], [2, 2, 5], [0, 4, 1], [9, 0, 0]]
        accuracy = snn.spike_count_accuracy(spikes_with(counts), np.array([0, 1, 1, 2]))
        assert accuracy == 0.5
        assert (accuracy.shape, accuracy.dtype) == ((), jnp.float32)

    def test_gives_a_tie_to_the_first(self):
        spikes = spikes_with([[0, 0, 0], [1, 4, 4], [1, 4, 4]])
        shares = [snn.spike_count_accuracy(spikes, np.full(3, k)) for k in range(3)]
        np.testing.assert_allclose(shares, [1 / 3, 2 / 3, 0])

    def test_has_no_gradient(self):
        spikes = spikes_with([[3, 1], [0, 2]])
        assert not jax.grad(snn.spike_count_accuracy)(spikes, np.array([0, 0])).any()

    @pytest.mark.usefixtures("as_users_call")
    def test_of_nobody_is_refused(self):
        with pytest.raises(ValueError, match=r"at least one sample, given shape \(10, 0, 2\)"):
            snn.spike_count_accuracy(np.zeros((10, 0, 2), np.float32), np.zeros(0, np.int32))


@BOTH
class TestLabels:
    SPIKES = spikes_with([[3, 1, 0], [2, 2, 5]])

    @pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "uint32"])
    def test_may_be_integers_of_any_kind(self, function, dtype):
        labels = np.array([0, 2])
        assert function(self.SPIKES, labels.astype(dtype)) == function(self.SPIKES, labels)

    def test_may_be_a_list_or_a_jax_array(self, function):
        expected = function(self.SPIKES, np.array([0, 2]))
        assert function(self.SPIKES, [0, 2]) == expected
        assert function(jnp.asarray(self.SPIKES), jnp.array([0, 2])) == expected

    def test_of_few_bits_go_with_many_classes(self, function):
        counts = np.zeros((1, 300), int)
        counts[0, 100] = 1
        spikes = spikes_with(counts)
        expected = function(spikes, np.array([100]))
        assert function(spikes, np.array([100], np.int8)) == expected
        assert jax.jit(function)(spikes, np.array([100], np.int8)) == expected

    def test_traced_are_the_same(self, function):
        labels = np.array([0, 2])
        assert_close(jax.jit(function)(self.SPIKES, labels), function(self.SPIKES, labels))
        each = jax.vmap(lambda s, y: function(s[:, None], y[None]), (1, 0))(self.SPIKES, labels)
        alone = [function(self.SPIKES[:, i : i + 1], labels[i : i + 1]) for i in range(2)]
        assert_close(each, jnp.stack(alone))

    @pytest.mark.parametrize("label", [-1, 3, 2**31 - 1])
    def test_traced_out_of_range_give_nan(self, function, label):
        labels = np.array([0, label])
        assert jnp.isnan(jax.jit(function)(self.SPIKES, labels))

    @pytest.mark.parametrize("label", [-1, 3, 2**32])
    def test_out_of_range_are_refused(self, function, label, as_users_call):
        message = rf"labels: expected integers in \[0, 3\), given {label} for sample 1$"
        with pytest.raises(ValueError, match=message):
            function(self.SPIKES, np.array([0, label]))

    def test_out_of_range_are_counted(self, function, as_users_call):
        with pytest.raises(ValueError, match=r"given 7 for sample 0 \(2 of 2 are out of range\)"):
            function(self.SPIKES, np.array([7, 8]))

    @pytest.mark.parametrize("dtype", ["float32", "bool"])
    def test_that_are_no_integers_are_refused(self, function, dtype, as_users_call):
        with pytest.raises(TypeError, match=f"labels: expected integers, given {dtype}"):
            function(self.SPIKES, np.array([0, 1], dtype))

    @pytest.mark.parametrize("shape", [(3,), (2, 1), ()])
    def test_of_another_shape_are_refused(self, function, shape, as_users_call):
        with pytest.raises(ValueError) as error:
            function(self.SPIKES, np.zeros(shape, int))
        assert "labels: expected shape (2,) for spikes of shape (10, 2, 3)" in str(error.value)
        assert str(error.value).endswith(f"given {shape}")


def test_a_label_out_of_range_makes_the_gradient_nan():
    labels = np.array([0, 3])
    gradient = jax.jit(jax.grad(snn.spike_count_cross_entropy))(TestLabels.SPIKES, labels)
    assert jnp.isnan(gradient[:, 1]).all()
    assert jnp.isfinite(gradient[:, 0]).all()


@BOTH
@pytest.mark.usefixtures("as_users_call")
class TestSpikes:
    def test_that_are_batch_major_are_refused(self, function):
        spikes = spikes_with([[3, 1], [2, 2], [0, 1]]).swapaxes(0, 1)
        with pytest.raises(ValueError, match=r"is time the second axis of spikes\?"):
            function(spikes, np.array([0, 1, 0]))

    @pytest.mark.parametrize("shape", [(10, 2), (10, 2, 3, 1), (10, 2, 0)])
    def test_of_another_shape_are_refused(self, function, shape):
        with pytest.raises(ValueError, match=r"spikes: expected \(time, batch, classes\) with at"):
            function(np.zeros(shape, np.float32), np.array([0, 1]))

    @pytest.mark.parametrize("dtype", ["float64", "int32", "bool"])
    def test_that_are_not_float32_are_refused(self, function, dtype):
        with pytest.raises(TypeError, match=f"spikes: expected float32, given {dtype}; cast"):
            function(np.zeros((10, 2, 3), dtype), np.array([0, 1]))
