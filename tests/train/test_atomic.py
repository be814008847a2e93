import os

import pytest

from xbarax.train._atomic import is_partial, write_atomically


class Killed(BaseException):
    pass


def killed(*_):
    raise Killed


def test_the_file_gets_its_content(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_the_old_file_outlives_a_failure(call, tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, call, killed)
    with pytest.raises(Killed):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_content_is_on_the_disk_before_the_old_is_gone(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("fsync"))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("replace"), replace(*paths)))
    write_atomically(tmp_path / "file", b"content")
    assert calls == ["fsync", "replace", "fsync"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_errors_of_the_system_name_the_file(call, tmp_path, monkeypatch):
    path = tmp_path / "file"

    def too_large(*_):
        raise OSError(27, "File too large", *([] if call == "fsync" else [str(path)]))

    monkeypatch.setattr(os, call, too_large)
    with pytest.raises(OSError, match=f"File too large: '{path}'"):
        write_atomically(path, b"content")


def test_errors_without_a_number_stay_as_they_are(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("something else")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="^something else$"):
        write_atomically(tmp_path / "file", b"content")


def test_remains_of_a_kill_are_known_and_replaced(tmp_path, monkeypatch):
    path = tmp_path / "file"
    seen = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append(a), replace(a, b)))
    write_atomically(path, b"content")
    (partial,) = seen
    assert partial.parent == tmp_path and is_partial(partial) and not is_partial(path)

    partial.write_bytes(b"half of something lo")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new" and not partial.exists()
