"""Where noise comes from and how much there is, on the noisy chip: pure functions of keys."""

import itertools

import jax
import numpy as np
import pytest
from jax import lax
from jax import numpy as jnp

import xbarax as xb
from tests.chip.noisy import Noisy
from tests.helpers import assert_close, assert_equal, normal

N_OUT, N_IN, N_ROWS = 3, 5, 6
W = normal(0, N_OUT, N_IN)
XS, C = normal(2, N_ROWS, N_IN), normal(3, N_OUT)
X = XS[0]
KEY = jax.random.key(7)
READ, WRITE = 0.3, 0.1

READS_NOISY = xb.Chip(device=Noisy(read=READ))
WRITES_NOISY = xb.Chip(device=Noisy(write=WRITE))
Z = 4.5  # a normal number lies farther than this many standard deviations off once in 150 000


def make(chip=READS_NOISY, weights=W, seed=0):
    return xb.MemristiveCrossbarArray(weights, chip, jax.random.key(seed))


def differ(one, other):
    """Whether all numbers differ, by more than rounding."""
    return bool(np.all(np.abs(np.asarray(one) - np.asarray(other)) > 2e-6))


# ---- Reads with a key --------------------------------------------------------------------------


def test_a_read_is_a_function_of_its_key():
    w = make()
    assert_equal(xb.read(w, XS, key=KEY), xb.read(w, XS, key=KEY))
    assert differ(xb.read(w, XS, key=KEY), xb.read(w, XS, key=jax.random.key(8)))


def test_the_arrays_own_key_plays_no_part_where_one_is_given():
    assert_equal(xb.read(make(seed=0), XS, key=KEY), xb.read(make(seed=1), XS, key=KEY))


def test_rows_have_noise_of_their_own():
    same_rows = jnp.tile(X, (N_ROWS, 1))
    y = np.asarray(xb.read(make(), same_rows, key=KEY))
    for one, other in itertools.combinations(y, 2):
        assert differ(one, other)


def test_outputs_have_noise_of_their_own():
    w = make(weights=np.ones((4, N_IN), np.float32))
    y = np.asarray(xb.read(w, X, key=KEY))
    for one, other in itertools.combinations(y, 2):
        assert differ(one, other)


@pytest.mark.parametrize("tile", [None, (2, 2)])
def test_a_rows_noise_does_not_depend_on_the_rows_behind_it(tile):
    w = make(xb.Chip(device=Noisy(read=READ), tile=tile))
    y = xb.read(w, XS, key=KEY)
    for k in range(N_ROWS + 1):
        assert_close(xb.read(w, XS[:k], key=KEY), y[:k])


def test_the_batch_axes_in_front_are_rows():
    w = make()
    y = xb.read(w, XS.reshape(2, 3, N_IN), key=KEY)
    assert_close(y, xb.read(w, XS, key=KEY).reshape(2, 3, N_OUT))


def test_a_key_that_is_not_mapped_gives_every_example_the_same_noise():
    y = jax.vmap(lambda x: xb.read(make(), x, key=KEY))(jnp.tile(X, (4, 1)))
    assert_equal(y, jnp.tile(y[0], (4, 1)))


def test_zero_input_has_no_noise():
    assert_equal(xb.read(make(), jnp.zeros((2, N_IN)), key=KEY), jnp.zeros((2, N_OUT)))


# ---- Reads without a key -----------------------------------------------------------------------


def test_equal_inputs_share_their_noise():
    w = make()
    y = np.asarray(w @ jnp.stack([X, XS[1], X], axis=1)).T
    assert_equal(y[0], y[2])
    assert_close(w @ X, jnp.asarray(y[0]))
    assert_close(xb.read(w, XS), jnp.stack([w @ x for x in XS]))


def test_arrays_with_other_keys_have_other_noise():
    assert differ(make(seed=0) @ X, make(seed=1) @ X)


