"""A recording in the place of its chip: the same program runs as it did, any other is refused."""

import contextlib
import gc
import pickle
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import xbarax as xb
from tests.hardware.faulty_chip import FaultyChip

W = np.random.default_rng(0).integers(-2, 3, (3, 5)).astype(np.float32)
X = np.arange(10, dtype=np.float32).reshape(2, 5)
ERRORS = (jax.errors.JaxRuntimeError, xb.hardware.DriverError)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.xbr"


@pytest.fixture
def opened():
    """Closes chips."""
    chips = contextlib.ExitStack()

    def opened(chip):
        chips.callback(xb.hardware.close, chip)
        return chip

    with chips:
        yield opened


@pytest.fixture
def record(path, opened):
    """Records a program: program(array of W, chip)."""

    def record(program, driver=FaultyChip, **options):
        chip = opened(xb.hardware.load(driver, record=path, **options))
        result = program(xb.MemristiveCrossbarArray(W, chip), chip)
        jax.block_until_ready(jax.tree.leaves(result))
        jax.effects_barrier()
        xb.hardware.close(chip)
        return result

    return record


@pytest.fixture
def replay(path, opened):
    """Replays a program."""

    def replay(program, tolerance=1e-5, weights=W):
        chip = opened(xb.hardware.replay(path, tolerance))
        result = program(xb.MemristiveCrossbarArray(weights, chip), chip)
        jax.block_until_ready(jax.tree.leaves(result))
        return result

    return replay


def failure(function, *args):
    """What a call fails with, in the driver's words."""
    with pytest.raises(ERRORS) as error:
        jax.block_until_ready(jax.tree.leaves(function(*args)))
    return str(error.value)


# ---- The same program --------------------------------------------------------------------------


def train(w, chip):
    """A few steps with everything: jit, scan, grad, vmap, reads both ways, a metric, an update."""
    xs = jax.random.normal(jax.random.key(1), (4, 6, 5))
    ys = jax.random.normal(jax.random.key(2), (4, 6, 3))
    second = xb.MemristiveCrossbarArray(jnp.eye(3), chip)

    def loss(ws, x, y):
        hidden = jnp.tanh(jax.vmap(lambda x: ws[0] @ x)(x))
        return jnp.mean((xb.read(ws[1], hidden) - y) ** 2)

    @jax.jit
    def epoch(ws):
        def step(ws, batch):
            value, grads = jax.value_and_grad(loss)(ws, *batch)
            metric = jnp.sum(xb.readout(ws[1]))
            ws = [xb.after(w, (value, metric)) - 0.1 * g for w, g in zip(ws, grads, strict=True)]
            return ws, (value, metric)

        return jax.lax.scan(step, ws, (xs, ys))

    ws, results = [w, second], []
    for _ in range(2):
        ws, result = epoch(ws)
        results.append(result)
    return results, [xb.readout(w) for w in ws]


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("kind", ["C", "Python"])
def test_training_is_the_same_bit_for_bit(kind, isolated, record, replay):
    driver = xb.hardware.reference_driver() if kind == "C" else FaultyChip
    first = record(train, driver, isolated=isolated)
    values = np.concatenate([value for value, _ in first[0]])
    assert values[-1] < values[0]
    jax.tree.map(np.testing.assert_array_equal, first, replay(train, tolerance=0.0))


def test_noise_is_what_it_was(record, replay):
    driver = xb.hardware.simulated_driver()
    config = {"read_noise": 0.1, "range": 4}
    first = record(lambda w, chip: [xb.read(w, X) for _ in range(3)], driver, config=config)
    assert not np.array_equal(first[0], first[1])
    again = replay(lambda w, chip: [xb.read(w, X) for _ in range(3)])
    jax.tree.map(np.testing.assert_array_equal, first, again)


