"""What operators compute, and what is refused with the way named, eager and traced."""

import operator
import re

import jax
import numpy as np
import optax
import pytest
from jax import numpy as jnp

import xbarax as xb
from tests.helpers import assert_close, assert_equal, normal

N_OUT, N_IN = 3, 5
W, V = normal(0, N_OUT, N_IN), normal(1, N_OUT, N_IN)
X, Y = normal(2, N_IN), normal(3, N_OUT)

READ_OUT = "xb.readout(w)"
TRANSPOSED = "write w.T @ x for the transposed read"
AS_ARRAY = "a crossbar array is not a plain array"


@pytest.fixture
def w(implementation):
    return xb.MemristiveCrossbarArray(W, xb.Chip(implementation=implementation))


# ---- What operators compute --------------------------------------------------------------------


@pytest.mark.parametrize("n", [None, 0, 1, 7])
def test_w_at_x_reads(w, n):
    x = X if n is None else normal(4, N_IN, n)
    assert_close(w @ x, jnp.asarray(W.astype(float) @ x, jnp.float32))


@pytest.mark.parametrize("n", [None, 0, 1, 7])
def test_w_t_at_y_reads_transposed(w, n):
    y = Y if n is None else normal(4, N_OUT, n)
    assert_close(w.T @ y, jnp.asarray(W.T.astype(float) @ y, jnp.float32))


def test_the_transposed_transposed_array_is_the_array(w):
    assert_equal(w.T.T @ X, w @ X)


def test_adding_and_subtracting_program_a_new_array(w):
    assert_equal(xb.readout(w + V), jnp.asarray(W + V))
    assert_equal(xb.readout(w - V), jnp.asarray(W - V))
    assert_equal(xb.readout(w), jnp.asarray(W))


def test_updating_in_place_makes_a_new_array(w):
    old = w
    w += V
    w -= 2 * V
    assert_equal(xb.readout(w), jnp.asarray((W + V) - 2 * V))
    assert_equal(xb.readout(old), jnp.asarray(W))


def test_an_array_times_another_ones_readout(w):
    v = xb.MemristiveCrossbarArray(V)
    assert_close(w @ xb.readout(v).T, jnp.asarray(W @ V.T))
    assert_equal(xb.readout(w + xb.readout(v)), jnp.asarray(W + V))


# ---- What is refused ---------------------------------------------------------------------------

jnp_ones = jnp.ones((N_OUT, N_IN))

