"""The crossbar array as a value."""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax import Array
from jax import numpy as jnp
from jax.typing import ArrayLike

from xbarax.array import _hijax, _keys
from xbarax.array._held import Held
from xbarax.array._primitives import _common, program
from xbarax.array._type import FLOAT32, CrossbarType, make_value
from xbarax.chip import AbstractChip, AbstractStatefulChip, Chip

if TYPE_CHECKING:
    from xbarax.array._operators import Transposed


class _ArrayMeta(type):
    """Makes `isinstance` true for traced arrays too."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return super().__instancecheck__(instance) or (
            isinstance(instance, jax.core.Tracer) and isinstance(jax.typeof(instance), CrossbarType)
        )


class MemristiveCrossbarArray(metaclass=_ArrayMeta):
    r"""A memristive crossbar array: weights in devices, which an analog read multiplies with.

    An immutable JAX value of its own type and one leaf of any pytree: `jit`, `grad`, `vmap`,
    `scan`, `jax.tree` and optax take it as they take arrays. For weights `W` of shape (out, in)::

        w = xb.MemristiveCrossbarArray(W, chip, key)   # programs W into the chip's devices
        y = w @ x          # reads, y_o = Σ_i W_oi x_i, for x (in,) or (in, n)
        x = w.T @ y        # reads in the other direction
        w = w + dw         # programs a change; so does w - dw
        W = xb.readout(w)  # the programmed weights as a plain array

    Everything else that arrays do is refused with an error that names the way to do it.

    Args:
      weights: (out, in), float32, finite, dimensionless: what to program.
      chip: what the array is made of (`xbarax.Chip`, or `xbarax.hardware.load(…)`); None: an
        ideal chip.
      key: a PRNG key, for chips whose programming or reading is random. It is stored in the array
        (a copy), and each programming uses it and leaves a fresh one.

    Attributes:
      shape: (out, in). A batch of arrays, made by `jax.vmap`, has its batch axes in front.
      dtype: float32.
      ndim: 2, and one more for each batch axis.
      size: the number of weights.
      chip: what the array is made of.
      T: the array read in the other direction; good for `w.T @ y` only.

    Raises:
      TypeError: weights that are no array, are not floating, or of another floating type than
        float32; a chip or a key that is none.
      ValueError: weights that are not two-dimensional, are lists of different lengths, are empty,
        or (outside of tracing) have NaN or infinite entries; a chip that draws random numbers,
        and no key.

    Derivatives: the tangent of an array is a plain (out, in) array, a change of its effective
    weights. Programming is straight-through, but for wires that are not ideal, which are between
    programmed and effective weights (`xbarax.wires.pull_back`).
    """

    __slots__ = ("__weakref__", "_held", "_type")

    # NumPy must leave `x @ w` and `x * w` to the reflected operators, which name the way.
    __array_ufunc__ = None

    _type: CrossbarType
    _held: Held

    def __new__(
        cls, weights: ArrayLike, chip: AbstractChip | None = None, key: Array | None = None
    ) -> "MemristiveCrossbarArray":
        """Programs `weights`; see the class."""
        chip = Chip() if chip is None else chip
        if not isinstance(chip, AbstractChip):
            raise TypeError(f"chip: expected an xbarax.Chip or None, given {chip!r}")
        checked = _check_weights(weights)
        key = _keys.as_typed(key)
        if key is None and (chip.noisy_program or chip.noisy_read):
            raise ValueError(
                f"this chip draws random numbers and needs a key: give key=jax.random.key(0) or "
                f"another, for {chip!r}"
            )
        if _hijax.is_concrete(checked):
            chip.check(np.asarray(checked))
        return program(checked, key, chip)

    @classmethod
    def _new(cls, ty: CrossbarType, held: Held) -> "MemristiveCrossbarArray":
        new = object.__new__(cls)
        for name, value in (("_type", ty), ("_held", held)):
            object.__setattr__(new, name, value)
        if isinstance(ty.chip, AbstractStatefulChip):
            ty.chip.hold(new, new._state)
        return new

    @property
    def _state(self) -> Any:
        """The chip's."""
        return self._held.tree[0]

    @property
    def _key(self) -> Array | None:
        return self._held.tree[1]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a crossbar array is immutable: `w + dw` gives a new one")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a crossbar array is immutable: `w + dw` gives a new one")

    @property
    def shape(self) -> tuple[int, ...]:
        """(out, in), after the axes of a batch."""
        return self._type.shape

    @property
    def dtype(self) -> np.dtype:
        """float32."""
        return self._type.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._type.ndim

    @property
    def size(self) -> int:
        """Number of weights."""
        return self._type.size

    @property
    def chip(self) -> AbstractChip:
        """What the array is made of."""
        return self._type.chip

    def block_until_ready(self) -> "MemristiveCrossbarArray":
        """Waits until the array is programmed, as `jax.block_until_ready` does; returns it."""
        jax.block_until_ready(self._held.few)
        return self

    if TYPE_CHECKING:  # what _operators.py gives to concrete arrays and tracers alike

        def __matmul__(self, x: ArrayLike) -> Array: ...
        def __add__(self, delta: ArrayLike) -> "MemristiveCrossbarArray": ...
        def __sub__(self, delta: ArrayLike) -> "MemristiveCrossbarArray": ...
        @property
        def T(self) -> "Transposed": ...  # noqa: D102

    def __repr__(self) -> str:
        """The shape and the chip; the weights are `xbarax.readout`'s to give."""
        dims = ",".join(map(str, self.shape))
        return f"MemristiveCrossbarArray(float32[{dims}], chip={self.chip!r})"

    def __copy__(self) -> "MemristiveCrossbarArray":
        return self

    def __deepcopy__(self, memo: dict) -> "MemristiveCrossbarArray":
        return self._new(self._type, jax.tree.map(jnp.copy, self._held))

    def __reduce__(self) -> tuple:
        return _unpickle, (self._type.shape, self.chip, get_state(self))


