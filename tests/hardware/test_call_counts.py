"""Calls into a chip's library are side effects: never merged, hoisted or dropped."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import xbarax as xb

WEIGHTS = jnp.arange(15.0).reshape(3, 5) / 7
X = jnp.arange(5.0)


@pytest.fixture
def array(counting):
    return xb.MemristiveCrossbarArray(WEIGHTS, xb.hardware.load(counting.path))


@pytest.fixture
def expect(counting):
    """Runs a function and compares the calls that it made."""

    def check(function, *args, mul=0, add=0, write=0):
        before = counting.calls()
        jax.block_until_ready(jax.tree.leaves(function(*args)))
        jax.effects_barrier()
        after = counting.calls()
        made = {name: after[name] - before[name] for name in after}
        assert made == {"mul": mul, "add": add, "write": write}

    return check


def read_sum(w, x):
    return ((w @ x) ** 2).sum()


def loop(w, x):
    """Five reads, each of another input."""
    return lax.scan(lambda carry, i: (carry + read_sum(w, x + i), None), 0.0, jnp.arange(5.0))[0]


def test_making_writes_once(counting, expect):
    chip = xb.hardware.load(counting.path)
    make = lambda: xb.readout(xb.MemristiveCrossbarArray(WEIGHTS, chip))
    expect(make, write=1)
    expect(jax.jit(make), write=1)


def test_making_is_not_dropped_when_nobody_uses_the_array(counting, expect):
    chip = xb.hardware.load(counting.path)
    expect(jax.jit(lambda W: (xb.MemristiveCrossbarArray(W, chip), W)[1]), WEIGHTS, write=1)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
class TestReads:
    def test_one_vector_is_one_call(self, array, expect, wrap):
        expect(wrap(lambda w: w @ X), array, mul=1)

    def test_n_columns_are_n_calls(self, array, expect, wrap):
        expect(wrap(lambda w: w @ jnp.ones((5, 4))), array, mul=4)

    def test_n_rows_are_n_calls(self, array, expect, wrap):
        expect(wrap(lambda w: xb.read(w, jnp.ones((2, 3, 5)))), array, mul=6)

    def test_no_columns_are_no_calls(self, array, expect, wrap):
        expect(wrap(lambda w: w @ jnp.ones((5, 0))), array)

    def test_transposed(self, array, expect, wrap):
        expect(wrap(lambda w: w.T @ jnp.ones(3)), array, mul=1)

    def test_equal_reads_are_not_merged(self, array, expect, wrap):
        expect(wrap(lambda w: (w @ X) + (w @ X)), array, mul=2)

    def test_unused_reads_are_not_dropped(self, array, expect, wrap):
        expect(wrap(lambda w: (w @ X, X)[1]), array, mul=1)

    def test_readout_and_report_do_not_call(self, array, expect, wrap):
        expect(wrap(lambda w: (xb.readout(w), xb.report(w))), array)

    def test_scan_calls_at_each_step(self, array, expect, wrap):
        expect(wrap(loop), array, X, mul=5)

    def test_scan_does_not_hoist_what_does_not_change(self, array, expect, wrap):
        body = lambda w: lambda carry, _: (carry + (w @ X).sum(), None)
        expect(wrap(lambda w: lax.scan(body(w), 0.0, None, length=5)[0]), array, mul=5)

    def test_scan_does_not_drop_what_is_not_used(self, array, expect, wrap):
        body = lambda w: lambda carry, _: (carry, w @ X)
        expect(wrap(lambda w: lax.scan(body(w), 0.0, None, length=5)[0]), array, mul=5)

    def test_fori_and_while(self, array, expect, wrap):
        fori = lambda w: lax.fori_loop(0, 5, lambda _, carry: carry + (w @ X).sum(), 0.0)
        expect(wrap(fori), array, mul=5)
        step = lambda w: lambda c: (c[0] + 1, c[1] + (w @ X).sum())
        loop = lambda w: lax.while_loop(lambda c: c[0] < 4, step(w), (0, 0.0))
        expect(wrap(loop), array, mul=4)

    @pytest.mark.parametrize(("taken", "mul"), [(True, 1), (False, 0)])
    def test_cond_calls_in_the_taken_branch(self, array, expect, wrap, taken, mul):
        branches = lambda w, p: lax.cond(p, lambda: w @ X, lambda: jnp.zeros(3))
        expect(wrap(branches), array, taken, mul=mul)

    def test_vmap_of_inputs_is_a_call_for_each(self, array, expect, wrap):
        expect(wrap(lambda w: jax.vmap(lambda x: w @ x)(jnp.ones((7, 5)))), array, mul=7)

    def test_gradient_for_the_weights_reads_once(self, array, expect, wrap):
        expect(wrap(jax.grad(read_sum)), array, X, mul=1)

    def test_gradient_for_the_input_reads_back(self, array, expect, wrap):
        expect(wrap(jax.grad(read_sum, argnums=1)), array, X, mul=2)
        expect(wrap(jax.grad(read_sum, argnums=(0, 1))), array, X, mul=2)

    def test_gradient_of_vmap_and_vmap_of_gradient(self, array, expect, wrap):
        xs = jnp.ones((7, 5))
        summed = lambda w, xs: jax.vmap(lambda x: read_sum(w, x))(xs).sum()
        expect(wrap(jax.grad(summed, argnums=(0, 1))), array, xs, mul=14)
        each = jax.vmap(jax.grad(read_sum, argnums=(0, 1)), in_axes=(None, 0))
        expect(wrap(each), array, xs, mul=14)

    def test_gradient_through_a_scan(self, array, expect, wrap):
        expect(wrap(jax.grad(loop)), array, X, mul=5)
        expect(wrap(jax.grad(loop, argnums=1)), array, X, mul=10)

    def test_jvp_reads_once(self, array, expect, wrap):
        expect(wrap(lambda w: jax.jvp(lambda x: w @ x, (X,), (X,))), array, mul=1)


def one_turn(name, w):
    """A loop's body that calls the library once; the carry is a vector that doubles each turn."""
    chip = w.chip
    bodies = {
        "read of the carry, unused": lambda c: (w @ c, 2 * c)[1],
        "update with the carry, unused": lambda c: (w + WEIGHTS * c, 2 * c)[1],
        "update, unused": lambda c: (w + WEIGHTS, 2 * c)[1],
        "write, unused": lambda c: (xb.MemristiveCrossbarArray(WEIGHTS, chip), 2 * c)[1],
        "read": lambda c: 2 * c + jnp.sum(w @ X),
        "update": lambda c: 2 * c + jnp.sum(xb.readout(w + WEIGHTS)),
        "write": lambda c: 2 * c + jnp.sum(xb.readout(xb.MemristiveCrossbarArray(WEIGHTS, chip))),
    }
    return bodies[name]


