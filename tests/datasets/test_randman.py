import hashlib
import math

import numpy as np
import pytest

from xbarax.datasets.randman import make_spike_raster_dataset


def notebook_data(seed):
    return make_spike_raster_dataset(np.random.default_rng(seed), nb_classes=2, nb_units=16)


def test_notebook_data_is_reproduced_to_the_bit():
    data, labels = notebook_data(42)
    assert data.shape == (2000, 100, 16) and data.dtype == np.float32
    assert labels.shape == (2000,) and labels.dtype == np.int32
    assert data.sum() == 32_000
    assert data[:, 0].sum() == 61 and data[:, 99].sum() == 58
    assert hashlib.sha256(data.tobytes()).hexdigest().startswith("082c351f9fca85cf")


def random_function(x, theta, frequencies, amplitudes):
    """One unit's function at a point, term by term."""
    product = 1.0
    for d, coordinate in enumerate(x):
        product *= sum(
            theta[d, 0, i]
            * amplitudes[i]
            * math.sin(2 * math.pi * (k * coordinate * theta[d, 1, i] + theta[d, 2, i]))
            for i, k in enumerate(frequencies)
        )
    return product


def spectrum_by_hand(spectrum, alpha):
    if spectrum == "paper":
        return range(1, 1001), [k**-alpha for k in range(1, 1001)]
    cutoff = min(math.ceil(1e-3 ** (-1 / alpha)), 1000)
    shift = {"notebook": 0, "pytorch": 1}[spectrum]
    return range(cutoff), [1 / ((i + 1) ** alpha + shift) for i in range(cutoff)]


@pytest.mark.parametrize("spectrum", ["notebook", "pytorch", "paper"])
@pytest.mark.parametrize(("dimension", "alpha"), [(1, 3.0), (2, 1.5)])
def test_rasters_follow_the_formula(spectrum, dimension, alpha):
    classes, units, steps, spikes, samples = 2, 3, 40, 2, 5
    data, labels = make_spike_raster_dataset(
        np.random.default_rng(7),
        nb_classes=classes,
        nb_units=units,
        nb_steps=steps,
        step_frac=0.75,
        dim_manifold=dimension,
        nb_spikes=spikes,
        nb_samples=samples,
        alpha=alpha,
        shuffle=False,
        spectrum=spectrum,
    )
    frequencies, amplitudes = spectrum_by_hand(spectrum, alpha)

    rng = np.random.default_rng(7)
    seeds = rng.integers(2**63 - 1, size=(classes, spikes))
    expected = np.zeros((classes * samples, steps, units))
    for c in range(classes):
        points = rng.random((samples, dimension))
        for s in range(spikes):
            shape = (units, dimension, 3, len(amplitudes))
            theta = np.random.default_rng(seeds[c, s]).uniform(0, 1, shape)
            if spectrum != "paper":
                theta[:, :, 0, 0] = 0
            for m in range(units):
                y = [random_function(x, theta[m], frequencies, amplitudes) for x in points]
                for n, value in enumerate(y):
                    time = (value - min(y)) / (max(y) - min(y) + 1e-7) * steps * 0.75
                    expected[c * samples + n, math.floor(time), m] += 1
    np.testing.assert_array_equal(data, expected)
    np.testing.assert_array_equal(labels, [0] * samples + [1] * samples)


def test_every_unit_spikes_as_often_as_asked_and_reaches_both_ends():
    data, labels = make_spike_raster_dataset(
        np.random.default_rng(3), nb_classes=3, nb_units=5, nb_steps=50, nb_samples=30, nb_spikes=2
    )
    assert (data.sum(axis=1) == 2).all()
    assert np.bincount(labels).tolist() == [30, 30, 30]
    for label in range(3):
        # Standardising puts each unit's earliest spike at 0 and its latest just below the end.
        assert (data[labels == label].sum(axis=0)[[0, 49]] >= 1).all()


def test_step_frac_leaves_the_later_bins_empty():
    data, _ = make_spike_raster_dataset(
        np.random.default_rng(3), nb_classes=2, nb_units=5, nb_samples=30, step_frac=0.5
    )
    assert data.shape[1] == 100
    assert (data[:, 49].sum(axis=0) >= 2).all()
    assert data[:, 50:].sum() == 0


def test_coincident_spikes_add():
    # With one bin there is one place for all.
    data, _ = make_spike_raster_dataset(
        np.random.default_rng(0), nb_classes=2, nb_units=4, nb_steps=1, nb_spikes=3, nb_samples=6
    )
    assert (data == 3).all()


def test_a_single_sample_spikes_at_the_beginning():
    # Its value is its class's smallest.
    data, _ = make_spike_raster_dataset(
        np.random.default_rng(0), nb_classes=2, nb_units=4, nb_steps=10, nb_samples=1
    )
    assert (data[:, 0] == 1).all()


