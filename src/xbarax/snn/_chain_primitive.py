"""The primitives of a chain: how `vmap` and derivatives go through its kernels.

They are primitives of plain arrays, so that compiled programs are called without a detour through
Python. `custom_vjp` has no forward mode, `custom_jvp` no reverse pass of its own, and neither lets
`vmap` take copies for samples.
"""

import functools
from typing import Any, NamedTuple

import jax
from jax import Array
from jax import numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from xbarax.snn._chain import Chain, Operands, Pulled, Results, filled, run_in_jax, zero_tangent
from xbarax.snn._chain_kernels import as_implemented, run_backward, run_natively, run_traced


class Run(NamedTuple):
    """What is static of a run: the chain, what it gives, and the leading axes of its operands."""

    chain: Chain
    record: bool
    axes: int = 0

    def over_axes(self, fn: Any) -> Any:
        """`fn` of operands without leading axes, for those with them."""
        for _ in range(self.axes):
            fn = jax.vmap(fn)
        return fn

    def batched(self) -> "Run":
        """A run with one more leading axis."""
        return self._replace(axes=self.axes + 1)


def run_chain(chain: Chain, record: bool, operands: Operands) -> Results:
    """Operands to results."""
    return _bind_run(Run(chain, record), operands)


def _bind_run(run: Run, operands: Operands) -> Results:
    leaves, tree = jax.tree.flatten(operands)
    out = _run_p.bind(*leaves, run=run, tree=tree)
    return jax.tree.unflatten(jax.tree.structure(_shapes(run, operands)), out)


def _shapes(run: Run, operands: Any) -> Any:
    """The shapes of the results, from operands or their shapes."""
    many = operands.xs.shape[: run.axes + 2]  # time and batch
    shape: Any = lambda layer: jax.ShapeDtypeStruct((*many, layer.size), jnp.float32)
    like = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
    layers = run.chain.layers
    membranes = list(map(shape, layers)) if run.record else []
    return Results(shape(layers[-1]), jax.tree.map(like, operands.states), membranes)


def _with_trace(run: Run, operands: Any) -> Any:
    return run.over_axes(functools.partial(run_traced, run.chain, run.record))(*operands)


# ---- A run ---------------------------------------------------------------------------------------


def _run_expanded(*leaves: Any, run: Run, tree: Any) -> list[Any]:
    def one(*operands: Any) -> Results:
        native = lambda *given: run_natively(run.chain, run.record, False, *given)[0]
        pure = functools.partial(run_in_jax, run.chain, run.record)
        return as_implemented(run.chain, native, pure, *operands)

    return jax.tree.leaves(run.over_axes(one)(*jax.tree.unflatten(tree, leaves)))


def _run_types(*types: Any, run: Run, tree: Any) -> list[Any]:
    return _types(_shapes(run, jax.tree.unflatten(tree, types)))


def _run_differentiated(primals: Any, tangents: Any, *, run: Run, tree: Any) -> Any:
    operands = jax.tree.unflatten(tree, primals)
    out, trace = _with_trace(run, operands)
    known = [None if _is_zero(dot) else dot for dot in tangents]
    dots = _bind_tangent(run, operands, trace, jax.tree.unflatten(tree, known))
    return jax.tree.leaves(out), jax.tree.leaves(dots)


def _run_batched(args: Any, dims: Any, *, run: Run, tree: Any) -> Any:
    size = _size(args, dims)
    placed: Any = jax.tree.unflatten(tree, list(map(_Placed, args, dims)))
    # Noise is a function of a sample's place in its batch.
    shared = all(x.dim is None for x in jax.tree.leaves(placed.params, is_leaf=_is_placed))
    if shared and not run.chain.reads and placed.step.dim is None:
        return _run_as_samples(placed, size, run)
    out = _bind_run(run.batched(), _led(placed, size))
    return jax.tree.leaves(out), [0] * len(jax.tree.leaves(out))


def _run_as_samples(placed: Any, size: int, run: Run) -> Any:
    """Copies that share their parameters are more samples."""
    at = run.axes
    xs = _lead(placed.xs, size, at + 1)  # (…, time, copies, batch, inputs)
    states = _led(placed.states, size, at)
    joined = lambda x, axis: x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])
    operands = placed._replace(
        xs=joined(xs, at + 1),
        states=jax.tree.map(lambda s: joined(s, at), states),
        params=jax.tree.map(lambda x: x.values, placed.params, is_leaf=_is_placed),
        step=placed.step.values,
    )
    out = _bind_run(run, operands)
    apart = lambda x, axis: x.reshape(*x.shape[:axis], size, -1, *x.shape[axis + 1 :])
    states_at = jax.tree.map(lambda _: at, out.states)
    places = jax.tree.map(lambda _: at + 1, out)._replace(states=states_at)
    return jax.tree.leaves(jax.tree.map(apart, out, places)), jax.tree.leaves(places)


# ---- Its tangent ---------------------------------------------------------------------------------
# Operands, trace and the operands' tangents (None: zero) to those of the results. In plain JAX, but
# for its transpose, which is the kernels' backward pass: so reverse mode comes to that.


def _bind_tangent(run: Run, operands: Any, trace: Any, tangents: Any) -> Results:
    leaves, tree = jax.tree.flatten((operands, trace, tangents))
    out = _tangent_p.bind(*leaves, run=run, tree=tree)
    return jax.tree.unflatten(jax.tree.structure(_shapes(run, operands)), out)


