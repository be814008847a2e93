"""Devices that are known by what a pulse does: the pulse family."""

import abc
import dataclasses
import functools
from typing import Any, final

import jax
import numpy as np
from jax import Array, lax
from jax import numpy as jnp

from xbarax import _kernels
from xbarax.chip.device import _curve, _pulses, _verify
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

_INT32_MAX = 2**31 - 1
_NEAREST_BOUND = 1e-30  # so that one can divide by a bound that a spread puts at 0

_COUNTERS = ("pulses", "saturated", "capped")


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
        return _pulses.symmetry_point(self._steps(own))

    @final
    def program(self, target: Array, start: float, key: Array | None) -> Cells:
        """Pulses fresh cells towards the target, as many times as the mean cell would need."""
        assert key is not None
        use, identity = _kernels.split(key)
        zero = jnp.zeros((), jnp.int32)
        cells = {
            "state": self._begin(target, start, self.own(identity, target.shape)),
            "identity": identity,
            **{name: zero for name in _COUNTERS},
        }
        if self.write_noise > 0:
            cells["written"] = jnp.zeros_like(target)
        return self._pulse_uncounted(cells, _curve.pulses_to_reach(self, target, start), use)

    @final
    def restart(self, cells: Cells, where: Array, target: Array, start: float, key: Array) -> Cells:
        """Sets the cells in `where` back to the conductance `start`, and programs those anew."""
        begin = self._begin(target, start, self.own(cells["identity"], target.shape))
        cells = {**cells, "state": jnp.where(where, begin, cells["state"])}
        if self.write_noise > 0:
            cells["written"] = jnp.where(where, 0, cells["written"])
        counts = jnp.where(where, _curve.pulses_to_reach(self, target, start), 0)
        return self._pulse_uncounted(cells, counts, key)

    @final
    def update(self, cells: Cells, delta: Array, key: Array | None) -> Cells:
        """Pulses each cell in its direction, a randomly rounded number of times."""
        assert key is not None
        round_key, pulse_key = _kernels.split(key)
        up, down = (self.siemens * step for step in self.steps)
        # Changes that are no numbers ask for no pulses; the chip counts them.
        wanted = jnp.nan_to_num(jnp.where(delta > 0, delta / up, delta / down))
        whole = jnp.floor(jnp.abs(wanted))
        dice = _kernels.uniform(round_key, delta.shape, delta.dtype)
        counts = whole + (dice < jnp.abs(wanted) - whole)
        beyond = counts > self.max_pulses
        counts = jnp.sign(wanted) * jnp.minimum(counts, self.max_pulses)
        if self.leak > 0:
            cells = {**cells, "state": (1 - self.leak) * cells["state"]}
        cells = self.pulse(cells, counts.astype(jnp.int32), pulse_key)
        return {**cells, "capped": _add(cells["capped"], _total(beyond))}

    @final
    def pulse(self, cells: Cells, counts: Array, key: Array) -> Cells:
        """Gives each cell `counts` pulses (int32): up where positive, down where negative.

        Failed cells get them too, and `pulses` counts them: whoever programs does not know.
        """
        pulse_key, write_key = _kernels.split(key)
        state, cut = self._respond(cells["identity"], pulse_key, cells["state"], counts)
        if self.failed > 0:
            cut &= ~self._failed(cells)[0]
        pulsed = {
            **cells,
            "state": state,
            "pulses": _add(cells["pulses"], _total(jnp.abs(counts))),
            "saturated": _add(cells["saturated"], _total(cut)),
        }
        if self.write_noise > 0:
            noise = _kernels.normal(write_key, state.shape, state.dtype)
            fresh = self.write_noise * self.steps[0] * noise
            pulsed["written"] = jnp.where(counts != 0, fresh, cells["written"])
        return pulsed

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
            state = jnp.where(*self._failed(cells), state)
        return self.zero_conductance + self.siemens * state

    @final
    def read_deviation(self, cells: Cells) -> Array | None:
        """One standard deviation for all cells."""
        return jnp.asarray(self.read_noise, jnp.float32) if self.noisy_read else None

    @final
    def counters(self, cells: Cells) -> dict[str, Array]:
        """Pulses given, cells that a bound stopped, and updates beyond `max_pulses`."""
        return {name: cells[name] for name in _COUNTERS}

    def _respond(
        self, identity: Array, key: Array, state: Array, counts: Array
    ) -> tuple[Array, Array]:
        """States after pulses, and which of them a bound cut off."""

        def pure(identity: Array, key: Array, state: Array, counts: Array) -> tuple[Array, Array]:
            steps = self._steps(self.own(identity, counts.shape))
            return _pulses.respond(steps, state, counts, key)

        if self.slopes is None or not _kernels.is_threefry(key):
            return pure(identity, key, state, counts)
        typed = lambda data: jax.random.wrap_key_data(data, impl="threefry2x32")
        return _kernels.choose(
            functools.partial(_kernels.pulse, self._as_kernels_take_them(self.slopes)),
            lambda identity, key, *cells: pure(typed(identity), typed(key), *cells),
            *map(jax.random.key_data, (identity, key)),
            state,
            counts,
        )

    def _as_kernels_take_them(self, slopes: Slopes) -> _kernels.PulsedCells:
        return _kernels.PulsedCells(
            step_up=self.steps[0],
            step_down=self.steps[1],
            step_spread=self.step_spread,
            step_lognormal=self.step_lognormal,
            asymmetry_spread=self.asymmetry_spread,
            lower=self.lower,
            upper=self.upper,
            lower_spread=self.lower_spread,
            upper_spread=self.upper_spread,
            cycle_noise=self.cycle_noise,
            slopes=slopes,
            additive=self.additive,
        )

    def _steps(self, own: Own) -> Steps:
        factors = lambda state: self.factors(state, own)
        slopes = None if self.slopes is None else _pulses.slopes(self.slopes, own)
        return Steps(own, factors, slopes, self.cycle_noise, self.additive)

    def _begin(self, like: Array, start: float, own: Own) -> Array:
        """States that stand for the conductance `start`, or bounds where that is beyond them."""
        begin = jnp.full_like(like, (start - self.zero_conductance) / self.siemens)
        if self.zero_at_symmetry:
            begin += self.symmetry_point(own)
        return jnp.clip(begin, own.lower, own.upper)

    def _pulse_uncounted(self, cells: Cells, counts: Array, key: Array) -> Cells:
        """Pulses that do not count as saturating: programming tells in other ways what is off."""
        return {**self.pulse(cells, counts, key), "saturated": cells["saturated"]}

    def _failed(self, cells: Cells) -> tuple[Array, Array]:
        """Which cells never move, and the states that they have."""
        shape, dtype = cells["state"].shape, cells["state"].dtype
        # The children 0 to 3 of the key are those that `own` splits off.
        which, where = _kernels.split(_kernels.fold_in(cells["identity"], 4))
        failed = _kernels.uniform(which, shape, dtype) < self.failed
        resting = _kernels.uniform(where, shape, dtype)
        return failed, self.lower + (self.upper - self.lower) * resting


def _add(counter: Array, more: Array) -> Array:
    """Adds to a counter, which stops at the largest int32 instead of turning negative."""
    return counter + jnp.minimum(more, _INT32_MAX - counter)


def _total(counts: Array) -> Array:
    """The sum of int32 or boolean numbers that are not negative, at most the largest int32."""
    whole = counts.astype(jnp.int32)
    return lax.reduce(whole, np.int32(0), _add, tuple(range(whole.ndim)))


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
