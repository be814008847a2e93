"""Differential pairs of devices that take pulses: up on the side of the sign, and set back."""

import jax
import numpy as np
from jax import numpy as jnp

import xbarax as xb
from tests.chip.pulses import MODELS, STEP_UP
from xbarax.chip import _program

# 100 steps up cross the range of constant steps, from −0.8 to 1.2, and state −0.8 is g_min.
CONSTANT = MODELS["constant"].device()
ONE = STEP_UP / 2  # a pulse, in units of the weights' range


def pulsed(weights):
    chip = xb.Chip(device=CONSTANT, mapping=xb.mapping.DifferentialPair(weight_range=1.0))
    return xb.MemristiveCrossbarArray(np.asarray(weights, np.float32), chip, jax.random.key(0))


def share(w):
    """Conductances from 0 at g_min to 1 at g_max."""
    return (np.asarray(xb.conductances(w), np.float64) - 5e-6) / 20e-6


def test_pulses_program_one_cell_of_a_pair():
    w = pulsed([[0.5, -0.25, 0.0, 0.1]])
    np.testing.assert_allclose(share(w)[:, 0], [[0.5, 0, 0, 0.1], [0, 0.25, 0, 0]], atol=1e-5)
    assert xb.report(w)["pulses"] == 85


def test_pulses_go_up_on_the_side_of_their_sign():
    w = pulsed([[0.2, 0.2, 0.2, -0.2]]) + ONE * np.array([[7, -7, 0, 3]], np.float32)
    expected = [[0.27, 0.2, 0.2, 0.03], [0, 0.07, 0, 0.2]]
    np.testing.assert_allclose(share(w)[:, 0], expected, atol=1e-5)
    np.testing.assert_allclose(xb.readout(w), [[0.27, 0.13, 0.2, -0.17]], atol=1e-5)
    assert xb.report(w)["pulses"] == 60 + 20 + 17


def test_worn_pairs_are_set_back_and_keep_their_difference():
    w = pulsed([[0.6, 0.6, -0.8, 0.3]])
    w = w - ONE * np.array([[40, 40, 0, 0]], np.float32)
    w = w + ONE * np.array([[28, 0, 0, 5]], np.float32)
    before = np.array([[0.88, 0.6, 0.0, 0.35], [0.4, 0.4, 0.8, 0.0]])
    np.testing.assert_allclose(share(w)[:, 0], before, atol=1e-5)
    pulses = int(xb.report(w)["pulses"])
    w = w + ONE * np.array([[4, 0, 0, 0]], np.float32)  # 0.92 is near the end
    after = before.copy()
    after[:, 0] = 0.52, 0
    np.testing.assert_allclose(share(w)[:, 0], after, atol=1e-5)
    np.testing.assert_allclose(xb.readout(w), [[0.52, 0.2, -0.8, 0.35]], atol=1e-5)
    assert xb.report(w)["pulses"] == pulses + 4 + 52


def test_worn_negative_pairs_too():
    w = pulsed([[-0.7, 0, 0, 0]]) + ONE * np.array([[50, 0, 0, 0]], np.float32)
    w = w - ONE * np.array([[25, 0, 0, 0]], np.float32)
    np.testing.assert_allclose(share(w)[:, 0, 0], [0, 0.45], atol=1e-5)


def test_refreshed_pairs_are_verified_where_the_chip_verifies():
    spreads = {"lower_spread": 0.0, "upper_spread": 0.0}  # every cell can be anywhere in the range
    device = xb.device.SoftBounds(step_up=0.01, cycle_noise=0.5, upper=2.0, **spreads)
    low, high = device.conductance_range
    shares = np.stack([np.full((20, 20), 0.95), np.full((20, 20), 0.45)])
    targets = jnp.asarray(low + (high - low) * shares, jnp.float32)
    begin, verify, refresh = jax.random.split(jax.random.key(0), 3)
    cells = device.program(targets, low, begin)
    cells, _ = device.verify(cells, targets, 0.02 * (high - low), 500, verify)

    def errors(programming):
        """By how much refreshing changes each pair's difference, as a share of the range."""
        mapping = xb.mapping.DifferentialPair()
        chip = xb.Chip(device=device, mapping=mapping, programming=programming)
        after, off = _program._refresh_worn(chip, cells, refresh)
        after = device.conductance(after)
        now = device.conductance(cells)
        refreshed = np.asarray(after[1] < low + 0.1 * (high - low))
        assert refreshed.mean() > 0.5
        change = np.asarray((after[0] - after[1]) - (now[0] - now[1])) / (high - low)
        return np.abs(change[refreshed]), int(off)

    verified, _ = errors(xb.WriteVerify(tolerance=0.02, max_pulses=500))
    tired, off = errors(xb.WriteVerify(tolerance=0.02, max_pulses=1))
    blind, uncounted = errors(xb.OpenLoop())
    assert np.mean(verified <= 2 * 0.02 + 1e-5) > 0.99  # each of the two within the tolerance
    assert np.mean(blind > 2 * 0.02) > 0.3
    # The other device of each pair is at its target, g_min, and the difference is the first's.
    assert off == np.sum(tired > 0.02) > 0 and uncounted == 0
