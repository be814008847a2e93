"""What every chip offers to the array type, simulated or real."""

import abc
from typing import Any, Literal

from jax import Array

Kind = Literal["forward", "backward"]
"""Whether a read serves the forward pass or carries cotangents back."""


class AbstractChip(abc.ABC):
    """What a crossbar array is made of: how it is programmed, read and updated.

    A chip is static: a frozen, hashable dataclass of numbers and names that becomes part of the
    array's type. What a programmed array holds is its *state*, a pytree of arrays that the chip's
    methods make and consume; shapes below are those of one array, batches come by `jax.vmap`.
    Methods are pure functions of their arguments, or, where `has_side_effects` is true, calls into
    something outside of JAX.
    """

    @property
    @abc.abstractmethod
    def noisy_read(self) -> bool:
        """Whether a read draws random numbers, and so needs a key."""

    @property
    @abc.abstractmethod
    def noisy_program(self) -> bool:
        """Whether programming draws random numbers, and so needs a key."""

    @property
    @abc.abstractmethod
    def has_side_effects(self) -> bool:
        """Whether programs and reads are calls that must never be merged, moved or dropped."""

    @property
    @abc.abstractmethod
    def clips(self) -> bool:
        """Whether a forward read can leave the range of its outputs' converters."""

    @abc.abstractmethod
    def check(self, weights: Any) -> None:
        """Refuses concrete weights (out, in) that cannot be programmed, by a ValueError."""

    @abc.abstractmethod
    def drive(self, inputs: Array) -> Array:
        """What the lines carry for inputs (…, n): differentiated like any function."""

    @abc.abstractmethod
    def program(self, weights: Array, key: Array | None) -> Any:
        """Writes `weights` (out, in), float32, into a fresh array and returns its state."""

    @abc.abstractmethod
    def read(
        self, state: Any, inputs: Array, key: Array | None, *, transpose: bool, kind: Kind
    ) -> Array:
        """Multiplies rows of `inputs` (n, in) to (n, out), or (n, out) to (n, in) transposed.

        The rows' noise is independent, and a function of `key` and the row's number. Forward reads
        get what `drive` gives. Where the chip `clips`, backward reads get cotangents of partial
        sums, (n, parts · in), as `inside` keeps them apart.
        """

    def drive_and_read(
        self, state: Any, inputs: Array, key: Array | None, *, transpose: bool
    ) -> Array:
        """A forward read of what `drive` gives, for chips that do both in one pass."""
        return self.read(state, self.drive(inputs), key, transpose=transpose, kind="forward")

    @abc.abstractmethod
    def inside(self, state: Any, inputs: Array, key: Array | None, *, transpose: bool) -> Array:
        """Which partial sums of a forward read are inside the range, where the chip `clips`.

        1 or 0, float32, (n, parts · out): the inputs' axis falls into equal parts (the last one may
        be smaller), whose sums are converted apart.
        """

    @abc.abstractmethod
    def part(self, state: Any, *, transpose: bool) -> int:
        """The length of the parts that the inputs' axis falls into."""

    @abc.abstractmethod
    def update(self, state: Any, delta: Array, key: Array | None) -> Any:
        """Changes the weights by `delta` (out, in), in the way the devices can, to a new state."""

    @abc.abstractmethod
    def readout(self, state: Any) -> Array:
        """The programmed weights (out, in) at the array's present age, without read noise."""

    @abc.abstractmethod
    def report(self, state: Any) -> dict[str, Array]:
        """The array's counters, int32 scalars by name: see `xbarax.report`."""


class AbstractStatefulChip(AbstractChip):
    """A chip that holds the weights itself: an array's state says which array of it, and no more.

    Every programming makes all earlier states of its array stale; the chip refuses to read them.
    Places on the chip are taken outside of compiled programs, and given back when the last value
    with them is gone.
    """

    @abc.abstractmethod
    def layout(self, shape: tuple[int, ...]) -> Any:
        """The shapes and types of the state of an array (out, in)."""

    @abc.abstractmethod
    def allocate(self, shape: tuple[int, ...]) -> Any:
        """Takes places for arrays (*batch, out, in), now, and returns their state."""

    @abc.abstractmethod
    def hold(self, array: Any, state: Any) -> None:
        """Keeps the places of `state` for as long as the Python object `array` lives."""

    @abc.abstractmethod
    def settle(self) -> None:
        """Gives back places whose last value is gone: called before calls from Python."""

    @abc.abstractmethod
    def write(self, state: Any, weights: Array, key: Array | None) -> Any:
        """Programs all of an array's weights (out, in), to a new state."""

    @abc.abstractmethod
    def pulse(self, state: Any, pulses: Array, key: Array | None) -> Any:
        """Applies pulses (out, in), int32, to an array's devices, to a new state."""

    @abc.abstractmethod
    def after(self, state: Any, others: list[Array]) -> Any:
        """The same state, for a program that must wait for `others`."""

    @abc.abstractmethod
    def recover(self, state: Any) -> Any:
        """The current state, now, of the arrays that a state, stale or not, belongs to."""

    @abc.abstractmethod
    def stored(self, state: Any) -> dict[str, Any]:
        """What is kept of arrays when they are stored: weights, counters."""

    @abc.abstractmethod
    def restored(self, state: Any, stored: dict[str, Any]) -> Any:
        """Programs what `stored` kept into the places of a state, now, to their new state."""
