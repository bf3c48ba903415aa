"""What may be told of the training images nearest to a new one: always their class, a thumbnail only where asked for.

Training images may be patients'. A bundle holds none of them, only what the network made of them, unless its training
was told to keep small ones (``train --with-examples``). For a bundle without, whoever starts the server says where they
are (``serve --with-examples FOLDER``): each is checked to be the very image that was trained on, and its thumbnail
stays in the memory of this server. Paths are never told.
"""

from __future__ import annotations

import csv
from pathlib import Path

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.core.runs import Run
from coverslip.data.decoding import PixelFormat, decode_all
from coverslip.data.scan import scan
from coverslip.data.table import READ
from coverslip.inference.examples import example, read_examples
from coverslip.inference.predictor import Predictor
from coverslip.reporting.thumbnails import data_address
from coverslip.serving.answers import Known


def labels_of(predictor: Predictor, run: Run) -> list[str] | None:
    """The class of each reference image, from the run's table; None where that is not there."""
    if not run.table_file.is_file():
        return None
    with run.table_file.open(encoding="utf-8-sig", newline="") as file:
        known = {row.get("path", ""): row.get("label", "") for row in csv.DictReader(file)}
    labels = [known.get(path, "") for path in predictor.trust.references]
    return labels if labels and all(label in predictor.task.classes for label in labels) else None


def thumbnails_of(predictor: Predictor, source: str | Path, progress: Progress = SILENT) -> dict[int, str]:
    """Number of a reference image -> its thumbnail as a data address.

    Args:
        predictor: the trained model.
        source: the folder, table or ``.npz`` file that it was trained on.
        progress: told of the stage.

    Raises:
        UserError: none of the reference images is there, or those there are other images.
    """
    table = scan(source, classes=1)
    there = set(table.paths)
    wanted = {path: number for number, path in enumerate(predictor.trust.references) if path in there}
    spec, found = predictor.spec, dict[int, str]()
    with progress.stage("thumbnails of training images", len(wanted)) as stage:
        form = PixelFormat(spec.channels, spec.depth)
        for chunk in decode_all(table.source, list(wanted), form, spec.size, spec.fit, stage, widen=False, looks=False):
            for fact, row in zip(chunk.facts, chunk.pixels, strict=True):
                if fact["status"] == READ and fact["row_hash"] in predictor.seen:
                    width, height = int(str(fact["width"])), int(str(fact["height"]))
                    found[wanted[str(fact["path"])]] = data_address(example(row, width, height, spec))
    if not found:
        raise UserError(
            f"{str(source)!r} does not hold the images that this model was trained on",
            "name the folder that it was trained on, or leave --with-examples out",
        )
    return found


def kept_thumbnails(predictor: Predictor, run: Run) -> dict[int, str]:
    """The same of a bundle that was made with small images; nothing of one that was not.

    Raises:
        UserError: see `coverslip.inference.examples.read_examples`.
    """
    return {number: data_address(jpeg) for number, jpeg in read_examples(run, predictor).items()}


def known_references(labels: list[str] | None, thumbnails: dict[int, str]) -> Known | None:
    """What may be told, as `coverslip.serving.answers.Instrument` asks for it."""
    if labels is None:
        return None
    return lambda number: (labels[number], thumbnails.get(number))
