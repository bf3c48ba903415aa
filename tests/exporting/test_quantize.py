"""What quantization costs is counted by the labels that the file gives, and said where it is much."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coverslip.data.sources.source import Files
from coverslip.evidence.basis import Basis
from coverslip.evidence.threshold import Threshold
from coverslip.exporting.images import Images
from coverslip.exporting.parity import Asked, Parity
from coverslip.exporting.quantize import measure_cost

CLASSES = ("healthy", "rust")
NOBODY = Basis(0, 0, 0.95, False).score(None, None, "", "not measured")


def asked(labels: np.ndarray, rust_of_file: float) -> tuple[Asked, Images]:
    """A model that finds all rust at 0.3, and a file that gives rust another probability; healthy has 0.1 in both."""
    probability = np.where(labels == 1, 0.3, 0.1)
    model = np.stack([1 - probability, probability], axis=1)
    probability = np.where(labels == 1, rust_of_file, 0.1)
    file = np.stack([1 - probability, probability], axis=1)
    early = Threshold("rust", 0.2, NOBODY, NOBODY)
    some = Parity(
        images=len(labels), about="", grey=0, grey_share=0, network=0, probability=0, same=1, same_sets=None,
        same_familiar=None, reduced=0, reduced_probability=0,
    )  # fmt: skip
    numbers = list(range(len(labels)))
    told = Asked(some, numbers, file, model, early.named(file, CLASSES), early.named(model, CLASSES))
    images = Images(Files(Path()), [f"{number}.png" for number in numbers], labels.tolist(), None, "made up")
    return told, images


def test_a_file_that_falls_under_the_threshold_loses_what_the_threshold_is_there_for():
    labels = np.arange(40) % 2
    told, images = asked(labels, rust_of_file=0.15)  # the more probable class is the same: healthy, for all
    cost = measure_cost(told, images, CLASSES, Threshold("rust", 0.2, NOBODY, NOBODY))
    assert cost.sentences[0].startswith("accuracy 1.0000 in full precision, 0.5000 in int8: -0.5000")
    assert "sensitivity 1.0000 in full precision, 0.0000 in int8 (of 20)" in cost.sentences[1]
    assert "specificity 1.0000 in full precision, 1.0000 in int8 (of 20)" in cost.sentences[1]
    assert cost.sentences[2].startswith("warning: 50.0% of these 40 images get another label")
    assert "it costs -0.5000 in accuracy" in cost.sentences[2]
    assert cost.numbers["another_label"] == pytest.approx(0.5)


def test_a_file_that_names_all_the_same_warns_of_nothing():
    told, images = asked(np.arange(40) % 2, rust_of_file=0.29)
    cost = measure_cost(told, images, CLASSES)
    assert len(cost.sentences) == 1 and "+0.0000" in cost.sentences[0] and "made up" in cost.sentences[0]


def test_without_labels_a_file_that_names_images_otherwise_is_warned_of_all_the_same():
    told, images = asked(np.arange(40) % 2, rust_of_file=0.15)
    cost = measure_cost(told, replace(images, labels=[None] * 40), CLASSES)
    assert cost.sentences[0] == "what it costs could not be measured: no image has a label"
    assert cost.sentences[1].startswith("warning: 50.0% of these 40 images get another label")
    assert "what that costs is not known" in cost.sentences[1] and len(cost.sentences) == 2
    assert cost.numbers == {"images_from": "made up", "another_label": 0.5}
    told, images = asked(np.arange(40) % 2, rust_of_file=0.29)
    assert len(measure_cost(told, replace(images, labels=[None] * 40), CLASSES).sentences) == 1


def test_why_fewer_images_are_used_than_there_are_is_said():
    _, images = asked(np.arange(40) % 2, rust_of_file=0.15)
    assert images.spread(10).about == "made up, 10 of 40" and images.spread(40).about == "made up"
