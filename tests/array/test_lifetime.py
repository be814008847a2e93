"""What happens to an array in its life: compilation, donation, copies, storage."""

import copy
import pickle

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip.noisy import Noisy
from tests.helpers import Compilations, assert_close, assert_equal, normal

N_OUT, N_IN = 3, 5
W, DW = normal(0, N_OUT, N_IN), normal(1, N_OUT, N_IN)
X = normal(2, N_IN)

CHIPS = {
    "jax": xb.Chip(implementation="jax"),
    "native": xb.Chip(implementation="native"),
    "noisy": xb.Chip(device=Noisy(write=0.1, read=0.1), tile=(2, 2)),
}


@pytest.fixture(params=CHIPS)
def chip(request):
    return CHIPS[request.param]


def make(chip, seed=0):
    return xb.MemristiveCrossbarArray(W, chip, jax.random.key(seed))


def everything(w):
    """All that can be observed of an array, its future included."""
    return xb.array.get_state(w), xb.readout(w), w @ X, xb.readout(w + DW), (w + DW) @ X


# ---- Compilation -------------------------------------------------------------------------------


def test_a_hundred_updates_compile_once(chip):
    traces = []

    @jax.jit
    def update(w, dw):
        traces.append(w)
        return w + dw

    compilations = Compilations()
    w = make(chip)
    for step in range(100):
        w = update(w, DW / 100)
        if step == 0:
            after_one = compilations.count
    assert 0 < after_one == compilations.count
    assert len(traces) == 1


def test_a_hundred_updates_outside_jit_compile_once(chip):
    compilations = Compilations()
    w = make(chip)
    for step in range(100):
        w = w + DW / 100
        if step == 0:
            after_one = compilations.count
    assert after_one == compilations.count


def test_arrays_on_equal_chips_share_a_compilation(chip):
    traces = []
    read = jax.jit(lambda w: (traces.append(w), w @ X)[1])
    read(make(chip))
    read(make(copy.deepcopy(chip), seed=1))
    assert len(traces) == 1


def test_eval_shape_gives_types(chip):
    shapes = jax.eval_shape(lambda w, x: (w @ x, w + DW, xb.report(w)), make(chip), X)
    assert shapes[0] == jax.ShapeDtypeStruct((N_OUT,), jnp.float32)
    assert shapes[1] == jax.typeof(make(chip))
    assert shapes[2]["not_finite"] == jax.ShapeDtypeStruct((), jnp.int32)


def test_eval_shape_makes_no_array(chip):
    key = jax.random.key(0)
    wanted = jax.ShapeDtypeStruct((300_000, 300_000), jnp.float32)
    shape = jax.eval_shape(lambda weights: xb.MemristiveCrossbarArray(weights, chip, key), wanted)
    assert shape.shape == wanted.shape


def test_a_type_stands_for_its_array_when_compiling_ahead(chip):
    types = jax.typeof(make(chip)), jax.ShapeDtypeStruct((N_IN,), jnp.float32)
    compiled = jax.jit(lambda w, x: w @ x).lower(*types).compile()
    assert_close(compiled(make(chip), X), make(chip) @ X)


# ---- Donation ----------------------------------------------------------------------------------


def test_donating_leaves_the_callers_weights_and_key(chip):
    weights, key = jnp.asarray(W), jax.random.key(0)
    w = xb.MemristiveCrossbarArray(weights, chip, key)
    jax.block_until_ready(jax.jit(lambda w: w + DW, donate_argnums=0)(w))
    assert_equal(weights, jnp.asarray(W))
    assert_equal(jax.random.key_data(key), jax.random.key_data(jax.random.key(0)))


def test_donating_leaves_what_was_taken_from_the_array(chip):
    w = make(chip)
    older, taken = w + DW, (xb.readout(w), xb.report(w), w @ X)
    copies = jax.tree.map(np.array, taken)
    expected = jax.tree.map(np.array, everything(older))
    jax.block_until_ready(jax.jit(lambda w: w + DW, donate_argnums=0)(w))
    jax.tree.map(np.testing.assert_array_equal, taken, copies)
    jax.tree.map(np.testing.assert_array_equal, everything(older), expected)


def test_donating_leaves_a_deep_copy(chip):
    w = make(chip)
    kept = copy.deepcopy(w)
    jax.block_until_ready(jax.jit(lambda w: w + DW, donate_argnums=0)(w))
    assert_equal(everything(kept), everything(make(chip)))


