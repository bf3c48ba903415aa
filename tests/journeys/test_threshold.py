"""Two classes: all entry points use the stored decision threshold, and its consequences are reported."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib.text import Text
from PIL import Image

from coverslip import api
from coverslip.core.errors import UserError
from coverslip.core.runs import Run

STRICT = 0.7


@pytest.fixture(scope="module")
def spots(small_run, tmp_path_factory):
    """Two classes that differ in how many red spots there are, and overlap."""
    home = tmp_path_factory.mktemp("spots") / "spots"
    rng = np.random.default_rng(0)
    for name, mean in (("healthy", 6), ("rust", 12)):
        (home / name).mkdir(parents=True)
        for index in range(30):
            pixels = np.full((64, 64, 3), (60, 130, 50), np.uint8) + rng.integers(0, 12, (64, 64, 3), np.uint8)
            for y, x in rng.integers(2, 62, (rng.poisson(mean), 2)):
                pixels[y - 2 : y + 2, x - 2 : x + 2] = (170, 60, 30)
            Image.fromarray(pixels).save(home / name / f"{index:02d}.png")
    return home


@pytest.fixture(scope="module")
def runs(spots, tmp_path_factory):
    """A run with the default threshold, and one with a high threshold for rust."""
    home = tmp_path_factory.mktemp("two")
    plain = api.train(spots, home / "plain")
    return plain, api.train(spots, home / "strict", settings=[f"threshold.value={STRICT}"])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def predicted_at(rows, value):
    return pl.when(rows["p:rust"] >= value).then(pl.lit("rust")).otherwise(pl.lit("healthy"))


def test_the_default_predicts_the_more_probable_class_and_reports_its_operating_point(runs):
    model, test = (json.loads(file.read_text()) for file in (runs[0].model_file, runs[0].test_file))
    assert (model["threshold"]["class_name"], model["threshold"]["value"]) == ("rust", 0.5)
    assert model["threshold"]["sensitivity"]["images"] == 4 or model["threshold"]["sensitivity"]["value"] is not None
    assert test["scores"]["sensitivity"] == test["classes"]["rust"]["recall"]
    assert test["scores"]["specificity"] == test["classes"]["healthy"]["recall"]
    rows = pl.read_csv(runs[0].predictions_file)
    best = pl.when(rows["p:rust"] > rows["p:healthy"]).then(pl.lit("rust")).otherwise(pl.lit("healthy"))
    assert rows["predicted"].to_list() == rows.select(best).to_series().to_list()
    page = runs[0].report_file.read_text()
    for said in ('id="threshold"', "Sensitivity", "P(rust) ≥ 0.5", "a predicted probability of 0.5"):
        assert said in page, said


def test_all_entry_points_use_the_stored_threshold(coverslip, runs, spots):
    strict = runs[1]
    files = {"predict": "p.csv", "evaluate": "scored/predictions.csv"}
    coverslip("predict", strict.folder, spots, "--out", "p.csv").done()
    said = coverslip("evaluate", strict.folder, spots, "--out", "scored").done()
    assert "sensitivity" in said.out and f"decision threshold for 'rust': {STRICT:g}" in said.out
    frames = [pl.read_csv(file) for file in [*files.values(), strict.predictions_file]]
    frames.append(api.predict(strict.folder, [spots]))
    for rows in frames:
        expected = rows.select(predicted_at(rows, STRICT)).to_series()
        assert rows["predicted"].to_list() == expected.to_list()
        for row in rows.iter_rows(named=True):
            assert row["confidence"] == row[f"p:{row['predicted']}"]
    moved = pl.read_csv("p.csv").filter((pl.col("p:rust") >= 0.5) & (pl.col("p:rust") < STRICT))
    assert moved.height and set(moved["predicted"]) == {"healthy"}  # else this test shows nothing
    model = api.load(strict.folder)
    assert model.task.threshold.value == STRICT and model.task.predicted_classes(np.array([[0.4, 0.6]])).tolist() == [0]

    test, rows = json.loads(Path("scored/test.json").read_text()), frames[1]
    truth, called = rows["label"] == "rust", rows["predicted"] == "rust"
    assert test["scores"]["accuracy"]["value"] == pytest.approx((rows["label"] == rows["predicted"]).mean())
    assert test["scores"]["sensitivity"]["value"] == pytest.approx((truth & called).sum() / truth.sum())
    assert test["confusion"] == [
        [int((~truth & ~called).sum()), int((~truth & called).sum())],
        [int((truth & ~called).sum()), int((truth & called).sum())],
    ]
    assert test["scores"]["sensitivity"]["low"] is not None and test["threshold"]["value"] == STRICT


def test_predict_prints_a_threshold_that_is_not_the_default(coverslip, runs, spots):
    rule = f"decision threshold for 'rust': {STRICT:g}"
    assert rule in coverslip("predict", runs[1].folder, spots, "--out", "p.csv").done().err
    assert rule in coverslip("predict", runs[1].folder, min(spots.rglob("*.png"))).done().err
    plain = coverslip("predict", runs[0].folder, spots, "--out", "plain.csv").done()
    assert "decision threshold" not in plain.err  # the default: the more probable class is predicted
    assert Path("p.csv").read_text().splitlines()[0] == Path("plain.csv").read_text().splitlines()[0]


def test_the_service_reports_the_threshold_and_its_test_scores(runs, spots):
    testing = pytest.importorskip("fastapi.testclient")
    from coverslip.serving.app import create_app
    from coverslip.serving.server import ServeConfig, open_service

    test, file = json.loads(runs[1].test_file.read_text()), min(spots.rglob("*.png"))
    service = open_service(runs[1], ServeConfig(maps=False))
    try:
        client = testing.TestClient(create_app(service), base_url="http://127.0.0.1:8000")
        model = client.get("/v1/model").json()["threshold"]
        answered = client.post("/v1/predict", files={"files": (file.name, file.read_bytes())}).json()
    finally:
        service.close()
    assert model["measured_on"] == "test" and model["value"] == STRICT
    for side in ("sensitivity", "specificity"):
        assert {key: model[side][key] for key in ("value", "low", "high", "images")} == {
            key: test["scores"][side][key] for key in ("value", "low", "high", "images")
        }
    assert answered["threshold"] == {"class_name": "rust", "value": STRICT}


@pytest.mark.parametrize(("chosen", "measured"), [("value", "validation"), ("sensitivity", "fit")])
@pytest.mark.parametrize("left", ["untested", "another threshold", "no such scores"])
def test_without_a_test_of_the_threshold_the_scores_on_its_calibration_images_are_shown(
    runs, tmp_path, chosen, measured, left
):
    pytest.importorskip("pydantic")
    from coverslip.serving.card import model_card
    from coverslip.serving.limits import Limits

    run = Run(shutil.copytree(runs[1].folder, tmp_path / "run"))
    model, test = json.loads(run.model_file.read_text()), json.loads(run.test_file.read_text())
    model["threshold"]["chosen"] = chosen
    run.model_file.write_text(json.dumps(model))
    if left == "another threshold":
        test["threshold"]["value"] = 0.5
    elif left == "no such scores":
        del test["scores"]["specificity"]
    run.test_file.write_text(json.dumps({} if left == "untested" else test))
    found = json.loads(run.test_file.read_text())
    shown = model_card(api.load(run.folder), run, Limits(), found, maps=False, examples=False, warnings=[]).threshold
    assert shown.measured_on == measured
    assert shown.sensitivity.value == model["threshold"]["sensitivity"]["value"]


def test_two_thresholds_of_one_model_are_compared_by_their_predictions(runs):
    result = api.compare([run.folder for run in runs])["result"]
    accuracies = [
        (rows["label"] == rows["predicted"]).mean() for rows in map(pl.read_csv, (r.predictions_file for r in runs))
    ]
    assert [run["value"] for run in result["runs"]] == pytest.approx(accuracies)
    comparison = result["comparisons"][0]
    assert not comparison["identical"] or runs[0].predictions_file.read_bytes() == runs[1].predictions_file.read_bytes()


def test_the_map_is_that_of_the_predicted_class(runs, spots):
    rows = api.predict(runs[1].folder, [spots])
    moved = rows.filter((pl.col("p:rust") >= 0.5) & (pl.col("p:rust") < STRICT))["path"][0]
    shown = api.explain(runs[1].folder, [moved], "explained", trust=False)
    assert shown.images[0].predicted == "healthy" and shown.images[0].roles[0].endswith("predicted")
    limit = f"threshold for rust: {STRICT:g}"  # healthy is the less probable one, so the threshold is named beside it
    assert shown.images[0].decided == limit and f" ({limit})" in shown.images[0].summary
    assert any(limit in text.get_text() for text in shown.images[0].figure.findobj(Text))
    plain = rows.filter(pl.col("p:healthy") >= 0.5)["path"][0]
    sure = api.explain(runs[1].folder, [plain], "sure", trust=False).images[0]
    assert sure.decided == "" and "threshold" not in sure.summary


def test_a_model_without_a_threshold_predicts_the_most_probable_class(runs, spots, tmp_path):
    old = Run(shutil.copytree(runs[1].folder, tmp_path / "old"))
    model = json.loads(old.model_file.read_text())
    del model["threshold"]
    old.model_file.write_text(json.dumps(model))
    rows = api.predict(old.folder, [spots])
    assert api.load(old.folder).task.threshold is None
    assert rows["predicted"].to_list() == rows.select(predicted_at(rows, 0.5)).to_series().to_list()
    old.model_file.write_text(json.dumps(model | {"threshold": {"value": 2}}))
    with pytest.raises(UserError, match="is not a valid model"):
        api.load(old.folder)


def test_a_criterion_is_fitted_on_the_validation_set_and_stored_in_the_config(spots):
    run = api.train(spots, "asked", settings=["threshold.sensitivity=0.5", "threshold.positive=healthy"])
    threshold = json.loads(run.model_file.read_text())["threshold"]
    validation = pl.read_csv(run.table_file).filter(pl.col("split") == "validation")
    assert threshold["class_name"] == "healthy" and threshold["asked"] == 0.5 and threshold["chosen"] == "sensitivity"
    assert threshold["sensitivity"]["images"] == (validation["label"] == "healthy").sum()
    assert "sensitivity = 0.5" in run.experiment_file.read_text()
    assert "for a sensitivity of at least 0.5" in run.report_file.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "threshold.sensitivity=1.5"], ["not between 0 and 1"]),
        (["--set", "threshold.sensitivity=0.9", "--set", "threshold.value=0.5"], ["contradict", "one of the two"]),
        (["--set", "threshold.positive=rsut"], ["'rsut' is not a class", "'rust'"]),
        (["--set", "threshold.sensitivity=0.9", "--refit"], ["no images are left", "threshold.value"]),
        (["--set", "threshold.sensitvity=0.9"], ["sensitvity", "'sensitivity'"]),
    ],
)
def test_invalid_thresholds_are_refused(coverslip, spots, arguments, words):
    coverslip("train", spots, *arguments, "--out", "run").refused(*words)


def test_more_than_two_classes_have_no_threshold(coverslip, small_run, leaves):
    assert "threshold" not in json.loads(small_run.model_file.read_text())
    assert "threshold" not in json.loads(small_run.test_file.read_text())
    assert 'id="threshold"' not in small_run.report_file.read_text()
    coverslip("train", leaves, "--set", "threshold.value=0.3", "--out", "run").refused("two classes", "3")
