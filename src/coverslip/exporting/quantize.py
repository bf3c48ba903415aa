"""Eight-bit integers in place of 32-bit numbers: a quarter of the size, and what that costs.

ONNX Runtime's static quantization, in the form (QDQ) that every runtime reads. Only the network's convolutions and
products are quantized; preparation and judgment stay as they are. The first four keep full precision: they are small
and the most sensitive (on EfficientNet-Lite0 and 200 leaves the same label rose from 88.5 to 93.0 %). Weights have a
scale for each filter, and seven bits: with eight (98.5 %), processors without VNNI add two products in 16 bits and
overflow, so that the same file would give other answers there; unsigned weights do not, but run three times slower.
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
from coverslip.exporting.images import Images
from coverslip.exporting.instrument import INPUT
from coverslip.exporting.parity import LEAST_SAME, Asked

KINDS = ("int8",)
FULL, INT8 = "full precision", "int8"
RANGES = 100  # images from which the ranges of values are taken
QUANTIZED = ("Conv", "Gemm", "MatMul")
EXACT = 4  # of the first that stay in full precision, in a network that has twice as many


@dataclass(frozen=True, slots=True)
class Cost:
    """What quantization costs.

    Attributes:
        sentences: in plain words, with the interval.
        numbers: the same for ``model.json``; without labels only how many get another one.
    """

    sentences: list[str]
    numbers: dict[str, Any]


def quantize_onnx(file: Path, images: Images, spec: InputSpec) -> None:
    """Replace an ONNX file that `write_onnx` wrote by its quantized form.

    Args:
        file: the file.
        images: for the ranges of values; training images, never those that the cost is measured on.
        spec: of the model.

    Raises:
        UserError: the extra is missing, no image can be read, or nothing in the network can be quantized.
    """
    onnx, quantization = optional("onnx", "export"), optional("onnxruntime.quantization", "export")
    model = onnx.load(str(file))
    nodes = [node.name for node in model.graph.node if _inside(node)]
    nodes = nodes[EXACT:] if len(nodes) > 2 * EXACT else nodes
    if not nodes:
        raise UserError("nothing in this network can be quantized", "leave out --quantize")
    draft = file.with_suffix(".int8.onnx")
    with quiet(""):
        quantization.quantize_static(
            str(file),
            str(draft),
            _Ranges(images.spread(RANGES), spec),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED),
            nodes_to_quantize=nodes,
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    draft.replace(file)


def measure_cost(asked: Asked, images: Images, classes: tuple[str, ...], threshold: Threshold | None = None) -> Cost:
    """The accuracy that a quantized file loses to the model, paired, on the same images.

    Args:
        asked: what both said of the images.
        images: with their labels; those without a label tell only whether the file names them otherwise.
        classes: of the model.
        threshold: of two classes; then sensitivity and specificity are told too.
    """
    moved = float((asked.file_labels != asked.model_labels).mean())
    about = {"images_from": images.about, "another_label": moved}
    known = [place for place, number in enumerate(asked.numbers) if _label(images, number) is not None]
    if not known:
        unknown = "what it costs could not be measured: no image has a label"
        return Cost([unknown, *_warning(moved, len(asked.numbers), "what that costs is not known")], about)
    numbers = [asked.numbers[place] for place in known]
    labels = np.array([_label(images, number) for number in numbers], np.int64)
    groups = None
    if images.groups is not None:
        groups = np.unique([images.groups[number] for number in numbers], return_inverse=True)[1]
    answers = {FULL: asked.model[known], INT8: asked.file[known]}
    predicted = {FULL: asked.model_labels[known], INT8: asked.file_labels[known]}
    told = compare(labels, answers, groups, classes, predicted=predicted, reference=FULL)
    pair = told["comparisons"][0]
    values = [float((each == labels).mean()) for each in predicted.values()]
    basis = f"{len(labels):,} images" + ("" if groups is None else f" of {len(np.unique(groups)):,} groups")
    limits = "" if pair.get("low") is None else f" [{pair['low']:+.4f}, {pair['high']:+.4f}]"
    sentences = [
        f"accuracy {values[0]:.4f} in full precision, {values[1]:.4f} in int8: {values[1] - values[0]:+.4f}{limits} "
        f"on {basis} ({images.about})"
    ]
    if threshold is not None:
        full, less = (
            fit_threshold(labels, each, groups, classes, threshold.class_name, value=threshold.value)
            for each in answers.values()
        )
        sides = ((SENSITIVITY, full.sensitivity, less.sensitivity), (SPECIFICITY, full.specificity, less.specificity))
        sentences.append(", ".join(_side(*side) for side in sides))
    sentences += _warning(moved, len(asked.numbers), f"it costs {values[1] - values[0]:+.4f} in accuracy")
    return Cost(sentences, {**about, **pair})


def _warning(moved: float, images: int, cost: str) -> list[str]:
    """A file that names more than a few images otherwise is not the model that was tested."""
    if moved <= 1 - LEAST_SAME:
        return []
    return [
        f"warning: {moved:.1%} of these {images:,} images get another label than the model gives them, and {cost}. "
        "It is a model of its own: test it before it is used, coverslip evaluate THIS_FOLDER IMAGES"
    ]


def _side(name: str, full: Score, less: Score) -> str:
    if full["value"] is None or less["value"] is None:
        return f"{name} unknown"
    return f"{name} {full['value']:.4f} in full precision, {less['value']:.4f} in int8 (of {full['images']:,})"


class _Ranges:
    """What ONNX Runtime reads the ranges of values from: one image at a time, resized, so that it stays small."""

    def __init__(self, images: Images, spec: InputSpec) -> None:
        self.images, self.spec = images, spec
        self.rewind()

    def rewind(self) -> None:
        self.left: Iterator[Pixels] = (
            fit_batch(image.pixels[None], self.spec.size, self.spec.fit) for _, image in self.images.decoded(self.spec)
        )
        self.given = 0

    def get_next(self) -> dict[str, Pixels] | None:
        pixels = next(self.left, None)
        if pixels is None and not self.given:
            raise UserError("no image can be read to take the ranges of values from", "name some: --images FOLDER")
        self.given += 1
        return None if pixels is None else {INPUT: pixels}

    def set_range(self, start_index: int, end_index: int) -> None:
        """Ranges are taken from all images at once."""

    def __len__(self) -> int:
        return len(self.images)


def _inside(node: Any) -> bool:
    return str(node.name).startswith("network/") and node.op_type in QUANTIZED


def _label(images: Images, number: int) -> int | None:
    return images.labels[number] if images.labels else None
