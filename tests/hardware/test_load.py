"""Loading a chip's shared library, and what is said when it cannot be."""

import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import xbarax as xb

FUNCTIONS = {
    "user_implementation_mul": "(const float* g, const float* x, float* y, unsigned o, unsigned i)",
    "user_implementation_add": "(const float* g, const float* d, float* r, unsigned n)",
    "user_implementation_write": "(float* g, unsigned o, unsigned i)",
}


def test_reference_library_computes_exactly():
    chip = xb.hardware.load(xb.hardware.reference_library())
    weights = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    w = xb.MemristiveCrossbarArray(weights, chip)
    x = np.arange(6, dtype=np.float32)
    np.testing.assert_allclose(w @ x, weights @ x, rtol=1e-5)
    np.testing.assert_allclose(w.T @ x[:4], weights.T @ x[:4], rtol=1e-5)
    np.testing.assert_allclose(xb.readout(w + 2 * weights), 3 * weights, rtol=1e-6)


def test_chips_of_one_library_are_equal(tmp_path, monkeypatch):
    path = xb.hardware.reference_library()
    monkeypatch.chdir(path.parent)
    assert xb.hardware.load(path) == xb.hardware.load(path.name) == xb.hardware.load(str(path))
    assert hash(xb.hardware.load(path)) == hash(xb.hardware.load(path.name))
    assert str(path) in repr(xb.hardware.load(path))


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"libnone\.so: no such file"):
        xb.hardware.load(tmp_path / "libnone.so")


def test_a_directory(tmp_path):
    path = tmp_path / "dir.so"
    path.mkdir()
    with pytest.raises(IsADirectoryError, match=r"dir\.so is a directory; expected a chip's"):
        xb.hardware.load(path)


def test_a_dangling_link_is_named_with_its_target(tmp_path):
    path = tmp_path / "liblink.so"
    path.symlink_to("libgone.so")
    message = rf"liblink\.so: no such file; .* \({path} is a link to .*libgone\.so\)"
    with pytest.raises(FileNotFoundError, match=message):
        xb.hardware.load(path)


def test_links_in_a_circle_are_no_file(tmp_path):
    for name, target in (("a.so", "b.so"), ("b.so", "a.so")):
        (tmp_path / name).symlink_to(target)
    with pytest.raises(FileNotFoundError, match=r"a\.so: no such file"):
        xb.hardware.load(tmp_path / "a.so")


@pytest.mark.parametrize("missing", FUNCTIONS)
def test_missing_symbol(make_library, missing):
    text = "".join(
        f"void {name}{args} {{}}\n" for name, args in FUNCTIONS.items() if name != missing
    )
    path = make_library(text)
    with pytest.raises(AttributeError, match=f"{path} does not export {missing};"):
        xb.hardware.load(path)


def test_all_missing_symbols_are_named(make_library):
    path = make_library("int nothing;\n")
    with pytest.raises(AttributeError) as error:
        xb.hardware.load(path)
    assert all(name in str(error.value) for name in ("xbarax_driver_entry", *FUNCTIONS))


def test_unresolved_symbol_is_named(make_library):
    text = "void elsewhere(void);\n" + "".join(
        f"void {name}{args} {{ elsewhere(); }}\n" for name, args in FUNCTIONS.items()
    )
    path = make_library(text)
    with pytest.raises(OSError, match=r"(?s)libchip\.so.*elsewhere"):
        xb.hardware.load(path)


def test_wrong_architecture(tmp_path):
    other = 183 if struct.unpack("<H", _header()[18:20]) != (183,) else 62
    name = {183: "aarch64", 62: "x86_64"}[other]
    path = tmp_path / "libother.so"
    path.write_bytes(_header()[:18] + struct.pack("<H", other) + bytes(44))
    with pytest.raises(OSError, match=rf"libother\.so is built for {name}, this machine is"):
        xb.hardware.load(path)


def test_another_byte_order(tmp_path):
    path = tmp_path / "libbig.so"
    header = bytearray(_header()[:16] + struct.pack(">HH", 3, 21) + bytes(44))  # 64-bit PowerPC
    header[5] = 2
    path.write_bytes(header)
    message = r"libbig\.so is built for big-endian ELF machine 21, this machine is little-endian"
    with pytest.raises(OSError, match=message):
        xb.hardware.load(path)


