import json
import re
from pathlib import Path

import pytest

from coverslip.reporting import write_report
from coverslip.reporting.checklist import checklist
from coverslip.reporting.methods import evaluation_sentence, methods_paragraphs
from coverslip.reporting.run_card import run_card
from coverslip.reporting.run_files import read_run

from .fake_run import NAMES, score, write_fake_run
from .page import Page

MODEL = {
    "network": "lite0",
    "temperature": 0.9134,
    "depth": "head",
    "l2": 0.003,
    "input": {
        "size": [192, 256],
        "fit": "crop",
        "channels": 1,
        "depth": "uint16",
        "mean": [0.5],
        "std": [0.25],
        "low": [3],
    },
    "weights": "39f1d5a4",
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = write_fake_run(tmp_path / "run", names=NAMES[:3], images=False)
    (folder / "model").mkdir()
    (folder / "model" / "model.json").write_text(json.dumps(MODEL), encoding="utf-8")
    settings = (folder / "experiment.toml").read_text("utf-8")
    settings = settings.replace("[head]", "[head]\nfolds = 5\nl2_values = [0.001, 0.003, 0.1]")
    (folder / "experiment.toml").write_text(settings, encoding="utf-8")
    return folder


def text(run: Path) -> str:
    return "\n".join(methods_paragraphs(read_run(run)))


def change(run: Path, **changes: object) -> None:
    test = json.loads((run / "test.json").read_text("utf-8"))
    (run / "test.json").write_text(json.dumps(test | changes), encoding="utf-8")


def test_the_methods_have_the_numbers_of_data_model_preprocessing_training_and_software(run: Path) -> None:
    methods = text(run)
    assert "2 files could not be read" in methods and "identified by column plant" in methods
    assert "at random (seed 1), stratified by class, with each group assigned to a single set" in methods
    assert "256 × 192 pixels" in methods and "(1 channel, 16 bits)" in methods and "percentiles" in methods
    assert "from 3 values between 0.001 and 0.1" in methods and "(selected: 0.003)" in methods
    assert "temperature of 0.913" in methods and "5-fold" in methods
    assert "Coverslip 0.1.0 (Python 3.12.3, PyTorch 2.8.0)" in methods


def test_every_score_has_the_value_interval_and_method_of_the_run(run: Path) -> None:
    accuracy = json.loads((run / "test.json").read_text("utf-8"))["scores"]["accuracy"]
    reported = f"Accuracy was {accuracy['value']:.3f} (95 % CI {accuracy['low']:.3f} to {accuracy['high']:.3f}; "
    assert reported + accuracy["method"] in evaluation_sentence(read_run(run))
    # Macro AUROC has no interval in the fake run.
    assert "macro AUROC was 0.981;" in evaluation_sentence(read_run(run))


def test_missing_facts_are_left_in_brackets_or_omitted(run: Path) -> None:
    assert "[by whom, where, when, with which equipment]" in text(run) and "[source of the weights]" in text(run)
    for name in ("model/model.json", "environment.json", "audit.json", "experiment.toml", "table.csv"):
        (run / name).unlink()
        text(run)
    assert re.fullmatch(r"Images were acquired \[.*\]\.\nThe model was evaluated.*", text(run))
    assert "None" not in text(run) and run_card(read_run(run)) == []


def test_a_custom_network_is_not_reported_as_randomly_initialized(run: Path) -> None:
    about = {"network": "own:Sequential", "depth": "all", "from_scratch": False, "own": True, "origin": "mine"}
    (run / "model" / "model.json").write_text(json.dumps(MODEL | about), encoding="utf-8")
    methods = text(run)
    assert "custom network (own:Sequential)" in methods and "random" not in methods.partition("Sequential")[2][:60]


def test_earlier_uses_of_the_test_set_are_reported_in_the_methods(run: Path) -> None:
    assert "scored" not in text(run)
    change(run, ledger=[{"run": "a"}, {"run": "b"}, {"run": "c"}])
    assert "had been scored 2 times before" in text(run)


def test_sets_and_familiarity_are_reported_with_their_calibration(run: Path) -> None:
    coverage = {"value": 0.914, "low": 0.87, "high": 0.95}
    change(
        run,
        sets={"asked": 0.9, "coverage": coverage, "calibrated_on": {"images": 60, "groups": 31}},
        familiarity={"flagged": {"value": 0.02, "low": 0.0, "high": 0.06}, "promised": 0.01},
    )
    methods = text(run)
    assert "calibrated on 60 validation images from 31 groups" in methods
    assert "coverage on the test set was 0.914 [0.870, 0.950]" in methods and "0.020 [0.000, 0.060]" in methods
    change(run, sets={"reason": "too few groups"}, familiarity=None)
    assert "flagged" not in text(run)


def test_an_evaluation_reports_neither_a_split_nor_a_training(run: Path) -> None:
    table = (run / "table.csv").read_text("utf-8")
    (run / "table.csv").write_text(re.sub(",(train|validation),", ",test,", table), encoding="utf-8")
    assert "divided into" not in text(run) and "was fitted to" not in text(run)
    assert "[were not used to train it]" in text(run)


def test_the_run_card_has_seeds_weights_and_seconds(run: Path) -> None:
    card = dict(run_card(read_run(run)))
    assert card["Random seeds"] == "split 1, training 1" and card["Hash of the frozen weights"] == "39f1d5a4"
    assert card["Total time (s)"] == "20.7"


@pytest.mark.parametrize("side", ["sensitivity", "specificity"])
def test_a_target_that_could_not_be_met_is_reported_as_such_everywhere(tmp_path: Path, side: str) -> None:
    run = write_fake_run(tmp_path / "two", names=NAMES[:2], images=False)
    threshold = {"class_name": NAMES[0], "value": 0.243, "chosen": side, "asked": 0.95, "why": "", "curve": {}}
    threshold |= {"sensitivity": score(1.0, 18, 18), "specificity": score(0.5, 18, 18), "calibrated_on": None}

    def reported(**more: object) -> list[str]:
        change(run, threshold=threshold | more)
        page = Page(write_report(run).read_text("utf-8")).text
        output = next(item.answer for item in checklist(read_run(run)) if item.key == "output")
        return [text(run), output, page]

    met = f"for a {side} of at least 0.95"
    assert all(met in place for place in reported(note=""))
    own, limit = (NAMES[0], "all of them are classified") if side == "sensitivity" else (NAMES[1], "none of them is")
    for place in reported(note="18 groups cannot guarantee 0.95"):
        assert f"needs at least 19 validation groups of {own}" in place and "0.947" in place
        assert limit in place and met not in place
    none = reported(note="no image", **{side: score(None, 0, 0)})
    assert all(f"there was no validation image of {own}, so 0.243 is used" in place for place in none)
