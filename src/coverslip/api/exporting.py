"""A trained model as a file for programs other than this one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.core.runs import ForeignRun, Run, next_free
from coverslip.data.sources.loose import images_of
from coverslip.data.table import PARTS
from coverslip.explaining.subjects import run_table
from coverslip.exporting.export import Material, choose, export_model
from coverslip.exporting.images import MOST, Images, evenly, images_of_rows, rows_there
from coverslip.inference.model_files import load_predictor
from coverslip.inference.predictor import Predictor
from coverslip.models.own import add_own
from coverslip.reporting.methods import score_text
from coverslip.reporting.run_card import run_card
from coverslip.reporting.run_files import read_run

FOLDER = "export"


def export(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    format: str = "onnx",
    quantize: str = "",
    images: Sequence[str | Path] | str | Path = (),
    network: object | None = None,
    progress: Progress = SILENT,
) -> Path:
    """Write a trained model as one file that holds the whole instrument, and check that it gives the same answers.

    Decoded pixels go in, uint8 or uint16, (N, height, width, channels) of any size; out come calibrated probabilities,
    the label, the set of classes, whether the image is familiar, and for networks that end with an average over a
    grid the class activation map. Preparation is inside. Beside the file lie ``model.json``, ``README.md`` with what
    the check found, and ``use_model.py``.

    Args:
        folder: the run.
        out: folder to write; must not exist; by default a new one in ``RUN/export``.
        format: ``onnx``; ``torch`` (TorchScript); ``openvino``.
        quantize: ``int8`` for 8-bit integers in the network, smaller and less exact; what that costs is measured on
            validation images, since the test set is opened only once.
        images: to check with, in place of the run's own; files and folders. Of class folders the labels are known.
        network: where the run was trained with a network of your own, that network again.
        progress: told what happens, and what the check found.

    Returns:
        The folder.

    Raises:
        UserError: no such run, format or image; a part of the run is missing; an extra is missing; ``out`` exists;
            the file's answers differ from the model's, beyond 1e-4 for the network, one grey level after the resize,
            0.01 in probability from decoded pixels, or 0.5 % of the labels. Then nothing is kept.
    """
    choose(format, quantize)
    run = Run.open(folder)
    if isinstance(run, ForeignRun):
        raise UserError(f"{str(run.weights_file)!r} is an ONNX file already", "use it as it is")
    _need_finished(run)
    if network is not None:
        add_own(network)
    predictor = load_predictor(run)
    there = next_free(run.folder / FOLDER / "-".join(filter(None, (format, quantize)))) if out is None else Path(out)
    given = [images] if isinstance(images, str | Path) else list(images)
    material = _given(predictor, given) if given else _own(predictor, run)
    sentences = export_model(
        predictor,
        there,
        material,
        format=format,
        quantize=quantize,
        name=run.folder.resolve().name,
        run=about_run(run),
        progress=progress,
    )
    for sentence in sentences:
        progress.note(sentence)
    return there


def about_run(run: Run) -> dict[str, Any]:
    """What an exported file says of its run: its card, what it was trained on, and its scores with their intervals."""
    if not run.test_file.is_file():
        return {"Tested": "not known: the run's test result is not beside the model"}
    files = read_run(run.folder)
    found: dict[str, Any] = dict(run_card(files))
    scores = files.test.get("scores") or {}
    tested = scores.get("accuracy")
    if isinstance(tested, dict) and tested.get("value") is not None:
        groups = f" of {tested['groups']:,} groups" if files.grouped and tested.get("groups") else ""
        found["Accuracy"] = f"{score_text(tested)} on {tested['images']:,} test images{groups}"
    return {**found, "scores": scores, "grouped": files.grouped}


def _need_finished(run: Run) -> None:
    if run.experiment_file.is_file() and not run.test_file.is_file():
        raise UserError(
            f"{str(run.folder)!r} is not finished: its model was never tested",
            f"finish it: coverslip train --resume {shlex.quote(str(run.folder))}",
        )


def _own(predictor: Predictor, run: Run) -> Material:
    """The run's own images, as far as they are still there: of its test set first, filled up from the others."""
    try:
        table = run_table(run)
    except UserError:
        return Material()
    parts = {part: rows_there(table, part) for part in PARTS}
    rows: list[int] = []
    words = []
    for part in ("test", "validation", "train"):
        some = evenly(parts[part], MOST - len(rows))
        rows += some
        words += [f"{len(some):,} of its {part} part"] if some else []

    def some_of(rows: list[int], about: str) -> Images:
        return images_of_rows(table, rows, predictor.task.classes, about)

    return Material(
        check=some_of(rows, f"the run's own, {', '.join(words)}"),
        ranges=some_of(parts["train"], "the run's training set"),
        cost=some_of(parts["validation"], "the run's validation set"),
    )


def _given(predictor: Predictor, paths: list[str | Path]) -> Material:
    """Images that the user names; a folder of a class's name labels those in it. Every other one serves ranges."""
    table = images_of(paths)
    names = [(table.root / path).parent.name for path in table.paths]
    table = table.with_columns(label=[name if name in predictor.task.classes else None for name in names])

    def some_of(rows: range, about: str = "given") -> Images:
        return images_of_rows(table, rows, predictor.task.classes, about)

    whole = range(len(table))
    other = f"every second one of the {len(whole):,} given: the others set the ranges of values"
    return Material(check=some_of(whole), ranges=some_of(whole[::2]), cost=some_of(whole[1::2], other))
