"""Chips behind drivers: their arrays are handles."""

import dataclasses
import json
import warnings
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp

from xbarax import _kernels
from xbarax.chip import AbstractStatefulChip, Kind
from xbarax.hardware import _lifetimes, _native
from xbarax.hardware._driver import Description
from xbarax.hardware._platform import on_cpu

State = dict[str, Any]


class PulsesLostWarning(UserWarning):
    """Recovered weights lack the pulses after the last that were asked for or read out."""


@dataclasses.dataclass(frozen=True, repr=False)
class DriverChip(AbstractStatefulChip):
    """A chip behind a driver.

    Made by `xbarax.hardware.load`. An array's value is a handle: the array's id on the chip, and a
    generation that each programming raises. The chip refuses stale handles, with both numbers. All
    calls are side effects: they run as often as the program says, never merged, hoisted or dropped,
    one at a time for each device. A read of any number of input vectors is one call; so are the
    reads that `vmap` makes of one array.

    The one exception is JAX's: in the reverse-mode derivative of a loop (`scan`, `fori_loop`),
    reads and programming that depend on nothing that the loop changes run once, before it.

    Args:
      driver: the absolute path of a shared library, or `module:Class`.
      config: the device's configuration, a JSON object as text.
      isolated: whether the driver runs in a process of its own.
      deadline: how long a call into that process may take, in seconds.
      record: the absolute path of the file that calls are recorded to, or None.
    """

    driver: str
    config: str = "{}"
    isolated: bool = False
    deadline: float = 60.0
    record: str | None = None

    @property
    def name(self) -> str:
        """Under which the device is open in this process, and known to compiled programs."""
        return json.dumps(dataclasses.astuple(self))

    @property
    def description(self) -> Description:
        """What the device says of itself.

        Raises:
          DriverError: it is not open.
        """
        return _native.describe(self.name)

    def __repr__(self) -> str:
        """The driver, and what differs from the defaults."""
        given = [
            f"{field.name}={value!r}"
            for field in dataclasses.fields(self)[1:]
            if (value := getattr(self, field.name)) != field.default
        ]
        return f"DriverChip({', '.join([repr(self.driver), *given])})"

    def __reduce__(self) -> tuple:
        """Loading it opens the device again."""
        from xbarax.hardware._load import open_chip

        return open_chip, dataclasses.astuple(self)

    @property
    def noisy_read(self) -> bool:
        """The chip makes its own noise; no key is needed."""
        return False

    @property
    def noisy_program(self) -> bool:
        """The chip makes its own noise; no key is needed."""
        return False

    @property
    def has_side_effects(self) -> bool:
        """Every call counts."""
        return True

    @property
    def clips(self) -> bool:
        """What the chip does inside is its driver's business."""
        return False

    def check(self, weights: np.ndarray) -> None:
        """Refuses weights beyond the chip's range."""
        said = self.description
        # The range is in float32, as weights are.
        low, high = np.float32(said.weight_low), np.float32(said.weight_high)
        beyond = np.argwhere((weights < low) | (weights > high))
        if len(beyond):
            first = tuple(map(int, beyond[0]))
            raise ValueError(
                f"weights: expected within [{low:g}, {high:g}], the range of {said.name}, given "
                f"{len(beyond)} beyond it, the first at {first}: {float(weights[first]):g}"
            )

    def drive(self, inputs: Array) -> Array:
        """The driver gets the inputs themselves."""
        return inputs

    def inside(self, state: State, inputs: Array, key: Array | None, *, transpose: bool) -> Array:
        """Never asked, since nothing clips."""
        raise NotImplementedError

    def part(self, state: State, *, transpose: bool) -> int:
        """Never asked, since nothing clips."""
        raise NotImplementedError

    def program(self, weights: Array, key: Array | None) -> State:
        """Never asked: arrays take a place first, and are written then."""
        raise NotImplementedError

    def layout(self, shape: tuple[int, ...]) -> State:
        """The array's handle, its counters, and its size, which is in the type of no numbers."""
        counter = jax.ShapeDtypeStruct((), jnp.int32)
        return {
            "extent": jax.ShapeDtypeStruct((*shape, 0), jnp.float32),
            "handle": _kernels.HANDLE,
            "pulses": counter,
            "saturated": counter,
        }

    def allocate(self, shape: tuple[int, ...]) -> State:
        """Takes a place for each array of a batch, all or none."""
        _lifetimes.settle(wait=True)
        *batch, n_out, n_in = shape
        handles: list[tuple[int, int]] = []
        try:
            for _ in range(int(np.prod(batch))):
                handles.append(_native.allocate(self.name, n_out, n_in))
        except BaseException:
            for array, _ in handles:
                _native.release(self.name, array)
            raise
        zero = jnp.zeros(batch, jnp.int32)
        return {
            "extent": jnp.zeros((*shape, 0)),
            "handle": jnp.asarray(np.array(handles, np.uint32).reshape(*batch, 2)),
            "pulses": zero,
            "saturated": zero,
        }

    def hold(self, array: Any, state: State) -> None:
        """Keeps the places for as long as `array` lives; traced arrays have none."""
        if not isinstance(state["handle"], jax.core.Tracer):
            _lifetimes.hold(self.name, array, state["handle"])

    def settle(self) -> None:
        """Gives back what nothing stands for any more."""
        _lifetimes.settle()

    def write(self, state: State, weights: Array, key: Array | None) -> State:
        """The driver's `program`."""
        return self._written("program", state, weights)

    def update(self, state: State, delta: Array, key: Array | None) -> State:
        """The driver's `update`, or what stands for it."""
        return self._written("update", state, delta)

    def _written(self, how: str, state: State, numbers: Array) -> State:
        handle = on_cpu(state["handle"], self)
        handle, count = _kernels.device_write(how, handle, numbers, device=self.name)
        return {**state, "handle": handle, "saturated": state["saturated"] + count}

    def pulse(self, state: State, pulses: Array, key: Array | None) -> State:
        """The driver's `pulse`."""
        handle = on_cpu(state["handle"], self)
        handle = _kernels.device_pulse(handle, pulses, device=self.name)
        return {**state, "handle": handle, "pulses": state["pulses"] + jnp.abs(pulses).sum()}

    def read(
        self, state: State, inputs: Array, key: Array | None, *, transpose: bool, kind: Kind
    ) -> Array:
        """The driver's `read` or `read_transposed`, of all rows at once."""
        n_out, n_in, _ = state["extent"].shape
        n = n_in if transpose else n_out
        handle = on_cpu(state["handle"], self)
        return _kernels.device_read(handle, inputs, n, device=self.name, transpose=transpose)

    def readout(self, state: State) -> Array:
        """The driver's `read_out`, or what stands for it."""
        shape = state["extent"].shape[:-1]
        return _kernels.device_read_out(on_cpu(state["handle"], self), shape, device=self.name)

    def after(self, state: State, others: list[Array]) -> State:
        """The same handle, which depends on `others`."""
        handle = on_cpu(state["handle"], self)
        return {**state, "handle": _kernels.device_after(handle, others)}

    def report(self, state: State) -> dict[str, Array]:
        """`saturated` counts what was asked for beyond the range, `pulses` pulses as asked for."""
        zero = jnp.zeros((), jnp.int32)
        counted = {name: state[name] for name in ("saturated", "pulses")}
        return {**counted, "not_converged": zero, "not_finite": zero}

    def recover(self, state: State) -> State:
        """The current handles of the state's arrays."""
        handles = np.array(state["handle"])
        pairs = handles.reshape(-1, 2)
        for pair in pairs:
            *pair[:], pulses_lost = _native.recover(self.name, int(pair[0]))
            if pulses_lost:
                warnings.warn(
                    f"{self.description.name}: array {pair[0]} has the weights that were asked for "
                    "or read out last; the pulses since then are lost",
                    PulsesLostWarning,
                    stacklevel=2,
                )
        return {**state, "handle": jnp.asarray(handles)}

    def stored(self, state: State) -> dict[str, Any]:
        """Weights and counters."""
        weights = _vmapped(self.readout, state["handle"].ndim - 1)(state)
        return {**{name: state[name] for name in ("pulses", "saturated")}, "weights": weights}

    def restored(self, state: State, stored: dict[str, Any]) -> State:
        """Programs the weights."""
        write = lambda state, weights: self.write(state, weights, None)
        weights = jnp.asarray(stored["weights"])
        new = jax.jit(_vmapped(write, weights.ndim - 2))(state, weights)
        counters = {name: jnp.asarray(stored[name]) for name in ("pulses", "saturated")}
        return jax.block_until_ready({**new, **counters})


def _vmapped(function: Callable[..., Any], axes: int) -> Callable[..., Any]:
    for _ in range(axes):
        function = jax.vmap(function)
    return function
