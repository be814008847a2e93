"""What goes wrong: the driver's words reach the user, and the arrays are recovered."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

import xbarax as xb
from tests.hardware.driver_bench import ALL, MOST_ARRAYS

W = jnp.arange(15.0).reshape(3, 5) / 7
DW = jnp.full((3, 5), 0.25)
X, Y = jnp.arange(5.0), jnp.arange(3.0)


@pytest.fixture
def chip(bench):
    return bench.load()


def make(chip):
    return xb.MemristiveCrossbarArray(W, chip)


@jax.jit
def five_steps(w):
    """Five reads and updates; returns the last value and the five results."""

    def step(w, _):
        y = w @ X
        return xb.after(w, y) + DW, y

    return lax.scan(step, w, None, length=5)


def tripped(call):
    """The call's failure as a Python exception with the driver's words."""
    return pytest.raises(jax.errors.JaxRuntimeError, match=f"{call} of array.*the bench tripped")


def wait_for(w):
    jax.block_until_ready(w._state)


# ---- In the middle of a program ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "what", "updates"), [("read", "reading", 3), ("update", "updating", 4)]
)
def test_an_error_in_a_scan(bench, chip, call, what, updates):
    """The fourth read or update fails; a failed update was asked for, and is made good."""
    w = make(chip)
    bench.fail(call, after=3)
    with tripped(what):
        jax.block_until_ready(five_steps(w)[1])
    with pytest.raises(jax.errors.JaxRuntimeError, match="generation 1, the chip is at"):
        jax.block_until_ready(w @ X)
    now = xb.hardware.recover(w)
    np.testing.assert_allclose(xb.readout(now), W + 0.25 * updates, rtol=1e-6)
    end, ys = five_steps(now)
    np.testing.assert_allclose(ys[0], (W + 0.25 * updates) @ X, rtol=1e-5)
    np.testing.assert_allclose(xb.readout(end), W + 0.25 * (updates + 5), rtol=1e-6)


def test_a_failed_update_leaves_the_weights_in_doubt_until_they_are_recovered(bench, chip):
    w = make(chip)
    bench.fail("update")
    with tripped("updating"):
        wait_for(w + DW)
    new = xb.hardware.recover(w)
    assert [call.name for call in bench.calls()[-1:]] == ["program"]
    np.testing.assert_allclose(xb.readout(new), W + 0.25, rtol=1e-6)


def test_recovering_what_is_current_is_no_call(bench, chip):
    w = make(chip)
    same = bench.expect(xb.hardware.recover, w)
    np.testing.assert_allclose(bench.expect(lambda: same @ X, read=1), W @ X, rtol=1e-6)
    np.testing.assert_allclose(w @ X, W @ X, rtol=1e-6)


def test_errors_and_recoveries_twice_in_a_row(bench, chip):
    w = make(chip)
    expected = np.array(W)
    for _ in range(3):
        bench.fail("update", after=1)
        with tripped("updating"):
            jax.block_until_ready(five_steps(w)[1])
        w = xb.hardware.recover(w)
        expected += 0.5
        np.testing.assert_allclose(xb.readout(w), expected, rtol=1e-6)


def test_a_recovery_that_fails_is_an_error_and_the_next_one_works(bench, chip):
    w = make(chip)
    bench.fail("update")
    with tripped("updating"):
        wait_for(w + DW)
    bench.fail("program")
    with pytest.raises(xb.hardware.DriverError, match="recovering of array.*the bench tripped"):
        xb.hardware.recover(w)
    np.testing.assert_allclose(xb.readout(xb.hardware.recover(w)), W + 0.25, rtol=1e-6)


def test_recovering_a_stale_value_gives_the_newest(chip):
    w = make(chip)
    newest = (w + DW) + DW
    wait_for(newest)
    again = xb.hardware.recover(w)
    np.testing.assert_allclose(xb.readout(again), W + 0.5, rtol=1e-6)
    np.testing.assert_allclose(newest @ X, again @ X, rtol=1e-6)  # both are current


def test_recovering_a_tree(bench, chip):
    ideal = xb.MemristiveCrossbarArray(W)
    tree = {"a": make(chip), "b": [make(chip), X, None], "c": ideal, "d": 3.0}
    bench.fail("update", after=1)
    update = jax.jit(lambda a, b: (a + DW, b + DW))
    with tripped("updating"):
        for leaf in update(tree["a"], tree["b"][0]):
            wait_for(leaf)
    now = xb.hardware.recover(tree)
    assert jax.tree.structure(now) == jax.tree.structure(tree)
    assert now["c"] is ideal and now["b"][1] is X and now["d"] == 3.0
    for leaf in (now["a"], now["b"][0]):
        weights = np.asarray(xb.readout(leaf))
        # Which of the two was the second one is XLA's choice; both were asked for, or one.
        assert any(np.allclose(weights, W + more) for more in (0, 0.25))
    np.testing.assert_allclose(now["a"] @ X, xb.readout(now["a"]) @ X, rtol=1e-5)


def test_recovering_a_batch(bench, chip):
    ws = jax.vmap(lambda W: xb.MemristiveCrossbarArray(W, chip))(jnp.stack([W, 2 * W]))
    bench.fail("update", after=1)
    with tripped("updating"):
        wait_for(jax.vmap(lambda w: w + DW)(ws))
    now = xb.hardware.recover(ws)
    np.testing.assert_allclose(xb.readout(now), [W + 0.25, 2 * W + 0.25], rtol=1e-6)


def test_recovering_inside_of_a_program_is_refused(chip):
    with pytest.raises(TypeError, match=r"recover: expected concrete arrays, given a traced one"):
        jax.jit(xb.hardware.recover)(make(chip))


def test_counters_survive_recovery(chip):
    w = xb.hardware.pulse(make(chip), jnp.ones((3, 5), jnp.int32))
    w = jax.jit(lambda w: w + jnp.full((3, 5), 1000.0))(w)
    assert {k: int(v) for k, v in xb.report(xb.hardware.recover(w)).items()} == {
        "saturated": 15,
        "pulses": 15,
        "not_converged": 0,
        "not_finite": 0,
    }


@pytest.mark.parametrize(
    "use",
    [lambda w: w @ X, lambda w: w.T @ Y, xb.readout],
    ids=["read", "read_transposed", "read_out"],
)
def test_a_read_that_fails_changes_nothing(bench, chip, use, request):
    w = make(chip)
    expected = use(w)
    bench.fail(request.node.callspec.id.split("-", 1)[1])
    with pytest.raises(jax.errors.JaxRuntimeError, match="device error.*the bench tripped"):
        jax.block_until_ready(use(w))
    np.testing.assert_array_equal(use(w), expected)


def test_a_training_loop_goes_on_after_an_error(bench, chip):
    """As in `xbarax.train`: without donation, parameters and state can still be used."""
    optimiser = optax.sgd(2e-3)
    params = {"w": make(chip), "plain": DW}
    state = jax.jit(optimiser.init)(params)

    @jax.jit
    def step(params, state):
        loss = lambda p: (((p["w"] @ X) + (p["plain"] @ X)) ** 2).mean()
        value, gradients = jax.value_and_grad(loss)(params)
        updates, state = optimiser.update(gradients, state, params)
        return xb.apply_updates(params, updates), state, value

    losses, trips = [], 0
    while len(losses) < 12:
        if len(losses) in (3, 7) and trips < 2 * len(losses) / 7:
            bench.fail("update" if trips else "read")
            trips += 1
        try:
            new_params, new_state, loss = step(params, state)
            wait_for(new_params["w"])
            losses.append(float(loss))
            params, state = new_params, new_state
        except jax.errors.JaxRuntimeError as error:
            assert "the bench tripped" in str(error)
            params = xb.hardware.recover(params)
    assert trips == 2 and losses[-1] < losses[0] / 2


# ---- Arguments ---------------------------------------------------------------------------------


def test_weights_beyond_the_range_are_refused_where_they_are_known(bench):
    chip = bench.load(range=1.0)
    bench.clear()
    message = (
        r"weights: expected within \[-1, 1\], the range of counting, given 2 beyond it, the first "
        r"at \(0, 1\): 2"
    )
    with pytest.raises(ValueError, match=message):
        xb.MemristiveCrossbarArray(np.float32([[1, 2], [-1, -1.5]]), chip)
    assert bench.calls() == []
    w = xb.MemristiveCrossbarArray(np.float32([[1, 0.5], [-1, -0.5]]), chip)
    with pytest.raises(ValueError, match="given 2 beyond it"):
        xb.hardware.program(w, np.float32([[1, 2], [-1, -1.5]]))
    np.testing.assert_array_equal(xb.readout(w), np.float32([[1, 0.5], [-1, -0.5]]))


def test_weights_beyond_the_range_are_counted_in_programs(bench):
    chip = bench.load(range=1.0)
    w = xb.MemristiveCrossbarArray(np.float32([[1, 0.5], [-1, -0.5]]), chip)
    w = jax.jit(xb.hardware.program)(w, np.float32([[1, 2], [-1, -1.5]]))
    np.testing.assert_array_equal(xb.readout(w), np.float32([[1, 1], [-1, -1]]))
    assert xb.report(w)["saturated"] == 2
    w = w + np.float32([[-0.5, 0.5], [0.5, -0.5]])
    np.testing.assert_array_equal(xb.readout(w), np.float32([[0.5, 1], [-0.5, -1]]))
    assert xb.report(w)["saturated"] == 4
    w, _ = lax.scan(lambda w, _: (w + np.float32([[1, 0], [0, 0]]), None), w, None, length=3)
    assert xb.report(w)["saturated"] == 7  # 1.5, and twice 2


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("use", ["update", "program", "read", "transposed"])
def test_numbers_that_are_none(bench, chip, bad, use):
    w = make(chip)
    values = {"update": DW, "program": W, "read": X, "transposed": Y}[use].at[0].set(bad)
    does = {
        "update": lambda w, v: w + v,
        "program": xb.hardware.program,
        "read": lambda w, v: w @ v,
        "transposed": lambda w, v: w.T @ v,
    }[use]
    if use in ("update", "program"):
        with pytest.raises(ValueError, match="expected finite numbers, given 5 that are NaN"):
            does(w, values)
    bench.clear()
    count = {"update": "5 changes", "program": "5 weights"}.get(use, "1 inputs")
    with pytest.raises(jax.errors.JaxRuntimeError, match=f"{count} are not finite; nothing was"):
        result = jax.jit(does)(w, values)
        wait_for(result) if use in ("update", "program") else result.block_until_ready()
    assert bench.calls() == []
    np.testing.assert_allclose(w @ X, W @ X, rtol=1e-6)  # and the value is current


@pytest.mark.parametrize("dtype", [np.int32, np.float64, np.float16, np.complex64, bool])
def test_other_types_than_float32_are_refused(chip, dtype, as_users_call):
    w = make(chip)
    given = np.ones((3, 5)).astype(dtype)
    for does in (lambda: xb.MemristiveCrossbarArray(given, chip), lambda: w + given):
        with pytest.raises(TypeError, match=f"expected .*float32, given {np.dtype(dtype)}"):
            does()
    with pytest.raises(TypeError, match=f"expected .*float32, given {np.dtype(dtype)}"):
        xb.hardware.program(w, given)
    with pytest.raises(TypeError, match=f"expected .*float32, given {np.dtype(dtype)}"):
        w @ given[0]


@pytest.mark.parametrize("function", [xb.hardware.program, xb.hardware.pulse])
class TestArguments:
    def test_something_else_than_an_array(self, function, as_users_call):
        message = rf"hardware\.{function.__name__}: expected a MemristiveCrossbarArray, given list"
        with pytest.raises(TypeError, match=message):
            function([[1.0]], W)

    def test_an_array_on_a_simulated_chip(self, function):
        message = (
            rf"hardware\.{function.__name__}: expected an array on a chip behind a driver, given "
            r"crossbar\[float32\[3,5\]\] on Chip\("
        )
        given = W if function is xb.hardware.program else np.ones((3, 5), np.int32)
        with pytest.raises(TypeError, match=message):
            function(xb.MemristiveCrossbarArray(W), given)

    def test_another_shape(self, function, chip):
        given = np.ones((5, 3), np.float32 if function is xb.hardware.program else np.int32)
        message = r"expected the shape of crossbar\[float32\[3,5\]\], given \(5, 3\)"
        for call in (function, jax.jit(function)):
            with pytest.raises(ValueError, match=message):
                call(make(chip), given)

    def test_a_batch_of_arrays(self, function, chip):
        ws = jax.vmap(lambda W: xb.MemristiveCrossbarArray(W, chip))(jnp.stack([W, W]))
        given = np.ones((3, 5), np.float32 if function is xb.hardware.program else np.int32)
        with pytest.raises(ValueError, match=r"\[2,3,5\]\] is a batch of arrays; use it inside"):
            function(ws, given)
        ws = jax.vmap(function, (0, None))(ws, given)
        assert xb.readout(ws).shape == (2, 3, 5)

    def test_a_batch_of_operands_for_one_array(self, function, chip):
        given = np.ones((2, 3, 5), np.float32 if function is xb.hardware.program else np.int32)
        with pytest.raises(ValueError, match="one array, .* cannot take a batch of 2"):
            jax.vmap(function, (None, 0))(make(chip), given)


def test_pulses_are_int32(chip, as_users_call):
    w = make(chip)
    for dtype in (np.float32, np.int64, np.uint32, bool):
        with pytest.raises(TypeError, match=f"expected int32 pulses, given {np.dtype(dtype)}"):
            xb.hardware.pulse(w, np.ones((3, 5), dtype))
    w = xb.hardware.pulse(w, [[1] * 5] * 3)
    np.testing.assert_allclose(xb.readout(w), W + 0.01, rtol=1e-5)


def test_a_full_chip(bench, chip):
    kept = [make(chip) for _ in range(MOST_ARRAYS)]
    with pytest.raises(xb.hardware.DriverError, match="no space: .*all places are taken"):
        make(chip)
    np.testing.assert_allclose(kept[0] @ X, W @ X, rtol=1e-6)
    del kept[0]
    np.testing.assert_allclose(make(chip) @ X, W @ X, rtol=1e-6)


# ---- What chips lack ---------------------------------------------------------------------------

LACKS = {
    "read_transposed": (ALL - 1, "reads back are computed from the weights that are read out"),
    "update": (ALL - 2, "an update reads out, adds and programs"),
    "read_out": (ALL - 8, "what is read out are the weights that were asked for last"),
}


@pytest.mark.parametrize("lacks", LACKS)
def test_what_is_emulated_is_told_once(bench, lacks):
    can, told = LACKS[lacks]
    with pytest.warns(xb.hardware.EmulationWarning) as warned:
        chip = xb.hardware.load(bench.driver, config={"can": can})
    assert [str(w.message) for w in warned] == [f"counting lacks {lacks} ({told})"]
    assert xb.hardware.load(bench.driver, config={"can": can}) == chip  # without a word
    w = make(chip)
    calls = {
        "read_transposed": {"read": 1, "read_out": 1},
        "update": {"read": 1, "read_transposed": 1},
        "read_out": {"read": 1, "read_transposed": 1},
    }[lacks]
    dx = bench.expect(jax.jit(jax.grad(lambda x: ((w @ x) ** 2).sum())), X, **calls)
    np.testing.assert_allclose(dx, 2 * (W @ X) @ W, rtol=1e-5)
    calls = {"update": {"read_out": 1, "program": 1}}.get(lacks, {"update": 1})
    w = bench.expect(jax.jit(lambda w: w + DW), w, **calls)
    calls = {"read_out": {}}.get(lacks, {"read_out": 1})
    np.testing.assert_allclose(bench.expect(xb.readout, w, **calls), W + 0.25, rtol=1e-6)
    xb.hardware.close(chip)


def test_chips_that_have_everything_say_nothing(bench):
    chip = xb.hardware.load(bench.driver, config={"can": ALL})  # warnings are errors here
    assert chip.description.capabilities == {"read_transposed", "update", "pulse", "read_out"}
    xb.hardware.close(chip)


def test_pulses_are_not_emulated(bench):
    chip = bench.load(can=ALL - 4)
    with pytest.raises(ValueError, match="counting takes no pulses"):
        xb.hardware.pulse(make(chip), np.ones((3, 5), np.int32))


def test_what_pulses_left_is_not_known_without_a_readout(bench):
    w = xb.hardware.pulse(make(bench.load(can=ALL - 8)), jnp.ones((3, 5), jnp.int32))
    with pytest.raises(jax.errors.JaxRuntimeError, match="what its weights are after pulses is"):
        jax.block_until_ready(xb.readout(w))
    w = xb.hardware.program(w, W)
    np.testing.assert_array_equal(xb.readout(w), W)


def test_pulses_that_are_lost_are_told(bench):
    """What was read out after pulses is programmed again; what came later is not known."""
    chip = bench.load(range=50.0)
    w = xb.hardware.pulse(make(chip), jnp.ones((3, 5), jnp.int32))
    held = xb.readout(w)
    for pulses_again in (False, True):
        if pulses_again:
            w = xb.hardware.pulse(w, jnp.ones((3, 5), jnp.int32))
        bench.fail("update")
        with pytest.raises(jax.errors.JaxRuntimeError, match="the bench tripped"):
            jax.block_until_ready(xb.readout(w + DW))
        told = pytest.warns(xb.hardware.PulsesLostWarning, match="the pulses since then are lost")
        with told if pulses_again else contextlib.nullcontext():
            w = xb.hardware.recover(w)
        held = held + DW
        np.testing.assert_array_equal(xb.readout(w), held)