_hijax.register_hitype(MemristiveCrossbarArray, lambda array: array._type)


def get_state(array: MemristiveCrossbarArray) -> dict[str, np.ndarray]:
    """Everything that a concrete array holds, as plain NumPy arrays by name.

    Of an array behind a driver, the weights: they are read out.

    Args:
      array: a concrete crossbar array.

    Returns:
      Names to arrays: the chip's state as `state/…`, the key's bits as `key` and its kind as
      `key_impl`. `set_state` takes it.

    Raises:
      TypeError: `array` is traced, or no crossbar array.
    """
    if not (isinstance(array, MemristiveCrossbarArray) and _hijax.is_concrete(array)):
        raise TypeError(f"get_state: expected a concrete crossbar array, given {array!r}")
    chip = array.chip
    state = chip.stored(array._state) if isinstance(chip, AbstractStatefulChip) else array._state
    leaves = jax.tree_util.tree_leaves_with_path(state)
    name = lambda path: "/".join(["state", *(str(getattr(p, "key", p)) for p in path)])
    held = {name(path): _stored(leaf) for path, leaf in leaves}
    if array._key is not None:
        held["key"] = _stored(array._key)
        held["key_impl"] = np.asarray(str(jax.random.key_impl(array._key)))
    return held


def set_state(
    array: MemristiveCrossbarArray, state: dict[str, np.ndarray]
) -> MemristiveCrossbarArray:
    """An array of the same type as `array` that holds what `get_state` gave.

    An array behind a driver is programmed in its place, and `array` is stale.

    Raises:
      ValueError: names, shapes or types differ from those of `array`, or its chip would see the
        devices in another way: through other wires, for instance.
    """
    expected = get_state(array)
    describe = lambda s: {k: f"{v.dtype}{list(v.shape)}" for k, v in sorted(s.items())}
    if describe(expected) != describe(state):
        raise ValueError(
            f"this state does not belong to a {jax.typeof(array).str_short()}: given "
            f"{describe(state)}, expected {describe(expected)}"
        )
    key, chip = _key_from(state), array.chip
    if isinstance(chip, AbstractStatefulChip):
        restored = chip.restored(chip.recover(array._state), _stored_parts(state))
        return make_value(array._type, restored, key)
    names = [name for name in expected if name.startswith("state")]
    restored = _restore(array._type, [state[name] for name in names], key)
    _check_seen(restored)
    return restored


