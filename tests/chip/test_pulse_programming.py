"""Programming pulse devices: open loop, write–verify, updates, and what cells keep besides."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip.pulses import (
    MEAN,
    MODELS,
    RANGE,
    SIEMENS,
    SPREAD,
    STEP_DOWN,
    STEP_UP,
    ZERO,
    Z,
    assert_mean,
    assert_normal,
    cells_at,
    compiled,
    double,
    program,
    pulse,
    pulse_once,
)
from tests.helpers import assert_close, assert_equal

KEY = jax.random.key(3)
N = 2**16
INT32_MAX = 2**31 - 1


def assert_same(one, other):
    """Two cells in all that they hold."""
    bare = lambda cells: {**cells, "identity": jax.random.key_data(cells["identity"])}
    assert_equal(bare(one), bare(other))


def update(device, cells, delta, key=KEY):
    """Changes by `delta`, in units of the state."""
    delta = jnp.asarray(SIEMENS * np.broadcast_to(delta, cells["state"].shape), jnp.float32)
    return compiled(device, "update")(cells, delta, key)


# ---- States and conductances -------------------------------------------------------------------


def test_the_mean_bounds_have_the_conductances_of_the_range():
    device = MODELS["constant"].device(g_min=2e-6, g_max=10e-6)
    assert device.conductance_range == (2e-6, 10e-6)
    np.testing.assert_allclose(device.zero_conductance, 2e-6 + 0.8 / 2.0 * 8e-6)
    cells, _ = cells_at(device, [-0.8, 0.0, 1.2])
    np.testing.assert_allclose(device.conductance(cells), [2e-6, 5.2e-6, 10e-6], rtol=1e-6)
    assert_equal(device.target(cells), device.conductance(cells))
    (linear,) = device.current_terms(jnp.arange(2.0))
    assert_equal(linear, jnp.arange(2.0))


# ---- Open loop ---------------------------------------------------------------------------------


def stairs(model, begin, up):
    """The mean cell's states, pulse by pulse, until a step is less than a thousandth of Δ."""
    states, step = [np.float64(begin)], STEP_UP if up else STEP_DOWN
    while len(states) == 1 or abs(states[-1] - states[-2]) >= 1e-3 * step:
        states.append(pulse_once(model, states[-1], MEAN, up))
    return np.array(states[:-1])


@pytest.mark.parametrize("start", [0.0, -0.8])
@pytest.mark.parametrize("name", MODELS)
def test_the_mean_cell_without_noise_is_programmed_to_its_nearest_state(name, start):
    model = MODELS[name]
    wanted = np.random.default_rng(0).uniform(-0.85, 1.25, 60)
    states = np.concatenate([stairs(model, start, False)[::-1], stairs(model, start, True)])
    nearest = np.min(np.abs(states[:, None] - wanted), axis=0)
    off = np.abs(program(model.device(), wanted, start=ZERO + start * SIEMENS) - wanted)
    np.testing.assert_allclose(off, nearest, atol=1e-5)
    within = (wanted > states.min()) & (wanted < states.max())
    assert np.mean(within) > 0.7
    assert np.all(off[within] <= max(np.abs(np.diff(states))) / 2 + 1e-5)


def test_thousands_of_small_steps_land_as_near():
    device = MODELS["soft bounds"].device(step_up=1e-5, step_down=1e-5)
    wanted = np.array([-0.7, -0.3, 1e-3, 0.4, 0.9])
    np.testing.assert_allclose(program(device, wanted), wanted, atol=0.6e-5)


def test_steps_that_never_end(monkeypatch):
    monkeypatch.setattr("xbarax.chip.device._curve._MOST_CHUNKS", 1)
    device = MODELS["constant"].device(step_up=1e-7)
    with pytest.raises(ValueError, match="still on its way after 65536 pulses; expected larger"):
        program(device, np.zeros(2))


def test_the_mean_cells_symmetry_point_counts_as_zero():
    device = MODELS["soft bounds"].device(zero_at_symmetry=True)
    assert abs(float(device.symmetry_point(device.own(KEY, ())))) > 0.1
    wanted = np.linspace(-0.5, 0.5, 11)
    np.testing.assert_allclose(program(device, wanted), wanted, atol=STEP_UP)
    np.testing.assert_allclose(program(device, np.zeros(3)), 0, atol=1e-6)


