import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from xbarax import plot

RNG = np.random.default_rng(0)
UP = np.linspace(5e-6, 25e-6, 11)[:, None] + 1e-6 * RNG.standard_normal((11, 40))
DOWN = np.linspace(25e-6, 5e-6, 6)[:, None] + 1e-6 * RNG.standard_normal((6, 40))
TARGETS = np.array([20e-6, 5e-6, 10e-6])
ERRORS = np.array([[3e-7, 1e-7], [-2e-7, 4e-7], [0.0, -1e-7]])
SECONDS = np.array([1.0, 60.0, 3600.0, 86_400.0])
AGED = np.full((4, 3, 2), TARGETS[:, None]) * np.array([1, 0.9, 0.8, 0.7])[:, None, None]
AGED[..., 1] *= 1.1


def line(axes, label):
    (found,) = [line for line in axes.lines if line.get_label() == label]
    return [np.asarray(values, float) for values in found.get_data()]


def bands(axes):
    """Lower and upper edges of the filled bands, each at its abscissas."""
    found = []
    for band in axes.collections:
        points = band.get_paths()[0].vertices
        at = np.unique(points[:, 0])
        edges = [[f(points[points[:, 0] == x, 1]) for x in at] for f in (np.min, np.max)]
        found.append((at, *map(np.array, edges)))
    return found


# ---- Response curve ----------------------------------------------------------------------------


def test_a_response_curve_shows_mean_band_and_some_cells_in_microsiemens():
    (axes,) = plot.response_curve(UP, DOWN, title="ecram").axes
    pulses, mean = line(axes, "up")
    np.testing.assert_array_equal(pulses, np.arange(11))
    np.testing.assert_allclose(mean, 1e6 * UP.mean(1))
    pulses, mean = line(axes, "down")
    np.testing.assert_array_equal(pulses, 10 + np.arange(6))
    np.testing.assert_allclose(mean, 1e6 * DOWN.mean(1))
    for (_, low, high), branch in zip(bands(axes), (UP, DOWN), strict=True):
        np.testing.assert_allclose(low, 1e6 * (branch.mean(1) - branch.std(1)))
        np.testing.assert_allclose(high, 1e6 * (branch.mean(1) + branch.std(1)))
    faint = [line for line in axes.lines if line.get_alpha() is not None]
    assert len(faint) == 2 * 20
    assert max(line.get_linewidth() for line in faint) < 1
    assert axes.get_ylabel() == "conductance (µS)" and axes.get_xlabel() == "pulse"
    assert axes.get_title(loc="left") == "ecram: 40 cells, mean ± σ"
    assert axes.get_xlim() == (0, 15)


def test_a_single_cell_has_no_band():
    (axes,) = plot.response_curve(UP[:, 0], DOWN[:, 0]).axes
    assert bands(axes) == [] and axes.get_title(loc="left") == ""
    np.testing.assert_allclose(line(axes, "up")[1], 1e6 * UP[:, 0])


def test_measured_points_lie_under_the_fit():
    measured = UP[:, 0] + 1e-7, DOWN[:, 0] - 1e-7
    (axes,) = plot.response_curve(UP[:, 0], DOWN[:, 0], measured=measured).axes
    np.testing.assert_allclose(line(axes, "up, measured")[1], 1e6 * measured[0])
    pulses, values = line(axes, "down, measured")
    np.testing.assert_array_equal(pulses, 10 + np.arange(6))
    np.testing.assert_allclose(values, 1e6 * measured[1])
    np.testing.assert_allclose(line(axes, "down, fit")[1], 1e6 * DOWN[:, 0])
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["up, measured", "up, fit", "down, measured", "down, fit"]


@pytest.mark.parametrize(
    ("factor", "unit"), [(1e-3, "nS"), (1e-9, "fS"), (1e3, "mS"), (4e4, "S"), (1e7, "S")]
)
def test_conductances_have_the_prefix_of_their_size(factor, unit):
    (axes,) = plot.response_curve(factor * UP, factor * DOWN).axes
    assert axes.get_ylabel() == f"conductance ({unit})"


# ---- Programming error and drift ---------------------------------------------------------------