def _check_seen(array: MemristiveCrossbarArray) -> None:
    """Refuses a state that keeps what another chip's reads saw of the same devices.

    Raises:
      ValueError: it does.
    """
    state, chip = array._state, array.chip
    if not (isinstance(chip, Chip) and "seen" in state):
        return
    see = _common.vmapped(chip.see, len(array._type.batch_shape))
    kept, seen = (jax.tree.leaves(of["seen"]) for of in (state, see(state)))
    near = lambda a, b: np.allclose(a, b, rtol=0, atol=1e-4 * np.max(np.abs(b)), equal_nan=True)
    if not all(map(near, kept, seen)):
        raise ValueError(
            f"this state does not belong to a {array._type.str_short()}: it was saved from a chip "
            f"whose reads see these devices in another way, such as through other wires than "
            f"{chip.wires!r}; program what xb.readout gives into an array on this chip instead"
        )


def _stored_parts(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name[6:]: part for name, part in state.items() if name.startswith("state/")}


def _key_from(state: dict[str, np.ndarray]) -> Array | None:
    if "key" not in state:
        return None
    return jax.random.wrap_key_data(jnp.array(state["key"]), impl=str(state["key_impl"]))


def _unpickle(
    shape: tuple[int, ...], chip: AbstractChip, state: dict[str, np.ndarray]
) -> MemristiveCrossbarArray:
    key = _key_from(state)
    ty = CrossbarType(shape, chip, None if key is None else key.dtype)
    if isinstance(chip, AbstractStatefulChip):
        restored = chip.restored(chip.allocate(shape), _stored_parts(state))
        return make_value(ty, restored, key)
    leaves = [leaf for name, leaf in state.items() if name.startswith("state")]
    return _restore(ty, leaves, key)


def _stored(leaf: Array) -> np.ndarray:
    """Keys as their bits, everything else as it is."""
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)


def _restore(ty: CrossbarType, stored: list[np.ndarray], key: Any) -> MemristiveCrossbarArray:
    """The array of type `ty` with the leaves of its state as `_stored` left them."""
    shapes, structure = jax.tree.flatten(ty.layout[0])
    leaves = []
    for data, like in zip(stored, shapes, strict=True):
        is_key = jnp.issubdtype(like.dtype, jax.dtypes.prng_key)
        # A chip's own keys are split from the array's, and of its kind.
        impl = jax.random.key_impl(key) if is_key else None
        leaves.append(
            jax.random.wrap_key_data(jnp.array(data), impl=impl) if is_key else jnp.array(data)
        )
    return make_value(ty, jax.tree.unflatten(structure, leaves), key)


def _check_weights(weights: ArrayLike) -> Array:
    if isinstance(weights, MemristiveCrossbarArray):
        raise TypeError(
            "weights: given a crossbar array; program what xb.readout(w) gives, or keep w"
        )
    given = as_array("weights", weights)
    if given.ndim != 2:
        raise ValueError(
            f"weights: expected two axes (out, in), given {given.ndim} of shape {given.shape}"
        )
    check_float32("weights", weights)
    if given.size == 0:
        raise ValueError(f"weights: expected at least one, given the empty shape {given.shape}")
    if _hijax.is_concrete(given):
        check_finite("weights", given)
    return jnp.asarray(given)


def as_array(name: str, given: Any) -> Any:
    """An array as it is, a number or nested lists of numbers as NumPy's; refuses what is neither.

    NumPy's, since JAX would cast its float64 silently.
    """
    if hasattr(given, "dtype"):
        return given
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise ValueError(
            f"{name}: expected an array, given nested lists of different lengths: {error}"
        ) from error
    if array.dtype.kind not in "biufc":
        inside = f" with entries of type {array.dtype}" if array.ndim else ""
        raise TypeError(
            f"{name}: expected an array of float32 numbers, given {type(given).__name__}{inside}"
        )
    return array


def check_float32(name: str, given: Any) -> None:
    """Refuses arrays, numbers and lists that are not float32, and says what to cast."""
    dtype = as_array(name, given).dtype
    if dtype == FLOAT32:
        return
    floating = jnp.issubdtype(dtype, jnp.floating)
    wanted = "float32" if floating else "floating-point numbers, float32"
    cast = f"{name}.astype(" if hasattr(given, "astype") else f"jnp.asarray({name}, "
    raise TypeError(f"{name}: expected {wanted}, given {dtype}; cast with {cast}jnp.float32)")


def check_finite(name: str, given: Any) -> None:
    """Refuses concrete arrays with NaN or infinite entries, and says how many and where."""
    bad = np.argwhere(~np.isfinite(np.asarray(given)))
    if len(bad):
        raise ValueError(
            f"{name}: expected finite numbers, given {len(bad)} that are NaN or infinite, the "
            f"first at {tuple(map(int, bad[0]))}"
        )
