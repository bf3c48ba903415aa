"""Writing of an explanation to a folder: figures as PNG, arrays as ``.npz``, numbers as JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from coverslip.core.runs import ExplanationFolder
from coverslip.core.storage import atomic_write, ensure_folder, write_text
from coverslip.explaining.explanation import Explanation
from coverslip.explaining.images import ExplainedImage
from coverslip.explaining.review import Review

SIDE = 176  # pixels of an image in the galleries of the page
QUALITY = 80  # of JPEG
MAX_IMAGES = 24  # of one list in the page
MAX_OF_CLUSTER = 6


def save_explanation(explanation: Explanation, folder: ExplanationFolder) -> None:
    """Write an explanation to a folder, replacing the files of an earlier one.

    ``explain.json`` is written last, so a folder that contains it is complete. Its keys are ``run``, ``network``,
    ``classes``, ``method``, ``layer``, ``notes``, ``sentences``, ``trust``, ``images``, ``drawings`` and ``review``.
    """
    _clear(folder)
    images = []
    for number, image in enumerate(explanation.images, 1):
        name = f"{number:02d}-{safe_name(PurePath(image.name).stem)}"
        _save_figure(image.figure, folder.figure_file(name))
        _save_arrays(folder.arrays_file(name), _arrays_of(image))
        images.append(_image_numbers(image, folder, name))
    drawings = []
    for drawing in explanation.drawings:
        _save_figure(drawing.figure, folder.figure_file(drawing.name))
        if drawing.arrays:
            _save_arrays(folder.arrays_file(drawing.name), drawing.arrays)
        drawings.append(
            {
                "name": drawing.name,
                "title": drawing.title,
                "caption": drawing.caption,
                "figure": folder.figure_file(drawing.name).name,
                "arrays": folder.arrays_file(drawing.name).name if drawing.arrays else None,
            }
        )
    review = None if explanation.review is None else _save_review(explanation, explanation.review, folder)
    content = {
        "run": explanation.run,
        "network": explanation.network,
        "classes": explanation.classes,
        "method": explanation.method,
        "layer": explanation.layer,
        "notes": explanation.notes,
        "sentences": explanation.sentences,
        "trust": None if explanation.trust is None else explanation.trust.as_json(),
        "images": images,
        "drawings": drawings,
        "review": review,
    }
    write_text(folder.numbers_file, json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def safe_name(text: str) -> str:
    """Return a name that is valid in every file system.

    >>> safe_name("IMG 01 (a)")
    'IMG-01-a'
    """
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")[:60] or "image"


def plain(value: Any) -> Any:
    """Convert a value for JSON: NumPy numbers to Python numbers, tuples to lists, NaN and infinity to None.

    >>> plain({"a": (np.float32(0.5), float("nan"))})
    {'a': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(content) for key, content in value.items()}
    if isinstance(value, list | tuple):
        return [plain(content) for content in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _clear(folder: ExplanationFolder) -> None:
    """Delete the files of an earlier explanation; files of the user, such as names of clusters, are kept."""
    ensure_folder(folder.folder)
    try:
        previous = json.loads(folder.numbers_file.read_text(encoding="utf-8"))
        entries = [*previous["images"], *previous["drawings"]]
        names = [PurePath(str(entry.get(kind))).name for entry in entries for kind in ("figure", "arrays")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # no such file, or not an explanation
        names = []
    folder.numbers_file.unlink(missing_ok=True)
    for name in names:
        (folder.folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder.images_folder, ignore_errors=True)


def _save_figure(figure: Any, path: Path) -> None:
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi="figure", metadata={"Software": None})


def _save_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **{name.replace("/", "."): array for name, array in arrays.items()})  # type: ignore[arg-type]


def _arrays_of(image: ExplainedImage) -> dict[str, npt.NDArray[Any]]:
    """Return the maps of each stage, (K, h, w), with the names and probabilities of the K classes."""
    columns = [heatmap.layer for heatmap in image.heatmaps[0]]
    maps = {f"map.{name}": np.stack([row[at].values for row in image.heatmaps]) for at, name in enumerate(columns)}
    names = [row[0].class_name for row in image.heatmaps]
    return {**maps, "classes": np.array(names), "probabilities": np.array(image.probabilities)}


