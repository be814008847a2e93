"""The wires between the cells."""

from xbarax.chip.wires._ideal import Ideal as Ideal
from xbarax.chip.wires._wires import AbstractWires as AbstractWires
