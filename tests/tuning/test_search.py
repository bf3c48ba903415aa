"""The search: proposals, pruning, the study's file, and resuming after any kind of interruption."""

import math
import sqlite3
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import optuna
import polars as pl
import pytest

from coverslip import api
from coverslip.core.errors import UserError
from coverslip.core.runs import Study
from coverslip.pipeline.resolve import resolve_config
from coverslip.tuning.halving import bracket, comparisons
from coverslip.tuning.search import search
from coverslip.tuning.space import space_from

EPOCHS = 9
SPACE = {"lr": "1e-5..1:log", "label_smoothing": "0..0.3", "batch_size": [16, 32, 64]}


@dataclass
class EpochReport:
    number: int
    epoch: int
    lr: float
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    broken: str = ""


class FakeBatch:
    """Trials whose loss is a function of their settings: a learning rate of 0.01 is best; above 0.5 trials diverge."""

    opened: ClassVar = []
    checkpoint: ClassVar = {}  # number -> epochs trained; a real batch has this on disk
    after = None  # called after every epoch

    def __init__(self, configs):
        self.configs, self.running = dict(configs), list(configs)
        self.stacks = {number: config.training.batch_size for number, config in configs.items()}
        FakeBatch.opened.append(dict(configs))

    def advance(self):
        reports = []
        for number in list(self.running):
            training = self.configs[number].training
            epoch = FakeBatch.checkpoint[number] = FakeBatch.checkpoint.get(number, 0) + 1
            loss = abs(math.log10(training.lr / 0.01)) + training.label_smoothing + 1 / epoch
            broken = "the loss became nan" if training.lr > 0.5 else ""
            loss = math.nan if broken else loss
            reports.append(EpochReport(number, epoch, training.lr, loss, loss, math.exp(-loss), broken))
            if broken or epoch >= training.epochs:
                self.running.remove(number)
        if FakeBatch.after:
            FakeBatch.after(self)
        return reports

    def stop(self, numbers):
        for number in numbers:
            self.running.remove(number)


@pytest.fixture(autouse=True)
def fresh():
    FakeBatch.opened, FakeBatch.checkpoint, FakeBatch.after = [], {}, None


@pytest.fixture
def config():
    return resolve_config(api.configure("leaves", model_network="mlp", settings=[f"training.epochs={EPOCHS}"]))


@pytest.fixture
def study(tmp_path):
    return Study.create(tmp_path / "study")


def run(study, config, space=SPACE, trials=20, **options):
    return search(study, space_from(space), config, FakeBatch, trials=trials, together=8, **options)


def test_the_default_is_trial_0_and_is_trained_to_the_end(study, config):
    frame = run(study, config)
    first = frame.row(0, named=True)
    assert (first["number"], first["role"], first["state"], first["epochs"]) == (0, "default", "finished", EPOCHS)
    assert (first["training.lr"], first["training.label_smoothing"], first["training.batch_size"]) == (
        0.001,
        config.training.label_smoothing,
        32,
    )


def test_a_search_comes_close_to_the_optimum_and_prunes_most_trials(study, config):
    frame = run(study, config, trials=60)
    assert frame.height == 60 and set(frame["state"]) <= {"finished", "pruned", "failed"}
    finished = frame.filter(pl.col("state") == "finished")
    assert finished["validation_loss"].min() < 0.35  # 1 / 9 is the minimum
    assert 10 < frame.filter(pl.col("state") == "pruned").height < 55
    assert frame["epochs"].sum() < 0.7 * 60 * EPOCHS
    assert all("epoch" in why for why in frame.filter(pl.col("state") == "pruned")["why"])


def test_the_tables_contain_every_trial_and_epoch(study, config):
    frame = run(study, config)
    trials, curves = pl.read_csv(study.trials_file), pl.read_csv(study.curves_file)
    assert trials["number"].to_list() == list(range(20)) and trials.columns == frame.columns
    assert curves.group_by("number").len().sort("number")["len"].to_list() == trials["epochs"].to_list()
    row = trials.row(3, named=True)
    curve = curves.filter(pl.col("number") == 3).sort("validation_loss")
    assert row["validation_loss"] == curve["validation_loss"][0] and row["best_epoch"] == curve["epoch"][0]
    assert row["stack"] == row["training.batch_size"]


