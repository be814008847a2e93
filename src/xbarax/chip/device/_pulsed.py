"""Devices that are known by what a pulse does: the pulse family."""

import abc
import dataclasses
from typing import Any, final

from jax import Array
from jax import numpy as jnp

from xbarax import _kernels
from xbarax.chip.device import _pulses, _respond, _verify
from xbarax.chip.device._check import (
    check_count,
    check_flag,
    check_not_negative,
    check_range,
    check_real,
)
from xbarax.chip.device._device import AbstractDevice
from xbarax.chip.device._pulses import Own, Slopes, Steps

Cells = dict[str, Array]

_NEAREST_BOUND = 1e-30  # so that one can divide by a bound that a spread puts at 0

_COUNTERS = ("pulses", "saturated", "capped")  # in the order of what comes of a request


@dataclasses.dataclass(frozen=True, kw_only=True)
class AbstractPulsed(AbstractDevice):
    r"""A cell whose state moves by a step with each pulse: `w → clip(w ± Δ(w), b₋, b₊)`.

    The state is dimensionless and signed, and stands for a conductance by the mean bounds::

        G = g_min + (w − lower)/(upper − lower) (g_max − g_min)

    so that state 0, where fresh cells of a signed weight begin, is `zero_conductance`. A cell whose
    own bounds are wider than the mean ones may leave [g_min, g_max], and where they are much wider
    even be below 0: conductances are then those relative to the reference that a sign needs.

    A change of the weights becomes `n = stochastic_round(|change| / Δ)` pulses, at most
    `max_pulses`, where `Δ` is the mean step of that direction; `n` pulses are drawn at once where
    that is exact and one after the other where it is not. Subclasses say how a step depends on
    the state.

    Args:
      step_up, step_down: mean size of a step up and down where its factor is 1, dimensionless;
        `step_down` None: equal.
      step_spread: relative spread of the steps' size from cell to cell, one factor for both
        directions.
      step_lognormal: whether that factor is `e^{σ ξ}` instead of `|1 + σ ξ|`.
      asymmetry_spread: spread of `β` from cell to cell, which makes steps up `|1 + β|` times and
        steps down `|1 − β|` times as large.
      lower, upper: mean bounds of the state, `lower < 0 < upper`.
      lower_spread, upper_spread: relative spread of the bounds; they keep their sign, `±|b|`.
      cycle_noise: spread of a step from pulse to pulse, in mean steps of the cell.
      write_noise: what is read is the state plus normal noise of this many mean steps
        (`step_up`), drawn anew when the cell is pulsed.
      read_noise: standard deviation of each read of each cell, in siemens, one for all.
      leak: share of the state that is lost at each update, `1/τ` for a time constant of `τ`
        updates.
      failed: share of the cells that never move; they keep a state between the mean bounds.
      zero_at_symmetry: count each cell's state from its own symmetry point, where steps up and
        down are equal.
      g_min, g_max: conductances at the mean bounds, in siemens (illustrative unless a preset says
        otherwise).
      max_pulses: the most pulses that one update gives a cell.

    Raises:
      TypeError: a number that is none.
      ValueError: a number out of its range; reversed bounds.
    """

    step_up: float = 0.001
    step_down: float | None = None
    step_spread: float = 0.3
    step_lognormal: bool = False
    asymmetry_spread: float = 0.3
    lower: float = -1.0
    upper: float = 1.0
    lower_spread: float = 0.3
    upper_spread: float = 0.3
    cycle_noise: float = 0.3
    write_noise: float = 0.0
    read_noise: float = 0.0
    leak: float = 0.0
    failed: float = 0.0
    zero_at_symmetry: bool = False
    g_min: float = 5e-6
    g_max: float = 25e-6
    max_pulses: int = 100

    def __post_init__(self):
        """Refuses numbers out of their range."""
        _check_shared(self)
        self.check_own()

    @abc.abstractmethod
    def check_own(self) -> None:
        """Refuses bad values of the subclass's own fields."""

    @abc.abstractmethod
    def factors(self, state: Array, own: Own) -> tuple[Array, Array]:
        """How large steps up and down are at `state`, relative to `own.step_up` and `step_down`."""

    @property
    @abc.abstractmethod
    def additive(self) -> bool:
        """Whether the noise of a step does not scale with `factors`."""

    @property
    @abc.abstractmethod
    def slopes(self) -> Slopes | None:
        """The slopes up and down, where the factors are `1 − slope · w`; see `Slopes`.

        None for models whose steps are not affine in the state: they go pulse by pulse.
        """

    @property
    @final
    def conductance_range(self) -> tuple[float, float]:
        """The conductances at the mean bounds."""
        return self.g_min, self.g_max

    @property
    @final
    def siemens(self) -> float:
        """The conductance that a state of 1 is more than a state of 0."""
        return (self.g_max - self.g_min) / (self.upper - self.lower)

    @property
    @final
    def zero_conductance(self) -> float:
        """The conductance of state 0."""
        return self.g_min - self.lower * self.siemens

    @property
    @final
    def steps(self) -> tuple[float, float]:
        """Mean steps up and down, both positive."""
        return self.step_up, self.step_up if self.step_down is None else self.step_down

    @property
    @final
    def noisy_program(self) -> bool:
        """Always: stochastic rounding draws random numbers."""
        return True

    @property
    @final
    def noisy_read(self) -> bool:
        """Whether reads have noise."""
        return self.read_noise > 0

    @final
    def current_terms(self, conductance: Array) -> tuple[Array, ...]:
        """A linear cell."""
        return (conductance,)

    @final
    def age(self, cells: Cells, seconds: Array) -> Cells:
        """Pulse models say nothing of time; leak counts updates."""
        return cells

    @final
    def own(self, key: Array, shape: tuple[int, ...]) -> Own:
        """Draws what each cell has of its own, always the same for the same key."""
        gain_key, asymmetry_key, lower_key, upper_key = _kernels.split(key, 4)
        normal = lambda k: _kernels.normal(k, shape, jnp.float32)
        spread = lambda k, sigma: 1.0 if sigma == 0 else 1 + sigma * normal(k)
        if self.step_lognormal:
            gain: Any = jnp.exp(self.step_spread * normal(gain_key))
        else:
            gain = jnp.abs(spread(gain_key, self.step_spread))
        up = spread(asymmetry_key, self.asymmetry_spread)
        full = lambda x: jnp.broadcast_to(jnp.asarray(x, jnp.float32), shape)
        side = lambda x: jnp.maximum(jnp.abs(x), _NEAREST_BOUND)
        return Own(
            lower=full(-side(self.lower * spread(lower_key, self.lower_spread))),
            upper=full(side(self.upper * spread(upper_key, self.upper_spread))),
            step_up=full(self.steps[0] * gain * jnp.abs(up)),
            step_down=full(self.steps[1] * gain * jnp.abs(2 - up)),
        )

    @final
    def symmetry_point(self, own: Own) -> Array:
        """The state of each cell at which its steps up and down are equal.

        Where there is none, the bound at which the two come closest; 0 where they are equal at 0.
        """
        return _pulses.symmetry_point(self.steps_of(own))

    @final
    def program(self, target: Array, start: float, key: Array | None) -> Cells:
        """Pulses fresh cells towards the target, as many times as the mean cell would need."""
        assert key is not None
        use, identity = _kernels.split(key)
        cells = {
            "state": jnp.zeros_like(target),
            "identity": identity,
            **{name: jnp.zeros((), jnp.int32) for name in _COUNTERS},
        }
        if self.write_noise > 0:
            cells["written"] = jnp.zeros_like(target)
        return self.restart(cells, jnp.ones(target.shape, bool), target, start, use)

    @final
    def restart(self, cells: Cells, where: Array, target: Array, start: float, key: Array) -> Cells:
        """Sets the cells in `where` back to the conductance `start`, and programs those anew."""
        done = _respond.restart(self, _changing(self, cells), where, target, start, key)
        # Programming tells in other ways what is off.
        return {**_counted(cells, done), "saturated": cells["saturated"]}

    @final
    def update(self, cells: Cells, delta: Array, key: Array | None) -> Cells:
        """Pulses each cell in its direction, a randomly rounded number of times."""
        assert key is not None
        if self.leak > 0:
            cells = {**cells, "state": (1 - self.leak) * cells["state"]}
        return _counted(cells, _respond.change(self, _changing(self, cells), delta, key))

    @final
    def pulse(self, cells: Cells, counts: Array, key: Array) -> Cells:
        """Gives each cell `counts` pulses (int32): up where positive, down where negative.

        Failed cells get them too, and `pulses` counts them: whoever programs does not know.
        """
        return _counted(cells, _respond.pulse(self, _changing(self, cells), counts, key))

    @final
    def verify(
        self, cells: Cells, target: Array, tolerance: float, budget: int, key: Array
    ) -> tuple[Cells, Array]:
        """Measures and pulses in turns until the cells are at `target`: write–verify.

        Each cell that is off by more than `tolerance` gets the pulses that its error is in mean
        steps, at least one. A cell that jumped over its target gets half as many from then on, so
        that cells of large steps end by single pulses. What a measurement sees is `conductance`,
        write noise included and read noise not.

        Args:
          cells: programmed cells.
          target: conductances, in siemens.
          tolerance: the error that is accepted, in siemens.
          budget: the most pulses that each cell gets.
          key: PRNG key.

        Returns:
          The cells, and how many of them ended farther than `tolerance` from their target (int32):
          their bounds, failures or steps keep them away, or the budget was too small. `saturated`
          does not count their pulses.

        Raises:
          TypeError, ValueError: a tolerance or budget that is negative or no number.
        """
        check_real("verify(tolerance=…)", tolerance, "of siemens, at least 0", lambda x: x >= 0)
        check_count("verify(budget=…)", budget, 0)
        return _verify.verify(self, cells, target, tolerance, budget, key)

    @final
    def target(self, cells: Cells) -> Array:
        """What is there now."""
        return self.conductance(cells)

    @final
    def conductance(self, cells: Cells) -> Array:
        """The conductances that the states stand for, write noise included."""
        state = cells["state"]
        if self.zero_at_symmetry:
            own = self.own(cells["identity"], state.shape)
            state = state - self.symmetry_point(own)
        if self.write_noise > 0:
            state = state + cells["written"]
        if self.failed > 0:
            state = jnp.where(*_respond.failed(self, cells["identity"], state.shape), state)
        return self.zero_conductance + self.siemens * state

    @final
    def read_deviation(self, cells: Cells) -> Array | None:
        """One standard deviation for all cells."""
        return jnp.asarray(self.read_noise, jnp.float32) if self.noisy_read else None

    @final
    def counters(self, cells: Cells) -> dict[str, Array]:
        """Pulses given, cells that a bound stopped, and updates beyond `max_pulses`."""
        return {name: cells[name] for name in _COUNTERS}

    @final
    def steps_of(self, own: Own) -> Steps:
        """How cells move that have this of their own."""
        factors = lambda state: self.factors(state, own)
        slopes = None if self.slopes is None else _pulses.slopes(self.slopes, own)
        return Steps(own, factors, slopes, self.cycle_noise, self.additive)


