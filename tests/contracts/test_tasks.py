"""Every registered task goes through the commands; what a task does not support yet is refused in two lines."""

import json

import numpy as np
import polars as pl
import pytest
from tests.task_data import write_task_images

from coverslip import api
from coverslip.core.errors import UserError
from coverslip.inference.model_files import load_predictor
from coverslip.tasks import TASKS

OPTIONS = {  # task -> how its targets are read from the table of `write_task_images`
    "classification": {"label_column": "grade"},
    "ordinal": {"label_column": "grade", "order": ("low", "middle", "high")},
    "multilabel": {"label_column": "spots"},
    "regression": {"target": "share"},
}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_task_images(tmp_path_factory.mktemp("tasks") / "plants")


@pytest.fixture(scope="module", params=list(TASKS))
def run(request, table, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / request.param
    return api.train(table, out, group="plant", folds=3, **OPTIONS[request.param])


def test_the_task_is_named_in_the_model_and_in_the_test_result(run):
    task = load_predictor(run).task
    assert run.read_json(run.model_file)["task"] == run.read_json(run.test_file)["task"] == task.name
    assert type(task).from_json(json.loads(json.dumps(task.to_json()))) == task


def test_every_score_has_an_interval_or_a_reason(run):
    for name, score in run.read_json(run.test_file)["scores"].items():
        assert score["low"] is not None or score["reason"], name


def test_predictions_are_those_of_the_test_set(run, table):
    tested = pl.read_csv(run.predictions_file)
    again = api.predict(run.folder, [table.parent / path for path in tested["path"]])
    for column in again.columns:
        known = column != "target" and column in tested.columns  # the target of new images is unknown
        if known and again.schema[column] == tested.schema[column] == pl.Float64:
            np.testing.assert_allclose(again[column], tested[column], atol=1e-5, err_msg=column)


def test_an_unreadable_image_has_an_error_and_no_prediction(run, table, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    rows = api.predict(run.folder, [broken, table.parent / "images/000.png"])
    assert rows["error"].is_null().to_list() == [False, True]
    assert rows["predicted"].is_null().to_list() == [True, False]


def test_an_evaluation_on_the_test_images_gives_the_scores_of_the_run(run, table, tmp_path):
    rows = pl.read_csv(run.table_file).filter(pl.col("split") == "test")
    columns = ["path", "plant", "share", "grade", "spots"]
    given = pl.read_csv(table).filter(pl.col("path").is_in(rows["path"].implode())).select(columns)
    file = table.parent / f"{tmp_path.name}.csv"
    given.write_csv(file)
    task = load_predictor(run).task.name
    options = {name: value for name, value in OPTIONS[task].items() if name == "label_column"}
    found = api.evaluate(run.folder, file, tmp_path / "scored", group="plant", **options)
    before, after = run.read_json(run.test_file)["scores"], found.read_json(found.test_file)["scores"]
    for name, score in before.items():
        if score["value"] is not None:
            assert after[name]["value"] == pytest.approx(score["value"], abs=1e-6), name


def test_the_report_shows_every_score(run):
    from coverslip.reporting.wording import name_of_score

    page = run.report_file.read_text()
    for name in run.read_json(run.test_file)["scores"]:
        assert name_of_score(name)[0] in page, name
    assert run.read_json(run.repeats_file)["folds"]["k"] == 3


def test_what_a_task_does_not_support_is_refused_in_words(run, table, tmp_path):
    task = load_predictor(run).task.name
    assert api.compare([run.folder, run.folder])["result"]["comparisons"][0]["identical"]
    if task == "classification":
        return
    image = [table.parent / "images/000.png"]
    for call in (
        lambda: api.export(run.folder, tmp_path / "file"),
        lambda: api.explain(run.folder, image, tmp_path / "maps"),
        lambda: api.tune(api.configure(table, group="plant", **OPTIONS[task]), tmp_path / "study"),
    ):
        with pytest.raises(UserError, match=task):
            call()
    assert not (tmp_path / "file").exists()


def test_runs_of_different_tasks_are_not_compared(table, tmp_path):
    runs = [
        api.train(table, tmp_path / task, group="plant", **OPTIONS[task]).folder
        for task in ("classification", "regression")
    ]
    with pytest.raises(UserError, match="'classification', and 'regression' of 'regression'"):
        api.compare(runs)


@pytest.mark.parametrize("task", list(TASKS))
def test_every_task_trains_with_the_loop(task, table, tmp_path):
    options = {"group": "plant", "model_network": "cnn", "input_size": 32, "training_epochs": 8, **OPTIONS[task]}
    run = api.train(table, tmp_path / "run", model_depth="all", training_lr=0.003, **options)
    history = pl.read_csv(run.history_file)
    assert history["train_loss"][-1] < history["train_loss"][0]
    assert (history["validation_accuracy"].null_count() == 0) == (task != "regression")
    assert len(api.predict(run.folder, [table.parent / "images/000.png"])) == 1
    first = load_predictor(run).task.shown[0]
    assert run.read_json(run.test_file)["scores"][first]["value"] is not None


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("regression", {"training_loss": "focal"}, "'focal' does not suit the task 'regression'"),
        ("classification", {"training_loss": "huber"}, "'huber' does not suit the task 'classification'"),
        ("regression", {"training_label_smoothing": 0.2}, "label smoothing does not apply"),
        ("ordinal", {"training_balance": "weights"}, "balance of classes does not apply"),
        ("multilabel", {"model_depth": "auto"}, "depth 'auto' compares classifiers"),
        ("ordinal", {"threshold_value": 0.4}, "a decision threshold needs two classes"),
        ("multilabel", {"threshold_sensitivity": 0.9}, "a decision threshold needs two classes"),
    ],
)
def test_settings_of_another_task_are_refused(task, options, message, table, tmp_path):
    with pytest.raises(UserError, match=message):
        api.train(table, tmp_path / "run", **({"model_depth": "tail"} | options | OPTIONS[task]))


def test_one_threshold_for_all_labels(table, tmp_path):
    run = api.train(table, tmp_path / "run", group="plant", threshold_value=0.3, **OPTIONS["multilabel"])
    assert set(run.read_json(run.test_file)["thresholds"].values()) == {0.3}