def _image_numbers(image: ExplainedImage, folder: ExplanationFolder, name: str) -> dict[str, Any]:
    rows = zip(image.heatmaps, image.roles, image.probabilities, strict=True)
    return {
        "name": image.name,
        "figure": folder.figure_file(name).name,
        "arrays": folder.arrays_file(name).name,
        "label": image.label,
        "predicted": image.predicted,
        "confidence": image.confidence,
        "decided": image.decided,
        "trained_on": image.trained_on,
        "rows": [
            {"class": maps[0].class_name, "role": role, "probability": probability} for maps, role, probability in rows
        ],
        "columns": [heatmap.layer for heatmap in image.heatmaps[0]],
        "scales": [[heatmap.scale for heatmap in row] for row in image.heatmaps],
        "sentences": list(image.sentences),
        "trust": None if image.trust is None else image.trust.as_json(),
    }


def _save_review(explanation: Explanation, review: Review, folder: ExplanationFolder) -> dict[str, Any]:
    """Save the images of a review and ``clusters.csv``; return the lists for ``explain.json``."""
    ensure_folder(folder.images_folder)
    classes = explanation.classes
    saved: dict[int, str] = {}

    def item(row: int) -> dict[str, Any]:
        if row not in saved:
            path = folder.images_folder / f"{len(saved) + 1:04d}.jpg"
            with atomic_write(path) as temporary:
                temporary.write_bytes(_jpeg(review.versions(row)))
            saved[row] = path.relative_to(folder.folder).as_posix()
        label = review.labels[row]
        return {
            "path": review.names[row],
            "image": saved[row],
            "label": None if label < 0 else classes[label],
            "predicted": classes[review.predicted[row]],
            "confidence": review.confidence[row],
        }

    clusters = [
        {
            "name": cluster.name,
            "images": len(cluster.rows),
            "mistakes": [
                [classes[true], classes[predicted], count] for (true, predicted), count in cluster.mistakes.items()
            ],
            "around": cluster.around,
            "wrong_around": cluster.wrong_around,
            "items": [item(row) for row in cluster.rows[:MAX_OF_CLUSTER]],
        }
        for cluster in review.clusters[:MAX_IMAGES]
    ]
    _write_clusters(folder, review, classes)
    return {
        "images": len(review.names),
        "mistakes": int((review.labels != review.predicted).sum()),
        "with_subject": review.with_subject,
        "places": {name: vars(place) for name, place in review.places.items()},
        "trust": None if review.trust is None else review.trust.as_json(),
        "examples": [
            {"class": name, "items": [item(row) for row in rows]}
            for name, rows in zip(classes, review.examples.of_class, strict=True)
        ],
        "confident_mistakes": [item(row) for row in review.examples.mistakes],
        "looked_away": [
            {**item(image.row), "off": image.off, "area": image.area} for image in review.off_subject[:MAX_IMAGES]
        ],
        "looked_away_count": len(review.off_subject),
        "clusters": clusters,
    }


def _write_clusters(folder: ExplanationFolder, review: Review, classes: Sequence[str]) -> None:
    """Write one row per cluster, in which the user can enter a name; existing names are kept."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "mistakes", "mostly", "image"])
    for cluster in review.clusters:
        (true, predicted), count = next(iter(cluster.mistakes.items()))
        mostly = f"{classes[true]} predicted as {classes[predicted]} ({count})"
        key = next((row for row in cluster.rows if review.cluster_names.get(review.names[row])), cluster.rows[0])
        writer.writerow([cluster.name, len(cluster.rows), mostly, review.names[key]])
    write_text(folder.clusters_file, text.getvalue())


def _jpeg(versions: Sequence[npt.NDArray[np.uint8]]) -> bytes:
    """Encode versions of one image side by side as JPEG."""
    small = []
    for version in versions:
        image = Image.fromarray(version)
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        small.append(image)
    sheet = Image.new("RGB", (sum(image.width for image in small) + 4 * (len(small) - 1), small[0].height), "white")
    left = 0
    for image in small:
        sheet.paste(image, (left, 0))
        left += image.width + 4
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()
