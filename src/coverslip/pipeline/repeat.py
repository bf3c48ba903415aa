"""Repetitions on the train and validation set: cross-validation, other splits, and the learning curve."""

from __future__ import annotations

from coverslip.core.progress import Progress
from coverslip.core.runs import Run
from coverslip.data.table import ImageTable
from coverslip.pipeline.baselines import ColorFeatures
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.cross_validation import cross_validate_task
from coverslip.pipeline.fit import FitResult
from coverslip.training.repeats import cross_validate, learning_curve, repeat_splits


def repeat(
    config: RunConfig, table: ImageTable, colors: ColorFeatures, fitted: FitResult, folder: Run, log: Progress
) -> None:
    """Cross-validate, repeat on other splits, and fit a learning curve, where asked. The test set is not used."""
    repeats = config.repeats
    if not (repeats.folds or repeats.seeds or repeats.learning_curve):
        return
    if table.task != "classification":  # classification fits its heads in stacks, for seeds and curves as well
        folder.write_json(folder.repeats_file, {"folds": cross_validate_task(config, table, colors, fitted, log)})
        return
    pixels = colors.pixels
    keys, classes, seed = pixels.facts["row_hash"].to_list(), len(table.classes), config.training.seed
    rows = sorted(table.rows("train") + table.rows("validation"))
    features = fitted.predictor.extractor.extract(pixels.pixels, rows, keys, 1, log)
    labels, groups, l2 = table.labels(rows), table.groups(rows), fitted.l2
    folds = seeds = None
    if repeats.folds:
        folds, _ = cross_validate(
            features, labels, groups, classes, folds=repeats.folds, l2=l2, seed=seed, progress=log
        )
    if repeats.seeds:
        held = len(table.rows("validation")) / len(rows)
        seeds = repeat_splits(
            features, labels, groups, classes, seeds=repeats.seeds, l2=l2, held=held, seed=seed, progress=log
        )
    if folds is not None or seeds is not None:
        folder.write_json(folder.repeats_file, {"folds": folds, "seeds": seeds})
    if repeats.learning_curve:
        training_rows = set(table.rows("train"))
        chosen = [position for position, row in enumerate(rows) if row in training_rows]
        curve = learning_curve(
            features[chosen],
            [labels[position] for position in chosen],
            [groups[position] for position in chosen],
            classes,
            l2=l2,
            seed=seed,
            unit="groups" if table.group_codes(rows) is not None else "images",
            progress=log,
        )
        folder.write_json(folder.learning_curve_file, curve)
