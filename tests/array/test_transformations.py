"""JAX's transformations: each program is written once, and run on plain weights and on crossbars.

`make(weights, key=None)` gives the one or the other; both must compute the same.
"""

import functools

import jax
import numpy as np
import optax
import pytest
from jax import lax
from jax import numpy as jnp

import xbarax as xb
from tests.helpers import assert_close, normal, weights_of

N_OUT, N_IN, N_CHIPS, N_STEPS = 3, 5, 4, 6
W = normal(0, N_OUT, N_IN)
DW = normal(1, N_OUT, N_IN)
WEIGHTS = normal(2, N_CHIPS, N_OUT, N_IN)
X = normal(3, N_IN)
XS = normal(4, N_STEPS, N_IN)
TARGET = normal(5, N_OUT)

PROGRAMS = {}


def program(function):
    """Registers a program for the test at the end of the file."""
    PROGRAMS[function.__name__] = function
    return function


def keys():
    return jax.random.split(jax.random.key(0), N_CHIPS)


def loss(w, x):
    """A loss with curvature in both arguments."""
    return jnp.sum(jnp.tanh(w @ x) ** 2)


# ---- jit ---------------------------------------------------------------------------------------


@program
def eager(make):
    w = make(W)
    return w @ X, w.T @ TARGET, weights_of(w + DW), weights_of(w - DW)


@program
def jit(make):
    return jax.jit(lambda w, x: (w @ x, w.T @ TARGET, w @ XS.T))(make(W), X)


@program
def jit_with_a_constant_array(make):
    w = make(W)
    return jax.jit(lambda x: w @ x)(X)


@program
def jit_that_makes_and_returns_the_array(make):
    return weights_of(jax.jit(make)(W))


@program
def jit_that_updates(make):
    return weights_of(jax.jit(lambda w, dw: (w + dw) - 2 * dw)(make(W), DW))


@program
def jit_inside_jit(make):
    inner = jax.jit(lambda w, x: w @ x)
    return jax.jit(lambda w: inner(w, X) + inner(w + DW, X))(make(W))


@program
def ahead_of_time(make):
    compiled = jax.jit(lambda w, x: w @ x).lower(make(W), X).compile()
    return compiled(make(DW), X)


# ---- Derivatives -------------------------------------------------------------------------------


@program
def grad(make):
    return jax.jit(jax.grad(loss, argnums=(0, 1)))(make(W), X)


@program
def grad_outside_jit(make):
    return jax.grad(loss, argnums=(0, 1))(make(W), X)


@program
def grad_of_a_transposed_read(make):
    return jax.grad(lambda w, y: jnp.sum(jnp.tanh(w.T @ y) ** 2), argnums=(0, 1))(make(W), TARGET)


@program
def grad_of_columns(make):
    return jax.grad(lambda w, x: jnp.sum(jnp.tanh(w @ x) ** 2), argnums=(0, 1))(make(W), XS.T)


@program
def grad_through_programming(make):
    return jax.grad(lambda w, dw: loss(w + dw, X) * loss(w - dw, X), argnums=(0, 1))(make(W), DW)


@program
def grad_through_making_the_array(make):
    return jax.grad(lambda weights: loss(make(weights), X))(W)


@program
def grad_of_the_weights(make):
    return jax.grad(lambda w: jnp.sum(weights_of(w) ** 3))(make(W))


@program
def grad_of_checkpoint(make):
    return jax.grad(jax.checkpoint(loss), argnums=(0, 1))(make(W), X)


@program
def grad_of_checkpoint_around_programming(make):
    program_and_read = jax.checkpoint(lambda weights, dw: loss(make(weights) + dw, X))
    return jax.grad(program_and_read, argnums=(0, 1))(W, DW)


@program
def grad_of_checkpoint_with_a_policy(make):
    save_products = jax.checkpoint_policies.dots_saveable
    return jax.grad(jax.checkpoint(loss, policy=save_products), argnums=(0, 1))(make(W), X)


@program
def stop_gradient_inside_jit(make):
    held = lambda w, x: loss(lax.stop_gradient(w), x)
    grad = jax.grad(held, argnums=(0, 1))
    w = make(W)
    stopped = jax.jit(lambda w: weights_of(lax.stop_gradient(w) + DW))(w)
    return (
        stopped,
        jax.jit(held)(w, X),
        grad(w, X),
        jax.jit(grad)(w, X),
        jax.grad(jax.jit(held))(w, X),
    )


