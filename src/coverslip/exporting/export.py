"""Export a trained model: write the file, check it against the model, and add its documentation and a script."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.core.registry import nearest
from coverslip.core.runs import require_unused
from coverslip.core.storage import ensure_folder, explain_full_disk, require_disk_space, write_text
from coverslip.exporting import card as cards
from coverslip.exporting import script as scripts
from coverslip.exporting.formats import Format, formats
from coverslip.exporting.images import MAX_IMAGES, ImageList, rendered_images
from coverslip.exporting.module import ExportModule
from coverslip.exporting.openvino_format import convert_onnx
from coverslip.exporting.parity import compare_outputs
from coverslip.exporting.quantize import QUANTIZATIONS, measure_cost, quantize_onnx
from coverslip.inference.predictor import Predictor
from coverslip.tasks.classification import require_classification

MAX_COST_IMAGES = 2000  # images on which the cost of quantization is measured


@dataclass(frozen=True, kw_only=True)
class ExportImages:
    """The images used by an export.

    Attributes:
        check: images for comparing the file with the model; if None, synthetic leaves are used.
        ranges: training images, from which quantization takes the ranges of activations.
        cost: labeled images that were not used for training, for measuring the accuracy lost by quantization.
    """

    check: ImageList | None = None
    ranges: ImageList | None = None
    cost: ImageList | None = None


def choose_format(format: str, quantize: str) -> Format:
    """Return the format with this name, and check that it supports the quantization.

    Raises:
        UserError: the format or the quantization is unknown, or the format does not support the quantization.
    """
    chosen = formats()[format]
    if quantize and quantize not in QUANTIZATIONS:
        raise UserError(f"unknown quantization {quantize!r}", nearest(quantize, QUANTIZATIONS))
    if quantize and format == "torch":
        raise UserError("--quantize int8 requires ONNX or OpenVINO", "use --format onnx")
    return chosen


def export_model(
    predictor: Predictor,
    folder: Path,
    images: ExportImages,
    *,
    format: str = "onnx",
    quantize: str = "",
    name: str = "",
    run: Mapping[str, Any] | None = None,
    progress: Progress = SILENT,
) -> list[str]:
    """Write a model as one file, and check that its outputs agree with the model's.

    Args:
        predictor: the trained model.
        folder: output folder; must not exist.
        images: images for the check and for quantization.
        format: ``onnx``, ``torch`` or ``openvino``.
        quantize: "" or ``int8``.
        name: name of the run, for the model card.
        run: further information about the run, for the model card.
        progress: receives one event per stage.

    Returns:
        The results of the check as sentences.

    Raises:
        UserError: see `choose_format`; or the model takes float32 images, the network cannot be exported, the outputs
            differ, there are no images for quantization, or the disk is full. Nothing is left in the folder.
    """
    chosen = choose_format(format, quantize)
    if predictor.spec.depth == "float32":
        raise UserError(
            "a model of signed, 32-bit or floating-point images cannot be exported",
            "use coverslip predict or serve, or save the images with 8 or 16 bits per channel and train again",
        )
    if quantize and (images.ranges is None or not len(images.ranges)):
        raise UserError(
            "quantization needs images for the ranges of activations, and the images of the run no longer exist",
            "give images with --images FOLDER; use class folders to measure the loss of accuracy as well",
        )
    module, task = ExportModule(predictor), require_classification(predictor.task, "export")
    with _temporary_folder(folder, 3 * module.num_bytes) as draft:
        card = cards.describe(predictor, module, chosen, name, run or {}, quantize)
        with progress.stage(f"writing {chosen.files[0]}", 1, "file") as stage:
            if quantize:
                assert images.ranges is not None
                _write_quantized(chosen, module, draft, cards.metadata(card), images.ranges)
            else:
                chosen.write(module, draft, cards.metadata(card))
            stage.advance()
        check_images = _check_images(predictor, images, quantize)
        outputs = compare_outputs(chosen.open(draft), module, predictor, check_images, progress)
        outputs.parity.require(quantized=bool(quantize))
        sentences = outputs.parity.sentences(quantized=bool(quantize))
        cost = measure_cost(outputs, check_images, task.classes, task.threshold) if quantize else None
        sentences += [] if cost is None else cost.sentences
        card = cards.with_check(card, outputs.parity, sentences, None if cost is None else cost.numbers)
        write_text(draft / cards.JSON_FILE, json.dumps(card, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        write_text(draft / cards.README_FILE, cards.readme(card, chosen))
        write_text(draft / scripts.FILE, scripts.script(chosen, predictor.spec))
    return sentences


def _check_images(predictor: Predictor, images: ExportImages, quantize: str) -> ImageList:
    if quantize and images.cost is not None and len(images.cost):
        return images.cost.subsample(MAX_COST_IMAGES)
    if images.check is not None and len(images.check):
        return images.check.subsample(MAX_IMAGES)
    return rendered_images(predictor.spec)


def _write_quantized(
    chosen: Format, module: ExportModule, draft: Path, metadata: Mapping[str, str], ranges: ImageList
) -> None:
    onnx = formats()["onnx"]
    onnx.write(module, draft, metadata)
    quantize_onnx(draft / onnx.files[0], ranges, module.preparation.spec)
    if chosen.name != onnx.name:
        convert_onnx(draft / onnx.files[0], draft, module.outputs, metadata)
        (draft / onnx.files[0]).unlink()


@contextmanager
def _temporary_folder(folder: Path, size: int) -> Iterator[Path]:
    """Yield a temporary folder; rename it to ``folder`` on success and delete it on failure."""
    require_unused(folder)
    ensure_folder(folder.parent)
    require_disk_space(folder.parent, size, "the exported files")
    draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp")
    draft.mkdir()
    try:
        with explain_full_disk(folder.parent):
            yield draft
            if folder.is_dir():
                folder.rmdir()
            draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
