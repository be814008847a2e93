from typing import NamedTuple

import numpy as np
import pytest
from matplotlib.colors import to_rgb

import xbarax as xb
from xbarax import plot


class Solution(NamedTuple):
    word_voltage: np.ndarray
    bit_voltage: np.ndarray
    cell_current: np.ndarray
    word_current: np.ndarray
    bit_current: np.ndarray


def made_up(*shape):
    """Voltages around 1 V and 1 mV, currents of some µA, the cells' of both signs."""
    random = np.random.default_rng(0)
    word, bit, cell, by_word, by_bit = random.uniform(1, 9, (5, *shape))
    return Solution(word, 1e-3 * bit, 1e-6 * (cell - 5), 1e-6 * by_word, 1e-6 * by_bit)


SMALL = made_up(3, 5)
PANELS = {
    "word-line nodes": (SMALL.word_voltage, "voltage (V)"),
    "across cells": (SMALL.word_voltage - SMALL.bit_voltage, "voltage (V)"),
    "bit-line nodes": (1e3 * SMALL.bit_voltage, "voltage (mV)"),
    "word-line segments": (1e6 * SMALL.word_current, "current (µA)"),
    "through cells": (1e6 * SMALL.cell_current, "current (µA)"),
    "bit-line segments": (1e6 * SMALL.bit_current, "current (µA)"),
}


def panels_of(figure):
    """Axes by their captions, and their colour bars."""
    axes = [a for a in figure.axes if a.images]
    bars = [a for a in figure.axes if not a.images]
    return {a.get_title(loc="left"): (a, bar) for a, bar in zip(axes, bars, strict=True)}


def test_each_image_has_its_values_and_its_unit():
    figure = plot.circuit(SMALL, "read")
    panels = panels_of(figure)
    assert list(panels) == list(PANELS)
    for name, (values, label) in PANELS.items():
        axes, bar = panels[name]
        np.testing.assert_allclose(axes.images[0].get_array(), values)
        assert bar.get_ylabel() == label
    assert figure.get_suptitle() == "read: 3 word lines, 5 bit lines"


def test_arrays_lie_as_in_the_drawing():
    """Rows are word lines from above, columns bit lines; sources are left, grounds below."""
    figure = plot.circuit(SMALL)
    for axes, _ in panels_of(figure).values():
        left, right, bottom, top = axes.images[0].get_extent()
        assert left < right and bottom > top
        assert axes.get_xlim() == (-0.5, 4.5) and axes.get_ylim() == (2.5, -0.5)
        for side, colour in (("left", "#c8622d"), ("bottom", "#333333")):
            assert axes.spines[side].get_edgecolor()[:3] == pytest.approx(to_rgb(colour))
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["sources", "grounds"]


def test_colours_are_centred_on_zero_and_the_bar_has_those_that_occur():
    panels = panels_of(plot.circuit(SMALL))
    axes, bar = panels["through cells"]
    current = 1e6 * SMALL.cell_current
    largest = np.max(np.abs(current))
    assert axes.images[0].get_clim() == pytest.approx((-largest, largest))
    assert bar.get_ylim() == pytest.approx((np.min(current), np.max(current)))
    assert panels["word-line nodes"][0].images[0].get_clim() == (0, np.max(SMALL.word_voltage))


def test_colours_can_show_small_differences():
    (axes, _), *_ = panels_of(plot.circuit(SMALL, from_zero=False)).values()
    expected = np.min(SMALL.word_voltage), np.max(SMALL.word_voltage)
    assert axes.images[0].get_clim() == expected


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (300, 90)])
def test_pictures_of_odd_arrays_fit_a_page(shape):
    figure = plot.circuit(made_up(*shape), from_zero=shape[0] == 1)
    figure.draw_without_rendering()
    width, height = figure.get_size_inches()
    assert 3 <= width <= 12 and 3 <= height <= 8


def test_an_array_without_voltage_is_white():
    figure = plot.circuit(Solution(*np.zeros((5, 2, 2))), from_zero=False)
    for axes, _ in panels_of(figure).values():
        image = axes.images[0]
        assert np.all(image.to_rgba(image.get_array())[..., :3] > 0.95)


def test_solutions_of_both_kinds_are_drawn():
    cells, inputs = np.full((4, 3), 1e-4, np.float32), np.full(4, 0.2, np.float32)
    linear = xb.wires.solve(cells, inputs, 10.0, 20.0)
    other, _ = xb.wires.solve_nonlinear(lambda u, g: g * u, cells, inputs, 10.0, 20.0)
    for solution in (linear, other):
        axes, _ = panels_of(plot.circuit(solution))["word-line nodes"]
        np.testing.assert_allclose(axes.images[0].get_array(), 1e3 * solution.word_voltage, 1e-6)


def test_what_is_no_solution_is_refused(as_users_call):
    with pytest.raises(TypeError, match=r"an xbarax\.wires\.Solution, .* given ndarray"):
        plot.circuit(np.ones((2, 3)))


@pytest.mark.parametrize("shape", [(7, 2, 3), (0, 3)])
def test_what_is_not_one_input_of_an_array_is_refused(shape):
    with pytest.raises(ValueError, match=r"that of one input, .* given word_voltage \("):
        plot.circuit(made_up(*shape))
