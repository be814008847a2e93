"""What the documentation says is what happens, and nothing public is missing from it."""

import ast
import dataclasses
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import types
from pathlib import Path

import pytest

from xbarax import cli
from xbarax.chip import device

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOTEBOOKS = sorted((ROOT / "docs").glob("*.ipynb"))

NAMESPACES = {
    "xb": "xbarax",
    "xb.array": "xbarax.array",
    "xb.converter": "xbarax.chip.converter",
    "xb.device": "xbarax.chip.device",
    "xb.device.characterise": "xbarax.chip.device.characterise",
    "xb.hardware": "xbarax.hardware",
    "xb.mapping": "xbarax.chip.mapping",
    "xb.wires": "xbarax.wires",
    "datasets": "xbarax.datasets",
    "plot": "xbarax.plot",
    "snn": "xbarax.snn",
    "train": "xbarax.train",
}
"""What the pages call a namespace, and the module that it is."""


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of a page; `line` is the number of the line before its first one."""

    language: str
    text: str
    line: int


def _blocks(page: Path) -> list[Block]:
    text = page.read_text()
    fences = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(m[1], m[2], text.count("\n", 0, m.start(2))) for m in fences]


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


# ---- The code on the pages runs ----------------------------------------------------------------


def _run_python(block: Block, page: Path, namespace: dict) -> None:
    # Empty lines in front, so that a traceback shows the page's line.
    exec(compile("\n" * block.line + block.text, str(page), "exec"), namespace)


def _write_c(block: Block, _page: Path, _namespace: dict) -> None:
    """Writes the source under the name in its first line."""
    (name,) = re.findall(r"\A// (\w+\.c)\n", block.text)
    Path(name).write_text(block.text)


# A compiler as the build takes it, and this environment's commands, whatever the path says.
_SHELL = """\
cc() {{ {compiler} -x c "$@"; }}
python() {{ {python} "$@"; }}
xbarax() {{ {python} -m xbarax.cli "$@"; }}
{line}"""


def _run_commands(block: Block, _page: Path, _namespace: dict) -> None:
    """Runs the lines that compile C, and those that check what was compiled."""
    compiler, python = os.environ.get("CXX", "c++"), shlex.quote(sys.executable)
    for line in block.text.splitlines():
        if line.startswith(("cc ", "xbarax driver check ./")):
            script = _SHELL.format(compiler=compiler, python=python, line=line)
            subprocess.run(["sh", "-c", script], check=True, stdout=subprocess.DEVNULL)


RUNNERS = {"python": _run_python, "c": _write_c, "sh": _run_commands}


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(block.language == "python" for block in _blocks(page))],
    ids=_relative,
)
def test_the_code_of_a_page_runs_and_prints_what_it_says(
    page, tmp_path, monkeypatch, capsys, as_users_call, little_optimisation
):
    monkeypatch.chdir(tmp_path)
    # A module, so that classes which the page defines have one.
    module = types.ModuleType("documented")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    printed = ""
    for block in _blocks(page):
        if block.language == "text":
            assert printed == block.text, f"{_relative(page)}:{block.line}"
        if runner := RUNNERS.get(block.language):
            runner(block, page, vars(module))
            printed = capsys.readouterr().out


# ---- Nothing public is missing -----------------------------------------------------------------


def _public(module: types.ModuleType) -> dict[str, object]:
    """What a package exports, `from … import X as X`, or else what a module defines."""
    assert module.__file__ is not None
    names = []
    for node in ast.parse(Path(module.__file__).read_text()).body:
        if isinstance(node, ast.ImportFrom):
            names += [alias.name for alias in node.names if alias.name == alias.asname]
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            names.append(node.name)
    return {name: getattr(module, name) for name in names}


def _names() -> dict[str, tuple[object, set[str]]]:
    """Every public object by the shortest of its names, with all that it has in the namespaces."""
    found: dict[int, tuple[object, set[str]]] = {}
    for prefix, module in NAMESPACES.items():
        for name, thing in _public(importlib.import_module(module)).items():
            found.setdefault(id(thing), (thing, set()))[1].add(f"{prefix}.{name}")
    return {
        min(names, key=lambda n: (len(n), n)): (thing, names) for thing, names in found.values()
    }


def test_the_namespaces_have_names():
    names = set.union(*(names for _, names in _names().values()))
    assert {"xb.read", "xb.device.Ideal", "snn.LIF", "datasets.BatchLoader"} <= names
    assert "xb.device.characterise.drift" in names


@pytest.mark.parametrize("name", _names())
def test_a_public_object_is_explained(name):
    thing, names = _names()[name]
    own = thing.__doc__ or ""
    # Dataclasses and named tuples without a docstring get their signature as one.
    assert own.strip() and not own.startswith(f"{name.split('.')[-1]}("), f"{name}: no docstring"
    text = "\n".join(page.read_text() for page in PAGES)
    mentioned = [n for n in names if re.search(rf"(?<![\w.]){re.escape(n)}(?!\w)", text)]
    assert mentioned, f"{' / '.join(sorted(names))}: on no page of docs/ nor in the README"


def test_the_options_on_the_pages_are_those_of_the_command(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "--help"])
    assert stop.value.code == 0
    option = re.compile(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*")
    offered = set(option.findall(capsys.readouterr().out))
    assert {"--network", "--resume"} <= offered
    assert set(option.findall((ROOT / "docs" / "training.md").read_text())) == offered
    assert set(option.findall((ROOT / "README.md").read_text())) <= offered


def test_the_presets_on_the_page_are_those_of_the_command(capsys):
    assert cli.main(["chips"]) == 0
    listed = dict(re.findall(r"^(\w+)  +(\S+ – \S+ \S+)  ", capsys.readouterr().out, re.MULTILINE))
    assert {"pcm", "reram_soft_bounds"} <= listed.keys() == set(device.presets.PRESETS)
    page = (ROOT / "docs" / "devices.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (statistics|pulses) \|", page, re.MULTILINE)
    assert {name: range_ for name, range_, _ in rows} == listed
    for name, _, known_by in rows:
        pulsed = isinstance(device.presets.PRESETS[name].make(), device.AbstractPulsed)
        assert known_by == ("pulses" if pulsed else "statistics"), name


# ---- Links lead somewhere ----------------------------------------------------------------------


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    outside = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", outside, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=_relative)
def test_links_lead_somewhere(page):
    for target, _, anchor in (
        link.partition("#") for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    ):
        if target.startswith("https:"):
            continue
        file = (page.parent / target) if target else page
        assert file.exists(), f"{_relative(page)}: {target}"
        assert not anchor or anchor in _anchors(file), f"{_relative(page)}: {target}#{anchor}"


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {path.name for path in (*PAGES[1:], *NOTEBOOKS)} - {"README.md"}
    assert pages == set(re.findall(r"\| \[[^]]+\]\(([^)]+)\)", index))


# ---- Notebooks: `make notebooks` runs them, this looks at what is stored -------------------------


@pytest.mark.parametrize("path", NOTEBOOKS, ids=_relative)
def test_a_notebook_is_stored_clean(path):
    notebook = json.loads(path.read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code and not any(cell["outputs"] or cell["execution_count"] for cell in code)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=_relative)
def test_a_notebook_imports_what_is_installed(path):
    cells = json.loads(path.read_text())["cells"]
    lines = (line for c in cells if c["cell_type"] == "code" for line in [*c["source"], "\n"])
    source = "".join(line for line in lines if not line.startswith("%"))
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert "xbarax" in imported
    assert imported <= {"xbarax", "jax", "matplotlib", "numpy", "optax"}
