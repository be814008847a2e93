"""Two blocks to one: the step of the recursion.

At the lines that meet, the near block's answers are the voltages v = A_je x + A_jj i, the far
one's the currents i = B_je x + B_jj v, with the ports x that are kept. −A_jj is a matrix of
resistances and B_jj one of conductances, both positive semidefinite, so that 1 − A_jj B_jj has
eigenvalues of at least 1: there is always one solution, and nothing is divided by a resistance.
"""

from typing import NamedTuple

import jax
from jax import Array
from jax import numpy as jnp

from xbarax.chip.wires._linear import product, solve, transposed
from xbarax.chip.wires._ports import Side


class Parts(NamedTuple):
    """The hybrid matrix of one of two blocks, cut into the parts that joining them takes.

    Rows and columns: j joined, e kept, o outputs only. The matrix is symmetric in j and e.
    """

    jj: Array
    je: Array
    ee: Array
    oj: Array
    oe: Array


class Response(NamedTuple):
    """What the ports that are kept (near, far) give at the lines that meet, and (1 − A B)⁻¹ A."""

    voltage: Array
    current: Array
    compliance: Array


def parts(matrix: Array, side: Side) -> Parts:
    """Cuts a block's matrix (…, rows, columns) with its rows in the order of `side`."""
    j, e = len(side.joined), len(side.joined) + len(side.kept)
    return Parts(
        matrix[..., :j, :j],
        matrix[..., :j, j:e],
        matrix[..., j:e, j:e],
        matrix[..., e:, :j],
        matrix[..., e:, j:e],
    )


def respond(near: Parts, far: Parts) -> Response:
    """Solves for what is at the lines that meet."""
    n_joined, n_near = near.je.shape[-2:]
    system = jnp.eye(n_joined, dtype=near.jj.dtype) - product(near.jj, far.jj)
    solution = solve(system, jnp.concatenate([near.je, near.jj], axis=-1))
    by_near, compliance = solution[..., :n_near], solution[..., n_near:]
    voltage = jnp.concatenate([by_near, product(compliance, far.je)], axis=-1)
    current = _wide(far.je, n_near, 0) + product(far.jj, voltage)
    return Response(voltage, current, compliance)


def assemble(near: Parts, far: Parts, response: Response) -> Array:
    """The matrix of both: rows (near.e, far.e, near.o, far.o), columns (near.e, far.e)."""
    n_near, n_far = near.je.shape[-1], far.je.shape[-1]
    at_near = response.current[..., :n_near]
    near_near = near.ee + product(transposed(near.je), at_near)
    far_near = product(transposed(far.je), response.voltage[..., :n_near])
    far_far = far.ee + product(transposed(far.je), response.voltage[..., n_near:])
    rows = (
        jnp.concatenate([near_near, transposed(far_near)], axis=-1),
        jnp.concatenate([far_near, far_far], axis=-1),
        _wide(near.oe, 0, n_far) + product(near.oj, response.current),
        _wide(far.oe, n_near, 0) + product(far.oj, response.voltage),
    )
    return jnp.concatenate(rows, axis=-2)


@jax.custom_jvp
def join(near: Parts, far: Parts) -> Array:
    """The matrix of both: see `assemble`.

    Differentiated by the response: a change of the near block's matrix acts at currents i, one of
    the far block's at voltages v, and both reach the ports of a symmetric network as they come from
    there. What is kept for the backward pass are i and v, no larger than the lines that meet.
    """
    return assemble(near, far, respond(near, far))


@join.defjvp
def _join_jvp(primals, tangents):
    near, far = primals
    near_t, far_t = tangents
    response = respond(near, far)
    n_near, n_far = near.je.shape[-1], far.je.shape[-1]
    voltage, current, compliance = response

    near_je, far_je = _wide(near_t.je, 0, n_far), _wide(far_t.je, n_near, 0)
    near_jj, far_jj = product(near_t.jj, current), product(far_t.jj, voltage)
    half = product(transposed(current), near_je + 0.5 * near_jj)
    half += product(transposed(voltage), far_je + 0.5 * far_jj)
    symmetric = half + transposed(half)
    symmetric += _wide(_tall(near_t.ee, 0, n_far), 0, n_far)
    symmetric += _wide(_tall(far_t.ee, n_near, 0), n_near, 0)

    # Outputs have no column of their own: the ways to them are computed.
    voltage_t, current_t = near_je + near_jj, far_je + far_jj
    direct = jnp.eye(compliance.shape[-1], dtype=compliance.dtype) + product(compliance, far.jj)
    by_current = near.oj + product(product(near.oj, far.jj), compliance)
    near_o = _wide(near_t.oe, 0, n_far) + product(near_t.oj, current)
    near_o += product(product(product(near.oj, far.jj), direct), voltage_t)
    near_o += product(by_current, current_t)
    far_o = _wide(far_t.oe, n_near, 0) + product(far_t.oj, voltage)
    far_o += product(product(far.oj, direct), voltage_t)
    far_o += product(product(far.oj, compliance), current_t)
    return assemble(near, far, response), jnp.concatenate([symmetric, near_o, far_o], axis=-2)


def _wide(x: Array, before: int, after: int) -> Array:
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(before, after)])


def _tall(x: Array, before: int, after: int) -> Array:
    return transposed(_wide(transposed(x), before, after))
