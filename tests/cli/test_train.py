import json
import shlex

import pytest

import xbarax as xb
from xbarax import hardware, train
from xbarax.cli import main
from xbarax.cli import train as command
from xbarax.train import runner

# One small layer: nothing here depends on what it learns.
SMALL = shlex.split(
    "--network 16 2 --epochs 2 --batch-size 8 --samples-per-class 20 --time-steps 20"
)


def run(*words):
    return main(["train", *map(str, words)])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("finished") / "run"
    assert run("--out", path, "--crossbar", "last", *SMALL) == 0
    return path


def error_of(capsys):
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("xbarax: error: ") and err.count("\n") == 1
    return err.removeprefix("xbarax: error: ").rstrip("\n")


def test_options_become_the_configuration(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(command, "_train", lambda task, folder: seen.append(task.config) or 0)
    words = """--network 16 8 3 --crossbar all --epochs 4 --seed 5 --batch-size 6
        --learning-rate 0.5 --schedule cosine --momentum 0.25 --samples-per-class 30 --time-steps 25
        --train-share 0.5"""
    assert run("--out", tmp_path, *shlex.split(words)) == 0
    expected = train.TrainConfig(
        network=(16, 8, 3),
        crossbar="all",
        epochs=4,
        seed=5,
        batch_size=6,
        learning_rate=0.5,
        schedule="cosine",
        momentum=0.25,
        samples_per_class=30,
        time_steps=25,
        train_share=0.5,
    )
    assert seen == [expected]
    assert json.loads((tmp_path / "config.json").read_text())["learning_rate"] == 0.5


def test_without_options_it_is_the_notebooks_task(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []
    monkeypatch.setattr(command, "_train", lambda task, folder: seen.append((task, folder)) or 0)
    assert run() == 0
    ((task, folder),) = seen
    assert task.config == train.TrainConfig()
    assert folder.path.parent.name == "runs" and folder.path.name.endswith("16-32-2_crossbar-none")


def test_runs_of_the_same_second_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "_now", lambda: "2001-02-03_04-05-06")
    monkeypatch.setattr(command, "_train", lambda task, folder: 0)
    for _ in range(3):
        assert run(*SMALL) == 0
    name = "2001-02-03_04-05-06_16-2_crossbar-none"
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        name,
        f"{name}_2",
        f"{name}_3",
    ]


def test_the_end_is_one_line_and_progress_goes_elsewhere(tmp_path, capsys):
    path = tmp_path / "run"
    assert run("--out", path, *SMALL) == 0
    out, err = capsys.readouterr()
    last = json.loads((path / "metrics.jsonl").read_text().splitlines()[-1])
    assert out == f"test accuracy {last['test_accuracy']:.2%}, run folder {path}\n"
    assert f"loss={last['loss']:.4f}" in err
    assert f"test accuracy={last['test_accuracy']:.2%}" in err
    assert "2/2" in err


def test_warnings_are_lines(tmp_path, capsys, monkeypatch):
    def fake_run(task, folder, on_epoch):
        metrics = train.EpochMetrics(epoch=1, loss=1.0, test_accuracy=0.5, crossbars={})
        on_epoch(metrics, ["epoch 1: something"])
        return metrics

    monkeypatch.setattr(train, "run", fake_run)
    assert run("--out", tmp_path, *SMALL) == 0
    assert "xbarax: warning: epoch 1: something\n" in capsys.readouterr().err


def test_resuming_a_finished_run_says_its_end_again(finished, capsys):
    before = (finished / "metrics.jsonl").read_bytes()
    assert run("--resume", "--out", finished) == 0
    assert capsys.readouterr().out.endswith(f"run folder {finished}\n")
    assert (finished / "metrics.jsonl").read_bytes() == before


def test_options_that_agree_with_the_run_may_be_given_again(finished):
    assert run("--out", finished, "--resume", "--crossbar", "last", *SMALL) == 0


def test_stored_options_count_when_others_are_checked(tmp_path, monkeypatch):
    # A batch that is too large for the default data, but not for the run's.
    monkeypatch.setattr(command, "_train", lambda task, folder: 0)
    words = ["--batch-size", "1700", "--samples-per-class", "1100"]
    assert run("--out", tmp_path, *words) == 0
    assert run("--out", tmp_path, "--resume", "--batch-size", "1700") == 0


def test_contradictions_show_both_values(finished, capsys):
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    assert run("--out", finished, "--resume", "--epochs", 9, "--crossbar", "all") == 2
    assert error_of(capsys) == (
        f"--resume continues {finished} as it was started, but crossbar: given 'all', stored "
        f"'last'; epochs: given 9, stored 2"
    )
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


def test_a_folder_that_is_not_empty_is_refused(finished, capsys):
    assert run("--out", finished) == 2
    assert "expected a folder that is new or empty, given one that holds" in error_of(capsys)


def test_resume_needs_a_folder(capsys):
    assert run("--resume") == 2
    assert error_of(capsys) == "--resume: expected the run's folder, --out FOLDER, given none"


def test_resume_needs_a_run(tmp_path, capsys):
    assert run("--resume", "--out", tmp_path) == 2
    assert "without config.json: there is nothing to continue" in error_of(capsys)


