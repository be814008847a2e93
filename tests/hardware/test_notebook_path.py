"""The 2023 notebook's import path: three modules, one library for the whole program."""

import importlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import xbarax as xb

PACKAGE = "xbarax.xla_crossbar_interface_singleBuf"


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """The three modules, fresh, and a folder from which the notebook's relative path resolves."""
    names = ("custom_xla_matmul", "custom_xla_add", "custom_xla_array")
    fresh = [importlib.reload(importlib.import_module(f"{PACKAGE}.{name}")) for name in names]
    folder = tmp_path / "xbarax" / "xla_crossbar_interface_singleBuf"
    folder.mkdir(parents=True)
    shutil.copy(xb.hardware.reference_library(), folder / "libfuncs.so")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    return fresh


LIBRARY = "../xbarax/xla_crossbar_interface_singleBuf/libfuncs.so"


def set_up(modules, library=LIBRARY):
    matmul, add, array = modules
    array.set_memristive_crossbar_array_device_put_handler(library)
    array.AbstractMemristiveCrossbarArray.set_matmul_fn(matmul.get_mcbmm_fn(library))
    array.AbstractMemristiveCrossbarArray.set_add_fn(add.get_mcbadd_fn(library))
    return array.MemristiveCrossbarArray


def test_an_array_trains_like_a_plain_one(modules):
    MemristiveCrossbarArray = set_up(modules)
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(2, 3)).astype(np.float32)
    xs, ys = jnp.asarray(rng.normal(size=(8, 3)), jnp.float32), jnp.ones((8, 2))
    opt = optax.sgd(0.05, momentum=0.9)
    loss = lambda w: jax.vmap(lambda x, y: jnp.sum((w @ x - y) ** 2))(xs, ys).sum()

    @jax.jit
    def update(w, state):
        value, grad = jax.value_and_grad(loss)(w)
        step, state = opt.update(grad, state)
        return jax.tree.map(lambda a, b: a + b, w, step), state, value

    def train(w):
        state, losses = jax.jit(opt.init)(w), []
        for _ in range(10):
            w, state, value = update(w, state)
            losses.append(float(value))
        return w, losses

    on_chip, chip_losses = train(MemristiveCrossbarArray(weights))
    plain, plain_losses = train(jnp.asarray(weights))
    assert isinstance(on_chip, MemristiveCrossbarArray)
    assert isinstance(on_chip, xb.MemristiveCrossbarArray)
    assert not isinstance(plain, MemristiveCrossbarArray)
    np.testing.assert_allclose(chip_losses, plain_losses, rtol=1e-5)
    np.testing.assert_allclose(xb.readout(on_chip), plain, rtol=1e-5)


def test_the_functions_read_and_program(modules):
    MemristiveCrossbarArray = set_up(modules)
    matmul, add, _ = modules
    w = MemristiveCrossbarArray(np.ones((2, 3), np.float32))
    np.testing.assert_array_equal(matmul.get_mcbmm_fn(LIBRARY)(w, jnp.arange(3.0)), [3.0, 3.0])
    added = add.get_mcbadd_fn(LIBRARY)(w, jnp.ones((2, 3)))
    np.testing.assert_array_equal(xb.readout(added), np.full((2, 3), 2.0))


def test_nothing_set_is_an_error(modules):
    with pytest.raises(RuntimeError, match="set_memristive_crossbar_array_device_put_handler"):
        modules[2].MemristiveCrossbarArray(np.ones((2, 3), np.float32))


def test_a_missing_library_is_an_error_not_a_substitute(modules):
    for call in (
        modules[0].get_mcbmm_fn,
        modules[1].get_mcbadd_fn,
        modules[2].set_memristive_crossbar_array_device_put_handler,
    ):
        with pytest.raises(FileNotFoundError, match=r"libnone\.so"):
            call("libnone.so")


def test_different_libraries_are_an_error(modules, tmp_path):
    MemristiveCrossbarArray = set_up(modules)
    other = shutil.copy(xb.hardware.reference_library(), tmp_path / "libother.so")
    modules[2].AbstractMemristiveCrossbarArray.set_add_fn(modules[1].get_mcbadd_fn(other))
    with pytest.raises(RuntimeError, match=r"different libraries: .*libfuncs\.so.*libother\.so"):
        MemristiveCrossbarArray(np.ones((2, 3), np.float32))


@pytest.mark.parametrize("setter", ["set_matmul_fn", "set_add_fn"])
def test_a_foreign_function_is_an_error(modules, setter):
    with pytest.raises(TypeError, match=r"expected a function from get_mcb"):
        getattr(modules[2].AbstractMemristiveCrossbarArray, setter)(np.dot)


def test_no_top_level_randman_is_installed():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("randman")
