"""Handles: generations as runtime data, stale values refused, programming after reads."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import xbarax as xb
from tests.hardware.driver_bench import run_python
from tests.helpers import Compilations

W = jnp.arange(15.0).reshape(3, 5) / 7
DW = jnp.full((3, 5), 0.25)
X, Y = jnp.arange(5.0), jnp.arange(3.0)
PULSES = jnp.ones((3, 5), jnp.int32)

USES = {
    "reading": lambda w: w @ X,
    "transposed reading": lambda w: w.T @ Y,
    "reading out": xb.readout,
    "updating": lambda w: w + DW,
    "programming": lambda w: xb.hardware.program(w, W),
    "pulsing": lambda w: xb.hardware.pulse(w, PULSES),
}


@pytest.fixture
def chip(bench):
    return bench.load()


@pytest.fixture(params=["eager", "jit"])
def wrap(request):
    return jax.jit if request.param == "jit" else lambda function: function


def run(function, *args):
    """Waits for everything, also for arrays, which `block_until_ready` does not know."""
    return jax.tree.map(
        lambda leaf: (
            (leaf, jax.block_until_ready(leaf._state))[0]
            if isinstance(leaf, xb.MemristiveCrossbarArray)
            else jax.block_until_ready(leaf)
        ),
        function(*args),
    )


# ---- Runtime data ------------------------------------------------------------------------------


def test_one_compilation_serves_all_generations_and_arrays(chip):
    traces = []

    @jax.jit
    def step(w, x):
        traces.append(w)
        y = w @ x
        return xb.after(w, y) + DW, y

    compilations = Compilations()
    w = xb.MemristiveCrossbarArray(W, chip)
    for k in range(20):
        w, y = step(w, X)
        if k == 0:
            after_one = compilations.count
    other, _ = step(xb.MemristiveCrossbarArray(W, chip), X)
    assert len(traces) == 1 and 0 < after_one == compilations.count
    np.testing.assert_allclose(xb.readout(w), W + 5, rtol=1e-5)
    np.testing.assert_allclose(xb.readout(other), W + 0.25, rtol=1e-6)


def test_types_are_equal_whatever_the_generation(chip):
    one, other = (xb.MemristiveCrossbarArray(W, chip) for _ in range(2))
    types = {jax.typeof(one), jax.typeof(other), jax.typeof(other + DW)}
    assert len(types) == 1


def test_no_handle_and_no_address_is_in_the_compiled_text(chip):
    def everything(w, x):
        y = (w @ x, w.T @ Y, xb.readout(w))
        return xb.hardware.pulse(xb.hardware.program(xb.after(w, y) + DW, W), PULSES), y

    texts = set()
    for k in range(4):
        w = xb.MemristiveCrossbarArray(W, chip)
        for _ in range(k):
            w = w + DW
        texts.add(jax.jit(everything).lower(w, X).as_text())
    (text,) = texts
    calls = re.findall(r"custom_call @(xbarax_\w+)", text)
    assert len(calls) == 7
    # All that a call holds besides its operands is the device's name.
    held = re.findall(r"mhlo.backend_config = \{([^=}]*) = ", text)
    assert held == ["device"] * 6
    assert 'backend_config = ""' in text


CACHED = """
import sys
import jax, jax.numpy as jnp
import numpy as np
import xbarax as xb

hits = []
jax.monitoring.register_event_listener(
    lambda event, **_: hits.append(event) if event == "/jax/compilation_cache/cache_hits" else None
)
chip = xb.hardware.load(sys.argv[1])
spare = [xb.MemristiveCrossbarArray(jnp.ones((1, 1)), chip) for _ in range(int(sys.argv[2]))]
w = xb.MemristiveCrossbarArray(jnp.full((3, 5), 0.5), chip)
for _ in range(int(sys.argv[2])):
    w = w + jnp.full((3, 5), 0.25)
hits.clear()

@jax.jit
def step(w, x):
    y = w @ x
    return xb.after(w, y) + 1.0 * jnp.outer(y, x), y

