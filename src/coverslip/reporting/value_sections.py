"""Sections of the report of a regression: agreement, simple rules, residuals, intervals, largest errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.evidence.regression import BASELINE_SCORES
from coverslip.figures import ScoreRow, forest_plot, svg_text
from coverslip.figures.agreement import MAX_ROWS, agreement_figure, bland_altman_figure, residuals_figure
from coverslip.reporting.result_sections import headline_context, unreadable_files
from coverslip.reporting.run_files import Row, RunFiles, as_number
from coverslip.reporting.thumbnails import Thumbnails
from coverslip.reporting.wording import count_text, digits_of, name_of_score, score_context, share_text

FloatArray = npt.NDArray[np.float64]
HEADLINE = ("mae", "concordance")  # scores of the headline, of one target
SEVERAL = ("r2", "concordance")  # of several targets
RULE_TITLES = {"constant": "constant (the mean of the training set)", "color": "color and size (ridge regression)"}
MAX_WORST = 24
MAX_SUSPECTS = 40
MAX_COLUMNS = 4  # table columns whose residuals are drawn
THIRDS, MIN_THIRD = 3, 10  # parts of the test set by predicted value, and the fewest images of one
MAX_VALUES = 12  # different values of such a column


def value_result_section(files: RunFiles) -> dict[str, Any]:
    """Return the headline of a regression, with the comparison with each simple rule."""
    names = files.target_names
    rules = [sentence for name in names for sentence in _rule_sentences(files, name)]
    return _headline(files, ", ".join(names), HEADLINE if len(names) == 1 else SEVERAL, rules)


def level_result_section(files: RunFiles) -> dict[str, Any]:
    """Return the headline of ordered classes."""
    rules = [f"Order of the classes: {' < '.join(files.class_names)}."]
    return _headline(files, "the class", ("quadratic_kappa", "level_error", "accuracy"), rules)


def label_result_section(files: RunFiles) -> dict[str, Any]:
    """Return the headline of several labels."""
    return _headline(files, "the labels", ("macro_f1", "mean_average_precision", "exact_match"), [])


def _headline(files: RunFiles, predicted: str, keys: Sequence[str], rules: list[str]) -> dict[str, Any]:
    """Return the scores of the headline, sentences below it, and warnings."""
    test, scores = files.test, files.test.get("scores") or {}
    shown = [
        {"name": name_of_score(key)[0], **score_context(scores.get(key), digits_of(key, scores))}
        for key in keys
        if key in scores
    ]
    return {
        "predicted": predicted,
        "shown": shown,
        "rules": rules,
        **headline_context(files, test.get("images") or 0, test.get("groups")),
    }


def baselines_section(files: RunFiles) -> dict[str, Any]:
    """Return the scores of simple rules beside those of the model, and the paired differences."""
    tables = []
    for name, content in (files.test.get("targets") or {}).items():
        rules = content.get("baselines") or {}
        if not rules:
            continue
        own = content["scores"]
        digits = digits_of("mae", own)
        rows = [{"name": "this model", "difference": None, **_row(own, own)}]
        rows += [
            {
                "name": RULE_TITLES.get(rule, rule),
                "difference": score_context(scores["difference"], digits),
                **_row(scores, own),
            }
            for rule, scores in rules.items()
        ]
        tables.append({"target": name, "rows": rows, "sentences": _rule_sentences(files, name)})
    if not tables:
        return {"missing": "Not available: simple rules are compared in the run that trains the model."}
    return {"tables": tables, "several": len(tables) > 1}


def agreement_section(files: RunFiles) -> dict[str, Any]:
    """Return predicted against true values and the Bland–Altman diagram of each target."""
    panels = []
    for index, name in enumerate(files.target_names):
        values = _values(files, name)
        scores = (files.test.get("targets") or {}).get(name, {}).get("scores") or {}
        if values is None or not scores:
            continue
        truth, predicted, low, high = values
        digits = digits_of("mae", scores)
        limits = [(scores[key] or {}).get("value") for key in ("bias", "loa_low", "loa_high")]
        figure = agreement_figure(truth, predicted, low, high, name=name)
        panel = {
            "target": name,
            "svg": svg_text(figure, f"agreement-{index}", label=f"Predicted against true {name} of the test images"),
            "intervals": low is not None,
            "difference_svg": "",
            "bias": score_context(scores["bias"], digits),
            "low": score_context(scores["loa_low"], digits),
            "high": score_context(scores["loa_high"], digits),
        }
        known = [float(value) for value in limits if value is not None]
        if len(known) == len(limits):
            bias, lower, upper = known
            figure = bland_altman_figure(truth, predicted, bias, (lower, upper), name=name)
            label = f"Bland–Altman diagram of {name}: difference against mean"
            panel["difference_svg"] = svg_text(figure, f"differences-{index}", label=label)
        panels.append(panel)
    return {"panels": panels} if panels else {"missing": "Not available: predictions.csv is missing or empty."}


def residuals_section(files: RunFiles) -> dict[str, Any]:
    """Return the residuals of the first target by group, and by the columns of the table with few values."""
    if not files.target_names or (values := _values(files, files.target_names[0])) is None:
        return {"missing": "Not available: predictions.csv is missing or empty."}
    residuals = values[1] - values[0]
    rows = _readable(files)
    plots = []
    if files.grouped:
        plots.append(_residual_plot("group", [row.get("group") or "" for row in rows], residuals, 0))
    table = {row["path"]: row for row in files.table or []}
    drawn = {_partition([row.get("group") or "" for row in rows])} if plots else set()
    for column in files.test.get("subgroups") or {}:
        cells = [table.get(row["path"], {}).get(column) or "" for row in rows]
        partition = _partition(cells)  # a column that divides the images as another one does is drawn once
        if 1 < len(set(cells)) <= MAX_VALUES and len(plots) <= MAX_COLUMNS and partition not in drawn:
            drawn.add(partition)
            plots.append(_residual_plot(column, cells, residuals, len(plots)))
    return {"plots": plots, "target": files.target_names[0]} if plots else {}


def intervals_section(files: RunFiles) -> dict[str, Any]:
    """Return the coverage and the width of the prediction intervals."""
    content = files.test.get("intervals")
    if not isinstance(content, dict):
        return {"missing": "The model has no prediction intervals: too few groups were left to calibrate them."}
    rows = []
    for name, target in (files.test.get("targets") or {}).items():
        scores = target.get("scores") or {}
        rows.append(
            {
                "target": name,
                "coverage": score_context(scores.get("coverage")),
                "width": score_context(scores.get("interval_width"), digits_of("interval_width", scores)),
                "method": (content.get("methods") or {}).get(name, ""),
            }
        )
    asked = float(content["asked"])
    figures = []
    for index, name in enumerate(files.target_names):
        overall = ((files.test.get("targets") or {}).get(name, {}).get("scores") or {}).get("coverage") or {}
        values = _values(files, name)
        if values is None or values[2] is None or values[3] is None:
            continue
        shown = _coverage_rows(values[0], values[1], values[2], values[3], overall)
        figure = forest_plot({"Coverage": shown}, reference={"Coverage": asked})
        label = f"Coverage of the prediction intervals of {name} by predicted value; dashed: {share_text(asked)}"
        figures.append({"target": name, "svg": svg_text(figure, f"coverage-{index}", label=label)})
    return {"asked": share_text(asked), "rows": rows, "figures": figures}


def _coverage_rows(
    truth: FloatArray, predicted: FloatArray, low: FloatArray, high: FloatArray, overall: dict[str, Any]
) -> list[ScoreRow]:
    """Return the coverage on all test images, and on thirds of them by predicted value if these are large enough."""
    inside = (truth >= low) & (truth <= high)
    ends = (overall.get("low"), overall.get("high"))
    rows = [ScoreRow("all test images", overall.get("value"), *ends, len(truth))]
    if len(truth) < THIRDS * MIN_THIRD:
        return rows
    for members in np.array_split(np.argsort(predicted, kind="stable"), THIRDS):
        first, last = predicted[members[0]], predicted[members[-1]]
        name = f"predicted {first:.3g} to {last:.3g}"
        rows.append(ScoreRow(name, float(inside[members].mean()), None, None, len(members)))
    return rows


def worst_section(files: RunFiles, thumbnails: Thumbnails) -> dict[str, Any]:
    """Return the images with the largest errors of the first target."""
    if not files.target_names or (values := _values(files, files.target_names[0])) is None:
        return {"missing": "Not available: predictions.csv is missing or empty."}
    truth, predicted, low, high = values
    rows = _readable(files)
    order = np.argsort(-np.abs(predicted - truth), kind="stable")[:MAX_WORST]
    images = [
        {
            **thumbnails.image(rows[index]["path"]),
            "truth": f"{truth[index]:.4g}",
            "predicted": f"{predicted[index]:.4g}",
            "interval": "" if low is None or high is None else f"[{low[index]:.4g}, {high[index]:.4g}]",
            "unfamiliar": rows[index].get("familiar", "").lower() == "false",
        }
        for index in order.tolist()
    ]
    return {"images": images, "target": files.target_names[0], "unreadable": unreadable_files(files)}


def suspect_values_section(files: RunFiles) -> dict[str, Any]:
    """Return images whose value differs most from an out-of-sample prediction."""
    if files.label_errors is None:
        return {"missing": f"There is no {files.run.label_errors_file.name} in the run folder."}
    rows = [row for row in files.label_errors if row.get("suspect", "").lower() == "true"]
    return {
        "file": files.run.label_errors_file.name,
        "count": len(rows),
        "checked": count_text(len(files.label_errors), "image"),
        "rows": [
            {
                "path": row["path"],
                "value": row["label"],
                "suggested": _short(row["suggested"]),
                "split": row.get("part", ""),
            }
            for row in rows[:MAX_SUSPECTS]
        ],
        "left_out": max(0, len(rows) - MAX_SUSPECTS),
    }


def _short(text: str) -> str:
    return ", ".join(f"{number:.4g}" for cell in text.split(";") if (number := as_number(cell)) is not None)


def _rule_sentences(files: RunFiles, target: str) -> list[str]:
    """Return a sentence for each simple rule: whether the model is better, with the paired difference of the MAE."""
    content = (files.test.get("targets") or {}).get(target) or {}
    sentences = []
    for rule, scores in (content.get("baselines") or {}).items():
        difference = scores.get("difference") or {}
        value, low, high = (difference.get(key) for key in ("value", "low", "high"))
        if value is None:
            continue
        of = f" of {target}" if len(files.target_names) > 1 else ""
        title = RULE_TITLES.get(rule, rule)
        digits = digits_of("mae", content["scores"])
        ends = None if low is None or high is None else (low, high) if value >= 0 else (-high, -low)
        interval = "" if ends is None else f" [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"
        word = "smaller" if value >= 0 else "larger"
        text = (
            f"The mean absolute error{of} is {abs(value):.{digits}f}{interval} {word} than that of the rule “{title}”"
        )
        if low is not None and high is not None and low <= 0 <= high:
            text += "; the interval contains 0, so the model is not shown to be better or worse than this rule"
        sentences.append(f"{text}.")
    return sentences


def _row(scores: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return scores as text, with as many decimals as those of the model (``own``)."""
    return {key: score_context(scores.get(key), digits_of(key, own)) for key in BASELINE_SCORES}


