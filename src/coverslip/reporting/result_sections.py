"""What came out: the result in a sentence, scores, classes, confusions and mistakes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from coverslip.figures import ScoreRow, confusion_figure, forest_plot, svg_text
from coverslip.reporting.run_files import RunFiles, as_number, split_names
from coverslip.reporting.thumbnails import Thumbnails
from coverslip.reporting.wording import count_text, name_of_score, number_text, score_context

MOST_CLASSES = 60
TOP_MISTAKES = 24
MOST_MISTAKES = 240
MOST_IN_SET = 4  # names under one image
CLASS_SCORES = {"recall": "Recall", "precision": "Precision", "f1": "F1", "auroc": "AUROC"}


def result_section(files: RunFiles) -> dict[str, Any]:
    """The accuracy as one plain sentence, and what always naming the most frequent class would have given."""
    test = files.test
    accuracy = score_context((test.get("scores") or {}).get("accuracy"))
    images = test.get("images") or accuracy["images"] or 0
    groups = test.get("groups") or accuracy["groups"]
    counts = _confusion(files)
    right = int(np.trace(counts)) if counts is not None and counts.sum() == images else None  # else it would not add up
    totals = counts.sum(axis=1) if counts is not None else np.zeros(0, np.int64)
    largest = float(totals.max() / totals.sum()) if totals.sum() else None
    return {
        "accuracy": accuracy,
        "images": count_text(images, "test image"),
        "groups": count_text(groups, "group") if files.grouped and groups else "",
        "draw": count_text(groups, "such group") if files.grouped and groups else count_text(images, "such image"),
        "right": right,
        "grouped": files.grouped,
        "trained_here": files.trained_here,
        "largest": largest,
        "largest_text": number_text(largest),
        "largest_name": files.class_names[int(totals.argmax())] if largest is not None else "",
        "warnings": [str(warning) for warning in test.get("warnings") or []],
    }


def scores_section(files: RunFiles) -> dict[str, Any]:
    """Every score with its interval, n and method."""
    rows = []
    for key, score in (files.test.get("scores") or {}).items():
        name, meaning = name_of_score(key)
        rows.append({"name": name, "meaning": meaning, **score_context(score)})
    return {"rows": rows, "grouped": files.grouped} if rows else {"missing": "test.json holds no scores."}


def classes_section(files: RunFiles) -> dict[str, Any]:
    """The scores of each class, lowest recall first, as a forest plot and as a table."""
    classes: dict[str, Any] = files.test.get("classes") or {}
    if not classes:
        return {"missing": "test.json holds no scores of single classes."}
    names = sorted(classes, key=lambda name: _recall(classes[name]))
    columns = [key for key in CLASS_SCORES if any(key in scores for scores in classes.values())]
    reasons: list[str] = []
    rows = []
    for name in names:
        scores = [score_context(classes[name].get(key), digits=2) for key in columns]
        for score in scores:
            if score["reason"] and score["reason"] not in reasons:
                reasons.append(score["reason"])
            score["mark"] = reasons.index(score["reason"]) + 1 if score["reason"] else None
        images, groups = classes[name].get("images") or 0, classes[name].get("groups")
        rows.append({"name": name, "images": images, "groups": groups, "scores": scores})
    shown = names[:MOST_CLASSES]
    panels = {
        CLASS_SCORES[key]: [_score_row(name, classes[name], key) for name in shown]
        for key in columns
        if key in ("recall", "precision")
    }
    mean = ((files.test.get("scores") or {}).get("balanced_accuracy") or {}).get("value")
    figure = forest_plot(panels, reference={"Recall": mean} if mean is not None else None) if panels else None
    label = "Recall and precision of each class with their intervals; the table below has the numbers"
    return {
        "svg": svg_text(figure, "classes", label=label) if figure is not None else "",
        "has_mean": mean is not None,
        "open": any(row.low is None and row.value is not None for rows in panels.values() for row in rows),
        "columns": [CLASS_SCORES[key] for key in columns],
        "rows": rows,
        "reasons": reasons,
        "grouped": files.grouped,
        "left_out": len(names) - len(shown),
    }


def _recall(scores: dict[str, Any]) -> tuple[bool, float]:
    value = (scores.get("recall") or {}).get("value")
    return value is None, value or 0.0  # a class that was never tested comes last


def _score_row(name: str, scores: dict[str, Any], key: str) -> ScoreRow:
    score = scores.get(key) or {}
    return ScoreRow(name, score.get("value"), score.get("low"), score.get("high"), scores.get("images") or 0)


def _confusion(files: RunFiles) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    counts = np.asarray(files.test.get("confusion") or [], dtype=np.int64)
    size = len(files.class_names)
    return counts if size and counts.shape == (size, size) else None


def confusion_section(files: RunFiles) -> dict[str, Any]:
    """What each class was taken for. A cell with mistakes leads to their images."""
    counts, names = _confusion(files), files.class_names
    if counts is None:
        return {"missing": "test.json holds no confusion matrix."}
    wrong = [(int(counts[i, j]), i, j) for i, j in np.argwhere(counts > 0).tolist() if i != j]
    often = [(names[i], names[j], count) for count, i, j in sorted(wrong, key=lambda each: (-each[0], each[1:]))]
    svg = ""
    if len(names) <= MOST_CLASSES:
        linked = _pairs(files)
        figure = confusion_figure(
            counts, names, link=lambda i, j: f"#pair-{i}-{j}" if (names[i], names[j]) in linked else None
        )
        titles = {
            f"cell-{i}-{j}": f"{names[i]} taken for {names[j]}: {count}" if i != j else f"{names[i]}: {count} right"
            for i, j in np.argwhere(counts > 0).tolist()
            for count in [int(counts[i, j])]
        }
        svg = svg_text(
            figure, "confusion", label="Confusion matrix, true classes by what the model said", titles=titles
        )
    return {"svg": svg, "often": often[: 3 if svg else 40], "mistakes": sum(count for count, _, _ in wrong)}


def _pairs(files: RunFiles) -> set[tuple[str, str]]:
    return {(row["label"], row["predicted"]) for row in _mistakes(files)[:MOST_MISTAKES]}


def _mistakes(files: RunFiles) -> list[dict[str, str]]:
    """Wrong predictions, the most confident first; a file that could not be read is not a mistake of the model."""
    rows = [row for row in files.predictions or [] if row.get("predicted") and row["predicted"] != row["label"]]
    return sorted(rows, key=lambda row: (-(as_number(row.get("confidence", "")) or 0.0), row["path"]))


def mistakes_section(files: RunFiles, thumbnails: Thumbnails) -> dict[str, Any]:
    """The most confident mistakes as images; the others behind a fold."""
    if files.predictions is None:
        return {"missing": "There is no predictions.csv in the run folder."}
    place = {name: index for index, name in enumerate(files.class_names)}
    rows, seen, images = _mistakes(files), Counter[str](), []
    for row in rows[:MOST_MISTAKES]:
        pair = f"pair-{place.get(row['label'], 'x')}-{place.get(row['predicted'], 'x')}"
        seen[pair] += 1
        members = split_names(row.get("set", ""), place)
        images.append(
            {
                **thumbnails.image(row["path"]),
                "label": row["label"],
                "predicted": row["predicted"],
                "confidence": number_text(as_number(row.get("confidence", "")), 2),
                "of_label": number_text(as_number(row.get(f"p:{row['label']}", "")), 2),
                "set": members[:MOST_IN_SET],
                "set_more": max(0, len(members) - MOST_IN_SET),
                "unfamiliar": row.get("familiar", "").lower() == "false",
                "pair": pair,
                "id": pair if seen[pair] == 1 else "",
            }
        )
    unread = [(row["path"], row["error"]) for row in files.predictions if row.get("error")]
    return {
        "top": images[:TOP_MISTAKES],
        "rest": images[TOP_MISTAKES:],
        "count": len(rows),
        "left_out": len(rows) - len(images),
        "with_sets": any(each["set"] for each in images),
        "unfamiliar": sum(each["unfamiliar"] for each in images),
        "unread": unread,
    }
