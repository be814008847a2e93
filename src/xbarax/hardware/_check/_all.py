"""All checks, in the order in which they are run: what comes first explains what comes later."""

from xbarax.hardware._check._arrays import arrays
from xbarax.hardware._check._entry import describing, entry, opening
from xbarax.hardware._check._errors import errors
from xbarax.hardware._check._memory import memory
from xbarax.hardware._check._programs import programs
from xbarax.hardware._check._reads import reads
from xbarax.hardware._check._threads import threads
from xbarax.hardware._check._transposed import transposed
from xbarax.hardware._check._writes import writes

CHECKS = {
    each.name: each
    for checks in (
        *(entry, opening, describing, reads, transposed, writes, arrays),
        *(memory, errors, threads, programs),
    )
    for each in checks
}
"""By their names."""
