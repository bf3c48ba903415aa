"""The program: error messages, exit codes, and what goes to standard output and standard error."""

import errno
import sys
from pathlib import Path

import polars as pl
import pytest


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ["no such command 'trian'", "did you mean 'train'?"]),
        (["train", "x", "--modle", "y"], ["no such option: --modle", "did you mean --model?"]),
        (["train", "x", "y"], ["unexpected extra argument", "coverslip train --help"]),
        (["train", "x", "--seed", "one"], ["--seed", "coverslip train --help"]),
        (["train", "x", "--seed"], ["--seed", "--help"]),
        (["predict"], ["missing argument", "coverslip predict --help"]),
        (["predict", "run"], ["missing argument", "coverslip predict --help"]),
        (["train"], ["no images were given", "coverslip demo"]),
        (["train", "x" * 5000], ["too long"]),
        (["train", "LEAVES", "--model", "efficientnet-lite"], ["unknown network", "'efficientnet-lite0'"]),
        (["train", "LEAVES", "--depth", "haed"], ["depth='haed'", "'head'"]),
        (["train", "LEAVES", "--fit", "sqash"], ["fit='sqash'", "did you mean 'squash'?"]),
        (["train", "LEAVES", "--views", "9"], ["views=9", "8"]),
        (["train", "LEAVES", "--group", "grup"], ["no column 'grup'", "did you mean 'group'?"]),
        (["train", "LEAVES", "--set", "model.veiws=3"], ["no key 'veiws'", "did you mean 'views'?"]),
        (["train", "LEAVES", "--set", "modle.views=3"], ["no key 'modle'", "did you mean 'model'?"]),
        (["train", "LEAVES", "--set", "views=3"], ["section.key=value", "--set model.views=3"]),
        (["train", "LEAVES", "--set", "model.views"], ["section.key=value"]),
        (["train", "LEAVES", "--set", "model.views=three"], ["model.views is 'three'", "type int"]),
        (["train", "LEAVES", "--set", "model.views=2.5"], ["model.views is 2.5", "type int"]),
        (["train", "LEAVES", "--set", "split.refit=1"], ["split.refit is 1", "type bool"]),
        (["train", "LEAVES", "--set", "split.fractions=[0.5, 0.5]"], ["2 values", "give 3"]),
        (["train", "LEAVES", "--set", "split.fractions=[0.8, 0.3, -0.1]"], ["fractions", "add up to 1"]),
        (["train", "LEAVES", "--set", "input.size=5"], ["size=5", "8 to 4096"]),
        (["train", "LEAVES", "--set", "input.size=100000"], ["size", "8 to 4096"]),
        (["train", "LEAVES", "--set", "input.size=-224"], ["size", "8 to 4096"]),
        (["train", "LEAVES", "--set", "head.l2_values=[]"], ["l2_values", "one or more"]),
        (["train", "LEAVES", "--set", "head.folds=1"], ["folds=1", "2 or more"]),
        (["leaves", "out", "--classes", "99"], ["99"]),
        (["leaves", "out", "--look", "leef"], ["leef", "leaf"]),
        (["leaves", "FULL"], ["exists and is not an empty folder"]),
        (["leaves", "FULL/thesis.tex/leaves"], ["not a directory", "another folder"]),
    ],
)
def test_a_user_error_is_printed_in_two_lines(coverslip, leaves, tmp_path, arguments, words):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    given = [text.replace("LEAVES", str(leaves)).replace("FULL", str(tmp_path / "full")) for text in arguments]
    coverslip(*given).refused(*words)
    left = [path.name for path in tmp_path.iterdir() if path.name != "runs"]
    assert left == ["full"] and not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[data]\nsource = "LEAVES"\n[modle]\n', ["no key 'modle'", "did you mean 'model'?"]),
        ('[data]\nsource = "LEAVES"\n[split]\nsed = 1\n', ["split has no key 'sed'", "did you mean 'seed'?"]),
        ('[data]\nsource = "LEAVES"\n[split]\nseed = "1"\n', ["split.seed is '1'", "type int"]),
        ('[data]\nsource = "LEAVES"\n[split]\nseed = true\n', ["split.seed is True", "type int"]),
        ('split = 3\n[data]\nsource = "LEAVES"\n', ["split is 3, not a section"]),
        ("[split]\nseed = 1\n", ["lacks 'data'"]),
        ("[data]\n", ["lacks 'source'"]),
        ("[data\n", ["is not TOML"]),
        ("\0", ["is not TOML"]),
        ('[data]\nsource = "nowhere"\n', ["does not exist", "nowhere"]),
    ],
)
def test_a_settings_file_with_an_error_is_refused(coverslip, leaves, tmp_path, text, words):
    (tmp_path / "mine.toml").write_text(text.replace("LEAVES", leaves.as_posix()))
    coverslip("train", "mine.toml", "--out", "run").refused(*words)
    assert not Path("run").exists()


def test_a_settings_file_that_does_not_exist_or_is_not_text_is_refused(coverslip, tmp_path):
    coverslip("train", "nowhere.toml").refused("cannot read 'nowhere.toml'")
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe\x00")
    coverslip("train", "mine.toml").refused("is not TOML")


def test_help_and_version_are_printed(coverslip):
    import coverslip as package

    assert coverslip("--version").done().out.strip() == package.__version__
    for command in ("demo", "leaves", "train", "evaluate", "predict", "report", "cache"):
        assert command in coverslip("--help").done().out
        assert "--help" in coverslip(command, "-h").done().out


def test_predictions_go_to_standard_output_and_everything_else_to_standard_error(coverslip, small_run, leaves):
    said = coverslip("predict", small_run.folder, leaves.parent / "images").done()
    rows = pl.read_csv(said.out.encode())
    assert rows.height == 36 and rows.columns[:5] == ["path", "label", "group", "predicted", "confidence"]
    assert "predicting" in said.err and "predicted:" in said.err


def test_train_prints_the_result_with_its_interval_and_the_next_commands(coverslip, leaves):
    said = coverslip("train", leaves, "--out", "my run").done()
    assert "accuracy" in said.out and "[" in said.out and "report: my run/report.html" in said.out
    assert "coverslip predict 'my run'" in said.out
    assert f"higher accuracy: coverslip train {leaves} --depth tail" in said.out
    said = coverslip("train", leaves.parent / "images", "--group", "(.+)_shot", "--split-seed", "1").done()
    assert "images --group '(.+)_shot' --split-seed 1 --depth tail" in said.out


def test_a_dry_run_writes_nothing(coverslip, leaves, tmp_path):
    said = coverslip("train", leaves, "--dry-run").done()
    assert "images: 36 of 3 classes" in said.out and "nothing was trained" in said.out
    coverslip("train", leaves, "--dry-run", "--set", "threshold.value=0.3").refused("two classes")
    assert not list(tmp_path.iterdir())


def test_a_closed_pipe_ends_the_program_without_a_traceback(coverslip, small_run, leaves, tmp_path, monkeypatch):
    """As in `coverslip predict ... | head -1`: the exit code is that of SIGPIPE."""

    class ClosedPipe:
        """Standard output whose reader has closed the pipe."""

        def __init__(self, file):
            self.file = file

        def write(self, text):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

        def flush(self):
            pass

        def isatty(self):
            return False

        def fileno(self):
            return self.file.fileno()

    with (tmp_path / "stdout").open("w") as file:
        for arguments in (["predict", small_run.folder, leaves.parent / "images"], ["cache"]):
            with monkeypatch.context() as patch:
                patch.setattr(sys, "stdout", ClosedPipe(file))
                assert coverslip(*arguments).code == 141
