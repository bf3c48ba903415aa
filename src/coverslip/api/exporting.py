"""Export a trained model for use in other programs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coverslip.core.errors import UserError
from coverslip.core.forks import unforked
from coverslip.core.paths import expand
from coverslip.core.progress import SILENT, Progress
from coverslip.core.runs import OnnxRun, Run, next_free
from coverslip.data.sources.unlabeled import scan_unlabeled
from coverslip.data.table import SPLITS
from coverslip.explaining.image_set import run_table
from coverslip.exporting.export import ExportImages, choose_format, export_model
from coverslip.exporting.images import MAX_IMAGES, ImageList, available_rows, evenly_spaced, images_of_rows
from coverslip.inference.model_files import load_predictor
from coverslip.inference.predictor import Predictor
from coverslip.models.user_network import register_user_network
from coverslip.reporting.methods import score_text
from coverslip.reporting.run_card import run_card
from coverslip.reporting.run_files import read_run

FOLDER = "export"


@unforked
def export(
    folder: str | os.PathLike[str],
    out: str | Path | None = None,
    *,
    format: str = "onnx",
    quantize: str = "",
    images: Sequence[str | Path] | str | Path = (),
    network: object | None = None,
    progress: Progress = SILENT,
) -> Path:
    """Export a trained model to a single file, and verify that its predictions are the same.

    Inputs are decoded images of any size, uint8 or uint16, shape (N, height, width, channels); preparation is part of
    the file. Outputs are calibrated probabilities, predicted class, prediction set, familiarity, and, for networks
    that end with global average pooling, the class activation map. The folder also gets ``model.json``, ``README.md``
    with the result of the verification, and ``use_model.py``.

    Args:
        folder: the run folder.
        out: folder to write; must not exist; by default a new one in ``RUN/export``.
        format: ``onnx``, ``torch`` (TorchScript) or ``openvino``.
        quantize: ``int8`` quantizes the network to 8 bits; the loss of accuracy is measured on the validation set,
            since the test set is used only once.
        images: files and folders for the verification, instead of the run's images. Names of class folders are used as
            labels.
        network: the network, if the run was trained with a network of your own.
        progress: receives stages, and the result of the verification as notes.

    Returns:
        The folder that was written.

    Raises:
        UserError: run, format or image does not exist; files of the run or an optional package are missing; ``out``
            exists; or the outputs of the file differ from the model's by more than 1e-4 for the network, one grey
            level after the resize, 0.01 in probability from decoded images, or 0.5 % of the predicted classes. Then
            nothing is kept.
    """
    choose_format(format, quantize)
    run = Run.open(folder)
    if isinstance(run, OnnxRun):
        raise UserError(f"{str(run.weights_file)!r} is already an ONNX file", "use this file")
    _need_finished(run)
    if network is not None:
        register_user_network(network)
    predictor = load_predictor(run)
    output = next_free(run.folder / FOLDER / "-".join(filter(None, (format, quantize)))) if out is None else expand(out)
    given_paths = [images] if isinstance(images, str | Path) else list(images)
    export_images = _given_images(predictor, given_paths) if given_paths else _run_images(predictor, run)
    sentences = export_model(
        predictor,
        output,
        export_images,
        format=format,
        quantize=quantize,
        name=run.folder.resolve().name,
        run=run_facts(run),
        progress=progress,
    )
    for sentence in sentences:
        progress.note(sentence)
    return output


def run_facts(run: Run) -> dict[str, Any]:
    """Return what an exported model states about its run: its card, training data, and scores with intervals."""
    if not run.test_file.is_file():
        return {"Tested": "unknown: the run has no test result"}
    files = read_run(run.folder)
    facts: dict[str, Any] = dict(run_card(files))
    scores = files.test.get("scores") or {}
    tested = scores.get("accuracy")
    if isinstance(tested, dict) and tested.get("value") is not None:
        groups = f" of {tested['groups']:,} groups" if files.grouped and tested.get("groups") else ""
        facts["Accuracy"] = f"{score_text(tested)} on {tested['images']:,} test images{groups}"
    return {**facts, "scores": scores, "grouped": files.grouped}


def _need_finished(run: Run) -> None:
    if run.experiment_file.is_file() and not run.test_file.is_file():
        raise UserError(
            f"the run {str(run.folder)!r} is not finished: its model was not tested",
            f"finish the run: coverslip train --resume {shlex.quote(str(run.folder))}",
        )


def _run_images(predictor: Predictor, run: Run) -> ExportImages:
    """Return the images of the run that still exist: of the test set first, then of the other splits."""
    try:
        table = run_table(run)
    except UserError:
        return ExportImages()
    available = {split: available_rows(table, split) for split in SPLITS}
    rows: list[int] = []
    counts = []
    for split, name in (("test", "test"), ("validation", "validation"), ("train", "training")):
        chosen = evenly_spaced(available[split], MAX_IMAGES - len(rows))
        rows += chosen
        counts += [f"{len(chosen):,} of the {name} set"] if chosen else []

    def images_of(rows: list[int], description: str) -> ImageList:
        return images_of_rows(table, rows, predictor.task.names, description)

    return ExportImages(
        check=images_of(rows, f"from the run: {', '.join(counts)}"),
        ranges=images_of(available["train"], "the run's training set"),
        cost=images_of(available["validation"], "the run's validation set"),
    )


def _given_images(predictor: Predictor, paths: list[str | Path]) -> ExportImages:
    """Return the given images; folders named like a class are labels. Every second image sets the ranges."""
    table = scan_unlabeled(paths)
    names = [(table.root / path).parent.name for path in table.paths]
    table = table.with_columns(label=[name if name in predictor.task.names else None for name in names])

    def images_of(rows: range, description: str = "given") -> ImageList:
        return images_of_rows(table, rows, predictor.task.names, description)

    rows = range(len(table))
    other = f"every second one of the {len(rows):,} given images; the others set the ranges"
    return ExportImages(check=images_of(rows), ranges=images_of(rows[::2]), cost=images_of(rows[1::2], other))
