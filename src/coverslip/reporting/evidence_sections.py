"""How far a result can be trusted: calibration, sets of classes, subgroups, and how often the test set was scored."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from coverslip.figures import ReliabilityBin, ScoreRow, forest_plot, reliability_figure, sets_figure, svg_text
from coverslip.reporting.run_files import RunFiles
from coverslip.reporting.wording import count_text, number_text, score_context, share_text

MOST_CLASSES = 60
MOST_DIAGRAMS = 16  # of single classes
MOST_COLUMNS = 8
MOST_SCORINGS = 20
NO_COLUMN = "The table has no further column (such as site, camera or severity) to score by."


def absent(files: RunFiles, key: str, null: str = "") -> str:
    """Why test.json has nothing to show under a key; empty where it has.

    Args:
        files: a run's folder. Old runs lack the key; a run that could not measure it has null there, or a reason only.
        key: of test.json.
        null: what a null without a reason means.
    """
    content = files.test.get(key)
    if isinstance(content, Mapping) and set(content) == {"reason"}:
        return f"Not measured: {content['reason']}."
    if content is not None:
        return ""
    return null if null and key in files.test else f"test.json holds no {key}."


def said(sentence: object) -> Markup:
    """A sentence of `evidence` as HTML: a capital, a full stop, and its intervals in grey; empty stays empty.

    >>> said("better by 0.02 [0.01, 0.03]")
    Markup('Better by 0.02 <span class="interval">[0.01, 0.03]</span>.')
    """
    text = str(escape(str(sentence or "").strip()))
    text = re.sub(r"(\[-?[\d.]+, -?[\d.]+\])", r'<span class="interval">\1</span>', text)
    return Markup(f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') or not text else '.'}")


def calibration_section(files: RunFiles) -> dict[str, Any]:
    """Whether confidence can be taken at its word: the diagram, what calibration changed, and what it assumes."""
    if why := absent(files, "calibration"):
        return {"missing": why}
    content = files.test["calibration"]
    reliability, report = content.get("reliability") or {}, content.get("report") or {}
    bins, rows = _bins(reliability.get("top")), _changes(report)
    if not bins and not rows:
        return {"missing": "test.json holds no numbers of the calibration."}
    named = list(zip(files.class_names, reliability.get("classes") or [], strict=False))
    diagrams = []
    for number, (name, diagram) in enumerate(named[:MOST_DIAGRAMS]):
        if each := _bins(diagram):
            figure = reliability_figure(each, title=name, small=True)
            diagrams.append(svg_text(figure, f"reliability-{number}", label=f"Reliability diagram of {name}"))
    label = "Reliability diagram: how often the model was right where it was how sure"
    return {
        "says": said(report.get("says")),
        "svg": svg_text(reliability_figure(bins), "reliability", label=label) if bins else "",
        "open": any(each.low is None for each in bins),
        "images": _span([each["accuracy"]["images"] for each in reliability["top"]["bins"]]) if bins else "",
        "rows": rows,
        "temperature": number_text(content["temperature"], 2) if content.get("temperature") is not None else "",
        "assumes": _shares(content.get("assumes")),
        "classes": diagrams,
        "left_out": max(0, len(named) - MOST_DIAGRAMS),
    }


def _changes(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Calibration error and log loss before and after; ``likely`` is the error freed of what chance adds."""
    rows = []
    for key, name in (("ece", "Calibration error"), ("log_loss", "Log loss")):
        scores = report.get(key) or {}
        if scores.get("before") and scores.get("after"):
            likely = scores["after"].get("likely")
            each = [score_context(scores[when]) for when in ("before", "after")]
            rows.append({"name": name, "scores": each, "likely": "" if likely is None else number_text(likely)})
    return rows


def _bins(diagram: Mapping[str, Any] | None) -> list[ReliabilityBin]:
    found = []
    for each in (diagram or {}).get("bins") or []:
        right = each.get("accuracy") or {}
        spot = (each["confidence"], each["low"], each["high"])
        found.append(ReliabilityBin(*spot, right.get("value"), right.get("low"), right.get("high")))
    return found


def _span(numbers: Sequence[int]) -> str:
    """How many images, from the fewest to the most."""
    least, most = min(numbers), max(numbers)
    return count_text(most, "image") if least == most else f"{least:,} to {count_text(most, 'image')}"


def _shares(assumes: Mapping[str, float] | None) -> dict[str, Any] | None:
    """The shares of the classes that probabilities rest on, the largest first."""
    rows = sorted((assumes or {}).items(), key=lambda row: (-row[1], row[0]))
    if not rows:
        return None
    ends = f"from {share_text(rows[-1][1])} ({rows[-1][0]}) to {share_text(rows[0][1])} ({rows[0][0]})"
    same = abs(rows[0][1] - rows[-1][1]) < 0.0005
    text = f"{share_text(rows[0][1])} each" if same else ends
    return {"text": text, "rows": [(name, share_text(share)) for name, share in rows]}


