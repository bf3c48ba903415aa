"""Cross-validation of a regression: every image predicted by a head that was fitted without its group."""

from __future__ import annotations

from typing import Any

import numpy as np

from coverslip.core.progress import SILENT, Progress
from coverslip.data.split import assign_folds
from coverslip.data.table import ImageTable
from coverslip.evidence.regression import regression_evidence
from coverslip.evidence.regression_scores import plain_scores
from coverslip.pipeline.baselines import ColorFeatures, standardized
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.fit import FitResult
from coverslip.tasks.regression.scale import from_scale, to_scale
from coverslip.training.ridge import fit_ridge

SHOWN = ("mae", "concordance")


def cross_validate_values(
    config: RunConfig, table: ImageTable, colors: ColorFeatures, fitted: FitResult, log: Progress
) -> dict[str, Any]:
    """Cross-validate the head of a regression on the train and validation set, beside the simple rules.

    The penalty of each fold is chosen inside its own training images. Folds keep groups together and balance the
    quantiles of the target.

    Returns:
        The entry ``folds`` of ``repeats.json``: ``k``; ``scores`` per fold (``mae``, ``concordance``); ``summary``
        (each score of all out-of-fold predictions, with its interval over groups); ``evidence``, the content of
        `regression_evidence` for them; ``images``, ``groups`` and ``says``.
    """
    rows = sorted(table.rows("train") + table.rows("validation"))
    target, groups, scale = table.target(rows), table.groups(rows), config.data.scale
    pixels, measured = colors.pixels, colors.take(rows, log)
    keys = pixels.facts["row_hash"].to_list()
    features = fitted.predictor.extractor.extract(pixels.pixels, rows, keys, 1, log).astype(np.float32)
    color_inputs = standardized(measured, measured)
    values, strata, folds = to_scale(target.array, scale), target.strata(), config.repeats.folds
    fold = assign_folds(strata, groups, folds, config.training.seed)
    found = {name: np.empty_like(values) for name in ("model", "color", "constant")}
    with log.stage("cross-validating", folds, "folds") as stage:
        for number in range(folds):
            train, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            for name, inputs in (("model", features), ("color", color_inputs)):
                head = fit_ridge(
                    inputs[train],
                    values[train],
                    [groups[row] for row in train],
                    strata[train],
                    folds=config.head.folds,
                    seed=config.training.seed,
                    progress=SILENT,
                )
                found[name][held] = head.outputs(inputs[held])
            found["constant"][held] = values[train].mean(axis=0)
            stage.advance()
    predicted = {name: from_scale(array, scale) for name, array in found.items()}
    codes = table.group_codes(rows)
    model = predicted.pop("model")
    evidence = regression_evidence(target.array, model, codes, target.names, baselines=predicted)
    first = evidence["targets"][target.names[0]]["scores"]
    per_fold = [plain_scores(target.array[fold == number, 0], model[fold == number, 0]) for number in range(folds)]
    method = "all out-of-fold predictions together; "
    summary = {
        name: {
            "mean": first[name]["value"],
            "low": first[name]["low"],
            "high": first[name]["high"],
            "method": method + first[name]["method"],
            "sentence": _sentence(name, first[name], folds),
        }
        for name in SHOWN
    }
    return {
        "k": folds,
        "scores": {name: [None if np.isnan(scores[name]) else scores[name] for scores in per_fold] for name in SHOWN},
        "summary": summary,
        "evidence": evidence,
        "images": len(rows),
        "groups": len(set(groups)),
        "says": summary["mae"]["sentence"],
    }


def _sentence(name: str, score: dict[str, Any], folds: int) -> str:
    title = {"mae": "mean absolute error", "concordance": "concordance"}[name]
    interval = "" if score["low"] is None else f" [{score['low']:.3g}, {score['high']:.3g}]"
    return f"over {folds} folds, out of fold: {title} {score['value']:.3g}{interval} (n = {score['images']:,} images)"
