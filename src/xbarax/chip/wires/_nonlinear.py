"""Every voltage and current of an array whose cells are not linear, or behind selectors."""

import functools
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int

from xbarax.chip.wires import _check, _conjugate, _newton
from xbarax.chip.wires._solve import Solution, branches

Current = Callable[[Array, Any], Array]

_TOLERANCES = {"float32": 1e-5, "float64": 1e-12}
"""Beyond what rounding leaves, by about ten times and a thousand times."""


class Convergence(NamedTuple):
    """How Newton's method went, for each input: arrays of the batch's shape.

    Attributes:
      converged: whether `residual` is within the tolerance.
      steps: how many steps it took.
      residual: the largest of all cells' |c − f(u)| / (|c| + |f(u)| + |f′(u)| max |V|), where c is
        the current that the solution has in the cell, f(u) what the cell conducts at the voltage
        there, and max |V| the input's largest: what is wrong with Kirchhoff's current law at the
        cell's nodes, relative to the cell's current and to what rounding of voltages does to it.
    """

    converged: Bool[Array, "*batch"]
    steps: Int[Array, "*batch"]
    residual: Float[Array, "*batch"]


def solve_nonlinear(
    current: Current,
    parameters: Any,
    voltage: ArrayLike,
    word_line: ArrayLike,
    bit_line: ArrayLike,
    *,
    selected: ArrayLike | None = None,
    tolerance: float | None = None,
    max_steps: int = 100,
) -> tuple[Solution, Convergence]:
    """All voltages and currents of an array with resistive wires and cells of any smooth I–V curve.

    The circuit is that of `xbarax.wires.solve`, which is faster where the cells are linear. Each
    input is solved by Newton's method, all of a batch at once, at the cost of some products with
    matrices of the array's size (docs/wires.md).

    Args:
      current: `current(u, parameters)`: the currents of all cells in amperes, from word line to bit
        line, from the voltages u across them (…, M, N), each from its own; differentiable, and not
        falling with voltage, so that there is one solution. With falling ones there may be others,
        or it may not be found. Give the same function again and again: each is compiled once.
      parameters: what it takes besides: a tree of arrays that broadcast to (…, M, N), such as
        conductances (M, N) and an exponent ().
      voltage: of the sources, (…, M) in volts, float32 or float64. Its leading axes and those of
        the arrays broadcast: (n, M) with parameters (M, N) are n inputs of one array.
      word_line: resistance of a segment of word line in ohm, at least 0: a number, or an array
        whose axes are leading ones of arrays.
      bit_line: that of a segment of bit line.
      selected: bool (…, M); where False, the word line's selectors are open, and no current flows
        through its cells. `selected=voltage != 0` opens the rows without input, as 1T1R arrays do.
        None: all conduct.
      tolerance: the largest `Convergence.residual`; None: 1e-12 in float64, 1e-5 in float32.
      max_steps: most steps of Newton's method.

    Returns:
      A `Solution`, whose currents add up at each node to rounding, and a `Convergence`.

    Raises:
      TypeError: voltages that are neither float32 nor float64, others of another type; no function.
      ValueError: shapes that do not match; outside of tracing, resistances that are negative or not
        finite, voltages that are not finite.
      RuntimeError: outside of tracing, inputs whose solution was not found. Under tracing,
        `Convergence.converged` tells.

    Derivatives: exact for the solution, by linear cells that touch the curves there, with respect
    to the parameters, what `current` closes over, voltages and resistances; in forward and reverse
    mode, of every order that `current` has. NaN where those linear cells' solution is not found.
    The `Convergence` has none.

    Source: Kirchhoff's laws; W. Millar, Phil. Mag. 42, 1150, 1951, for the co-content that steps
    are measured by.
    """
    use = "solve_nonlinear"
    sources = _check.check_source(use, voltage)
    word = _check.check_resistance(use, "word_line", word_line, sources.dtype)
    bit = _check.check_resistance(use, "bit_line", bit_line, sources.dtype)
    parameters = jax.tree.map(jnp.asarray, parameters)
    *lead, n_words, n_bits = _array_shape(use, parameters, sources)
    rows = _rows(use, selected, n_words)
    every = _check.common_batch(
        use,
        parameters=tuple(lead),
        word_line=word.shape,
        bit_line=bit.shape,
        voltage=sources.shape[:-1],
        selected=() if rows is None else rows.shape[:-1],
    )
    limit = _tolerance(use, tolerance, sources.dtype), _check_steps(use, max_steps)
    shape = (*every, n_words, n_bits)
    converted, closed = _with_what_it_closes_over(use, current, parameters, shape, sources.dtype)
    sources = jnp.broadcast_to(sources, shape[:-1])
    operands = _Operands(parameters, tuple(closed), rows, sources, word, bit)
    solution, convergence = _solved(_Problem(converted, n_bits, *limit), operands)
    convergence = jax.lax.stop_gradient(convergence)  # so that it is concrete where it can be
    _check_convergence(use, convergence, *limit)
    return solution, convergence


