"""What an array is made of: device, mapping, tile, wires, converters."""

from xbarax.chip import converter as converter
from xbarax.chip import device as device
from xbarax.chip import mapping as mapping
from xbarax.chip import wires as wires
from xbarax.chip._abstract import AbstractChip as AbstractChip
from xbarax.chip._abstract import Kind as Kind
from xbarax.chip._chip import Chip as Chip
