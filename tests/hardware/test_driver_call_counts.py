"""Calls into drivers are side effects: exactly as many as the program says, in every program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import xbarax as xb

W = jnp.arange(15.0).reshape(3, 5) / 7
DW = jnp.full((3, 5), 0.25)
X = jnp.arange(5.0)


@pytest.fixture
def array(bench):
    return xb.MemristiveCrossbarArray(W, bench.load())


@pytest.fixture(params=["eager", "jit"])
def wrap(request):
    return jax.jit if request.param == "jit" else lambda function: function


def read_sum(w, x):
    return ((w @ x) ** 2).sum()


def loop(w, x):
    """Five reads, each of another input."""
    return lax.scan(lambda carry, i: (carry + read_sum(w, x + i), None), 0.0, jnp.arange(5.0))[0]


def test_making_an_array_is_a_place_and_a_program(bench):
    chip = bench.load()
    w = bench.expect(xb.MemristiveCrossbarArray, W, chip, allocate=1, program=1)
    bench.expect(xb.MemristiveCrossbarArray, W, chip, allocate=1, program=1)
    assert w.chip == chip


def test_tracing_and_compiling_do_not_call(bench, array):
    read = jax.jit(lambda w: (w @ X, xb.readout(w + DW)))
    bench.expect(lambda: jax.eval_shape(read, array) and None)
    bench.expect(lambda: jax.make_jaxpr(read)(array) and None)
    bench.expect(lambda: read.lower(array).compile() and None)


class TestReads:
    def test_one_vector_is_one_call(self, bench, array, wrap):
        bench.expect(wrap(lambda w: w @ X), array, read=1, n=[1])

    def test_n_columns_are_one_call(self, bench, array, wrap):
        bench.expect(wrap(lambda w: w @ jnp.ones((5, 4))), array, read=1, n=[4])

    def test_n_rows_are_one_call(self, bench, array, wrap):
        bench.expect(wrap(lambda w: xb.read(w, jnp.ones((2, 3, 5)))), array, read=1, n=[6])

    def test_no_vectors_are_no_call(self, bench, array, wrap):
        y = bench.expect(wrap(lambda w: w @ jnp.ones((5, 0))), array)
        assert y.shape == (3, 0)

    def test_transposed(self, bench, array, wrap):
        bench.expect(wrap(lambda w: w.T @ jnp.ones((3, 4))), array, read_transposed=1, n=[4])

    def test_equal_reads_are_not_merged(self, bench, array, wrap):
        bench.expect(wrap(lambda w: (w @ X) + (w @ X)), array, read=2)

    def test_unused_reads_are_not_dropped(self, bench, array, wrap):
        bench.expect(wrap(lambda w: (w @ X, X)[1]), array, read=1)

    def test_readouts_are_calls_and_reports_are_none(self, bench, array, wrap):
        bench.expect(wrap(lambda w: (xb.readout(w), xb.readout(w))), array, read_out=2)
        bench.expect(wrap(lambda w: (xb.readout(w), X)[1]), array, read_out=1)
        bench.expect(wrap(xb.report), array)

    def test_passing_an_array_through_is_no_call(self, bench, array, wrap):
        same = bench.expect(wrap(lambda w: w), array)
        bench.expect(lambda: same @ X, read=1)


class TestBatches:
    def test_vmap_of_inputs_is_one_call(self, bench, array, wrap):
        xs = jnp.arange(35.0).reshape(7, 5)
        ys = bench.expect(
            wrap(lambda w, xs: jax.vmap(lambda x: w @ x)(xs)), array, xs, read=1, n=[7]
        )
        np.testing.assert_allclose(ys, np.asarray(xs) @ np.asarray(W).T, rtol=1e-5)

    def test_vmap_of_vmap_is_one_call(self, bench, array, wrap):
        xs = jnp.arange(70.0).reshape(5, 2, 7)
        nested = jax.vmap(jax.vmap(lambda w, x: w @ x, (None, 1)), (None, 1))
        ys = bench.expect(wrap(nested), array, xs, read=1, n=[14])
        np.testing.assert_allclose(ys, np.einsum("oi,ibk->bko", W, xs), rtol=1e-5)

    def test_gradient_of_vmap_and_vmap_of_gradient(self, bench, array, wrap):
        xs = jnp.ones((7, 5))
        summed = lambda w, xs: jax.vmap(lambda x: read_sum(w, x))(xs).sum()
        each = jax.vmap(jax.grad(read_sum, argnums=(0, 1)), in_axes=(None, 0))
        for function in (jax.grad(summed, argnums=(0, 1)), each):
            bench.expect(wrap(function), array, xs, read=1, read_transposed=1, n=[7, 7])

    def test_vmap_of_a_scan_is_a_call_for_each_step(self, bench, array, wrap):
        xs = jnp.ones((7, 5))
        bench.expect(wrap(jax.vmap(loop, (None, 0))), array, xs, read=5, n=[7] * 5)

    def test_vmap_of_what_is_not_mapped_is_one_call(self, bench, array, wrap):
        both = lambda w, xs: jax.vmap(lambda x: x[0] + w @ X)(xs)
        bench.expect(wrap(both), array, jnp.ones((7, 5)), read=1, n=[1])

    def test_a_batch_of_arrays_is_a_call_for_each(self, bench, wrap):
        chip = bench.load()
        make = jax.vmap(lambda W: xb.MemristiveCrossbarArray(W, chip))
        ws = bench.expect(make, jnp.stack([W, 2 * W, 3 * W]), allocate=3, program=3)
        ys = bench.expect(wrap(jax.vmap(lambda w, x: w @ x, (0, None))), ws, X, read=3, n=[1, 1, 1])
        np.testing.assert_allclose(ys, [k * (np.asarray(W) @ X) for k in (1, 2, 3)], rtol=1e-5)
        ws = bench.expect(wrap(jax.vmap(lambda w: w + DW)), ws, update=3)
        expected = [k * np.asarray(W) + 0.25 for k in (1, 2, 3)]
        np.testing.assert_allclose(xb.readout(ws), expected, rtol=1e-6)


class TestLoops:
    def test_five_steps_are_five_calls(self, bench, array, wrap):
        bench.expect(wrap(loop), array, X, read=5, n=[1] * 5)

    def test_what_does_not_change_is_not_hoisted(self, bench, array, wrap):
        body = lambda w: lambda carry, _: (carry + (w @ X).sum(), None)
        run = lambda w: lax.scan(body(w), 0.0, None, length=5)[0]
        bench.expect(wrap(run), array, read=5)

    def test_what_is_not_used_is_not_dropped(self, bench, array, wrap):
        run = lambda w: lax.scan(lambda carry, _: (carry, w @ X), 0.0, None, length=5)[0]
        bench.expect(wrap(run), array, read=5)

    def test_fori_and_while(self, bench, array, wrap):
        fori = lambda w: lax.fori_loop(0, 5, lambda _, carry: carry + (w @ X).sum(), 0.0)
        bench.expect(wrap(fori), array, read=5)
        step = lambda w: lambda c: (c[0] + 1, c[1] + (w @ X).sum())
        run = lambda w: lax.while_loop(lambda c: c[0] < 4, step(w), (0, 0.0))
        bench.expect(wrap(run), array, read=4)

    def test_a_while_loops_condition_can_read(self, bench, array, wrap):
        run = lambda w: lax.while_loop(
            lambda c: ((w @ X)[0] >= 0) & (c < 3), lambda c: c + 1, jnp.int32(0)
        )
        bench.expect(wrap(run), array, read=4)

    def test_unrolled_scans(self, bench, array, wrap):
        body = lambda w: lambda carry, i: (carry + (w @ (X + i)).sum(), None)
        run = lambda w: lax.scan(body(w), 0.0, jnp.arange(6.0), unroll=3)[0]
        bench.expect(wrap(run), array, read=6)

    @pytest.mark.parametrize(("taken", "reads"), [(True, 1), (False, 0)])
    def test_cond_calls_in_the_taken_branch(self, bench, array, wrap, taken, reads):
        branches = lambda w, p: lax.cond(p, lambda: w @ X, lambda: jnp.zeros(3))
        bench.expect(wrap(branches), array, taken, **{"read": reads} if reads else {})

    def test_cond_programs_in_the_taken_branch(self, bench, array, wrap):
        branches = lambda w, p: lax.cond(p, lambda w: w + DW, lambda w: w, w)
        w = bench.expect(wrap(branches), array, False)
        w = bench.expect(wrap(branches), w, True, update=1)
        np.testing.assert_allclose(xb.readout(w), W + 0.25, rtol=1e-6)

    def test_a_carried_array_is_updated_at_each_step(self, bench, array, wrap):
        run = lambda w: lax.scan(lambda w, _: (w + DW, None), w, None, length=4)[0]
        w = bench.expect(wrap(run), array, update=4)
        np.testing.assert_allclose(xb.readout(w), W + 1, rtol=1e-6)

    def test_reads_and_updates_of_a_carried_array(self, bench, array, wrap):
        def step(w, x):
            y = w @ x
            return xb.after(w, y) + DW, y

        xs = jnp.stack([X, X + 1, X + 2])
        _, ys = bench.expect(wrap(lambda w: lax.scan(step, w, xs)), array, read=3, update=3)
        expected = [(np.asarray(W) + 0.25 * k) @ (np.asarray(X) + k) for k in range(3)]
        np.testing.assert_allclose(ys, expected, rtol=1e-5)


class TestDerivatives:
    def test_gradient_for_the_weights_reads_once(self, bench, array, wrap):
        bench.expect(wrap(jax.grad(read_sum)), array, X, read=1)
        bench.expect(wrap(jax.value_and_grad(read_sum)), array, X, read=1)

    def test_gradient_for_the_input_reads_back(self, bench, array, wrap):
        for argnums in (1, (0, 1)):
            run = wrap(jax.value_and_grad(read_sum, argnums=argnums))
            bench.expect(run, array, X, read=1, read_transposed=1)

    def test_gradient_through_a_scan(self, bench, array, wrap):
        bench.expect(wrap(jax.grad(loop)), array, X, read=5)
        bench.expect(wrap(jax.grad(loop, argnums=1)), array, X, read=5, read_transposed=5)

    def test_jvp_for_the_weights_reads_once(self, bench, array, wrap):
        run = lambda w, dw: jax.jvp(lambda w: w @ X, (w,), (dw,))
        y, y_dot = bench.expect(wrap(run), array, DW, read=1)
        np.testing.assert_allclose(y, np.asarray(W) @ X, rtol=1e-5)
        np.testing.assert_allclose(y_dot, np.asarray(DW) @ X, rtol=1e-5)

    def test_jvp_for_the_input_reads_once_and_takes_what_is_read_out(self, bench, array, wrap):
        run = lambda w, x: jax.jvp(lambda x: w @ x, (x,), (x + 1,))
        _, y_dot = bench.expect(wrap(run), array, X, read=1, read_out=1)
        np.testing.assert_allclose(y_dot, np.asarray(W) @ (X + 1), rtol=1e-5)

    def test_linearize_and_vjp(self, bench, array, wrap):
        def pull(w, x):
            y, pulled = jax.vjp(lambda x: w @ x, x)
            return pulled(y)[0] + pulled(2 * y)[0]

        bench.expect(wrap(pull), array, X, read=1, read_transposed=2)

    def test_gradients_are_those_of_the_chip(self, array):
        dw, dx = jax.jit(jax.grad(read_sum, argnums=(0, 1)))(array, X)
        y = np.asarray(W) @ np.asarray(X)
        np.testing.assert_allclose(dw, 2 * np.outer(y, X), rtol=1e-5)
        np.testing.assert_allclose(dx, 2 * y @ np.asarray(W), rtol=1e-5)

    def test_gradient_through_a_readout(self, bench, array, wrap):
        bench.expect(wrap(jax.grad(lambda w: (xb.readout(w) ** 2).sum())), array, read_out=1)

    def test_gradient_through_programming(self, bench, array, wrap):
        run = lambda dw, w: ((w + dw) @ X).sum()
        dw = bench.expect(wrap(jax.grad(run)), DW, array, update=1, read=1)
        np.testing.assert_allclose(dw, np.ones((3, 1)) * np.asarray(X), rtol=1e-6)


def one_turn(name, w):
    """A loop's body that calls the driver once; the carry is a vector that doubles each turn."""
    bodies = {
        "read of the carry, unused": lambda c: (w @ c, 2 * c)[1],
        "read": lambda c: 2 * c + jnp.sum(w @ X),
        "readout": lambda c: 2 * c + jnp.sum(xb.readout(w)),
    }
    return bodies[name]


