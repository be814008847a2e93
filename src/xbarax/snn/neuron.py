"""Spiking neurons: what happens in a layer from one time step to the next."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp
from jaxtyping import Float

from xbarax import array
from xbarax._kernels import Implementation
from xbarax.snn import _check
from xbarax.snn.surrogate import AbstractSurrogate, SuperSpike, heaviside
from xbarax.snn.weights import project, project_apart, project_sequence

Reset = Literal["zero", "subtract", "none"]

# In double precision there is more, which float32 has as infinite or as zero.
_SMALLEST, _LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)

_DECAYS = ("membrane_decay", "input_decay", "recurrent_decay")
_SWITCHES = ("recurrent", "input_bias", "recurrent_bias", "detach_reset")


class LayerRecord(NamedTuple):
    """What a layer did over time.

    Attributes:
      spikes: (time, batch, size), zeros and ones: `S` after each step.
      membrane: (time, batch, size): `U` after each step, the one that the spikes of the same
        step were decided on, before the reset.
    """

    spikes: Float[Array, "time batch size"]
    membrane: Float[Array, "time batch size"]


class AbstractNeuron(abc.ABC):
    """A layer of neurons with its weights from the layer before; an extension point.

    A subclass is a frozen dataclass: a static, hashable description that holds no arrays. What
    is trained is in a dict of arrays that `parameter_shapes` describes, what is remembered
    from step to step in a named tuple that `initial_state` makes.

    Attributes:
      size: the number of neurons.
    """

    size: int

    @abc.abstractmethod
    def parameter_shapes(self, n_inputs: int) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter by its name, for `n_inputs` inputs.

        Matrices are (out, in), are initialised by `glorot_uniform` and may be crossbars, and
        their rows are the layer's neurons; vectors start at zero. All are float32.
        """

    @abc.abstractmethod
    def initial_state(self, batch: int) -> Any:
        """The state at rest of `batch` samples: a named tuple of float32 arrays."""

    @abc.abstractmethod
    def run(
        self,
        params: Mapping[str, Any],
        xs: Float[Array, "time batch inputs"],
        state: Any,
        step: Any,
    ) -> tuple[LayerRecord, Any]:
        """Lets time pass.

        Args:
          params: the layer's parameters, of the shapes of `parameter_shapes`.
          xs: the spikes of the layer before (or the network's inputs), for all time steps.
          state: the layer's state before the first of them.
          step: int32 scalar: the number of the first time step in its stream, for the keys of
            noisy reads (`xbarax.array.step_key`).

        Returns:
          The spikes and membranes at each time step, and the state after the last.
        """


class LIFState(NamedTuple):
    """What a layer of `LIF` neurons remembers from one time step to the next.

    Attributes:
      membrane: (batch, size): `U`, before the reset, which acts in the next step.
      input_current: (batch, size): `I`.
      recurrent_current: (batch, size): `Iᵣ`; None in a layer without recurrent weights.
      spikes: (batch, size): `S`.
    """

    membrane: Float[Array, "batch size"]
    input_current: Float[Array, "batch size"]
    recurrent_current: Float[Array, "batch size"] | None
    spikes: Float[Array, "batch size"]


