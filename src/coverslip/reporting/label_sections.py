"""Sections of the report of several labels: thresholds, sets of labels, and images with wrong labels."""

from __future__ import annotations

from typing import Any

from coverslip.reporting.evidence_sections import as_sentence, basis_text, missing_reason, sizes_text
from coverslip.reporting.result_sections import unreadable_files
from coverslip.reporting.run_files import Row, RunFiles
from coverslip.reporting.task_words import WORDS
from coverslip.reporting.thumbnails import Thumbnails
from coverslip.reporting.wording import number_text, score_context, share_text

MAX_WRONG = 24
NO_LABEL = "none"


def thresholds_section(files: RunFiles) -> dict[str, Any]:
    """Return the decision threshold of each label, and how often the label was right, missed and added."""
    thresholds: dict[str, float] = files.test.get("thresholds") or {}
    if not thresholds:
        return {"missing": "Not available: test.json has no thresholds."}
    rows = []
    read = [(_names(row["label"]), _names(row["predicted"])) for row in _readable(files)]
    for name, value in thresholds.items():
        both = sum(name in true and name in found for true, found in read)
        missed = sum(name in true and name not in found for true, found in read)
        added = sum(name not in true and name in found for true, found in read)
        rows.append({"name": name, "value": f"{value:.2g}", "both": both, "missed": missed, "added": added})
    return {"rows": rows}


def label_sets_section(files: RunFiles) -> dict[str, Any]:
    """Return how many of the true labels the sets contain, and their size, against the nominal share."""
    if reason := missing_reason(files, "sets", "There are no sets: no images were left to calibrate them."):
        return {"missing": reason}
    content = files.test["sets"]
    return {
        "nominal": share_text(content["asked"]),
        "least": number_text(content.get("least"), 2),
        "coverage": score_context(content.get("coverage")),
        "size": score_context(content.get("size"), digits=2),
        "sizes": sizes_text(content.get("sizes") or [], WORDS[files.task].names),
        "basis": basis_text(content.get("calibrated_on")),
        "warnings": [as_sentence(warning) for warning in content.get("warnings") or []],
    }


def wrong_labels_section(files: RunFiles, thumbnails: Thumbnails) -> dict[str, Any]:
    """Return test images with missed or added labels, those with the most first."""
    if files.predictions is None:
        return {"missing": "Not available: there is no predictions.csv in the run folder."}
    rows = []
    for row in _readable(files):
        true, found = _names(row["label"]), _names(row["predicted"])
        if true != found:
            rows.append((len(true ^ found), row, sorted(true - found), sorted(found - true)))
    rows.sort(key=lambda entry: (-entry[0], entry[1]["path"]))
    images = [
        {
            **thumbnails.image(row["path"]),
            "label": row["label"].replace(";", ", "),
            "missed": ", ".join(missed),
            "added": ", ".join(added),
            "unfamiliar": row.get("familiar", "").lower() == "false",
        }
        for _, row, missed, added in rows[:MAX_WRONG]
    ]
    return {
        "images": images,
        "count": len(rows),
        "left_out": len(rows) - len(images),
        "unreadable": unreadable_files(files),
    }


def _readable(files: RunFiles) -> list[Row]:
    return [row for row in files.predictions or [] if row.get("predicted")]


def _names(text: str) -> set[str]:
    return set() if text == NO_LABEL else set(text.split(";"))
