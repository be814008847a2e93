"""The published devices: their constants, typed again from the papers' fits."""

import dataclasses

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from xbarax.chip.device.presets import PRESETS

DEFAULTS = {
    "step_lognormal": False,
    "asymmetry_spread": 0,
    "lower": -1,
    "upper": 1,
    "write_noise": 0,
    "read_noise": 0,
    "leak": 0,
    "failed": 0,
    "zero_at_symmetry": False,
}

TABLE = {
    "reram_soft_bounds": (
        xb.device.SoftBounds,
        {
            "steps": (0.002, 0.002),
            "step_spread": 0.3,
            "lower": -0.75,
            "upper": 1.25,
            "lower_spread": 0.4,
            "upper_spread": 0.24,
            "cycle_noise": 3.75,
            "write_noise": 56,
        },
    ),
    "reram_exponential": (
        xb.device.ExponentialStep,
        {
            "steps": (0.00135, 0.00100035),
            "step_spread": 0.2,
            "lower_spread": 0.3,
            "upper_spread": 0.3,
            "cycle_noise": 5,
            "write_noise": 75,
            "a": -0.5,
            "b": -0.5,
            "gamma_up": 5,
            "gamma_down": 5,
            "amplitude_up": -1.184,
            "amplitude_down": -0.0814,
        },
    ),
    "capacitor": (
        xb.device.LinearStep,
        {
            "steps": (0.005, 0.005),
            "step_spread": 0.1,
            "lower_spread": 0.07,
            "upper_spread": 0.07,
            "cycle_noise": 0.3,
            "leak": 1e-6,
            "gamma_up": 0.05,
            "gamma_down": 0.05,
            "additive_noise": True,
        },
    ),
    "ecram": (
        xb.device.LinearStep,
        {
            "steps": (0.002, 0.002),
            "step_spread": 0.1,
            "lower": -0.8276,
            "upper": 1.1724,
            "lower_spread": 0.05,
            "upper_spread": 0.05,
            "cycle_noise": 0.3,
            "gamma_up": 0.1153,
            "gamma_down": 0.5085,
            "additive_noise": False,
        },
    ),
    "ecram_metal_oxide": (
        xb.device.LinearStep,
        {
            "steps": (0.00028214, 0.00028214),
            "step_spread": 0.1,
            "lower": -0.8286,
            "upper": 1.1714,
            "lower_spread": 0.05,
            "upper_spread": 0.05,
            "cycle_noise": 2,
            "gamma_up": 0.4152,
            "gamma_down": 0.7342,
            "additive_noise": False,
        },
    ),
    "reram_array_om": (
        xb.device.SoftBounds,
        {
            "steps": (0.0949, 0.0949),
            "step_spread": 0.7829,
            "step_lognormal": True,
            "lower_spread": 0.57,
            "upper_spread": 0.35,
            "cycle_noise": 0.4158,
            "write_noise": 1.4113,
            "failed": 0.135,
            "zero_at_symmetry": True,
        },
    ),
    "reram_array_hfo2": (
        xb.device.SoftBounds,
        {
            "steps": (0.4622, 0.4622),
            "step_spread": 0.7125,
            "step_lognormal": True,
            "lower_spread": 0.60,
            "upper_spread": 0.43,
            "cycle_noise": 0.2174,
            "write_noise": 0.5841,
            "failed": 0.098,
            "zero_at_symmetry": True,
        },
    ),
}

STATISTICAL = {
    "pcm": xb.device.PCM,
    "pcm_hermes": xb.device.PCMHermes,
    "rram_wan": xb.device.RRAMWan,
    "rram_milo": xb.device.RRAMMilo,
    "sonos": xb.device.SONOS,
    "cmo_hfox": xb.device.CMOHfOx,
}


@pytest.mark.parametrize("name", TABLE)
def test_a_pulse_device_has_the_published_constants(name):
    kind, numbers = TABLE[name]
    device = PRESETS[name].make()
    assert type(device) is kind
    for field, expected in {**DEFAULTS, **numbers}.items():
        assert getattr(device, field) == pytest.approx(expected, rel=1e-12), field


@pytest.mark.parametrize("name", STATISTICAL)
def test_a_statistical_device_is_its_class_as_published(name):
    assert PRESETS[name].make() == STATISTICAL[name]()


def test_every_preset_is_listed_with_its_source():
    assert set(PRESETS) == {*TABLE, *STATISTICAL}
    for name, preset in PRESETS.items():
        assert getattr(xb.device.presets, name) is preset.make
        assert preset.make() == preset.make()
        assert any(str(year) in preset.source for year in range(2018, 2026)), name
        assert preset.description and "\n" not in preset.description


def test_the_list_cannot_be_changed():
    with pytest.raises(TypeError):
        PRESETS["mine"] = PRESETS["pcm"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        PRESETS["pcm"].source = "me"


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_can_be_programmed_and_read(name):
    device = PRESETS[name].make()
    low, high = device.conductance_range
    targets = jnp.linspace(low + 0.1 * (high - low), high - 0.1 * (high - low), 9)

    @jax.jit
    def read(key):
        return device.conductance(device.program(targets, device.zero_conductance, key))

    conductances = np.asarray(jax.vmap(read)(jax.random.split(jax.random.key(0), 200)))
    assert np.all(np.isfinite(conductances))
    # Higher targets give higher conductances, though one preset has but four states.
    typical = np.median(conductances, axis=0)
    assert np.all(np.diff(typical) >= 0) and typical[-1] > typical[4] > typical[0]