@program
def stop_gradient_under_vmap_and_scan(make):
    step = lambda w: lambda c, x: (jnp.tanh(c + lax.stop_gradient(w) @ x), None)
    total = lambda w, c: jnp.sum(lax.scan(step(w), c, XS)[0] ** 2)
    grad = jax.jit(jax.grad(total, argnums=(0, 1)))(make(W), TARGET)
    return grad, jax.jit(jax.vmap(lambda x: lax.stop_gradient(make(W)) @ x))(XS)


@program
def linearize_of_what_the_array_does_not_depend_on(make):
    w = make(W)
    body = lambda c, x: (jnp.sin(c) + jnp.sum(w @ x) + jnp.sum(weights_of(w + DW)), None)
    value, tangent = jax.linearize(lambda c: lax.scan(body, c, XS)[0], 0.5)
    return value, tangent(1.0)


@program
def jvp(make):
    return jax.jvp(loss, (make(W), X), (DW, normal(9, N_IN)))


@program
def jvp_of_one_argument(make):
    w = make(W)
    of_x = jax.jvp(lambda x: w.T @ (w @ x), (X,), (normal(9, N_IN),))
    return of_x, jax.jvp(lambda w: w @ X, (w,), (DW,))


@program
def jvp_through_programming(make):
    return jax.jvp(lambda weights, dw: (make(weights) + dw) @ X, (W, DW), (DW, W))


@program
def jacfwd(make):
    return jax.jacfwd(lambda w, x: jnp.tanh(w @ x), argnums=(0, 1))(make(W), X)


@program
def jacrev(make):
    return jax.jacrev(lambda w, x: jnp.tanh(w @ x), argnums=(0, 1))(make(W), X)


@program
def hessian(make):
    w = make(W)
    return jax.jit(jax.hessian(lambda x: loss(w, x)))(X)


@program
def hessian_of_weights(make):
    return jax.hessian(loss)(make(W), X)


@program
def reverse_over_reverse(make):
    norm_of_gradient = lambda w, x: jnp.sum(jax.grad(loss, argnums=1)(w, x) ** 2)
    return jax.grad(norm_of_gradient, argnums=(0, 1))(make(W), X)


@program
def linearize(make):
    y, push_forward = jax.linearize(lambda w, x: jnp.tanh(w @ x), make(W), X)
    return y, push_forward(DW, normal(9, N_IN))


@program
def linear_transpose(make):
    w = make(W)
    return jax.linear_transpose(lambda x: w @ x, X)(TARGET)


@program
def linear_transpose_of_a_transposed_read(make):
    w = make(W)
    return jax.linear_transpose(lambda y: w.T @ y, TARGET)(X)


@program
def custom_vjp(make):
    clipped = jax.custom_vjp(loss)
    clipped.defvjp(
        lambda w, x: jax.vjp(loss, w, x),
        lambda pull_back, cotangent: jax.tree.map(
            lambda g: jnp.clip(g, -0.1, 0.1), pull_back(cotangent)
        ),
    )
    return jax.grad(clipped, argnums=(0, 1))(make(W), X)


@program
def stop_gradient(make):
    return jax.grad(lambda x, w: loss(lax.stop_gradient(w), x))(X, make(W))


# ---- vmap --------------------------------------------------------------------------------------


@program
def vmap_over_inputs(make):
    return jax.vmap(lambda w, x: w @ x, in_axes=(None, 0))(make(W), XS)


@program
def vmap_over_the_last_axis_of_inputs(make):
    w = make(W)
    return jax.vmap(lambda x: w @ x, in_axes=1, out_axes=1)(XS.T)


@program
def vmap_twice_over_inputs(make):
    w = make(W)
    return jax.vmap(jax.vmap(lambda x: w.T @ (w @ x)))(XS.reshape(2, 3, N_IN))


@program
def grad_of_vmap(make):
    total = lambda w, xs: jnp.sum(jax.vmap(loss, in_axes=(None, 0))(w, xs))
    return jax.grad(total, argnums=(0, 1))(make(W), XS)


@program
def vmap_of_value_and_grad(make):
    each = jax.vmap(jax.value_and_grad(loss, argnums=(0, 1)), in_axes=(None, 0))
    return jax.jit(each)(make(W), XS)


