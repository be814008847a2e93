"""The house's rules about who imports whom, read from the sources."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import xbarax as xb

PACKAGE = Path(xb.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

# cli → train → snn → array → chip → _kernels; hardware → array, chip; plot and datasets are leaves.
# What a folder may import besides itself:
ALLOWED = {
    "_kernels": set(),
    "chip": {"_kernels"},
    "array": {"chip", "_kernels"},
    "hardware": {"array", "chip", "_kernels"},
    "snn": {"array", "chip", "_kernels"},
    "datasets": set(),
    "plot": set(),
    "train": {"snn", "array", "chip", "_kernels", "hardware", "datasets", "plot"},
    "cli": {"train", "snn", "array", "chip", "_kernels", "hardware", "datasets", "plot"},
    "xla_crossbar_interface_singleBuf": {"hardware", "array", "chip", "_kernels"},
}


def modules_imported_by(source: Path) -> set[str]:
    """The full names of all modules, or things in modules, that a file imports anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: a relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def folder_of(source: Path) -> str | None:
    """The folder of the package that a file belongs to, None for the package's own `__init__`."""
    parts = source.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


def folders_imported_by(source: Path) -> set[str]:
    """The folders of the package that a file imports."""
    own = [name.split(".") for name in modules_imported_by(source)]
    assert ["xbarax"] not in own, f"{source}: imports the whole package"
    return {parts[1] for parts in own if parts[0] == "xbarax"}


def test_every_folder_has_its_rule():
    assert {folder_of(source) for source in SOURCES} - {None} == set(ALLOWED)


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_run_one_way(folder):
    sources = [source for source in SOURCES if folder_of(source) == folder]
    forbidden = {
        str(source.relative_to(PACKAGE)): found
        for source in sources
        if (found := folders_imported_by(source) - ALLOWED[folder] - {folder})
    }
    assert not forbidden


def files_that_mention(words: str) -> set[str]:
    mention = [source for source in SOURCES if words in source.read_text()]
    return {source.relative_to(PACKAGE).as_posix() for source in mention}


def files_that_import(module: str) -> set[str]:
    inside = lambda name: name == module or name.startswith(f"{module}.")
    found = [s for s in SOURCES if any(map(inside, modules_imported_by(s)))]
    return {source.relative_to(PACKAGE).as_posix() for source in found}


def test_one_file_knows_hijax():
    assert files_that_import("jax.experimental.hijax") == {"array/_hijax.py"}
    assert files_that_import("jax.experimental") == {"array/_hijax.py"}


def test_nothing_uses_jaxs_internals():
    assert files_that_mention("jax._src") == set()


def test_one_folder_calls_native_code():
    callers = files_that_mention("ffi_call") | files_that_mention("register_ffi_target")
    assert {name.split("/")[0] for name in callers} == {"_kernels"}


def test_importing_the_package_is_silent_and_loads_no_plots():
    program = "import sys, xbarax; print('matplotlib' in sys.modules, 'tyro' in sys.modules)"
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False False\n", "")


def test_wires_have_all_names_of_the_chips_wires():
    """`xbarax.wires` adds what needs arrays."""
    public = lambda module: {
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(thing)
    }
    assert public(xb.chip.wires) < public(xb.wires)
