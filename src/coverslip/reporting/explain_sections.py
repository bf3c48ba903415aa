"""What `explain --test` found, as sections of its own page and of the run's report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coverslip.core.runs import Explained
from coverslip.reporting.explain_numbers import heat_rows, trust_rows
from coverslip.reporting.run_files import RunFiles
from coverslip.reporting.thumbnails import Thumbnails, data_address
from coverslip.reporting.wording import count_text, number_text


def looks_section(files: RunFiles, thumbnails: Thumbnails) -> dict[str, Any]:
    """Three examples of each class and every confident mistake, with their maps; the command where nobody looked."""
    folder = Explained(files.run.explained_test_folder)
    content = files.run.known(folder.numbers_file)
    review = content.get("review")
    if not isinstance(review, dict):
        return {"missing": True, "trained_here": files.trained_here}
    found = review_section(review, folder, thumbnails.left, show=thumbnails.show)
    thumbnails.left -= found["used"]
    sentences = [str(each) for each in content.get("sentences") or []]
    return {
        "missing": False,
        "method": content.get("method") or "",
        "layer": content.get("layer") or "",
        "sentences": sentences,
        **found,
    }


def review_section(review: Mapping[str, Any], folder: Explained, budget: int, *, show: bool = True) -> dict[str, Any]:
    """The lists of a review, their images inside.

    Args:
        review: of explain.json.
        folder: where the images are.
        budget: characters that they may take.
        show: whether there are images at all.

    Returns:
        ``examples``, ``mistakes``, ``away``, ``clusters``, ``numbers``, ``trust``, and ``used`` characters.
    """
    images = _Images(folder.folder, budget, show)
    mistakes = [images.item(each) for each in review.get("confident_mistakes") or []]
    examples = [
        {"name": each["class"], "items": [images.item(item) for item in each["items"]]}
        for each in review.get("examples") or []
    ]
    away = [
        {**images.item(each), "off": number_text(each["off"], 2), "area": number_text(each["area"], 2)}
        for each in review.get("looked_away") or []
    ]
    clusters = [
        {
            "name": each["name"],
            "count": count_text(each["images"], "mistake"),
            "mistakes": [(true, said, count) for true, said, count in each["mistakes"][:4]],
            "around": each["around"],
            "wrong_around": each["wrong_around"],
            "items": [images.item(item) for item in each["items"]],
        }
        for each in review.get("clusters") or []
    ]
    return {
        "images": count_text(int(review.get("images") or 0), "test image"),
        "wrong": int(review.get("mistakes") or 0),
        "with_subject": bool(review.get("with_subject")),
        "examples": [each for each in examples if each["items"]],
        "mistakes": mistakes,
        "away": away,
        "away_count": int(review.get("looked_away_count") or 0),
        "clusters": [each for each in clusters if len(each["items"]) > 1],
        "numbers": heat_rows(review.get("places") or {}),
        "trust": trust_rows(review.get("trust")),
        "used": images.used,
    }


class _Images:
    """Small images of a review as data addresses; each is in the page once."""

    def __init__(self, folder: Path, budget: int, show: bool) -> None:
        self.folder, self.left, self.show, self.used = folder, budget, show, 0

    def item(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        data, why = "", "left out to keep this page small" if self.show else "no images in this page"
        if self.show and self.left > 0:
            try:
                data = data_address((self.folder / str(entry.get("image"))).read_bytes())
            except OSError:
                why = "the image is no longer there"
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