# Every JAX so far runs once what the loop does not change.
KNOWN_GAPS = {
    "read of the carry, unused": ("read", 4),
    "read": ("read", 1),
    "readout": ("read_out", 1),
}


class TestDerivativesOfLoops:
    """The one exception: see "Derivatives of loops" in docs/three-functions.md."""

    @pytest.mark.parametrize("name", KNOWN_GAPS)
    @pytest.mark.parametrize("kind", ["scan", "fori_loop"])
    def test_known_gaps_of_reverse_mode(self, bench, array, name, kind):
        turn, (call, made) = one_turn(name, array), KNOWN_GAPS[name]

        def run(x):
            if kind == "scan":
                return jnp.sum(lax.scan(lambda c, _: (turn(c), None), x, None, length=4)[0])
            return jnp.sum(lax.fori_loop(0, 4, lambda _, c: turn(c), x))

        bench.expect(jax.jit(run), X, **{call: 4})
        bench.expect(jax.jit(jax.grad(run)), X, **{call: made})
        bench.expect(jax.value_and_grad(run), X, **{call: made})

    def test_updates_of_a_carried_array_and_its_unused_reads_are_kept(self, bench, array, wrap):
        def step(w, _):
            y = w @ X
            return xb.after(w, y) + DW, None

        def run(x, w):
            w, _ = lax.scan(step, w, None, length=4)
            return jnp.sum(w @ x), w

        _, w = bench.expect(
            wrap(jax.grad(run, has_aux=True)), X, array, read=5, update=4, read_transposed=1
        )
        np.testing.assert_allclose(xb.readout(w), W + 1, rtol=1e-6)


class TestProgramming:
    def test_one_update_is_one_call(self, bench, array, wrap):
        w = bench.expect(wrap(lambda w: w + DW), array, update=1)
        w = bench.expect(wrap(lambda w: w - DW), w, update=1)
        np.testing.assert_allclose(xb.readout(w), W, rtol=1e-6)

    def test_unused_updates_are_not_dropped(self, bench, array, wrap):
        bench.expect(wrap(lambda w: (w + DW, X)[1]), array, update=1)

    def test_program(self, bench, array, wrap):
        w = bench.expect(wrap(lambda w, W: xb.hardware.program(w, W)), array, 2 * W, program=1)
        np.testing.assert_allclose(xb.readout(w), 2 * W, rtol=1e-6)

    def test_pulse(self, bench, array, wrap):
        pulses = jnp.full((3, 5), -3, jnp.int32)
        w = bench.expect(wrap(xb.hardware.pulse), array, pulses, pulse=1)
        np.testing.assert_allclose(xb.readout(w), W - 0.03, atol=1e-6)
        assert xb.report(w)["pulses"] == 45
