"""The simulated chip: a device, and the stations that data passes on its way through it."""

import dataclasses
from typing import Any, Literal, get_args

import jax
from jax import Array
from jax import numpy as jnp

from xbarax._kernels import Implementation
from xbarax.chip import _ideal, _tile
from xbarax.chip._abstract import AbstractChip, Kind
from xbarax.chip.converter import AbstractConverter
from xbarax.chip.converter import Ideal as IdealConverter
from xbarax.chip.device import AbstractDevice
from xbarax.chip.device import Ideal as IdealDevice
from xbarax.chip.mapping import AbstractMapping, Direct
from xbarax.chip.wires import AbstractWires
from xbarax.chip.wires import Ideal as IdealWires

_STATIONS = {
    "device": AbstractDevice,
    "mapping": AbstractMapping,
    "wires": AbstractWires,
    "dac": AbstractConverter,
    "adc": AbstractConverter,
}


@dataclasses.dataclass(frozen=True)
class Chip(AbstractChip):
    """A simulated crossbar chip; by default an ideal one, which computes exactly `y = W x`.

    A read passes the stations in this order::

        x -> dac -> wires(device) -> adc -> sum over tiles -> mapping -> y

    Args:
      device: what one cell does (`xbarax.device`).
      mapping: how weights become conductances (`xbarax.mapping`).
      tile: the largest tile, in devices, `(inputs, outputs)` = (word lines, bit lines); a larger
        layer takes several and adds their sums digitally. None: a tile as large as the layer.
        With ideal wires and converters the tile changes nothing but the order of the sums.
      wires: what the wires between the cells do (`xbarax.wires`).
      dac: the converter of the inputs (`xbarax.converter`).
      adc: the converter of each tile's sums.
      backward: whether cotangents are read through the same chip ("analog") or multiplied with
        the read-out weights ("ideal").
      implementation: "jax" for the pure-JAX path, which is the specification; "native" for the
        compiled CPU kernels; "auto" for the native ones where they apply, else JAX.

    Raises:
      TypeError: a station is not of its abstract class.
      ValueError: a tile that is not two positive integers, an unknown word for `backward` or
        `implementation`, or `implementation="native"` for a chip that has no native kernel.
    """

    device: AbstractDevice = IdealDevice()
    mapping: AbstractMapping = Direct()
    tile: tuple[int, int] | None = None
    wires: AbstractWires = IdealWires()
    dac: AbstractConverter = IdealConverter()
    adc: AbstractConverter = IdealConverter()
    backward: Literal["analog", "ideal"] = "analog"
    implementation: Implementation = "auto"

    def __post_init__(self):
        """Refuses what cannot be a chip."""
        for name, station in _STATIONS.items():
            if not isinstance(given := getattr(self, name), station):
                raise TypeError(f"Chip({name}=…) expects an {station.__name__}, given {given!r}")
        _check_tile(self.tile)
        _check_word("backward", self.backward, ("analog", "ideal"))
        _check_word("implementation", self.implementation, get_args(Implementation))
        if self.implementation == "native" and not self.is_ideal:
            raise ValueError(
                "implementation='native': only the ideal chip has native kernels; "
                f"use 'auto' or 'jax' for {self!r}"
            )

    @property
    def is_ideal(self) -> bool:
        """Whether every station is the ideal one, so that a read is the exact product."""
        return (
            self.device == IdealDevice()
            and self.mapping == Direct()
            and self.wires == IdealWires()
            and self.dac == IdealConverter()
            and self.adc == IdealConverter()
        )

    @property
    def noisy_read(self) -> bool:
        """Whether the device has read noise."""
        return self.device.noisy_read

    @property
    def noisy_program(self) -> bool:
        """Whether the device is programmed with an error."""
        return self.device.noisy_program

    @property
    def has_side_effects(self) -> bool:
        """A simulated chip has none."""
        return False

    def program(self, weights: Array, key: Array | None) -> dict[str, Any]:
        """Programs fresh devices to the mapping's targets."""
        targets = self.mapping.targets(weights, self.device)
        cells = self.device.program(targets, key)
        return {"cells": cells, "not_finite": _ideal.count_not_finite(weights)}

    def read(
        self,
        state: dict[str, Any],
        inputs: Array,
        key: Array | None,
        *,
        transpose: bool,
        kind: Kind,
    ) -> Array:
        """Passes the stations in the order of the class's docstring."""
        if self.is_ideal or (kind == "backward" and self.backward == "ideal"):
            weights = self.readout(state)
            implementation = self.implementation if self.is_ideal else "jax"
            return _ideal.product(
                weights, inputs, transpose=transpose, implementation=implementation
            )
        return self._analog_read(state["cells"], inputs, key, transpose)

    def _analog_read(self, cells: Any, inputs: Array, key: Array | None, transpose: bool) -> Array:
        planes = self.device.conductance(cells)
        n_out = planes.shape[2] if transpose else planes.shape[1]
        orient = _tile.transpose if transpose else lambda tiles: tiles
        tiles = orient(self.wires.effective(_tile.split(planes, self.tile)))
        lines = _tile.cut_inputs(self.dac.convert(inputs), tiles)
        sums = _tile.currents(tiles, lines)
        deviation = self.device.read_deviation(cells)
        if deviation is not None:
            variance = orient(_tile.split(jnp.square(deviation), self.tile))
            sums += _aggregate_noise(_tile.currents(variance, jnp.square(lines)), key)
        return self.mapping.combine(_tile.add_up(self.adc.convert(sums), n_out), self.device)

    def update(self, state: dict[str, Any], delta: Array, key: Array | None) -> dict[str, Any]:
        """Lets the devices respond to a change of the weights."""
        deltas = self.mapping.deltas(delta, self.device)
        if self.is_ideal:
            cells, bad = _ideal.update(state["cells"], deltas, implementation=self.implementation)
        else:
            cells = self.device.update(state["cells"], deltas, key)
            bad = _ideal.count_not_finite(delta)
        return {"cells": cells, "not_finite": state["not_finite"] + bad}

    def readout(self, state: dict[str, Any]) -> Array:
        """What the mapping makes of the cells' conductances."""
        return self.mapping.combine(self.device.conductance(state["cells"]), self.device)

    def report(self, state: dict[str, Any]) -> dict[str, Array]:
        """The array's counters; a device that does not count something has 0 of it."""
        zero = jnp.zeros((), jnp.int32)
        counters = {"saturated": zero, "not_converged": zero, "pulses": zero}
        return {
            **counters,
            **self.device.counters(state["cells"]),
            "not_finite": state["not_finite"],
        }


def _aggregate_noise(variance: Array, key: Array | None) -> Array:
    """Independent noise of all cells of a line, summed up: one draw with the summed variance.

    `variance` is (planes, tiles out, tiles in, rows, lines). Rows come first in the draw, so that
    a row's noise depends on the key and its number alone.
    """
    assert key is not None
    rows_first = jnp.moveaxis(variance, 3, 0)
    noise = jax.random.normal(key, rows_first.shape, variance.dtype) * jnp.sqrt(rows_first)
    return jnp.moveaxis(noise, 0, 3)


def _check_tile(tile: Any) -> None:
    if tile is None:
        return
    if not (
        isinstance(tile, tuple)
        and len(tile) == 2
        and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in tile)
    ):
        raise ValueError(
            f"tile={tile!r}: expected two positive integers, (inputs, outputs), or None"
        )


def _check_word(name: str, given: Any, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise ValueError(f"{name}={given!r}: expected one of {', '.join(map(repr, allowed))}")