def test_programming_errors_are_points_with_mean_and_band_in_the_order_of_targets():
    (axes,) = plot.programming_error(TARGETS, ERRORS, "PCM").axes
    points, mean = axes.lines[:2]
    np.testing.assert_allclose(mean.get_xdata(), [5, 10, 20])
    np.testing.assert_allclose(mean.get_ydata(), 1e9 * ERRORS.mean(1)[[1, 2, 0]])
    np.testing.assert_allclose(points.get_ydata(), 1e9 * ERRORS[[1, 2, 0]].ravel())
    np.testing.assert_allclose(points.get_xdata(), np.repeat([5, 10, 20], 2), atol=2)
    ((at, low, high),) = bands(axes)
    np.testing.assert_allclose(at, [5, 10, 20])
    np.testing.assert_allclose((low + high) / 2, 1e9 * ERRORS.mean(1)[[1, 2, 0]], atol=1e-9)
    np.testing.assert_allclose((high - low) / 2, 1e9 * ERRORS.std(1)[[1, 2, 0]])
    assert axes.get_xlabel() == "target (µS)"
    assert axes.get_ylabel() == "conductance − target (nS)"
    assert axes.get_title(loc="left") == "PCM: mean ± σ of 2 cells each"


def test_errors_of_nothing_are_a_flat_line():
    (axes,) = plot.programming_error([0.0], np.zeros((1, 1))).axes
    assert axes.get_xlabel() == "target (S)"
    axes.figure.draw_without_rendering()


@pytest.mark.parametrize("log", [False, True])
def test_drift_is_over_decades_with_times_that_one_speaks_of(log):
    (axes,) = plot.drift(SECONDS, AGED, TARGETS, "PCM", log=log).axes
    assert axes.get_xscale() == "log" and axes.get_yscale() == ("log" if log else "linear")
    assert len(axes.lines) == len(bands(axes)) == 3
    for drawn, (_, low, high), target in zip(axes.lines, bands(axes), TARGETS, strict=True):
        mean = 1e6 * target * 1.05 * np.array([1, 0.9, 0.8, 0.7])
        np.testing.assert_allclose(drawn.get_xdata(), SECONDS)
        np.testing.assert_allclose(drawn.get_ydata(), mean)
        np.testing.assert_allclose((high - low) / 2, mean * 0.05 / 1.05)
    assert [text.get_text() for text in axes.texts] == ["20 µS", "5 µS", "10 µS"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["1 s", "1 min", "1 h", "1 day"]
    assert axes.get_xlabel() == "age, from the first measurement on"
    assert axes.get_title(loc="left") == "PCM: mean ± σ of 2 cells"
    axes.figure.draw_without_rendering()


def test_conductances_of_zero_are_left_out_of_a_logarithmic_axis():
    aged = AGED.copy()
    aged[:, 1] = 0
    figure = plot.drift(SECONDS, aged, TARGETS, log=True)
    figure.draw_without_rendering()
    assert [text.get_text() for text in figure.axes[0].texts] == ["20 µS", "10 µS"]


def test_short_times_are_in_seconds():
    (axes,) = plot.drift([2.0, 5.0], AGED[:2]).axes
    assert axes.get_xlabel() == "age, from the first measurement on (s)"


# ---- Maps --------------------------------------------------------------------------------------

STUCK = np.array([[0, 1, 0], [2, 0, 1]], np.int8)


def test_a_fault_map_has_three_colours_and_counts():
    figure = plot.fault_map(STUCK, "plane 0")
    (axes,) = figure.axes
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array(), STUCK)
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["healthy\n3 (50.00%)", "stuck low\n2 (33.33%)", "stuck high\n1 (16.67%)"]
    colours = [patch.get_facecolor() for patch in legend.get_patches()]
    assert len(set(colours)) == 3
    for state, colour in enumerate(colours):
        np.testing.assert_allclose(image.to_rgba(np.array(float(state))), colour, atol=0.01)
    assert axes.get_title(loc="left") == "plane 0: 2 outputs, 3 inputs"


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (300, 200)])
def test_fault_maps_of_odd_planes_fit_a_page(shape):
    figure = plot.fault_map(np.zeros(shape, np.int8))
    figure.draw_without_rendering()
    assert all(2 <= inches <= 8 for inches in figure.get_size_inches())
    box = figure.axes[0].get_position()
    assert box.width > 0.2 and box.height > 0.2


