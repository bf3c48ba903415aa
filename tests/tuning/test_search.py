"""The search: proposals, pruning, the study's file, and going on after it was stopped in any way."""

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
class Report:
    number: int
    epoch: int
    rate: float
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    broken: str = ""


class Fake:
    """Trials whose loss is a function of their settings: the rate 0.01 is best. Rates above 0.5 diverge."""

    opened: ClassVar = []
    checkpoint: ClassVar = {}  # number -> epochs trained; what a real batch has on disk
    after = None  # called after every epoch

    def __init__(self, plans):
        self.plans, self.running = dict(plans), list(plans)
        self.stacks = {number: plan.training.batch_size for number, plan in plans.items()}
        Fake.opened.append(dict(plans))

    def advance(self):
        reports = []
        for number in list(self.running):
            training = self.plans[number].training
            epoch = Fake.checkpoint[number] = Fake.checkpoint.get(number, 0) + 1
            loss = abs(math.log10(training.lr / 0.01)) + training.label_smoothing + 1 / epoch
            broken = "the loss became nan" if training.lr > 0.5 else ""
            loss = math.nan if broken else loss
            reports.append(Report(number, epoch, training.lr, loss, loss, math.exp(-loss), broken))
            if broken or epoch >= training.epochs:
                self.running.remove(number)
        if Fake.after:
            Fake.after(self)
        return reports

    def stop(self, numbers):
        for number in numbers:
            self.running.remove(number)


@pytest.fixture(autouse=True)
def fresh():
    Fake.opened, Fake.checkpoint, Fake.after = [], {}, None


@pytest.fixture
def plan():
    return resolve_config(api.configure("leaves", model_network="mlp", settings=[f"training.epochs={EPOCHS}"]))


@pytest.fixture
def study(tmp_path):
    return Study.create(tmp_path / "study")


def run(study, plan, space=SPACE, trials=20, **options):
    return search(study, space_from(space), plan, Fake, trials=trials, together=8, **options)


def test_the_default_is_trial_0_and_is_trained_to_its_end(study, plan):
    frame = run(study, plan)
    first = frame.row(0, named=True)
    assert (first["number"], first["role"], first["state"], first["epochs"]) == (0, "default", "finished", EPOCHS)
    assert (first["training.lr"], first["training.label_smoothing"], first["training.batch_size"]) == (
        0.001,
        plan.training.smoothing,
        32,
    )


def test_a_search_comes_close_to_the_best_and_most_trials_leave_early(study, plan):
    frame = run(study, plan, trials=60)
    assert frame.height == 60 and set(frame["state"]) <= {"finished", "pruned", "failed"}
    finished = frame.filter(pl.col("state") == "finished")
    assert finished["validation_loss"].min() < 0.35  # 1 / 9 is the least there is
    assert 10 < frame.filter(pl.col("state") == "pruned").height < 55
    assert frame["epochs"].sum() < 0.7 * 60 * EPOCHS
    assert all(why.startswith("after ") for why in frame.filter(pl.col("state") == "pruned")["why"])


def test_tables_hold_what_was_trained(study, plan):
    frame = run(study, plan)
    trials, curves = pl.read_csv(study.trials_file), pl.read_csv(study.curves_file)
    assert trials["number"].to_list() == list(range(20)) and trials.columns == frame.columns
    assert curves.group_by("number").len().sort("number")["len"].to_list() == trials["epochs"].to_list()
    row = trials.row(3, named=True)
    own = curves.filter(pl.col("number") == 3).sort("validation_loss")
    assert row["validation_loss"] == own["validation_loss"][0] and row["best_epoch"] == own["epoch"][0]
    assert row["stack"] == row["training.batch_size"]


def test_a_trial_that_diverges_fails_with_its_reason_and_the_search_goes_on(study, plan):
    frame = run(study, plan, {"lr": "0.4..1:log"}, trials=20)
    failed = frame.filter(pl.col("state") == "failed")
    assert 5 < failed.height < 19 and set(failed["why"]) == {"the loss became nan"}
    assert failed["validation_loss"].null_count() == failed.height