class _Problem(NamedTuple):
    """What a program is compiled for."""

    current: Callable[..., Array]
    n_bits: int
    tolerance: float
    max_steps: int

    def law(self, operands: "_Operands") -> _newton.Law:
        """The currents by the voltages, with open selectors."""

        def conducted(across: Array) -> Array:
            return self.current(across, operands.parameters, *operands.closed)

        if operands.selected is None:
            return conducted
        rows = operands.selected[..., None]
        return lambda across: jnp.where(rows, conducted(jnp.where(rows, across, 0)), 0)


class _Operands(NamedTuple):
    parameters: Any
    closed: tuple[Array, ...]
    selected: Array | None
    voltage: Array
    word_line: Array
    bit_line: Array

    @property
    def circuit(self) -> _newton.Circuit:
        return _newton.Circuit(self.voltage[..., None], self.word_line, self.bit_line)


@functools.partial(jax.jit, static_argnums=0)
def _solved(problem: _Problem, operands: _Operands) -> tuple[Solution, Convergence]:
    cell, convergence = _cell_currents(problem, operands)
    solution = branches(cell, operands.voltage, operands.word_line, operands.bit_line)
    return solution, convergence


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _cell_currents(problem: _Problem, operands: _Operands) -> tuple[Array, Convergence]:
    shape = (*operands.voltage.shape, problem.n_bits)
    if 0 in shape:
        nothing = jnp.zeros(shape[:-2], operands.voltage.dtype)
        steps = jnp.zeros(nothing.shape, jnp.int32)
        return jnp.zeros(shape, nothing.dtype), Convergence(nothing == 0, steps, nothing)
    found = _newton.find(
        problem.law(operands), operands.circuit, shape, problem.tolerance, problem.max_steps
    )
    residual, steps = (jnp.squeeze(x, (-2, -1)) for x in (found.residual, found.steps))
    return found.current, Convergence(residual <= problem.tolerance, steps, residual)


@_cell_currents.defjvp
def _cell_currents_and_changes(problem: _Problem, primals: Any, tangents: Any) -> Any:
    """By c = f(u), u = V − R c: (1 + f′ R) ċ is what f and u change by while c does not."""
    operands: _Operands
    (operands,), (moved,) = primals, tangents
    cell, convergence = _cell_currents(problem, operands)
    no_change = jax.tree.map(_no_change, convergence)
    if cell.size == 0:
        return (cell, convergence), (cell, no_change)

    def conducted(at: _Operands) -> Array:
        return problem.law(at)(at.circuit.across(cell))

    _, change = jax.jvp(conducted, (operands,), (moved,))
    _, slope = _newton.touch(problem.law(operands), operands.circuit.across(cell))
    linear = _conjugate.Circuit(slope, operands.word_line, operands.bit_line)
    return (cell, convergence), (_conjugate.solve(linear, change), no_change)


def _no_change(value: Array) -> Any:
    if jnp.issubdtype(value.dtype, jnp.floating):
        return jnp.zeros_like(value)
    return np.zeros(value.shape, jax.dtypes.float0)