# Every JAX so far runs once what the loop does not change.
KNOWN_GAPS = {
    "read of the carry, unused": ("mul", 4),
    "update with the carry, unused": ("add", 4),
    "update, unused": ("add", 1),
    "write, unused": ("write", 1),
    "read": ("mul", 1),
    "update": ("add", 1),
    "write": ("write", 1),
}


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
class TestDerivativesOfLoops:
    """The one exception to the promise above: see "Derivatives of loops" in three-functions.md."""

    @pytest.mark.parametrize("name", KNOWN_GAPS)
    @pytest.mark.parametrize("kind", ["scan", "fori_loop"])
    def test_known_gaps_of_reverse_mode(self, array, expect, wrap, name, kind):
        turn, (call, made) = one_turn(name, array), KNOWN_GAPS[name]

        def loop(x):
            if kind == "scan":
                return jnp.sum(lax.scan(lambda c, _: (turn(c), None), x, None, length=4)[0])
            return jnp.sum(lax.fori_loop(0, 4, lambda _, c: turn(c), x))

        expect(wrap(loop), X, **{call: 4})
        expect(wrap(lambda x: jax.jvp(loop, (x,), (x,))), X, **{call: 4})
        expect(wrap(jax.grad(loop)), X, **{call: made})
        expect(wrap(jax.value_and_grad(loop)), X, **{call: made})

    def test_updates_of_a_carried_array_and_its_unused_reads_are_kept(self, array, expect, wrap):
        def loop(dw):
            turn = lambda w, _: ((w @ X, w + dw)[1], None)
            return jnp.sum(xb.readout(lax.scan(turn, array, None, length=4)[0]))

        expect(wrap(loop), WEIGHTS, mul=4, add=4)
        expect(wrap(jax.grad(loop)), WEIGHTS, mul=4, add=4)

    def test_nothing_is_lost_of_what_is_used_and_depends_on_the_loop(self, array, expect, wrap):
        def loop(x, dw):
            turn = lambda c, i: ((c[0] + dw, 2 * c[1] + jnp.sum(c[0] @ (X + i))), c[0] @ c[1])
            (w, x), ys = lax.scan(turn, (array, x), jnp.arange(4.0))
            return jnp.sum(xb.readout(w)) + jnp.sum(x) + jnp.sum(ys)

        expect(wrap(loop), X, WEIGHTS, mul=8, add=4)
        # Backward: the second read's cotangent through the chip, for its input is differentiated.
        expect(wrap(jax.grad(loop, argnums=(0, 1))), X, WEIGHTS, mul=12, add=4)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
