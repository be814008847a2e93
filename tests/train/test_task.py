import dataclasses
import os
import subprocess

import numpy as np
import pytest

import xbarax as xb
from tests.train.small import CONFIG
from xbarax import train
from xbarax.datasets.randman import make_spike_raster_dataset
from xbarax.train.counters import count_crossbars


def task_of(**changes):
    return train.make_task(dataclasses.replace(CONFIG, **changes))


def places_of_crossbars(params):
    return [
        (number, name)
        for number, layer in enumerate(params)
        for name, value in layer.items()
        if isinstance(value, xb.MemristiveCrossbarArray)
    ]


@pytest.mark.parametrize(
    ("crossbar", "places"),
    [
        ("none", []),
        ("last", [(1, "input")]),
        ("all", [(0, "input"), (0, "recurrent"), (1, "input"), (1, "recurrent")]),
    ],
)
def test_crossbars_stand_where_they_were_asked_for(crossbar, places):
    params = task_of(crossbar=crossbar).params
    assert sorted(places_of_crossbars(params)) == places
    assert [sorted(layer) for layer in params] == [["input", "recurrent"]] * 2
    assert params[0]["input"].shape == (20, 16) and params[0]["recurrent"].shape == (20, 20)
    assert params[1]["input"].shape == (2, 20) and params[1]["recurrent"].shape == (2, 2)


def test_weights_are_the_same_whichever_are_crossbars():
    dense, mixed = task_of(crossbar="none").params, task_of(crossbar="all").params
    for layer, same in zip(dense, mixed, strict=True):
        for name in layer:
            np.testing.assert_array_equal(layer[name], xb.readout(same[name]))


def test_the_seed_sets_weights_and_data():
    first, same, other = (
        task_of(seed=1, crossbar="none"),
        task_of(seed=1, crossbar="none"),
        task_of(seed=2, crossbar="none"),
    )
    np.testing.assert_array_equal(first.params[0]["input"], same.params[0]["input"])
    assert (np.asarray(first.params[0]["input"]) != other.params[0]["input"]).any()
    (a, _), (b, _), (c, _) = (next(iter(task.training)) for task in (first, same, other))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_data_are_split_in_the_order_they_were_drawn():
    rng = np.random.default_rng(CONFIG.seed)
    data, labels = make_spike_raster_dataset(
        rng, nb_classes=2, nb_units=16, nb_steps=60, nb_samples=40
    )
    task = task_of()
    # 80 samples, of which 64 in 8 batches of 8 to train on, and 16 to test on.
    order = rng.permutation(64)
    training = list(task.training)
    assert len(training) == 8
    for number, (spikes, batch_labels) in enumerate(training):
        chosen = order[8 * number : 8 * (number + 1)]
        np.testing.assert_array_equal(spikes, data[chosen].transpose(1, 0, 2))
        np.testing.assert_array_equal(batch_labels, labels[chosen])
    for (spikes, batch_labels), start in zip(task.test, (64, 72), strict=True):
        np.testing.assert_array_equal(spikes, data[start : start + 8].transpose(1, 0, 2))
        np.testing.assert_array_equal(batch_labels, labels[start : start + 8])


def test_all_test_samples_are_kept():
    assert [len(labels) for _, labels in task_of(batch_size=12).test] == [12, 4]


def test_a_chips_library_makes_the_crossbars():
    library = str(xb.hardware.reference_library())
    params = task_of(chip=library).params
    assert places_of_crossbars(params) == [(1, "input")]
    assert params[1]["input"].chip == xb.hardware.load(library)


def test_a_missing_library_is_named(tmp_path):
    with pytest.raises((OSError, ValueError), match="nowhere.so"):
        task_of(chip=str(tmp_path / "nowhere.so"))


def test_a_library_without_its_functions_is_named(tmp_path):
    path = tmp_path / "libempty.so"
    compiler = os.environ.get("CXX", "c++")
    command = [compiler, "-x", "c", "-shared", "-fPIC", "/dev/null", "-o", str(path)]
    subprocess.run(command, check=True)
    with pytest.raises(
        AttributeError, match=r"libempty\.so exports neither .*user_implementation_mul"
    ):
        task_of(chip=str(path))


def test_counters_are_named_by_place():
    params = task_of(crossbar="all").params
    counters = count_crossbars(params)
    assert sorted(counters) == [
        "layer 1 input",
        "layer 1 recurrent",
        "layer 2 input",
        "layer 2 recurrent",
    ]
    assert counters["layer 1 input"] == {
        name: int(count) for name, count in xb.report(params[0]["input"]).items()
    }
    assert count_crossbars(task_of(crossbar="none").params) == {}


@pytest.mark.parametrize(
    ("changes", "falls"),
    [
        ({"crossbar": "last"}, False),
        ({"crossbar": "last", "chip": "pcm"}, True),
        ({"crossbar": "last", "chip": "pcm", "schedule": "constant"}, False),
        ({"crossbar": "last", "schedule": "cosine"}, True),
    ],
)
def test_the_learning_rate_falls_along_half_a_cosine_where_it_should(changes, falls):
    task = task_of(**changes, momentum=0.0)
    gradient, state, steps = np.ones(1, np.float32), task.optimiser.init(np.zeros(1)), []
    n = CONFIG.epochs * (CONFIG.training_samples // CONFIG.batch_size)
    for _ in range(n):
        update, state = task.optimiser.update(gradient, state)
        steps.append(-float(update[0]))
    cosine = (1 + np.cos(np.pi * np.arange(n) / n)) / 2
    np.testing.assert_allclose(
        steps, CONFIG.learning_rate * (cosine if falls else np.ones(n)), rtol=1e-5
    )
