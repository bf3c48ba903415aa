"""Evidence beyond the score: prediction sets, familiarity, comparison, the ledger, the checklist."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from coverslip import api


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def copy_of_run(small_run, tmp_path):
    return shutil.copytree(small_run.folder, tmp_path / "copy")


def test_every_prediction_has_a_set_and_a_familiarity_flag(coverslip, small_run, leaves, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    trained = pl.read_csv(small_run.table_file).filter(pl.col("split") == "train")["path"][0]
    coverslip("predict", small_run.folder, tmp_path / "noise.png", leaves.parent / trained, "--out", "p.csv").done()
    rows = {row["path"].rpartition("/")[2]: row for row in pl.read_csv("p.csv").iter_rows(named=True)}
    known, unknown = rows[trained.rpartition("/")[2]], rows["noise.png"]
    assert (known["familiar"], unknown["familiar"]) == (True, False)
    assert known["nearest"].split(" | ")[0] == trained  # its nearest training image is itself
    assert known["label"] is None and known["predicted"] in known["set"].split(" | ")


def test_sets_and_familiarity_are_calibrated_on_the_validation_set(small_run):
    model = json.loads(small_run.model_file.read_text())
    table = pl.read_csv(small_run.table_file)
    validation = table.filter(pl.col("split") == "validation")
    assert model["trust"]["calibrated_on"] == {"images": validation.height, "groups": validation["group"].n_unique()}
    assert set(model["trust"]["references"]) == set(table.filter(pl.col("split") == "train")["path"])
    test = json.loads(small_run.test_file.read_text())
    assert test["sets"]["asked"] == 0.9 and test["sets"]["coverage"]["images"] == test["images"]
    assert test["familiarity"]["rough"] is True  # three leaves are too few for a rate of 1 %


def test_the_calibration_error_has_the_same_interval_everywhere(small_run):
    test = json.loads(small_run.test_file.read_text())
    reported, score = test["calibration"]["report"]["ece"]["after"], test["scores"]["ece"]
    assert score == {key: value for key, value in reported.items() if key != "likely"}


def test_with_refit_nothing_is_left_for_calibration(leaves):
    run = api.train(leaves, "run", split_refit=True)
    test = json.loads(run.test_file.read_text())
    assert test["sets"] is None and test["familiarity"] is None
    assert set(pl.read_csv(run.predictions_file, infer_schema=False)["set"]) <= {None, ""}


def test_every_image_is_ranked_by_label_error_and_none_is_dropped(small_run):
    ranked, table = pl.read_csv(small_run.label_errors_file), pl.read_csv(small_run.table_file)
    assert set(ranked["path"]) == set(table["path"]) and ranked["suspect"].to_list() == sorted(
        ranked["suspect"], reverse=True
    )
    assert dict(ranked.select("path", "part").rows()) == dict(table.select("path", "split").rows())


def test_using_a_test_set_with_several_settings_is_reported(leaves, empty_cache):
    for number, seed in enumerate((0, 0, 1)):
        run = api.train(leaves, f"run-{number}", training_seed=seed)
        ledger = json.loads(run.ledger_file.read_text())
        assert [entry["run"] for entry in ledger["scorings"]] == [f"run-{index}" for index in range(number + 1)]
        assert bool(ledger["warning"]) == (seed == 1)
        assert (ledger["warning"][1:] in run.report_file.read_text()) == (seed == 1) or not ledger["warning"]


def test_a_run_is_compared_with_itself(coverslip, small_run, copy_of_run):
    said = coverslip("compare", small_run.folder, copy_of_run).done()
    assert "same" in said.out or "identical" in said.out
    assert "[0.000, 0.000]" not in said.out


def test_two_runs_are_compared_on_the_same_images_with_a_page(coverslip, small_run, leaves):
    api.train(leaves, "other", head_l2_values=(1.0,))
    said = coverslip("compare", small_run.folder, "other", "--score", "log_loss", "--out", "comparison").done()
    content = json.loads(Path("comparison/comparison.json").read_text())
    assert content["result"]["comparisons"][0]["sentence"] in said.out
    assert content["shared"]["images"] == 6 and Path("comparison/comparison.html").read_text().startswith(
        "<!doctype html>"
    )


def test_runs_with_different_test_images_are_compared_on_the_shared_ones(coverslip, small_run, leaves):
    api.train(leaves, "other", split_seed=5)
    coverslip("compare", small_run.folder, "other").refused("did not test the same images", "--shared")
    said = coverslip("compare", small_run.folder, "other", "--shared")
    assert (said.code == 0 and "was trained on" not in said.out) or "no test image in common" in said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["RUN"], ["two runs"]),
        (["RUN", "nowhere"], ["there is no run", "nowhere"]),
        (["RUN", "COPY", "--score", "acuracy"], ["'acuracy'", "'accuracy'"]),
        (["RUN", "COPY", "--smallest", "0"], ["--smallest", "0.02"]),
        (["RUN", "UNFINISHED"], ["no test result", "finished"]),
    ],
)
def test_invalid_comparisons_are_refused(coverslip, small_run, copy_of_run, tmp_path, arguments, words):
    unfinished = shutil.copytree(copy_of_run, tmp_path / "unfinished")
    (unfinished / "test.json").unlink()
    places = {"RUN": small_run.folder, "COPY": copy_of_run, "UNFINISHED": unfinished}
    coverslip("compare", *[places.get(argument, argument) for argument in arguments]).refused(*words)


def test_runs_with_different_classes_or_labels_are_not_compared(coverslip, small_run, copy_of_run):
    predictions = pl.read_csv(copy_of_run / "predictions.csv", infer_schema=False)
    classes = [name for name in predictions.columns if name.startswith("p:")]
    predictions.rename({classes[0]: "p:other"}).write_csv(copy_of_run / "predictions.csv")
    coverslip("compare", small_run.folder, copy_of_run).refused("different classes")
    relabeled = predictions.with_columns(pl.lit(classes[0][2:]).alias("label"))
    relabeled.write_csv(copy_of_run / "predictions.csv")
    coverslip("compare", small_run.folder, copy_of_run).refused("different labels")


def test_an_evaluation_has_the_same_evidence_as_a_test(coverslip, small_run, leaves):
    coverslip("evaluate", small_run.folder, leaves, "--out", "again").done()
    test = json.loads(Path("again/test.json").read_text())
    assert test["sets"]["coverage"]["images"] == 36 and test["calibration"]["temperature"] > 0
    assert {"condition", "species"} & set(test["subgroups"])


def test_answers_of_the_user_are_added_to_the_report(coverslip, copy_of_run):
    coverslip("report", copy_of_run, "--set", "answers.toml").refused("template was written")
    lines = Path("answers.toml").read_text().splitlines()
    key = next(line for line in lines if line.startswith("# ") and line.endswith('= ""'))[2:].split(" = ")[0]
    with Path("answers.toml").open("a") as file:
        file.write(f'{key} = "Two of us labelled each leaf <b>blindly</b>."\n')
    coverslip("report", copy_of_run, "--set", "answers.toml").done()
    page = (copy_of_run / "report.html").read_text()
    assert "Two of us labelled each leaf &lt;b&gt;blindly" in page and "<b>blindly" not in page
    with Path("answers.toml").open("a") as file:
        file.write('ethisc = "none"\n')
    coverslip("report", copy_of_run, "--set", "answers.toml").refused("ethisc")
