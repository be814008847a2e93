"""Layer-sequential unit-variance initialisation, for spiking layers."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jax.typing import ArrayLike

from xbarax import array
from xbarax.snn import _check, _check_network
from xbarax.snn.network import Sequential
from xbarax.snn.neuron import AbstractNeuron, LayerRecord

_REPAIR_GROWTH = 2.0  # of the weights of a silent neuron that is driven towards its threshold


def lsuv(
    net: Sequential,
    params: Sequence[Any],
    xs: ArrayLike,
    target_variance: float = 1.0,
    tolerance: float = 0.1,
    max_iterations: int = 50,
) -> list[dict[str, Any]]:
    r"""Scales weights until every layer's membrane has a wanted variance and every neuron spikes.

    The layers are taken one after the other, each fed with the spikes of those that are done.
    `v` is the variance of a layer's membranes over time, samples and neurons together, the
    network starting at rest. In each iteration the layer runs over all of `xs`, and

    1. if `v` is within the tolerance, :math:`|v / v_{target} - 1| \le tol`, and each neuron
       spikes at least once in `xs`, the layer is done;
    2. if `v` is not within it, all matrices of the layer are multiplied with the same number,
       :math:`(v_{target} / v)^p`. `p` begins at 1/2 and is halved whenever `v` has come from the
       other side of the target: spikes and their feedback make `v` no square of the scale;
    3. else each silent neuron is changed: where its mean membrane is negative, its rows in all
       matrices of the layer change their sign, which leaves the distribution that they were
       drawn from as it is; elsewhere they are doubled.

    Steps 1 and 2 are those of the paper with its division by the standard deviation; it has no
    step 3 and starts from orthonormal weights. Biases stay as they are.

    Args:
      net: the network.
      params: its parameters, from `net.init`; all matrices plain arrays.
      xs: (time, batch, inputs), float32: real data, a batch that stands for the others.
      target_variance: of the membranes, in units of the threshold's square if that is 1.
      tolerance: relative, in (0, 1).
      max_iterations: how often a layer's weights are changed at most.

    Returns:
      New parameters of the same structure.

    Raises:
      TypeError: a crossbar among the parameters; arguments that are traced, or of another type.
      ValueError: arguments that do not fit each other, no data, or numbers out of range.
      RuntimeError: a layer has not reached its goal: what it has reached.

    Derivatives: none; it works on concrete values.

    Source: Mishkin & Matas 2016 (ICLR, arXiv:1511.06422), algorithm 1, applied to membranes.
    """
    _check_data(net, params, xs)
    goal = _Goal(target_variance, tolerance, max_iterations)
    fitted, spikes = [], jnp.asarray(xs)
    for i, layer in enumerate(net.layers):
        layer_params, spikes = goal.fit(f"params[{i}]", layer, dict(params[i]), spikes)
        fitted.append(layer_params)
    return fitted


class _Goal:
    """What a layer is to reach, and how it gets there."""

    def __init__(self, variance: Any, tolerance: Any, iterations: Any):
        self.variance = _check.number("lsuv: target_variance", variance)
        self.tolerance = _check.number("lsuv: tolerance", tolerance)
        self.iterations = _check.positive_integer("lsuv: max_iterations", iterations)
        if not (math.isfinite(self.variance) and self.variance > 0):
            raise ValueError(
                "lsuv: target_variance: expected a finite number of more than 0, given "
                f"{self.variance}"
            )
        if not 0 < self.tolerance < 1:
            raise ValueError(f"lsuv: tolerance: expected one in (0, 1), given {self.tolerance}")

    def fit(
        self, where: str, layer: AbstractNeuron, params: dict[str, Any], xs: jax.Array
    ) -> tuple[dict[str, Any], jax.Array]:
        """The layer's fitted parameters, and its spikes."""
        exponent, last = 0.5, None
        for iteration in range(self.iterations + 1):
            record = _run(layer, params, xs)
            variance, mean, silent = _measure(record)
            if self._near(variance) and not silent.any():
                return params, record.spikes
            if iteration == self.iterations or not (0 < variance < math.inf):
                raise RuntimeError(self._failure(where, iteration, variance, silent))
            if self._near(variance):
                factors = np.where(silent, np.where(mean < 0, -1.0, _REPAIR_GROWTH), 1.0)
            else:
                if last is not None and (last < self.variance) != (variance < self.variance):
                    exponent /= 2
                factors, last = np.full(layer.size, self._factor(variance, exponent)), variance
            params = _scale_rows(params, factors)
        raise AssertionError("the loop has returned or raised")

    def _near(self, variance: float) -> bool:
        return abs(variance / self.variance - 1) <= self.tolerance

    def _factor(self, variance: float, exponent: float) -> float:
        return (self.variance / variance) ** exponent

    def _failure(self, where: str, iterations: int, variance: float, silent: np.ndarray) -> str:
        return (
            f"lsuv: {where}: after {iterations} iterations the membrane's variance is "
            f"{variance:.4g}, expected {self.variance:g} within {100 * self.tolerance:g} %, and "
            f"{silent.sum()} of {silent.size} neurons are silent; give more data or a wider "
            "tolerance, or check that the layer gets any spikes"
        )


@functools.partial(jax.jit, static_argnums=0)
def _run(layer: AbstractNeuron, params: dict[str, Any], xs: jax.Array) -> LayerRecord:
    return layer.run(params, xs, layer.initial_state(xs.shape[1]), jnp.int32(0))[0]


def _measure(record: LayerRecord) -> tuple[float, np.ndarray, np.ndarray]:
    """The membrane's variance, its mean for each neuron, and which neurons never spike."""
    membrane = np.asarray(record.membrane, np.float64)
    silent = np.logical_not(np.asarray(record.spikes).any(axis=(0, 1)))
    return float(membrane.var()), membrane.mean(axis=(0, 1)), np.asarray(silent)


def _scale_rows(params: dict[str, Any], factors: np.ndarray) -> dict[str, Any]:
    rows = jnp.asarray(factors, jnp.float32)[:, None]
    return {name: rows * p if p.ndim == 2 else p for name, p in params.items()}


def _check_data(net: Any, params: Any, xs: Any) -> None:
    if not isinstance(net, Sequential):
        raise TypeError(f"lsuv: net: expected a snn.Sequential, given {net!r}")
    _check_network.inputs(xs)
    if _check.is_traced(params, xs):
        raise TypeError(
            "lsuv: expected concrete values, given traced ones; call it outside of jax.jit and "
            "other transformations"
        )
    _check_network.parameters(net.layers, params, xs.shape)
    for i, layer_params in enumerate(params):
        for name, value in layer_params.items():
            if isinstance(value, array.MemristiveCrossbarArray):
                raise TypeError(
                    f"lsuv: params[{i}][{name!r}]: expected a plain array, given a crossbar array; "
                    "initialise first, then make the crossbar with xb.to_crossbar"
                )
    if xs.size == 0:
        raise ValueError(f"lsuv: xs: expected data, given the empty shape {xs.shape}")
