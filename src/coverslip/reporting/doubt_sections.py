"""Images in doubt: those unlike anything that was learned from, and those whose label is probably wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coverslip.reporting.evidence_sections import absent
from coverslip.reporting.run_files import Row, RunFiles, as_number, split_names
from coverslip.reporting.thumbnails import Thumbnails
from coverslip.reporting.wording import count_text, number_text, score_context, share_text

SIDE = 160  # pixels of the longer side: to be judged at a glance, beside a name
MOST_UNFAMILIAR = 16
FIRST_SUSPECTS, MOST_SUSPECTS = 16, 64
WEAK = 0.8  # accuracy under which a model is no judge of labels


def familiarity_section(files: RunFiles, thumbnails: Thumbnails) -> dict[str, Any]:
    """The share of test images that was flagged, against what was promised, and the least familiar of them."""
    if why := absent(
        files,
        "familiarity",
        "Not measured: no images were left to set its limit with, or the model was made elsewhere.",
    ):
        return {"missing": why}
    content = files.test["familiarity"]
    flagged, promised = score_context(content.get("flagged")), content.get("promised")
    if flagged["number"] is None:
        return {"missing": "test.json holds no share of unfamiliar images."}
    on, predictions = content.get("calibrated_on") or {}, files.predictions or []
    basis = [count_text(on[key], key[:-1]) for key in ("groups", "images") if on.get(key)]
    rows = _least_familiar(predictions)
    labels = {row["path"]: row["label"] for row in files.table or [] if row.get("label")}
    return {
        "flagged": flagged,
        "promised": number_text(promised) if promised is not None else "",
        "verdict": _verdict(flagged, promised),
        "rough": bool(content.get("rough")),
        "basis": basis[0] if basis else "",
        "told": any(row.get("familiar") for row in predictions),
        "count": len(rows),
        "ranked": any(row.get("distance") for row in rows),
        "images": [_unfamiliar(row, thumbnails, labels) for row in rows[:MOST_UNFAMILIAR]],
        "left_out": max(0, len(rows) - MOST_UNFAMILIAR),
    }


def _verdict(flagged: dict[str, Any], promised: float | None) -> str:
    if promised is None or not flagged["interval"]:
        return ""
    if flagged["low"] > promised:
        return "more than promised: these test images are less like the training images than those it was set on"
    return "no more than promised" if flagged["number"] <= promised else "not distinguishable from what was promised"


def _least_familiar(predictions: Sequence[Row]) -> list[Row]:
    """Flagged test images; the farthest first where predictions.csv has their ``distance``, else as they come."""
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


def labels_section(files: RunFiles, thumbnails: Thumbnails, *, training_images: bool = False) -> dict[str, Any]:
    """Labels that are probably wrong, the most suspect first.

    Args:
        files: a run's folder.
        thumbnails: the page's own.
        training_images: show images of every part; without it those of the test set only, the others by name.
    """
    if files.label_errors is None:
        return {"missing": f"There is no {files.run.label_errors_file.name} in the run folder."}
    rows = [row for row in files.label_errors if row.get("suspect", "").lower() == "true"]
    suspects = [
        _suspect(rank, row, thumbnails, shown=training_images or row.get("part") == "test")
        for rank, row in enumerate(rows[:MOST_SUSPECTS], 1)
    ]
    looked_at = len(files.label_errors)
    right = ((files.test.get("scores") or {}).get("accuracy") or {}).get("value")
    return {
        "file": files.run.label_errors_file.name,
        "count": len(rows),
        "looked_at": count_text(looked_at, "image"),
        "share": share_text(len(rows) / looked_at) if looked_at else "",
        "of_test": sum(row.get("part") == "test" for row in rows),
        "first": suspects[:FIRST_SUSPECTS],
        "rest": suspects[FIRST_SUSPECTS:],
        "left_out": len(rows) - len(suspects),
        "weak": number_text(right, 2) if right is not None and right < WEAK else "",
        "named_only": not training_images and any(row.get("part") != "test" for row in rows),
    }


def _suspect(rank: int, row: Row, thumbnails: Thumbnails, *, shown: bool) -> dict[str, Any]:
    image = thumbnails.image(row["path"], SIDE) if shown else {"path": row["path"], "data": "", "why": ""}
    return {
        **image,
        "rank": rank,
        "label": row.get("label", ""),
        "suggested": row.get("suggested", ""),
        "score": number_text(as_number(row.get("score", "")), 2),
        "part": row.get("part", ""),
    }