def test_donating_in_a_loop_gives_the_same_numbers(chip):
    step = lambda w: w + DW
    donating, keeping = jax.jit(step, donate_argnums=0), jax.jit(step)
    w, v = make(chip), make(chip)
    for _ in range(3):
        w, v = donating(w), keeping(v)
    assert_equal(everything(w), everything(v))


def test_a_donated_array_says_that_it_is_gone(chip):
    w = make(chip)
    jax.block_until_ready(jax.jit(lambda w: w + DW, donate_argnums=0)(w))
    with pytest.raises((RuntimeError, ValueError), match="deleted"):
        xb.readout(w)


# ---- Copies and storage ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda w: pickle.loads(pickle.dumps(w))]
)
def test_a_copy_is_the_same_array(chip, again):
    w = make(chip) + DW
    twin = again(w)
    assert isinstance(twin, xb.MemristiveCrossbarArray)
    assert jax.typeof(twin) == jax.typeof(w)
    assert_equal(everything(twin), everything(w))


def test_a_batch_of_arrays_is_pickled_and_copied(chip):
    keys = jax.random.split(jax.random.key(0), 4)
    batch = jax.vmap(lambda key: xb.MemristiveCrossbarArray(W, chip, key))(keys)
    for twin in (copy.deepcopy(batch), pickle.loads(pickle.dumps(batch))):
        assert jax.typeof(twin) == jax.typeof(batch)
        assert_equal(xb.array.get_state(twin), xb.array.get_state(batch))


def test_the_state_is_plain_numpy(chip):
    state = xb.array.get_state(make(chip))
    assert state
    assert {type(value) for value in state.values()} == {np.ndarray}
    assert {name.split("/")[0] for name in state} == {"state", "key", "key_impl"}


def test_only_a_concrete_array_has_a_state(chip, as_users_call):
    for given in (W, None):
        with pytest.raises(TypeError, match="expected a concrete crossbar array, given"):
            xb.array.get_state(given)
    with pytest.raises(TypeError, match="expected a concrete crossbar array, given"):
        jax.jit(lambda w: xb.array.get_state(w))(make(chip))


def test_the_state_comes_back(chip):
    w = make(chip) + DW
    other = make(chip, seed=1)
    back = xb.array.set_state(other, xb.array.get_state(w))
    assert_equal(everything(back), everything(w))
    assert_equal(everything(other), everything(make(chip, seed=1)))


def test_the_state_comes_back_from_a_file(chip, tmp_path):
    w = make(chip)
    np.savez(tmp_path / "array.npz", **xb.array.get_state(w))
    with np.load(tmp_path / "array.npz", allow_pickle=False) as state:
        back = xb.array.set_state(make(chip, seed=1), dict(state))
    assert_equal(everything(back), everything(w))


def test_the_state_is_a_copy(chip):
    w = make(chip)
    for value in xb.array.get_state(w).values():
        if value.flags.writeable:
            value[...] = 0
    assert_equal(everything(w), everything(make(chip)))


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_the_state_keeps_the_kind_of_key(impl):
    key = jax.random.key(3, impl=impl)
    w = xb.MemristiveCrossbarArray(W, CHIPS["noisy"], key) + DW
    twin = pickle.loads(pickle.dumps(w))
    assert_equal(everything(twin), everything(w))
    assert_equal(everything(xb.array.set_state(w, xb.array.get_state(twin))), everything(w))


def test_an_array_without_a_key_keeps_none():
    w = xb.MemristiveCrossbarArray(W)
    assert not any(name.startswith("key") for name in xb.array.get_state(w))
    assert_equal(
        xb.array.get_state(xb.array.set_state(w, xb.array.get_state(w + DW))),
        xb.array.get_state(w + DW),
    )


def without(state, name):
    return {n: value for n, value in state.items() if n != name}


CHANGES = {
    "a name lacking": lambda state: without(state, "state/not_finite"),
    "a name too many": lambda state: {**state, "state/more": np.zeros(3)},
    "no key": lambda state: without(without(state, "key"), "key_impl"),
    "another shape": lambda state: {**state, "state/not_finite": np.zeros(3, np.int32)},
    "another dtype": lambda state: {**state, "state/not_finite": np.zeros((), np.float32)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_refuses_a_state_of_something_else(chip, change):
    w = make(chip)
    message = (
        r"does not belong to a crossbar\[float32\[3,5\]\]: given \{.*\}, expected \{.*int32\[\]"
    )
    with pytest.raises(ValueError, match=message):
        xb.array.set_state(w, CHANGES[change](xb.array.get_state(w)))
    assert_equal(everything(w), everything(make(chip)))
