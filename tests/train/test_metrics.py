import json
import math

import pytest

from xbarax.train import EpochMetrics
from xbarax.train.counters import epoch_warnings
from xbarax.train.metrics import metrics_from_dict, metrics_line


def metrics(epoch=3, loss=0.1, **counters):
    crossbars = {"layer 2 input": counters} if counters else {}
    return EpochMetrics(epoch=epoch, loss=loss, test_accuracy=0.5, crossbars=crossbars)


def test_metrics_survive_their_line():
    given = metrics(loss=1 / 3, saturated=4)
    line = metrics_line(given)
    assert line.endswith("\n") and line.count("\n") == 1
    assert metrics_from_dict(json.loads(line)) == given


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_null_in_the_file(loss):
    line = metrics_line(metrics(loss=loss))
    assert '"loss": null' in line
    assert math.isnan(metrics_from_dict(json.loads(line)).loss)


def test_an_epoch_without_trouble_has_no_warning():
    before = metrics(epoch=2, not_finite=0, not_converged=5, pulses=10)
    assert epoch_warnings(metrics(not_finite=0, not_converged=5, pulses=20), before) == []
    assert epoch_warnings(metrics(epoch=1, not_finite=0, pulses=7), None) == []


def test_counters_that_grew_are_warned_of():
    before = metrics(epoch=2, not_finite=0, not_converged=5, pulses=10)
    assert epoch_warnings(metrics(not_finite=2, not_converged=8, pulses=20), before) == [
        "epoch 3: crossbar layer 2 input: 2 times not finite",
        "epoch 3: crossbar layer 2 input: 3 times not converged",
    ]
    assert epoch_warnings(metrics(epoch=1, not_converged=1), None) == [
        "epoch 1: crossbar layer 2 input: 1 times not converged",
    ]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_warned_of(loss):
    assert epoch_warnings(metrics(loss=loss), None) == [f"epoch 3: the loss is {loss}"]
