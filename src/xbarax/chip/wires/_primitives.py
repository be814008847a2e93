"""Effective conductances, with derivatives, and cells' currents as primitives: natively or in JAX.

The JAX code is the specification. As there is much of it, it is traced only in programs that use
it: those for accelerators, and derivatives that no native kernel has. So what a kernel computes is
a primitive, not a choice of two traced functions.

Tangents are found in JAX, but their transpose is a kernel's backward pass: so reverse mode is
native as well, and `jax.checkpoint`, which differentiates by tangents and transposition, too.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax import Array
from jax import numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.typing import ArrayLike

from xbarax import _kernels
from xbarax._kernels import Where
from xbarax.chip.wires import _recursion
from xbarax.chip.wires._currents import cell_currents as cell_currents_in_jax

Circuit = tuple[Array, Array, Array]
"""The conductances (*batch, M, N) of arrays, and the resistances (*batch) of their segments."""


Operands = Any  # sequences of arrays


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def effective(where: Where, *circuit: Array) -> Array:
    """The effective conductances of a `Circuit`, by a native kernel `where` it says."""
    return _effective.bind(*circuit, where=where)


@effective.defjvp
def _effective_jvp(where: Where, circuit: Operands, direction: Operands) -> tuple[Array, Array]:
    return effective(where, *circuit), _tangent.bind(*circuit, *direction, where=where)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _pull(where: Where, cotangent: Array, *circuit: Array) -> Circuit:
    """The derivatives of Σ cotangent · G_eff by the circuit."""
    return tuple(_pulled.bind(cotangent, *circuit, where=where))


@_pull.defjvp
def _pull_jvp(where: Where, primals: Operands, tangents: Operands) -> tuple[Circuit, Circuit]:
    _, change = jax.jvp(_pull_in_jax, primals, tangents)
    return _pull(where, *primals), change


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def cell_currents(where: Where, *operands: Array) -> Array:
    """The currents (*batch, n, M, N) through the cells.

    For conductances (*batch, M, N), voltages of sources (*batch, n, M) and resistances (*batch).
    """
    return _currents.bind(*operands, where=where)


@cell_currents.defjvp
def _currents_jvp(where: Where, primals: Operands, tangents: Operands) -> tuple[Array, Array]:
    del where
    return jax.jvp(_currents_in_jax, primals, tangents)


# ---- In JAX ------------------------------------------------------------------------------------


def _effective_in_jax(*circuit: Array) -> Array:
    return _recursion.oriented(_recursion.effective, *circuit)


def _pull_in_jax(cotangent: Array, *circuit: Array) -> Circuit:
    return jax.vjp(_effective_in_jax, *circuit)[1](cotangent)


def _tangent_in_jax(*operands: Array) -> Array:
    return jax.jvp(_effective_in_jax, operands[:3], operands[3:])[1]


def _currents_in_jax(conductance: Array, voltage: Array, *wires: Array) -> Array:
    found = cell_currents_in_jax(conductance, jnp.swapaxes(voltage, -1, -2), *wires)
    return jnp.moveaxis(found, -1, -3)


# ---- The primitives ----------------------------------------------------------------------------


def _batched(primitive: Primitive) -> Callable[..., Any]:
    """A rule for `vmap`: arrays have leading axes anyway, and get one more."""

    def rule(operands: Any, axes: Any, *, where: Where) -> Any:
        mapped = [(x, axis) for x, axis in zip(operands, axes, strict=True) if axis is not None]
        size = mapped[0][0].shape[mapped[0][1]]

        def led(x: ArrayLike, axis: Any) -> Array:  # NumPy scalars are among constants
            if axis is None:
                return jnp.broadcast_to(x, (size, *jnp.shape(x)))
            return jnp.moveaxis(x, axis, 0)

        out = primitive.bind(*map(led, operands, axes), where=where)
        return out, [0] * len(out) if primitive.multiple_results else 0

    return rule


def _primitive(
    name: str,
    native: Callable[..., Any] | None,
    pure: Callable[..., Any],
    types: Callable[..., Any],
    multiple_results: bool = False,
) -> Primitive:
    """A primitive of arrays; `types` gives those of the results from those of the operands."""
    made = Primitive(name)
    made.multiple_results = multiple_results

    def lowered(by_kernel: tuple[Where, ...]) -> Any:
        def run(*operands: Array, where: Where) -> Any:
            kernel = native if where in by_kernel else None
            return (kernel or pure)(*operands)

        return mlir.lower_fun(run, multiple_results)

    made.def_abstract_eval(lambda *operands, where: types(*operands))
    made.def_impl(jax.jit(made.bind, static_argnames="where"))
    mlir.register_lowering(made, lowered(("everywhere",)))
    mlir.register_lowering(made, lowered(("everywhere", "cpu")), platform="cpu")
    batching.primitive_batchers[made] = _batched(made)
    return made


_effective = _primitive(
    "effective_conductance",
    _kernels.effective_conductance,
    _effective_in_jax,
    lambda conductance, *_: conductance,
)
_pulled = _primitive(
    "pull_effective_conductance",
    _kernels.pull_effective_conductance,
    _pull_in_jax,
    lambda _, *circuit: circuit,
    multiple_results=True,
)
_currents = _primitive(
    "cell_currents",
    _kernels.cell_currents,
    _currents_in_jax,
    lambda conductance, voltage, *_: voltage.update(shape=(*voltage.shape, conductance.shape[-1])),
)
_tangent = _primitive(
    "effective_conductance_tangent",
    None,
    _tangent_in_jax,
    lambda conductance, *_: conductance,
)


def _tangent_jvp(primals: Operands, tangents: Operands, *, where: Where) -> tuple[Array, Array]:
    directions = tuple(map(ad.instantiate_zeros, tangents))
    _, change = jax.jvp(_tangent_in_jax, tuple(primals), directions)
    return _tangent.bind(*primals, where=where), change


def _tangent_transpose(cotangent: Any, *operands: Any, where: Where) -> list[Array | None]:
    circuit, directions = operands[:3], operands[3:]
    derivatives = _pull(where, ad.instantiate_zeros(cotangent), *circuit)
    asked = map(ad.is_undefined_primal, directions)
    return [None] * 3 + [d if of else None for d, of in zip(derivatives, asked, strict=True)]


ad.primitive_jvps[_tangent] = _tangent_jvp
ad.primitive_transposes[_tangent] = _tangent_transpose
