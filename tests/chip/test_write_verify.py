"""Write–verify, and the whole life of an array of pulse devices under transformations."""

import jax
import numpy as np
import pytest
from jax import numpy as jnp

from tests.chip.pulses import (
    MODELS,
    SIEMENS,
    SPREAD,
    STEP_UP,
    UPPER,
    ZERO,
    cells_at,
    double,
    program,
)
from tests.helpers import assert_close

KEY = jax.random.key(3)


def verify(device, cells, states, tolerance, budget, key=KEY):
    """Tolerance and targets in units of the state."""
    target = jnp.asarray(ZERO + SIEMENS * np.asarray(states), jnp.float32)
    run = jax.jit(lambda c, t, k: device.verify(c, t, tolerance * SIEMENS, budget, k))
    after, left = run(cells, target, key)
    off = np.abs(double(device.conductance(after)) - double(target)) / SIEMENS
    return after, int(left), off


@pytest.mark.parametrize("name", MODELS)
def test_every_reachable_target_is_reached_to_half_a_step(name):
    device = MODELS[name].device()
    wanted = np.random.default_rng(1).uniform(-0.7, 1.0, 300)
    if name == "exponential":
        wanted = wanted[wanted < 0.8]  # its steps end there
    cells, _ = cells_at(device, np.zeros(len(wanted)))
    tolerance = 0.51 * STEP_UP
    _, left, off = verify(device, cells, wanted, tolerance, 5000)
    assert left == 0 and np.max(off) <= tolerance * (1 + 1e-4)


def test_cells_of_other_steps_than_the_mean_one_are_reached():
    device = MODELS["soft bounds"].device(step_spread=0.8, step_lognormal=True)
    wanted = np.random.default_rng(1).uniform(-0.5, 0.8, 2000)
    cells, own = cells_at(device, np.zeros(2000))
    assert np.mean(own.step_up > 2 * STEP_UP) > 0.1
    tolerance = 0.05
    _, left, off = verify(device, cells, wanted, tolerance, 1000)
    coarse = np.maximum(own.step_up * (1 + 0.5 / 1.2), own.step_down * 2) / 2 > tolerance
    assert np.all(off[~coarse] <= tolerance * (1 + 1e-4))
    assert left == np.sum(off > tolerance) and left < np.sum(coarse)


def test_cells_that_their_bounds_hold_back_do_not_converge():
    device = MODELS["constant"].device(lower_spread=0.2, upper_spread=0.2)
    cells, own = cells_at(device, np.zeros(500))
    after, left, off = verify(device, cells, np.full(500, 1.1), 0.011, 90)
    held = own.upper < 1.1 - 0.011
    assert left == np.sum(held) == np.sum(off > 0.011) > 50
    # Those use up their budget; the others need the way there, and not one pulse more.
    assert int(after["pulses"]) == 90 * np.sum(held) + 55 * np.sum(~held)
    assert int(after["saturated"]) == 0


@pytest.mark.parametrize("budget", [0, 1, 7, 40])
def test_no_cell_gets_more_than_its_budget(budget):
    device = MODELS["constant"].device()
    cells, _ = cells_at(device, np.zeros(6))
    wanted = np.array([0.0, 0.02, -0.15, 0.3, 1.0, -0.75])
    needs = np.array([0, 1, 10, 15, 50, 50])
    after, left, _ = verify(device, cells, wanted, 0.005, budget)
    assert int(after["pulses"]) == np.sum(np.minimum(needs, budget))
    assert left == np.sum(needs > budget)


def test_verify_beats_noise():
    device = MODELS["soft bounds"].device(cycle_noise=2.0, write_noise=3.0, **SPREAD)
    wanted = np.random.default_rng(1).uniform(-0.4, 0.6, 1000)
    cells, _ = cells_at(device, np.zeros(1000))
    after, left, off = verify(device, cells, wanted, 0.02, 200)
    assert left == np.sum(off > 0.02) < 10
    open_loop = np.abs(program(device, wanted) - wanted)
    assert np.median(open_loop) > 0.04


def test_what_is_no_number_is_never_reached():
    device = MODELS["constant"].device()
    cells, _ = cells_at(device, np.zeros(3))
    after, left, _ = verify(device, cells, [np.nan, 0.1, np.inf], 0.01, 90)
    assert left == 2 and int(after["pulses"]) == 95
    np.testing.assert_allclose(after["state"], [0, 0.1, UPPER], atol=1e-6)


# ---- Transformations ---------------------------------------------------------------------------

NOISY = {"cycle_noise": 0.5, "write_noise": 2.0, "failed": 0.1, "leak": 0.01}
TARGETS = jnp.asarray(ZERO + SIEMENS * np.linspace(-0.6, 0.9, 12).reshape(3, 4), jnp.float32)


def test_compiled_and_mapped_programs_do_the_same():
    device = MODELS["soft bounds"].device(**SPREAD, **NOISY)

    def life(key):
        keys = jax.random.split(key, 3)
        cells = device.program(TARGETS, device.zero_conductance, keys[0])
        cells = device.update(cells, jnp.full(TARGETS.shape, 0.1 * SIEMENS), keys[1])
        cells, left = device.verify(cells, TARGETS, 0.1 * SIEMENS, 30, keys[2])
        return device.conductance(cells) / SIEMENS, device.counters(cells), left

    keys = jax.random.split(KEY, 3)
    compiled_life = jax.jit(life)
    loop = [compiled_life(key) for key in keys]
    assert_close(life(keys[0]), loop[0])
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *loop)
    assert_close(jax.vmap(life)(keys), stacked)
    assert not np.any(np.isclose(stacked[0][0], stacked[0][1], atol=1e-6))


# ---- Bad input ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("as_users_call")
@pytest.mark.parametrize(
    ("tolerance", "budget", "message"),
    [
        (
            -1e-9,
            5,
            r"tolerance=…\): expected a number of siemens, at least 0, given -1e-09",
        ),
        (1e-9, -1, r"verify\(budget=…\): expected an integer from 0 to 16777216, given -1"),
        (1e-9, 1.5, r"verify\(budget=…\): expected an integer from 0 to 16777216, given 1.5"),
    ],
)
def test_bad_ways_to_verify(tolerance, budget, message):
    device = MODELS["constant"].device()
    cells, _ = cells_at(device, np.zeros(3))
    with pytest.raises((TypeError, ValueError), match=message):
        device.verify(cells, jnp.zeros(3), tolerance, budget, KEY)