def test_it_needs_no_driver(path, record):
    """In another process, which cannot import it."""
    record(lambda w, chip: xb.read(w, X))
    text = path.read_bytes()
    path.write_bytes(text.replace(b"tests.hardware.faulty_chip:FaultyChip", b"gone.forever:Chip"))
    program = (
        "import sys, numpy as np, xbarax as xb\n"
        "w = xb.MemristiveCrossbarArray(np.array(eval(sys.argv[2]), np.float32),\n"
        "    xb.hardware.replay(sys.argv[1]))\n"
        "print(xb.read(w, np.arange(10, dtype=np.float32).reshape(2, 5)).tolist())\n"
    )
    words = [sys.executable, "-c", program, path, str(W.tolist())]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.strip() == str((X @ W.T).tolist())


def test_each_replay_begins_at_the_start(record, path, opened):
    first = record(lambda w, chip: xb.read(w, X))
    for _ in range(2):
        chip = opened(xb.hardware.replay(path))
        assert chip.description == FaultyChip({}).describe()
        w = xb.MemristiveCrossbarArray(W, chip)
        np.testing.assert_array_equal(xb.read(w, X), first)


def test_a_replay_that_was_closed_begins_again_when_its_chip_is_loaded(record, path, opened):
    record(lambda w, chip: xb.read(w, X))
    chip = opened(xb.hardware.replay(path))
    xb.MemristiveCrossbarArray(W, chip)
    stored = pickle.dumps(chip)
    xb.hardware.close(chip)
    again = opened(pickle.loads(stored))
    w = xb.MemristiveCrossbarArray(W, again)
    np.testing.assert_array_equal(xb.read(w, X), X @ W.T)


# ---- Errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["error", "lost"])
@pytest.mark.parametrize("call", ["read", "update", "program"])
def test_errors_come_again_where_they_were(fault, call, record, replay):
    def program(w, chip):
        said = []
        for k in range(3):
            try:
                jax.block_until_ready(xb.read(w, X + k))
                w = w + np.full_like(W, 0.25)
                w = xb.hardware.program(w, W / 2)
                jax.block_until_ready(xb.readout(w))
            except ERRORS as error:
                said.append(re.sub("of array [0-9]+", "of array", str(error)))
                w = xb.hardware.recover(w)
        return said, xb.readout(w)

    # Opened anew, the faulty chip counts from 0, and is lost a second time.
    number = 4 if call == "program" else 2
    first = record(program, config={"fault": fault, "of": call, "call": number})
    assert len(first[0]) >= 1
    words = {"error": f"RuntimeError: the {call} failed", "lost": "ConnectionError: the bench is"}
    assert words[fault] in first[0][0]
    again = replay(program)
    assert first[0] == again[0]
    np.testing.assert_array_equal(first[1], again[1])


def test_a_chip_that_did_not_open_again_does_not_in_the_replay(record, replay, monkeypatch):
    def recovering(w, chip):
        said = [failure(lambda: xb.read(w, X))]
        monkeypatch.setattr(FaultyChip, "__init__", refuse)
        said.append(failure(xb.hardware.recover, w))
        monkeypatch.undo()
        return said[1], xb.readout(xb.hardware.recover(w))

    def refuse(self, config):
        raise ConnectionError("the bench is still dark")

    first = record(recovering, config={"fault": "lost", "of": "read", "call": 1})
    again = replay(recovering)
    assert first[0] == again[0] and "open: lost: ConnectionError: the bench is still" in first[0]
    np.testing.assert_array_equal(first[1], again[1])


# ---- Orders ------------------------------------------------------------------------------------


def test_reads_between_changes_come_in_any_order(record, replay):
    inputs = [X + k for k in range(4)]

    def program(order):
        def run(w, chip):
            results = {k: xb.read(w, inputs[k]) for k in order}
            results["back"] = xb.read(w, X[:, :3], transpose=True)
            results["out"] = xb.readout(w)
            w = w + W
            results["after"] = xb.read(w, inputs[0])
            return [results[k] for k in (*range(4), "back", "out", "after")]

        return run

    first = record(program([0, 1, 2, 3]))
    again = replay(program([2, 0, 3, 1]))
    jax.tree.map(np.testing.assert_array_equal, first, again)


