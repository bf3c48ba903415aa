"""What the page says of a training beyond the head: curves by epoch, methods by depth, the halves of validation."""

import re
from pathlib import Path

import pytest

from coverslip.reporting.flow import flow_section
from coverslip.reporting.leakage_answers import tell_preprocessing
from coverslip.reporting.methods import methods_paragraphs, network_sentence
from coverslip.reporting.run_files import read_run
from coverslip.reporting.run_page import write_report
from coverslip.reporting.sections import training_section
from coverslip.reporting.training_words import training_sentence

from .fake_run import NAMES, deepen, write_fake_run
from .page import Page, need_offline

HALVES = {"choose": {"images": 2, "groups": 1}, "calibrate": {"images": 3, "groups": 2}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_fake_run(tmp_path / "run", names=NAMES[:3], images=False)


def change(run: Path, old: str, new: str) -> None:
    """One line of experiment.toml."""
    settings = (run / "experiment.toml").read_text("utf-8")
    assert old in settings
    (run / "experiment.toml").write_text(settings.replace(old, new), encoding="utf-8")


def said(run: Path) -> str:
    return training_sentence(read_run(run))


def words(svg: str) -> str:
    return " ".join(re.findall(r">([^<>]+)</text>", svg))


def test_a_training_by_epochs_is_shown_by_epoch_with_the_best_one_named(run: Path) -> None:
    section = training_section(read_run(deepen(run, validation_roles=HALVES)))
    assert {"loss", "accuracy", "learning rate", "best epoch, 9"} <= set(
        re.findall(r">([^<>]+)</text>", section["svg"])
    )
    assert "12 epochs, which took 75 s in all" in section["says"]
    assert (
        "The weights of epoch 9, with the lowest loss on the choosing half of validation, are the model."
        in section["says"]
    )
    page = Path(write_report(run)).read_text("utf-8")
    need_offline(page)
    assert "Loss and accuracy of 12 epochs" in Page(page).text


def test_a_head_is_shown_step_by_step_as_before(run: Path) -> None:
    section = training_section(read_run(run))
    assert "best epoch" not in section["svg"] and "What was measured at each step" in section["says"]
    assert "What was measured at each step" in Page(write_report(run).read_text("utf-8")).text


def test_the_methods_say_what_was_frozen_how_the_rest_was_trained_and_what_stopped_it(run: Path) -> None:
    text = said(deepen(run, validation_roles=HALVES))
    assert "stages before 'blocks4' were frozen; the rest was trained on the training images for 12 epochs" in text
    assert "AdamW: a learning rate that rose to 0.002 over 25 % of the steps" in text and "weight decay 0.01" in text
    assert "cross-entropy with label smoothing of 0.1" in text and "batches of 32 images" in text
    assert "4 fixed views of a training image, itself and 3 changed at random once (mirrored, rotated" in text
    assert "What the frozen stages gave was mixed by CutMix with alpha 0.3." in text
    assert "cut to" not in text and "JPEG" not in text  # what is off is not spoken of
    assert "Batch norm had been folded into the convolutions" in text
    assert "2 images of 1 group chose the epoch and the temperature, 3 images of 2 groups calibrated" in text
    assert "Of 30 epochs 12 were run: the loss on the choosing half of validation had not become lower for 3" in text
    assert "temperature of 1.234, fitted to the choosing half of validation" in text and "linear" not in text


def test_each_depth_says_how_much_of_the_network_was_trained_and_from_where(run: Path) -> None:
    started = "The network was efficientnet-lite0, started from pretrained weights (ImageNet)."
    for depth, what in (("all", "The whole network was trained"), ("blocks2", "stages before 'blocks2' were frozen")):
        deepen(run, depth)
        assert what in said(run) and started in "\n".join(methods_paragraphs(read_run(run)))
    assert "itself and 3 changed at random" in said(run)
    deepen(run, "all")
    assert "changed at random in each epoch (mirrored, rotated by up to 15 degrees, CutMix with alpha 0.3)" in said(run)
    deepen(run, "classifier", strength=0.01)
    assert "A linear softmax classifier" in said(run) and "which were not changed" in network_sentence(read_run(run))
    deepen(run, "all", from_scratch=True, network="cnn")
    assert "folded" not in said(run)
    text = "\n".join(methods_paragraphs(read_run(run)))
    assert "The network was cnn, trained from random weights." in text and "pretrained" not in text


def test_what_was_not_done_is_not_claimed(run: Path) -> None:
    deepen(run, epochs=30, best=30)
    assert "Of 30 epochs" not in said(run) and "the lowest loss on the validation images" in said(run)
    change(run, "keep_best = true", "keep_best = false")
    assert "The weights after epoch 30, the last, are the model." in said(run)
    assert "best epoch" not in training_section(read_run(run))["svg"]
    change(run, "flip = true\nrotate = 15.0", "flip = false\nrotate = 0.0")
    assert "itself and 3 mirrored and turned ones" in said(run)
    change(run, "views = 4", "views = 1")
    change(run, "cutmix = 0.3", "cutmix = 0.0")
    assert (
        "view" not in said(run)
        and "mixed" not in said(run)
        and "augmented" not in training_section(read_run(run))["says"]
    )
    change(run, 'optimizer = "adamw"', 'optimizer = "sgd"\nmomentum = 0.9\nnesterov = true')
    change(run, 'schedule = "one-cycle"\nwarmup = 0.25', 'schedule = "constant"\nwarmup = 0.0')
    assert "with SGD (Nesterov momentum 0.9): a constant learning rate of 0.002" in said(run)


def test_a_refit_chose_nothing_by_validation(run: Path) -> None:
    change(run, "[training]\nseed = 1", "[training]\nseed = 1\nrefit = true")
    deepen(run, epochs=12, best=12, validation_roles={})
    assert "trained on the training and validation images" in said(run)
    assert "The weights after epoch 12, the last, are the model." in said(run) and "temperature" not in said(run)
    assert "fits the model too" in words(flow_section(read_run(run))["svg"])


def test_the_flow_shows_the_half_that_chooses_and_the_half_that_calibrates(run: Path) -> None:
    assert "is only watched" in words(flow_section(read_run(run))["svg"])
    deepen(run)
    assert "chooses epoch and temperature" in words(flow_section(read_run(run))["svg"])
    deepen(run, validation_roles=HALVES)
    assert "to choose: 2 in 1 group to calibrate: 3 in 2 groups" in words(flow_section(read_run(run))["svg"])
    deepen(run, validation_roles={**HALVES, "calibrate": {"images": 0, "groups": 0}})
    assert "chooses epoch and temperature" in words(flow_section(read_run(run))["svg"])


def test_the_checklist_does_not_speak_of_a_head_where_more_was_trained(run: Path) -> None:
    text = tell_preprocessing(read_run(deepen(run, validation_roles=HALVES, input={"size": [224, 224]})))
    assert "the choosing half of validation chose the epoch and the temperature" in text and "head" not in text


def test_half_written_files_leave_out_what_they_do_not_say(run: Path) -> None:
    deepen(run, validation_roles=HALVES)
    (run / "model" / "model.json").unlink()
    text = said(run)
    assert "The network's first stages were frozen" in text and "None" not in text
    assert "svg" in training_section(read_run(run))
    settings = (run / "experiment.toml").read_text("utf-8")
    (run / "experiment.toml").write_text(settings.partition("[training]")[0], encoding="utf-8")
    assert said(run) == "[How the network was trained.]"
