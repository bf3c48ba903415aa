"""What chance in training did, and what more data would buy: folds, seeds, and the learning curve."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from coverslip.figures import FittedCurve, SpreadRow, learning_curve_figure, repeats_figure, svg_text
from coverslip.reporting.evidence_sections import said
from coverslip.reporting.run_files import RunFiles
from coverslip.reporting.wording import name_of_score, number_text

KINDS = {"folds": ("k", "fold"), "seeds": ("n", "seed")}  # key of repeats.json -> key of its number, noun


def repeats_section(files: RunFiles) -> dict[str, Any]:
    """The score of each fold and seed beside what other test images alone could have done to it."""
    if files.repeats is None:
        return {"missing": "Nothing was repeated: train --folds 5 or --seeds 10 does."}
    kinds = {kind: files.repeats.get(kind) or {} for kind in KINDS}
    names = list(dict.fromkeys(name for content in kinds.values() for name in content.get("scores") or {}))
    if not names:
        return {"missing": "repeats.json holds no scores."}
    first = "accuracy" if "accuracy" in names else names[0]
    rows, drawn, sentences = [], [], []
    for kind, content in kinds.items():
        summary = content.get("summary")
        number, noun = content.get(KINDS[kind][0]), KINDS[kind][1]
        for name, values in (content.get("scores") or {}).items():
            points = [value for value in values or [] if value is not None]
            found = _interval(summary, name, alone=name == first) or {}
            mean = found.get("mean", sum(points) / len(points) if points else None)
            low, high = found.get("low"), found.get("high")
            row = {
                "what": f"{len(values or [])} {noun}s",
                "score": name_of_score(name)[0],
                "mean": number_text(mean),
                "interval": f"[{low:.3f}, {high:.3f}]" if low is not None and high is not None else "",
                "spread": number_text(found["spread"]) if found.get("spread") is not None else "–",
                "ends": f"{min(points):.3f} to {max(points):.3f}" if points else "–",
                "method": str(found.get("method") or "") if low is not None else str(found.get("reason") or ""),
            }
            rows.append(row)
            if name == first:
                drawn.append(SpreadRow(f"{number or len(points)} {noun}s", points, mean, low, high))
        sentences += [said(each["sentence"]) for each in _dicts(summary) if each.get("sentence")]
    own = (files.test.get("scores") or {}).get(first) or {}
    if own.get("value") is not None:
        drawn.append(SpreadRow("this run, other test images", [], own["value"], own.get("low"), own.get("high")))
    label = f"{name_of_score(first)[0]} of each repeat; the table below has the numbers"
    return {
        "svg": svg_text(repeats_figure(drawn, name_of_score(first)[0]), "repeats", label=label),
        "kinds": [noun for kind, (_, noun) in KINDS.items() if kinds[kind].get("scores")],
        "own": own.get("value") is not None,
        "says": list(dict.fromkeys(sentences)),
        "rows": rows,
    }


def _dicts(content: object) -> Iterator[Mapping[str, Any]]:
    """A summary and all in it: it may hold one interval, or one for each score."""
    if isinstance(content, Mapping):
        yield content
        for each in content.values():
            yield from _dicts(each)


def _interval(summary: object, score: str, *, alone: bool) -> Mapping[str, Any] | None:
    """The mean and interval of one score; a summary that names no score is of the first (``alone``)."""
    named = summary.get(score) if isinstance(summary, Mapping) else None
    where = named if named is not None else summary if alone else None
    return next((each for each in _dicts(where) if "mean" in each and "low" in each), None)


def learning_section(files: RunFiles) -> dict[str, Any]:
    """Scores at growing sizes of the training set, the fitted curve, and what twice as much would buy."""
    content = files.learning_curve
    if content is None:
        return {"missing": "No learning curve was made: train --learning-curve does."}
    sizes, scores, fit = content.get("sizes") or [], content.get("scores") or [], content.get("fit") or {}
    if not sizes or not scores:
        return {"missing": f"{content['reason']}." if content.get("reason") else "learning_curve.json holds no scores."}
    unit, name = str(content.get("unit") or "images"), name_of_score(str(content.get("score") or "accuracy"))[0]
    table = [[math.nan if value is None else float(value) for value in row] for row in scores]
    curve = fit.get("curve")
    fitted = FittedCurve(curve["sizes"], curve["value"], curve.get("low"), curve.get("high")) if curve else None
    figure = learning_curve_figure(sizes, table, fitted, unit=unit, score=name)
    images = content.get("images") or [None] * len(sizes)
    rows = []
    for at, (size, number) in enumerate(zip(sizes, images, strict=False)):
        there = [row[at] for row in table if not math.isnan(row[at])]
        rows.append(
            {
                "size": f"{size:,.0f}",
                "images": f"{number:,.0f}" if number is not None else "–",
                "mean": number_text(sum(there) / len(there) if there else None),
                "ends": f"{min(there):.3f} to {max(there):.3f}" if there else "–",
            }
        )
    return {
        "svg": svg_text(figure, "learning", label=f"{name} at growing sizes; the table below has the numbers"),
        "says": said(fit.get("says")),
        "unit": unit,
        "score": name,
        "repeats": len(scores),
        "fitted": fitted is not None,
        "banded": fitted is not None and fitted.low is not None,
        "rows": rows,
    }
