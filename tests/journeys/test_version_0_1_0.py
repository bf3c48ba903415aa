"""Run folders of version 0.1.0 (tests/data/version_0_1_0) give the same results as with version 0.1.0."""

import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

import coverslip as package
from coverslip.core.renamed import upgrade_json

DATA = Path(__file__).parents[1] / "data" / "version_0_1_0"
EXPECTED = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))
RUNS = ("head", "tail", "two_classes")
GROUP = r"[a-z_]+_leaf\d+"
NEW = {"head": ("new", GROUP), "tail": ("new", GROUP), "two_classes": ("new_two_classes.csv", "plant")}
ROUNDED = 1.5e-6  # predictions.csv has six decimals: 1e-6 plus rounding


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Copy the data once for all tests, which read runs and may write their pages."""
    return Path(shutil.copytree(DATA, tmp_path_factory.mktemp("version_0_1_0") / "copy"))


@pytest.fixture(autouse=True)
def working_directory(copy, monkeypatch):
    monkeypatch.chdir(copy)


def same_predictions(rows, expected):
    """Compare a table of predictions with those of version 0.1.0: labels, probabilities, sets, familiarity."""
    assert {Path(path).name for path in rows["path"]} == set(expected)
    for row in rows.iter_rows(named=True):
        old = expected[Path(row["path"]).name]
        assert row["predicted"] == old["label"]
        assert row["confidence"] == pytest.approx(old["confidence"], abs=ROUNDED)
        for name, probability in old["probabilities"].items():
            assert row[f"p:{name}"] == pytest.approx(probability, abs=ROUNDED)
        assert row["set"].split(" | ") == old["set"] and row["familiar"] == old["familiar"]
        assert {Path(path).name for path in row["nearest"].split(" | ")} == set(old["nearest"])


def same_scores(test, expected):
    """Compare the content of a test.json with that of version 0.1.0: scores, intervals, confusion matrix."""
    assert (test["images"], test["groups"]) == (expected["images"], expected["groups"])
    assert test["confusion"] == expected["confusion"] and set(test["scores"]) == set(expected["scores"])
    for name, numbers in expected["scores"].items():
        score = [test["scores"][name][key] for key in ("value", "low", "high")]
        assert score == [number if number is None else pytest.approx(number, abs=1e-6) for number in numbers], name


def numbers_of(page):
    """Return the numbers in tables, facts and figures of a page, like ``make.py`` in the folder of the data."""
    cells = re.findall(r"<(?:td|dd|text)\b[^>]*>(.*?)</(?:td|dd|text)>", page.read_text("utf-8"), re.S)
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in cells)
    return set(re.findall(r"(?<![\w.])[-−]?\d+(?:[.,]\d+)*(?!\w)", text))


def test_the_expected_results_are_those_of_the_stored_runs():
    for run in RUNS:
        same_scores(json.loads((DATA / run / "test.json").read_text("utf-8")), EXPECTED[run]["test"])
        same_predictions(pl.read_csv(DATA / run / "predictions.csv"), EXPECTED[run]["test_predictions"])
    assert sum(file.stat().st_size for file in DATA.rglob("*") if file.is_file()) < 3_000_000


@pytest.mark.parametrize("run", RUNS)
def test_its_report_shows_the_same_numbers(coverslip, run):
    coverslip("report", run).done()
    missing = set(EXPECTED[run]["report_numbers"]) - numbers_of(Path(run) / "report.html")
    assert not missing


@pytest.mark.parametrize("run", RUNS)
def test_its_report_has_the_methods_of_its_training_with_current_names_of_settings(run):
    from coverslip.reporting.methods import methods_paragraphs
    from coverslip.reporting.run_files import read_run

    files = read_run(run)
    assert files.audit["images"] == files.audit["read"]
    assert run == "head" or "lr" in files.history
    text = "\n".join(methods_paragraphs(files))
    assert ("maximum 0.01" in text) == (run != "head") and ("from 8 values" in text) == (run == "head")


def test_the_keys_of_an_explanation_are_read_under_their_current_names():
    item = {"path": "a.jpg", "picture": "pictures/0001.jpg"}
    old = {
        "pictures": [{"name": "a"}],
        "review": {"pictures": 3, "looked_away": [item], "clusters": [{"items": [item]}]},
    }
    new = upgrade_json("explain.json", old)
    assert new["images"] == [{"name": "a"}] and new["review"]["images"] == 3
    assert new["review"]["looked_away"][0]["image"] == "pictures/0001.jpg"
    assert new["review"]["clusters"][0]["items"][0]["image"] == "pictures/0001.jpg"


@pytest.mark.parametrize("run", RUNS)
def test_it_predicts_the_same(coverslip, run, tmp_path):
    coverslip("predict", run, "new", "--out", tmp_path / "predictions.csv").done()
    same_predictions(pl.read_csv(tmp_path / "predictions.csv"), EXPECTED[run]["predict"])
    same_predictions(package.predict(run, ["new"]), EXPECTED[run]["predict"])


@pytest.mark.parametrize("run", RUNS)
def test_its_test_images_get_the_same_predictions(run):
    expected = EXPECTED[run]["test_predictions"]
    files = sorted(file for file in Path("images").rglob("*.jpg") if file.name in expected)
    same_predictions(package.predict(run, files), expected)


@pytest.mark.parametrize("run", RUNS)
def test_it_is_evaluated_the_same(run, tmp_path):
    source, group = NEW[run]
    scored = package.evaluate(run, source, tmp_path / "scored", group=group)
    same_scores(json.loads(scored.test_file.read_text("utf-8")), EXPECTED[run]["evaluate"])


def test_two_runs_are_compared_the_same(coverslip, tmp_path):
    coverslip("compare", "head", "tail", "--out", tmp_path / "compared").done()
    written = json.loads((tmp_path / "compared" / "comparison.json").read_text("utf-8"))["result"]
    for result in (written, package.compare(["head", "tail"])["result"]):
        assert (result["images"], result["groups"]) == (EXPECTED["compare"]["images"], EXPECTED["compare"]["groups"])
        (pair,) = result["comparisons"]
        for name in ("difference", "low", "high", "p", "needed"):
            assert pair[name] == pytest.approx(EXPECTED["compare"][name], abs=1e-6), name


@pytest.mark.parametrize("run", RUNS)
def test_it_is_served_with_the_same_answers(run):
    testing = pytest.importorskip("fastapi.testclient")
    from coverslip.core.runs import Run
    from coverslip.serving.app import create_app
    from coverslip.serving.server import ServeConfig, open_service

    files = sorted(Path("new").rglob("*.jpg"))
    service = open_service(Run.open(run), ServeConfig(maps=False))
    try:
        client = testing.TestClient(create_app(service), base_url="http://127.0.0.1:8000")
        model = client.get("/v1/model").json()
        sent = [("files", (file.name, file.read_bytes())) for file in files]
        answered = client.post("/v1/predict", files=sent).json()
    finally:
        service.close()
    (answers,) = (value for value in answered.values() if isinstance(value, list))
    for file, answer in zip(files, answers, strict=True):
        old = EXPECTED[run]["predict"][file.name]
        assert answer["label"] == old["label"] and answer["familiar"] == old["familiar"]
        assert answer["probabilities"] == pytest.approx(old["probabilities"], abs=ROUNDED)
        assert answer["set"] == old["set"]
    if run == "two_classes":
        threshold = EXPECTED[run]["threshold"]
        assert threshold["class"] in answered["threshold"].values()
        assert model["threshold"]["value"] == pytest.approx(threshold["value"], abs=1e-6)


def test_it_is_exported_with_the_same_answers(coverslip, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    coverslip("export", "two_classes", "--out", tmp_path / "exported", "--images", "new").done()
    session = runtime.InferenceSession(str(tmp_path / "exported" / "model.onnx"), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    for file in sorted(Path("new").rglob("*.jpg")):
        pixels = np.asarray(Image.open(file).convert("RGB"))[None]
        answer = dict(zip(names, session.run(None, {session.get_inputs()[0].name: pixels}), strict=True))
        old = EXPECTED["two_classes"]["predict"][file.name]
        expected = list(old["probabilities"].values())
        np.testing.assert_allclose(answer["probabilities"][0], expected, atol=1e-3)  # resizing may round differently
        assert list(old["probabilities"])[int(answer["label"][0])] == old["label"]


@pytest.mark.parametrize("config", ["head/experiment.toml", "tail/experiment.toml", "two_classes/experiment.toml"])
def test_its_config_can_be_trained_again(coverslip, config):
    coverslip("train", config, "--dry-run").done()


def test_its_config_trained_again_gives_the_same_predictions(coverslip, tmp_path):
    """Split, views, weights and penalty are those of the old config; only the temperature is fitted differently now."""
    coverslip("train", "head/experiment.toml", "--out", tmp_path / "again").done()
    test, expected = json.loads((tmp_path / "again" / "test.json").read_text("utf-8")), EXPECTED["head"]["test"]
    for name in ("images", "groups", "confusion"):
        assert test[name] == expected[name], name


def test_its_study_is_reported_and_its_best_trial_is_a_config(coverslip, copy):
    pytest.importorskip("optuna")
    before = json.loads((copy / "study" / "study.json").read_text("utf-8"))
    coverslip("tune", "--resume", "study").done()
    assert not set(EXPECTED["study"]["report_numbers"]) - numbers_of(copy / "study" / "tune.html")
    after = json.loads((copy / "study" / "study.json").read_text("utf-8"))
    assert after["best"]["number"] == before["best"]["number"] == EXPECTED["study"]["best"]
    trials = pl.read_csv(copy / "study" / "trials.csv")
    assert trials["state"].to_list() == [trial["state"] for trial in EXPECTED["study"]["trials"]]
    for column, name in (("validation_loss", "loss"), ("validation_accuracy", "accuracy")):
        assert trials[column].to_list() == pytest.approx(
            [trial[name] for trial in EXPECTED["study"]["trials"]], abs=1e-6
        )
    coverslip("train", "study/best.toml", "--dry-run").done()