def _changing(device: AbstractPulsed, cells: Cells) -> _respond.Cells:
    written = cells["written"] if device.write_noise > 0 else None
    return _respond.Cells(cells["identity"], cells["state"], written)


def _counted(cells: Cells, done: _respond.Responded) -> Cells:
    """The cells after what came of a request, which their counters count."""
    counters = {name: _respond.add(cells[name], done.totals[i]) for i, name in enumerate(_COUNTERS)}
    after = {**cells, "state": done.state, **counters}
    return after if done.written is None else {**after, "written": done.written}


def _check_shared(device: AbstractPulsed) -> None:
    name = type(device).__name__
    step_down = device.steps[1]
    for field, value in (("step_up", device.step_up), ("step_down", step_down)):
        check_real(f"{name}({field}=…)", value, "above 0", lambda x: x > 0)
    check_not_negative(
        device, "step_spread", "asymmetry_spread", "lower_spread", "upper_spread",
        "cycle_noise", "write_noise", "read_noise",
    )  # fmt: skip
    for field in ("leak", "failed"):
        check_real(f"{name}({field}=…)", getattr(device, field), "in [0, 1]", lambda x: 0 <= x <= 1)
    check_real(f"{name}(lower=…)", device.lower, "below 0", lambda x: x < 0)
    check_real(f"{name}(upper=…)", device.upper, "above 0", lambda x: x > 0)
    check_range(name, device.g_min, device.g_max)
    check_count(f"{name}(max_pulses=…)", device.max_pulses, 1)
    for field in ("step_lognormal", "zero_at_symmetry"):
        check_flag(f"{name}({field}=…)", getattr(device, field))
