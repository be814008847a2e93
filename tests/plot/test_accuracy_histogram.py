import math

import numpy as np
import pytest

from xbarax import plot


def bars(axes):
    """The bars' edges in per cent, and their heights."""
    left = [bar.get_x() for bar in axes.patches]
    right = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert left[1:] == pytest.approx(right[:-1])
    return [*left, right[-1]], [bar.get_height() for bar in axes.patches]


def test_a_bar_of_few_samples_is_one_accuracy_and_the_mean_is_marked():
    shares = np.array([0.75, 0.5, 1.0, 0.75], np.float32)
    figure = plot.accuracy_histogram({"PCM": shares}, samples=4, digital=0.9975, title="a day old")
    (axes,) = figure.axes
    edges, heights = bars(axes)
    assert edges == pytest.approx([37.5, 62.5, 87.5, 112.5])  # 2, 3 and 4 of 4 samples are right
    assert heights == [1, 2, 1]
    mean, digital = axes.lines
    assert mean.get_xdata() == pytest.approx([75, 75])
    assert digital.get_xdata() == pytest.approx([99.75, 99.75])
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["mean, 75.00%", "digital, 99.75%"]
    assert axes.get_title(loc="left") == "PCM: 4 chips" and figure.get_suptitle() == "a day old"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("accuracy (%)", "chips")


def test_all_bars_hold_equally_many_accuracies_and_every_chip_is_in_one():
    shares = np.arange(50, 101) / 100  # one chip for each accuracy
    (axes,) = plot.accuracy_histogram({"": shares}, samples=100).axes
    edges, heights = bars(axes)
    assert np.diff(edges) == pytest.approx(4)  # of 51 accuracies, in 16 bars at most
    assert edges[-1] == pytest.approx(100.5)
    assert heights == [3, *[4] * 12]
    assert axes.get_title(loc="left") == "51 chips" and len(axes.lines) == 1


def test_panels_have_their_own_ranges():
    groups = {"no faults": [0.98, 0.99], "faults": [0.5]}
    first, second = plot.accuracy_histogram(groups, samples=100).axes
    assert bars(first) == (pytest.approx([97.5, 98.5, 99.5]), [1, 1])
    assert bars(second) == (pytest.approx([49.5, 50.5]), [1])
    assert first.get_title(loc="left") == "no faults: 2 chips"
    assert second.get_title(loc="left") == "faults: 1 chip"


def test_a_histogram_can_be_saved(tmp_path):
    plot.accuracy_histogram({"": [0.0, 1.0]}, samples=1000).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"accuracies": {}}, "accuracies: expected at least one panel, given none"),
        ({"samples": 0}, "samples: expected at least 1, given 0"),
        ({"accuracies": {"PCM": [[0.5]]}}, r"PCM: expected axes \(chips,\), given shape \(1, 1\)"),
        ({"accuracies": {"PCM": []}}, r"PCM: expected axes \(chips,\), given shape \(0,\)"),
        ({"accuracies": {"PCM": [0.5, 99.0]}}, "PCM: expected shares from 0 to 1, given 99"),
        ({"accuracies": {"PCM": [math.nan]}}, "PCM: expected shares from 0 to 1, given nan"),
        ({"digital": 99.75}, "digital: expected a share from 0 to 1, given 99.75"),
    ],
)
def test_what_is_no_accuracy_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        plot.accuracy_histogram(**{"accuracies": {"PCM": [0.5]}, "samples": 10, **given})
