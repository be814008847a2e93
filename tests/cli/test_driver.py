import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import xbarax as xb
from xbarax.cli import main

SKELETON = Path(xb.__file__).parent / "hardware" / "skeleton"
WIDTH = 100


def commands(readme):
    """The first block of commands in a README, as a shell would read it."""
    return readme.read_text().split("```sh\n")[1].split("```")[0]


def xbarax(*words, cwd):
    command = [sys.executable, "-m", "xbarax.cli", "driver", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def test_a_skeleton_in_c_builds_as_its_readme_says_and_passes(tmp_path, capsys):
    assert main(["driver", "new", "my_chip", "--out", str(tmp_path)]) == 0
    folder = tmp_path / "my_chip"
    names = ["my_chip.c", "CMakeLists.txt", "README.md"]
    assert capsys.readouterr().out.splitlines()[:-1] == [str(folder / name) for name in names]
    here = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    built = subprocess.run(
        ["sh", "-ec", commands(folder / "README.md")],
        cwd=folder,
        env={**os.environ, "PATH": here},
        capture_output=True,
        text=True,
    )
    assert (built.returncode, built.stderr) == (0, "")
    done = xbarax("check", "./libmy_chip.so", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["entry", "pass"]
    assert lines[-1].startswith("./libmy_chip.so keeps the contract: ")
    assert max(map(len, lines)) <= WIDTH


def test_a_skeleton_in_c_configures_and_builds_with_cmake(tmp_path, capsys):
    assert main(["driver", "new", "cmake_chip", "--out", str(tmp_path)]) == 0
    here = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for words in (
        f"cmake -S . -B build -DPython3_EXECUTABLE={sys.executable}",
        "cmake --build build",
        "ctest --test-dir build --output-on-failure",
    ):
        done = subprocess.run(
            shlex.split(words),
            cwd=tmp_path / "cmake_chip",
            env={**os.environ, "PATH": here},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_skeleton_in_python_passes_where_it_lies(tmp_path, capsys):
    assert main(["driver", "new", "py_chip", "--language", "python", "--out", str(tmp_path)]) == 0
    folder = tmp_path / "py_chip"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "py_chip.py"]
    words = shlex.split(commands(folder / "README.md"))
    assert words[:2] == ["xbarax", "driver"]
    done = xbarax(*words[2:], cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failed" in done.stdout.splitlines()[-1]


def test_templates_name_nothing_but_the_driver():
    for template in SKELETON.iterdir():
        assert template.suffix == ".template"
        assert "@" not in template.read_text().replace("@NAME@", "").replace(" @ ", "")


def test_a_driver_that_fails_has_exit_code_1_and_what_to_do(tmp_path, capsys, monkeypatch):
    source = (SKELETON / "driver.py.template").read_text().replace("@NAME@", "bad")
    right = "return inputs @ self._find(array).T"
    source = source.replace(right, right.replace("inputs", "-inputs"))
    (tmp_path / "bad_chip.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    assert main(["driver", "check", "bad_chip:Driver"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    words = " ".join(out.split())
    assert "read: one vector FAIL asked read of a" in words
    assert "looks like the negative of what is expected" in words
    assert "contract results[k][o] = sum over i of weight[o][i] inputs[k][i]" in words
    assert "what to do it looks like the negative of what is expected: look there first" in words
    assert words.endswith("begin with `read: one vector`")
    assert max(map(len, out.splitlines())) <= WIDTH


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["chek"], "unknown command xbarax driver chek; did you mean check?"),
        (["check"], "expected a driver, xbarax driver check PATH|module:Class, given none"),
        (["check", "none.so"], "none.so: no such file; expected a chip's shared library"),
        (["check", "no_such_module:Driver"], "No module named 'no_such_module'"),
        (["check", "x.so", "--config", "[1]"], "--config: expected a JSON object, given '[1]'"),
        (["check", "a:B", "--deadline", "-1"], "deadline: expected seconds above 0, given -1.0"),
        (["check", "x.so", "--confg", "{}"], "unknown option --confg; did you mean --config?"),
        (["new"], "expected a name, xbarax driver new NAME, given none"),
        (["new", "9x"], "name: expected letters, digits and _, no digit first, at most 50, given"),
        (["new", "test"], "name: expected one that is not taken by other things, given 'test'"),
        (["new", "there"], "there: expected a folder that is new"),
        (["new", "x", "--out", "nowhere"], "nowhere: expected a folder that exists"),
    ],
)
def test_errors_of_the_users_are_one_line(words, message, tmp_path, capsys, monkeypatch):
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["driver", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith(f"xbarax: error: {message}")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_help_names_both_commands(words, capsys):
    assert main(["driver", *words]) == 0
    out = capsys.readouterr().out
    assert "check  test a driver" in out and "new    write a driver" in out
