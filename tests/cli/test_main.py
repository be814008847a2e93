import pytest

from xbarax.cli import main
from xbarax.cli.errors import UserError, did_you_mean


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_names_the_commands_and_a_first_step(words, capsys):
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.startswith("usage: xbarax COMMAND")
    assert "\n  train  " in out and "xbarax train --crossbar last" in out
    assert err == ""


def test_version(capsys, monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"1.2.3 of {name}")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "xbarax 1.2.3 of xbarax\n"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("trian", "unknown command trian; did you mean train?"),
        ("sing", "unknown command sing; expected one of train, chips, fit, driver"),
        ("--verson", "unknown option --verson; did you mean --version?"),
        ("--zz", "unknown option --zz; expected one of --help, --version"),
    ],
)
def test_unknown_words_are_refused_with_a_hint(word, message, capsys):
    assert main([word]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"xbarax: error: {message}\n")


def test_errors_of_the_users_are_a_line(monkeypatch, capsys):
    def fail(options):
        raise UserError(f"no {' '.join(options)}")

    monkeypatch.setattr("xbarax.cli.train.run", fail)
    assert main(["train", "a", "b"]) == 2
    assert capsys.readouterr().err == "xbarax: error: no a b\n"


def test_other_errors_are_not_hidden(monkeypatch):
    def fail(options):
        raise ValueError("a defect")

    monkeypatch.setattr("xbarax.cli.train.run", fail)
    with pytest.raises(ValueError, match="a defect"):
        main(["train"])


def test_an_interrupt_is_no_traceback(monkeypatch, capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr("xbarax.cli.train.run", interrupted)
    assert main(["train"]) == 130
    assert capsys.readouterr().err.endswith("xbarax: interrupted\n")


def test_hints_are_near_or_absent():
    assert did_you_mean("--epoch", ["--epochs", "--seed"]) == "; did you mean --epochs?"
    assert did_you_mean("--zz", ["--epochs", "--seed"]) == ""
