"""The simulated chip: a device, and the stations that data passes on its way through it."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, cast, final, get_args

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp

from xbarax import _kernels
from xbarax._kernels import Implementation
from xbarax.chip import _ideal, _program, _read, _tile, _wired
from xbarax.chip._abstract import AbstractChip, Kind
from xbarax.chip._faults import Faults
from xbarax.chip._programming import AbstractProgramming, OpenLoop, WriteVerify
from xbarax.chip.converter import ADC, DAC, AbstractADC, AbstractDAC
from xbarax.chip.device import AbstractDevice, AbstractPulsed
from xbarax.chip.device import Ideal as IdealDevice
from xbarax.chip.device.presets import PRESETS
from xbarax.chip.mapping import AbstractMapping, DifferentialPair, Direct, IdealReference
from xbarax.chip.wires import AbstractWires
from xbarax.chip.wires import Ideal as IdealWires

_STATIONS = {
    "device": AbstractDevice,
    "mapping": AbstractMapping,
    "wires": AbstractWires,
    "dac": AbstractDAC,
    "adc": AbstractADC,
    "programming": AbstractProgramming,
}

_LARGEST_WEIGHT = 1e20  # so that headroom does not lead out of float32

State = dict[str, Any]
P = ParamSpec("P")
R = TypeVar("R")


def _as_implemented(
    method: Callable[Concatenate["Chip", P], R],
) -> Callable[Concatenate["Chip", P], R]:
    """Lets the chip's implementation choose the kernels that a method calls."""

    @functools.wraps(method)
    def run(chip: "Chip", /, *args: P.args, **kwargs: P.kwargs) -> R:
        with _kernels.using(chip.implementation):
            return method(chip, *args, **kwargs)

    return run