def test_a_damaged_checkpoint_is_named(tmp_path, capsys):
    assert run("--out", tmp_path, *SMALL) == 0
    (tmp_path / "checkpoint.npz").write_bytes(b"PK")
    capsys.readouterr()
    assert run("--out", tmp_path, "--resume") == 2
    assert f"{tmp_path / 'checkpoint.npz'}: the checkpoint is damaged" in capsys.readouterr().err


def test_a_full_disk_is_an_error_of_the_users(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runner, "save_checkpoint", full)
    assert run("--out", tmp_path, *SMALL) == 2
    assert "\nxbarax: error: [Errno 28] No space left on device\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epohcs", "3"], "unknown option --epohcs; did you mean --epochs?"),
        (["--reusme"], "unknown option --reusme; did you mean --resume?"),
        (["--epochs", "0"], "epochs: expected at least 1, given 0"),
        (["--network", "16"], "network: expected at least two sizes, inputs and classes, given"),
        (["--network", "16,32,2"], "--network: expected integers with spaces between them, given"),
        (["--epochs", "abc"], "--epochs: expected an integer, given 'abc'"),
        (["--crossbar", "first"], "invalid choice 'first' for argument '--crossbar'"),
        (["--chip", "lib.so"], "chip: expected 'ideal' where crossbar is 'none'"),
        (["--chip", "lib.so", "--crossbar", "last"], "lib.so: no such file"),
    ],
)
def test_bad_options_are_refused_and_leave_no_folder(words, message, tmp_path, capsys):
    path = tmp_path / "run"
    assert run("--out", path, *words) == 2
    assert message in error_of(capsys)
    assert not path.exists()


def test_a_folder_that_cannot_be_made_is_an_error_of_the_users(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run("--out", tmp_path / "file" / "run", *SMALL) == 2
    assert str(tmp_path / "file") in error_of(capsys)


def test_a_defect_is_not_hidden(monkeypatch, tmp_path):
    def fail(config):
        raise ValueError("a defect")

    monkeypatch.setattr(train, "make_task", fail)
    with pytest.raises(ValueError, match="a defect"):
        run("--out", tmp_path / "run")


LIBRARIES_REFUSED = {
    "a missing symbol": (AttributeError, "libchip.so does not export user_implementation_add"),
    "no native library": (hardware.NativeLibraryError, "libxbarax_native.so was not found"),
    "no library": (OSError, "libchip.so is an object file"),
}


@pytest.mark.parametrize("what", LIBRARIES_REFUSED)
def test_a_library_that_cannot_be_used_is_an_error_of_the_users(
    what, monkeypatch, tmp_path, capsys
):
    error, message = LIBRARIES_REFUSED[what]

    def refuse(path, **options):
        raise error(message)

    monkeypatch.setattr(hardware, "load", refuse)
    path = tmp_path / "run"
    assert run("--out", path, "--chip", "libchip.so", "--crossbar", "last", *SMALL) == 2
    assert error_of(capsys) == message
    assert not path.exists()


def test_a_defect_with_a_chip_is_not_hidden(monkeypatch, tmp_path):
    def fail(config):
        raise AttributeError("a defect")

    monkeypatch.setattr(train, "make_task", fail)
    with pytest.raises(AttributeError, match="a defect"):
        run("--out", tmp_path, "--chip", xb.hardware.reference_library(), "--crossbar", "last")


def test_a_dangling_link_is_named_as_it_was_given(monkeypatch, tmp_path, capsys):
    (tmp_path / "libchip.so").symlink_to("libgone.so")
    monkeypatch.chdir(tmp_path)
    assert run("--out", "run", "--chip", "libchip.so", "--crossbar", "last", *SMALL) == 2
    assert error_of(capsys).startswith("libchip.so: no such file; expected a chip's shared library")


def test_a_chip_is_found_from_another_directory(tmp_path, monkeypatch):
    library = xb.hardware.reference_library()
    monkeypatch.setattr(command, "_train", lambda task, folder: 0)
    monkeypatch.chdir(library.parent)
    words = ["--out", tmp_path / "run", "--chip", library.name]
    assert run(*words, "--crossbar", "last", *SMALL) == 0
    assert run(*words, "--resume") == 0
    monkeypatch.chdir(tmp_path)
    assert run("--out", "run", "--resume") == 0


def test_an_interrupt_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    path = tmp_path / "a run"

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runner, "append_metrics", interrupted)
        assert run("--out", path, *SMALL) == 130
    out, err = capsys.readouterr()
    line = err.splitlines()[-1]
    assert out == "" and line.startswith("xbarax: interrupted; to continue: xbarax ")
    assert main(shlex.split(line.split("to continue: xbarax ")[1])) == 0
    assert len((path / "metrics.jsonl").read_text().splitlines()) == 2


def test_help_tells_of_every_option(capsys):
    with pytest.raises(SystemExit) as stop:
        run("--help")
    assert stop.value.code == 0
    out = capsys.readouterr().out
    for name in ("out", "resume", "network", "crossbar", "chip", "epochs", "seed", "batch-size"):
        assert f"--{name}" in out
    assert "The folder that keeps the run." in out
    assert "Data, network, crossbars and optimiser. Equal options, equal runs." in out
    assert "whether it has begun" not in out and "notebook" not in out
