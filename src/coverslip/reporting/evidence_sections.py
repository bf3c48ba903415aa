"""Reliability of the results: calibration, prediction sets, subgroups, and how often the test set was used."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from coverslip.figures import ReliabilityBin, ScoreRow, forest_plot, reliability_figure, sets_figure, svg_text
from coverslip.reporting.run_files import RunFiles
from coverslip.reporting.task_words import WORDS
from coverslip.reporting.wording import count_text, name_of_score, number_text, score_context, share_text

MAX_CLASSES = 60
MAX_DIAGRAMS = 16  # of single classes
MAX_COLUMNS = 8
MAX_SCORINGS = 20
SUBGROUP_SCORES = ("accuracy", "balanced_accuracy", "exact_match", "micro_f1")
NO_COLUMN = "The table has no other column (such as site, camera or severity) that defines subgroups."
NOT_RECORDED = {
    "calibration": "Calibration was not evaluated in this run.",
    "sets": "Prediction sets were not evaluated in this run.",
    "familiarity": "Familiarity was not evaluated in this run.",
    "subgroups": "Subgroups were not evaluated in this run.",
    "ledger": "The use of the test set was not recorded for this run.",
}


def missing_reason(files: RunFiles, key: str, if_null: str = "") -> str:
    """Return why test.json has no content under a key, as a sentence; "" if it has.

    Args:
        files: a run's files. Runs of older versions lack the key; if something could not be measured, the value is
            null or contains only a reason.
        key: key of test.json.
        if_null: what a null without a reason means.
    """
    content = files.test.get(key)
    if isinstance(content, Mapping) and set(content) == {"reason"}:
        return f"Not measured: {content['reason']}."
    if content is not None:
        return ""
    return if_null if if_null and key in files.test else NOT_RECORDED[key]


def as_sentence(text: object) -> Markup:
    """Return text of `coverslip.evidence` as an HTML sentence with its intervals in grey; "" stays "".

    >>> as_sentence("better by 0.02 [0.01, 0.03]")
    Markup('Better by 0.02 <span class="interval">[0.01, 0.03]</span>.')
    """
    html = str(escape(str(text or "").strip()))
    html = re.sub(r"(\[-?[\d.]+, -?[\d.]+\])", r'<span class="interval">\1</span>', html)
    return Markup(f"{html[:1].upper()}{html[1:]}{'' if html.endswith('.') or not html else '.'}")


def calibration_section(files: RunFiles) -> dict[str, Any]:
    """Return reliability diagrams, the effect of calibration, and the class frequencies that are assumed."""
    if reason := missing_reason(files, "calibration"):
        return {"missing": reason}
    content = files.test["calibration"]
    reliability, report = content.get("reliability") or {}, content.get("report") or {}
    bins, rows = _bins(reliability.get("top")), _before_and_after(report)
    if not bins and not rows:
        return {"missing": "Not available: test.json has no calibration results."}
    by_class = list(zip(files.class_names, reliability.get("classes") or [], strict=False))
    diagrams = []
    for number, (name, diagram) in enumerate(by_class[:MAX_DIAGRAMS]):
        if class_bins := _bins(diagram):
            figure = reliability_figure(class_bins, title=name, small=True)
            diagrams.append(svg_text(figure, f"reliability-{number}", label=f"Reliability diagram of {name}"))
    label = "Reliability diagram: accuracy against confidence"
    return {
        "summary": as_sentence(report.get("says")),
        "svg": svg_text(reliability_figure(bins), "reliability", label=label) if bins else "",
        "open": any(each.low is None for each in bins),
        "part": WORDS[files.task].part,
        "names": WORDS[files.task].names[1],
        "of_pairs": ", each counted once for every label," if files.task == "multilabel" else "",
        "images": _range_text([each["accuracy"]["images"] for each in reliability["top"]["bins"]]) if bins else "",
        "rows": rows,
        "temperature": number_text(content["temperature"], 2) if content.get("temperature") is not None else "",
        "assumed": _class_frequencies(content.get("assumes")),
        "classes": diagrams,
        "left_out": max(0, len(by_class) - MAX_DIAGRAMS),
    }


def sets_section(files: RunFiles) -> dict[str, Any]:
    """Return coverage and size of prediction sets, overall and by class, against the nominal coverage."""
    reason = missing_reason(
        files,
        "sets",
        "There are no prediction sets: no images were left to calibrate them, or the model is an imported one.",
    )
    if reason:
        return {"missing": reason}
    content, names = files.test["sets"], files.class_names
    coverage, size = content.get("coverage") or {}, content.get("size") or {}
    if coverage.get("value") is None:
        return {"missing": "Not available: test.json has no coverage of the prediction sets."}
    nominal = content.get("asked")
    classes = list(zip(names, content.get("classes") or [], strict=False))
    classes.sort(key=lambda item: _lowest_first((item[1].get("coverage") or {}).get("value")))
    entries = [("All classes", {"coverage": coverage, "size": size}), *classes]
    panels = {
        key: [score_row(name, scores.get(key)) for name, scores in entries[: MAX_CLASSES + 1]]
        for key in ("coverage", "size")
    }
    figure = sets_figure(panels["coverage"], panels["size"], nominal, len(names))
    label = "Coverage and size of the prediction sets of each class with confidence intervals; see the table below"
    highs = {name: (scores.get("coverage") or {}).get("high") for name, scores in entries}
    rows = [_table_row(name, scores, scores.get("coverage"), ("coverage", "size")) for name, scores in entries]
    return {
        "nominal": number_text(nominal, 2) if nominal is not None else "",
        "coverage": score_context(coverage),
        "size": score_context(size, digits=2),
        "sizes": sizes_text(content.get("sizes") or []),
        "basis": basis_text(content.get("calibrated_on")),
        "under": [name for name, high in highs.items() if nominal is not None and high is not None and high < nominal],
        "warnings": [as_sentence(warning) for warning in content.get("warnings") or []],
        "svg": svg_text(figure, "sets", label=label),
        "rows": rows,
        "left_out": len(classes) > MAX_CLASSES,
        "grouped": files.grouped,
    }


def subgroups_section(files: RunFiles) -> dict[str, Any]:
    """Return scores for each value of the table's further columns, with a warning for values with few images."""
    if reason := missing_reason(files, "subgroups", NO_COLUMN):
        return {"missing": reason}
    content: dict[str, Any] = files.test["subgroups"]
    if not content:
        return {"missing": NO_COLUMN}
    columns = [_column(name, column or {}, k, files.grouped) for k, (name, column) in enumerate(content.items())]
    return {"columns": columns[:MAX_COLUMNS], "more": [column["name"] for column in columns[MAX_COLUMNS:]]}


