"""Results of `explain --test` as sections of its own page and of the run's report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coverslip.core.runs import ExplanationFolder
from coverslip.reporting.explain_numbers import heat_rows, sanity_rows
from coverslip.reporting.run_files import RunFiles
from coverslip.reporting.thumbnails import Thumbnails, data_url
from coverslip.reporting.wording import count_text, number_text


def maps_section(files: RunFiles, thumbnails: Thumbnails) -> dict[str, Any]:
    """Return examples of each class and confident mistakes with their heat maps; a hint if there are no maps."""
    folder = ExplanationFolder(files.run.explained_test_folder)
    content = files.run.json_or_empty(folder.numbers_file)
    review = content.get("review")
    if not isinstance(review, dict):
        return {"missing": True, "trained_here": files.trained_here}
    section = review_section(review, folder, thumbnails.left, show=thumbnails.show)
    thumbnails.left -= section["used"]
    return {
        "missing": False,
        "method": content.get("method") or "",
        "layer": content.get("layer") or "",
        "sentences": [str(sentence) for sentence in content.get("sentences") or []],
        **section,
    }


def review_section(
    review: Mapping[str, Any], folder: ExplanationFolder, budget: int, *, show: bool = True
) -> dict[str, Any]:
    """Return the lists of a review with their images.

    Args:
        review: ``review`` of explain.json.
        folder: the folder with the images.
        budget: maximum number of characters of all images.
        show: False to show no images at all.

    Returns:
        ``examples``, ``mistakes``, ``off_subject``, ``clusters``, ``regions``, ``sanity``, and ``used`` characters.
    """
    images = _Images(folder.folder, budget, show)
    mistakes = [images.item(entry) for entry in review.get("confident_mistakes") or []]
    examples = [
        {"name": entry["class"], "items": [images.item(item) for item in entry["items"]]}
        for entry in review.get("examples") or []
    ]
    off_subject = [
        {**images.item(entry), "off": number_text(entry["off"], 2), "area": number_text(entry["area"], 2)}
        for entry in review.get("looked_away") or []
    ]
    clusters = [
        {
            "name": entry["name"],
            "count": count_text(entry["images"], "mistake"),
            "mistakes": [(true, predicted, count) for true, predicted, count in entry["mistakes"][:4]],
            "around": entry["around"],
            "wrong_around": entry["wrong_around"],
            "items": [images.item(item) for item in entry["items"]],
        }
        for entry in review.get("clusters") or []
    ]
    return {
        "images": count_text(int(review.get("images") or 0), "test image"),
        "wrong": int(review.get("mistakes") or 0),
        "with_subject": bool(review.get("with_subject")),
        "examples": [entry for entry in examples if entry["items"]],
        "mistakes": mistakes,
        "off_subject": off_subject,
        "off_subject_count": int(review.get("looked_away_count") or 0),
        "clusters": [cluster for cluster in clusters if len(cluster["items"]) > 1],
        "regions": heat_rows(review.get("places") or {}),
        "sanity": sanity_rows(review.get("trust")),
        "used": images.used,
    }


class _Images:
    """Small images of a review as data URLs; each is in the page once."""

    def __init__(self, folder: Path, budget: int, show: bool) -> None:
        self.folder, self.left, self.show, self.used = folder, budget, show, 0

    def item(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        data, why = "", "omitted to limit the size of this page" if self.show else "this page has no images"
        if self.show and self.left > 0:
            try:
                data = data_url((self.folder / str(entry.get("image"))).read_bytes())
            except OSError:
                why = "the image file no longer exists"
            self.left -= len(data)
            self.used += len(data)
        label, predicted = entry.get("label") or "", entry.get("predicted") or ""
        return {
            "path": str(entry.get("path") or ""),
            "data": data,
            "why": why,
            "label": label,
            "predicted": predicted,
            "confidence": number_text(entry.get("confidence"), 2),
            "wrong": bool(label) and label != predicted,
        }
