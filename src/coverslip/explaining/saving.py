"""What `explain` leaves in a folder: every figure as PNG, every array as ``.npz``, every number as JSON."""

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

from coverslip.core.runs import Explained
from coverslip.core.storage import ensure_folder, write_text, writing
from coverslip.explaining.explanation import Explanation
from coverslip.explaining.images import ExplainedImage
from coverslip.explaining.review import Review

SIDE = 176  # pixels of an image in the page's galleries
QUALITY = 80
MOST = 24  # images of one list in the page
OF_CLUSTER = 6


def save_explanation(explanation: Explanation, folder: Explained) -> None:
    """Write everything into a folder; what an earlier `explain` wrote there is replaced.

    ``explain.json`` is written last: a folder with it is complete. Its parts are ``run``, ``network``, ``classes``,
    ``method``, ``layer``, ``notes``, ``sentences``, ``images``, ``drawings`` and ``review``.
    """
    _clear(folder)
    images = []
    for number, each in enumerate(explanation.images, 1):
        name = f"{number:02d}-{safe_name(PurePath(each.name).stem)}"
        _save_figure(each.figure, folder.figure_file(name))
        _save_arrays(folder.arrays_file(name), _arrays_of(each))
        images.append(_image_numbers(each, folder, name))
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
    """A name that every file system takes.

    >>> safe_name("IMG 01 (a)")
    'IMG-01-a'
    """
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")[:60] or "image"


def plain(value: Any) -> Any:
    """Numbers of NumPy as plain ones, tuples as lists, what is not finite as None: JSON has no NaN.

    >>> plain({"a": (np.float32(0.5), float("nan"))})
    {'a': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _clear(folder: Explained) -> None:
    """Remove what an earlier one left; what a person wrote (names of clusters, files of their own) stays."""
    ensure_folder(folder.folder)
    try:
        before = json.loads(folder.numbers_file.read_text(encoding="utf-8"))
        entries = [*before["images"], *before["drawings"]]
        names = [PurePath(str(each.get(kind))).name for each in entries for kind in ("figure", "arrays")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or not ours
        names = []
    folder.numbers_file.unlink(missing_ok=True)
    for name in names:
        (folder.folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder.images_folder, ignore_errors=True)


def _save_figure(figure: Any, path: Path) -> None:
    with writing(path) as temporary:
        figure.savefig(temporary, format="png", dpi="figure", metadata={"Software": None})


def _save_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    with writing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **{name.replace("/", "."): each for name, each in arrays.items()})  # type: ignore[arg-type]


def _arrays_of(each: ExplainedImage) -> dict[str, npt.NDArray[Any]]:
    """Maps by their stage, (K, h, w), and what their rows are."""
    columns = [heatmap.layer for heatmap in each.heatmaps[0]]
    maps = {f"map.{name}": np.stack([row[at].values for row in each.heatmaps]) for at, name in enumerate(columns)}
    names = [row[0].class_name for row in each.heatmaps]
    return {**maps, "classes": np.array(names), "probabilities": np.array(each.probabilities)}


def _image_numbers(each: ExplainedImage, folder: Explained, name: str) -> dict[str, Any]:
    rows = zip(each.heatmaps, each.roles, each.probabilities, strict=True)
    return {
        "name": each.name,
        "figure": folder.figure_file(name).name,
        "arrays": folder.arrays_file(name).name,
        "label": each.label,
        "predicted": each.predicted,
        "confidence": each.confidence,
        "decided": each.decided,
        "trained_on": each.seen,
        "rows": [
            {"class": maps[0].class_name, "role": role, "probability": probability} for maps, role, probability in rows
        ],
        "columns": [heatmap.layer for heatmap in each.heatmaps[0]],
        "scales": [[heatmap.scale for heatmap in row] for row in each.heatmaps],
        "sentences": list(each.sentences),
        "trust": None if each.trust is None else each.trust.as_json(),
    }


def _save_review(explanation: Explanation, review: Review, folder: Explained) -> dict[str, Any]:
    """The lists of a review with small images, and ``clusters.csv`` to write names into."""
    ensure_folder(folder.images_folder)
    classes = explanation.classes
    saved: dict[int, str] = {}

    def item(row: int) -> dict[str, Any]:
        if row not in saved:
            path = folder.images_folder / f"{len(saved) + 1:04d}.jpg"
            with writing(path) as temporary:
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
            "name": each.name,
            "images": len(each.rows),
            "mistakes": [[classes[true], classes[said], count] for (true, said), count in each.mistakes.items()],
            "around": each.around,
            "wrong_around": each.wrong_around,
            "items": [item(row) for row in each.rows[:OF_CLUSTER]],
        }
        for each in review.clusters[:MOST]
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
        "looked_away": [{**item(each.row), "off": each.off, "area": each.area} for each in review.looked_away[:MOST]],
        "looked_away_count": len(review.looked_away),
        "clusters": clusters,
    }


def _write_clusters(folder: Explained, review: Review, classes: Sequence[str]) -> None:
    """A row a cluster, for a person to write names into; names that are there stay."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "mistakes", "mostly", "image"])
    for each in review.clusters:
        (true, said), count = next(iter(each.mistakes.items()))
        mostly = f"{classes[true]} taken for {classes[said]} ({count})"
        named = next((row for row in each.rows if review.cluster_names.get(review.names[row])), each.rows[0])
        writer.writerow([each.name, len(each.rows), mostly, review.names[named]])
    write_text(folder.clusters_file, text.getvalue())


def _jpeg(versions: Sequence[npt.NDArray[np.uint8]]) -> bytes:
    """Versions of one image side by side."""
    small = []
    for version in versions:
        image = Image.fromarray(version)
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        small.append(image)
    sheet = Image.new("RGB", (sum(each.width for each in small) + 4 * (len(small) - 1), small[0].height), "white")
    left = 0
    for each in small:
        sheet.paste(each, (left, 0))
        left += each.width + 4
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()
