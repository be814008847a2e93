"""Crossbars in parameter trees: `xb.apply_updates`, `xb.plain`, `xb.to_crossbar`."""

import dataclasses
import re

import jax
import numpy as np
import optax
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.chip.noisy import Noisy
from tests.helpers import assert_close, assert_equal, normal, weights_of

NOISY = xb.Chip(device=Noisy(write=0.1))


def plain_params():
    """Two layers of plain arrays."""
    return [
        {"input": jnp.asarray(normal(0, 4, 5)), "bias": jnp.asarray(normal(1, 4))},
        {"input": jnp.asarray(normal(2, 3, 4)), "bias": None},
    ]


def read_out(params):
    return jax.tree.map(weights_of, params)


@pytest.fixture
def chip(implementation):
    return xb.Chip(implementation=implementation)


def with_crossbars(chip=None):
    return xb.to_crossbar(plain_params(), lambda p: [layer["input"] for layer in p], chip)


def loss(params, x):
    hidden = jnp.tanh(params[0]["input"] @ x + params[0]["bias"])
    return jnp.sum((params[1]["input"] @ hidden) ** 2)


# ---- apply_updates -----------------------------------------------------------------------------


def test_apply_updates_adds_and_programs(chip):
    params = with_crossbars(chip)
    updates = jax.tree.map(lambda p: 2 * jnp.ones(p.shape), plain_params())
    updated = xb.apply_updates(params, updates)
    assert jax.tree.structure(updated) == jax.tree.structure(params)
    assert isinstance(updated[0]["input"], xb.MemristiveCrossbarArray)
    assert_equal(read_out(updated), jax.tree.map(lambda p: p + 2, plain_params()))
    assert_equal(read_out(params), plain_params())


def test_apply_updates_is_optaxs_on_plain_arrays():
    params = {"a": jnp.ones(3, jnp.bfloat16), "b": None, "c": jnp.arange(2.0)}
    updates = {"a": jnp.full(3, 0.5), "b": None, "c": jnp.ones(2)}
    assert_equal(xb.apply_updates(params, updates), optax.apply_updates(params, updates))


def test_apply_updates_leaves_what_has_no_update():
    params = with_crossbars()
    updates = [{"input": None, "bias": jnp.ones(4)}, {"input": jnp.ones((3, 4)), "bias": None}]
    updated = xb.apply_updates(params, updates)
    assert updated[0]["input"] is params[0]["input"]
    assert_equal(updated[0]["bias"], params[0]["bias"] + 1)
    assert_equal(xb.readout(updated[1]["input"]), xb.readout(params[1]["input"]) + 1)


def test_apply_updates_refuses_another_structure():
    params = with_crossbars()
    with pytest.raises(ValueError, match="structure|arity|mismatch|[Kk]ey"):
        xb.apply_updates(params, params[:1])


def test_apply_updates_refuses_another_shape():
    params = {"w": xb.MemristiveCrossbarArray(normal(0, 3, 4))}
    message = r"given crossbar\[float32\[3,4\]\] and float32\[4,3\]"
    with pytest.raises(ValueError, match=message):
        xb.apply_updates(params, {"w": jnp.ones((4, 3))})


# ---- plain -------------------------------------------------------------------------------------

OPTIMISERS = {
    "adamw": lambda: optax.adamw(0.05, weight_decay=0.3),
    "lamb": lambda: optax.lamb(0.05, weight_decay=0.3),
    "decayed sgd": lambda: optax.chain(optax.add_decayed_weights(0.3), optax.sgd(0.05)),
    "masked": lambda: optax.masked(
        optax.adamw(0.05), [{"input": True, "bias": False}, {"input": True, "bias": None}]
    ),
    "extra arguments": lambda: optax.polyak_sgd(0.05),
}


def train(optimiser, params, steps=3):
    """The parameters and the optimiser's state after some steps of training."""
    state = jax.jit(optimiser.init)(params)
    x = normal(3, 5)

    @jax.jit
    def step(params, state):
        value, grads = jax.value_and_grad(loss)(params, x)
        extra_args = optax.with_extra_args_support(optimiser)
        updates, state = extra_args.update(grads, state, params, value=value)
        return xb.apply_updates(params, updates), state

    for _ in range(steps):
        params, state = step(params, state)
    return read_out(params), state


@pytest.mark.parametrize("name", OPTIMISERS)
def test_plain_is_the_optimiser_on_plain_arrays(name):
    optimiser = OPTIMISERS[name]()
    assert_close(train(xb.plain(optimiser), with_crossbars()), train(optimiser, plain_params()))


def test_plain_changes_nothing_on_plain_arrays():
    optimiser = optax.adamw(0.05)
    assert_equal(train(xb.plain(optimiser), plain_params()), train(optimiser, plain_params()))


def test_plain_passes_missing_parameters_on():
    optimiser = xb.plain(optax.sgd(0.5))
    state = optimiser.init(plain_params())
    updates, _ = optimiser.update(plain_params(), state)
    assert_equal(updates, jax.tree.map(lambda p: -0.5 * p, plain_params()))