@program
def vmap_over_chips(make):
    return jax.jit(jax.vmap(lambda weights, key: make(weights, key) @ X))(WEIGHTS, keys())


@program
def vmap_over_chips_of_the_same_weights(make):
    return jax.vmap(lambda key: make(W, key) @ X)(keys())


@program
def vmap_that_returns_a_batch_of_chips(make):
    chips = jax.jit(jax.vmap(make))(WEIGHTS, keys())
    return weights_of(chips), jax.vmap(lambda w: w @ X)(chips)


@program
def vmap_over_chips_and_inputs(make):
    read_all = lambda weights, key: jax.vmap(lambda x: make(weights, key) @ x)(XS)
    return jax.vmap(read_all)(WEIGHTS, keys())


@program
def vmap_over_chips_each_with_its_own_input(make):
    return jax.vmap(lambda w, x: w @ x)(jax.vmap(make)(WEIGHTS, keys()), XS[:N_CHIPS])


@program
def vmap_over_chips_twice(make):
    grid = lambda x: x.reshape(2, 2, *x.shape[1:])
    chips = jax.vmap(jax.vmap(make))(grid(WEIGHTS), grid(keys()))
    return jax.vmap(jax.vmap(lambda w: w @ X))(chips)


@program
def vmap_over_updates_of_chips(make):
    chips = jax.vmap(make)(WEIGHTS, keys())
    same = jax.vmap(lambda w: w + DW)(chips)
    own = jax.vmap(lambda w, dw: w + dw, in_axes=(0, 2))(chips, np.moveaxis(2 * WEIGHTS, 0, 2))
    return weights_of(same), weights_of(own)


@program
def grad_of_vmap_over_chips(make):
    total = lambda chips, x: jnp.sum(jax.vmap(loss, in_axes=(0, None))(chips, x))
    return jax.grad(total, argnums=(0, 1))(jax.vmap(make)(WEIGHTS, keys()), X)


@program
def vmap_of_grad_over_chips(make):
    each = jax.vmap(jax.grad(loss, argnums=(0, 1)), in_axes=(0, None))
    return each(jax.vmap(make)(WEIGHTS, keys()), X)


@program
def vmap_of_grad_through_making_chips(make):
    return jax.vmap(jax.grad(lambda weights, key: loss(make(weights, key), X)))(WEIGHTS, keys())


# ---- Control flow ------------------------------------------------------------------------------


@program
def scan_over_time(make):
    total = lambda w: lax.scan(lambda c, x: (jnp.tanh(c + w @ x), c), jnp.zeros(N_OUT), XS)
    value = lambda w: jnp.sum(total(w)[0] ** 2)
    return total(make(W)), jax.grad(value)(make(W))


@program
def scan_over_time_with_checkpoint(make):
    step = lambda w: jax.checkpoint(lambda c, x: (jnp.tanh(c + w @ x), None))
    total = lambda w: jnp.sum(lax.scan(step(w), jnp.zeros(N_OUT), XS)[0] ** 2)
    return jax.jit(jax.grad(total))(make(W))


@program
def grad_of_checkpoint_around_a_scan(make):
    step = lambda w: lambda c, x: (jnp.tanh(c + w @ x), None)
    total = lambda w, xs: jnp.sum(lax.scan(step(w), jnp.zeros(N_OUT), xs)[0] ** 2)
    grad = jax.grad(jax.checkpoint(total), argnums=(0, 1))
    return grad(make(W), XS), jax.jit(grad)(make(W), XS)


@program
def grad_of_checkpoint_around_a_scan_with_the_array_as_its_carry(make):
    step = lambda w, x: (w + jnp.outer(TARGET, x), jnp.sum(w @ x))
    total = lambda w, xs: jnp.sum(lax.scan(step, w, xs)[1] ** 2)
    return jax.jit(jax.grad(jax.checkpoint(total), argnums=(0, 1)))(make(W), XS)


@program
def map_in_blocks(make):
    w = make(W)
    return lax.map(lambda x: w @ x, XS, batch_size=4)


@program
def loop_with_the_array_as_its_carry(make):
    return weights_of(jax.jit(lambda w: lax.fori_loop(0, 3, lambda i, w: w + DW, w))(make(W)))


@program
def grad_of_a_scan_with_the_array_as_its_carry(make):
    step = lambda w, x: (w + jnp.outer(TARGET, x), jnp.sum(w @ x))
    total = lambda w, xs: jnp.sum(lax.scan(step, w, xs)[1] ** 2)
    return jax.grad(total, argnums=(0, 1))(make(W), XS)


