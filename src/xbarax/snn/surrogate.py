"""The spike, and the derivative that stands in for the one it has not."""

import abc
import dataclasses
import functools
import math

import jax
from jax import Array
from jax import numpy as jnp
from jax.typing import ArrayLike

from xbarax.snn import _check


class AbstractSurrogate(abc.ABC):
    """A stand-in for the derivative of the Heaviside step; an extension point.

    A subclass is a frozen dataclass of plain numbers: it is a static part of the neuron that
    holds it, so it must be hashable and equal to another one of the same numbers.
    """

    @abc.abstractmethod
    def derivative(self, x: Array) -> Array:
        """What counts as `dH/dx` at `x`.

        Args:
          x: distance to the threshold, of any shape, dimensionless.

        Returns:
          The derivative at each entry, of the shape and dtype of `x`. It is itself
          differentiated by JAX where second derivatives are asked for.
        """


@dataclasses.dataclass(frozen=True)
class SuperSpike(AbstractSurrogate):
    r"""The derivative of a fast sigmoid, scaled to 1 at the threshold.

    .. math:: H'(x) := 1 / (\beta |x| + 1)^2

    It is the exact derivative of :math:`x / (1 + \beta |x|)`. Some authors multiply it by
    :math:`\beta`; this one does not.

    Args:
      beta: steepness, dimensionless, at least 0; at 0 the derivative is 1 everywhere. The
        default, 10, is the notebook's.

    Raises:
      TypeError: `beta` is not a number.
      ValueError: `beta` is negative, infinite or NaN.

    Source: Zenke & Ganguli 2018 (Neural Computation 30(6)), without their scale.
    """

    beta: float = 10.0

    def __post_init__(self) -> None:
        """Refuses what is no steepness."""
        beta = _check.number("SuperSpike: beta", self.beta)
        if not (math.isfinite(beta) and beta >= 0):
            raise ValueError(
                f"SuperSpike: beta: expected a finite number of at least 0, given {beta}"
            )
        object.__setattr__(self, "beta", beta)

    def derivative(self, x: Array) -> Array:
        """`1 / (beta |x| + 1)²`."""
        return 1.0 / (self.beta * jnp.abs(x) + 1.0) ** 2


def heaviside(x: ArrayLike, surrogate: AbstractSurrogate = SuperSpike()) -> Array:  # noqa: B008
    """The step function with a surrogate derivative: 1 where `x > 0`, else 0; `H(0) = 0`.

    Args:
      x: distance to the threshold (membrane minus threshold), of any shape, floating.
      surrogate: what stands in for the derivative.

    Returns:
      Zeros and ones of the shape and dtype of `x`, and NaN where `x` is NaN, so that a network
      that has diverged does not pass for a silent one.

    Raises:
      TypeError: `x` is not floating, or `surrogate` is no surrogate.

    Derivatives: `surrogate.derivative(x)` as a JVP rule, so in forward and in reverse mode;
    higher ones are the derivatives of that function.
    """
    if not isinstance(surrogate, AbstractSurrogate):
        raise TypeError(
            "heaviside: surrogate: expected a surrogate such as snn.SuperSpike(), "
            f"given {surrogate!r}"
        )
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"heaviside: x: expected floating-point numbers, given {x.dtype}; "
            "cast with x.astype(jnp.float32)"
        )
    return _step(surrogate, x)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _step(surrogate: AbstractSurrogate, x: Array) -> Array:
    return jnp.heaviside(x, 0.0)


@_step.defjvp
def _step_jvp(
    surrogate: AbstractSurrogate, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    (x,), (x_dot,) = primals, tangents
    return _step(surrogate, x), surrogate.derivative(x) * x_dot