def test_programming_counts_pulses_and_no_saturation():
    device = MODELS["constant"].device()
    cells = device.program(jnp.asarray([ZERO + 0.1 * SIEMENS, 1.0, ZERO]), ZERO, KEY)
    counters = device.counters(cells)
    # 0.1/0.02 pulses for one, and 1.2/0.02 to the bound for the other.
    assert {k: int(v) for k, v in counters.items()} == {"pulses": 65, "saturated": 0, "capped": 0}


def test_restarting_cells_leaves_the_others_alone():
    device = MODELS["soft bounds"].device(write_noise=3.0, cycle_noise=0.5)
    where, target = jnp.asarray([True, False, True, False]), jnp.full(4, ZERO)

    @jax.jit
    def twice(key):
        first, second = jax.random.split(key)
        before = device.program(target + 0.5 * SIEMENS, ZERO, first)
        return before, device.restart(before, where, target, ZERO, second)

    before, after = twice(KEY)
    assert_equal(device.conductance(after)[~where], device.conductance(before)[~where])
    np.testing.assert_allclose(device.conductance(after)[where], ZERO, rtol=1e-6)


# ---- Updates -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pulses", [0.3, 2.75, -0.6, -4.1])
def test_rounding_is_unbiased(pulses):
    device = MODELS["constant"].device()
    cells, _ = cells_at(device, np.full(N, 0.1))
    step = STEP_UP if pulses > 0 else STEP_DOWN
    moved = double(update(device, cells, pulses * step)["state"]) - 0.1
    share = pulses - np.floor(pulses)
    assert_mean(moved / step, pulses, np.sqrt(share * (1 - share)))
    whole = np.round(moved / step, 2)
    assert set(whole) == {np.floor(pulses), np.ceil(pulses)}


def test_no_change_touches_nothing():
    device = MODELS["soft bounds"].device(cycle_noise=1.0, write_noise=2.0, **SPREAD)
    cells, _ = cells_at(device, np.linspace(-0.7, 1, 6))
    cells = pulse(device, cells, 2, KEY)
    for zero in (0.0, -0.0, np.nan):
        assert_same(update(device, cells, zero), cells)


def test_whole_numbers_of_pulses_are_not_rounded():
    device = xb.device.ConstantStep(
        **{**RANGE, "lower": -1.0, "upper": 1.0}, step_spread=0.0, asymmetry_spread=0.0,
        lower_spread=0.0, upper_spread=0.0, cycle_noise=0.0, g_min=0.0, g_max=2.0,
    )  # fmt: skip
    cells, _ = cells_at(device, np.zeros(N))
    delta = jnp.full(N, 4 * jnp.float32(STEP_UP))
    moved = compiled(device, "update")(cells, delta, KEY)
    assert int(moved["pulses"]) == 4 * N


def test_changes_are_capped_and_counted():
    device = MODELS["constant"].device(max_pulses=5)
    cells, _ = cells_at(device, np.zeros(4))
    after = update(device, cells, [0.5, -0.5, 0.02, np.inf])
    expected = [5 * STEP_UP, -5 * STEP_DOWN, STEP_UP, 5 * STEP_UP]
    np.testing.assert_allclose(after["state"], expected, rtol=1e-5)
    counters = device.counters(after)
    assert {k: int(v) for k, v in counters.items()} == {"pulses": 16, "saturated": 0, "capped": 3}


def test_cells_that_a_bound_stops_are_counted():
    device = MODELS["constant"].device()
    cells, _ = cells_at(device, [1.19, 1.1, -0.79, 0.0])
    after = pulse(device, cells, jnp.asarray([2, 2, -3, 50]), KEY)
    np.testing.assert_allclose(after["state"], [1.2, 1.14, -0.8, 1.0], rtol=1e-6)
    assert int(after["saturated"]) == 2 and int(after["pulses"]) == 57


def test_counters_stop_at_the_largest_int32():
    device = MODELS["constant"].device(step_up=1e-9)
    cells, _ = cells_at(device, np.zeros(1024))
    after = pulse(device, cells, 2**23, KEY)  # 2^33 in all, in one update
    assert int(after["pulses"]) == INT32_MAX
    cells = {**cells, "pulses": jnp.int32(INT32_MAX - 2000)}
    assert int(pulse(device, cells, 1, KEY)["pulses"]) == INT32_MAX - 976
    assert int(pulse(device, cells, 2, KEY)["pulses"]) == INT32_MAX


