"""Labels and thumbnails of the training images that are nearest to a new image.

Training images may show patients. A model contains only their features, unless it was trained with ``train
--with-examples``, which stores thumbnails. For a model without thumbnails, the operator of the server can give the
location of the training images (``serve --with-examples FOLDER``). The content of each image is checked to be the one
used for training, and its thumbnail is kept in memory only. Paths are never sent.
"""

from __future__ import annotations

import csv
from pathlib import Path

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.core.runs import Run
from coverslip.data.decoding import PixelFormat, decode_all
from coverslip.data.scan import scan
from coverslip.data.table import STATUS_OK
from coverslip.data.target import SEPARATOR
from coverslip.inference.examples import example, read_examples
from coverslip.inference.predictor import Predictor
from coverslip.reporting.thumbnails import data_url
from coverslip.serving.answers import ReferenceLookup
from coverslip.tasks.class_task import ClassTask


def reference_labels(predictor: Predictor, run: Run) -> list[str] | None:
    """Return the class, labels or values of each reference image from the run's table; None if it has none of them."""
    if not run.table_file.is_file():
        return None
    with run.table_file.open(encoding="utf-8-sig", newline="") as file:
        known = {row.get("path", ""): row.get("label", "") for row in csv.DictReader(file)}
    labels = [known.get(path, "") for path in predictor.trust.references]
    classes = predictor.task.names if isinstance(predictor.task, ClassTask) else None
    known_labels = all(label and (classes is None or label in classes) for label in labels)
    if not labels or not known_labels:
        return None
    return labels if classes is not None else [label.replace(SEPARATOR, ", ") for label in labels]


def find_thumbnails(predictor: Predictor, source: str | Path, progress: Progress = SILENT) -> dict[int, str]:
    """Return thumbnails as data URLs, by index of the reference image.

    Args:
        predictor: the trained model.
        source: the folder, table or ``.npz`` file of the training images.
        progress: receives one event per image.

    Raises:
        UserError: no reference image exists there, or the images differ from those used for training.
    """
    table = scan(source, classes=1)
    available = set(table.paths)
    numbers = {path: number for number, path in enumerate(predictor.trust.references) if path in available}
    spec, thumbnails = predictor.spec, dict[int, str]()
    with progress.stage("thumbnails of training images", len(numbers)) as stage:
        form = PixelFormat(spec.channels, spec.depth)
        chunks = decode_all(
            table.source, list(numbers), form, spec.size, spec.fit, stage, widen=False, statistics=False
        )
        for chunk in chunks:
            for fact, row in zip(chunk.facts, chunk.pixels, strict=True):
                if fact["status"] == STATUS_OK and fact["row_hash"] in predictor.known_hashes:
                    width, height = int(str(fact["width"])), int(str(fact["height"]))
                    thumbnails[numbers[str(fact["path"])]] = data_url(example(row, width, height, spec))
    if not thumbnails:
        raise UserError(
            f"{str(source)!r} does not contain the images that this model was trained on",
            "give the folder of the training images, or omit --with-examples",
        )
    return thumbnails


def stored_thumbnails(predictor: Predictor, run: Run) -> dict[int, str]:
    """Return the thumbnails that are stored in the model, by index of the reference image.

    Raises:
        UserError: see `coverslip.inference.examples.read_examples`.
    """
    return {number: data_url(jpeg) for number, jpeg in read_examples(run, predictor).items()}


def reference_lookup(labels: list[str] | None, thumbnails: dict[int, str]) -> ReferenceLookup | None:
    """Return the lookup for `coverslip.serving.answers.ImagePredictor`; None without labels."""
    if labels is None:
        return None
    return lambda number: (labels[number], thumbnails.get(number))
