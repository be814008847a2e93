"""Wires: what a chip has between its cells, circuits of them, and arrays behind them."""

from xbarax.array import pull_back as pull_back
from xbarax.chip._compensated import compensated as compensated
from xbarax.chip.wires import AbstractWires as AbstractWires
from xbarax.chip.wires import Compensation as Compensation
from xbarax.chip.wires import Convergence as Convergence
from xbarax.chip.wires import Ideal as Ideal
from xbarax.chip.wires import Resistive as Resistive
from xbarax.chip.wires import ResistivePerRead as ResistivePerRead
from xbarax.chip.wires import Solution as Solution
from xbarax.chip.wires import compensate as compensate
from xbarax.chip.wires import effective_conductance as effective_conductance
from xbarax.chip.wires import solve as solve
from xbarax.chip.wires import solve_nonlinear as solve_nonlinear
