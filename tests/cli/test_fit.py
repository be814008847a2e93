import numpy as np
import pytest

from xbarax.cli import main


@pytest.fixture
def curve(tmp_path):
    """A constant step of 0.2 µS, between 5 µS and 25 µS."""
    up = np.minimum(5e-6 + 0.2e-6 * np.arange(121), 25e-6)
    down = np.maximum(25e-6 - 0.4e-6 * np.arange(61), 5e-6)
    cells = [f"{g!r}" for g in down.tolist()] + [""] * 60
    path = tmp_path / "curve.csv"
    lines = (f"{g!r},{cell}" for g, cell in zip(up.tolist(), cells, strict=True))
    path.write_text("\n".join(["up,down", *lines]))
    return path


def test_the_report_is_printed_and_the_fit_drawn(curve, tmp_path, capsys):
    picture = tmp_path / "fit.png"
    words = ["fit", str(curve), "--model", "constant_step", "--out", str(picture)]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("ConstantStep, fitted to 121 conductances up and 61 down\n")
    # 0.2 µS and 0.4 µS of states that are 10 µS apart.
    assert "range        5 µS to 25 µS\n" in out
    assert "step_up      0.02 (200 nS) where its factor is 1\n" in out
    assert "step_down    0.04 (400 nS) where its factor is 1\n" in out
    assert "xb.device.ConstantStep(\n" in out
    assert out.endswith(f"figure written to {picture}\n")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_soft_bounds_are_the_default_and_a_picture_is_no_must(curve, tmp_path, capsys):
    assert main(["fit", str(curve)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("SoftBounds, fitted to ") and "figure written" not in out
    assert [path.name for path in tmp_path.iterdir()] == ["curve.csv"]


def test_errors_of_the_users_are_a_line(curve, tmp_path, capsys):
    few, unnamed, wrong = tmp_path / "few.csv", tmp_path / "unnamed.csv", tmp_path / "wrong.csv"
    few.write_text("up,down\n1e-6,3e-6\n2e-6,2e-6\n")
    unnamed.write_text("potentiation,depression\n1,2\n")
    wrong.write_text("up,down\n1e-6,-\n")
    cases = [
        ([], "expected a file, xbarax fit CURVE.csv, given none"),
        ([tmp_path / "none.csv"], f"{tmp_path}/none.csv: No such file or directory"),
        ([tmp_path], f"{tmp_path}: Is a directory"),
        ([few], f"{few}: up: expected at least 8 conductances, given 2"),
        (
            [unnamed],
            f"{unnamed}: expected one column named up and one named down in the first line, given "
            "'potentiation', 'depression'",
        ),
        ([wrong], f"{wrong}, line 2, column down: expected a number, given '-'"),
        ([curve, "--out", "a.xyz"], "--out: expected a file name like figure.png, given 'a.xyz'"),
        ([curve, "--modle", "x"], "unknown option --modle; did you mean --model?"),
    ]
    for words, message in cases:
        assert main(["fit", *map(str, words)]) == 2
        assert capsys.readouterr() == ("", f"xbarax: error: {message}\n")


def test_an_unknown_model_is_a_line_that_names_the_known(curve, capsys):
    assert main(["fit", str(curve), "--model", "cubic"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "invalid choice 'cubic' for argument '--model'" in err and "'power_step'" in err
