"""Quantize an exported model to 8-bit integers (a quarter of the size), and measure the loss of accuracy.

This is ONNX Runtime's static quantization in QDQ format, which every runtime reads. Only the convolutions and matrix
products of the network are quantized; pre- and post-processing are not. The first four layers keep full precision: they
are small and the most sensitive (with EfficientNet-Lite0 and 200 leaves, this raised the fraction of unchanged labels
from 88.5 to 93.0 %). Weights have one scale per filter and seven bits. With eight bits (98.5 % unchanged labels),
processors without VNNI add two products in 16 bits and overflow, so that the same file would return other results
there. Unsigned weights do not overflow, but run three times slower.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.core.errors import UserError, optional
from coverslip.data.image import Pixels
from coverslip.data.inputs import InputSpec, fit_batch
from coverslip.evidence.compare import compare
from coverslip.evidence.intervals import Score
from coverslip.evidence.threshold import SENSITIVITY, SPECIFICITY, Threshold, fit_threshold
from coverslip.exporting.formats import quiet
from coverslip.exporting.images import ImageList
from coverslip.exporting.module import INPUT
from coverslip.exporting.parity import MIN_SAME_LABELS, PairedOutputs

QUANTIZATIONS = ("int8",)
FULL, INT8 = "full precision", "int8"
CALIBRATION_IMAGES = 100  # images from which the ranges of activations are computed
QUANTIZED = ("Conv", "Gemm", "MatMul")
FULL_PRECISION_LAYERS = 4  # first layers that keep full precision, if the network has more than twice as many


@dataclass(frozen=True, slots=True)
class Cost:
    """Loss of accuracy caused by quantization.

    Attributes:
        sentences: the results as sentences, with confidence interval.
        numbers: the same results for ``model.json``; without labels, only the fraction of changed predictions.
    """

    sentences: list[str]
    numbers: dict[str, Any]


def quantize_onnx(file: Path, images: ImageList, spec: InputSpec) -> None:
    """Quantize an ONNX file written by `write_onnx`, in place.

    Args:
        file: the ONNX file.
        images: training images for the ranges of activations; never the images used to measure the loss of accuracy.
        spec: input spec of the model.

    Raises:
        UserError: the extra is not installed, no image can be read, or no layer of the network can be quantized.
    """
    onnx, quantization = optional("onnx", "export"), optional("onnxruntime.quantization", "export")
    model = onnx.load(str(file))
    nodes = [node.name for node in model.graph.node if _inside(node)]
    nodes = nodes[FULL_PRECISION_LAYERS:] if len(nodes) > 2 * FULL_PRECISION_LAYERS else nodes
    if not nodes:
        raise UserError("this network has no layer that can be quantized", "omit --quantize")
    draft = file.with_suffix(".int8.onnx")
    with quiet(""):
        quantization.quantize_static(
            str(file),
            str(draft),
            _CalibrationReader(images.subsample(CALIBRATION_IMAGES), spec),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED),
            nodes_to_quantize=nodes,
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    draft.replace(file)


def measure_cost(
    outputs: PairedOutputs, images: ImageList, classes: tuple[str, ...], threshold: Threshold | None = None
) -> Cost:
    """Compare the accuracy of a quantized file with the model's, paired, on the same images.

    Args:
        outputs: outputs of the file and of the model for the images.
        images: the images with their labels; unlabeled images count only for the fraction of changed predictions.
        classes: class names of the model.
        threshold: decision threshold of a model with two classes, to report sensitivity and specificity as well.
    """
    changed = float((outputs.file_labels != outputs.model_labels).mean())
    about = {"images_from": images.about, "another_label": changed}
    known = [row for row, number in enumerate(outputs.numbers) if _label(images, number) is not None]
    if not known:
        unknown = "the loss of accuracy could not be measured: no image has a label"
        return Cost([unknown, *_warning(changed, len(outputs.numbers), "the loss of accuracy is unknown")], about)
    numbers = [outputs.numbers[row] for row in known]
    labels = np.array([_label(images, number) for number in numbers], np.int64)
    groups = None
    if images.groups is not None:
        groups = np.unique([images.groups[number] for number in numbers], return_inverse=True)[1]
    probabilities = {FULL: outputs.model[known], INT8: outputs.file[known]}
    predicted = {FULL: outputs.model_labels[known], INT8: outputs.file_labels[known]}
    comparison = compare(labels, probabilities, groups, classes, predicted=predicted, reference=FULL)
    pair = comparison["comparisons"][0]
    values = [float((predictions == labels).mean()) for predictions in predicted.values()]
    basis = f"{len(labels):,} images" + ("" if groups is None else f" of {len(np.unique(groups)):,} groups")
    interval = "" if pair.get("low") is None else f" [{pair['low']:+.4f}, {pair['high']:+.4f}]"
    sentences = [
        f"accuracy {values[0]:.4f} in full precision, {values[1]:.4f} in int8: {values[1] - values[0]:+.4f}{interval} "
        f"on {basis} ({images.about})"
    ]
    if threshold is not None:
        full, quantized = (
            fit_threshold(labels, shares, groups, classes, threshold.class_name, value=threshold.value)
            for shares in probabilities.values()
        )
        scores = (
            (SENSITIVITY, full.sensitivity, quantized.sensitivity),
            (SPECIFICITY, full.specificity, quantized.specificity),
        )
        sentences.append(", ".join(_score_sentence(*score) for score in scores))
    change = f"the change in accuracy is {values[1] - values[0]:+.4f}"
    sentences += _warning(changed, len(outputs.numbers), change)
    return Cost(sentences, {**about, **pair})


def _warning(changed: float, images: int, cost: str) -> list[str]:
    """Return a warning if more predictions changed than rounding explains: the test result no longer applies."""
    if changed <= 1 - MIN_SAME_LABELS:
        return []
    return [
        f"warning: for {changed:.1%} of these {images:,} images the file predicts another class than the model; "
        f"{cost}. The test result of the run does not apply to this file. Evaluate the file before use: "
        "coverslip evaluate THIS_FOLDER IMAGES"
    ]


def _score_sentence(name: str, full: Score, quantized: Score) -> str:
    if full["value"] is None or quantized["value"] is None:
        return f"{name} unknown"
    return f"{name} {full['value']:.4f} in full precision, {quantized['value']:.4f} in int8 (n = {full['images']:,})"


class _CalibrationReader:
    """Feed images to ONNX Runtime's calibration, one at a time and resized, to limit the memory."""

    def __init__(self, images: ImageList, spec: InputSpec) -> None:
        self.images, self.spec = images, spec
        self.rewind()

    def rewind(self) -> None:
        self.remaining: Iterator[Pixels] = (
            fit_batch(image.pixels[None], self.spec.size, self.spec.fit) for _, image in self.images.decoded(self.spec)
        )
        self.returned = 0

    def get_next(self) -> dict[str, Pixels] | None:
        pixels = next(self.remaining, None)
        if pixels is None and not self.returned:
            raise UserError(
                "none of the images for the ranges of activations can be read", "give other images: --images FOLDER"
            )
        self.returned += 1
        return None if pixels is None else {INPUT: pixels}

    def set_range(self, start_index: int, end_index: int) -> None:
        """Do nothing: all images are used at once."""

    def __len__(self) -> int:
        return len(self.images)


def _inside(node: Any) -> bool:
    return str(node.name).startswith("network/") and node.op_type in QUANTIZED


def _label(images: ImageList, number: int) -> int | None:
    return images.labels[number] if images.labels else None
