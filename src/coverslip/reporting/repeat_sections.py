"""Variation between folds and seeds, and the learning curve."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from coverslip.figures import FittedCurve, SpreadRow, learning_curve_figure, repeats_figure, svg_text
from coverslip.reporting.evidence_sections import as_sentence
from coverslip.reporting.run_files import RunFiles
from coverslip.reporting.wording import digits_of, name_of_score, number_text

KINDS = {"folds": ("k", "fold"), "seeds": ("n", "random split")}  # key of repeats.json -> key of its number, noun


def repeats_section(files: RunFiles) -> dict[str, Any]:
    """Return the score of each fold and seed, next to the interval of the test score."""
    if files.repeats is None:
        return {"missing": "Not run. To run it, train with --folds 5 or --seeds 10."}
    kinds = {kind: files.repeats.get(kind) or {} for kind in KINDS}
    names = list(dict.fromkeys(name for content in kinds.values() for name in content.get("scores") or {}))
    if not names:
        return {"missing": "Not available: repeats.json has no scores."}
    first = "accuracy" if "accuracy" in names else names[0]
    rows, drawn, sentences = [], [], []
    for kind, content in kinds.items():
        summary = content.get("summary")
        number, noun = content.get(KINDS[kind][0]), KINDS[kind][1]
        for name, values in (content.get("scores") or {}).items():
            points = [value for value in values or [] if value is not None]
            interval = _interval(summary, name, only=name == first) or {}
            digits = digits_of(name, files.test.get("scores") or {})
            mean = interval.get("mean", sum(points) / len(points) if points else None)
            low, high = interval.get("low"), interval.get("high")
            row = {
                "repeats": f"{len(values or [])} {noun}s",
                "score": name_of_score(name)[0],
                "mean": number_text(mean, digits),
                "interval": f"[{low:.{digits}f}, {high:.{digits}f}]" if low is not None and high is not None else "",
                "spread": number_text(interval["spread"], digits) if interval.get("spread") is not None else "–",
                "range": f"{min(points):.{digits}f} to {max(points):.{digits}f}" if points else "–",
                "method": str(interval.get("method") or "") if low is not None else str(interval.get("reason") or ""),
            }
            rows.append(row)
            if name == first:
                drawn.append(SpreadRow(f"{number or len(points)} {noun}s", points, mean, low, high))
        sentences += [as_sentence(entry["sentence"]) for entry in _dicts(summary) if entry.get("sentence")]
    test_score = (files.test.get("scores") or {}).get(first) or {}
    if test_score.get("value") is not None:
        value, low, high = (test_score.get(key) for key in ("value", "low", "high"))
        drawn.append(SpreadRow("test set of this run", [], value, low, high))
    digits = digits_of(first, files.test.get("scores") or {})
    figure = repeats_figure(drawn, name_of_score(first)[0], digits=digits)
    label = f"{name_of_score(first)[0]} of each repeat; see the table below"
    return {
        "svg": svg_text(figure, "repeats", label=label),
        "kinds": [noun for kind, (_, noun) in KINDS.items() if kinds[kind].get("scores")],
        "with_test": test_score.get("value") is not None,
        "sentences": list(dict.fromkeys(sentences)),
        "rows": rows,
    }


def _dicts(content: object) -> Iterator[Mapping[str, Any]]:
    """Yield a summary and all dicts in it: it may contain one interval, or one per score."""
    if isinstance(content, Mapping):
        yield content
        for value in content.values():
            yield from _dicts(value)


def _interval(summary: object, score: str, *, only: bool) -> Mapping[str, Any] | None:
    """Return mean and interval of one score; a summary without names of scores belongs to the first (``only``)."""
    by_name = summary.get(score) if isinstance(summary, Mapping) else None
    content = by_name if by_name is not None else summary if only else None
    return next((entry for entry in _dicts(content) if "mean" in entry and "low" in entry), None)


def learning_section(files: RunFiles) -> dict[str, Any]:
    """Return scores at growing sizes of the training set, the fitted curve, and the forecast for twice the data."""
    content = files.learning_curve
    if content is None:
        return {"missing": "Not run. To run it, train with --learning-curve."}
    sizes, scores, fit = content.get("sizes") or [], content.get("scores") or [], content.get("fit") or {}
    if not sizes or not scores:
        return {
            "missing": f"Not available: {content['reason']}."
            if content.get("reason")
            else "Not available: learning_curve.json has no scores."
        }
    unit, name = str(content.get("unit") or "images"), name_of_score(str(content.get("score") or "accuracy"))[0]
    table = [[math.nan if value is None else float(value) for value in row] for row in scores]
    curve = fit.get("curve")
    fitted = FittedCurve(curve["sizes"], curve["value"], curve.get("low"), curve.get("high")) if curve else None
    figure = learning_curve_figure(sizes, table, fitted, unit=unit, score=name)
    images = content.get("images") or [None] * len(sizes)
    rows = []
    for at, (size, number) in enumerate(zip(sizes, images, strict=False)):
        known = [row[at] for row in table if not math.isnan(row[at])]
        rows.append(
            {
                "size": f"{size:,.0f}",
                "images": f"{number:,.0f}" if number is not None else "–",
                "mean": number_text(sum(known) / len(known) if known else None),
                "range": f"{min(known):.3f} to {max(known):.3f}" if known else "–",
            }
        )
    return {
        "svg": svg_text(figure, "learning", label=f"{name} against the size of the training set; see the table below"),
        "summary": as_sentence(fit.get("says")),
        "unit": unit,
        "score": name,
        "repeats": len(scores),
        "fitted": fitted is not None,
        "banded": fitted is not None and fitted.low is not None,
        "rows": rows,
    }