class TestUpdates:
    def test_one_update_is_one_call(self, array, expect, wrap):
        expect(wrap(lambda w: xb.readout(w + WEIGHTS)), array, add=1)

    def test_equal_updates_are_not_merged(self, array, expect, wrap):
        twice = lambda w: (xb.readout(w + WEIGHTS), xb.readout(w + WEIGHTS))
        expect(wrap(twice), array, add=2)

    def test_unused_updates_are_not_dropped(self, array, expect, wrap):
        expect(wrap(lambda w: (w + WEIGHTS, X)[1]), array, add=1)

    def test_scan_updates_at_each_step(self, array, expect, wrap):
        body = lambda carry, _: (carry + WEIGHTS, None)
        expect(wrap(lambda w: xb.readout(lax.scan(body, w, None, length=4)[0])), array, add=4)


def test_tracing_and_compiling_do_not_call(array, expect):
    read = jax.jit(lambda w: w @ X)
    expect(lambda: jax.eval_shape(read, array) and ())
    expect(lambda: read.lower(array).compile() and ())


def test_vmap_makes_each_array_of_a_batch(counting, expect):
    chip = xb.hardware.load(counting.path)
    make = lambda W: xb.MemristiveCrossbarArray(W, chip) @ X
    expect(jax.vmap(make), jnp.ones((4, 3, 5)), mul=4, write=4)


@pytest.mark.parametrize("links", [0, 1], ids=["one path", "two paths"])
def test_one_call_at_a_time(array, counting, tmp_path, links):
    arrays = [array]
    for _ in range(links):
        path = tmp_path / "libsame.so"
        path.hardlink_to(counting.path)
        arrays.append(xb.MemristiveCrossbarArray(WEIGHTS, xb.hardware.load(path)))
    read = jax.jit(lambda w, xs: xb.read(w, xs))
    xs = jnp.ones((200_000, 5))
    for w in arrays:
        jax.block_until_ready(read(w, xs))
    threads = [
        threading.Thread(target=lambda w: jax.block_until_ready(read(w, xs)), args=[w])
        for w in arrays * (4 // len(arrays))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counting.overlaps() == 0


def test_values_are_what_the_library_made(array):
    written = np.array(WEIGHTS)
    written[0, 0] += 1  # the counting chip's write
    np.testing.assert_array_equal(xb.readout(array), written)
    np.testing.assert_allclose(array @ X, 2 * written @ np.asarray(X), rtol=1e-6)
    np.testing.assert_allclose(array.T @ X[:3], 2 * written.T @ np.asarray(X[:3]), rtol=1e-6)
    updated = xb.readout(array + WEIGHTS)
    np.testing.assert_allclose(updated, written + np.asarray(WEIGHTS) + 0.25, rtol=1e-6)
    np.testing.assert_array_equal(xb.readout(array), written)  # values, not handles


def test_cotangents_are_read_through_the_library(array):
    grad_w, grad_x = jax.grad(lambda w, x: (w @ x).sum(), argnums=(0, 1))(array, X)
    np.testing.assert_allclose(grad_w, np.ones((3, 1)) * np.asarray(X), rtol=1e-6)
    np.testing.assert_allclose(grad_x, array.T @ jnp.ones(3), rtol=1e-6)


def test_the_callers_weights_are_left_alone(counting):
    weights = np.array(WEIGHTS)
    xb.MemristiveCrossbarArray(weights, xb.hardware.load(counting.path))
    np.testing.assert_array_equal(weights, WEIGHTS)