# ---- to_crossbar -------------------------------------------------------------------------------


def test_to_crossbar_programs_one_leaf(chip):
    params = xb.to_crossbar(plain_params(), lambda p: p[-1]["input"], chip)
    kinds = jax.tree.map(lambda leaf: isinstance(leaf, xb.MemristiveCrossbarArray), params)
    assert kinds == [{"input": False, "bias": False}, {"input": True, "bias": None}]
    assert params[-1]["input"].chip == chip
    assert_equal(read_out(params), plain_params())


def test_to_crossbar_programs_a_list_of_leaves(chip):
    params = with_crossbars(chip)
    kinds = jax.tree.map(lambda leaf: isinstance(leaf, xb.MemristiveCrossbarArray), params)
    assert kinds == [{"input": True, "bias": False}, {"input": True, "bias": None}]
    assert_equal(read_out(params), plain_params())


def test_to_crossbar_leaves_the_given_tree():
    params = plain_params()
    xb.to_crossbar(params, lambda p: p[0]["input"])
    assert_equal(params, plain_params())


def test_to_crossbar_gives_each_array_a_key_of_its_own():
    same = {"a": jnp.ones((3, 4)), "b": jnp.ones((3, 4)), "c": jnp.ones(3)}
    program = lambda seed: read_out(
        xb.to_crossbar(same, lambda p: [p["a"], p["b"]], NOISY, jax.random.key(seed))
    )
    params = program(0)
    assert np.all(np.asarray(params["a"]) != np.asarray(params["b"]))
    assert_equal(params, program(0))
    assert np.all(np.asarray(params["a"]) != np.asarray(program(1)["a"]))


def test_to_crossbar_works_inside_jit(chip):
    program = jax.jit(lambda p: xb.to_crossbar(p, lambda p: p[0]["input"], chip))
    assert_equal(read_out(program(plain_params())), plain_params())


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        (lambda p: p[0]["bias"], ValueError, "the leaf at [0]['bias']: weights: expected two axes"),
        (lambda p: jnp.ones((2, 2)), TypeError, "where must return leaves of the tree it is given"),
        (lambda p: "input", TypeError, "it returned 'input'"),
        (lambda p: [], ValueError, "where returned no leaf of the tree"),
        (lambda p: p[1]["bias"], ValueError, "where returned no leaf of the tree"),
        (lambda p: [p[0]["input"]] * 2, ValueError, "where returned the same leaf twice"),
    ],
)
def test_to_crossbar_names_what_cannot_be_programmed(where, error, message):
    with pytest.raises(error, match=re.escape(message)):
        xb.to_crossbar(plain_params(), where)


def test_to_crossbar_names_the_leaf_of_another_type():
    params = {"layer": [jnp.ones((2, 2), jnp.int32)]}
    message = "the leaf at ['layer'][0]: weights: expected floating-point numbers, float32, given"
    with pytest.raises(TypeError, match=re.escape(message)):
        xb.to_crossbar(params, lambda p: p["layer"])


@dataclasses.dataclass(frozen=True)
class Careless(Noisy):
    """A device that takes a traced number for a concrete one: JAX's own kind of TypeError."""

    def program(self, targets, start, key):
        return super().program(targets * float(targets[0, 0, 0]), start, key)


def test_to_crossbar_names_the_leaf_of_jaxs_own_errors():
    chip = xb.Chip(device=Careless())
    with pytest.raises(jax.errors.ConcretizationTypeError) as error:
        xb.to_crossbar(plain_params(), lambda p: p[0]["input"], chip)
    assert "to_crossbar: the leaf at [0]['input']" in error.value.__notes__


@pytest.mark.parametrize("key", [3, "seed"])
def test_to_crossbar_refuses_what_is_no_key(key, as_users_call):
    message = "key: expected a PRNG key such as jax.random.key(0), given"
    with pytest.raises(TypeError, match=re.escape(message)):
        xb.to_crossbar(plain_params(), lambda p: p[0]["input"], key=key)


def test_to_crossbar_refuses_a_batch_of_keys():
    keys = jax.random.split(jax.random.key(0), 2)
    with pytest.raises(ValueError, match=r"one PRNG key, given a batch of shape \(2,\)"):
        xb.to_crossbar(plain_params(), lambda p: p[0]["input"], key=keys)


def test_to_crossbar_names_the_leaf_that_is_not_finite():
    params = {"w": jnp.array([[1.0, jnp.nan]])}
    with pytest.raises(ValueError, match=re.escape("the leaf at ['w']: weights: expected finite")):
        xb.to_crossbar(params, lambda p: p["w"])


def test_to_crossbar_names_the_leaf_that_lacks_a_key():
    with pytest.raises(ValueError, match=re.escape("the leaf at [0]['input']: this chip draws")):
        xb.to_crossbar(plain_params(), lambda p: p[0]["input"], NOISY)
