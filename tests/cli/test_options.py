import dataclasses
import io
import sys
from typing import Annotated, Literal

import pytest
import tyro

from xbarax.cli.errors import UserError
from xbarax.cli.options import option_names, parse_options, parse_some


@dataclasses.dataclass(frozen=True)
class Inner:
    how_many: int = 3
    """how many there are"""

    kind: Literal["dense", "sparse"] = "dense"

    def __post_init__(self):
        if self.how_many < 0:
            raise ValueError(f"how_many: expected at least 0, given {self.how_many}")


@dataclasses.dataclass(frozen=True)
class Options:
    inner: Annotated[Inner, tyro.conf.OmitArgPrefixes] = Inner()
    sizes: tuple[int, ...] = (1, 2)
    share: float = 0.5


def parse(*words, default=Options()):  # noqa: B008, an immutable default
    return parse_options("xbarax test", words, default, "Tests.")


def test_what_is_not_given_keeps_its_default():
    assert parse() == Options()
    assert parse("--how-many", "5") == Options(Inner(5))
    stored = Options(Inner(9, "sparse"), (4,))
    assert parse("--sizes", "7", "8", default=stored) == Options(Inner(9, "sparse"), (7, 8))


def test_names_are_those_that_are_typed():
    assert option_names(Options()) == ["--how-many", "--kind", "--sizes", "--share"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--how-mny", "3"], r"unknown option --how-mny; did you mean --how-many\?"),
        (["--how-mny=3"], r"unknown option --how-mny; did you mean --how-many\?"),
        (["--zz"], "unknown option --zz; xbarax test --help lists the options"),
        (["word"], "unexpected word 'word'; xbarax test --help lists the options"),
        (["--how-many", "x"], "^--how-many: expected an integer, given 'x'$"),
        (["--how-many=1.5"], "^--how-many: expected an integer, given '1.5'$"),
        (["--how_many", "1e3"], "^--how-many: expected an integer, given '1e3'$"),
        (["--how-many", "1", "--how-many", "y"], "^--how-many: expected an integer, given 'y'$"),
        (["--how-many"], "^--how-many: expected an integer, given nothing$"),
        (["--how-many", "--kind", "dense"], "^--how-many: expected an integer, given nothing$"),
        (["--share", "half"], "^--share: expected a number, given 'half'$"),
        (["--kind"], "^--kind: expected a value, given nothing$"),
        (["--how-many", "-1"], "^how_many: expected at least 0, given -1$"),
        (["--kind", "blue"], "invalid choice 'blue' for argument '--kind'.*'dense', 'sparse'"),
        (["--sizes", "1", "x"], "^--sizes: expected integers with spaces .*, given '1 x'$"),
        (["--sizes", "16,32,2"], "^--sizes: expected integers with spaces .*, given '16,32,2'$"),
    ],
)
@pytest.mark.parametrize("columns", ["40", "200"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_refusals_are_a_line(words, message, columns, encoding, monkeypatch):
    # The width of the terminal and what it can show are what tyro frames its messages by.
    monkeypatch.setenv("COLUMNS", columns)
    shown, told = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setattr(sys, "stderr", told)
    with pytest.raises(UserError, match=message) as refusal:
        parse(*words)
    assert "\n" not in str(refusal.value) and "│" not in str(refusal.value)
    assert "help" not in str(refusal.value) or "lists the options" in str(refusal.value)
    for stream in (shown, told):
        stream.flush()
        assert stream.buffer.getvalue() == b""


def test_some_options_can_be_read_without_the_others():
    assert parse_some(["--sizes", "3", "--how-many", "4", "--colour"], Inner()) == Inner(4)
    with pytest.raises(UserError, match="^--how-many: expected an integer, given 'x'$"):
        parse_some(["--how-many", "x"], Inner())


def test_help_is_shown(capsys):
    with pytest.raises(SystemExit) as stop:
        parse("--help")
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "usage: xbarax test" in out and "how many there are" in out