def test_an_object_file(make_library):
    path = make_library("int nothing;\n", "-c")
    message = f"{path} is an object file, not a shared library: link it with -shared"
    with pytest.raises(OSError, match=message):
        xb.hardware.load(path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (2, "a program, not a shared library: link it with -shared"),
        (4, "a memory dump, not a shared library"),
        (99, "of ELF type 99, not a shared library"),
    ],
)
def test_other_kinds_of_files(tmp_path, kind, message):
    with pytest.raises(OSError, match=rf"libchanged\.so is {message}"):
        xb.hardware.load(_changed(tmp_path, 16, kind))


@pytest.mark.parametrize("size", [0, 8, 55, 57])
def test_program_headers_of_another_size(tmp_path, size):
    message = rf"libchanged\.so is damaged: its program headers have {size} bytes each, expected 56"
    with pytest.raises(OSError, match=message):
        xb.hardware.load(_changed(tmp_path, 54, size))


def test_not_a_library(tmp_path):
    path = tmp_path / "libtext.so"
    path.write_text("hello")
    with pytest.raises(OSError, match=r"libtext\.so is not a shared library"):
        xb.hardware.load(path)


@pytest.mark.parametrize("share", [0.04, 0.5, 0.9])
def test_truncated_library(tmp_path, share):
    whole = xb.hardware.reference_library().read_bytes()
    path = tmp_path / "libcut.so"
    path.write_bytes(whole[: int(share * _loaded_size(whole))])
    with pytest.raises(OSError, match=r"libcut\.so is cut short"):
        xb.hardware.load(path)


def test_report_counts_bad_weights_and_updates_as_the_ideal_chip_does():
    def counts(chip):
        program = jax.jit(lambda W: xb.MemristiveCrossbarArray(W, chip))
        update = jax.jit(lambda w, dw: w + dw)
        bad = jnp.array([[np.nan, 0.0], [np.inf, 1.0]], jnp.float32)
        arrays = [program(bad)]
        for delta in (jnp.ones((2, 2)), bad, jnp.zeros((2, 2))):
            arrays.append(update(arrays[-1], delta))
        return [int(xb.report(w)["not_finite"]) for w in arrays]

    reference = xb.hardware.load(xb.hardware.reference_library())
    assert counts(reference) == counts(xb.Chip()) == [2, 2, 4, 4]


def test_report_counts_what_an_update_makes_bad_once(make_library):
    path = make_library(
        "".join(f"void {n}{a} {{}}\n" for n, a in list(FUNCTIONS.items())[::2])
        + "void user_implementation_add(const float* g, const float* d, float* r, unsigned n)"
        "{ for (unsigned k = 0; k < n; ++k) r[k] = g[k]; r[0] = 1.0f / 0.0f; }\n"
    )
    w = xb.MemristiveCrossbarArray(jnp.ones((2, 2)), xb.hardware.load(path))
    for _ in range(3):
        w += jnp.ones((2, 2))
        assert xb.report(w)["not_finite"] == 1


def test_report_counts_what_is_not_finite(make_library):
    path = make_library(
        "".join(f"void {n}{a} {{}}\n" for n, a in list(FUNCTIONS.items())[:2])
        + "void user_implementation_write(float* g, unsigned o, unsigned i)"
        "{ g[0] = 1.0f / 0.0f; g[1] = g[0] - g[0]; }\n"
    )
    w = xb.MemristiveCrossbarArray(jnp.ones((2, 2)), xb.hardware.load(path))
    assert xb.report(w)["not_finite"] == 2


def _loaded_size(content: bytes) -> int:
    """Where the last loadable segment ends, from a linker's own arithmetic: data comes last."""
    table, entries = struct.unpack_from("<Q", content, 32)[0], content[56]
    headers = [struct.unpack_from("<IIQQQQ", content, table + 56 * n) for n in range(entries)]
    return max(offset + size for kind, _, offset, _, _, size in headers if kind == 1)


def _changed(folder, offset: int, number: int):
    """The reference library with a 16-bit number of its header changed."""
    content = bytearray(xb.hardware.reference_library().read_bytes())
    struct.pack_into("<H", content, offset, number)
    path = folder / "libchanged.so"
    path.write_bytes(content)
    return path


def _header() -> bytes:
    return xb.hardware.reference_library().read_bytes()[:20]
