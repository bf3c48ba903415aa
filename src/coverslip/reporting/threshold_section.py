"""Two classes: from which probability on a picture is named as the one that is looked for, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coverslip.figures import operating_figure, svg_text
from coverslip.reporting.run_files import RunFiles
from coverslip.reporting.wording import count_text, score_context

SIDES = ("sensitivity", "specificity")


def threshold_of(files: RunFiles) -> dict[str, Any]:
    """The threshold that named the test pictures, as test.json has it; empty with other than two classes."""
    content = files.test.get("threshold")
    known = isinstance(content, dict) and len(files.class_names) == 2 and content.get("class_name") in files.class_names
    return content if known and isinstance(content, dict) and isinstance(content.get("value"), int | float) else {}


def threshold_section(files: RunFiles) -> dict[str, Any]:
    """What is looked for, from where on it is named, and what that finds and spares; empty with other classes."""
    content = threshold_of(files)
    if not content:
        return {}
    positive, value = str(content["class_name"]), float(content["value"])
    other = next(name for name in files.class_names if name != positive)
    scores = files.test.get("scores") or {}
    rows: list[dict[str, Any]] = [
        {
            "name": name.capitalize(),
            "means": f"of the pictures of {own}, the share named so",
            "test": score_context(scores.get(name)),
            "fitted": score_context(content.get(name)),
        }
        for name, own in zip(SIDES, (positive, other), strict=True)
    ]
    curve = content.get("curve") or {}
    svg = ""
    if curve.get("thresholds"):
        figure = operating_figure(curve["thresholds"], curve["sensitivity"], curve["specificity"], value)
        label = f"Sensitivity and specificity for {positive} against the threshold, {value:.3g} in use"
        svg = svg_text(figure, "threshold", label=label)
    return {
        "positive": positive,
        "value": f"{value:.3g}",
        "why": str(content.get("why") or ""),
        "how": how_chosen(content),
        "note": str(content.get("note") or ""),
        "rows": rows,
        "on": _calibrated_on(content.get("calibrated_on"), files.grouped),
        "grouped": files.grouped,
        "level": rows[0]["test"]["level"],
        "svg": svg,
    }


def how_chosen(content: Mapping[str, Any]) -> str:
    """How the threshold came about, as the end of a sentence."""
    asked = content.get("asked")
    wish = f"{asked:g}" if isinstance(asked, int | float) else "some share"
    return {
        "value": "it was given",
        "sensitivity": f"it was set on validation pictures so that a sensitivity of {wish} is kept",
        "specificity": f"it was set on validation pictures so that a specificity of {wish} is kept",
        "balanced": "it was set on validation pictures so that sensitivity and specificity together are largest",
    }.get(str(content.get("chosen")), "the more probable class is named, since nothing else was asked for")


def _calibrated_on(content: Mapping[str, Any] | None, grouped: bool) -> str:
    pictures, groups = (content or {}).get("pictures"), (content or {}).get("groups")
    if not pictures:
        return ""
    return count_text(pictures, "picture") + (f" of {count_text(groups, 'group')}" if groups and grouped else "")
