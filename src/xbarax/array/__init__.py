"""The crossbar array as a JAX value."""

from xbarax.array._operators import read as read
from xbarax.array._operators import readout as readout
from xbarax.array._operators import report as report
from xbarax.array._operators import step_key as step_key
from xbarax.array._tree import apply_updates as apply_updates
from xbarax.array._tree import plain as plain
from xbarax.array._tree import to_crossbar as to_crossbar
from xbarax.array._type import CrossbarType as CrossbarType
from xbarax.array._value import MemristiveCrossbarArray as MemristiveCrossbarArray
from xbarax.array._value import get_state as get_state
from xbarax.array._value import set_state as set_state