# ---- Checks -------------------------------------------------------------------------------------


def _array_shape(use: str, parameters: Any, sources: Array) -> tuple[int, ...]:
    shapes = [leaf.shape for leaf in jax.tree.leaves(parameters)]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        given = ", ".join(map(str, shapes))
        raise ValueError(f"{use}: parameters: shapes that do not broadcast: {given}") from None
    if len(shape) < 2:
        raise ValueError(
            f"{use}: parameters: expected arrays that broadcast to (…, word lines, bit lines), "
            f"given {shape}"
        )
    if sources.ndim == 0 or sources.shape[-1] != shape[-2]:
        raise ValueError(
            f"{use}: voltage: expected (…, {shape[-2]}), one for each word line of parameters "
            f"{shape}, given shape {sources.shape}"
        )
    return shape


def _rows(use: str, selected: Any, n_words: int) -> Array | None:
    if selected is None:
        return None
    given = getattr(selected, "dtype", type(selected).__name__)
    if given != np.dtype(bool):
        raise TypeError(f"{use}: selected: expected an array of bool, given {given}")
    if selected.ndim == 0 or selected.shape[-1] != n_words:
        raise ValueError(
            f"{use}: selected: expected (…, {n_words}), one for each word line, given shape "
            f"{selected.shape}"
        )
    return jnp.asarray(selected)


def _tolerance(use: str, given: Any, dtype: jnp.dtype) -> float:
    if given is None:
        return _TOLERANCES[dtype.name]
    if not (isinstance(given, numbers.Real) and 0 < float(given) < 1):
        raise ValueError(f"{use}: tolerance: expected a number between 0 and 1, given {given!r}")
    return float(given)


def _check_steps(use: str, given: Any) -> int:
    if not isinstance(given, numbers.Integral) or isinstance(given, bool) or given < 1:
        raise ValueError(f"{use}: max_steps: expected an integer of at least 1, given {given!r}")
    return int(given)


def _with_what_it_closes_over(
    use: str, current: Current, parameters: Any, shape: tuple[int, ...], dtype: jnp.dtype
) -> tuple[Callable[..., Array], list[Array]]:
    """`current`, taking values that may be differentiated as arguments."""
    if not callable(current):
        raise TypeError(
            f"{use}: current: expected a function of voltages and parameters, given "
            f"{type(current).__name__}"
        )
    across = jax.ShapeDtypeStruct(shape, dtype)
    made = jax.eval_shape(current, across, parameters)
    if not isinstance(made, jax.ShapeDtypeStruct) or (made.shape, made.dtype) != (shape, dtype):
        result = (
            f"{made.dtype.name} {made.shape}"
            if isinstance(made, jax.ShapeDtypeStruct)
            else type(made).__name__
        )
        raise ValueError(
            f"{use}: current: expected {dtype.name} {shape}, as the voltages across cells are, "
            f"given {result}"
        )
    converted, closed = jax.closure_convert(current, across, parameters)
    return (converted, closed) if closed else (current, closed)


def _check_convergence(
    use: str, convergence: Convergence, tolerance: float, max_steps: int
) -> None:
    if isinstance(convergence.converged, jax.core.Tracer) or np.all(convergence.converged):
        return
    bad = np.argwhere(~np.asarray(convergence.converged))
    first = tuple(map(int, bad[0]))
    steps, residual = int(convergence.steps[first]), float(convergence.residual[first])
    if not np.isfinite(residual):
        remedy = (
            "current or its derivative by voltage is not finite where it was looked for, which "
            "begins with the sources' voltages at the cells: bound its exponents"
        )
    else:
        remedy = (
            "let it take more (max_steps), more residual (tolerance) or smaller voltages; and see "
            "that no current falls with voltage"
        )
    raise RuntimeError(
        f"{use}: no solution found for {len(bad)} of {convergence.converged.size} inputs, the "
        f"first at {first}: after {steps} steps of at most {max_steps}, its residual is "
        f"{residual:.1e}, expected at most {tolerance:.1e}; {remedy}"
    )
