"""Two classes: the decision threshold, and sensitivity and specificity at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coverslip.evidence.conformal import min_groups_for_coverage
from coverslip.evidence.threshold import achievable_text
from coverslip.figures import operating_figure, svg_text
from coverslip.reporting.run_files import RunFiles
from coverslip.reporting.wording import count_text, score_context

SIDES = ("sensitivity", "specificity")


def threshold_of(files: RunFiles) -> dict[str, Any]:
    """Return the decision threshold of test.json; empty unless there are two classes."""
    content = files.test.get("threshold")
    known = isinstance(content, dict) and len(files.class_names) == 2 and content.get("class_name") in files.class_names
    return content if known and isinstance(content, dict) and isinstance(content.get("value"), int | float) else {}


def threshold_section(files: RunFiles) -> dict[str, Any]:
    """Return the positive class, its threshold, and the scores at it; empty unless there are two classes."""
    content = threshold_of(files)
    if not content:
        return {}
    positive, value = str(content["class_name"]), float(content["value"])
    negative = negative_class(files, positive)
    scores = files.test.get("scores") or {}
    rows: list[dict[str, Any]] = [
        {
            "name": name.capitalize(),
            "definition": f"share of images of {side} classified as {side}",
            "test": score_context(scores.get(name)),
            "fitted": score_context(content.get(name)),
        }
        for name, side in zip(SIDES, (positive, negative), strict=True)
    ]
    curve = content.get("curve") or {}
    svg = ""
    if curve.get("thresholds"):
        figure = operating_figure(curve["thresholds"], curve["sensitivity"], curve["specificity"], value)
        label = f"Sensitivity and specificity for {positive} against the decision threshold; {value:.3g} is in use"
        svg = svg_text(figure, "threshold", label=label)
    return {
        "positive": positive,
        "value": f"{value:.3g}",
        "why": str(content.get("why") or ""),
        "how": how_chosen(content, negative, grouped=files.grouped),
        "met": not content.get("note"),
        "rows": rows,
        "on": _calibrated_on(content.get("calibrated_on"), files.grouped),
        "grouped": files.grouped,
        "level": rows[0]["test"]["level"],
        "svg": svg,
    }


def negative_class(files: RunFiles, positive: str) -> str:
    """Return the other one of two classes."""
    return next(name for name in files.class_names if name != positive)


def how_chosen(content: Mapping[str, Any], negative: str, *, grouped: bool) -> str:
    """Return how the threshold was chosen, as part of a sentence; a criterion that was not met is reported as such.

    Args:
        content: the threshold of test.json.
        negative: the negative class.
        grouped: whether groups were specified.
    """
    criterion, target = str(content.get("chosen")), content.get("asked")
    if criterion in SIDES and content.get("note"):
        return _not_met(content, negative, grouped)
    level = f" of at least {target:g}" if isinstance(target, int | float) else ""
    return {
        "value": "specified by the user",
        "sensitivity": f"chosen on validation images for a sensitivity{level}",
        "specificity": f"chosen on validation images for a specificity{level}",
        "balanced": "chosen on validation images to maximize sensitivity + specificity",
    }.get(criterion, "the default, which predicts the more probable class")


def _not_met(content: Mapping[str, Any], negative: str, grouped: bool) -> str:
    """Return what was chosen instead of a target that the number of validation images cannot guarantee."""
    criterion, target, positive = str(content["chosen"]), content.get("asked"), str(content["class_name"])
    if not isinstance(target, int | float):
        return str(content["note"])
    side = positive if criterion == "sensitivity" else negative
    number = (content.get(criterion) or {}).get("groups") or 0  # without groups, each image counts as one
    if not number:
        reason = f"there was no validation image of {side}, so {content['value']:.3g} is used"
        return f"a {criterion} of {target:g} was requested, but {reason}"
    unit = "validation group" if grouped else "validation image"
    needed = count_text(min_groups_for_coverage(target), unit)
    available = f"the {count_text(number, unit)} available can guarantee at most {achievable_text(number, target)}"
    limit = (
        f"all of them are classified as {side}"
        if criterion == "sensitivity"
        else f"none of them is classified as {positive}"
    )
    return (
        f"a {criterion} of {target:g} was requested, which needs at least {needed} of {side}; {available}, so the "
        f"threshold was set such that {limit}"
    )


def _calibrated_on(content: Mapping[str, Any] | None, grouped: bool) -> str:
    images, groups = (content or {}).get("images"), (content or {}).get("groups")
    if not images:
        return ""
    return count_text(images, "image") + (f" from {count_text(groups, 'group')}" if groups and grouped else "")
