"""`xb.Chip`: its fields, its refusals, and which arrays it makes ideal."""

import dataclasses
import re

import jax
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip.noisy import Noisy
from tests.helpers import assert_equal


def test_is_ideal_unless_told_otherwise():
    assert xb.Chip().is_ideal
    assert xb.Chip(tile=(4, 4), backward="ideal", implementation="native").is_ideal
    assert not xb.Chip(device=Noisy()).is_ideal


def test_is_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        xb.Chip().tile = (4, 4)


def test_draws_random_numbers_where_its_device_does():
    quiet, noisy = xb.Chip(device=Noisy()), xb.Chip(device=Noisy(write=0.1, read=0.1))
    assert (quiet.noisy_program, quiet.noisy_read) == (False, False)
    assert (noisy.noisy_program, noisy.noisy_read) == (True, True)
    assert not quiet.has_side_effects


STATIONS = {
    "device": "AbstractDevice",
    "mapping": "AbstractMapping",
    "wires": "AbstractWires",
    "dac": "AbstractDAC",
    "adc": "AbstractADC",
    "programming": "AbstractProgramming",
}


@pytest.mark.parametrize("station", STATIONS)
@pytest.mark.parametrize("given", ["ideal", 8, xb.device.Ideal], ids=repr)
def test_refuses_what_is_no_station(station, given, as_users_call):
    message = f"Chip({station}=…) expects an {STATIONS[station]}, given {given!r}"
    with pytest.raises(TypeError, match=re.escape(message)):
        xb.Chip(**{station: given})


