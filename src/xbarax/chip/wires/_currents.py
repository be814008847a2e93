"""The cells' currents for given voltages: up the recursion, and down again.

On the way up, each joint keeps what the ports of both blocks give at the lines that meet. On the
way down those voltages and currents follow from the ports' own, from the whole array to its cells.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jax import Array
from jax import numpy as jnp

from xbarax.chip.wires import _cells, _join, _ports, _recursion
from xbarax.chip.wires._linear import product, transposed


class _Level(NamedTuple):
    """A joint, with how many ports and outputs its blocks have, and what these give."""

    joint: _ports.Joint
    size: int
    voltage: Array
    current: Array


def cell_currents(conductance: Array, voltage: Array, word_line: Array, bit_line: Array) -> Array:
    """The currents (*batch, M, N, n), from word to bit lines, of arrays (*batch, M, N).

    For sources (*batch, M, n) and resistances (*batch).
    """
    cells, sources = jnp.flip(conductance, -2), jnp.flip(voltage, -2)
    n_words, n_bits = conductance.shape[-2:]
    grounds = jnp.zeros((*sources.shape[:-2], n_bits, sources.shape[-1]), sources.dtype)
    if n_words <= n_bits:
        found = _driven(cells, sources, grounds, word_line, bit_line)
    else:  # word and bit lines change their names: currents flow the other way then
        turned = _driven(transposed(cells), grounds, sources, bit_line, word_line)
        found = -jnp.swapaxes(turned, -3, -2)
    return jnp.flip(found, -3)


def _driven(
    conductance: Array, at_words: Array, at_bits: Array, word_line: Array, bit_line: Array
) -> Array:
    """The same for voltages at the near ends of both word lines and bit lines, with M ≤ N."""
    n_words, n_bits = conductance.shape[-2:]
    cut = _recursion.plan(n_words, n_bits)
    cells, wires = (
        _recursion.to_blocks(conductance, cut),
        _recursion.wires(word_line, bit_line, cut),
    )
    levels = _up(_cells.hybrid(cells, wires), cut)
    # A block alone still has far ends of word lines, where nothing is drawn.
    n_ports = cut.m * 2**cut.rows if levels else 2 * cut.m
    filled = _filled(at_words, n_ports), _filled(at_bits, cut.n * 2**cut.columns)
    ports = jnp.concatenate(filled, axis=-2)[..., None, None, :, :]
    for level in reversed(levels):
        ports = _down(ports, level)
    ports = _placed([_recursion.first_order(cut)], ports, 2 * (cut.m + cut.n))
    found = product(_cells.currents(cells, wires), ports)
    return _recursion.from_blocks(found, cut)[..., :n_words, :n_bits, :]


def _up(matrix: Array, cut: _recursion.Plan) -> list[_Level]:
    levels = []
    order = _recursion.first_order(cut)
    for joint in cut.joints():
        near, far = _recursion.sides(matrix, order, joint)
        response = _join.respond(near, far)
        matrix = _join.assemble(near, far, response)
        # Voltages can be applied where the matrix has outputs alone: by reciprocity, their row.
        driven = _join.respond(_with_outputs(near), _with_outputs(far))
        levels.append(_Level(joint, len(order), driven.voltage, driven.current))
        order = joint.order
    return levels


def _with_outputs(parts: _join.Parts) -> _join.Parts:
    return parts._replace(je=jnp.concatenate([parts.je, transposed(parts.oj)], axis=-1))


def _down(ports: Array, level: _Level) -> Array:
    """Ports (*batch, rows, columns, p, n) of blocks to those of what they were made of."""
    near_side, far_side = level.joint.near, level.joint.far
    sizes = [len(s) for s in (near_side.kept, far_side.kept, near_side.outputs)]
    apart = ports[..., np.argsort(level.joint.order), :]
    near_kept, far_kept, near_outputs, far_outputs = jnp.split(apart, np.cumsum(sizes), axis=-2)
    drive = jnp.concatenate([near_kept, near_outputs, far_kept, far_outputs], axis=-2)
    near = jnp.concatenate([product(level.current, drive), near_kept, near_outputs], axis=-2)
    far = jnp.concatenate([product(level.voltage, drive), far_kept, far_outputs], axis=-2)
    axis = ports.ndim - 4 + level.joint.axis
    both = jnp.stack(
        [
            _placed(near_side, near, level.size),
            _placed(far_side, far, level.size),
        ],
        axis=axis + 1,
    )
    return both.reshape(*both.shape[:axis], -1, *both.shape[axis + 2 :])


def _placed(numbers: Sequence[np.ndarray], values: Array, size: int) -> Array:
    """Values (…, p, n) at their numbers among `size`, and 0 elsewhere."""
    places = np.full(size, values.shape[-2])
    chosen = np.concatenate(list(numbers))
    places[chosen] = np.arange(len(chosen))
    return _filled(values, values.shape[-2] + 1)[..., places, :]


def _filled(values: Array, size: int) -> Array:
    """Values (…, p, n) with zeros up to `size`."""
    missing = size - values.shape[-2]
    return jnp.pad(values, [(0, 0)] * (values.ndim - 2) + [(0, missing), (0, 0)])
