"""What may be told of the training pictures nearest to a new one: always their class, a thumbnail only where asked for.

Training pictures may be patients'. A bundle holds none of them, only what the network made of them. So whoever starts
the server says where they are (``--with-examples``), each is checked to be the very picture that was trained on, and
its thumbnail stays in the memory of this server. Paths are never told.
"""

from __future__ import annotations

import csv
from pathlib import Path

from coverslip.data.decoding import PixelFormat, decode_all
from coverslip.data.inputs import content_box
from coverslip.data.scan import scan
from coverslip.data.table import READ
from coverslip.errors import UserError
from coverslip.inference.predictor import Predictor
from coverslip.progress import SILENT, Progress
from coverslip.reporting.thumbnails import thumbnail
from coverslip.runs import Run
from coverslip.serving.answers import Known

SIDE = 112  # pixels of a thumbnail


def labels_of(predictor: Predictor, run: Run) -> list[str] | None:
    """The class of each reference picture, from the run's table; None where that is not there."""
    if not run.table_file.is_file():
        return None
    with run.table_file.open(encoding="utf-8-sig", newline="") as file:
        known = {row.get("path", ""): row.get("label", "") for row in csv.DictReader(file)}
    labels = [known.get(path, "") for path in predictor.trust.references]
    return labels if labels and all(label in predictor.task.classes for label in labels) else None


def thumbnails_of(predictor: Predictor, source: str | Path, progress: Progress = SILENT) -> dict[int, str]:
    """Number of a reference picture -> its thumbnail as a data address.

    Args:
        predictor: the trained model.
        source: the folder, table or ``.npz`` file that it was trained on.
        progress: told of the stage.

    Raises:
        UserError: none of the reference pictures is there, or those there are other pictures.
    """
    table = scan(source, classes=1)
    there = set(table.paths)
    wanted = {path: number for number, path in enumerate(predictor.trust.references) if path in there}
    spec, found = predictor.spec, dict[int, str]()
    with progress.stage("thumbnails of training pictures", len(wanted)) as stage:
        form = PixelFormat(spec.channels, spec.depth)
        for chunk in decode_all(table.source, list(wanted), form, spec.size, spec.fit, stage, widen=False, looks=False):
            for fact, row in zip(chunk.facts, chunk.pixels, strict=True):
                if fact["status"] == READ and fact["row_hash"] in predictor.seen:
                    width, height = int(str(fact["width"])), int(str(fact["height"]))
                    top, left, tall, wide = content_box(width, height, spec.size, spec.fit)
                    found[wanted[str(fact["path"])]] = thumbnail(row[top : top + tall, left : left + wide], SIDE)
    if not found:
        raise UserError(
            f"{str(source)!r} does not hold the pictures that this model was trained on",
            "name the folder that it was trained on, or leave --with-examples out",
        )
    return found


def known_references(labels: list[str] | None, thumbnails: dict[int, str]) -> Known | None:
    """What may be told, as `coverslip.serving.answers.Instrument` asks for it."""
    if labels is None:
        return None
    return lambda number: (labels[number], thumbnails.get(number))
