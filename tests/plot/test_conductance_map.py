import numpy as np
import pytest
from matplotlib.colors import to_rgb

from xbarax import plot

WEIGHTS = np.array([[0.5, -2.0, 0.0], [1.0, 0.25, -0.5]], np.float32)


def image_of(figure):
    (image,) = figure.axes[0].images
    return image


def test_the_image_is_the_weights_with_word_lines_across():
    figure = plot.conductance_map(WEIGHTS, "layer 2")
    np.testing.assert_array_equal(image_of(figure).get_array(), WEIGHTS)
    axes, bar = figure.axes
    assert axes.get_xlabel() == "input (word line)"
    assert axes.get_ylabel() == "output (bit line)"
    assert axes.get_title(loc="left") == "layer 2: 2 outputs, 3 inputs"
    assert bar.get_ylabel() == "weight"


def test_colours_are_centred_on_zero():
    image = image_of(plot.conductance_map(WEIGHTS))
    assert image.get_clim() == (-2.0, 2.0)
    zero, below, above = (image.to_rgba(np.array(value))[:3] for value in (0.0, -1.0, 1.0))
    assert min(zero) > 0.95
    assert below[2] > below[0] and above[0] > above[2]


def test_the_unit_is_the_callers():
    figure = plot.conductance_map(WEIGHTS, unit="conductance (S)")
    assert figure.axes[1].get_ylabel() == "conductance (S)"


def test_weights_of_zero_are_white():
    image = image_of(plot.conductance_map(np.zeros((2, 2))))
    assert image.get_clim() == (-1.0, 1.0)


def test_cells_that_are_not_finite_are_grey_and_do_not_set_the_scale():
    figure = plot.conductance_map(np.array([[np.nan, 3.0], [np.inf, -1.0]]))
    image = image_of(figure)
    assert image.get_clim() == (-3.0, 3.0)
    colours = image.to_rgba(image.get_array())
    grey = to_rgb("#9a9a9a")
    assert tuple(colours[0, 0, :3]) == pytest.approx(grey)
    assert tuple(colours[1, 0, :3]) == pytest.approx(grey)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (256, 700)])
def test_pictures_of_odd_arrays_fit_a_page(shape):
    figure = plot.conductance_map(np.ones(shape))
    figure.draw_without_rendering()
    width, height = figure.get_size_inches()
    assert 2 <= width <= 8 and 2 <= height <= 8
    one = {1: "1 output"}.get(shape[0], f"{shape[0]} outputs")
    assert figure.axes[0].get_title(loc="left").startswith(one)


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (0, 3)])
def test_what_is_no_matrix_is_refused(shape):
    with pytest.raises(ValueError, match=r"weights: expected axes \(out, in\), given shape \("):
        plot.conductance_map(np.ones(shape))
