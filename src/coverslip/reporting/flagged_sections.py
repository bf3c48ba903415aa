"""Flagged images: those unlike the training images, and those whose label is probably wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coverslip.reporting.evidence_sections import missing_reason
from coverslip.reporting.run_files import Row, RunFiles, as_number, split_names
from coverslip.reporting.thumbnails import Thumbnails
from coverslip.reporting.wording import count_text, number_text, score_context, share_text

SIDE = 160  # pixels of the longer side, shown next to a caption
MAX_UNFAMILIAR = 16
FIRST_SUSPECTS, MAX_SUSPECTS = 16, 64
LOW_ACCURACY = 0.8  # below this accuracy of the model, many flagged labels are correct


def familiarity_section(files: RunFiles, thumbnails: Thumbnails) -> dict[str, Any]:
    """Return the share of test images flagged as unfamiliar, the expected share, and the least familiar images."""
    reason = missing_reason(
        files, "familiarity", "Not measured: no images were left to set the threshold, or the model is an imported one."
    )
    if reason:
        return {"missing": reason}
    content = files.test["familiarity"]
    flagged, expected = score_context(content.get("flagged")), content.get("promised")
    if flagged["number"] is None:
        return {"missing": "Not measured: test.json has no share of flagged images."}
    on, predictions = content.get("calibrated_on") or {}, files.predictions or []
    basis = [count_text(on[key], key[:-1]) for key in ("groups", "images") if on.get(key)]
    rows = _least_familiar(predictions)
    labels = {row["path"]: row["label"] for row in files.table or [] if row.get("label")}
    return {
        "flagged": flagged,
        "expected": number_text(expected) if expected is not None else "",
        "verdict": _verdict(flagged, expected),
        "rough": bool(content.get("rough")),
        "basis": basis[0] if basis else "",
        "per_image": any(row.get("familiar") for row in predictions),
        "count": len(rows),
        "ranked": any(row.get("distance") for row in rows),
        "images": [_unfamiliar(row, thumbnails, labels) for row in rows[:MAX_UNFAMILIAR]],
        "left_out": max(0, len(rows) - MAX_UNFAMILIAR),
    }


def labels_section(files: RunFiles, thumbnails: Thumbnails, *, training_images: bool = False) -> dict[str, Any]:
    """Return labels that are probably wrong, most suspect first.

    Args:
        files: a run's files.
        thumbnails: the page's thumbnails.
        training_images: show images of all splits; otherwise test images only, and the others by name.
    """
    if files.label_errors is None:
        return {"missing": f"There is no {files.run.label_errors_file.name} in the run folder."}
    rows = [row for row in files.label_errors if row.get("suspect", "").lower() == "true"]
    suspects = [
        _suspect(rank, row, thumbnails, shown=training_images or row.get("part") == "test")
        for rank, row in enumerate(rows[:MAX_SUSPECTS], 1)
    ]
    checked = len(files.label_errors)
    accuracy = ((files.test.get("scores") or {}).get("accuracy") or {}).get("value")
    return {
        "file": files.run.label_errors_file.name,
        "count": len(rows),
        "checked": count_text(checked, "image"),
        "share": share_text(len(rows) / checked) if checked else "",
        "of_test": sum(row.get("part") == "test" for row in rows),
        "first": suspects[:FIRST_SUSPECTS],
        "rest": suspects[FIRST_SUSPECTS:],
        "left_out": len(rows) - len(suspects),
        "low_accuracy": number_text(accuracy, 2) if accuracy is not None and accuracy < LOW_ACCURACY else "",
        "names_only": not training_images and any(row.get("part") != "test" for row in rows),
    }


def _verdict(flagged: dict[str, Any], expected: float | None) -> str:
    if expected is None or not flagged["interval"]:
        return ""
    if flagged["low"] > expected:
        return (
            "More than expected: the test images differ from the training images more than the calibration images do."
        )
    if flagged["number"] <= expected:
        return "No more than expected."
    return "The difference from the expected share is not statistically significant."


def _least_familiar(predictions: Sequence[Row]) -> list[Row]:
    """Return flagged test images by decreasing ``distance``, or in the order of predictions.csv if it has none."""
    rows = [row for row in predictions if row.get("familiar", "").lower() == "false"]
    return sorted(rows, key=lambda row: -(as_number(row.get("distance", "")) or 0.0))


def _unfamiliar(row: Row, thumbnails: Thumbnails, labels: dict[str, str]) -> dict[str, Any]:
    nearest = split_names(row.get("nearest", ""), labels)
    return {
        **thumbnails.image(row["path"], SIDE),
        "label": row.get("label", ""),
        "predicted": row.get("predicted", ""),
        "confidence": number_text(as_number(row.get("confidence", "")), 2),
        "nearest": [(path, labels.get(path, "")) for path in nearest],
    }


def _suspect(rank: int, row: Row, thumbnails: Thumbnails, *, shown: bool) -> dict[str, Any]:
    image = thumbnails.image(row["path"], SIDE) if shown else {"path": row["path"], "data": "", "why": ""}
    return {
        **image,
        "rank": rank,
        "label": row.get("label", ""),
        "suggested": row.get("suggested", ""),
        "score": number_text(as_number(row.get("score", "")), 2),
        "split": row.get("part", ""),
    }