def ledger_section(files: RunFiles) -> dict[str, Any]:
    """Return how often this test set was scored; repeated scoring with different settings amounts to selection."""
    entries = [entry for entry in files.test.get("ledger") or [] if isinstance(entry, Mapping)]
    if not entries:
        return {"missing": missing_reason(files, "ledger") or NOT_RECORDED["ledger"]}
    settings = str(entries[-1].get("settings") or "")
    rows = [
        {
            "when": str(entry.get("when") or "").replace("T", " ")[:16],
            "run": str(entry.get("run") or ""),
            "same": str(entry.get("settings") or "") == settings,
            "this": number == len(entries) - 1,
        }
        for number, entry in enumerate(entries)
    ]
    different = len({str(entry.get("settings") or "") for entry in entries})
    return {
        "count": len(entries),
        "different": different,
        "rows": rows[-MAX_SCORINGS:],
        "left_out": max(0, len(rows) - MAX_SCORINGS),
    }


def score_row(name: str, score: Mapping[str, Any] | None) -> ScoreRow:
    """Return a score of test.json as a row of a forest plot."""
    score = score or {}
    return ScoreRow(name, score.get("value"), score.get("low"), score.get("high"), score.get("images") or 0)


def _before_and_after(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return calibration error and log loss before and after calibration; ``likely`` is the error without its bias."""
    rows = []
    for key, name in (("ece", "Calibration error"), ("log_loss", "Log loss")):
        scores = report.get(key) or {}
        if scores.get("before") and scores.get("after"):
            likely = scores["after"].get("likely")
            contexts = [score_context(scores[when]) for when in ("before", "after")]
            rows.append({"name": name, "scores": contexts, "likely": "" if likely is None else number_text(likely)})
    return rows


def _bins(diagram: Mapping[str, Any] | None) -> list[ReliabilityBin]:
    bins = []
    for entry in (diagram or {}).get("bins") or []:
        accuracy = entry.get("accuracy") or {}
        confidence = (entry["confidence"], entry["low"], entry["high"])
        bins.append(ReliabilityBin(*confidence, accuracy.get("value"), accuracy.get("low"), accuracy.get("high")))
    return bins


def _range_text(numbers: Sequence[int]) -> str:
    """Return the smallest and largest number of images."""
    least, most = min(numbers), max(numbers)
    return count_text(most, "image") if least == most else f"{least:,} to {count_text(most, 'image')}"


def _class_frequencies(assumed: Mapping[str, float] | None) -> dict[str, Any] | None:
    """Return the class frequencies that probabilities assume, the largest first."""
    rows = sorted((assumed or {}).items(), key=lambda row: (-row[1], row[0]))
    if not rows:
        return None
    ends = f"from {share_text(rows[-1][1])} ({rows[-1][0]}) to {share_text(rows[0][1])} ({rows[0][0]})"
    equal = abs(rows[0][1] - rows[-1][1]) < 0.0005
    text = f"{share_text(rows[0][1])} each" if equal else ends
    return {"text": text, "rows": [(name, share_text(share)) for name, share in rows]}


def _lowest_first(value: float | None) -> tuple[bool, float]:
    return value is None, value or 0.0  # classes without a test image come last


def _table_row(
    name: str, scores: Mapping[str, Any], counted: Mapping[str, Any] | None, keys: Sequence[str]
) -> dict[str, Any]:
    counted = counted or {}
    contexts = [score_context(scores.get(key), digits=2) for key in keys]
    return {"name": name, "images": counted.get("images") or 0, "groups": counted.get("groups"), "scores": contexts}


def sizes_text(sizes: Sequence[int], noun: tuple[str, str] = ("class", "classes")) -> str:
    """Return how many prediction sets contain one class, two classes, and so on; ``noun`` is singular and plural.

    >>> sizes_text([0, 1, 2, 0, 4])
    '1 contains 1 class, 2 contain 2 and 4 contain 4'
    """
    counts = [(k, int(number)) for k, number in enumerate(sizes) if number]
    parts = [f"{number:,} {'contains' if number == 1 else 'contain'} {k or 'none'}" for k, number in counts[:4]]
    rest = sum(number for _, number in counts[4:])
    if parts:
        one, many = noun
        parts[0] += f" {one}" if counts[0][0] == 1 else f" {many}" if counts[0][0] else f" of the {many}"
    if rest:
        parts.append(f"{rest:,} {'contains' if rest == 1 else 'contain'} more")
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)


def basis_text(calibrated_on: Mapping[str, Any] | None) -> str:
    """Return the numbers of images and groups that something was calibrated on."""
    images, groups = (calibrated_on or {}).get("images"), (calibrated_on or {}).get("groups")
    if images is None:
        return ""
    return count_text(images, "image") + (f" from {count_text(groups, 'group')}" if groups is not None else "")


def _column(name: str, content: Mapping[str, Any], number: int, grouped: bool) -> dict[str, Any]:
    values = content.get("values") or []
    if not values:
        return {"name": name, "missing": as_sentence(content.get("reason") or "no scores")}
    names = [str(entry.get("value") or "(empty)") for entry in values]
    keys = {key: name_of_score(key)[0] for key in SUBGROUP_SCORES if key in values[0]}
    panels = {
        title: [score_row(value, entry.get(key)) for value, entry in zip(names, values, strict=True)]
        for key, title in keys.items()
    }
    label = f"Scores for each value of {name}; see the table below"
    return {
        "name": name,
        "summary": as_sentence(content.get("says")),
        "reason": as_sentence(content.get("reason")),
        "p": number_text(content["p"]) if content.get("p") is not None else "",
        "svg": svg_text(forest_plot(panels), f"subgroups-{number}", label=label),
        "titles": list(keys.values()),
        "rows": [_table_row(value, entry, entry, list(keys)) for value, entry in zip(names, values, strict=True)],
        "warnings": [
            (value, entry["warning"]) for value, entry in zip(names, values, strict=True) if entry.get("warning")
        ],
        "grouped": grouped,
    }