w, y = step(w, jnp.ones(5))
np.testing.assert_allclose(y, np.full(3, 5 * (0.5 + 0.25 * int(sys.argv[2]))))
np.testing.assert_allclose(w @ jnp.ones(5), 6 * y)
print(len(hits))
"""


def test_compilations_are_cached_across_processes(bench, tmp_path):
    """The second process has other addresses, other arrays, and another generation."""
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    hits = []
    for updates in (0, 3):
        done = run_python(CACHED, bench.name, updates, **cache)
        assert done.returncode == 0, done.stderr
        hits.append(int(done.stdout))
    assert hits[0] == 0 < hits[1]


# ---- Stale handles -----------------------------------------------------------------------------


@pytest.mark.parametrize("use", USES)
def test_stale_values_are_refused_with_both_numbers(bench, chip, use, wrap):
    old = xb.MemristiveCrossbarArray(W, chip)  # generation 1
    new = run(lambda: (old + DW) + DW)
    before = len(bench.calls())
    message = rf"{use} of array \d+: this value is of generation 1, the chip is at 3"
    with pytest.raises(jax.errors.JaxRuntimeError, match=message) as error:
        run(wrap(USES[use]), old)
    for way in ("the value that programming returned", r"xb\.after\(w, y\)", "hardware.recover"):
        assert re.search(way, str(error.value))
    assert len(bench.calls()) == before
    np.testing.assert_allclose(xb.readout(new), W + 0.5, rtol=1e-6)


@pytest.mark.parametrize("change", ["updating", "programming", "pulsing"])
def test_every_kind_of_programming_makes_values_stale(chip, change, wrap):
    old = xb.MemristiveCrossbarArray(W, chip)
    new = run(wrap(USES[change]), old)
    with pytest.raises(jax.errors.JaxRuntimeError, match="generation 1, the chip is at 2"):
        run(lambda: old @ X)
    run(lambda: new @ X)


def test_a_stale_value_in_the_middle_of_a_program(chip):
    def twice(w):
        y = xb.readout(w + DW)
        return xb.after(w, y) + DW, y

    with pytest.raises(jax.errors.JaxRuntimeError, match="generation 1, the chip is at 2"):
        run(jax.jit(twice), xb.MemristiveCrossbarArray(W, chip))


def test_other_arrays_stay_current(chip):
    one, other = (xb.MemristiveCrossbarArray(W, chip) for _ in range(2))
    run(lambda: one + DW)
    np.testing.assert_allclose(other @ X, np.asarray(W) @ np.asarray(X), rtol=1e-6)


# ---- Order -------------------------------------------------------------------------------------


def test_after_makes_a_metric_and_an_update_one_program(bench, chip):
    bench.delay(0.001)  # reads that lose every race that there is

    @jax.jit
    def step(w, x):
        metric, other = jnp.sum(w @ x), jnp.sum(w.T @ Y)
        w = xb.after(w, {"metric": metric, "others": [other]}) + DW
        return w, metric, other

    w = xb.MemristiveCrossbarArray(W, chip)
    expected = np.array(W)
    for _ in range(100):
        w, metric, other = step(w, X)
        np.testing.assert_allclose(metric, np.sum(expected @ np.asarray(X)), rtol=1e-5)
        np.testing.assert_allclose(other, np.sum(np.asarray(Y) @ expected), rtol=1e-5)
        expected += 0.25


def test_after_is_no_call_and_keeps_the_value(bench, chip, wrap):
    w = xb.MemristiveCrossbarArray(W, chip)
    same = bench.expect(wrap(lambda w, x: xb.after(w, [x, jax.random.key(0)])), w, X)
    np.testing.assert_allclose(bench.expect(lambda: same @ X, read=1), W @ X, rtol=1e-6)
    np.testing.assert_allclose(w @ X, W @ X, rtol=1e-6)


def test_after_transforms(chip):
    w = xb.MemristiveCrossbarArray(W, chip)
    loss = lambda w, x: ((xb.after(w, x * 3) @ x) ** 2).sum()
    direct = jax.grad(lambda w, x: ((w @ x) ** 2).sum(), argnums=(0, 1))(w, X)
    for wrapped in (lambda f: f, jax.jit):
        through = wrapped(jax.grad(loss, argnums=(0, 1)))(w, X)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), through, direct)
    _, dots = jax.jvp(lambda w: xb.after(w, X) @ X, (w,), (DW,))
    np.testing.assert_allclose(dots, DW @ X, rtol=1e-6)
    many = jax.vmap(lambda x: xb.after(w, x) @ x)(jnp.stack([X, X]))
    np.testing.assert_allclose(many, jnp.stack([W @ X] * 2), rtol=1e-6)


def test_after_refuses_what_is_no_result(chip, as_users_call):
    w = xb.MemristiveCrossbarArray(W, chip)
    with pytest.raises(TypeError, match=r"xb\.after: expected a MemristiveCrossbarArray"):
        xb.after(W, w)
    with pytest.raises(TypeError, match=r"xb\.after: expected plain arrays to wait for"):
        xb.after(w, {"w": w})


def test_apply_updates_programs_after_all_reads(bench, chip):
    """The first array's update needs nothing of the reads that the second one's gradient makes."""
    bench.delay(0.001)
    params = {"a": xb.MemristiveCrossbarArray(W, chip), "b": xb.MemristiveCrossbarArray(W, chip)}

    @jax.jit
    def step(params, x):
        y = params["a"] @ x
        updates = {"a": DW, "b": jnp.outer(y, x) / 1000}
        return xb.apply_updates(params, updates), y

    for _ in range(30):
        params, _ = step(params, X)
    run(lambda: params)
    np.testing.assert_allclose(xb.readout(params["a"]), W + 7.5, rtol=1e-5)


def test_gradients_order_an_update_after_its_reads(bench, chip):
    bench.delay(0.001)

    @jax.jit
    def step(w, x):
        loss, gradient = jax.value_and_grad(lambda w: ((w @ x) ** 2).sum())(w)
        return w - 0.001 * gradient, loss

    w = xb.MemristiveCrossbarArray(W, chip)
    losses = []
    for _ in range(50):
        w, loss = step(w, X)
        losses.append(float(loss))
    expected, plain = [], np.array(W)
    for _ in range(50):
        y = plain @ np.asarray(X)
        expected.append(np.sum(y**2))
        plain -= 0.002 * np.outer(y, X)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


# ---- What cannot be compiled -------------------------------------------------------------------


@pytest.mark.parametrize(
    "program",
    [
        lambda make: jax.jit(make)(W),
        lambda make: jax.jit(lambda: make(np.asarray(W)))(),
        lambda make: lax.scan(lambda c, _: (c, make(W)), 0, None, length=2),
        lambda make: lax.cond(jnp.array(True), make, lambda W: W @ X, W),
        lambda make: jax.jit(jax.vmap(make))(jnp.stack([W, W])),
        lambda make: jax.jit(jax.grad(lambda W: make(W).sum()))(W),
    ],
    ids=["jit", "jit of a constant", "scan", "cond", "jit of vmap", "jit of grad"],
)
def test_places_are_not_taken_inside_of_programs(bench, chip, program):
    bench.clear()
    make = lambda W: xb.MemristiveCrossbarArray(W, chip) @ X
    message = r"Make the array outside; inside, program it with .*hardware\.program\(w, weights\)"
    with pytest.raises(TypeError, match=message):
        program(make)
    assert bench.calls() == []


def test_looking_at_shapes_takes_no_place(bench, chip):
    bench.clear()
    shape = jax.eval_shape(lambda W: xb.MemristiveCrossbarArray(W, chip) @ X, W)
    assert shape.shape == (3,) and bench.calls() == []


def test_the_way_that_is_named_works(bench, chip):
    w = xb.MemristiveCrossbarArray(W, chip)
    step = jax.jit(lambda w, W: xb.hardware.program(w, W))
    w = bench.expect(
        lambda: lax.scan(lambda w, k: (step(w, k * W), None), w, jnp.arange(3.0))[0], program=3
    )
    np.testing.assert_allclose(xb.readout(w), 2 * W, rtol=1e-6)


@pytest.mark.parametrize("use", [*USES, "waiting"])
@pytest.mark.parametrize("platforms", [("cuda",), ("tpu",), ("cpu", "cuda")])
def test_other_platforms_than_the_cpu_are_refused(chip, use, platforms):
    w = xb.MemristiveCrossbarArray(W, chip)
    uses = {**USES, "waiting": lambda w: xb.after(w, X)}
    traced = jax.jit(lambda w: uses[use](w)).trace(w)
    message = f"a chip's driver works on the CPU, but this program is compiled for {platforms[-1]}"
    with pytest.raises(ValueError, match=message):
        traced.lower(lowering_platforms=platforms)
    traced.lower(lowering_platforms=("cpu",))


@pytest.mark.parametrize("branch", ["read", "update"])
def test_a_batched_cond_is_refused(bench, chip, branch):
    """Both branches would run."""
    w = xb.MemristiveCrossbarArray(W, chip)
    does = {"read": lambda: w @ X, "update": lambda: xb.readout(w + DW)[:, 0]}[branch]
    choose = lambda p: lax.cond(p, does, lambda: jnp.zeros(3))
    bench.clear()
    with pytest.raises(NotImplementedError, match="IO effect not supported in vmap-of-cond"):
        jax.vmap(choose)(jnp.array([True, False]))
    assert bench.calls() == []


@pytest.mark.parametrize("inside", ["read", "transposed", "update", "readout"])
@pytest.mark.parametrize("wrap_scan", [False, True], ids=["alone", "in a scan"])
def test_checkpoint_is_refused(bench, chip, inside, wrap_scan):
    """It would call twice."""
    w = xb.MemristiveCrossbarArray(W, chip)
    does = {
        "read": lambda x: (w @ x).sum(),
        "transposed": lambda x: (w.T @ x[:3]).sum(),
        "update": lambda x: xb.readout(w + x * DW).sum(),
        "readout": lambda x: (x * xb.readout(w)).sum(),
    }[inside]
    loss = jax.checkpoint(lambda x: does(jnp.sin(x)))
    if wrap_scan:
        once = loss
        loss = lambda x: lax.scan(lambda c, _: (c + once(x), None), 0.0, None, length=2)[0]
    bench.clear()
    message = "checkpoint.*calls into a real chip, which would be made twice"
    with pytest.raises(NotImplementedError, match=message):
        jax.grad(loss)(X)
    assert bench.calls() == []