def sets_section(files: RunFiles) -> dict[str, Any]:
    """How often the sets held the true class, against what was asked for, and how large they were."""
    if why := absent(
        files,
        "sets",
        "No sets were made: no images were left to calibrate them with, or the model was made elsewhere.",
    ):
        return {"missing": why}
    content, names = files.test["sets"], files.class_names
    coverage, size = content.get("coverage") or {}, content.get("size") or {}
    if coverage.get("value") is None:
        return {"missing": "test.json holds no coverage of the sets."}
    asked = content.get("asked")
    classes = list(zip(names, content.get("classes") or [], strict=False))
    classes.sort(key=lambda each: _lowest((each[1].get("coverage") or {}).get("value")))
    every = [("All classes", {"coverage": coverage, "size": size}), *classes]
    panels = {
        key: [score_row(name, scores.get(key)) for name, scores in every[: MOST_CLASSES + 1]]
        for key in ("coverage", "size")
    }
    figure = sets_figure(panels["coverage"], panels["size"], asked, len(names))
    label = "Coverage and size of the sets of each class with their intervals; the table below has the numbers"
    highs = {name: (scores.get("coverage") or {}).get("high") for name, scores in every}
    rows = [_table_row(name, scores, scores.get("coverage"), ("coverage", "size")) for name, scores in every]
    return {
        "asked": number_text(asked, 2) if asked is not None else "",
        "coverage": score_context(coverage),
        "size": score_context(size, digits=2),
        "sizes": _sizes_text(content.get("sizes") or []),
        "basis": _basis_text(content.get("calibrated_on")),
        "under": [name for name, high in highs.items() if asked is not None and high is not None and high < asked],
        "warnings": [said(warning) for warning in content.get("warnings") or []],
        "svg": svg_text(figure, "sets", label=label),
        "rows": rows,
        "left_out": len(classes) > MOST_CLASSES,
        "grouped": files.grouped,
    }


def score_row(name: str, score: Mapping[str, Any] | None) -> ScoreRow:
    """A score of test.json as a row of a forest plot."""
    score = score or {}
    return ScoreRow(name, score.get("value"), score.get("low"), score.get("high"), score.get("images") or 0)


def _lowest(value: float | None) -> tuple[bool, float]:
    return value is None, value or 0.0  # what was never tested comes last


def _table_row(
    name: str, scores: Mapping[str, Any], counted: Mapping[str, Any] | None, keys: Sequence[str]
) -> dict[str, Any]:
    counted = counted or {}
    each = [score_context(scores.get(key), digits=2) for key in keys]
    return {"name": name, "images": counted.get("images") or 0, "groups": counted.get("groups"), "scores": each}


def _sizes_text(sizes: Sequence[int]) -> str:
    """How many images have one class in their set, and how many more."""
    held = [(k, int(number)) for k, number in enumerate(sizes) if number]
    said = [f"{number:,} {'holds' if number == 1 else 'hold'} {k or 'none'}" for k, number in held[:4]]
    more = sum(number for _, number in held[4:])
    if said and held[0][0] == 1:
        said[0] += " class"
    return ", ".join([*said, f"{more:,} {'holds' if more == 1 else 'hold'} more"] if more else said)


def _basis_text(calibrated_on: Mapping[str, Any] | None) -> str:
    images, groups = (calibrated_on or {}).get("images"), (calibrated_on or {}).get("groups")
    if images is None:
        return ""
    return count_text(images, "image") + (f" of {count_text(groups, 'group')}" if groups is not None else "")


def subgroups_section(files: RunFiles) -> dict[str, Any]:
    """Scores for each value of the table's further columns, with a warning where a value has too little to say."""
    if why := absent(files, "subgroups", NO_COLUMN):
        return {"missing": why}
    content: dict[str, Any] = files.test["subgroups"]
    if not content:
        return {"missing": NO_COLUMN}
    columns = [_column(name, each or {}, k, files.grouped) for k, (name, each) in enumerate(content.items())]
    return {"columns": columns[:MOST_COLUMNS], "more": [each["name"] for each in columns[MOST_COLUMNS:]]}


def _column(name: str, content: Mapping[str, Any], number: int, grouped: bool) -> dict[str, Any]:
    values = content.get("values") or []
    if not values:
        return {"name": name, "missing": said(content.get("reason") or "no scores")}
    names = [str(each.get("value") or "(empty)") for each in values]
    keys = {"accuracy": "Accuracy", "balanced_accuracy": "Balanced accuracy"}
    panels = {
        title: [score_row(value, each.get(key)) for value, each in zip(names, values, strict=True)]
        for key, title in keys.items()
    }
    label = f"Scores for each value of {name}; the table below has the numbers"
    return {
        "name": name,
        "says": said(content.get("says")),
        "reason": said(content.get("reason")),
        "p": number_text(content["p"]) if content.get("p") is not None else "",
        "svg": svg_text(forest_plot(panels), f"subgroups-{number}", label=label),
        "titles": list(keys.values()),
        "rows": [_table_row(value, each, each, list(keys)) for value, each in zip(names, values, strict=True)],
        "warnings": [
            (value, each["warning"]) for value, each in zip(names, values, strict=True) if each.get("warning")
        ],
        "grouped": grouped,
    }


def ledger_section(files: RunFiles) -> dict[str, Any]:
    """How often this very test set was scored; a part that is looked at again and again begins to choose."""
    entries = [each for each in files.test.get("ledger") or [] if isinstance(each, Mapping)]
    if not entries:
        return {"missing": absent(files, "ledger") or "test.json holds an empty ledger."}
    this = str(entries[-1].get("settings") or "")
    rows = [
        {
            "when": str(each.get("when") or "").replace("T", " ")[:16],
            "run": str(each.get("run") or ""),
            "same": str(each.get("settings") or "") == this,
            "this": at == len(entries) - 1,
        }
        for at, each in enumerate(entries)
    ]
    different = len({str(each.get("settings") or "") for each in entries})
    return {
        "count": len(entries),
        "different": different,
        "rows": rows[-MOST_SCORINGS:],
        "left_out": max(0, len(rows) - MOST_SCORINGS),
    }
