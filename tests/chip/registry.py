"""Chips that the shared contract in test_contract.py runs on.

A new device is one line in `CHIPS`, such as `"mine": xb.Chip(device=Mine())`: it inherits the
contract. Converters here must not clip what inputs from −1 to 1 give, and DACs have 8 bits; the
contract counts on both.

The contract takes seconds a chip, so that not every shipped device is in `CHIPS`. `OTHERS` are
those that differ from one there by formulas alone, which have tests of their own; each lives a
whole life in the contract's last test.
"""

import xbarax as xb
from tests.chip.noisy import Noisy

_DAC = xb.DAC(bits=8)
_FAULTS = xb.Faults(stuck_low=0.1, stuck_high=0.05)

CHIPS = {
    "ideal": xb.Chip(),
    "noisy, tiles": xb.Chip(device=Noisy(write=0.1, read=0.2), tile=(2, 3)),
    "exact, column, fixed range": xb.Chip(
        device=xb.device.Ideal(g_min=1e-6, g_max=9e-6),
        mapping=xb.mapping.OffsetColumn(headroom=2.0),
        tile=(3, 3),
        dac=_DAC,
        adc=xb.ADC(bits=9, range=5.5e-6),  # three cells of 9 µS at 0.2 V
    ),
    "PCM, compensated, faults": xb.Chip(
        device=xb.device.PCM(), tile=(3, 2), faults=_FAULTS, drift_compensation=True
    ),
    "soft bounds, pair, verified": xb.Chip(
        device=xb.device.SoftBounds(step_up=0.02, read_noise=1e-7),
        mapping=xb.mapping.DifferentialPair(headroom=1.5),
        programming=xb.WriteVerify(tolerance=0.05, max_pulses=30),
        dac=_DAC,
    ),
}

_CONVERTERS = {"tile": (3, 3), "dac": _DAC, "adc": xb.ADC(bits=9)}

OTHERS = {
    "PCM, subtracted pairs": xb.Chip(
        device=xb.device.PCM(),
        mapping=xb.mapping.DifferentialPair(subtract="analog"),
        tile=(3, 3),
        adc=xb.ADC(bits=9),
        faults=_FAULTS,
    ),
    "HERMES, slices": xb.Chip(
        device=xb.device.PCMHermes(),
        mapping=xb.mapping.BitSlices(bits=3, slices=2, headroom=1.5),
        adc=xb.ADC(bits=8),
        backward="ideal",
    ),
    "soft bounds": xb.Chip(device=xb.device.presets.reram_soft_bounds()),
    "Wan": xb.Chip(device=xb.device.RRAMWan(), **_CONVERTERS),
    "Milo": xb.Chip(device=xb.device.RRAMMilo(), **_CONVERTERS),
    "SONOS": xb.Chip(device=xb.device.SONOS(), mapping=xb.mapping.IdealReference()),
    "CMO": xb.Chip(
        device=xb.device.CMOHfOx(), mapping=xb.mapping.OffsetColumn(headroom=1.5), tile=(4, 3)
    ),
    "constant": xb.Chip(device=xb.device.ConstantStep(leak=0.01), **_CONVERTERS),
    "linear": xb.Chip(device=xb.device.LinearStep(step_up=0.01, write_noise=3.0)),
    "exponential": xb.Chip(device=xb.device.ExponentialStep(failed=0.1, max_pulses=20)),
    "resistive wires": xb.Chip(
        device=xb.device.PCM(),
        tile=(3, 3),
        adc=xb.ADC(bits=9),
        wires=xb.wires.Resistive(400.0, 600.0),
    ),
    "resistive wires, nonlinear": xb.Chip(
        device=xb.device.RRAMMilo(),
        tile=(3, 3),
        adc=xb.ADC(bits=9),
        wires=xb.wires.ResistivePerRead(40.0, 60.0, selectors=True),
    ),
    "power": xb.Chip(device=xb.device.PowerStep(zero_at_symmetry=True, read_noise=1e-7)),
}