def test_conductances_of_a_plane_begin_at_a_white_zero_and_are_in_microsiemens():
    figure = plot.conductance_map(np.array([[0.0, 5e-6], [12e-6, 25e-6]]), "plane 0", unit="S")
    axes, bar = figure.axes
    (image,) = axes.images
    np.testing.assert_allclose(image.get_array(), [[0, 5], [12, 25]])
    assert image.get_clim() == (0, pytest.approx(25))
    assert bar.get_ylabel() == "conductance (µS)"
    assert min(image.to_rgba(np.array(0.0))[:3]) > 0.95
    brightness = [sum(image.to_rgba(np.array(g))[:3]) for g in (0.0, 5.0, 12.0, 18.0, 25.0)]
    assert np.all(np.diff(brightness) < 0)


def test_signed_conductances_are_centred_on_zero():
    image = plot.conductance_map(np.array([[-5e-6, 20e-6]]), unit="S").axes[0].images[0]
    assert image.get_clim() == (pytest.approx(-20), pytest.approx(20))


def test_cells_of_a_plane_that_are_not_finite_are_grey():
    image = plot.conductance_map(np.array([[np.nan, 2e-6]]), unit="S").axes[0].images[0]
    assert tuple(image.to_rgba(image.get_array())[0, 0, :3]) == pytest.approx(to_rgb("#9a9a9a"))


# ---- The sheet, and refusals -------------------------------------------------------------------


def test_a_sheet_has_a_panel_for_what_is_known():
    figure = plot.device_sheet("pcm", (UP, DOWN), (TARGETS, ERRORS), (SECONDS, AGED, TARGETS))
    headings = [axes.get_title(loc="left").split(":")[0] for axes in figure.axes]
    assert headings == ["response", "programming error", "drift"]
    assert figure.get_suptitle() == "pcm" and figure.get_supxlabel() == ""
    assert plot.device_sheet(error=(TARGETS, ERRORS), note="fit").get_supxlabel() == "fit"
    assert len(plot.device_sheet(error=(TARGETS, ERRORS)).axes) == 1


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plot.response_curve(UP, DOWN),
        lambda: plot.programming_error(TARGETS, ERRORS),
        lambda: plot.drift(SECONDS, AGED),
        lambda: plot.fault_map(STUCK),
        lambda: plot.device_sheet(error=(TARGETS, ERRORS)),
    ],
)
def test_device_figures_can_be_saved(draw, tmp_path):
    figure = draw()
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot.response_curve(UP[None], DOWN), r"up: expected axes \(pulses,\) or "),
        (lambda: plot.response_curve(UP, DOWN[:0]), r"down: expected .*, given shape \(0, 40\)"),
        (lambda: plot.response_curve(UP, DOWN[:, :3]), "down: expected 40 cells, as up has, giv"),
        (
            lambda: plot.programming_error(TARGETS, ERRORS[:2]),
            r"errors: expected axes \(targets, cells\) with 3 targets, given shape \(2, 2\)",
        ),
        (lambda: plot.programming_error([], ERRORS), r"targets: expected .*, given shape \(0,\)"),
        (lambda: plot.drift([0.0, 1, 2, 3], AGED), "seconds: expected a list of times above 0"),
        (lambda: plot.drift(SECONDS[:2], AGED), "conductances: expected .* with 2 times"),
        (lambda: plot.drift(SECONDS, AGED, TARGETS[:2]), r"targets: expected axes \(3,\)"),
        (lambda: plot.fault_map(STUCK[0]), r"stuck: expected axes \(out, in\), given shape \(3,\)"),
        (
            lambda: plot.fault_map(STUCK + 1),
            r"stuck: expected 0 \(healthy\), 1 \(stuck low\) or 2 \(stuck high\), given 3",
        ),
        (lambda: plot.device_sheet("pcm"), "device_sheet: expected response, error or drift"),
    ],
)
def test_data_that_do_not_fit_are_refused(draw, message, as_users_call):
    with pytest.raises(ValueError, match=message):
        draw()