REFUSED = {
    # Operators.
    "x @ w": (lambda w: jnp.asarray(Y) @ w, TRANSPOSED),
    "NumPy's x @ w": (lambda w: Y @ w, TRANSPOSED),
    "x @ w.T": (lambda w: jnp.asarray(X) @ w.T, "write (w @ x)"),
    "NumPy's x @ w.T": (lambda w: X @ w.T, "write (w @ x)"),
    "2 * w": (lambda w: 2 * w, READ_OUT),
    "w * 2": (lambda w: w * 2, READ_OUT),
    "NumPy's 2 * w": (lambda w: np.float32(2) * w, READ_OUT),
    "an array times w": (lambda w: jnp_ones * w, READ_OUT),
    "w / 2": (lambda w: w / 2, READ_OUT),
    "2 / w": (lambda w: 2 / w, READ_OUT),
    "w // 2": (lambda w: w // 2, READ_OUT),
    "w % 2": (lambda w: w % 2, READ_OUT),
    "w ** 2": (lambda w: w**2, READ_OUT),
    "2 ** w": (lambda w: 2**w, READ_OUT),
    "-w": (lambda w: -w, READ_OUT),
    "abs(w)": (lambda w: abs(w), READ_OUT),
    "w[0]": (lambda w: w[0], READ_OUT),
    "w < 2": (lambda w: w < 2, READ_OUT),
    "w >= 2": (lambda w: w >= 2, READ_OUT),
    "w == 0": (lambda w: w == 0, READ_OUT),
    "w == w": (lambda w: w == w, "`is` tells whether two names stand for one array"),
    "w != 0": (lambda w: w != 0, READ_OUT),
    "w != an array": (lambda w: w != jnp_ones, READ_OUT),
    "w.T == 0": (lambda w: w.T == 0, READ_OUT),
    "w.T != 0": (lambda w: w.T != 0, READ_OUT),
    "+w": (lambda w: +w, READ_OUT),
    "round(w)": (lambda w: round(w, 2), READ_OUT),
    "divmod(w, 2)": (lambda w: divmod(w, 2), READ_OUT),
    "divmod(2, w)": (lambda w: divmod(2, w), READ_OUT),
    "2 // w": (lambda w: 2 // w, READ_OUT),
    "2 % w": (lambda w: 2 % w, READ_OUT),
    "w & 1": (lambda w: w & 1, "w & s is not defined"),
    "1 & w": (lambda w: 1 & w, "s & w is not defined"),
    "w | 1": (lambda w: w | 1, READ_OUT),
    "1 | w": (lambda w: 1 | w, READ_OUT),
    "w ^ 1": (lambda w: w ^ 1, READ_OUT),
    "1 ^ w": (lambda w: 1 ^ w, READ_OUT),
    "w << 1": (lambda w: w << 1, READ_OUT),
    "1 << w": (lambda w: 1 << w, READ_OUT),
    "w >> 1": (lambda w: w >> 1, READ_OUT),
    "1 >> w": (lambda w: 1 >> w, READ_OUT),
    "~w": (lambda w: ~w, READ_OUT),
    "1 in w": (lambda w: 1 in w, READ_OUT),
    "w[0] = 1": (lambda w: operator.setitem(w, 0, 1), "w + dw programs a new one"),
    "2 - w": (lambda w: 2 - w, READ_OUT),
    "2 + w": (lambda w: 2 + w, "write w + dw, which programs it"),
    "len(w)": (lambda w: len(w), "w.shape has its sizes"),
    "a loop over w": (lambda w: list(w), READ_OUT),
    # Two crossbars.
    "w + v": (lambda w: w + crossbar(V), "crossbar[float32[3,5]]): add what one of them reads out"),
    "w - v": (lambda w: w - crossbar(V), "w + xb.readout(v)"),
    "w @ v": (lambda w: w @ crossbar(V.T), "w @ xb.readout(v)"),
    "w @ v.T": (lambda w: w @ crossbar(V).T, "w @ xb.readout(v)"),
    "w.T @ v": (lambda w: w.T @ crossbar(V), "w @ xb.readout(v)"),
    "xb.read(w, v)": (lambda w: xb.read(w, crossbar(V)), "w @ xb.readout(v)"),
    # Functions of JAX.
    "jnp.dot": (lambda w: jnp.dot(w, X), "read it with w @ x"),
    "jnp.matmul": (lambda w: jnp.matmul(Y, w), "w.T @ x (for x @ w)"),
    "jnp.sin": (lambda w: jnp.sin(w), "take its weights with xb.readout(w)"),
    "w.astype": (lambda w: w.astype(jnp.bfloat16), AS_ARRAY),
    "optax.apply_updates": (lambda w: optax.apply_updates([w], [V]), "xb.apply_updates(params, "),
    "weight decay": (
        lambda w: optax.adamw(0.1).update([V], optax.adamw(0.1).init([W]), [w]),
        "xb.plain(opt)",
    ),
    # Several updates of one array.
    "vmap over updates": (
        lambda w: jax.vmap(lambda dw: w + dw)(jnp.ones((4, N_OUT, N_IN))),
        "crossbar[float32[3,5]], cannot take a batch of 4 updates",
    ),
    "vmap over the array's second axis": (
        lambda w: jax.vmap(lambda row: row @ X, in_axes=1)(w),
        "vmap over axis 1 of crossbar[float32[3,5]]",
    ),
    "vmap over one array as if it were a batch": (
        lambda w: jax.vmap(lambda w, x: w @ x)(w, jnp.ones((N_OUT, N_IN))),
        "crossbar[float32[3,5]], which is one array and not a batch: give in_axes=None for w",
    ),
}


def crossbar(weights):
    return xb.MemristiveCrossbarArray(weights)


@pytest.mark.parametrize("how", ["eager", "jit"])
@pytest.mark.parametrize("what", REFUSED)
def test_refuses_and_names_the_way(what, how, as_users_call):
    function, message = REFUSED[what]
    if how == "jit":
        function = jax.jit(function)
        if what in ("x @ w", "an array times w"):  # JAX asks the left operand alone
            message = AS_ARRAY
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        function(crossbar(W))


@pytest.mark.parametrize("convert", [jnp.asarray, np.asarray, np.array, np.float32])
def test_refuses_to_become_a_plain_array(convert):
    for array in (crossbar(W), crossbar(W).T):
        with pytest.raises(TypeError, match=f"{AS_ARRAY}.*{re.escape(READ_OUT)}"):
            convert(array)


@pytest.mark.parametrize("convert", [bool, float, int, complex])
def test_is_no_python_number(convert):
    with pytest.raises(TypeError, match=re.escape(f"{convert.__name__}(w) is not defined")):
        convert(crossbar(W))


@pytest.mark.parametrize("convert", [bool, float, int, complex, operator.index])
def test_is_no_python_number_while_traced(convert):
    # JAX looks at the number of axes before it asks the type, and says so in words of its own.
    with pytest.raises((TypeError, ValueError), match="more than one element|[Oo]nly .*scalar"):
        jax.jit(lambda w: convert(w))(crossbar(W))


def test_two_arrays_are_told_apart_by_identity():
    w, v = crossbar(W), crossbar(W)
    assert {w: "w", v: "v"}[v] == "v"
    assert [w, v].index(w) == 0
    assert len({w, v, w}) == 2


def test_constants_of_a_compiled_function_are_told_apart_by_identity():
    first, second = crossbar(W), crossbar(2 * W)
    both = jax.jit(lambda x: (first @ x, second @ x, first @ x))
    one, two, again = both(X)
    assert_close(two, 2 * one)
    assert_equal(again, one)


# ---- Operands that do not fit ------------------------------------------------------------------

MISFITS = {
    "w @ x, too short": (
        lambda w: w @ jnp.ones(4),
        ValueError,
        "first axis of 5 (in)",
        "float32[4]",
    ),
    "w @ x, transposed": (
        lambda w: w @ jnp.ones((2, 5)),
        ValueError,
        "first axis of 5 (in)",
        "float32[2,5]",
    ),
    "w @ x, three axes": (
        lambda w: w @ jnp.ones((5, 2, 2)),
        ValueError,
        "one or two axes, (in,) or (in, n)",
        "float32[5,2,2]",
    ),
    "w @ x, a number": (lambda w: w @ jnp.float32(1), ValueError, "one or two axes", "float32[]"),
    "w.T @ y": (lambda w: w.T @ jnp.ones(5), ValueError, "first axis of 3 (out)", "float32[5]"),
    "w.T @ y, three axes": (
        lambda w: w.T @ jnp.ones((3, 2, 2)),
        ValueError,
        "one or two axes, (out,) or (out, n)",
        "float32[3,2,2]",
    ),
    "w + dw": (lambda w: w + jnp.ones((5, 3)), ValueError, "dw of the shape of w", "float32[5,3]"),
    "w + a number": (lambda w: w + jnp.float32(1), ValueError, "dw of the shape of w", "float32[]"),
    "w - a row": (lambda w: w - jnp.ones(5), ValueError, "dw of the shape of w", "float32[5]"),
}


@pytest.mark.parametrize("how", ["eager", "jit"])
@pytest.mark.parametrize("what", MISFITS)
def test_prints_both_types_where_shapes_do_not_match(what, how):
    function, error, expected, given = MISFITS[what]
    function = jax.jit(function) if how == "jit" else function
    message = f"{re.escape(expected)}.*given crossbar\\[float32\\[3,5\\]\\] and {re.escape(given)}"
    with pytest.raises(error, match=message):
        function(crossbar(W))


@pytest.mark.parametrize("how", ["eager", "jit"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32", "bool"])
def test_says_what_to_cast(dtype, how):
    run = jax.jit if how == "jit" else lambda function: function
    to_cast = lambda name: rf"{name}: expected .*float32, given {dtype}; cast with {name}.astype\("
    with pytest.raises(TypeError, match=to_cast("x")):
        run(lambda w, x: w @ x)(crossbar(W), jnp.ones(N_IN, dtype))
    with pytest.raises(TypeError, match=to_cast("y")):
        run(lambda w, y: w.T @ y)(crossbar(W), jnp.ones(N_OUT, dtype))
    with pytest.raises(TypeError, match=to_cast("dw")):
        run(lambda w, dw: w + dw)(crossbar(W), jnp.ones((N_OUT, N_IN), dtype))


@pytest.mark.parametrize(
    ("doubles", "cast"),
    [(np.ones, "{}.astype(jnp.float32)"), (lambda n: [1.0] * n, "jnp.asarray({}, jnp.float32)")],
    ids=["NumPy", "list"],
)
def test_doubles_are_not_cast_silently(doubles, cast, as_users_call):
    w = crossbar(W)
    message = lambda name: re.escape(
        f"{name}: expected float32, given float64; cast with {cast.format(name)}"
    )
    with pytest.raises(TypeError, match=message("x")):
        w @ doubles(N_IN)
    with pytest.raises(TypeError, match=message("y")):
        w.T @ doubles(N_OUT)
    with pytest.raises(TypeError, match=message("x")):
        xb.read(w, doubles(N_IN))
    for update in (lambda: w + doubles(N_IN), lambda: w - doubles(N_IN)):
        with pytest.raises(TypeError, match=message("dw")):
            update()


@pytest.mark.parametrize("operand", [None, "abc"])
def test_operands_that_are_no_arrays_are_named(operand, as_users_call):
    w, given = crossbar(W), type(operand).__name__
    for name, use in {
        "x": lambda: w @ operand,
        "y": lambda: w.T @ operand,
        "dw": lambda: w + operand,
    }.items():
        message = f"{name}: expected an array of float32 numbers, given {given}"
        with pytest.raises(TypeError, match=message):
            use()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_a_concrete_update_that_is_not_finite(w, bad):
    dw = V.copy()
    dw[2, 1] = bad
    for update in (lambda: w + dw, lambda: w - dw):
        with pytest.raises(
            ValueError, match=r"dw: expected finite numbers, given 1 .* at \(2, 1\)"
        ):
            update()