def _residual_plot(name: str, cells: list[str], residuals: FloatArray, number: int) -> dict[str, Any]:
    members: dict[str, list[float]] = defaultdict(list)
    for cell, residual in zip(cells, residuals.tolist(), strict=True):
        members[cell or "(empty)"].append(residual)
    arrays = {cell: np.array(values) for cell, values in members.items()}
    ordered = sorted(arrays, key=lambda cell: -float(np.abs(arrays[cell]).mean()))
    figure = residuals_figure(ordered, [arrays[cell] for cell in ordered])
    svg = svg_text(figure, f"residuals-{number}", label=f"Residuals of the test images by {name}")
    return {"name": name, "svg": svg, "more": max(0, len(ordered) - MAX_ROWS)}


def _partition(cells: list[str]) -> tuple[int, ...]:
    """Return for each cell the first row that has the same text."""
    first: dict[str, int] = {}
    return tuple(first.setdefault(cell, row) for row, cell in enumerate(cells))


def _readable(files: RunFiles) -> list[Row]:
    return [row for row in files.predictions or [] if not row.get("error")]


def _values(files: RunFiles, target: str) -> tuple[FloatArray, FloatArray, FloatArray | None, FloatArray | None] | None:
    """Return true and predicted values and the ends of the intervals of one target; None without predictions."""
    suffix = "" if len(files.target_names) == 1 else f":{target}"
    columns = []
    for kind in ("target", "predicted", "low", "high"):
        numbers = [as_number(row.get(f"{kind}{suffix}", "")) for row in _readable(files)]
        whole = bool(numbers) and all(number is not None for number in numbers)
        columns.append(np.array(numbers, np.float64) if whole else None)
    truth, predicted, low, high = columns
    if truth is None or predicted is None:
        return None
    return truth, predicted, low, high
