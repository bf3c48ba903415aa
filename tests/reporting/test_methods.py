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
    "strength": 0.003,
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
    settings += "folds = 5\nstrengths = [0.001, 0.003, 0.1]\nrefit = false\n"
    (folder / "experiment.toml").write_text(settings, encoding="utf-8")
    return folder


def text(run: Path) -> str:
    return "\n".join(methods_paragraphs(read_run(run)))


def change(run: Path, **changes: object) -> None:
    test = json.loads((run / "test.json").read_text("utf-8"))
    (run / "test.json").write_text(json.dumps(test | changes), encoding="utf-8")


def test_the_methods_name_data_model_preparation_training_and_software_with_the_numbers_of_the_run(run: Path) -> None:
    said = text(run)
    assert "2 files could not be read" in said and "told by column plant" in said
    assert "by chance (seed 1), with every group in one part only" in said
    assert "resized to 256 × 192 pixels" in said and "1 channel of 16 bits" in said and "percentiles" in said
    assert "the one of 3 (0.001 to 0.1)" in said and "0.003 was chosen" in said and "temperature of 0.913" in said
    assert "Coverslip 0.1.0 was used (Python 3.12.3, PyTorch 2.8.0)" in said


def test_every_score_has_the_value_and_the_interval_of_the_run_and_its_method(run: Path) -> None:
    accuracy = json.loads((run / "test.json").read_text("utf-8"))["scores"]["accuracy"]
    said = f"Accuracy was {accuracy['value']:.3f} (95 % interval {accuracy['low']:.3f} to {accuracy['high']:.3f}; "
    assert said + accuracy["method"] in evaluation_sentence(read_run(run))
    # The fake run gives macro AUROC no interval: none may appear.
    assert "macro AUROC was 0.981;" in evaluation_sentence(read_run(run))


def test_what_the_files_do_not_say_is_left_to_be_filled_in_and_never_made_up(run: Path) -> None:
    assert "[by whom, where, when, with what]" in text(run) and "[source of the weights]" in text(run)
    for name in ("model/model.json", "environment.json", "audit.json", "experiment.toml", "table.csv"):
        (run / name).unlink()
        text(run)
    assert re.fullmatch(r"The images were taken \[.*\]\.\nThe model was tested.*", text(run))
    assert "None" not in text(run) and run_card(read_run(run)) == []


def test_a_network_of_ones_own_is_not_said_to_have_started_from_chance(run: Path) -> None:
    about = {"network": "own:Sequential", "depth": "all", "from_scratch": False, "own": True, "origin": "mine"}
    (run / "model" / "model.json").write_text(json.dumps(MODEL | about), encoding="utf-8")
    said = text(run)
    assert "one of the user's own (own:Sequential), trained from the weights it came with" in said
    assert "random weights" not in said


def test_a_test_part_scored_before_is_told_in_the_methods(run: Path) -> None:
    assert "scored" not in text(run)
    change(run, ledger=[{"run": "a"}, {"run": "b"}, {"run": "c"}])
    assert "had been scored 2 times before" in text(run)


def test_sets_and_familiarity_are_told_with_what_they_were_calibrated_on(run: Path) -> None:
    coverage = {"value": 0.914, "low": 0.87, "high": 0.95}
    change(
        run,
        sets={"asked": 0.9, "coverage": coverage, "calibrated_on": {"images": 60, "groups": 31}},
        familiarity={"flagged": {"value": 0.02, "low": 0.0, "high": 0.06}, "promised": 0.01},
    )
    said = text(run)
    assert "calibrated on 60 validation images of 31 groups" in said
    assert "on the test images a share of 0.914 [0.870, 0.950] held it" in said
    assert "a share of 0.020 [0.000, 0.060] was flagged" in said
    change(run, sets={"reason": "too few groups"}, familiarity=None)
    assert "flagged" not in text(run)


def test_an_evaluation_does_not_claim_a_split_or_a_training(run: Path) -> None:
    table = (run / "table.csv").read_text("utf-8")
    (run / "table.csv").write_text(re.sub(",(train|validation),", ",test,", table), encoding="utf-8")
    assert "divided into" not in text(run) and "fitted to the features" not in text(run)
    assert "[were not used to train it]" in text(run)


def test_the_run_card_has_seeds_weights_and_seconds(run: Path) -> None:
    card = dict(run_card(read_run(run)))
    assert card["Seeds"] == "split 1, training 1" and card["Frozen weights, by content"] == "39f1d5a4"
    assert card["Seconds, all stages"] == "20.7"


@pytest.mark.parametrize("side", ["sensitivity", "specificity"])
def test_a_share_that_could_not_be_kept_is_nowhere_said_to_be(tmp_path: Path, side: str) -> None:
    run = write_fake_run(tmp_path / "two", names=NAMES[:2], images=False)
    found = {"class_name": NAMES[0], "value": 0.243, "chosen": side, "asked": 0.95, "why": "", "curve": {}}
    found |= {"sensitivity": score(1.0, 18, 18), "specificity": score(0.5, 18, 18), "calibrated_on": None}

    def told(**more: object) -> list[str]:
        change(run, threshold=found | more)
        page = Page(write_report(run).read_text("utf-8")).text
        output = next(item.answer for item in checklist(read_run(run)) if item.key == "output")
        return [text(run), output, page]

    kept = f"so that a {side} of 0.95 is kept"
    assert all(kept in each for each in told(note=""))
    own, done = (NAMES[0], "all of them are named") if side == "sensitivity" else (NAMES[1], "none of them is named")
    said = f" {side} of 0.95 was asked for, which takes 19 validation groups of {own}; the 18 there are can promise "
    for each in told(note="18 groups cannot promise 0.95"):
        assert f"{said}0.947, so it was set where {done} {NAMES[0]}" in each and "is kept" not in each
    none = told(note="no image", **{side: score(None, 0, 0)})
    assert all(f"no validation image of {own} was there, so it is 0.243" in each for each in none)