def test_when_every_trial_diverges_it_says_so(study, plan):
    plan = resolve_config(
        api.configure("leaves", model_network="mlp", settings=["training.epochs=9", "training.lr=0.9"])
    )
    with pytest.raises(UserError, match=r"all 16 trials failed; the first: the loss became nan") as error:
        run(study, plan, {"lr": "0.6..1:log"}, trials=200)
    assert "learning rates" in error.value.fix
    assert pl.read_csv(study.trials_file).height == 16


def test_settings_that_cannot_work_are_a_failed_trial(study, plan):
    def broken(plans):
        batch = Fake(plans)
        for number, each in plans.items():
            if each.training.batch_size == 64:
                batch.running.remove(number)
        return batch

    frame = search(study, space_from(SPACE), plan, broken, trials=16, together=8)
    failed = frame.filter(pl.col("state") == "failed", pl.col("training.batch_size") == 64)
    assert failed.height and frame.filter(pl.col("state") == "finished").height


def test_a_default_outside_its_range_takes_part_and_is_not_proposed_again(study, plan):
    frame = run(study, plan, {"lr": "0.01..0.1:log", "optimizer": ["sgd", "adam"]}, trials=40)
    assert frame["training.lr"][0] == 0.001 and frame["training.optimizer"][0] == "adamw"
    assert frame["training.lr"][1:].min() >= 0.01


def test_a_small_space_ends_when_all_of_it_is_tried_and_repeats_have_another_seed(study, plan):
    frame = run(study, plan, {"batch_size": [16, 32]}, trials=50)
    assert frame.height < 20 and set(frame["training.batch_size"]) == {16, 32}
    repeats = frame.filter(pl.col("role") == "repeat")["number"].to_list()
    seeds = [(each.training.batch_size, each.training.seed) for opened in Fake.opened for each in opened.values()]
    assert repeats and len(set(seeds)) == frame.height


def test_layers_and_augmentations_are_varied_as_text(study, plan):
    frame = run(study, plan, {"hidden": [[64], [256, 128]], "augment": ["none", "strong"]}, trials=8)
    assert set(frame["model.hidden"]) <= {"128", "64", "256,128"} and frame["model.hidden"][0] == "128"
    assert set(frame["augment"]) <= {"light", "none", "strong"} and frame["augment"][0] == "light"
    for number, each in Fake.opened[0].items():
        assert ",".join(map(str, each.model.hidden)) == frame["model.hidden"][number]


def test_the_same_seed_gives_the_same_trials(tmp_path, plan):
    frames = []
    for name in ("a", "b"):
        Fake.checkpoint = {}
        frames.append(run(Study.create(tmp_path / name), plan, trials=24).drop("seconds"))
    assert frames[0].equals(frames[1])


class Killed(BaseException):
    """Stands for the end of the process."""


def kill_after(epochs):
    left = [epochs]

    def after(batch):
        left[0] -= 1
        if not left[0]:
            raise Killed

    return after


@pytest.mark.parametrize("epochs", [1, 13])
def test_a_killed_search_goes_on_as_if_it_had_not_been(tmp_path, plan, epochs):
    whole = run(Study.create(tmp_path / "whole"), plan).drop("seconds")
    Fake.checkpoint, Fake.after = {}, kill_after(epochs)
    study = Study.create(tmp_path / "killed")
    with pytest.raises(Killed):
        run(study, plan)
    Fake.after = None
    Fake.checkpoint = {number: max(0, epoch - 2) for number, epoch in Fake.checkpoint.items()}  # told again
    assert run(study, plan).drop("seconds").equals(whole)
    curves = pl.read_csv(study.curves_file)
    assert curves.equals(pl.read_csv(tmp_path / "whole" / "curves.csv"))


def test_ctrl_c_ends_after_the_epoch_and_what_was_trained_is_there(study, plan):
    import signal

    Fake.after = lambda batch: signal.raise_signal(signal.SIGINT) if Fake.checkpoint[0] == 4 else None
    with pytest.raises(KeyboardInterrupt):
        run(study, plan)
    frame = pl.read_csv(study.trials_file)
    assert frame.filter(pl.col("state") == "running")["epochs"].unique().to_list() == [4]
    Fake.after = None
    assert "running" not in set(run(study, plan)["state"])


