"""Cross-validation of the head of any task: every image predicted by a head that was fitted without its group."""

from __future__ import annotations

from typing import Any

import numpy as np

from coverslip.core.progress import SILENT, Progress
from coverslip.data.split import assign_folds
from coverslip.data.table import ImageTable
from coverslip.evidence.score_specs import score_spec
from coverslip.pipeline.baselines import ColorFeatures, has_rules, rule_values
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.fit import FitResult
from coverslip.pipeline.resolve import new_task
from coverslip.tasks.task import FloatArray, HeadData, Prediction, join_predictions


def cross_validate_task(
    config: RunConfig, table: ImageTable, colors: ColorFeatures, fitted: FitResult, log: Progress
) -> dict[str, Any]:
    """Cross-validate a head on the train and validation set, beside the simple rules of its task.

    Penalty, temperature and thresholds of each fold are chosen inside its own training images. Folds keep groups
    together and balance the strata of the target.

    Returns:
        The entry ``folds`` of ``repeats.json``: ``k``; ``scores`` per fold, of the scores that the task shows first;
        ``summary`` (each score of all out-of-fold predictions, with its interval over groups); ``evidence``, all scores
        of these predictions; ``images``, ``groups`` and ``says``.
    """
    rows = sorted(table.rows("train") + table.rows("validation"))
    target, groups, pixels = table.target(rows), table.groups(rows), colors.pixels
    keys, folds = pixels.facts["row_hash"].to_list(), config.repeats.folds
    features = fitted.predictor.extractor.extract(pixels.pixels, rows, keys, 1, log).astype(np.float32)
    untrained, fold = new_task(config, table), assign_folds(target.strata(), groups, folds, config.training.seed)
    parts: list[Prediction] = []
    places = [np.flatnonzero(fold == number) for number in range(folds)]
    baselines: dict[str, FloatArray] = {}
    if has_rules(table):
        colors.take(rows, log)  # once, with progress
    with log.stage("cross-validating", folds, "folds") as stage:
        for held in places:
            train = np.flatnonzero(~np.isin(np.arange(len(rows)), held))
            data = HeadData(
                features[train],
                target.take(train),
                [groups[row] for row in train.tolist()],
                1,
                None,
                config.head.l2_values,
                config.head.folds,
                config.training.seed,
            )
            task, head = untrained.fit_head(data, SILENT)
            parts.append(task.predict(head.outputs(features[held])))
            fitted_rows, held_rows = ([rows[place] for place in part.tolist()] for part in (train, held))
            for name, values in rule_values(config, table, colors, fitted_rows, held_rows, SILENT).items():
                baselines.setdefault(name, np.empty((len(rows), values.shape[1])))[held] = values
            stage.advance()
    codes = table.group_codes(rows)
    evidence = untrained.score(join_predictions(parts, places), target, codes, baselines)
    per_fold = [  # as one group, which has scores without intervals
        untrained.score(part, target.take(held), np.zeros(len(held), np.int64), {})["scores"]
        for part, held in zip(parts, places, strict=True)
    ]
    shown = [name for name in untrained.shown if name in evidence["scores"]]  # of several targets, those without unit
    method = "all out-of-fold predictions together; "
    summary = {}
    for name in shown:
        score = evidence["scores"][name]
        summary[name] = {"mean": score["value"], "low": score["low"], "high": score["high"]}
        summary[name] |= {"method": method + score["method"], "sentence": _sentence(name, score, folds)}
    return {
        "k": folds,
        "scores": {name: [scores[name]["value"] for scores in per_fold] for name in shown},
        "summary": summary,
        "evidence": evidence,
        "images": len(rows),
        "groups": len(set(groups)),
        "says": summary[shown[0]]["sentence"],
    }


def _sentence(name: str, score: dict[str, Any], folds: int) -> str:
    interval = "" if score["low"] is None else f" [{score['low']:.3g}, {score['high']:.3g}]"
    value = "not defined" if score["value"] is None else f"{score['value']:.3g}"
    title = score_spec(name).title
    title = title[:1].lower() + title[1:] if title[1:2].islower() else title  # but RMSE stays
    return f"over {folds} folds, out of fold: {title} {value}{interval} (n = {score['images']:,} images)"
