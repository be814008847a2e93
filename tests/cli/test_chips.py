import re
import subprocess
import sys

import pytest

import xbarax as xb
from xbarax.cli import main

PRESETS = xb.device.presets.PRESETS
BEGINNING = b"\x89PNG"


def words_of(text):
    """Text without the breaks of its lines."""
    return " ".join(text.split())


def test_the_table_has_every_device_with_range_and_source(capsys):
    assert main(["chips"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= 100
    entries = re.split(r"\n(?=\w)", out)
    assert [entry.split()[0] for entry in entries[1:-1]] == list(PRESETS)
    for name, preset in PRESETS.items():
        entry = words_of(next(e for e in entries if e.startswith(f"{name} ")))
        assert preset.description in entry and preset.source in entry
        low, high = re.search(r" ([\d.]+) – ([\d.]+) µS", entry).groups()
        given = float(low) * 1e-6, float(high) * 1e-6
        assert given == pytest.approx(preset.make().conductance_range, rel=5e-3)
    assert entries[-1].endswith("xbarax chips NAME shows one in full.\n")


def test_a_device_is_shown_in_full(capsys):
    assert main(["chips", "reram_soft_bounds"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("reram_soft_bounds: resistive memory, soft bounds")
    assert PRESETS["reram_soft_bounds"].source in out
    assert "range   5 – 25 µS\n" in out
    assert "xb.device.SoftBounds, known by what a pulse does" in out
    assert "xb.Chip(device=xb.device.presets.reram_soft_bounds())" in out
    assert re.search(r"  \* cycle_noise +3\.75\n", out)
    assert re.search(r"    step_spread +0\.3\n", out)
    assert main(["chips", "pcm"]) == 0
    assert "xb.device.PCM, known by where programming leaves it" in capsys.readouterr().out


@pytest.mark.parametrize("name", PRESETS)
def test_every_device_can_be_shown(name, capsys):
    assert main(["chips", name]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    assert words_of(PRESETS[name].source) in words_of(out)


@pytest.mark.parametrize(
    ("name", "panels", "note"),
    [
        ("pcm", ["programming error", "drift"], ""),
        ("rram_milo", ["programming error"], ""),  # nothing is published about its ageing
        ("capacitor", ["response", "programming error"], "^5 – 25 µS stand for .* go beyond.$"),
        (
            "reram_array_hfo2",
            ["response", "programming error"],
            "Below 0: relative to the reference",
        ),
    ],
)
def test_a_device_is_drawn_as_its_family_allows(name, panels, note, tmp_path, capsys, monkeypatch):
    drawn = []
    draw = xb_plot().device_sheet
    monkeypatch.setattr(
        "xbarax.plot.device_sheet", lambda *a, **k: drawn.append(draw(*a, **k)) or drawn[-1]
    )
    path = tmp_path / "device.png"
    assert main(["chips", name, "--plot", str(path)]) == 0
    assert capsys.readouterr().out.endswith(f"figure written to {path}\n")
    assert path.read_bytes().startswith(BEGINNING)
    (figure,) = drawn
    assert [axes.get_title(loc="left").split(":")[0] for axes in figure.axes] == panels
    assert figure.get_suptitle().startswith(f"{name}: ")
    assert bool(note) == bool(figure.get_supxlabel()) and re.search(note, figure.get_supxlabel())


def xb_plot():
    from xbarax import plot

    return plot


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pmc"], "unknown device pmc; did you mean pcm?"),
        (["flash"], "unknown device flash; xbarax chips lists them"),
        (["--plot", "a.png"], "--plot: expected a device, xbarax chips NAME --plot …, given none"),
        (["pcm", "--plot", "a.xyz"], "--plot: expected a file name like figure.png, given 'a.xyz'"),
        (["pcm", "--plot", "a"], "--plot: expected a file name like figure.png, given 'a'"),
        (["pcm", "--plto", "a.png"], "unknown option --plto; did you mean --plot?"),
        (["pcm", "sonos"], "unexpected word 'sonos'; xbarax chips --help lists the options"),
    ],
)
def test_errors_of_the_users_are_a_line(words, message, capsys):
    assert main(["chips", *words]) == 2
    assert capsys.readouterr() == ("", f"xbarax: error: {message}\n")


def test_a_folder_that_is_missing_is_a_line(tmp_path, capsys):
    path = tmp_path / "none" / "device.png"
    assert main(["chips", "pcm", "--plot", str(path)]) == 2
    message = f"--plot: expected a folder that exists, given {str(path.parent)!r}"
    assert capsys.readouterr() == ("", f"xbarax: error: {message}\n")


def test_a_file_that_cannot_be_written_is_a_line(tmp_path, capsys):
    path = tmp_path / "device.png"
    path.mkdir()
    assert main(["chips", "rram_milo", "--plot", str(path)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("xbarax: error: --plot: ") and str(path) in err
    assert err.count("\n") == 1


def test_help_says_what_it_lists(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["chips", "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "usage: xbarax chips" in out and "--plot FILE.png" in out


def test_a_reader_that_has_seen_enough_is_no_traceback():
    program = "import sys; from xbarax.cli import main; sys.exit(main(['chips']))"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (141, b"")


def test_the_table_needs_no_pictures():
    program = """
import sys
from xbarax.cli import main
assert main(["chips"]) == 0
assert "matplotlib" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
