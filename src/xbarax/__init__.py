"""Memristive crossbar arrays as JAX values, and spiking networks that train on them."""

from xbarax import array as array
from xbarax import hardware as hardware
from xbarax.array import MemristiveCrossbarArray as MemristiveCrossbarArray
from xbarax.array import apply_updates as apply_updates
from xbarax.array import plain as plain
from xbarax.array import read as read
from xbarax.array import readout as readout
from xbarax.array import report as report
from xbarax.array import to_crossbar as to_crossbar
from xbarax.chip import AbstractChip as AbstractChip
from xbarax.chip import Chip as Chip
from xbarax.chip import converter as converter
from xbarax.chip import device as device
from xbarax.chip import mapping as mapping
from xbarax.chip import wires as wires
