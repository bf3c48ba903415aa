"""Studies on synthetic leaves: results, interruptions, resuming, and no use of the test set."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import polars as pl
import pytest

import coverslip
from coverslip.api import resume_study
from coverslip.core.errors import UserError

SMALL = {"model_network": "mlp", "model_hidden": (8,), "input_size": 32, "training_epochs": 4, "augment": "none"}
SPACE = {"lr": "1e-4..0.01:log", "weight_decay": "1e-4..1:log", "batch_size": [16, 32]}


@pytest.fixture(scope="module")
def many_leaves(tmp_path_factory):
    """160 images of 160 leaves, 2 classes, 32 pixels: 12 groups for selection."""
    return coverslip.leaves(tmp_path_factory.mktemp("many") / "leaves", classes=2, leaves=80, shots=1, size=32)


@pytest.fixture(scope="module")
def searched(many_leaves, tmp_path_factory):
    """A search of 12 trials; tests do not modify it."""
    return coverslip.tune(
        many_leaves, tmp_path_factory.mktemp("studies") / "search", trials=12, together=6, space=SPACE, **SMALL
    )


def test_a_search_compares_the_best_trial_with_the_default_and_corrects_for_selection(searched):
    summary, trials = searched.summary, searched.trials
    assert summary["state"] == "finished" and trials.height == 12
    assert trials["role"][0] == "default" and summary["default"]["number"] == 0
    finished = trials.filter(pl.col("state") == "finished")
    assert summary["best"]["validation_loss"] == pytest.approx(finished["validation_loss"].min(), rel=1e-4)
    if summary["luck"]["trials"] > 1:
        assert summary["luck"]["corrected"]["value"] <= summary["luck"]["accuracy"]["value"] + 0.1
    assert "default" in summary["compared"]["sentence"]
    assert searched.page_file.stat().st_size > 10_000


def test_the_best_config_can_be_trained_and_its_report_mentions_the_study(searched, tmp_path):
    config = searched.best_experiment
    best = searched.summary["best"]["values"]
    assert config.training.lr == pytest.approx(best["training.lr"]) and config.tuned.trials >= 1
    run = coverslip.train(config, tmp_path / "run")
    page = run.report_file.read_text(encoding="utf-8")
    assert "Hyperparameters were selected in a search" in page and "test accuracy" in page


def test_a_stacked_trial_equals_the_run_of_its_config(searched, tmp_path):
    """The validation loss of every epoch is the same, whether trained in a stack or alone."""
    trials = searched.trials.filter(pl.col("state") == "finished")
    best = searched.summary["best"]["number"]
    assert trials.height > 1
    run = coverslip.train(searched.best_experiment, tmp_path / "run")
    alone = pl.read_csv(run.history_file)["validation_loss"].to_list()
    stacked = searched.curves.filter(pl.col("number") == best)["validation_loss"].to_list()
    assert alone == pytest.approx(stacked, abs=1e-3)


def test_no_trial_reads_a_test_image(many_leaves, tmp_path, monkeypatch):
    from coverslip.data import split
    from coverslip.training.inputs import ImageInputs

    used, original = set(), ImageInputs.take

    def take(self, rows, epoch, device):
        used.update(self.rows[rows].tolist())
        return original(self, rows, epoch, device)

    monkeypatch.setattr(ImageInputs, "take", take)
    coverslip.tune(many_leaves, tmp_path / "study", sweep=["lr=1e-3,1e-2"], **SMALL)
    table = split.split_table(coverslip.scan(many_leaves), (0.7, 0.15, 0.15), 0)
    assert used and not used & set(table.rows("test"))


def test_a_sweep_trains_every_combination_and_diverged_trials_do_not_affect_others(many_leaves, tmp_path):
    options = SMALL | {"training_optimizer": "sgd"}
    both = coverslip.tune(many_leaves, tmp_path / "both", sweep=["lr=1e-2,1e30", "batch_size=16,32"], **options)
    alone = coverslip.tune(many_leaves, tmp_path / "alone", sweep=["batch_size=16,32"], training_lr=1e-2, **options)
    failed = both.trials.filter(pl.col("state") == "failed")
    assert failed["training.lr"].to_list() == [1e30, 1e30] and failed["why"][0]
    kept = both.trials.filter(pl.col("training.lr") == 1e-2).sort("training.batch_size")
    solo = alone.trials.sort("training.batch_size")
    assert kept["validation_loss"].to_list() == pytest.approx(solo["validation_loss"].to_list(), abs=1e-5)
    assert both.summary["kind"] == "sweep" and both.summary["trials"]["failed"] == 2


def test_repeats_of_the_best_trial_measure_the_effect_of_the_seed(many_leaves, tmp_path):
    study = coverslip.tune(many_leaves, tmp_path / "study", sweep=["lr=1e-3,1e-2"], repeats=2, **SMALL)
    repeats = study.summary["repeats"]
    best = study.trials.filter(pl.col("number") == study.summary["best"]["number"])
    assert repeats["number"] == 2 and repeats["chosen"] == pytest.approx(best["validation_accuracy"][0])
    assert study.trials.height == 2  # repeats are not trials
    assert repeats["sentence"] in study.sentences
    words = repeats["sentence"].split(";")[0]
    assert words[1:] in study.page_file.read_text(encoding="utf-8")


def test_one_at_a_time_keeps_the_rules_of_thumb_unless_a_change_is_significantly_better(many_leaves, tmp_path):
    options = {"model_network": "linear", "input_size": 32, "training_epochs": 3, "augment": "none"}
    study = coverslip.tune(many_leaves, tmp_path / "steps", one_at_a_time=True, **options)
    summary = study.summary
    keys = [step["key"] for step in summary["steps"]]
    assert keys[:2] == ["training.lr", "training.batch_size"] and "model.hidden" not in keys
    chosen = {step["key"]: step["chosen"] for step in summary["steps"]}
    assert summary["best"]["values"] == chosen
    for step in summary["steps"]:
        moved = step["chosen"] != study.trials.filter(pl.col("number") == 0)[step["key"]][0]
        assert not moved or "better" in step["sentence"] or "could not be trained" in step["sentence"]


COMMAND = [sys.executable, "-m", "coverslip", "tune"]
OPTIONS = ["--model", "mlp", "--set", "input.size=32", "--set", "model.hidden=[8]", "--trials", "16"]
SPACE_FILE = """
[training]
lr = "1e-4..0.01:log"
weight_decay = "1e-4..1:log"
batch_size = [16, 32]
"""


def start_search(source, folder, epochs=5000):
    """Start the command in a separate process, and return when it has trained a few epochs."""
    space = folder.with_suffix(".toml")
    space.write_text(SPACE_FILE, encoding="utf-8")
    options = [*OPTIONS, "--augment", "none", "--space", str(space), "--epochs", str(epochs)]
    process = subprocess.Popen(
        [*COMMAND, str(source), "--out", str(folder), *options], stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 50
    while time.monotonic() < end and process.poll() is None:
        file = folder / "curves.csv"
        if file.exists() and len(file.read_text(encoding="utf-8").splitlines()) > 20:
            return process
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"nothing was trained: {process.communicate()[1]}")


def test_a_killed_search_is_resumed_to_the_same_result(many_leaves, tmp_path):
    process = start_search(many_leaves, tmp_path / "killed", epochs=150)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    study = resume_study(tmp_path / "killed")
    options = SMALL | {"training_epochs": 150}
    whole = coverslip.tune(many_leaves, tmp_path / "whole", trials=16, space=SPACE, **options)
    columns = ["number", "state", "epochs", "training.lr"]
    assert study.trials.select(columns).equals(whole.trials.select(columns))
    assert study.trials["validation_loss"].to_list() == pytest.approx(
        whole.trials["validation_loss"].to_list(), abs=1e-6
    )


def test_ctrl_c_prints_the_command_to_resume(many_leaves, tmp_path):
    process = start_search(many_leaves, tmp_path / "stopped")
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=30)[1]
    assert process.returncode == 130 and "coverslip tune --resume" in errors
    summary = json.loads((tmp_path / "stopped" / "study.json").read_text(encoding="utf-8"))
    assert summary["state"] == "interrupted" and "--resume" in summary["next"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"sweep": ["learning_rat=1,2"]}, "learning_rat"),
        ({"sweep": ["lr=1..1"]}, "empty range"),
        ({"sweep": ["lr=0..1:log"]}, "no logarithm"),
        ({"sweep": ["batch_size=32"]}, "single value"),
        ({"sweep": ["lr=1e-3,1e-2"], "one_at_a_time": True}, "two kinds"),
        ({"space": {"lr": 0.1}}, "single value"),
        ({"nested": 1}, "2 folds"),
        ({"repeats": -1}, "negative"),
        ({"trials": 1}, "trials=1"),
        ({"model_depth": "auto", "model_network": "efficientnet-lite0"}, "same depth"),
        ({"split_refit": True}, "--refit"),
        ({"sweep": ["dropout=0,0.5"], "model_network": "linear", "model_hidden": ()}, "dropout"),
    ],
)
def test_invalid_studies_are_refused_and_leave_nothing_behind(many_leaves, tmp_path, options, problem):
    with pytest.raises(UserError, match=re.escape(problem)):
        coverslip.tune(many_leaves, tmp_path / "study", **{**SMALL, **options})
    assert not (tmp_path / "study").exists()


def test_resuming_with_other_images_is_refused(many_leaves, tmp_path):
    study = coverslip.tune(many_leaves, tmp_path / "study", sweep=["lr=1e-3,1e-2"], **SMALL)
    other = coverslip.leaves(tmp_path / "other", classes=2, leaves=70, shots=1, size=32, seed=3)
    file = study.folder / "experiment.toml"
    text = re.sub('source = ".*"', f'source = "{other}"', file.read_text(encoding="utf-8"))
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="was started with other"):
        resume_study(study.folder)


def test_too_few_groups_for_selection_are_refused(leaves, tmp_path):
    with pytest.raises(UserError, match="too few"):
        coverslip.tune(leaves, tmp_path / "study", sweep=["lr=1e-3,1e-2"], **SMALL)


def test_a_second_process_in_one_study_is_refused(many_leaves, tmp_path):
    process = start_search(many_leaves, tmp_path / "busy")
    try:
        with pytest.raises(UserError, match="another process"):
            resume_study(tmp_path / "busy")
    finally:
        process.kill()
        process.communicate()


def test_a_stack_with_pruned_lanes_is_resumed_after_a_kill_with_the_others(many_leaves, tmp_path):
    """Pruned trials do not return, and the others end as in an undisturbed study."""
    from coverslip.tuning.batch import Batch
    from coverslip.tuning.data import StudyData
    from coverslip.tuning.keys import with_value

    config = coverslip.configure(many_leaves, **SMALL | {"training_precision": "float32"})
    study_data = StudyData(config)
    configs = {number: with_value(config, "training.lr", lr) for number, lr in enumerate((1e-4, 1e-3, 3e-3, 1e-2))}

    def losses(batch):
        return {report.number: report.validation_loss for report in batch.advance()}

    whole = Batch(study_data, configs, tmp_path / "whole")
    for _ in range(3):
        expected = losses(whole)
    first = Batch(study_data, configs, tmp_path / "killed")
    losses(first)
    first.stop([0, 2])
    losses(first)  # saves the previous epoch; then the process is killed
    again = Batch(study_data, {number: configs[number] for number in (1, 3)}, tmp_path / "killed")
    assert sorted(again.running) == [1, 3]
    losses(again)
    resumed = losses(again)
    assert resumed == pytest.approx({number: expected[number] for number in (1, 3)}, abs=1e-6)
