"""Evidence for a fake run, computed by the real functions from its predictions."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.evidence.calibration import calibration_report, reliability
from coverslip.evidence.conformal import evaluate_prediction_sets, fit_prediction_sets, prediction_sets
from coverslip.evidence.label_errors import rank_label_errors
from coverslip.evidence.learning_curve import fit_curve
from coverslip.evidence.repeats import fold_interval, seed_interval, variance_components
from coverslip.evidence.subgroups import subgroup_scores
from coverslip.evidence.support import proportion_score

SITES = ("Ghent", '<i>site "B"</i>', "", "Évora")
KEYS = ("calibration", "sets", "familiarity", "subgroups", "ledger")


def add_evidence(run: Path, *, scorings: int = 1, columns: tuple[str, ...] = ("site",)) -> Path:
    """Add to a fake run the keys, columns and files of a run with all options.

    Args:
        run: from `write_fake_run`.
        scorings: number of uses of the test set, each with different settings.
        columns: names of further columns of the table.
    """
    test, rows = json.loads((run / "test.json").read_text(encoding="utf-8")), read_rows(run / "predictions.csv")
    names = test["class_names"]
    labels = np.array([names.index(row["label"]) for row in rows])
    after = np.array([[float(row[f"p:{name}"]) for name in names] for row in rows]) + 1e-6
    after /= after.sum(axis=1, keepdims=True)
    before = after**1.4 / (after**1.4).sum(axis=1, keepdims=True)
    grouped = np.unique([row["group"] for row in rows], return_inverse=True)[1]
    groups = grouped if any(row["group"] for row in rows) else None
    rng = np.random.default_rng(5)

    thresholds = fit_prediction_sets(labels, after, groups)
    members = prediction_sets(after, thresholds)
    unfamiliar = rng.random(len(rows)) < 0.08
    training = [row for row in read_rows(run / "table.csv") if row["split"] == "train"]
    for row, inside, is_unfamiliar in zip(rows, members, unfamiliar, strict=True):
        nearest = [training[index]["path"] for index in rng.integers(0, len(training), 3)]
        row["set"] = " | ".join(name for name, member in zip(names, inside, strict=True) if member)
        row |= {"familiar": "false" if is_unfamiliar else "true", "nearest": " | ".join(nearest)}
    write_rows(run / "predictions.csv", rows)

    codes = np.arange(len(rows)) if groups is None else groups
    counts, flagged = np.bincount(codes).astype(float), np.bincount(codes, weights=unfamiliar)
    on = {"images": 64, "groups": 30}
    values = [SITES[code % len(SITES)] for code in codes]
    test |= {
        "calibration": {
            "reliability": reliability(labels, after, groups),
            "report": calibration_report(labels, before, after, groups, resamples=200),
            "temperature": 1.4,
            "assumes": {name: 1 / len(names) + (0.02 if k == 0 else 0.0) for k, name in enumerate(names)},
        },
        "sets": evaluate_prediction_sets(labels, members, groups)
        | {"asked": 0.9, "calibrated_on": on, "warnings": thresholds.warnings(names)},
        "familiarity": {
            "flagged": proportion_score(flagged, counts, 0.95, grouped=groups is not None),
            "promised": 1 / 31,
            "rough": True,
            "calibrated_on": on,
        },
        "subgroups": {
            name: subgroup_scores(labels, after, groups, values, names, resamples=200) for name in columns
        },
        "ledger": [
            {"when": f"2026-11-{day + 1:02d}T10:20:30+01:00", "run": f"leaves-{day}", "settings": f"digest {day}"}
            for day in range(scorings)
        ],
    }  # fmt: skip
    write_json(run / "test.json", test)
    write_label_errors(run, labels, after, rows, names, training)
    write_repeats(run, labels == after.argmax(axis=1), codes, rng)
    return run


def write_label_errors(
    run: Path, labels: Any, after: Any, rows: list[dict[str, str]], names: list[str], training: list[dict[str, str]]
) -> None:
    """Write suspects of the test set, and every ninth training image as suspect."""
    ranking = rank_label_errors(labels, after)
    test = [
        {"path": rows[row]["path"], "label": rows[row]["label"], "suggested": names[other], "score": round(score, 6)}
        | {"suspect": str(bool(suspect)).lower(), "part": "test"}
        for row, other, score, suspect in zip(
            ranking.rows, ranking.suggested, ranking.score, ranking.suspect, strict=True
        )
    ]
    train = [
        {"path": row["path"], "label": row["label"], "suggested": names[at % len(names)], "score": 0.7}
        | {"suspect": "true" if at % 9 == 0 else "false", "part": "train"}
        for at, row in enumerate(training)
    ]
    ranked = sorted([*test, *train], key=lambda row: (row["suspect"] != "true", -float(row["score"])))
    write_rows(run / "label_errors.csv", ranked)


def write_repeats(run: Path, right: Any, groups: Any, rng: np.random.Generator) -> None:
    """Write five folds and ten splits of accuracy and balanced accuracy, and a learning curve without one score."""
    folds = {name: (0.82 + 0.05 * rng.standard_normal(5)).clip(0, 1) for name in ("accuracy", "balanced_accuracy")}
    hits = np.stack([np.bincount(groups, weights=np.where(rng.random(len(right)) < 0.97, right, 0)) for _ in range(10)])
    counts = np.bincount(groups).astype(float)
    seeds = hits.sum(axis=1) / counts.sum()
    summary = {name: fold_interval(scores, 20, 80) for name, scores in folds.items()}
    by_seed = {"accuracy": seed_interval(seeds), "beside_images": variance_components(hits, counts)}
    content = {
        "folds": {"k": 5, "scores": {name: scores.tolist() for name, scores in folds.items()}, "summary": summary},
        "seeds": {"n": 10, "scores": {"accuracy": seeds.tolist()}, "summary": by_seed},
    }
    write_json(run / "repeats.json", content)
    sizes = np.array([12, 24, 48, 96, 120])
    scores = 0.95 - 0.6 * sizes**-0.5 + 0.01 * rng.standard_normal((5, 5))
    fit = fit_curve(sizes, scores, resamples=100)
    table = scores.tolist()
    table[1][0] = None
    curve = {"unit": "leaves", "sizes": sizes.tolist(), "images": (6 * sizes).tolist(), "scores": table}
    write_json(run / "learning_curve.json", curve | {"score": "accuracy", "fit": fit})


def read_rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def write_rows(file: Path, rows: list[dict[str, Any]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as text:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False, allow_nan=False), encoding="utf-8")
