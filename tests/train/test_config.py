import dataclasses
import json
import math

import pytest

from xbarax.train.config import (
    TrainConfig,
    config_differences,
    config_from_dict,
    config_to_dict,
)


def test_the_defaults_are_the_notebooks():
    config = TrainConfig()
    assert config.network == (16, 32, 2)
    assert (config.epochs, config.seed, config.batch_size) == (20, 42, 48)
    assert (config.learning_rate, config.momentum) == (0.02, 0.9)
    assert (config.samples, config.training_samples, config.test_samples) == (2000, 1600, 400)
    assert (config.time_steps, config.crossbar, config.chip) == (100, "none", "ideal")


def test_no_sample_is_lost_to_rounding():
    # 0.29 * 100 is 28.999999999999996 in floating point.
    config = TrainConfig(samples_per_class=50, train_share=0.29, batch_size=2)
    assert (config.training_samples, config.test_samples) == (29, 71)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": ()}, r"network: expected at least two sizes, inputs and classes, given \(\)"),
        ({"network": (16,)}, r"network: expected at least two sizes.* given \(16,\)"),
        ({"network": (16, 0, 2)}, "network: expected at least 1, given 0"),
        ({"network": (16, 32, 1)}, "network: expected at least 2 classes as the last size, given"),
        ({"crossbar": "first"}, "crossbar: expected one of 'none', 'last', 'all', given 'first'"),
        ({"schedule": "linear"}, "schedule: expected one of 'auto', 'constant', 'cosine', given"),
        ({"chip": "lib.so"}, "chip: expected 'ideal' where crossbar is 'none'.* given 'lib.so'"),
        ({"epochs": 0}, "epochs: expected at least 1, given 0"),
        ({"batch_size": 0}, "batch_size: expected at least 1, given 0"),
        ({"samples_per_class": -1}, "samples_per_class: expected at least 1, given -1"),
        ({"time_steps": 0}, "time_steps: expected at least 1, given 0"),
        ({"seed": -1}, "seed: expected 0 to 4294967295, given -1"),
        ({"seed": 2**32}, "seed: expected 0 to 4294967295, given 4294967296"),
        ({"learning_rate": 0.0}, "learning_rate: expected a number above 0, given 0"),
        ({"learning_rate": math.nan}, "learning_rate: expected a number above 0, given nan"),
        ({"learning_rate": math.inf}, "learning_rate: expected a number above 0, given inf"),
        ({"momentum": 1.0}, r"momentum: expected a number in \[0, 1\), given 1"),
        ({"train_share": 1.0}, r"train_share: expected a number in \(0, 1\), given 1"),
        ({"train_share": 0.9999}, "train_share: expected a share that leaves test data of 2000"),
        ({"batch_size": 1601}, "batch_size: expected at most .* samples, 1600, given 1601"),
    ],
)
def test_bad_values_are_refused(changes, message, as_users_call):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": [16, 2]}, r"network: expected a tuple of layer sizes, given \[16, 2\]"),
        ({"network": (16, 2.0)}, "network: expected an integer, given 2.0"),
        ({"chip": ""}, "chip: expected 'ideal', a preset or the path of a library, given ''"),
        ({"epochs": 2.0}, "epochs: expected an integer, given 2.0"),
        ({"epochs": True}, "epochs: expected an integer, given True"),
        ({"learning_rate": "fast"}, "learning_rate: expected a number, given 'fast'"),
    ],
)
def test_bad_types_are_refused(changes, message, as_users_call):
    with pytest.raises(TypeError, match=message):
        TrainConfig(**changes)


def test_a_configuration_survives_json():
    config = TrainConfig(network=(4, 3), crossbar="all", learning_rate=0.1, chip="/lib/chip.so")
    assert config_from_dict(json.loads(json.dumps(config_to_dict(config)))) == config


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda e: [e], TypeError, "expected the entries of a configuration, given"),
        (lambda e: {**e, "colour": 1}, ValueError, r"missing: none, unknown: \['colour'\]"),
        (lambda e: {"seed": 1}, ValueError, r"entries missing: \['batch_size'.* unknown: none"),
        (lambda e: {**e, "network": 16}, TypeError, "network: expected a list of sizes, given 16"),
        (lambda e: {**e, "epochs": 0}, ValueError, "epochs: expected at least 1, given 0"),
    ],
)
def test_entries_that_are_no_configuration_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        config_from_dict(change(config_to_dict(TrainConfig())))


def test_differences_show_both_values():
    stored = TrainConfig()
    given = dataclasses.replace(stored, epochs=3, network=(16, 2))
    assert config_differences(given, stored) == [
        "network: given (16, 2), stored (16, 32, 2)",
        "epochs: given 3, stored 20",
    ]
    assert config_differences(stored, stored) == []
