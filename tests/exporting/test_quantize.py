"""The loss of accuracy by quantization is computed from the file's labels; a large loss gives a warning."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coverslip.data.sources.source import Files
from coverslip.evidence.support import Support
from coverslip.evidence.threshold import Threshold
from coverslip.exporting.images import ImageList
from coverslip.exporting.parity import PairedOutputs, Parity
from coverslip.exporting.quantize import measure_cost

CLASSES = ("healthy", "rust")
UNKNOWN = Support(0, 0, 0.95, False).score(None, None, "", "not measured")


def paired_outputs(labels: np.ndarray, rust_of_file: float) -> tuple[PairedOutputs, ImageList]:
    """Return outputs with a rust probability of 0.3 (model) and ``rust_of_file`` (file); 0.1 for healthy images."""
    probability = np.where(labels == 1, 0.3, 0.1)
    model = np.stack([1 - probability, probability], axis=1)
    probability = np.where(labels == 1, rust_of_file, 0.1)
    file = np.stack([1 - probability, probability], axis=1)
    threshold = Threshold("rust", 0.2, UNKNOWN, UNKNOWN)
    parity = Parity(
        images=len(labels), about="", grey=0, grey_share=0, network=0, probability=0, same=1, same_sets=None,
        same_familiar=None, reduced=0, reduced_probability=0,
    )  # fmt: skip
    numbers = list(range(len(labels)))
    file_labels, model_labels = (threshold.predicted_classes(shares, CLASSES) for shares in (file, model))
    outputs = PairedOutputs(parity, numbers, file, model, file_labels, model_labels)
    images = ImageList(Files(Path()), [f"{number}.png" for number in numbers], labels.tolist(), None, "made up")
    return outputs, images


def test_probabilities_that_fall_below_the_threshold_reduce_sensitivity():
    labels = np.arange(40) % 2
    outputs, images = paired_outputs(labels, rust_of_file=0.15)  # healthy remains more probable for every image
    cost = measure_cost(outputs, images, CLASSES, Threshold("rust", 0.2, UNKNOWN, UNKNOWN))
    assert cost.sentences[0].startswith("accuracy 1.0000 in full precision, 0.5000 in int8: -0.5000")
    assert "sensitivity 1.0000 in full precision, 0.0000 in int8 (n = 20)" in cost.sentences[1]
    assert "specificity 1.0000 in full precision, 1.0000 in int8 (n = 20)" in cost.sentences[1]
    assert cost.sentences[2].startswith("warning: ") and "50.0% of these 40 images" in cost.sentences[2]
    assert "-0.5000" in cost.sentences[2]
    assert cost.numbers["another_label"] == pytest.approx(0.5)


def test_a_file_with_the_same_predictions_gives_no_warning():
    outputs, images = paired_outputs(np.arange(40) % 2, rust_of_file=0.29)
    cost = measure_cost(outputs, images, CLASSES)
    assert len(cost.sentences) == 1 and "+0.0000" in cost.sentences[0] and "made up" in cost.sentences[0]


def test_changed_predictions_give_a_warning_even_without_labels():
    outputs, images = paired_outputs(np.arange(40) % 2, rust_of_file=0.15)
    cost = measure_cost(outputs, replace(images, labels=[None] * 40), CLASSES)
    assert len(cost.sentences) == 2 and "no image has a label" in cost.sentences[0]
    assert cost.sentences[1].startswith("warning: ") and "50.0% of these 40 images" in cost.sentences[1]
    assert cost.numbers == {"images_from": "made up", "another_label": 0.5}
    outputs, images = paired_outputs(np.arange(40) % 2, rust_of_file=0.29)
    assert len(measure_cost(outputs, replace(images, labels=[None] * 40), CLASSES).sentences) == 1


def test_the_description_states_that_a_subsample_is_used():
    _, images = paired_outputs(np.arange(40) % 2, rust_of_file=0.15)
    assert images.subsample(10).about == "made up, 10 of 40" and images.subsample(40).about == "made up"
