"""The crossbar array as a JAX value."""

from xbarax.array._mixed_precision import MixedPrecisionState as MixedPrecisionState
from xbarax.array._mixed_precision import mixed_precision as mixed_precision
from xbarax.array._monte_carlo import monte_carlo as monte_carlo
from xbarax.array._operators import after as after
from xbarax.array._operators import read as read
from xbarax.array._operators import readout as readout
from xbarax.array._operators import report as report
from xbarax.array._operators import step_key as step_key
from xbarax.array._pull_back import pull_back as pull_back
from xbarax.array._simulated import age as age
from xbarax.array._simulated import calibrate as calibrate
from xbarax.array._simulated import conductances as conductances
from xbarax.array._simulated import fault_map as fault_map
from xbarax.array._simulated import pulse_step as pulse_step
from xbarax.array._simulated import set_faults as set_faults
from xbarax.array._tree import apply_updates as apply_updates
from xbarax.array._tree import plain as plain
from xbarax.array._tree import to_crossbar as to_crossbar
from xbarax.array._type import CrossbarType as CrossbarType
from xbarax.array._value import MemristiveCrossbarArray as MemristiveCrossbarArray
from xbarax.array._value import get_state as get_state
from xbarax.array._value import set_state as set_state
