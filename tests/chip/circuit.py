"""A crossbar's circuit, node by node, solved by SciPy's sparse LU, for tests."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import splu


class Nodes(NamedTuple):
    """Voltages of all nodes of word lines and bit lines, (M, N, voltages' number)."""

    word: np.ndarray
    bit: np.ndarray


class Network(NamedTuple):
    """Nodes by their numbers, and the wires between them.

    The sources come first, then the ground, then the nodes whose voltages are unknown. Nodes that
    wires without resistance join are one.
    """

    word: np.ndarray
    bit: np.ndarray
    segments: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    count: int


def network(n_words: int, n_bits: int, word_line: float, bit_line: float) -> Network:
    """The wires of an array, with segments of so many ohm."""
    sources, ground = np.arange(n_words), n_words
    free = n_words + 1
    word = np.repeat(sources[:, None], n_bits, axis=1)
    if word_line > 0:
        word = free + np.arange(word.size).reshape(word.shape)
        free += word.size
    bit = np.full(word.shape, ground)
    if bit_line > 0:
        bit = free + np.arange(bit.size).reshape(bit.shape)
        free += bit.size
    segments = []
    if word_line > 0:
        starts = np.concatenate([sources[:, None], word[:, :-1]], axis=1)
        segments.append((starts, word, np.full(word.shape, 1 / word_line)))
    if bit_line > 0:
        ends = np.concatenate([bit[1:], np.full((1, n_bits), ground)])
        segments.append((bit, ends, np.full(bit.shape, 1 / bit_line)))
    return Network(word, bit, segments, free)


def nodal_matrix(count: int, edges: list[tuple[np.ndarray, np.ndarray, np.ndarray]]):
    """What flows off each node for voltages at all: edges are (one end, other end, siemens)."""
    one, other, g = (np.concatenate([np.ravel(e[k]) for e in edges]) for k in range(3))
    rows, columns = (
        np.concatenate([one, other, one, other]),
        np.concatenate([one, other, other, one]),
    )
    return sparse.csc_matrix((np.concatenate([g, g, -g, -g]), (rows, columns)), (count, count))


def solve(conductance: np.ndarray, voltage: np.ndarray, word_line: float, bit_line: float) -> Nodes:
    """The nodes' voltages for sources (M, n): cells (M, N), segments in ohm."""
    wires = network(*conductance.shape, word_line, bit_line)
    matrix = nodal_matrix(wires.count, [(wires.word, wires.bit, conductance), *wires.segments])
    known = np.concatenate([voltage, np.zeros((1, voltage.shape[1]))])
    nodes = known
    if wires.count > len(known):
        unknown = slice(len(known), None)
        right = -matrix[unknown, : len(known)] @ known
        factors = splu(matrix[unknown, unknown], permc_spec="MMD_AT_PLUS_A")
        nodes = np.concatenate([known, factors.solve(right)])
    return Nodes(nodes[wires.word], nodes[wires.bit])


def solve_nonlinear(
    current, slope, shape: tuple[int, int], voltage: np.ndarray, word_line: float, bit_line: float
) -> Nodes:
    """The same for one input (M,), with cells of currents and their derivatives by voltage.

    Newton's method on the nodes' voltages, from 0 V on; a step that makes it worse is halved.
    """
    wires = network(*shape, word_line, bit_line)
    known = np.concatenate([voltage, [0.0]])
    nodes, unknown = np.concatenate([known, np.zeros(wires.count - len(known))]), len(known)
    ohmic = nodal_matrix(wires.count, wires.segments) if wires.segments else None

    def excess(at: np.ndarray) -> np.ndarray:
        flow = current(at[wires.word] - at[wires.bit])
        total = ohmic @ at
        np.add.at(total, wires.word, flow)
        np.subtract.at(total, wires.bit, flow)
        return total[unknown:]

    for _ in range(200):
        if wires.count == unknown:
            break
        g = slope(nodes[wires.word] - nodes[wires.bit])
        matrix = nodal_matrix(wires.count, [(wires.word, wires.bit, g), *wires.segments])
        step = splu(matrix[unknown:, unknown:]).solve(-excess(nodes))
        length, before = 1.0, np.linalg.norm(excess(nodes))
        moved = lambda t, s=step, n=nodes: np.concatenate([known, n[unknown:] + t * s])
        with np.errstate(over="ignore", invalid="ignore"):
            while length > 1e-9 and not np.linalg.norm(excess(moved(length))) < before:
                length /= 2
        if length <= 1e-9 or np.max(np.abs(step)) < 1e-15 * np.max(np.abs(voltage)):
            break  # nothing is left but rounding
        nodes = moved(length)
    return Nodes(nodes[wires.word], nodes[wires.bit])


def effective(conductance: np.ndarray, word_line: float, bit_line: float) -> np.ndarray:
    """Currents (M, N) to the ground of each bit line for one volt on each word line."""
    return outputs(conductance, np.eye(len(conductance)), word_line, bit_line).T


def outputs(
    conductance: np.ndarray, voltage: np.ndarray, word_line: float, bit_line: float
) -> np.ndarray:
    """Currents (N, n) to the ground of each bit line for sources (M, n)."""
    nodes = solve(conductance, voltage, word_line, bit_line)
    return np.einsum("ij,ijk->jk", conductance, nodes.word - nodes.bit)


class Derivatives(NamedTuple):
    """Of Σ cotangent · effective conductance, by what a circuit is made of."""

    conductance: np.ndarray
    word_line: float
    bit_line: float


def derivatives(
    conductance: np.ndarray, word_line: float, bit_line: float, cotangent: np.ndarray
) -> Derivatives:
    """By Tellegen's theorem, from the circuit driven at its sources, and driven at its grounds.

    A change of a cell's conductance acts by the product of both voltages across it, a change of a
    segment's resistance by minus the product of both currents through it.
    """
    nodes = solve(conductance, np.eye(conductance.shape[0]), word_line, bit_line)
    driven = nodes.word - nodes.bit  # (M, N, source)
    turned = conductance.T[::-1, ::-1]  # where grounds are sources
    nodes = solve(turned, np.eye(conductance.shape[1])[::-1], bit_line, word_line)
    adjoint = (nodes.word - nodes.bit).transpose(1, 0, 2)[::-1, ::-1]  # (M, N, ground)
    pulled = adjoint @ cotangent.T  # (M, N, source)
    one, other = conductance[..., None] * driven, conductance[..., None] * pulled
    word = lambda currents: np.cumsum(currents[:, ::-1], axis=1)  # of segments, in any order
    bit = lambda currents: np.cumsum(currents, axis=0)
    return Derivatives(
        np.sum(driven * pulled, axis=-1),
        -np.sum(word(one) * word(other)),
        -np.sum(bit(one) * bit(other)),
    )


def cells(seed: int, n_words: int, n_bits: int, *batch: int) -> np.ndarray:
    """Conductances from 1 µS to 1 mS, log-uniform, a tenth of them open."""
    random = np.random.default_rng(seed)
    shape = (*batch, n_words, n_bits)
    return 10.0 ** random.uniform(-6, -3, shape) * (random.uniform(size=shape) > 0.1)
