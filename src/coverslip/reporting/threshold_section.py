"""Two classes: from which probability on an image is named as the one that is looked for, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coverslip.evidence.conformal import groups_needed
from coverslip.evidence.threshold import promised_text
from coverslip.figures import operating_figure, svg_text
from coverslip.reporting.run_files import RunFiles
from coverslip.reporting.wording import count_text, score_context

SIDES = ("sensitivity", "specificity")


def threshold_of(files: RunFiles) -> dict[str, Any]:
    """The threshold that named the test images, as test.json has it; empty with other than two classes."""
    content = files.test.get("threshold")
    known = isinstance(content, dict) and len(files.class_names) == 2 and content.get("class_name") in files.class_names
    return content if known and isinstance(content, dict) and isinstance(content.get("value"), int | float) else {}


def threshold_section(files: RunFiles) -> dict[str, Any]:
    """What is looked for, from where on it is named, and what that finds and spares; empty with other classes."""
    content = threshold_of(files)
    if not content:
        return {}
    positive, value = str(content["class_name"]), float(content["value"])
    other = other_class(files, positive)
    scores = files.test.get("scores") or {}
    rows: list[dict[str, Any]] = [
        {
            "name": name.capitalize(),
            "means": f"of the images of {own}, the share named so",
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
        "how": how_chosen(content, other, grouped=files.grouped),
        "kept": not content.get("note"),
        "rows": rows,
        "on": _calibrated_on(content.get("calibrated_on"), files.grouped),
        "grouped": files.grouped,
        "level": rows[0]["test"]["level"],
        "svg": svg,
    }


def other_class(files: RunFiles, positive: str) -> str:
    """The one of two classes that is not looked for."""
    return next(name for name in files.class_names if name != positive)


def how_chosen(content: Mapping[str, Any], other: str, *, grouped: bool) -> str:
    """How the threshold came about, as the end of a sentence; what could not be kept is not said to be.

    Args:
        content: the threshold of test.json.
        other: the class that is not looked for.
        grouped: whether groups were named.
    """
    chosen, asked = str(content.get("chosen")), content.get("asked")
    if chosen in SIDES and content.get("note"):
        return _not_kept(content, other, grouped)
    wish = f"{asked:g}" if isinstance(asked, int | float) else "some share"
    return {
        "value": "it was given",
        "sensitivity": f"it was set on validation images so that a sensitivity of {wish} is kept",
        "specificity": f"it was set on validation images so that a specificity of {wish} is kept",
        "balanced": "it was set on validation images so that sensitivity and specificity together are largest",
    }.get(chosen, "the more probable class is named, since nothing else was asked for")


def _not_kept(content: Mapping[str, Any], other: str, grouped: bool) -> str:
    """What was chosen instead of a share that so few validation images cannot promise."""
    chosen, asked, positive = str(content["chosen"]), content.get("asked"), str(content["class_name"])
    if not isinstance(asked, int | float):
        return str(content["note"])
    own = positive if chosen == "sensitivity" else other
    number = (content.get(chosen) or {}).get("groups") or 0  # without groups each image counts
    if not number:
        value = f"{content['value']:.3g}"
        return f"a {chosen} of {asked:g} was asked for, but no validation image of {own} was there, so it is {value}"
    needed = count_text(groups_needed(asked), "validation group" if grouped else "validation image")
    there = "the one there is" if number == 1 else f"the {number:,} there are"
    done = f"all of them are named {own}" if chosen == "sensitivity" else f"none of them is named {positive}"
    return (
        f"a {chosen} of {asked:g} was asked for, which takes {needed} of {own}; {there} can promise "
        f"{promised_text(number, asked)}, so it was set where {done}"
    )


def _calibrated_on(content: Mapping[str, Any] | None, grouped: bool) -> str:
    images, groups = (content or {}).get("images"), (content or {}).get("groups")
    if not images:
        return ""
    return count_text(images, "image") + (f" of {count_text(groups, 'group')}" if groups and grouped else "")
