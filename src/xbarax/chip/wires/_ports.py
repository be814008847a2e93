"""The ports of blocks of cells, and how the ports of two become those of one.

A block is a rectangle of cells with the wire segment on the near side of each: near the source on
word lines, near the ground on bit lines. At the near end of a line, a block is given the voltage
and answers with the current that it draws; at the far end, it is given the current that is drawn
and answers with the voltage. That exists for every resistance and conductance from 0 on, and makes
the matrix from what is given to the answers, the *hybrid matrix*, symmetric.
"""

import functools
from typing import NamedTuple

import numpy as np

Indices = np.ndarray


class Side(NamedTuple):
    """The ports of one of two blocks, by their numbers.

    Attributes:
      joined: those that meet the other block.
      kept: those that become ports of both together; at the others, 0 is given.
      outputs: rows of the matrix that are answers only.
    """

    joined: Indices
    kept: Indices
    outputs: Indices


class Joint(NamedTuple):
    """How two blocks become one.

    Attributes:
      axis: along which they lie, of the grid of blocks: 0 along bit lines, 1 along word lines.
      near, far: their ports.
      order: where the ports of both together are, and behind them the outputs, among
        (near.kept, far.kept, near.outputs, far.outputs).
    """

    axis: int
    near: Side
    far: Side
    order: Indices


def block_ports(m: int, n: int) -> dict[str, Indices]:
    """The ports of a block of m word lines and n bit lines."""
    return _numbered({"word near": m, "bit near": n, "bit far": n, "word far": m})


def strip_ports(m: int, n: int) -> dict[str, Indices]:
    """The ports of a block that has whole bit lines: nothing is drawn at their far ends.

    Their near ends are on the ground, and the currents there are answers only: rows at the end.
    """
    return _numbered({"word near": m, "word far": m, "outputs": n})


@functools.cache
def along_word_lines(m: int, n: int) -> Joint:
    """Two blocks of m word lines and n bit lines to one of m and 2n."""
    p = block_ports(m, n)
    near = _side(p["word far"], p["word near"], p["bit near"], p["bit far"])
    far = _side(p["word near"], p["bit near"], p["bit far"], p["word far"])
    kept = _numbered({"a": m, "b1": n, "c1": n, "b2": n, "c2": n, "d": m})
    return Joint(1, near, far, _chosen(kept, "a", "b1", "b2", "c1", "c2", "d"))


@functools.cache
def along_bit_lines(m: int, n: int) -> Joint:
    """Two blocks of m word lines and n bit lines to one of 2m and n."""
    p = block_ports(m, n)
    near = _side(p["bit far"], p["word near"], p["bit near"], p["word far"])
    far = _side(p["bit near"], p["word near"], p["bit far"], p["word far"])
    kept = _numbered({"a1": m, "b": n, "d1": m, "a2": m, "c": n, "d2": m})
    return Joint(0, near, far, _chosen(kept, "a1", "a2", "b", "c", "d1", "d2"))


@functools.cache
def to_strips(m: int, n: int) -> Joint:
    """Two blocks with halves of bit lines to one with whole ones."""
    p = block_ports(m, n)
    words = p["word near"], p["word far"]
    near = _side(p["bit far"], *words, outputs=p["bit near"])
    far = _side(p["bit near"], *words)
    kept = _numbered({"a1": m, "d1": m, "a2": m, "d2": m})
    outputs = 4 * m + np.arange(n)
    return Joint(0, near, far, np.concatenate([_chosen(kept, "a1", "a2", "d1", "d2"), outputs]))


@functools.cache
def of_strips(m: int, n: int, last: bool) -> Joint:
    """Two strips to one; nothing is drawn at the far ends of the last one's word lines."""
    p = strip_ports(m, n)
    near = _side(p["word far"], p["word near"], outputs=p["outputs"])
    far_ends = () if last else (p["word far"],)
    far = _side(p["word near"], *far_ends, outputs=p["outputs"])
    return Joint(1, near, far, np.arange((m if last else 2 * m) + 2 * n))


def strip_of_block(m: int, n: int) -> Indices:
    """Where the ports and outputs of a strip are in the matrix of a block that is one."""
    return _chosen(block_ports(m, n), "word near", "word far", "bit near")


def _side(joined: Indices, *kept: Indices, outputs: Indices | None = None) -> Side:
    nothing = np.arange(0)
    chosen = np.concatenate([nothing, *kept])
    return Side(joined, chosen, nothing if outputs is None else outputs)


def _numbered(sizes: dict[str, int]) -> dict[str, Indices]:
    ends = np.cumsum(list(sizes.values()))
    return {
        name: np.arange(end - size, end)
        for (name, size), end in zip(sizes.items(), ends, strict=True)
    }


def _chosen(numbered: dict[str, Indices], *names: str) -> Indices:
    return np.concatenate([numbered[name] for name in names])
