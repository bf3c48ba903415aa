"""The program itself: what it answers to a slip, its exit codes, and where its words go."""

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
        (["train"], ["no images were named", "coverslip demo"]),
        (["train", "x" * 5000], ["too long"]),
        (["train", "LEAVES", "--model", "efficientnet-lite"], ["no network is called", "'efficientnet-lite0'"]),
        (["train", "LEAVES", "--depth", "haed"], ["depth='haed'", "'head'"]),
        (["train", "LEAVES", "--fit", "sqash"], ["fit='sqash'", "did you mean 'squash'?"]),
        (["train", "LEAVES", "--views", "9"], ["views=9", "0..8"]),
        (["train", "LEAVES", "--group", "grup"], ["no column 'grup'", "did you mean 'group'?"]),
        (["train", "LEAVES", "--set", "model.veiws=3"], ["no key 'veiws'", "did you mean 'views'?"]),
        (["train", "LEAVES", "--set", "modle.views=3"], ["no key 'modle'", "did you mean 'model'?"]),
        (["train", "LEAVES", "--set", "views=3"], ["not section.key=value", "--set model.views=3"]),
        (["train", "LEAVES", "--set", "model.views"], ["not section.key=value"]),
        (["train", "LEAVES", "--set", "model.views=three"], ["model.views is 'three'", "type int"]),
        (["train", "LEAVES", "--set", "model.views=2.5"], ["model.views is 2.5", "type int"]),
        (["train", "LEAVES", "--set", "split.refit=1"], ["training.refit is 1", "type bool"]),
        (["train", "LEAVES", "--set", "split.fractions=[0.5, 0.5]"], ["2 values", "give 3"]),
        (["train", "LEAVES", "--set", "split.fractions=[0.8, 0.3, -0.1]"], ["fractions", "add up to 1"]),
        (["train", "LEAVES", "--set", "input.size=5"], ["size=5", "8 to 4096"]),
        (["train", "LEAVES", "--set", "input.size=100000"], ["size", "8 to 4096"]),
        (["train", "LEAVES", "--set", "input.size=-224"], ["size", "8 to 4096"]),
        (["train", "LEAVES", "--set", "head.l2_values=[]"], ["strengths", "one or more"]),
        (["train", "LEAVES", "--set", "head.folds=1"], ["folds=1", "2 or more"]),
        (["leaves", "out", "--classes", "99"], ["99"]),
        (["leaves", "out", "--look", "leef"], ["leef", "leaf"]),
        (["leaves", "FULL"], ["exists and is not an empty folder"]),
        (["leaves", "FULL/thesis.tex/leaves"], ["not a directory", "another folder"]),
    ],
)
def test_a_slip_is_answered_in_two_lines(coverslip, leaves, tmp_path, arguments, words):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    named = [each.replace("LEAVES", str(leaves)).replace("FULL", str(tmp_path / "full")) for each in arguments]
    coverslip(*named).refused(*words)
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
        ('[data]\nsource = "nowhere"\n', ["there is no", "nowhere"]),
    ],
)
def test_a_settings_file_with_a_slip_is_refused_and_never_half_used(coverslip, leaves, tmp_path, text, words):
    (tmp_path / "mine.toml").write_text(text.replace("LEAVES", leaves.as_posix()))
    coverslip("train", "mine.toml", "--out", "run").refused(*words)
    assert not Path("run").exists()


def test_a_settings_file_that_is_not_there_or_not_text(coverslip, tmp_path):
    coverslip("train", "nowhere.toml").refused("cannot read 'nowhere.toml'")
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe\x00")
    coverslip("train", "mine.toml").refused("is not TOML")


def test_help_and_version_end_well(coverslip):
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


def test_train_prints_the_result_with_its_interval_and_what_to_do_next(coverslip, leaves):
    said = coverslip("train", leaves, "--out", "my run").done()
    assert "accuracy" in said.out and "[" in said.out and "report: my run/report.html" in said.out
    assert "coverslip predict 'my run'" in said.out
    assert f"deeper   coverslip train {leaves} --depth tail" in said.out
    said = coverslip("train", leaves.parent / "images", "--group", "(.+)_shot", "--split-seed", "1").done()
    assert "images --group '(.+)_shot' --split-seed 1 --depth tail" in said.out


def test_a_dry_run_writes_nothing(coverslip, leaves, tmp_path):
    said = coverslip("train", leaves, "--dry-run").done()
    assert "would read   36 images of 3 classes" in said.out and "nothing was trained" in said.out
    coverslip("train", leaves, "--dry-run", "--set", "threshold.value=0.3").refused("a threshold is for two classes")
    assert not list(tmp_path.iterdir())


def test_the_reader_of_our_output_may_stop_reading(coverslip, small_run, leaves, tmp_path, monkeypatch):
    """As `coverslip predict ... | head -1` does: no traceback, and the exit code that the system itself gives."""

    class Unread:
        """Standard output after its reader has gone."""

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
                patch.setattr(sys, "stdout", Unread(file))
                assert coverslip(*arguments).code == 141