def test_a_trial_that_diverges_fails_with_its_reason_and_the_search_continues(study, config):
    frame = run(study, config, {"lr": "0.4..1:log"}, trials=20)
    failed = frame.filter(pl.col("state") == "failed")
    assert 5 < failed.height < 19 and set(failed["why"]) == {"the loss became nan"}
    assert failed["validation_loss"].null_count() == failed.height


def test_a_search_in_which_every_trial_diverges_is_an_error(study, config):
    config = resolve_config(
        api.configure("leaves", model_network="mlp", settings=["training.epochs=9", "training.lr=0.9"])
    )
    with pytest.raises(UserError, match=r"16 trials.*the loss became nan") as error:
        run(study, config, {"lr": "0.6..1:log"}, trials=200)
    assert "learning rate" in error.value.fix
    assert pl.read_csv(study.trials_file).height == 16


def test_settings_that_cannot_be_trained_are_a_failed_trial(study, config):
    def broken(configs):
        batch = FakeBatch(configs)
        for number, each in configs.items():
            if each.training.batch_size == 64:
                batch.running.remove(number)
        return batch

    frame = search(study, space_from(SPACE), config, broken, trials=16, together=8)
    failed = frame.filter(pl.col("state") == "failed", pl.col("training.batch_size") == 64)
    assert failed.height and frame.filter(pl.col("state") == "finished").height


def test_a_default_outside_the_range_is_trained_and_not_proposed_again(study, config):
    frame = run(study, config, {"lr": "0.01..0.1:log", "optimizer": ["sgd", "adam"]}, trials=40)
    assert frame["training.lr"][0] == 0.001 and frame["training.optimizer"][0] == "adamw"
    assert frame["training.lr"][1:].min() >= 0.01


def test_a_small_space_ends_when_all_combinations_are_tried_and_repeats_have_other_seeds(study, config):
    frame = run(study, config, {"batch_size": [16, 32]}, trials=50)
    assert frame.height < 20 and set(frame["training.batch_size"]) == {16, 32}
    repeats = frame.filter(pl.col("role") == "repeat")["number"].to_list()
    seeds = [(each.training.batch_size, each.training.seed) for opened in FakeBatch.opened for each in opened.values()]
    assert repeats and len(set(seeds)) == frame.height


def test_layers_and_augmentations_are_varied_as_text(study, config):
    frame = run(study, config, {"hidden": [[64], [256, 128]], "augment": ["none", "strong"]}, trials=8)
    assert set(frame["model.hidden"]) <= {"128", "64", "256,128"} and frame["model.hidden"][0] == "128"
    assert set(frame["augment"]) <= {"light", "none", "strong"} and frame["augment"][0] == "light"
    for number, each in FakeBatch.opened[0].items():
        assert ",".join(map(str, each.model.hidden)) == frame["model.hidden"][number]


def test_the_same_seed_gives_the_same_trials(tmp_path, config):
    frames = []
    for name in ("a", "b"):
        FakeBatch.checkpoint = {}
        frames.append(run(Study.create(tmp_path / name), config, trials=24).drop("seconds"))
    assert frames[0].equals(frames[1])


class Killed(BaseException):
    """Simulates the end of the process."""


def kill_after(epochs):
    left = [epochs]

    def after(batch):
        left[0] -= 1
        if not left[0]:
            raise Killed

    return after


@pytest.mark.parametrize("epochs", [1, 13])
def test_a_killed_search_resumes_to_the_same_result(tmp_path, config, epochs):
    whole = run(Study.create(tmp_path / "whole"), config).drop("seconds")
    FakeBatch.checkpoint, FakeBatch.after = {}, kill_after(epochs)
    study = Study.create(tmp_path / "killed")
    with pytest.raises(Killed):
        run(study, config)
    FakeBatch.after = None
    FakeBatch.checkpoint = {
        number: max(0, epoch - 2) for number, epoch in FakeBatch.checkpoint.items()
    }  # reported again
    assert run(study, config).drop("seconds").equals(whole)
    curves = pl.read_csv(study.curves_file)
    assert curves.equals(pl.read_csv(tmp_path / "whole" / "curves.csv"))