@final
@dataclasses.dataclass(frozen=True)
class Chip(AbstractChip):
    """A simulated crossbar chip; by default an ideal one, which computes exactly `y = W x`.

    A read passes the stations in this order::

        x -> dac -> wires(device) -> adc -> mapping -> sum over tiles -> y

    Args:
      device: what one cell does (`xbarax.device`).
      mapping: how weights become conductances (`xbarax.mapping`). None: `DifferentialPair()`;
        for devices that take pulses `IdealReference(headroom=2)`, room for training in place; for
        dimensionless devices `Direct()`.
      tile: the largest tile, in devices, `(inputs, outputs)` = (word lines, bit lines); a larger
        layer takes several and adds their sums digitally. None: a tile as large as the layer.
        With ideal wires and converters the tile changes nothing but the order of the sums.
      wires: what the wires between the cells do (`xbarax.wires`).
      dac: the converters of the inputs (`xbarax.DAC`).
      adc: the converters of each tile's currents (`xbarax.ADC`).
      programming: how fresh devices are brought to their targets: `xbarax.OpenLoop()`, or
        `xbarax.WriteVerify(…)` for devices that take pulses.
      faults: shares of stuck devices (`xbarax.Faults`); None: there are none, nor can be.
      drift_compensation: scale the outputs digitally by how much the sum of all conductances has
        shrunk with age (global drift compensation: V. Joshi et al., Nat. Commun. 11, 2473, 2020).
      backward: whether cotangents are read through the same chip ("analog") or multiplied with
        the read-out weights ("ideal").
      implementation: "jax" for the pure-JAX path, which is the specification; "native" for the
        compiled CPU kernels; "auto" for the native ones where they apply, else JAX.

    Raises:
      TypeError: a station is not of its abstract class.
      ValueError: a tile that is not two positive integers, an unknown word, a device that the
        mapping, the wires or the programming cannot take, or that `dac.v_read` is too much for.
    """

    device: AbstractDevice = IdealDevice()
    mapping: AbstractMapping = cast(AbstractMapping, None)  # None is replaced at once
    tile: tuple[int, int] | None = None
    wires: AbstractWires = IdealWires()
    dac: AbstractDAC = DAC()
    adc: AbstractADC = ADC()
    programming: AbstractProgramming = OpenLoop()
    faults: Faults | None = None
    drift_compensation: bool = False
    backward: Literal["analog", "ideal"] = "analog"
    implementation: Implementation = "auto"

    def __post_init__(self):
        """Refuses what cannot be a chip."""
        if self.mapping is None:
            object.__setattr__(self, "mapping", _default_mapping(self.device))
        for name, station in _STATIONS.items():
            if not isinstance(given := getattr(self, name), station):
                hint = _hint(given, station)
                raise TypeError(
                    f"Chip({name}=…) expects an {station.__name__}, given {given!r}{hint}"
                )
        self.mapping.check(self.device)
        _check_pairs(self.mapping, self.coefficients)
        self.wires.check(self.device)
        _check_tile(self.tile, self.has_column)
        _check_word("backward", self.backward, ("analog", "ideal"))
        _check_word("implementation", self.implementation, get_args(Implementation))
        if not isinstance(self.drift_compensation, bool):
            raise TypeError(
                f"drift_compensation={self.drift_compensation!r}: expected True or False"
            )
        _check_voltage(self.dac, self.device)
        _check_faults(self.faults, self.device)
        _check_programming(self.programming, self.device)

    @property
    def is_ideal(self) -> bool:
        """Whether every station is the ideal one, so that a read is the exact product."""
        return (
            self.device == IdealDevice()
            and self.mapping == Direct()
            and self.has_ideal_wires
            and isinstance(self.dac, DAC)
            and self.dac.bits is None
            and isinstance(self.adc, ADC)
            and self.adc.bits is None
            and self.faults is None
        )

    @property
    def has_ideal_wires(self) -> bool:
        """Whether cells are seen as they are."""
        return self.wires == IdealWires()

    @property
    def has_column(self) -> bool:
        """Whether each tile has a reference column."""
        return self.mapping.reference == "column"

    @property
    def coefficients(self) -> tuple[float, ...]:
        """The planes' coefficients, in 1/S."""
        return self.mapping.coefficients(self.device)

    @property
    def read_coefficients(self) -> tuple[float, ...]:
        """Those of what is converted: planes, or pairs of planes whose currents are subtracted."""
        return self.coefficients[:: 2 if self.mapping.subtracts_currents else 1]

    @property
    def clips(self) -> bool:
        """Whether the converters of the currents have a range that a read can leave."""
        return not self.is_ideal and self.adc.clips

    @property
    def noisy_read(self) -> bool:
        """Whether the device has read noise."""
        return self.device.noisy_read

    @property
    def noisy_program(self) -> bool:
        """Whether the device is programmed with an error, or faults are drawn."""
        return self.device.noisy_program or (self.faults is not None and self.faults.random)

    @property
    def has_side_effects(self) -> bool:
        """A simulated chip has none."""
        return False

    def check(self, weights: np.ndarray) -> None:
        """Refuses weights beyond a fixed range."""
        most = self.mapping.fixed_range
        if most is None:
            if not self.is_ideal and np.any(np.abs(weights) > _LARGEST_WEIGHT):
                raise ValueError(
                    f"weights: expected magnitudes up to {_LARGEST_WEIGHT:g} on a chip that is not "
                    f"ideal, given {float(np.max(np.abs(weights)))}"
                )
            return
        beyond = np.argwhere(np.abs(weights) > most * (1 + 1e-6))
        if len(beyond):
            first = tuple(map(int, beyond[0]))
            raise ValueError(
                f"weights: expected magnitudes within weight_range={most}, given {len(beyond)} "
                f"beyond it, the first at {first}: {float(weights[first])}"
            )

    def drive(self, inputs: Array) -> Array:
        """What the inputs' converters make of them."""
        return inputs if self.is_ideal else self.dac.convert(inputs)

    @_as_implemented
    def program(self, weights: Array, key: Array | None) -> State:
        """Programs fresh devices to the mapping's targets."""
        if not self.is_ideal:
            return _program.program(self, weights, key)
        cells = self.device.program(weights[None], 0.0, None)
        return {"cells": cells, "not_finite": _ideal.count_not_finite(weights)}

    @_as_implemented
    def read(
        self, state: State, inputs: Array, key: Array | None, *, transpose: bool, kind: Kind
    ) -> Array:
        """Passes the stations in the order of the class's docstring."""
        backward = kind == "backward"
        if self.is_ideal or (backward and self.backward == "ideal"):
            return self._ideal_read(state, inputs, transpose, backward)
        return _read.read(self, state, inputs, key, transpose, backward)

    @_as_implemented
    def drive_and_read(
        self, state: State, inputs: Array, key: Array | None, *, transpose: bool
    ) -> Array:
        """The same from the inputs' converters on."""
        if self.is_ideal:
            return self._ideal_read(state, inputs, transpose, backward=False)
        return _read.drive_and_read(self, state, inputs, key, transpose)

    def _ideal_read(self, state: State, inputs: Array, transpose: bool, backward: bool) -> Array:
        weights = self.readout(state)
        if not (backward and self.clips):
            return _ideal.product(weights, inputs, transpose=transpose)
        n_out, n_in = weights.shape
        oriented = weights if transpose else weights.T  # (from, to)
        part = self.part(state, transpose=not transpose)
        n = n_out if transpose else n_in
        apart = inputs.reshape(inputs.shape[0], inputs.shape[1] // n, n)
        pieces = [
            jnp.matmul(
                apart[:, i],
                oriented[:, i * part : (i + 1) * part],
                precision=jax.lax.Precision.HIGHEST,
            )
            for i in range(apart.shape[1])
        ]
        return jnp.concatenate(pieces, axis=1)

    def reads_of_a_kernel(self, state: State) -> tuple[Any, Any, dict[str, Any]]:
        """Forward and backward reads as a kernel of neurons makes them, and their operands.

        The backward one is None where plain weights stand for it. For chips that
        `can_be_read_in_kernels`.
        """
        forward, operands = _read.described(self, state, transpose=False, kind="whole")
        if self.backward == "ideal":
            return forward, None, operands
        return forward, _read.described(self, state, transpose=True, kind="backward")[0], operands

    def can_be_read_in_kernels(self, state: State) -> bool:
        """Whether kernels of neurons can read such an array themselves.

        Converters of its currents that clip need more of a layer than they keep.
        """
        linear = "matrix" in state["seen"] or len(state["seen"]["terms"]) == 1
        known = isinstance(self.dac, DAC) and isinstance(self.adc, ADC)
        product = linear and not self.wires.per_read
        return self.implementation != "jax" and product and known and not self.clips

    @_as_implemented
    def inside(self, state: State, inputs: Array, key: Array | None, *, transpose: bool) -> Array:
        """Which partial sums the converters of the currents do not clip."""
        return _read.inside(self, state, inputs, key, transpose)

    def part(self, state: State, *, transpose: bool) -> int:
        """What a tile has of the inputs' axis."""
        tiling = self.tiling(state)
        return tiling.lines if transpose else tiling.words

    @_as_implemented
    def update(self, state: State, delta: Array, key: Array | None) -> State:
        """Lets the devices respond to a change of the weights."""
        if not self.is_ideal:
            return _program.update(self, state, delta, key)
        cells, bad = _ideal.update(state["cells"], delta[None])
        return {"cells": cells, "not_finite": state["not_finite"] + bad}

    @_as_implemented
    def readout(self, state: State) -> Array:
        """What the mapping makes of the cells' conductances."""
        return state["cells"][0] if self.is_ideal else _program.readout(self, state)

    def report(self, state: State) -> dict[str, Array]:
        """The array's counters; a device that does not count something has 0 of it."""
        zero = jnp.zeros((), jnp.int32)
        counters = {"saturated": zero, "not_converged": zero, "pulses": zero}
        if self.is_ideal:
            return {**counters, "not_finite": state["not_finite"]}
        counters |= self.device.counters(state["cells"])
        return {
            **counters,
            "saturated": counters["saturated"] + state["saturated"],
            "not_converged": state["not_converged"],
            "not_finite": state["not_finite"],
        }

    # What only simulated chips can do.

    @_as_implemented
    def see(self, state: State) -> State:
        """The state with what reads see of the devices, computed once more."""
        return state if self.is_ideal else _program.see(self, state)

    @_as_implemented
    def push_forward(self, planes: Array, change: Array) -> Array:
        """A change of programmed weights (out, in) as one of effective ones, to first order.

        `planes` are the devices' conductances, as `conductances` gives them.
        """
        return change if self.has_ideal_wires else _wired.push_forward(self, planes, change)

    @_as_implemented
    def pull_back(self, planes: Array, gradient: Array) -> Array:
        """A gradient with respect to effective weights (out, in) as one of programmed weights."""
        return gradient if self.has_ideal_wires else _wired.pull_back(self, planes, gradient)

    @_as_implemented
    def age(self, state: State, seconds: Array) -> State:
        """Lets time pass."""
        return state if self.is_ideal else _program.age(self, state, seconds)

    @_as_implemented
    def calibrate(self, state: State, inputs: Array) -> State:
        """Fits the ranges of the currents' converters to inputs (n, in)."""
        return _program.calibrate(self, state, inputs)

    @_as_implemented
    def set_faults(self, state: State, stuck: Array) -> State:
        """Replaces the map of stuck devices (planes, rows, in)."""
        return _program.set_faults(self, state, stuck)

    @_as_implemented
    def conductances(self, state: State) -> Array:
        """The devices' conductances (planes, rows, in), in siemens."""
        return state["cells"] if self.is_ideal else _program.conductances(self, state)

    def fault_map(self, state: State) -> Array:
        """Which devices are stuck (planes, rows, in): 0 none, 1 low, 2 high, int8."""
        if self.faults is not None:
            return state["stuck"]
        return jnp.zeros(self.conductances(state).shape, jnp.int8)

    def pulse_step(self, state: State) -> Array:
        """The change of a weight by one mean pulse up, and by one down: (2,), both positive."""
        assert isinstance(self.device, AbstractPulsed)
        steps = jnp.asarray(self.device.steps, jnp.float32)
        return self.coefficients[0] * self.device.siemens * state["largest"] * steps

    def tiling(self, state: State) -> _tile.Tiling:
        """How the layer is cut into tiles."""
        n_out, n_in, _ = state["layer"].shape
        return _tile.cut(n_out, n_in, self.tile, self.has_column)

    def weight_scale(self, state: State) -> Array:
        """The weight that one unit stands for at the array's age."""
        return state["largest"] * state["gain"] if self.drift_compensation else state["largest"]


def _default_mapping(device: Any) -> AbstractMapping:
    if isinstance(device, AbstractPulsed):
        return IdealReference(headroom=2.0)
    if isinstance(device, AbstractDevice) and device.conductance_range[0] >= 0:
        return DifferentialPair()
    return Direct()


def _hint(given: Any, station: type) -> str:
    """For a station's class, or a function such as a preset, that was not called or is named."""
    if isinstance(given, str) and issubclass(AbstractDevice, station) and given in PRESETS:
        return f"; did you mean xbarax.device.presets.{given}()?"
    if not (inspect.isfunction(given) or (inspect.isclass(given) and issubclass(given, station))):
        return ""
    module = given.__module__.rpartition(".")[2]
    place = "" if module.startswith("_") else f"{module}."
    required = [p for p in inspect.signature(given).parameters.values() if p.default is p.empty]
    return f"; did you mean {place}{given.__name__}({'…' if required else ''})?"


def _check_tile(tile: Any, has_column: bool) -> None:
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
    if has_column and tile[1] < 2:
        raise ValueError(
            f"tile={tile!r}: expected at least 2 outputs, one of which is the offset column"
        )


def _check_pairs(mapping: AbstractMapping, coefficients: tuple[float, ...]) -> None:
    if not mapping.subtracts_currents:
        return
    first, second = coefficients[::2], coefficients[1::2]
    if len(first) != len(second) or any(a != -b for a, b in zip(first, second, strict=True)):
        raise ValueError(
            f"{mapping!r} subtracts currents, and so needs pairs of coefficients of opposite sign, "
            f"given {coefficients}"
        )


def _check_word(name: str, given: Any, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise ValueError(f"{name}={given!r}: expected one of {', '.join(map(repr, allowed))}")


def _check_voltage(dac: AbstractDAC, device: AbstractDevice) -> None:
    if not dac.v_read <= device.max_voltage:
        raise ValueError(
            f"dac: expected v_read up to {device.max_voltage} V, the max_voltage of "
            f"{type(device).__name__}, given v_read={dac.v_read} V"
        )


def _check_faults(faults: Any, device: AbstractDevice) -> None:
    if faults is None:
        return
    if not isinstance(faults, Faults):
        raise TypeError(f"Chip(faults=…) expects xbarax.Faults(…) or None, given {faults!r}")
    if not np.all(np.isfinite(device.conductance_range)):
        raise ValueError(
            f"faults: a stuck device is at an end of its range, and {device!r} has none"
        )


def _check_programming(programming: AbstractProgramming, device: AbstractDevice) -> None:
    if isinstance(programming, WriteVerify) and not isinstance(device, AbstractPulsed):
        raise ValueError(
            "WriteVerify is for devices that take pulses; the published error of "
            f"{type(device).__name__} already is what write-verify left: use OpenLoop()"
        )
