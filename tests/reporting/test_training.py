"""Reports of training beyond the head: curves by epoch, methods by depth, and the halves of the validation set."""

import re
from pathlib import Path

import pytest

from coverslip.reporting.flow import flow_section
from coverslip.reporting.leakage_answers import preprocessing_answer
from coverslip.reporting.methods import methods_paragraphs, network_sentence
from coverslip.reporting.run_files import read_run
from coverslip.reporting.run_page import write_report
from coverslip.reporting.sections import training_section
from coverslip.reporting.training_sentences import training_sentence

from .fake_run import NAMES, deepen, write_fake_run
from .page import Page, need_offline

HALVES = {"choose": {"images": 2, "groups": 1}, "calibrate": {"images": 3, "groups": 2}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_fake_run(tmp_path / "run", names=NAMES[:3], images=False)


def change(run: Path, old: str, new: str) -> None:
    """Replace text in experiment.toml."""
    settings = (run / "experiment.toml").read_text("utf-8")
    assert old in settings
    (run / "experiment.toml").write_text(settings.replace(old, new), encoding="utf-8")


def methods_of(run: Path) -> str:
    return training_sentence(read_run(run))


def text_of(svg: str) -> str:
    return " ".join(re.findall(r">([^<>]+)</text>", svg))


def test_training_curves_by_epoch_mark_the_best_epoch(run: Path) -> None:
    section = training_section(read_run(deepen(run, validation_roles=HALVES)))
    assert {"loss", "accuracy", "learning rate", "best epoch (9)"} <= set(
        re.findall(r">([^<>]+)</text>", section["svg"])
    )
    assert "12 epochs (75 s in total)" in section["caption"]
    assert (
        "The weights of epoch 9, with the lowest loss on the selection half of the validation set, were used."
        in section["caption"]
    )
    page = Path(write_report(run)).read_text("utf-8")
    need_offline(page)
    assert "Loss and accuracy over 12 epochs" in Page(page).text


def test_training_curves_of_a_head_are_by_step(run: Path) -> None:
    section = training_section(read_run(run))
    assert "best epoch" not in section["svg"] and section["caption"] == "Metrics at each step."
    assert "Metrics at each step." in Page(write_report(run).read_text("utf-8")).text


def test_the_methods_describe_frozen_layers_optimization_and_early_stopping(run: Path) -> None:
    text = methods_of(deepen(run, validation_roles=HALVES))
    assert "before stage 'blocks4' were frozen" in text and "on the training images for 12 epochs with AdamW" in text
    assert "(maximum 0.002, reached after 25 % of the steps)" in text and "weight decay 0.01" in text
    assert "cross-entropy with label smoothing of 0.1" in text and "a batch size of 32" in text
    assert "one of 4 fixed views: itself or 3 randomly augmented versions (horizontal flips and rotations" in text
    assert "combined by CutMix (alpha 0.3)" in text
    assert "crops" not in text and "JPEG" not in text  # augmentations that are off are not mentioned
    assert "Batch normalization was folded" in text
    assert "2 images from 1 group were used to select" in text and "3 images from 2 groups to calibrate" in text
    assert "stopped early, after 12 of 30 epochs" in text and "had not improved for 3 epochs" in text
    assert "temperature of 1.234, fitted to the selection half of the validation set" in text
    assert "regression" not in text


def test_the_methods_name_the_trained_layers_and_the_initial_weights_for_each_depth(run: Path) -> None:
    started = "The network efficientnet-lite0 (pretrained weights: ImageNet) was fine-tuned."
    for depth, what in (("all", "All layers of the network"), ("blocks2", "before stage 'blocks2' were frozen")):
        deepen(run, depth)
        assert what in methods_of(run) and started in "\n".join(methods_paragraphs(read_run(run)))
    assert "itself or 3 randomly augmented" in methods_of(run)
    deepen(run, "all")
    assert "in each epoch: horizontal flips, rotations by up to 15° and CutMix (alpha 0.3)." in methods_of(run)
    deepen(run, "classifier", l2=0.01)
    assert "A softmax classifier" in methods_of(run) and "a frozen efficientnet-lite0" in network_sentence(
        read_run(run)
    )
    deepen(run, "all", from_scratch=True, network="cnn")
    assert "folded" not in methods_of(run)
    text = "\n".join(methods_paragraphs(read_run(run)))
    assert "The network cnn was trained from randomly initialized weights." in text and "pretrained" not in text


def test_the_methods_do_not_mention_what_was_not_done(run: Path) -> None:
    deepen(run, epochs=30, best=30)
    assert "stopped early" not in methods_of(run) and "the lowest loss on the validation set" in methods_of(run)
    change(run, "keep_best = true", "keep_best = false")
    assert "The weights of the last epoch (30) were used." in methods_of(run)
    assert "best epoch" not in training_section(read_run(run))["svg"]
    change(run, "flip = true\nrotate = 15.0", "flip = false\nrotate = 0.0")
    assert "itself or 3 flipped and rotated versions" in methods_of(run)
    change(run, "views = 4", "views = 1")
    change(run, "cutmix = 0.3", "cutmix = 0.0")
    assert (
        "view" not in methods_of(run)
        and "CutMix" not in methods_of(run)
        and "augmented" not in training_section(read_run(run))["caption"]
    )
    change(run, 'optimizer = "adamw"', 'optimizer = "sgd"\nmomentum = 0.9\nnesterov = true')
    change(run, 'schedule = "one-cycle"\nwarmup = 0.25', 'schedule = "constant"\nwarmup = 0.0')
    assert "with SGD (Nesterov momentum 0.9), using a constant learning rate of 0.002" in methods_of(run)


def test_a_refit_selects_nothing_on_the_validation_set(run: Path) -> None:
    change(run, "[split]\nseed = 1", "[split]\nseed = 1\nrefit = true")
    deepen(run, epochs=12, best=12, validation_roles={})
    assert "on the training and validation images" in methods_of(run)
    assert "The weights of the last epoch (12) were used." in methods_of(run) and "temperature" not in methods_of(run)
    assert "also fits the model" in text_of(flow_section(read_run(run))["svg"])


def test_the_flow_shows_the_selection_half_and_the_calibration_half(run: Path) -> None:
    assert "monitored only" in text_of(flow_section(read_run(run))["svg"])
    deepen(run)
    assert "selects epoch and temperature" in text_of(flow_section(read_run(run))["svg"])
    deepen(run, validation_roles=HALVES)
    assert "selection: 2 in 1 group calibration: 3 in 2 groups" in text_of(flow_section(read_run(run))["svg"])
    deepen(run, validation_roles={**HALVES, "calibrate": {"images": 0, "groups": 0}})
    assert "selects epoch and temperature" in text_of(flow_section(read_run(run))["svg"])


def test_the_checklist_does_not_mention_a_head_if_more_was_trained(run: Path) -> None:
    text = preprocessing_answer(read_run(deepen(run, validation_roles=HALVES, input={"size": [224, 224]})))
    assert "selected on the selection half of the validation set" in text and "classifier" not in text


def test_incomplete_files_lead_to_omissions(run: Path) -> None:
    deepen(run, validation_roles=HALVES)
    (run / "model" / "model.json").unlink()
    text = methods_of(run)
    assert "The first layers of the network were frozen" in text and "None" not in text
    assert "svg" in training_section(read_run(run))
    settings = (run / "experiment.toml").read_text("utf-8")
    (run / "experiment.toml").write_text(settings.partition("[training]")[0], encoding="utf-8")
    assert methods_of(run) == "[How the model was trained.]"