@program
def scan_that_stacks_the_array(make):
    run = lambda w: lax.scan(lambda w, _: (w + DW, w), w, length=N_STEPS)[1]
    return weights_of(run(make(W))), weights_of(jax.jit(run)(make(W)))


@program
def scan_over_chips(make):
    chips = jax.vmap(make)(WEIGHTS, keys())
    return lax.scan(lambda total, w: (total + w @ X, None), TARGET, chips, length=N_CHIPS)[0]


@program
def while_loop(make):
    unfinished = lambda carry: jnp.sum(carry[1] @ X) < 100
    step = lambda carry: (carry[0] + 1, carry[1] + np.abs(W) * X)
    steps, w = lax.while_loop(unfinished, step, (0, make(W)))
    return steps, w @ X


@program
def cond(make):
    choose = jax.jit(lambda w, p: lax.cond(p, lambda w: w @ X, lambda w: -(w @ X), w))
    return choose(make(W), True), choose(make(W), False)


@program
def cond_that_updates(make):
    choose = jax.jit(lambda w, p: lax.cond(p, lambda w: w + DW, lambda w: w, w))
    return weights_of(choose(make(W), True)), weights_of(choose(make(W), False))


@program
def grad_of_cond(make):
    value = lambda w, p: lax.cond(p, lambda w: loss(w, X), lambda w: -loss(w, 2 * X), w)
    return jax.grad(value)(make(W), True), jax.jit(jax.grad(value))(make(W), False)


@program
def switch(make):
    branches = [lambda w: w @ X, lambda w: jnp.zeros(N_OUT), lambda w: (w + DW) @ X]
    return [lax.switch(i, branches, make(W)) for i in range(3)]


@program
def chips_as_a_carry_with_the_vmap_inside(make):
    step = jax.vmap(lambda w: (w + DW, w @ X))
    return lax.scan(lambda w, _: step(w), jax.vmap(make)(WEIGHTS, keys()), None, length=3)[1]


@program
def chips_as_a_carry_with_the_vmap_outside(make):
    run = lambda weights, key: lax.scan(
        lambda w, _: (w + DW, w @ X), make(weights, key), None, length=3
    )
    return jax.jit(jax.vmap(lambda *chip: run(*chip)[1]))(WEIGHTS, keys())


# ---- Trees and optimisers ----------------------------------------------------------------------


@program
def tree_map(make):
    params = {"a": make(W), "b": [make(DW)]}
    changed = jax.tree.map(lambda w, dw: w + dw, params, {"a": DW, "b": [W]})
    return jax.tree.map(weights_of, changed)


@program
def jit_of_an_optimisers_init(make):
    return jax.jit(optax.adam(0.1).init)([make(W)])


def train_step(optimiser):
    def step(params, state):
        value, grads = jax.value_and_grad(lambda p: jnp.sum((p[0] @ X - TARGET) ** 2))(params)
        updates, state = optimiser.update(grads, state, params)
        return xb.apply_updates(params, updates), state, value

    return step


@program
def jit_of_a_training_step(make):
    optimiser = optax.sgd(0.1, momentum=0.9)
    params = [make(W)]
    state = optimiser.init(params)
    for _ in range(2):
        params, state, value = jax.jit(train_step(optimiser))(params, state)
    return weights_of(params[0]), state, value


@program
def scan_of_a_training_step(make):
    optimiser = optax.adam(0.1)

    def body(carry, _):
        *carry, value = train_step(optimiser)(*carry)
        return tuple(carry), value

    run = jax.jit(lambda params: lax.scan(body, (params, optimiser.init(params)), length=3))
    (params, state), values = run([make(W)])
    return weights_of(params[0]), state, values


# ---- The test ----------------------------------------------------------------------------------


@functools.cache
def on_plain_weights(name):
    return PROGRAMS[name](lambda weights, key=None: jnp.asarray(weights))


@pytest.mark.parametrize("name", PROGRAMS)
def test_is_the_same_program_as_on_plain_weights(name, implementation):
    chip = xb.Chip(implementation=implementation)
    on_crossbars = PROGRAMS[name](
        lambda weights, key=None: xb.MemristiveCrossbarArray(weights, chip, key)
    )
    assert_close(on_crossbars, on_plain_weights(name))