def test_a_killed_process_leaves_a_file_that_another_goes_on_with(tmp_path, plan):
    script = f"""
        import os, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_search as here
        from coverslip import api
        from coverslip.core.runs import Study
        from coverslip.pipeline.config import settled
        here.Fake.after = lambda batch: os._exit(9) if here.Fake.checkpoint[0] == 5 else None
        plan = resolve_config(api.configure("leaves", model_network="mlp", settings=["training.epochs=9"]))
        here.run(Study.create({str(tmp_path / "study")!r}), plan)
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False).returncode == 9
    Fake.checkpoint = dict.fromkeys(range(7), 4)  # the first round's
    frame = run(Study(tmp_path / "study"), plan)
    Fake.checkpoint = {}
    whole = run(Study.create(tmp_path / "whole"), plan)
    assert frame.drop("seconds").equals(whole.drop("seconds"))


def test_more_trials_can_be_asked_for_later(study, plan):
    run(study, plan, trials=10)
    opened = len(Fake.opened)
    assert run(study, plan, trials=10).height == 10 and len(Fake.opened) == opened
    assert run(study, plan, trials=25).height == 25


def test_time_that_is_up_leaves_trials_to_go_on_with(study, plan, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def after(batch):
        clock[0] += 10

    Fake.after = after
    frame = run(study, plan, trials=100, minutes=2.0)
    assert clock[0] <= 130 and 8 <= frame.height < 30
    assert run(study, plan, trials=frame.height)["state"].to_list().count("running") == 0


def test_time_that_is_up_in_the_middle_of_a_round_ends_it_there(study, plan, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def after(batch):
        clock[0] += 1 if 0 in batch.plans else 100

    Fake.after = after
    frame = run(study, plan, minutes=2.0)
    left = frame.filter(pl.col("state") == "running")
    assert left.height and left["epochs"].unique().to_list() == [2]
    clock[0] = 0
    assert run(study, plan)["state"].to_list().count("running") == 0


def test_when_time_is_up_before_anything_is_finished_the_default_and_the_best_are(study, plan, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def after(batch):
        clock[0] += 100

    Fake.after = after
    frame = run(study, plan, minutes=0.1)
    assert 1 <= frame.filter(pl.col("state") == "finished").height <= 2 and frame["state"][0] == "finished"
    assert "time was up" in frame["why"].to_list()


def test_optuna_itself_reads_the_file(study, plan):
    frame = run(study, plan)
    own = optuna.load_study(study_name="coverslip", storage=f"sqlite:///{study.database_file}")
    assert len(own.trials) == 20
    finished = frame.filter(pl.col("state") == "finished").sort("validation_loss")
    assert own.best_trial.number == finished["number"][0] and own.best_value == finished["validation_loss"][0]
    for trial, row in zip(own.trials, frame.rows(named=True), strict=True):
        assert trial.params == {key: row[key] for key in trial.params}
        assert trial.last_step == row["epochs"] and trial.user_attrs["role"] == row["role"]
        assert abs((trial.datetime_complete - trial.datetime_start).total_seconds()) < 60
    optuna.importance.get_param_importances(own)
    assert not [path for path in study.folder.iterdir() if path.name.startswith("study.db-")]


def test_a_study_of_something_else_is_refused_with_the_difference(study, plan):
    run(study, plan, data={"images": "1a", "labels": "2b"}, trials=4)
    other = resolve_config(api.configure("leaves", model_network="mlp", settings=["training.epochs=12"]))
    with pytest.raises(UserError, match=r"was begun with training.epochs = 9, and now it is 12"):
        run(study, other, data={"images": "1a", "labels": "2b"})
    with pytest.raises(UserError, match="was begun with other labels"):
        run(study, plan, data={"images": "1a", "labels": "3c"})
    with pytest.raises(UserError, match=r"begun with training.label_smoothing = .*and now it is nothing"):
        run(study, plan, {"lr": "1e-5..1:log", "batch_size": [16, 32, 64]}, data={"images": "1a", "labels": "2b"})


def test_a_damaged_file_is_refused_and_kept(study, plan):
    run(study, plan, trials=4)
    content = study.database_file.read_bytes()
    for spoilt in (b"no database at all" * 100, content[: len(content) // 2]):
        study.database_file.write_bytes(spoilt)
        with pytest.raises(UserError, match="is damaged") as error:
            run(study, plan)
        assert "trials.csv" in error.value.fix and study.database_file.read_bytes() == spoilt


@pytest.mark.parametrize("lose", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_lost_file_is_not_begun_anew_over_what_was_found(study, plan, lose):
    run(study, plan, trials=4)
    before = study.trials_file.read_bytes()
    lose(study.database_file)
    with pytest.raises(UserError, match=r"is lost, though trials\.csv holds its trials"):
        run(study, plan)
    assert study.trials_file.read_bytes() == before


def test_a_file_that_another_program_has_locked(study, plan, monkeypatch):
    monkeypatch.setattr("coverslip.tuning.storage.PATIENCE", 0.05)
    run(study, plan, trials=4)
    other = sqlite3.connect(study.database_file, isolation_level=None)
    Fake.after = lambda batch: other.execute("BEGIN IMMEDIATE") if not other.in_transaction else None
    with pytest.raises(UserError, match="locked by another program"):
        run(study, plan, trials=8)
    other.execute("ROLLBACK")
    other.close()
    Fake.after = None
    assert run(study, plan, trials=8).height == 8


def test_a_short_lock_is_waited_out(study, plan, monkeypatch):
    monkeypatch.setattr("coverslip.tuning.storage.PATIENCE", 0.01)
    run(study, plan, trials=4)
    other = sqlite3.connect(study.database_file, isolation_level=None)
    steps = iter(["BEGIN IMMEDIATE", "SELECT 1", "ROLLBACK"])
    Fake.after = lambda batch: other.execute(next(steps, "SELECT 1"))
    assert run(study, plan, trials=8).height == 8
    other.close()
    own = optuna.load_study(study_name="coverslip", storage=f"sqlite:///{study.database_file}")
    assert own.trials[-1].state.is_finished()


def test_a_second_process_is_refused(study, plan):
    Fake.after = lambda batch: run(study, plan)
    with pytest.raises(UserError, match="another process works on the study"):
        run(study, plan)


def test_several_share_a_journal(study, plan):
    """The second search begins and ends in the middle of the first."""
    seen = []

    def after(batch):
        if not seen and Fake.checkpoint[0] == 2:
            seen.append(True)
            Fake.after = None
            seen.append(run(study, plan, trials=16, shared=True))

    Fake.after = after
    frame = run(study, plan, trials=24, shared=True)
    inner = seen[1]
    assert 0 in inner.filter(pl.col("state") == "running")["number"]
    assert frame.height == 24 and "running" not in set(frame["state"])
    opened = [number for plans in Fake.opened for number in plans]
    assert sorted(opened) == list(range(24))  # each trained by one


def test_a_shared_study_goes_on_after_one_was_killed(study, plan):
    Fake.after = kill_after(3)
    with pytest.raises(Killed):
        run(study, plan, trials=16, shared=True)
    with study.journal_file.open("ab") as file:
        file.write(b'{"op_code": 5, "tri')  # half a line
    Fake.after = None
    frame = run(study, plan, trials=16)
    assert frame.height == 16 and "running" not in set(frame["state"])


def test_epochs_cannot_be_searched(study, plan):
    with pytest.raises(UserError, match=r"training\.epochs"):
        run(study, plan, {"epochs": [5, 10]})
    assert not study.database_file.exists()


def test_hyperband_compares_some_often_some_once_and_some_never():
    assert comparisons(27) == (3, 9) and comparisons(1) == ()
    kinds = [bracket(number, 27) for number in range(1, 341)]
    assert [kinds.count(each) for each in ((3, 9), (9,), ())] == [180, 100, 60]