def _tangent_in_jax(run: Run, operands: Any, tangents: Any) -> Results:
    def one(operands: Any, tangents: Any) -> Results:
        pure = functools.partial(run_in_jax, run.chain, run.record)
        return jax.jvp(pure, tuple(operands), tuple(filled(operands, tangents)))[1]

    return run.over_axes(one)(operands, tangents)


def _tangent_expanded(*leaves: Any, run: Run, tree: Any) -> list[Any]:
    operands, _, tangents = jax.tree.unflatten(tree, leaves)
    return jax.tree.leaves(_tangent_in_jax(run, operands, tangents))


def _tangent_types(*types: Any, run: Run, tree: Any) -> list[Any]:
    operands, _, _ = jax.tree.unflatten(tree, types)
    return _types(_shapes(run, operands))


def _tangent_differentiated(primals: Any, dots: Any, *, run: Run, tree: Any) -> Any:
    out = _tangent_p.bind(*primals, run=run, tree=tree)
    full = [zero_tangent(x) if _is_zero(dot) else dot for x, dot in zip(primals, dots, strict=True)]
    operands, _, tangents = jax.tree.unflatten(tree, primals)
    operands_dot, _, tangents_dot = jax.tree.unflatten(tree, full)
    in_jax = functools.partial(_tangent_in_jax, run)
    _, out_dot = jax.jvp(in_jax, (operands, tangents), (operands_dot, tangents_dot))
    return out, jax.tree.leaves(out_dot)


def _tangent_batched(args: Any, dims: Any, *, run: Run, tree: Any) -> Any:
    placed = jax.tree.unflatten(tree, list(map(_Placed, args, dims)))
    out = _bind_tangent(run.batched(), *_led(placed, _size(args, dims)))
    return jax.tree.leaves(out), [0] * len(jax.tree.leaves(out))


def _tangent_transposed(cotangents: Any, *args: Any, run: Run, tree: Any) -> Any:
    operands, trace, _ = jax.tree.unflatten(tree, args)
    _, _, places = jax.tree.unflatten(tree, range(len(args)))  # of the tangents among `args`
    results = jax.tree.structure(_shapes(run, operands))
    given = jax.tree.unflatten(results, [None if _is_zero(ct) else ct for ct in cotangents])
    with_xs = places.xs is not None  # what nobody asks for costs a product
    pulled = _pulled(run, operands, trace, given, with_xs)
    out: list[Any] = [None] * len(args)

    def put(place: int | None, cotangent: Array | None) -> None:
        if place is not None and ad.is_undefined_primal(args[place]):
            out[place] = cotangent

    absent = lambda x: x is None
    for name in Pulled._fields:
        jax.tree.map(put, getattr(places, name), getattr(pulled, name), is_leaf=absent)
    return out


def _pulled(run: Run, operands: Any, trace: Any, given: Results, with_xs: bool) -> Pulled:
    """The cotangents of the operands; those given may be None."""
    states = filled(operands[1], given.states)
    back = functools.partial(run_backward, run.chain, run.record, with_xs)
    return run.over_axes(back)(operands, trace, given._replace(states=states))


# ---- Batching ------------------------------------------------------------------------------------


class _Placed(NamedTuple):
    """An array, and which of its axes is mapped."""

    values: Any
    dim: int | None


def _is_placed(x: Any) -> bool:
    return isinstance(x, _Placed)


def _size(args: Any, dims: Any) -> int:
    return next(x.shape[dim] for x, dim in zip(args, dims, strict=True) if dim is not None)


def _lead(placed: Any, size: int, at: int = 0) -> Array:
    """Values with their mapped axis at position `at`, made where they are not mapped."""
    x, dim = placed
    if dim is None:
        shape = (*x.shape[:at], size, *x.shape[at:])
        return jnp.broadcast_to(jnp.expand_dims(x, at), shape)
    return jnp.moveaxis(x, dim, at)


def _led(tree: Any, size: int, at: int = 0) -> Any:
    return jax.tree.map(lambda x: _lead(x, size, at), tree, is_leaf=_is_placed)


# ---- What JAX is told ----------------------------------------------------------------------------


def _is_zero(tangent: Any) -> bool:
    return type(tangent) is ad.Zero


def _types(shapes: Any) -> list[Any]:
    return [jax.core.ShapedArray(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(shapes)]


def _primitive(name: str, expanded: Any, types: Any, differentiated: Any, batched: Any) -> Any:
    primitive = Primitive(name)
    primitive.multiple_results = True
    primitive.def_impl(expanded)
    primitive.def_abstract_eval(types)
    mlir.register_lowering(primitive, mlir.lower_fun(expanded, multiple_results=True))
    ad.primitive_jvps[primitive] = differentiated
    batching.primitive_batchers[primitive] = batched
    return primitive


_run_p = _primitive("lif_chain", _run_expanded, _run_types, _run_differentiated, _run_batched)
_tangent_p = _primitive(
    "lif_chain_tangent",
    _tangent_expanded,
    _tangent_types,
    _tangent_differentiated,
    _tangent_batched,
)
ad.primitive_transposes[_tangent_p] = _tangent_transposed
