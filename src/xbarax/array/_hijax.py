"""The one file that knows `jax.experimental.hijax`, and hides how JAX versions differ.

`HiPrim` (JAX 0.12) is called `VJPHiPrimitive` in 0.10, where its `dce` hook takes other arguments.
"""

import functools
from typing import Any

import jax
from jax.experimental import hijax, io_callback
from jax.extend.core import jaxpr_as_fun, primitives

# Any: what a type must offer differs between JAX versions, and is tested by using it.
HiType: Any = hijax.HiType
ShapedArray = hijax.ShapedArray
Zero = hijax.Zero
aval_property = hijax.aval_property
aval_method = hijax.aval_method
register_hitype = hijax.register_hitype
instantiate_zeros = hijax.instantiate_zeros

# JAX 0.10 cannot lower the call that a scan under `jax.checkpoint` becomes, if it has arrays in it.
_call: Any = primitives.closed_call_p
if "to_lojax" not in vars(_call):
    _call.to_lojax = lambda *args, call_jaxpr: jaxpr_as_fun(call_jaxpr)(*args)

# No JAX so far can lower its `stop_gradient` for other types than arrays, for which it is nothing.
_stop: Any = primitives.stop_gradient_p
if "to_lojax" not in vars(_stop):
    _stop.is_high = lambda aval: aval.is_high
    _stop.to_lojax = lambda x: x

_Base: Any = getattr(hijax, "HiPrim", None) or hijax.VJPHiPrimitive


class Primitive(_Base):
    """A primitive over crossbar types; subclasses give `expand` and the rules they support."""

    # What no differentiated value reaches is bound as it is: JAX 0.12 refuses `lin` rules whose
    # tangents are not symbolically zero there.
    skip_linearization_on_zero_tangents = True

    def __init__(
        self, in_avals: tuple, out_aval: Any, effects: frozenset = frozenset(), **params: Any
    ):
        """Sets what JAX asks of a primitive: types in, types out, effects, static parameters."""
        self.in_avals, self.out_aval, self.params = in_avals, out_aval, params
        self.effects = effects
        super().__init__()

    def batch(self, axis_data, args, dims):
        """Batches by the subclass's `batch_mapped`; JAX also calls this with nothing mapped."""
        if all(dim is None for dim in dims):
            return self(*args), jax.tree.map(lambda _: None, self.out_aval)
        return self.batch_mapped(axis_data, args, dims)

    def dce(self, used_outs, *live_ins):
        """Keeps what is used, and everything that has a side effect."""
        if any(jax.tree.leaves(used_outs)) or self.effects:
            return True, True, self
        return False, False, None


@functools.cache
def io_effects() -> frozenset:
    """The effects of input and output.

    JAX refuses them under a batched `cond`, which runs all branches, and inside `jax.checkpoint`,
    which runs twice. There it prints them: one says what they are for.
    """
    written = jax.make_jaxpr(lambda: io_callback(lambda: None, None))()
    (effect,) = written.effects
    return frozenset((effect, _telling(type(effect))))


def _telling(kind: Any) -> Any:
    """An effect of that kind whose printed form tells a user what it means."""

    class Telling(kind):
        def __repr__(self) -> str:
            return "calls into a real chip, which would be made twice"

    return Telling()


def typeof(x: Any) -> Any:
    """The type of a value or tracer; None stands for an argument that is absent."""
    return None if x is None else jax.typeof(x)


def is_zero(tangent: Any) -> bool:
    """Whether a tangent is symbolically zero."""
    return isinstance(tangent, Zero)


def zero_cotangent(aval: Any) -> Any:
    """The symbolic zero that a backward rule returns for an argument of type `aval`."""
    return None if aval is None else Zero(aval.to_ct_aval())


def is_concrete(x: Any) -> bool:
    """Whether `x` has values that can be looked at now (it is not being traced)."""
    return not isinstance(x, jax.core.Tracer)
