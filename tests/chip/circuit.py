"""A crossbar's circuit, node by node, solved by SciPy's sparse LU, for tests."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import splu


class Nodes(NamedTuple):
    """Voltages of all nodes of word lines and bit lines, (M, N, voltages' number)."""

    word: np.ndarray
    bit: np.ndarray


def solve(conductance: np.ndarray, voltage: np.ndarray, word_line: float, bit_line: float) -> Nodes:
    """The nodes' voltages for sources (M, n): cells (M, N), segments in ohm.

    Nodes that wires without resistance join are one: the sources, or the ground.
    """
    n_words, n_bits = conductance.shape
    sources, ground = np.arange(n_words), n_words  # nodes of known voltage come first
    free = n_words + 1
    word = np.repeat(sources[:, None], n_bits, axis=1)
    if word_line > 0:
        word = free + np.arange(word.size).reshape(word.shape)
        free += word.size
    bit = np.full(word.shape, ground)
    if bit_line > 0:
        bit = free + np.arange(bit.size).reshape(bit.shape)
        free += bit.size
    edges = [(word, bit, conductance)]
    if word_line > 0:
        starts = np.concatenate([sources[:, None], word[:, :-1]], axis=1)
        edges.append((starts, word, np.full(word.shape, 1 / word_line)))
    if bit_line > 0:
        ends = np.concatenate([bit[1:], np.full((1, n_bits), ground)])
        edges.append((bit, ends, np.full(bit.shape, 1 / bit_line)))
    one, other, g = (np.concatenate([np.ravel(e[k]) for e in edges]) for k in range(3))
    rows, columns = (
        np.concatenate([one, other, one, other]),
        np.concatenate([one, other, other, one]),
    )
    matrix = sparse.csc_matrix((np.concatenate([g, g, -g, -g]), (rows, columns)), (free, free))
    known = np.concatenate([voltage, np.zeros((1, voltage.shape[1]))])
    nodes = known
    if free > len(known):
        unknown = slice(len(known), None)
        right = -matrix[unknown, : len(known)] @ known
        factors = splu(matrix[unknown, unknown], permc_spec="MMD_AT_PLUS_A")
        nodes = np.concatenate([known, factors.solve(right)])
    return Nodes(nodes[word], nodes[bit])


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