def normalised_noise(w, xs):
    """(rows, out): the noise of reading `xs` without a key, in standard deviations."""
    weights = np.asarray(xb.readout(w))
    deviation = np.sqrt((xs**2) @ (READ * weights).T ** 2)
    return (np.asarray(xb.read(w, xs)) - xs @ weights.T) / deviation


DIFFERENT = {
    "the last bit of one": [[1.0, 1.0], [1.0, np.nextafter(np.float32(1), np.float32(2))]],
    "order": [[1.0, 2.0], [2.0, 1.0]],
    "sign": [[1.0, 2.0], [-1.0, -2.0], [1.0, -2.0], [-1.0, 2.0]],
    "scale": [[1.0, 2.0], [2.0, 4.0], [0.5, 1.0]],
    "which one spikes": np.eye(40),
    "how many spike": np.tril(np.ones((40, 40))),
    # The hash must spread round numbers too: there are two pairs of these that a weak one confuses.
    "levels of a converter": list(itertools.product(np.linspace(-1, 1, 9), repeat=3)),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_different_inputs_have_different_noise(what):
    xs = np.asarray(DIFFERENT[what], np.float32)
    xs = xs[np.any(xs != 0, axis=1)]
    w = make(weights=np.ones((4, xs.shape[1]), np.float32))
    noise = np.round(normalised_noise(w, xs), 3)
    assert len(np.unique(noise, axis=0)) == len(xs)


def test_negative_zero_counts_as_zero():
    w = make()
    with_zeros = jnp.asarray([1.0, 0.0, 2.0, -0.0, 0.0])
    for read in (lambda x: w @ x, jax.jit(lambda x: w @ x), lambda x: xb.read(w, x[None])[0]):
        assert_equal(read(with_zeros), read(jnp.abs(with_zeros)))
        assert_equal(read(-jnp.zeros(N_IN)), jnp.zeros(N_OUT))


def test_noise_without_a_key_is_standard_normal():
    xs = XS[0] + 1e-6 * np.arange(4000, dtype=np.float32)[:, None]
    check_moments(normalised_noise(make(), xs.astype(np.float32)), 1.0)


# ---- Time steps --------------------------------------------------------------------------------


def test_each_time_step_has_a_key_of_its_own():
    w = make()
    data = [jax.random.key_data(xb.array.step_key(w, step)) for step in range(100)]
    assert len(np.unique(data, axis=0)) == 100
    traced = jax.jit(lambda w, step: jax.random.key_data(xb.array.step_key(w, step)))(w, 7)
    assert_equal(traced, data[7])


def test_only_noisy_reads_have_step_keys():
    assert xb.array.step_key(W, 0) is None
    assert xb.array.step_key(make(WRITES_NOISY), 0) is None
    assert xb.array.step_key(xb.MemristiveCrossbarArray(W), 0) is None


def test_programming_does_not_draw_what_reading_drew():
    w = make(xb.Chip(device=Noisy(write=1.0, read=1.0)), np.ones((2, 3), np.float32))
    weights, one = xb.readout(w), jnp.tile(jnp.eye(3)[0], (3, 1))

    def reads(w, step):
        y = xb.read(w, one, key=xb.array.step_key(w, step))
        return (y - weights[:, 0]) / jnp.abs(weights[:, 0])

    updated = w + jnp.zeros((2, 3))
    drawn = {"program": xb.readout(updated) - weights}
    drawn |= {f"step {step}": reads(w, step) for step in range(4)}
    for one_of, other in itertools.combinations(drawn, 2):
        assert differ(np.ravel(drawn[one_of]), np.ravel(drawn[other])), (one_of, other)


# ---- Backward reads ----------------------------------------------------------------------------


def pull_back(w, cotangent, x=X, key=KEY):
    return jax.vjp(lambda x: xb.read(w, x, key=key), x)[1](cotangent)[0]


def test_a_backward_read_is_noisy():
    w = make()
    assert differ(pull_back(w, C), C @ W)
    assert_equal(pull_back(w, C), pull_back(w, C))


def test_a_backward_reads_noise_is_not_its_forward_reads():
    w = make(weights=np.eye(N_IN, dtype=np.float32))
    forward, backward = xb.read(w, X, key=KEY), pull_back(w, X)
    assert differ(backward, forward)


def test_a_backward_reads_noise_depends_on_its_forward_reads_key():
    w = make()
    assert differ(pull_back(w, C, key=KEY), pull_back(w, C, key=jax.random.key(8)))


def test_a_backward_reads_noise_does_not_depend_on_the_cotangents_bits():
    w = make()
    # Noise is proportional to the input, and a factor of two is exact.
    assert_equal(pull_back(w, 2 * C), 2 * pull_back(w, C))
    assert_close(pull_back(w, C) + pull_back(w, -C), 2 * (pull_back(w, C) - C @ W))


def test_a_backward_reads_noise_does_not_depend_on_the_input():
    w = make()
    assert_equal(pull_back(w, C, XS[0]), pull_back(w, C, XS[1]))


def test_rows_of_a_backward_read_have_noise_of_their_own():
    x_bar = pull_back(make(), jnp.tile(C, (N_ROWS, 1)), XS)
    for one, other in itertools.combinations(np.asarray(x_bar), 2):
        assert differ(one, other)


def test_an_ideal_backward_read_multiplies_with_the_readout():
    w = make(xb.Chip(device=Noisy(write=WRITE, read=READ), tile=(2, 2), backward="ideal"))
    assert_close(pull_back(w, C), C @ xb.readout(w))
    assert differ(xb.read(w, X, key=KEY), xb.readout(w) @ X)


def test_noise_is_a_constant_under_differentiation():
    w = make()
    value, tangent = jax.jvp(lambda x: xb.read(w, x, key=KEY), (X,), (XS[1],))
    assert_equal(value, xb.read(w, X, key=KEY))
    assert_close(tangent, jnp.asarray(W @ XS[1]))
    hessian = jax.hessian(lambda x: jnp.sum(xb.read(w, x, key=KEY)))(X)
    assert_equal(hessian, jnp.zeros((N_IN, N_IN)))


def linear_loss(w, x):
    return jnp.sum(C * xb.read(w, x, key=KEY))


def step_loss(w, x):
    """Several reads of one array, with keys of its own."""
    read = lambda total, step: (total + C @ xb.read(w, x, key=xb.array.step_key(w, step)), None)
    return lax.scan(read, 0.0, jnp.arange(3))[0]


def keyless_loss(w, x):
    return C @ (w @ x)


@pytest.mark.parametrize("loss", [linear_loss, step_loss, keyless_loss])
@pytest.mark.parametrize("how", ["eager", "jit"])
def test_checkpoint_changes_no_bit_of_a_gradient(loss, how):
    run = jax.jit if how == "jit" else lambda function: function
    plain = run(jax.grad(loss, argnums=(0, 1)))(make(), X)
    again = run(jax.grad(jax.checkpoint(loss), argnums=(0, 1)))(make(), X)
    assert_equal(again, plain)
    assert differ(plain[1], jax.grad(lambda x: jnp.sum(C @ (W @ x)))(X))


# ---- Programming -------------------------------------------------------------------------------


def test_programming_uses_the_key_it_is_given():
    assert_equal(xb.readout(make(WRITES_NOISY, seed=0)), xb.readout(make(WRITES_NOISY, seed=0)))
    assert differ(xb.readout(make(WRITES_NOISY, seed=0)), xb.readout(make(WRITES_NOISY, seed=1)))
    assert differ(xb.readout(make(WRITES_NOISY)), W)


def test_programming_leaves_a_fresh_key():
    w = make(WRITES_NOISY)
    keys, errors, nothing = [], [], jnp.zeros_like(W)
    for _ in range(3):
        updated = w + nothing
        keys.append(xb.array.get_state(w)["key"])
        errors.append(xb.readout(updated) - xb.readout(w))
        w = updated
    assert len(np.unique(keys, axis=0)) == 3
    for one, other in itertools.combinations(errors, 2):
        assert differ(one, other)


def test_two_updates_of_one_array_are_the_same():
    w = make(WRITES_NOISY)
    assert_equal(xb.array.get_state(w + W), xb.array.get_state(w + W))


def test_vmap_over_keys_gives_different_chips():
    chip = xb.Chip(device=Noisy(write=WRITE, read=READ))
    keys = jax.random.split(KEY, 4)
    chips = jax.vmap(lambda key: xb.MemristiveCrossbarArray(W, chip, key))(keys)
    reads = jax.vmap(lambda w: w @ X)(chips)
    updated = jax.vmap(lambda w: w + W)(chips)
    for seen in (xb.readout(chips), reads, xb.readout(updated) - xb.readout(chips)):
        for one, other in itertools.combinations(np.asarray(seen), 2):
            assert differ(one, other)


def test_the_callers_key_is_left_to_the_caller():
    key = jax.random.key(3)
    xb.MemristiveCrossbarArray(W, WRITES_NOISY, key) + W
    assert_equal(jax.random.key_data(key), jax.random.key_data(jax.random.key(3)))


def test_pulses_are_counted():
    w = make(WRITES_NOISY)
    counts = [int(xb.report(w)["pulses"])]
    for _ in range(2):
        w = w + W
        counts.append(int(xb.report(w)["pulses"]))
    assert counts == [W.size, 2 * W.size, 3 * W.size]


# ---- How much there is -------------------------------------------------------------------------


def check_moments(samples, deviation):
    """Checks (n, k) samples: k independent normal variables of mean 0 and `deviation` (k,)."""
    samples = np.asarray(samples, np.float64) / deviation
    n = len(samples)
    assert np.all(np.abs(np.mean(samples, axis=0)) < Z / np.sqrt(n))
    assert np.all(np.abs(np.mean(samples**2, axis=0) - 1) < Z * np.sqrt(2 / n))
    assert np.all(np.abs(np.mean(samples**3, axis=0)) < Z * np.sqrt(15 / n))
    assert np.all(np.abs(np.mean(samples**4, axis=0) - 3) < Z * np.sqrt(96 / n))
    neighbours = np.mean(samples[1:] * samples[:-1], axis=0)
    assert np.all(np.abs(neighbours) < Z / np.sqrt(n))
    products = samples.T @ samples / n
    assert np.all(np.abs(products - np.diag(np.diag(products))) < Z / np.sqrt(n))


@pytest.mark.parametrize("tile", [None, (2, 2)])
def test_read_noise_has_the_variance_of_all_its_cells(tile):
    w = make(xb.Chip(device=Noisy(read=READ), tile=tile))
    n = 40_000
    forward = xb.read(w, jnp.tile(X, (n, 1)), key=KEY)
    check_moments(forward - W @ X, np.sqrt((READ * W) ** 2 @ X**2))
    transposed = xb.read(w, jnp.tile(C, (n, 1)), key=KEY, transpose=True)
    check_moments(transposed - C @ W, np.sqrt(C**2 @ (READ * W) ** 2))
    backward = pull_back(w, jnp.tile(C, (n, 1)), jnp.zeros((n, N_IN)))
    check_moments(backward - C @ W, np.sqrt(C**2 @ (READ * W) ** 2))


def test_read_noise_over_keys_has_the_same_variance():
    w = make()
    keys = jax.random.split(KEY, 40_000)
    y = jax.vmap(lambda key: xb.read(w, X, key=key))(keys)
    check_moments(y - W @ X, np.sqrt((READ * W) ** 2 @ X**2))


def test_programming_errors_add_up_in_variance():
    weights = np.zeros((400, 500), np.float32)
    w = make(WRITES_NOISY, weights)
    errors = [np.asarray(xb.readout(w))]
    for _ in range(2):
        before, w = w, w + weights
        errors.append(np.asarray(xb.readout(w) - xb.readout(before)))
    check_moments(np.stack([e.ravel() for e in errors], axis=1), WRITE)
    check_moments(np.asarray(xb.readout(w)).reshape(-1, 1), WRITE * np.sqrt(3))