def test_ctrl_c_ends_after_the_epoch_and_keeps_its_results(study, config):
    import signal

    FakeBatch.after = lambda batch: signal.raise_signal(signal.SIGINT) if FakeBatch.checkpoint[0] == 4 else None
    with pytest.raises(KeyboardInterrupt):
        run(study, config)
    frame = pl.read_csv(study.trials_file)
    assert frame.filter(pl.col("state") == "running")["epochs"].unique().to_list() == [4]
    FakeBatch.after = None
    assert "running" not in set(run(study, config)["state"])


def test_a_killed_process_leaves_a_file_that_another_process_resumes(tmp_path, config):
    script = f"""
        import os, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_search as here
        from coverslip import api
        from coverslip.core.runs import Study
        from coverslip.pipeline.resolve import resolve_config
        here.FakeBatch.after = lambda batch: os._exit(9) if here.FakeBatch.checkpoint[0] == 5 else None
        config = resolve_config(api.configure("leaves", model_network="mlp", settings=["training.epochs=9"]))
        here.run(Study.create({str(tmp_path / "study")!r}), config)
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False).returncode == 9
    FakeBatch.checkpoint = dict.fromkeys(range(7), 4)  # the first round's
    frame = run(Study(tmp_path / "study"), config)
    FakeBatch.checkpoint = {}
    whole = run(Study.create(tmp_path / "whole"), config)
    assert frame.drop("seconds").equals(whole.drop("seconds"))


def test_trials_can_be_added_later(study, config):
    run(study, config, trials=10)
    opened = len(FakeBatch.opened)
    assert run(study, config, trials=10).height == 10 and len(FakeBatch.opened) == opened
    assert run(study, config, trials=25).height == 25


def test_a_time_limit_ends_the_search_and_later_calls_resume_it(study, config, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def after(batch):
        clock[0] += 10

    FakeBatch.after = after
    frame = run(study, config, trials=100, minutes=2.0)
    assert clock[0] <= 130 and 8 <= frame.height < 30
    assert run(study, config, trials=frame.height)["state"].to_list().count("running") == 0


def test_a_time_limit_in_the_middle_of_a_round_ends_it_there(study, config, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def after(batch):
        clock[0] += 1 if 0 in batch.configs else 100

    FakeBatch.after = after
    frame = run(study, config, minutes=2.0)
    left = frame.filter(pl.col("state") == "running")
    assert left.height and left["epochs"].unique().to_list() == [2]
    clock[0] = 0
    assert run(study, config)["state"].to_list().count("running") == 0


def test_a_time_limit_before_any_trial_finished_completes_the_default_and_the_best(study, config, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def after(batch):
        clock[0] += 100

    FakeBatch.after = after
    frame = run(study, config, minutes=0.1)
    assert 1 <= frame.filter(pl.col("state") == "finished").height <= 2 and frame["state"][0] == "finished"
    assert "time was up" in frame["why"].to_list()


def test_optuna_itself_reads_the_file(study, config):
    frame = run(study, config)
    optuna_study = optuna.load_study(study_name="coverslip", storage=f"sqlite:///{study.database_file}")
    assert len(optuna_study.trials) == 20
    finished = frame.filter(pl.col("state") == "finished").sort("validation_loss")
    assert optuna_study.best_trial.number == finished["number"][0]
    assert optuna_study.best_value == finished["validation_loss"][0]
    for trial, row in zip(optuna_study.trials, frame.rows(named=True), strict=True):
        assert trial.params == {key: row[key] for key in trial.params}
        assert trial.last_step == row["epochs"] and trial.user_attrs["role"] == row["role"]
        assert abs((trial.datetime_complete - trial.datetime_start).total_seconds()) < 60
    optuna.importance.get_param_importances(optuna_study)
    assert not [path for path in study.folder.iterdir() if path.name.startswith("study.db-")]


def test_resuming_with_other_data_or_settings_is_refused_with_the_difference(study, config):
    run(study, config, data={"images": "1a", "labels": "2b"}, trials=4)
    other = resolve_config(api.configure("leaves", model_network="mlp", settings=["training.epochs=12"]))
    with pytest.raises(UserError, match=r"training\.epochs = 9.*12"):
        run(study, other, data={"images": "1a", "labels": "2b"})
    with pytest.raises(UserError, match="other labels"):
        run(study, config, data={"images": "1a", "labels": "3c"})
    with pytest.raises(UserError, match=r"training\.label_smoothing = .*nothing"):
        run(study, config, {"lr": "1e-5..1:log", "batch_size": [16, 32, 64]}, data={"images": "1a", "labels": "2b"})


def test_a_damaged_file_is_refused_and_kept(study, config):
    run(study, config, trials=4)
    content = study.database_file.read_bytes()
    for damaged in (b"no database at all" * 100, content[: len(content) // 2]):
        study.database_file.write_bytes(damaged)
        with pytest.raises(UserError, match="is damaged") as error:
            run(study, config)
        assert "trials.csv" in error.value.fix and study.database_file.read_bytes() == damaged


@pytest.mark.parametrize("lose", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_missing_file_is_not_replaced_by_a_new_study(study, config, lose):
    run(study, config, trials=4)
    before = study.trials_file.read_bytes()
    lose(study.database_file)
    with pytest.raises(UserError, match=r"is missing.*trials\.csv"):
        run(study, config)
    assert study.trials_file.read_bytes() == before


def test_a_file_that_another_program_keeps_locked_is_an_error(study, config, monkeypatch):
    monkeypatch.setattr("coverslip.tuning.storage.PATIENCE", 0.05)
    run(study, config, trials=4)
    other = sqlite3.connect(study.database_file, isolation_level=None)
    FakeBatch.after = lambda batch: other.execute("BEGIN IMMEDIATE") if not other.in_transaction else None
    with pytest.raises(UserError, match="locked by another program"):
        run(study, config, trials=8)
    other.execute("ROLLBACK")
    other.close()
    FakeBatch.after = None
    assert run(study, config, trials=8).height == 8


def test_a_short_lock_is_waited_out(study, config, monkeypatch):
    monkeypatch.setattr("coverslip.tuning.storage.PATIENCE", 0.01)
    run(study, config, trials=4)
    other = sqlite3.connect(study.database_file, isolation_level=None)
    steps = iter(["BEGIN IMMEDIATE", "SELECT 1", "ROLLBACK"])
    FakeBatch.after = lambda batch: other.execute(next(steps, "SELECT 1"))
    assert run(study, config, trials=8).height == 8
    other.close()
    optuna_study = optuna.load_study(study_name="coverslip", storage=f"sqlite:///{study.database_file}")
    assert optuna_study.trials[-1].state.is_finished()


def test_a_second_process_is_refused(study, config):
    FakeBatch.after = lambda batch: run(study, config)
    with pytest.raises(UserError, match="another process works on the study"):
        run(study, config)


def test_several_share_a_journal(study, config):
    """The second search starts and ends in the middle of the first."""
    calls = []

    def after(batch):
        if not calls and FakeBatch.checkpoint[0] == 2:
            calls.append(True)
            FakeBatch.after = None
            calls.append(run(study, config, trials=16, shared=True))

    FakeBatch.after = after
    frame = run(study, config, trials=24, shared=True)
    inner = calls[1]
    assert 0 in inner.filter(pl.col("state") == "running")["number"]
    assert frame.height == 24 and "running" not in set(frame["state"])
    opened = [number for configs in FakeBatch.opened for number in configs]
    assert sorted(opened) == list(range(24))  # each trained by one


def test_a_shared_study_continues_after_a_process_was_killed(study, config):
    FakeBatch.after = kill_after(3)
    with pytest.raises(Killed):
        run(study, config, trials=16, shared=True)
    with study.journal_file.open("ab") as file:
        file.write(b'{"op_code": 5, "tri')  # an incomplete line
    FakeBatch.after = None
    frame = run(study, config, trials=16)
    assert frame.height == 16 and "running" not in set(frame["state"])


def test_epochs_cannot_be_searched(study, config):
    with pytest.raises(UserError, match=r"training\.epochs"):
        run(study, config, {"epochs": [5, 10]})
    assert not study.database_file.exists()


def test_hyperband_compares_some_trials_twice_some_once_and_some_never():
    assert comparisons(27) == (3, 9) and comparisons(1) == ()
    kinds = [bracket(number, 27) for number in range(1, 341)]
    assert [kinds.count(each) for each in ((3, 9), (9,), ())] == [180, 100, 60]
