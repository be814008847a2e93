"""A chip's read written down once more, tile by tile in NumPy and double precision, for tests."""

from typing import Any, NamedTuple

import numpy as np

import xbarax as xb
from tests.chip import circuit


def quantise(values: Any, full_scale: Any, bits: int, signed: bool = True) -> np.ndarray:
    """The nearest of 2^bits − 1 levels around zero, or of 2^bits from zero on."""
    half = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    scale = np.where(np.asarray(full_scale) > 0, full_scale, 1)
    level = np.clip(np.rint(values / scale * half), -half if signed else 0, half)
    return level * full_scale / half


class Model(NamedTuple):
    """An array's devices, and how they are cut into tiles."""

    planes: np.ndarray  # (planes, outputs and then reference columns, inputs), in siemens;
    # where the currents of pairs are subtracted, differences of two
    coefficients: np.ndarray  # the weight that a siemens of each plane stands for
    n_out: int
    words: int  # inputs of a tile
    lines: int  # outputs of a tile, without the reference column
    column: bool
    volts: float
    bits: int
    signed: bool = True

    def tiles(self) -> Any:
        """Where tiles are, and their outputs, rows of devices and inputs."""
        n_in = self.planes.shape[2]
        for a, first in enumerate(range(0, self.n_out, self.lines)):
            outs = np.arange(first, min(first + self.lines, self.n_out))
            rows = np.append(outs, self.n_out + a) if self.column else outs
            for b, start in enumerate(range(0, n_in, self.words)):
                yield a, b, outs, rows, np.arange(start, min(start + self.words, n_in))

    def currents(self, x: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
        """Each tile's currents, (planes, n, its rows), for what the DACs make of inputs."""
        return {
            (a, b): np.einsum("plw,nw->pnl", self.planes[:, rows][..., ins], self.volts * x[:, ins])
            for a, b, _, rows, ins in self.tiles()
        }

    def forward(self, x: np.ndarray, full_scale: Any) -> tuple[np.ndarray, np.ndarray]:
        """Outputs, and which partial sums are inside the range, (n, tiles of inputs, out).

        `full_scale` takes the tile's place and its currents.
        """
        n_tiles = -(-self.planes.shape[2] // self.words)
        y = np.zeros((len(x), self.n_out))
        inside = np.zeros((len(x), n_tiles, self.n_out))
        currents = self.currents(x)
        for a, b, outs, *_ in self.tiles():
            scale = full_scale((a, b), currents[a, b])
            seen = quantise(currents[a, b], scale, self.bits, self.signed)
            low = -scale if self.signed else 0
            fits = np.all((currents[a, b] <= scale) & (currents[a, b] >= low), axis=0)
            if self.column:
                seen, fits = seen[..., :-1] - seen[..., -1:], fits[:, :-1] & fits[:, -1:]
            y[:, outs] += np.einsum("p,pnl->nl", self.coefficients, seen) / self.volts
            inside[:, b, outs] = fits
        return y, inside

    def back(self, apart: np.ndarray, full_scale: Any, dac: Any = None) -> np.ndarray:
        """Transposed reads of (n, tiles of inputs, out), to (n, in).

        `dac` is what converters make of the vector on each tile's lines.
        """
        x = np.zeros((len(apart), self.planes.shape[2]))
        for a, b, outs, rows, ins in self.tiles():
            on_lines = apart[:, b][:, outs]
            on_lines = on_lines if dac is None else dac(on_lines)
            if self.column:
                on_lines = np.append(on_lines, -on_lines.sum(1, keepdims=True), axis=1)
            devices = self.planes[:, rows][..., ins]
            currents = np.einsum("plw,nl->pnw", devices, self.volts * on_lines)
            seen = quantise(currents, full_scale((a, b), currents), self.bits, self.signed)
            x[:, ins] += np.einsum("p,pnw->nw", self.coefficients, seen) / self.volts
        return x


def through_wires(
    model: Model, planes: np.ndarray, word_line: float, bit_line: float
) -> np.ndarray:
    """What each tile, cut to what is there, shows of its devices between resistive wires."""
    seen = np.array(planes)
    for *_, rows, ins in model.tiles():
        where = np.ix_(rows, ins)
        for plane, own in zip(seen, planes, strict=True):
            plane[where] = circuit.effective(own[where].T, word_line, bit_line).T
    return seen


def per_vector(_: Any, currents: np.ndarray) -> np.ndarray:
    """The range of converters that take each vector's own largest magnitude."""
    return np.max(np.abs(currents), axis=-1, keepdims=True)


def of(w: Any, coefficients: Any) -> Model:
    """The model of an array whose chip has ADCs with bits."""
    chip, planes = w.chip, np.asarray(xb.conductances(w), np.float64)
    if chip.mapping.subtracts_currents:
        planes = planes[::2] - planes[1::2]
    column = isinstance(chip.mapping, xb.mapping.OffsetColumn)
    n_out, n_in = w.shape
    words, lines = (n_in, n_out + column) if chip.tile is None else chip.tile
    return Model(
        planes,
        np.asarray(coefficients, np.float64),
        n_out,
        words,
        lines - column,
        column,
        chip.dac.v_read,
        chip.adc.bits,
        chip.adc.signed,
    )
