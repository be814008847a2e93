"""The primitives that make and consume crossbar arrays.

Only these look inside an array. Batch axes of an array lead; a read of one array by many inputs
stays one read.
"""

from xbarax.array._primitives._after import after as after
from xbarax.array._primitives._alter import alter as alter
from xbarax.array._primitives._look import key_of as key_of
from xbarax.array._primitives._look import look as look
from xbarax.array._primitives._look import readout as readout
from xbarax.array._primitives._look import report as report
from xbarax.array._primitives._parts import parts as parts
from xbarax.array._primitives._parts import whole as whole
from xbarax.array._primitives._program import change as change
from xbarax.array._primitives._program import program as program
from xbarax.array._primitives._read import bind_read as bind_read
from xbarax.array._primitives._wires import pull_back as pull_back
