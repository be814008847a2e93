"""What one cell does: conductance range, programming, pulses, noise, drift."""

from xbarax.chip.device._device import AbstractDevice as AbstractDevice
from xbarax.chip.device._ideal import Ideal as Ideal
