"""The wires between the cells."""

from xbarax.chip.wires._compensate import Compensation as Compensation
from xbarax.chip.wires._compensate import compensate as compensate
from xbarax.chip.wires._effective import effective_conductance as effective_conductance
from xbarax.chip.wires._ideal import Ideal as Ideal
from xbarax.chip.wires._nonlinear import Convergence as Convergence
from xbarax.chip.wires._nonlinear import solve_nonlinear as solve_nonlinear
from xbarax.chip.wires._per_read import ResistivePerRead as ResistivePerRead
from xbarax.chip.wires._resistive import Resistive as Resistive
from xbarax.chip.wires._solve import Solution as Solution
from xbarax.chip.wires._solve import solve as solve
from xbarax.chip.wires._wires import AbstractWires as AbstractWires
