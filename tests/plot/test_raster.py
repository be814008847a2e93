import numpy as np
import pytest

from xbarax import plot


def spikes(shape, *events):
    array = np.zeros(shape, np.float32)
    for time, neuron in events:
        array[time, neuron] += 1
    return array


INPUT = spikes((10, 3), (0, 0), (4, 2), (9, 1), (9, 1))
HIDDEN = spikes((10, 16), (5, 15))
OUTPUT = spikes((10, 1))


def marks(axes):
    (line,) = axes.lines
    return sorted(zip(*(value.tolist() for value in line.get_data()), strict=True))


def test_each_layer_has_a_panel_with_its_spikes():
    figure = plot.raster([INPUT, HIDDEN, OUTPUT], ["input", "layer 1", "layer 2"])
    assert [marks(axes) for axes in figure.axes] == [[(0, 0), (4, 2), (9, 1)], [(5, 15)], []]
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "input: 3 neurons, 4 spikes",
        "layer 1: 16 neurons, 1 spike",
        "layer 2: 1 neuron, 0 spikes",
    ]


def test_panels_share_the_time_axis_and_hold_every_neuron():
    figure = plot.raster([INPUT, HIDDEN, OUTPUT], ["input", "layer 1", "layer 2"])
    for axes, neurons in zip(figure.axes, [3, 16, 1], strict=True):
        left, right = axes.get_xlim()
        low, high = axes.get_ylim()
        assert left < 0 and right > 9
        assert low < 0 and neurons - 1 < high < neurons
    assert figure.axes[-1].get_xlabel() == "time step"


def test_the_title_is_the_callers():
    assert plot.raster([INPUT], ["input"], title="a sample").get_suptitle() == "a sample"
    assert plot.raster([INPUT], ["input"]).get_suptitle() == ""


def test_a_layer_of_one_neuron_stays_readable_beside_a_thousand():
    figure = plot.raster([spikes((10, 1000)), OUTPUT], ["input", "layer 1"])
    figure.draw_without_rendering()
    inches = [axes.get_position().height * figure.get_figheight() for axes in figure.axes]
    assert inches[0] > inches[1] > 0.3
    assert figure.get_figheight() < 12


@pytest.mark.parametrize(
    ("layers", "names", "message"),
    [
        ([], [], "layers: expected at least one, given none"),
        ([INPUT], [], "names: expected one for each of 1 layers, given 0"),
        ([INPUT[0]], ["input"], r"input: expected axes \(time, neurons\), given shape \(3,\)"),
        ([INPUT[:, :0]], ["input"], r"input: expected axes \(time, neurons\), given shape \(10, 0"),
        ([INPUT, HIDDEN[:9]], ["a", "b"], "b: expected 10 time steps, as a has, given 9"),
    ],
)
def test_bad_layers_are_refused(layers, names, message):
    with pytest.raises(ValueError, match=message):
        plot.raster(layers, names)
