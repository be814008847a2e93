import math

import pytest

from xbarax import plot

METRICS = [
    {"epoch": 1, "loss": 0.34, "test_accuracy": 0.5, "crossbars": {}},
    {"epoch": 2, "loss": 0.2, "test_accuracy": 0.8, "crossbars": {}},
    {"epoch": 3, "loss": 0.1, "test_accuracy": 0.9825, "crossbars": {}},
]


def curve(axes):
    (line,) = axes.lines
    return [value.tolist() for value in line.get_data()]


def test_panels_show_loss_and_accuracy_in_per_cent():
    loss, accuracy = plot.learning_curve(METRICS).axes
    assert curve(loss) == [[1, 2, 3], [0.34, 0.2, 0.1]]
    epochs, per_cent = curve(accuracy)
    assert epochs == [1, 2, 3]
    assert per_cent == pytest.approx([50, 80, 98.25])
    assert loss.get_title(loc="left") == "training loss per sample"
    assert accuracy.get_title(loc="left") == "test accuracy, 98.25% at the end"
    assert accuracy.get_xlabel() == "epoch" and accuracy.get_ylabel() == "%"


def test_axes_hold_the_whole_curve():
    loss, accuracy = plot.learning_curve(METRICS).axes
    assert loss.get_ylim()[0] == 0 and loss.get_ylim()[1] > 0.34
    assert accuracy.get_ylim()[0] < 50 and accuracy.get_ylim()[1] > 100
    assert accuracy.get_xlim() == (0.5, 3.5)


def test_a_single_epoch_is_a_point_at_a_whole_number():
    figure = plot.learning_curve(METRICS[:1])
    figure.canvas.draw()
    _, accuracy = figure.axes
    low, high = accuracy.get_xlim()
    assert [tick for tick in accuracy.get_xticks() if low <= tick <= high] == [1]


@pytest.mark.parametrize("missing", [None, math.nan])
def test_a_loss_that_is_not_finite_leaves_a_gap(missing):
    loss, _ = plot.learning_curve([METRICS[0], {**METRICS[1], "loss": missing}, METRICS[2]]).axes
    _, values = curve(loss)
    assert math.isnan(values[1]) and values[::2] == [0.34, 0.1]


def test_no_epoch_is_refused():
    with pytest.raises(ValueError, match="metrics: expected at least one epoch, given none"):
        plot.learning_curve([])


def test_a_record_without_an_entry_is_refused():
    message = r"metrics\[1\]: expected the entries epoch, loss, test_accuracy, given epoch, loss"
    with pytest.raises(ValueError, match=message):
        plot.learning_curve([METRICS[0], {"epoch": 2, "loss": 0.1}])