@pytest.mark.parametrize(
    ("station", "given", "call"),
    [
        ("device", xb.device.presets.pcm, "presets.pcm()"),
        ("device", xb.device.PCM, "PCM()"),
        ("device", Noisy, "noisy.Noisy()"),
        ("programming", xb.WriteVerify, "WriteVerify()"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_was_not_called_gets_a_hint(station, given, call, as_users_call):
    message = f"given {given!r}; did you mean {call}?"
    with pytest.raises(TypeError, match=re.escape(message)):
        xb.Chip(**{station: given})


def test_a_class_of_another_station_gets_none(as_users_call):
    with pytest.raises(TypeError, match=re.escape(f"given {xb.device.PCM!r}") + "$"):
        xb.Chip(mapping=xb.device.PCM)


@pytest.mark.parametrize(
    "tile", [(0, 4), (4, -1), (4,), (4, 4, 4), 4, [4, 4], (4.0, 4), (True, 4)], ids=repr
)
def test_refuses_what_is_no_tile(tile, as_users_call):
    message = f"tile={tile!r}: expected two positive integers, (inputs, outputs), or None"
    with pytest.raises(ValueError, match=re.escape(message)):
        xb.Chip(tile=tile)


@pytest.mark.parametrize(
    ("field", "expected"),
    [("backward", "'analog', 'ideal'"), ("implementation", "'auto', 'jax', 'native'")],
)
def test_refuses_unknown_words(field, expected, as_users_call):
    message = f"{field}='fast': expected one of {expected}"
    with pytest.raises(ValueError, match=re.escape(message)):
        xb.Chip(**{field: "fast"})


@dataclasses.dataclass(frozen=True)
class Delicate(Noisy):
    """A device that states a voltage of its own."""

    max_voltage: float = 1.0


@pytest.mark.parametrize("device", [xb.device.RRAMMilo(), Delicate()], ids=["Milo", "own"])
def test_refuses_to_read_beyond_the_voltage_of_its_device(device):
    most = device.max_voltage
    assert xb.Chip(device=device, dac=xb.DAC(v_read=most)).dac.v_read == most
    message = (
        f"dac: expected v_read up to {most} V, the max_voltage of {type(device).__name__}, given "
        f"v_read={most + 0.1} V"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        xb.Chip(device=device, dac=xb.DAC(v_read=most + 0.1))


def test_takes_any_voltage_where_its_device_states_none():
    assert Noisy().max_voltage == xb.device.PCM().max_voltage == float("inf")
    assert xb.Chip(device=Noisy(), dac=xb.DAC(v_read=1e3)).dac.v_read == 1e3


# ---- The order of the stations -----------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Doubling(xb.mapping.AbstractMapping):
    """Two planes with the weights in each; their sums are averaged."""

    fixed_range = None
    bounded = False
    reference = "none"

    def check(self, device):
        pass

    def largest(self, weights):
        return jnp.ones((), jnp.float32)

    def start(self, device):
        return 0.0

    def coefficients(self, device):
        return 0.5, 0.5

    def targets(self, unit, device):
        return jnp.stack([unit, unit])

    def deltas(self, change, present, device):
        return jnp.stack([change, change])

    def worn(self, present, device):
        return None


@dataclasses.dataclass(frozen=True)
class Leaking(xb.wires.AbstractWires):
    """Wires that pass half of each conductance."""

    def effective(self, conductance):
        return conductance / 2


@dataclasses.dataclass(frozen=True)
class RoundingDAC(xb.converter.AbstractDAC):
    """A converter to integers of two volts."""

    v_read = 2.0

    def convert(self, inputs):
        return jnp.round(inputs)

    def convert_scaled(self, inputs):
        return inputs


@dataclasses.dataclass(frozen=True)
class RoundingADC(xb.converter.AbstractADC):
    """A converter of amperes to integers."""

    exact = False
    calibrated = False
    clips = False

    def convert(self, currents, calibration):
        return jnp.round(currents)

    def inside(self, currents, calibration):
        raise NotImplementedError

    def convert_scaled(self, currents):
        return currents


VOLT = xb.DAC(v_read=1.0)
W = jnp.array([[1.0, 2.0, 4.0], [-1.0, 3.0, 0.0]])
X = jnp.array([0.6, 1.4, -2.2])  # rounded: 1, 1, -2


@pytest.mark.parametrize(
    ("stations", "expected"),
    [
        ({"mapping": Doubling()}, [-5.4, 3.6]),
        ({"wires": Leaking()}, [-2.7, 1.8]),
        ({"dac": RoundingDAC()}, [-5.0, 2.0]),
        ({"dac": VOLT, "adc": RoundingADC()}, [-5.0, 4.0]),  # -5.4 and 3.6
        # 3.4 - 8.8 and 3.6 + 0
        ({"dac": VOLT, "adc": RoundingADC(), "tile": (2, 2)}, [-6.0, 4.0]),
        ({"wires": Leaking(), "dac": VOLT, "adc": RoundingADC()}, [-3.0, 2.0]),  # -2.7 and 1.8
        ({"dac": RoundingDAC(), "adc": RoundingADC()}, [-5.0, 2.0]),  # -10 and 4 at two volts
        ({"dac": xb.DAC(v_read=0.5), "adc": RoundingADC()}, [-6.0, 4.0]),  # -2.7 and 1.8 at half
        ({"mapping": Doubling(), "wires": Leaking(), "dac": RoundingDAC()}, [-2.5, 1.0]),
    ],
)
def test_data_passes_the_stations_in_order(stations, expected):
    w = xb.MemristiveCrossbarArray(W, xb.Chip(**stations))
    assert jnp.allclose(w @ X, jnp.array(expected), atol=1e-5)
    assert_equal(xb.readout(w), W)


Y = jnp.array([1.2, 2.4])  # rounded: 1, 2


@pytest.mark.parametrize(
    ("stations", "expected"),
    [
        ({"wires": Leaking()}, [-0.6, 4.8, 2.4]),
        ({"dac": RoundingDAC()}, [-1.0, 8.0, 4.0]),
        # 1.2, 2.4, 4.8 and -2.4, 7.2, 0
        ({"dac": VOLT, "adc": RoundingADC(), "tile": (3, 1)}, [-1.0, 9.0, 5.0]),
    ],
)
def test_transposed_reads_pass_them_too(stations, expected):
    w = xb.MemristiveCrossbarArray(W, xb.Chip(**stations))
    assert jnp.allclose(w.T @ Y, jnp.array(expected), atol=1e-5)


def test_updates_pass_the_mapping():
    w = xb.MemristiveCrossbarArray(W, xb.Chip(mapping=Doubling())) + W
    assert_equal(xb.readout(w), 2 * W)
    assert jnp.allclose(w @ X, 2 * W @ X, atol=1e-5)


@pytest.mark.parametrize("bad", [1e-40, 1e-16, 1e16, 1e38])
def test_numbers_whose_squares_float32_cannot_hold_are_refused(bad):
    message = re.escape("if it is not 0 from 1e-15 to 1e+15 in magnitude, given " + repr(bad))
    for station in (
        lambda: xb.device.PCM(g_max=bad),
        lambda: xb.DAC(v_read=bad),
        lambda: xb.ADC(bits=8, range=bad),
        lambda: xb.mapping.DifferentialPair(weight_range=bad),
    ):
        with pytest.raises(ValueError, match=message):
            station()


def test_weights_that_headroom_would_lead_out_of_float32_are_refused():
    chip = xb.Chip(device=xb.device.presets.ecram())
    weights = jnp.array([[1.0, -3e38]])
    with pytest.raises(ValueError, match=r"weights: expected magnitudes up to 1e\+20 .* given 3\."):
        xb.MemristiveCrossbarArray(weights, chip, key=jax.random.key(0))
    assert xb.readout(xb.MemristiveCrossbarArray(weights))[0, 1] == weights[0, 1]  # ideal


def test_a_presets_name_in_place_of_a_device_is_told_how_to_write_it(as_users_call):
    with pytest.raises(TypeError, match=r"did you mean xbarax\.device\.presets\.pcm\(\)\?"):
        xb.Chip(device="pcm")
