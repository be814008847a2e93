import jax
import numpy as np
import optax
import pytest
from jax import numpy as jnp

import xbarax as xb
from xbarax import snn, train

NET = snn.Sequential(snn.LIF(6, recurrent=True), snn.LIF(2, recurrent=True))


def a_batch(samples=5):
    rng = np.random.default_rng(0)
    spikes = (rng.random((40, samples, 8)) < 0.5).astype(np.float32)
    return spikes, rng.integers(2, size=samples).astype(np.int32)


def dense_params():
    return NET.init(jax.random.key(0), 8)


def test_a_step_is_gradient_descent_with_momentum():
    batch = a_batch()
    optimiser = optax.sgd(0.1, momentum=0.5)
    update = train.make_update(NET, optimiser, donate=False)

    def loss_of(params):
        return snn.spike_count_cross_entropy(snn.unroll(NET, params, batch[0])[0], batch[1])

    start = dense_params()
    state = optimiser.init(start)
    once, state, loss = update(start, state, *batch)
    twice, _, _ = update(once, state, *batch)

    # v <- 0.5 v + g, w <- w - 0.1 v, with v = 0 at first.
    first = jax.grad(loss_of)(start)
    by_hand = jax.tree.map(lambda w, g: w - 0.1 * g, start, first)
    second = jax.grad(loss_of)(by_hand)
    by_hand_twice = jax.tree.map(lambda w, g, h: w - 0.1 * (0.5 * g + h), by_hand, first, second)
    assert float(loss) == pytest.approx(float(loss_of(start)), rel=1e-6)
    assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(first))
    for got, expected in ((once, by_hand), (twice, by_hand_twice)):
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_crossbar_is_programmed_with_the_same_step():
    optimiser = optax.sgd(0.1, momentum=0.5)
    update = train.make_update(NET, optimiser, donate=False)
    dense = dense_params()
    mixed = xb.to_crossbar(dense, lambda p: p[-1]["input"])
    for _ in range(2):
        trained, _, loss = update(dense, optimiser.init(dense), *a_batch())
        programmed, _, same = update(mixed, optimiser.init(mixed), *a_batch())
    assert isinstance(programmed[-1]["input"], xb.MemristiveCrossbarArray)
    assert float(same) == pytest.approx(float(loss), rel=1e-5)
    np.testing.assert_allclose(
        xb.readout(programmed[-1]["input"]), trained[-1]["input"], rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(programmed[0]["input"], trained[0]["input"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("donate", [True, False])
def test_memory_is_taken_only_if_given(donate):
    optimiser = optax.sgd(0.1)
    params = dense_params()
    train.make_update(NET, optimiser, donate=donate)(params, optimiser.init(params), *a_batch())
    assert params[0]["input"].is_deleted() == donate


def test_one_program_serves_all_batches_of_a_size():
    sgd, traced = optax.sgd(0.1), []

    def counting(*args):
        traced.append(None)
        return sgd.update(*args)

    update = train.make_update(NET, optax.GradientTransformation(sgd.init, counting))
    params = dense_params()
    train.train_epoch(update, params, sgd.init(params), [a_batch() for _ in range(4)])
    assert len(traced) == 1


def test_equal_networks_share_a_program():
    optimiser = optax.sgd(0.1)
    same = snn.Sequential(snn.LIF(6, recurrent=True), snn.LIF(2, recurrent=True))
    other = snn.Sequential(snn.LIF(7, recurrent=True), snn.LIF(2, recurrent=True))
    update = train.make_update(NET, optimiser)
    assert train.make_update(same, optimiser) is update
    assert train.make_update(other, optimiser) is not update
    assert train.make_update(NET, optimiser, donate=False) is not update


def test_an_epochs_loss_is_the_mean_over_its_samples():
    losses = iter([3.0, 1.5, 0.25])

    def update(params, opt_state, spikes, labels):
        return params + 1, opt_state - 1, jnp.float32(next(losses))

    batches = [a_batch(4), a_batch(4), a_batch(1)]
    assert train.train_epoch(update, 0, 0, batches) == (3, -3, 4.75 / 9)


def test_every_sample_counts_once_in_the_accuracy():
    # Right answers: 4 of 4, 1 of 4, 0 of 1. The mean of the full batches would be 5/8.
    shares = {0: 1.0, 1: 0.25, 2: 0.0}
    batches = [(np.full(1, i), np.zeros(n, np.int32)) for i, n in enumerate([4, 4, 1])]

    def accuracy(params, spikes, labels):
        return jnp.float32(shares[int(spikes[0])])

    assert train.measure_accuracy(accuracy, None, batches) == 5 / 9


def test_labels_out_of_range_are_named():
    spikes, labels = a_batch()
    labels[2] = 7
    message = r"expected a share in \[0, 1\], given nan for a batch with labels 0 to 7"
    with pytest.raises(ValueError, match=message):
        train.measure_accuracy(train.make_accuracy(NET), dense_params(), [(spikes, labels)])


@pytest.mark.parametrize("samples", [3, 7, 49, 999])
def test_counts_survive_their_share_in_single_precision(samples):
    for correct in range(samples + 1):
        share = jnp.float32(correct) / samples
        batch = (np.zeros(1), np.zeros(samples, np.int32))
        measured = train.measure_accuracy(lambda *_, share=share: share, None, [batch])
        assert measured == correct / samples


def test_accuracy_is_the_share_of_samples_classified_as_labelled():
    spikes, _ = a_batch(9)
    params = dense_params()
    counts = np.asarray(snn.unroll(NET, params, spikes)[0]).sum(axis=0)
    assert counts.any()
    labels = counts.argmax(axis=-1).astype(np.int32)
    accuracy = train.make_accuracy(NET)
    assert float(accuracy(params, spikes, labels)) == 1
    labels[:3] = 1 - labels[:3]
    assert float(accuracy(params, spikes, labels)) == pytest.approx(6 / 9)
