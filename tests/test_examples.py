"""Every example runs, at a small size, as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))

SMALL = {
    "many_chips": ["--epochs", "1", "--samples", "30", "--chips", "3", "--chip", "rram_wan"],
    "program_and_age": ["--epochs", "1", "--samples", "30", "--chips", "2"],
    "tiles_and_wires": ["--size", "12", "--smallest", "6"],
    "train_in_place": ["--epochs", "1", "--samples", "30", "--chip", "capacitor"],
    "train_on_drivers": ["--epochs", "1", "--samples", "30"],
    "train_through_wires": "--epochs 1 --samples 10 --tiles 64 --ohms 20".split(),
}

PRINTS = {
    "many_chips": ["digital:", "no faults: mean", "9.04 % stuck low, 1.75 % stuck high: mean"],
    "program_and_age": ["digital:", "as it drifts:", "drift compensation:"],
    "tiles_and_wires": [f"{r} ohm, tiles of {n}: error" for r in (1, 5, 20) for n in (6, 12)],
    "train_in_place": ["ideal:", "  counted:", "capacitor:", "  counted:"],
    "train_on_drivers": ["in simulation:", "reference driver:", "noisy chip, isolated:"],
    "train_through_wires": ["digital:", "20 ohm, tiles of 64: as it is"],
}
"""How each line begins."""

# So small, they compile much longer than they run.
_QUICKLY = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_its_result_and_draws_its_picture(path, tmp_path):
    out = tmp_path / "new" / "folder"
    flags = f"{os.environ.get('XLA_FLAGS', '')} {_QUICKLY}".strip()
    done = subprocess.run(
        [sys.executable, "-W", "error", path, out, *SMALL[path.stem]],
        env={**os.environ, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(PRINTS[path.stem]), done.stdout
    for line, beginning in zip(lines, PRINTS[path.stem], strict=True):
        assert line.startswith(beginning)
    assert [file.name for file in out.iterdir()] == [f"{path.stem}.png"]
    assert (out / f"{path.stem}.png").stat().st_size > 10_000


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short(path):
    assert len(path.read_text().splitlines()) <= 80