# ---- Write noise, leak, failed cells -----------------------------------------------------------


def test_write_noise_is_on_what_is_read_and_not_on_the_state():
    device = MODELS["soft bounds"].device(write_noise=5.0)
    cells, _ = cells_at(device, np.full(N, 0.1))
    once = pulse(device, cells, 1, KEY)
    plain = pulse(MODELS["soft bounds"].device(), cells, 1, KEY)
    assert_close(once["state"], plain["state"])
    noise = (double(device.conductance(once)) - ZERO) / SIEMENS - double(once["state"])
    assert_normal(noise, 0, 5 * STEP_UP)


def test_write_noise_is_drawn_anew_for_pulsed_cells_alone():
    device = MODELS["soft bounds"].device(write_noise=5.0)
    cells, _ = cells_at(device, np.full(N, 0.1))
    once = pulse(device, cells, 1, KEY)
    counts = np.arange(N) % 2
    twice = pulse(device, once, counts, jax.random.key(8))
    before, after = (double(device.conductance(x)) for x in (once, twice))
    assert_equal(after[counts == 0], before[counts == 0])
    noise = [double(x["written"])[counts == 1] for x in (once, twice)]
    assert abs(np.corrcoef(noise)[0, 1]) < Z / np.sqrt(N / 2 - 1)


def test_fresh_cells_have_no_write_noise():
    device = MODELS["soft bounds"].device(write_noise=5.0)
    np.testing.assert_allclose(program(device, np.zeros(5)), 0, atol=1e-6)


def test_states_leak_with_each_update():
    device = MODELS["constant"].device(leak=0.01)
    cells, _ = cells_at(device, [-0.7, 0.0, 1.0])
    after = cells
    for _ in range(50):
        after = update(device, after, 0.0)
    np.testing.assert_allclose(after["state"], 0.99**50 * double(cells["state"]), rtol=1e-5)
    assert int(after["pulses"]) == 0


def failed_cells(device, seed=0):
    """Conductances before and after pulses to the upper bound, of cells of state 0."""
    cells, _ = cells_at(device, np.zeros(N // 8), seed)
    after = pulse(device, cells, 1000, KEY)
    return double(device.conductance(cells)), double(device.conductance(after)), after


def test_failed_cells_never_move():
    device = MODELS["constant"].device(failed=0.2)
    before, after, cells = failed_cells(device)
    failed = before == after
    assert_mean(failed, 0.2, np.sqrt(0.2 * 0.8))
    np.testing.assert_allclose(after[~failed], 25e-6, rtol=1e-6)
    assert_equal(double(device.conductance(update(device, cells, -0.3)))[failed], before[failed])
    # They are pulsed as all are, but it is no bound that stops them.
    assert int(cells["pulses"]) == 1000 * failed.size
    assert int(cells["saturated"]) == np.sum(~failed)


def test_failed_cells_keep_states_between_the_mean_bounds():
    before, after, _ = failed_cells(MODELS["constant"].device(failed=0.2))
    left_at = (before[before == after] - 5e-6) / 20e-6
    assert np.all((left_at >= 0) & (left_at <= 1))
    assert_mean(left_at, 1 / 2, np.sqrt(1 / 12))
    assert_mean(left_at**2, 1 / 3, np.sqrt(1 / 5 - 1 / 9))


def test_which_cells_fail_depends_on_the_array():
    device = MODELS["constant"].device(failed=0.2)
    one, other = (np.equal(*failed_cells(device, seed)[:2]) for seed in (0, 1))
    assert_mean(one & other, 0.04, np.sqrt(0.04 * 0.96))


def test_all_and_no_cells_failed():
    before, after, _ = failed_cells(MODELS["constant"].device(failed=1.0))
    assert np.all(before == after)
    before, after, _ = failed_cells(MODELS["constant"].device(failed=0.0))
    assert np.all(before < after)


# ---- Reading and time --------------------------------------------------------------------------


def test_read_noise_is_one_number_for_all_cells():
    assert not MODELS["constant"].device().noisy_read
    device = MODELS["constant"].device(read_noise=1e-7)
    cells, _ = cells_at(device, np.zeros(3))
    assert device.noisy_read and device.noisy_program
    assert_equal(device.read_deviation(cells), jnp.float32(1e-7))
    assert MODELS["constant"].device().read_deviation(cells) is None
    assert_same(device.age(cells, jnp.float32(1e9)), cells)