def test_shuffling_reorders_samples_with_their_labels():
    sizes = {"nb_classes": 3, "nb_units": 4, "nb_steps": 20, "nb_samples": 8}
    ordered, in_order = make_spike_raster_dataset(np.random.default_rng(1), **sizes, shuffle=False)
    shuffled, labels = make_spike_raster_dataset(np.random.default_rng(1), **sizes)

    rng = np.random.default_rng(1)
    rng.integers(2**63 - 1, size=(3, 1))
    for _ in range(3):
        rng.random((8, 2))
    order = np.arange(24)
    rng.shuffle(order)
    np.testing.assert_array_equal(shuffled, ordered[order])
    np.testing.assert_array_equal(labels, in_order[order])
    assert labels.tolist() != in_order.tolist()


def test_draws_depend_on_the_generator_alone():
    np.random.seed(5)
    legacy = np.random.get_state()[1].copy()
    first, second = notebook_data(1), notebook_data(1)
    other = notebook_data(2)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert (first[0] != other[0]).any()
    np.testing.assert_array_equal(np.random.get_state()[1], legacy)


def test_the_generator_goes_on_where_the_draws_end():
    used, by_hand = np.random.default_rng(9), np.random.default_rng(9)
    make_spike_raster_dataset(used, nb_classes=2, nb_units=3, nb_steps=10, nb_samples=4)
    by_hand.integers(2**63 - 1, size=(2, 1))
    for _ in range(2):
        by_hand.random((4, 2))
    by_hand.shuffle(np.arange(8))
    assert used.bit_generator.state == by_hand.bit_generator.state


def test_smoother_manifolds_have_smoother_neighbours():
    """Two samples that lie close on the manifold spike closer together if it is smooth."""

    def mean_jump(alpha):
        data, _ = make_spike_raster_dataset(
            np.random.default_rng(4),
            nb_classes=1,
            nb_units=20,
            dim_manifold=1,
            nb_samples=200,
            alpha=alpha,
            shuffle=False,
        )
        rng = np.random.default_rng(4)
        rng.integers(2**63 - 1, size=(1, 1))
        along = np.argsort(rng.random((200, 1))[:, 0])
        times = data.argmax(axis=1)[along]
        return np.abs(np.diff(times, axis=0)).mean()

    assert mean_jump(3.0) < mean_jump(2.0) < mean_jump(1.0)


def test_a_tiny_smoothness_has_as_many_frequencies_as_there_can_be():
    data, _ = make_spike_raster_dataset(
        np.random.default_rng(0), nb_classes=1, nb_units=2, nb_steps=5, nb_samples=3, alpha=1e-6
    )
    assert data.sum() == 6


COUNTS = ["nb_classes", "nb_units", "nb_steps", "dim_manifold", "nb_spikes", "nb_samples"]


@pytest.mark.parametrize("name", COUNTS)
def test_a_count_below_one_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}: expected at least 1, given 0"):
        make_spike_raster_dataset(np.random.default_rng(0), **{name: 0})


@pytest.mark.parametrize("name", COUNTS)
def test_a_count_that_is_no_integer_is_refused(name, as_users_call):
    with pytest.raises(TypeError, match=f"{name}: expected an integer, given 2.5"):
        make_spike_raster_dataset(np.random.default_rng(0), **{name: 2.5})


def test_a_seed_is_not_a_generator(as_users_call):
    message = r"rng: expected a numpy.random.Generator.*default_rng\(seed\).*given 42"
    with pytest.raises(TypeError, match=message):
        make_spike_raster_dataset(42)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, math.nan])
def test_a_share_of_steps_out_of_range_is_refused(share):
    with pytest.raises(ValueError, match=r"step_frac: expected a share in \(0, 1\], given"):
        make_spike_raster_dataset(np.random.default_rng(0), step_frac=share)


@pytest.mark.parametrize("alpha", [0.0, -1.0, math.inf, math.nan])
def test_a_smoothness_that_is_not_positive_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha: expected a positive, finite smoothness, given"):
        make_spike_raster_dataset(np.random.default_rng(0), alpha=alpha)


def test_an_unknown_spectrum_is_refused(as_users_call):
    message = "spectrum: expected one of 'notebook', 'pytorch', 'paper', given 'numpy'"
    with pytest.raises(ValueError, match=message):
        make_spike_raster_dataset(np.random.default_rng(0), spectrum="numpy")


def test_bad_arguments_draw_nothing():
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    with pytest.raises(ValueError, match="nb_steps"):
        make_spike_raster_dataset(rng, nb_steps=0)
    assert rng.bit_generator.state == before