def test_calls_to_different_arrays_come_in_any_order(record, replay):
    def program(swapped):
        def run(w, chip):
            arrays = [w, xb.MemristiveCrossbarArray(2 * W, chip)]
            results = {}
            for k in (1, 0) if swapped else (0, 1):
                before = xb.read(arrays[k], X)
                results[k] = before, xb.read(arrays[k] + W, X)
            return results[0], results[1]

        return run

    first = record(program(False))
    jax.tree.map(np.testing.assert_array_equal, first, replay(program(True)))


class ReusingChip(FaultyChip):
    """A chip with the lowest free number for each new array."""

    def allocate(self, outputs, inputs):
        self._last = min(set(range(1, 100)) - set(self._weights)) - 1
        return super().allocate(outputs, inputs)


@pytest.mark.parametrize("keep_in", ["the recording", "the replay"])
def test_arrays_are_given_back_at_any_time(keep_in, record, replay, path):
    def program(keep):
        def run(w, chip):
            results, kept = [], []
            for k in range(4):
                array = xb.MemristiveCrossbarArray(W + k, chip)
                results.append(xb.read(array, X))
                kept.append(array)
                if not keep:
                    kept.clear()
                    del array
                    gc.collect()
            results.append(xb.read(w, X))
            return results

        return run

    first = record(program(keep_in == "the recording"), ReusingChip)
    numbers = {call.array for call in xb.hardware.read_recording(path) if call.array}
    assert len(numbers) == (5 if keep_in == "the recording" else 2)
    again = replay(program(keep_in == "the replay"))
    jax.tree.map(np.testing.assert_array_equal, first, again)


# ---- Another program ---------------------------------------------------------------------------


def recorded_program(w, chip):
    first = xb.read(w, X)
    w = xb.after(w, first) + W
    second = xb.read(w, X + 1)
    return first, second, xb.after(w, second), xb.MemristiveCrossbarArray(W.T, chip)


CHANGED = X + np.array([[0, 0, 0, 0, 0], [0, 0.5, 0, 0, 2]], np.float32)
READ = r"recorded: call 5 at [0-9.e-]+ s, read, array 1, n = 2"
UPDATE = r"recorded: call 6 at [0-9.e-]+ s, update, array 1"
LAST = r"recorded: call 7 at [0-9.e-]+ s, read, array 1, n = 2"
ENDED = r"recorded: no more of array 1 \(3 × 5\): the chip was closed at call 10; asked: "

DIFFERENCES = {
    "other numbers": (
        lambda w, chip: xb.read(w, CHANGED),
        rf"{READ}; asked: the same, where 2 of 10 numbers differ, first at \[1, 1\]: "
        r"recorded 6, asked 6\.5 \(tolerance 1e-05\)",
    ),
    "other size": (lambda w, chip: xb.read(w, X[:1]), f"{READ}; asked: read, n = 1"),
    "other read": (
        lambda w, chip: xb.read(w, X[:, :3], transpose=True),
        f"{READ}; asked: read_transposed, n = 2",
    ),
    "no read": (lambda w, chip: xb.readout(w + W), f"{READ}; asked: update before that"),
    "read twice": (
        lambda w, chip: (xb.read(w, X), xb.read(w, X)),
        f"{UPDATE}; asked: read, n = 2",
    ),
    "other change": (
        lambda w, chip: (xb.read(w, X), xb.hardware.program(w, W)),
        f"{UPDATE}; asked: program before that",
    ),
    "other update": (
        lambda w, chip: (xb.read(w, X), w + 3 * W),
        rf"{UPDATE}; asked: the same, where {np.count_nonzero(W)} of 15 numbers differ, first at ",
    ),
    "read before the change": (
        lambda w, chip: (xb.read(w, X), xb.read(w, X + 1)),
        f"{UPDATE}; asked: read, n = 2",
    ),
    "one read more": (
        lambda w, chip: (read := recorded_program(w, chip)[2], xb.read(read, X + 1)),
        f"{ENDED}read, n = 2",
    ),
    "one change more": (
        lambda w, chip: recorded_program(w, chip)[2] + W,
        f"{ENDED}update",
    ),
    "other shape": (
        lambda w, chip: xb.MemristiveCrossbarArray(W, chip),
        r"recorded: call 8 at [0-9.e-]+ s, allocate, 5 × 3; asked: allocate, 3 × 5",
    ),
    "one array more": (
        lambda w, chip: [xb.MemristiveCrossbarArray(W.T, chip) for _ in range(2)],
        r"recorded: no more arrays: the chip was closed at call 10; asked: allocate, 5 × 3",
    ),
}