@dataclasses.dataclass(frozen=True)
class LIF(AbstractNeuron):
    r"""A layer of current-based leaky integrate-and-fire neurons.

    At each time step, in this order::

        U  ← α (1 − S) U + (1 − α) (g I + Iᵣ)     reset="zero"
             α U − θ S   + (1 − α) (g I + Iᵣ)     reset="subtract"
             α U         + (1 − α) (g I + Iᵣ)     reset="none"
        I  ← β I + (1 − β) (W x + b)
        Iᵣ ← βᵣ Iᵣ + (1 − βᵣ) (V S + c)
        S  ← H(U − θ)

    The right-hand sides of the first three lines are all of the step before, except `x`: so a
    membrane integrates the currents as they were, recurrent currents get the spikes of the step
    before, and the earliest spike that an input can cause is one step after it. The last line
    takes the new `U`; the threshold is strict, `H(0) = 0`. In a network `x` is the spikes that
    the layer before emits in the same step. All states start at 0.

    The reset acts in the step after the spike, on the old membrane alone: the currents that
    arrive in that step are integrated. "zero" forgets the old membrane. It is the notebook's;
    Zenke & Vogels, SpyTorch and Stork multiply the whole new `U` by `1 − S`, which also loses
    what arrives. "subtract" takes `θ` off after the decay, as Neftci, Mostafa & Zenke and
    snnTorch do; others decay the reduced membrane, `α (U − θ S)`. A current's input is scaled
    by `1 − β`, unlike in Zenke & Vogels, SpyTorch and Stork.

    For one weight of 1 and one spike at its input, and no reset, the membrane's response `k`
    has `Σ k = g` and `Σ k² = g² (1−α)² (1−β)² (1+αβ) / ((1−α²)(1−β²)(1−αβ))`; that to a
    recurrent spike has the same with gain 1 and `βᵣ`.

    The parameters are `input` (`W`, (size, inputs)) and, where asked for, `recurrent` (`V`,
    (size, size)), `input_bias` (`b`, (size,)) and `recurrent_bias` (`c`, (size,)).

    Args:
      size: the number of neurons.
      recurrent: whether the layer has recurrent weights; without, `Iᵣ` is nowhere.
      input_bias: whether it has a bias `b` beside the inputs.
      recurrent_bias: whether it has a bias `c` beside the recurrent spikes.
      membrane_decay: `α`, in [0, 1]: a number, or a tuple with a number for each neuron. A time
        constant `τ` gives `exp(−dt/τ)`. The default is the notebook's, as all defaults here.
        The factor `1 − α` is formed in float32, so that `α + (1 − α)` is 1 in the arithmetic
        of the simulation.
      input_decay: `β`, likewise.
      recurrent_decay: `βᵣ`, likewise.
      input_gain: `g`.
      threshold: `θ`, more than 0.
      reset: "zero", "subtract" or "none", as above.
      detach_reset: whether gradients stop at the `S` of the reset.
      surrogate: what stands in for the derivative of `H`.
      implementation: "jax" for plain JAX, which is the specification; "native" for compiled
        kernels, an error where they do not apply; "auto" for these where they do. On the CPU: with
        `SuperSpike`, and with recurrent weights that are a plain array, an ideal crossbar, or
        one on a simulated chip with linear devices and converters that do not clip (input weights
        may be any). Neighbouring layers run as one, their spikes as bits. On NVIDIA GPUs: with
        `SuperSpike`, up to 2048 neurons, and recurrent weights that are a plain array or an ideal
        crossbar; each layer is one kernel for all steps.

    Raises:
      TypeError: a setting of another type than described.
      ValueError: a size below 1; a decay constant that is outside [0, 1] or NaN, or not as
        many as neurons; a gain that is not finite, or a threshold that is not positive and finite,
        in float32; an unknown word; `recurrent_bias` without `recurrent`.

    Derivatives: through time, with the surrogate for `H`; in forward and reverse mode. Second ones
    are those of plain JAX: before JAX 0.12, take them by `jax.grad` of `jax.jvp`, since it loses
    terms where it differentiates the reverse pass of a loop with surrogates.

    Source: the notebook that the package grew from. Neftci, Mostafa & Zenke 2019 (IEEE Signal
    Processing Magazine 36(6)) derive its like.
    """

    size: int
    recurrent: bool = False
    input_bias: bool = False
    recurrent_bias: bool = False
    membrane_decay: float | tuple[float, ...] = 0.95
    input_decay: float | tuple[float, ...] = 0.9
    recurrent_decay: float | tuple[float, ...] = 0.85
    input_gain: float = 20.0
    threshold: float = 1.0
    reset: Reset = "zero"
    detach_reset: bool = True
    surrogate: AbstractSurrogate = SuperSpike()
    implementation: Implementation = "auto"

    def __post_init__(self) -> None:
        """Refuses what cannot be a layer, and keeps numbers as Python's own."""
        size = _check.positive_integer("LIF: size", self.size)
        gain = _check.number("LIF: input_gain", self.input_gain)
        threshold = _check.number("LIF: threshold", self.threshold)
        if not abs(gain) <= _LARGEST:
            raise ValueError(
                f"LIF: input_gain: expected a finite number, given {gain}; "
                f"float32 has none beyond {_LARGEST:.3g}"
            )
        if not _SMALLEST <= threshold <= _LARGEST:
            raise ValueError(
                f"LIF: threshold: expected a finite number of more than 0, given {threshold}; "
                f"float32 has those from {_SMALLEST:.3g} to {_LARGEST:.3g}"
            )
        numbers = {"size": size, "input_gain": gain, "threshold": threshold}
        decays = {name: _decay(name, getattr(self, name), size) for name in _DECAYS}
        for name, value in {**numbers, **decays}.items():
            object.__setattr__(self, name, value)
        self._check_choices()

    def _check_choices(self) -> None:
        for name in _SWITCHES:
            if not isinstance(given := getattr(self, name), bool):
                raise TypeError(f"LIF: {name}: expected True or False, given {given!r}")
        if self.recurrent_bias and not self.recurrent:
            raise ValueError(
                "LIF: recurrent_bias=True: expected recurrent=True with it, given "
                "recurrent=False; a bias beside the inputs is input_bias=True"
            )
        if self.reset not in get_args(Reset):
            raise ValueError(
                f"LIF: reset: expected one of {', '.join(map(repr, get_args(Reset)))}, "
                f"given {self.reset!r}"
            )
        if not isinstance(self.surrogate, AbstractSurrogate):
            raise TypeError(
                "LIF: surrogate: expected a surrogate such as snn.SuperSpike(), "
                f"given {self.surrogate!r}"
            )
        if self.implementation not in get_args(Implementation):
            raise ValueError(
                f"LIF: implementation: expected one of "
                f"{', '.join(map(repr, get_args(Implementation)))}, given {self.implementation!r}"
            )
        if self.implementation == "native" and type(self.surrogate) is not SuperSpike:
            raise ValueError(
                "LIF: implementation='native': expected snn.SuperSpike(), the surrogate that the "
                f"kernel has, given {self.surrogate!r}"
            )

    def parameter_shapes(self, n_inputs: int) -> dict[str, tuple[int, ...]]:
        """`input`, and `recurrent`, `input_bias`, `recurrent_bias` where the layer has them."""
        shapes: dict[str, tuple[int, ...]] = {"input": (self.size, n_inputs)}
        if self.recurrent:
            shapes["recurrent"] = (self.size, self.size)
        if self.input_bias:
            shapes["input_bias"] = (self.size,)
        if self.recurrent_bias:
            shapes["recurrent_bias"] = (self.size,)
        return shapes

    def initial_state(self, batch: int) -> LIFState:
        """Zeros, as a `LIFState`."""
        zeros = jnp.zeros((batch, self.size), jnp.float32)
        return LIFState(zeros, zeros, zeros if self.recurrent else None, zeros)

    def run(
        self,
        params: Mapping[str, Any],
        xs: Float[Array, "time batch inputs"],
        state: LIFState,
        step: Any,
    ) -> tuple[LayerRecord, LIFState]:
        """Lets time pass; see `AbstractNeuron.run`."""
        # The inputs are known for all times, so that only the recurrent product is in the loop.
        return self.over_time(params, project_sequence(params["input"], xs, step), state, step)

    def over_time(
        self,
        params: Mapping[str, Any],
        drive: Float[Array, "time batch size"],
        state: LIFState,
        step: Any,
        feedback_from: Any = None,
    ) -> tuple[LayerRecord, LIFState]:
        """Lets time pass, with `W x` given for all of it; otherwise as `run`.

        With `feedback_from`, a crossbar, the recurrent products are read from that, and the
        parameters have its weights as a plain array, by which they are differentiated.
        """
        if self.input_bias:
            drive = drive + params["input_bias"]
        keys = None
        if self.recurrent:  # of all reads at once: what is not recurrent is not in the loop
            steps = step + jnp.arange(drive.shape[0], dtype=jnp.int32)
            read = params["recurrent"] if feedback_from is None else feedback_from
            keys = jax.vmap(lambda t: array.step_key(read, t))(steps)

        def advance(state: LIFState, now: tuple[Array, Any]) -> tuple[LIFState, LayerRecord]:
            drive, key = now
            feedback = None
            if self.recurrent:
                feedback = self._feedback(params, feedback_from, state.spikes, key)
            state = self._advance(state, drive, feedback)
            return state, LayerRecord(state.spikes, state.membrane)

        state, record = jax.lax.scan(advance, state, (drive, keys))
        return record, state

    def spikes_of(self, membrane: Array) -> Array:
        """The spikes that membranes give."""
        return heaviside(membrane - self.threshold, self.surrogate)

    def _feedback(
        self, params: Mapping[str, Any], crossbar: Any, spikes: Array, key: Array | None
    ) -> Array:
        weight = params["recurrent"]
        if crossbar is None:
            feedback = project(weight, spikes, key)
        else:
            feedback = project_apart(crossbar, weight, spikes, key)
        return feedback + params["recurrent_bias"] if self.recurrent_bias else feedback

    def _advance(self, state: LIFState, drive: Array, feedback: Array | None) -> LIFState:
        alpha, one_minus_alpha = decay_factors(self.membrane_decay)
        beta, one_minus_beta = decay_factors(self.input_decay)
        beta_r, one_minus_beta_r = decay_factors(self.recurrent_decay)
        current, recurrent_current = state.input_current, state.recurrent_current

        total = self.input_gain * current
        if recurrent_current is not None:
            total = total + recurrent_current
        membrane = self._leak(alpha, state) + one_minus_alpha * total
        current = beta * current + one_minus_beta * drive
        if recurrent_current is not None:
            recurrent_current = beta_r * recurrent_current + one_minus_beta_r * feedback
        spikes = self.spikes_of(membrane)
        return LIFState(membrane, current, recurrent_current, spikes)

    def _leak(self, alpha: Any, state: LIFState) -> Array:
        """What is left of the old membrane."""
        spikes = jax.lax.stop_gradient(state.spikes) if self.detach_reset else state.spikes
        if self.reset == "zero":
            return alpha * (1 - spikes) * state.membrane
        if self.reset == "subtract":
            return alpha * state.membrane - self.threshold * spikes
        return alpha * state.membrane


def _decay(name: str, given: Any, size: int) -> float | tuple[float, ...]:
    """`given` as a float or a tuple of floats, if it is a layer's decay constants."""
    name = f"LIF: {name}"
    if not isinstance(given, tuple):
        if isinstance(given, list | np.ndarray | jax.Array):
            raise TypeError(
                f"{name}: expected a number or a tuple of numbers, which is hashable, given "
                f"{type(given).__name__}; make it one with tuple(map(float, …))"
            )
        return _decay_constant(name, given)
    if len(given) != size:
        raise ValueError(
            f"{name}: expected a number for each of {size} neurons, given {len(given)}"
        )
    return tuple(_decay_constant(f"{name}[{i}]", number) for i, number in enumerate(given))


def _decay_constant(name: str, given: Any) -> float:
    decay = _check.number(name, given)
    if not 0 <= decay <= 1:  # also where it is NaN
        raise ValueError(f"{name}: expected a decay constant in [0, 1], given {decay}")
    return decay


def decay_factors(decay: float | tuple[float, ...]) -> tuple[Any, Any]:
    """The decay constant and one minus it, both of them and their difference in float32."""
    factor = np.asarray(decay, np.float32)
    return factor, np.float32(1) - factor
