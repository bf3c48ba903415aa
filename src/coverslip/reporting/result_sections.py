"""Test results: the headline, scores, scores by class, the confusion matrix, and misclassified images."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from coverslip.figures import ScoreRow, confusion_figure, forest_plot, svg_text
from coverslip.reporting.run_files import RunFiles, as_number, split_names
from coverslip.reporting.task_words import WORDS
from coverslip.reporting.thumbnails import Thumbnails
from coverslip.reporting.wording import count_text, digits_of, name_of_score, number_text, score_context

MAX_CLASSES = 60
TOP_MISTAKES = 24
MAX_MISTAKES = 240
MAX_IN_SET = 4  # class names under one image
CLASS_SCORES = {
    "recall": "Recall",
    "precision": "Precision",
    "f1": "F1",
    "auroc": "AUROC",
    "auprc": "Average precision",
}


def result_section(files: RunFiles) -> dict[str, Any]:
    """Return the accuracy for the headline, the accuracy of always predicting the most frequent class, and warnings."""
    test = files.test
    accuracy = score_context((test.get("scores") or {}).get("accuracy"))
    images = test.get("images") or accuracy["images"] or 0
    groups = test.get("groups") or accuracy["groups"]
    counts = _confusion(files)
    complete = counts is not None and counts.sum() == images  # else the count would contradict the accuracy
    correct = int(np.trace(counts)) if counts is not None and complete else None
    totals = counts.sum(axis=1) if counts is not None else np.zeros(0, np.int64)
    largest = float(totals.max() / totals.sum()) if totals.sum() else None
    return {
        "accuracy": accuracy,
        "correct": correct,
        "largest": largest,
        "largest_text": number_text(largest),
        "largest_name": files.class_names[int(totals.argmax())] if largest is not None else "",
        **headline_context(files, images, groups),
    }


def headline_context(files: RunFiles, images: int, groups: int | None) -> dict[str, Any]:
    """Return what the headline of every task states: sizes of the test set, groups, and warnings.

    Args:
        files: a run's files.
        images: number of test images.
        groups: number of their groups; None if unknown.
    """
    warnings = [str(warning) for warning in files.test.get("warnings") or []]
    headline_warnings = [str(files.test["ledger_warning"])] if files.test.get("ledger_warning") else []
    if files.test.get("seen") and warnings:  # the first warning is that test images were used for training
        headline_warnings.insert(0, warnings.pop(0))
    return {
        "images": count_text(images, "test image"),
        "groups": count_text(groups, "group") if files.grouped and groups else "",
        "unit": "groups" if files.grouped and groups else "images",
        "grouped": files.grouped,
        "trained_here": files.trained_here,
        "headline_warnings": headline_warnings,
        "warnings": warnings,
    }


def unreadable_files(files: RunFiles) -> list[tuple[str, str]]:
    """Return path and reason of each test file that could not be read."""
    return [(row["path"], row["error"]) for row in files.predictions or [] if row.get("error")]


def scores_section(files: RunFiles) -> dict[str, Any]:
    """Return every score with its confidence interval, sample size and method."""
    rows = []
    scores = files.test.get("scores") or {}
    for key, score in scores.items():
        name, definition = name_of_score(key)
        rows.append({"name": name, "definition": definition, **score_context(score, digits_of(key, scores))})
    return {"rows": rows, "grouped": files.grouped} if rows else {"missing": "Not available: test.json has no scores."}


def classes_section(files: RunFiles) -> dict[str, Any]:
    """Return the scores of each class, lowest recall first, as a forest plot and as a table."""
    classes: dict[str, Any] = files.test.get("classes") or {}
    if not classes:
        return {"missing": "Not available: test.json has no scores of single classes."}
    names = sorted(classes, key=lambda name: _recall(classes[name]))
    shown_scores = [key for key in CLASS_SCORES if key != "auprc" or files.task == "multilabel"]
    columns = [key for key in shown_scores if any(key in scores for scores in classes.values())]
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
    shown = names[:MAX_CLASSES]
    panels = {
        CLASS_SCORES[key]: [_score_row(name, classes[name], key) for name in shown]
        for key in columns
        if key in ("recall", "precision")
    }
    mean = ((files.test.get("scores") or {}).get("balanced_accuracy") or {}).get("value")
    figure = forest_plot(panels, reference={"Recall": mean} if mean is not None else None) if panels else None
    label = f"Recall and precision of each {WORDS[files.task].part} with confidence intervals; see the table below"
    return {
        "svg": svg_text(figure, "classes", label=label) if figure is not None else "",
        "has_mean": mean is not None,
        "open": any(row.low is None and row.value is not None for rows in panels.values() for row in rows),
        "part": WORDS[files.task].part,
        "columns": [CLASS_SCORES[key] for key in columns],
        "rows": rows,
        "reasons": reasons,
        "grouped": files.grouped,
        "left_out": len(names) - len(shown),
    }


def confusion_section(files: RunFiles) -> dict[str, Any]:
    """Return the confusion matrix; cells off the diagonal link to their images."""
    counts, names = _confusion(files), files.class_names
    if counts is None:
        return {"missing": "Not available: test.json has no confusion matrix."}
    wrong = [(int(counts[i, j]), i, j) for i, j in np.argwhere(counts > 0).tolist() if i != j]
    wrong.sort(key=lambda entry: (-entry[0], entry[1:]))
    confusions = [(names[i], names[j], count) for count, i, j in wrong]
    svg = ""
    if len(names) <= MAX_CLASSES:
        linked = _linked_pairs(files)
        figure = confusion_figure(
            counts, names, link=lambda i, j: f"#pair-{i}-{j}" if (names[i], names[j]) in linked else None
        )
        titles = {
            f"cell-{i}-{j}": f"{names[i]} predicted as {names[j]}: {count}"
            if i != j
            else f"{names[i]}: {count} correct"
            for i, j in np.argwhere(counts > 0).tolist()
            for count in [int(counts[i, j])]
        }
        svg = svg_text(figure, "confusion", label="Confusion matrix: true against predicted classes", titles=titles)
    return {
        "svg": svg,
        "confusions": confusions[: 3 if svg else 40],
        "mistakes": sum(count for _, _, count in confusions),
    }


def mistakes_section(files: RunFiles, thumbnails: Thumbnails) -> dict[str, Any]:
    """Return misclassified images, highest confidence first; those beyond the first are folded."""
    if files.predictions is None:
        return {"missing": "Not available: there is no predictions.csv in the run folder."}
    index = {name: number for number, name in enumerate(files.class_names)}
    rows, per_pair, images = _mistakes(files), Counter[str](), []
    for row in rows[:MAX_MISTAKES]:
        pair = f"pair-{index.get(row['label'], 'x')}-{index.get(row['predicted'], 'x')}"
        per_pair[pair] += 1
        members = split_names(row.get("set", ""), index)
        images.append(
            {
                **thumbnails.image(row["path"]),
                "label": row["label"],
                "predicted": row["predicted"],
                "confidence": number_text(as_number(row.get("confidence", "")), 2),
                "of_label": number_text(as_number(row.get(f"p:{row['label']}", "")), 2),
                "set": members[:MAX_IN_SET],
                "set_more": max(0, len(members) - MAX_IN_SET),
                "unfamiliar": row.get("familiar", "").lower() == "false",
                "pair": pair,
                "id": pair if per_pair[pair] == 1 else "",
            }
        )
    return {
        "top": images[:TOP_MISTAKES],
        "rest": images[TOP_MISTAKES:],
        "count": len(rows),
        "left_out": len(rows) - len(images),
        "with_sets": any(image["set"] for image in images),
        "unfamiliar": sum(image["unfamiliar"] for image in images),
        "unreadable": unreadable_files(files),
    }


def _recall(scores: dict[str, Any]) -> tuple[bool, float]:
    value = (scores.get("recall") or {}).get("value")
    return value is None, value or 0.0  # classes without a test image come last


def _score_row(name: str, scores: dict[str, Any], key: str) -> ScoreRow:
    score = scores.get(key) or {}
    return ScoreRow(name, score.get("value"), score.get("low"), score.get("high"), scores.get("images") or 0)


def _confusion(files: RunFiles) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    counts = np.asarray(files.test.get("confusion") or [], dtype=np.int64)
    size = len(files.class_names)
    return counts if size and counts.shape == (size, size) else None


def _linked_pairs(files: RunFiles) -> set[tuple[str, str]]:
    return {(row["label"], row["predicted"]) for row in _mistakes(files)[:MAX_MISTAKES]}


def _mistakes(files: RunFiles) -> list[dict[str, str]]:
    """Return wrong predictions, highest confidence first; files that could not be read have no prediction."""
    rows = [row for row in files.predictions or [] if row.get("predicted") and row["predicted"] != row["label"]]
    return sorted(rows, key=lambda row: (-(as_number(row.get("confidence", "")) or 0.0), row["path"]))