@pytest.mark.parametrize("what", DIFFERENCES)
def test_another_program_is_refused_with_the_first_difference(what, record, path, opened):
    record(recorded_program)
    program, message = DIFFERENCES[what]
    chip = opened(xb.hardware.replay(path))
    w = xb.MemristiveCrossbarArray(W, chip)
    said = failure(program, w, chip)
    expected = rf"replay of {path}: the program differs from the recording; {message}"
    assert re.search(expected, said), said
    # From then on, nothing is answered.
    difference = said[said.index("replay of") :].splitlines()[0]
    for attempt in (
        lambda: xb.MemristiveCrossbarArray(W, chip),
        lambda: xb.read(xb.hardware.recover(w), X),
        lambda: xb.readout(xb.hardware.recover(w)),
    ):
        assert difference in failure(attempt)


def test_a_released_array_is_gone(record, path, opened):
    def released(w, chip):
        other = xb.MemristiveCrossbarArray(W, chip)
        del other
        gc.collect()
        return xb.read(w, X)

    record(released)
    calls = {call.number: call.call for call in xb.hardware.read_recording(path)}
    (number,) = [number for number, call in calls.items() if call == "release"]
    chip = opened(xb.hardware.replay(path))
    w, other = (xb.MemristiveCrossbarArray(W, chip) for _ in range(2))
    message = rf"no more of array 2 \(3 × 5\), which was released at call {number}; asked: read"
    assert re.search(message, failure(xb.read, other, X))


def test_roundings_pass_within_the_tolerance(record, replay):
    near = np.nextafter(W, np.float32(np.inf))  # at most 1.2e-7 of it
    near[W == 0] = 0
    first = record(recorded_program)
    again = replay(recorded_program, weights=near)
    np.testing.assert_array_equal(first[0], again[0])
    message = (
        rf"call 4 at [0-9.e-]+ s, program, array 1; asked: the same, where "
        rf"{np.count_nonzero(W)} of 15 numbers differ.*\(tolerance 0\)"
    )
    assert re.search(message, failure(lambda: replay(recorded_program, 0.0, near)))


def test_the_tolerance_is_relative_to_the_largest_number(record, replay):
    read = lambda x: lambda w, chip: xb.read(w, x)
    record(read(np.array([[100, 1, 0, 0, 0]], np.float32)))
    near = np.array([[100, 1.9, 0, 0, 0.9]], np.float32)
    replay(read(near), tolerance=0.01)
    said = failure(lambda: replay(read(near), tolerance=0.005))
    assert "2 of 5 numbers differ, first at [0, 1]: recorded 1, asked 1.89999998" in said


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf")])
def test_a_tolerance_that_is_none(tolerance, record, path):
    record(lambda w, chip: xb.read(w, X))
    with pytest.raises(ValueError, match="tolerance: expected a number from 0, given"):
        xb.hardware.replay(path, tolerance)
