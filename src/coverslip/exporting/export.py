"""The recipe of `export`: a trained model in, a folder with a file that was checked and all that it takes to use it."""

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
from coverslip.core.runs import need_free
from coverslip.core.storage import ensure_folder, explain_full_disk, need_disk, write_text
from coverslip.exporting import card as cards
from coverslip.exporting import script as scripts
from coverslip.exporting.formats import Format, formats
from coverslip.exporting.images import MOST, Images, rendered
from coverslip.exporting.instrument import Instrument
from coverslip.exporting.openvino_format import convert_onnx
from coverslip.exporting.parity import ask_both
from coverslip.exporting.quantize import KINDS, measure_cost, quantize_onnx
from coverslip.inference.predictor import Predictor

MOST_COST = 2000  # images on which the cost of quantization is measured


@dataclass(frozen=True, kw_only=True)
class Material:
    """The images of an export.

    Attributes:
        check: to try the file with; where there are none, leaves are rendered.
        ranges: training images, for the ranges of values of a quantized file.
        cost: images with labels that trained nothing, for what quantization costs.
    """

    check: Images | None = None
    ranges: Images | None = None
    cost: Images | None = None


def choose(format: str, quantize: str) -> Format:
    """The format by name.

    Raises:
        UserError: no such format or quantization (the nearest is named), or the two do not go together.
    """
    chosen = formats()[format]
    if quantize and quantize not in KINDS:
        raise UserError(f"--quantize {quantize} is not known", nearest(quantize, KINDS))
    if quantize and format == "torch":
        raise UserError("--quantize int8 needs ONNX or OpenVINO", "use --format onnx")
    return chosen


def export_model(
    predictor: Predictor,
    folder: Path,
    material: Material,
    *,
    format: str = "onnx",
    quantize: str = "",
    name: str = "",
    run: Mapping[str, Any] | None = None,
    progress: Progress = SILENT,
) -> list[str]:
    """Write a model as one file, try it, and keep it only where it gives the model's answers.

    Args:
        predictor: the trained model.
        folder: to write; must not exist.
        material: images.
        format: ``onnx``, ``torch`` or ``openvino``.
        quantize: "" or ``int8``.
        name: of the run, for the card.
        run: what else is said of it.
        progress: told what happens.

    Returns:
        What the check found, in plain sentences.

    Raises:
        UserError: see `choose`; the network cannot be written; the answers differ; nothing to quantize with; the disk
            is full. Then nothing is left behind.
    """
    chosen = choose(format, quantize)
    if quantize and (material.ranges is None or not len(material.ranges)):
        raise UserError(
            "quantization needs images to take the ranges of values from, and the run's are no longer there",
            "name some, in class folders if what it costs is to be measured: --images FOLDER",
        )
    instrument = Instrument(predictor)
    with _draft(folder, 3 * instrument.bytes) as draft:
        about = cards.describe(predictor, instrument, chosen, name, run or {}, quantize)
        with progress.stage(f"writing {chosen.files[0]}", 1, "file") as stage:
            if quantize:
                assert material.ranges is not None
                _write_quantized(chosen, instrument, draft, cards.metadata(about), material.ranges)
            else:
                chosen.write(instrument, draft, cards.metadata(about))
            stage.advance()
        images = _chosen_images(predictor, material, quantize)
        asked = ask_both(chosen.open(draft), instrument, predictor, images, progress)
        asked.parity.need(exempt=bool(quantize))
        sentences = asked.parity.sentences(exempt=bool(quantize))
        cost = measure_cost(asked, images, predictor.task.classes, predictor.threshold) if quantize else None
        sentences += [] if cost is None else cost.sentences
        whole = cards.with_check(about, asked.parity, sentences, None if cost is None else cost.numbers)
        write_text(draft / cards.JSON_FILE, json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        write_text(draft / cards.README_FILE, cards.readme(whole, chosen))
        write_text(draft / scripts.FILE, scripts.script(chosen, predictor.spec))
    return sentences


def _chosen_images(predictor: Predictor, material: Material, quantize: str) -> Images:
    if quantize and material.cost is not None and len(material.cost):
        return material.cost.spread(MOST_COST)
    if material.check is not None and len(material.check):
        return material.check.spread(MOST)
    return rendered(predictor.spec)


def _write_quantized(
    chosen: Format, instrument: Instrument, draft: Path, metadata: Mapping[str, str], ranges: Images
) -> None:
    onnx = formats()["onnx"]
    onnx.write(instrument, draft, metadata)
    quantize_onnx(draft / onnx.files[0], ranges, instrument.preparation.spec)
    if chosen.name != onnx.name:
        convert_onnx(draft / onnx.files[0], draft, instrument.outputs, metadata)
        (draft / onnx.files[0]).unlink()


@contextmanager
def _draft(folder: Path, size: int) -> Iterator[Path]:
    """A folder under a name of its own, which gets its true name when all is well, and is removed when it is not."""
    need_free(folder)
    ensure_folder(folder.parent)
    need_disk(folder.parent, size, "the exported files")
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
