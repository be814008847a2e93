import numpy as np
import pytest

from xbarax.datasets import BatchLoader

SAMPLES, STEPS, UNITS = 7, 3, 2
DATA = np.arange(SAMPLES * STEPS * UNITS, dtype=np.float32).reshape(SAMPLES, STEPS, UNITS)
LABELS = np.arange(SAMPLES, dtype=np.int32)


def samples_of(loader):
    """The samples of a pass, batch by batch; a sample's label is its number."""
    return [labels.tolist() for _, labels in loader]


def test_batches_are_time_major_and_keep_samples_with_their_labels():
    for spikes, labels in BatchLoader(DATA, LABELS, 3, np.random.default_rng(0)):
        assert spikes.shape == (STEPS, 3, UNITS) and spikes.dtype == np.float32
        assert labels.shape == (3,) and labels.dtype == np.int32
        for place, sample in enumerate(labels):
            np.testing.assert_array_equal(spikes[:, place], DATA[sample])


@pytest.mark.parametrize(
    ("size", "drop_last", "expected"),
    [
        (3, True, [[0, 1, 2], [3, 4, 5]]),
        (3, False, [[0, 1, 2], [3, 4, 5], [6]]),
        (7, True, [[0, 1, 2, 3, 4, 5, 6]]),
        (7, False, [[0, 1, 2, 3, 4, 5, 6]]),
        (9, False, [[0, 1, 2, 3, 4, 5, 6]]),
    ],
)
def test_batches_in_order(size, drop_last, expected):
    loader = BatchLoader(DATA, LABELS, size, drop_last=drop_last)
    assert samples_of(loader) == expected
    assert samples_of(loader) == expected
    assert len(loader) == len(expected)


def test_each_pass_is_one_permutation():
    loader = BatchLoader(DATA, LABELS, 3, np.random.default_rng(5), drop_last=False)
    by_hand = np.random.default_rng(5)
    for _ in range(3):
        order = by_hand.permutation(SAMPLES).tolist()
        assert samples_of(loader) == [order[:3], order[3:6], order[6:]]


def test_a_pass_depends_on_the_generator_as_it_was_at_the_start():
    rng = np.random.default_rng(5)
    loader = BatchLoader(DATA, LABELS, 3, rng)
    list(loader)
    state = rng.bit_generator.state
    expected = samples_of(loader)

    list(loader)
    rng.bit_generator.state = state
    started = iter(loader)
    rng.random(100)
    assert [labels.tolist() for _, labels in started] == expected


def test_loaders_share_a_generator_only_if_given_the_same():
    first = BatchLoader(DATA, LABELS, 7, np.random.default_rng(0))
    second = BatchLoader(DATA, LABELS, 7, np.random.default_rng(0))
    list(first)
    list(first)
    assert samples_of(second) == [np.random.default_rng(0).permutation(SAMPLES).tolist()]


def test_the_data_are_left_alone():
    data, labels = DATA.copy(), LABELS.copy()
    for spikes, batch_labels in BatchLoader(data, labels, 3):
        spikes += 1
        batch_labels += 1
    np.testing.assert_array_equal(data, DATA)
    np.testing.assert_array_equal(labels, LABELS)


def test_lists_are_data_too():
    ((spikes, labels),) = BatchLoader(DATA.tolist(), LABELS.tolist(), 7)
    np.testing.assert_array_equal(spikes, DATA.transpose(1, 0, 2))
    np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize(
    ("data", "labels", "size", "message"),
    [
        (DATA[0], LABELS, 3, r"data: expected axes \(sample, time, unit\), given shape \(3, 2\)"),
        (DATA, LABELS[:, None], 3, r"labels: expected one axis \(sample,\), given shape \(7, 1\)"),
        (DATA, LABELS[:6], 3, "labels: expected one for each of 7 samples, given 6"),
        (DATA[:0], LABELS[:0], 3, "data: expected at least one sample, given none"),
        (DATA, LABELS - 2, 3, "labels: expected none negative, given -2 for sample 0"),
        (DATA, LABELS, 0, "batch_size: expected at least 1, given 0"),
        (DATA, LABELS, 8, "batch_size: expected at most the number of samples, 7, .* given 8"),
    ],
)
def test_bad_values_are_refused(data, labels, size, message):
    with pytest.raises(ValueError, match=message):
        BatchLoader(data, labels, size)


def test_labels_that_are_no_integers_are_refused():
    with pytest.raises(TypeError, match="labels: expected integers, given float32"):
        BatchLoader(DATA, LABELS.astype(np.float32), 3)


def test_a_batch_size_that_is_no_integer_is_refused(as_users_call):
    with pytest.raises(TypeError, match="batch_size: expected an integer, given 3.0"):
        BatchLoader(DATA, LABELS, 3.0)


def test_a_seed_is_not_a_generator(as_users_call):
    with pytest.raises(TypeError, match="rng: expected a numpy.random.Generator.*given 0"):
        BatchLoader(DATA, LABELS, 3, rng=0)
