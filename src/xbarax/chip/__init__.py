"""What an array is made of: device, mapping, tile, wires, converters."""

from xbarax.chip import converter as converter
from xbarax.chip import device as device
from xbarax.chip import mapping as mapping
from xbarax.chip import wires as wires
from xbarax.chip._abstract import AbstractChip as AbstractChip
from xbarax.chip._abstract import AbstractStatefulChip as AbstractStatefulChip
from xbarax.chip._abstract import Kind as Kind
from xbarax.chip._chip import Chip as Chip
from xbarax.chip._faults import STUCK_HIGH as STUCK_HIGH
from xbarax.chip._faults import STUCK_LOW as STUCK_LOW
from xbarax.chip._faults import Faults as Faults
from xbarax.chip._programming import AbstractProgramming as AbstractProgramming
from xbarax.chip._programming import OpenLoop as OpenLoop
from xbarax.chip._programming import WriteVerify as WriteVerify
