"""Refit the same head on other splits of the same images: cross-validation, repeated splits, and the learning curve.

The features are computed once and heads are fitted many at a time, so each analysis takes seconds. The test set is not
used: callers pass the images of the training set, or of the training and validation sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax
from scipy.stats import chi2

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.core.seeds import generator
from coverslip.data.split import FRACTIONS, assign_folds, assign_splits
from coverslip.evidence.learning_curve import fit_curve
from coverslip.evidence.recalibration import fit_temperature
from coverslip.evidence.repeats import fold_interval, variance_components
from coverslip.training.held_out import (
    basic_scores,
    group_codes,
    held_out_logits,
    held_out_logits_own_basis,
    learning_curve_splits,
)

HELD_OUT = FRACTIONS[1] / (FRACTIONS[0] + FRACTIONS[1])  # fraction of the validation set in train + validation
FRACTIONS_OF_GROUPS = (0.1, 0.2, 0.4, 0.8, 1.0)
MIN_GROUPS = 10  # for a learning curve

Features = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def cross_validate(
    features: Features,
    labels: Sequence[int],
    groups: Sequence[str],
    classes: int,
    *,
    folds: int = 5,
    l2: float,
    seed: int = 0,
    progress: Progress = SILENT,
) -> tuple[dict[str, Any], FloatArray]:
    """Cross-validate a head: score every image by a head that was fitted without its group.

    The temperature of a fold is fitted to the held-out logits of the other folds. The penalty is fixed; if it was
    chosen on the same images, the scores are slightly optimistic (one of eight values was selected).

    Args:
        features: features of the training and validation images, shape (N, D), one view.
        labels: class ids of the N images, values in 0..K-1.
        groups: group names of the N images; groups are held out as a whole.
        classes: number of classes K.
        folds: number of folds.
        l2: L2 penalty of the heads, as in `coverslip.training.heads.fit_head`.
        seed: random seed of the folds.
        progress: receives the stage and its steps.

    Returns:
        The entry ``folds`` of ``repeats.json``: ``k``; ``scores`` per fold (``accuracy``, ``balanced_accuracy`` over
        the classes in the fold, ``log_loss``); ``summary`` (mean and interval of each score, see `fold_interval`);
        ``pooled`` (the same scores over all images); ``l2``, ``images``, ``groups``, ``says``. And the probabilities of
        the images in their order, float64 (N, K). A class with all its images in one fold is never predicted there and
        counts as an error.

    Raises:
        UserError: there are fewer than two folds, or fewer groups than folds.
    """
    targets, codes = np.asarray(labels, np.int64), group_codes(groups)
    fold = assign_folds(targets, groups, folds, seed)
    held_out = fold[:, None] == np.arange(folds)
    logits = np.empty((len(targets), classes), np.float32)
    results = held_out_logits(features, targets, ~held_out, held_out, l2, classes, progress, "cross-validating")
    for number, values in enumerate(results):
        logits[fold == number] = values
    log_probabilities = np.empty((len(targets), classes))
    for number in range(folds):
        others = fold != number
        temperature = fit_temperature(logits[others], targets[others], codes[others].tolist())
        scaled = logits[fold == number].astype(np.float64) / temperature
        log_probabilities[fold == number] = log_softmax(scaled, axis=1)
    fold_scores = [basic_scores(targets[rows], log_probabilities[rows]) for rows in held_out.T]
    by_score = {name: [scores[name] for scores in fold_scores] for name in fold_scores[0]}
    count = len(set(groups))
    summary = {name: _mean_with_interval(name, values, 1 / folds, 1 - 1 / folds) for name, values in by_score.items()}
    content = {
        "k": folds, "scores": by_score, "summary": summary, "pooled": basic_scores(targets, log_probabilities),
        "l2": l2, "images": len(targets), "groups": count,
        "says": _mean_sentence(summary["accuracy"], f"over {folds} folds"),
    }  # fmt: skip
    return content, np.exp(log_probabilities)


def repeat_splits(
    features: Features,
    labels: Sequence[int],
    groups: Sequence[str],
    classes: int,
    *,
    seeds: int = 10,
    l2: float,
    held: float = HELD_OUT,
    seed: int = 0,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Refit the head on other random splits, to measure how much the score depends on the split.

    The fit of a head is deterministic and starts from zero, so a seed changes only which groups are held out. Each seed
    splits the training and validation images anew, holding out as many as the validation set contains. The standard
    deviation of the scores is compared with the part that the choice of the evaluated images explains: the standard
    error over groups of the accuracy of one split, as used for confidence intervals. Since all splits draw from the
    same images, the scores vary less than on independent test sets, by a factor of about sqrt(1 - held). The test set
    is not among these images.

    Args:
        features: features of the training and validation images, shape (N, D), one view.
        labels: class ids of the N images, values in 0..K-1.
        groups: group names of the N images; groups are held out as a whole.
        classes: number of classes K.
        seeds: number of splits.
        l2: L2 penalty of the heads, as in `coverslip.training.heads.fit_head`.
        held: fraction of the images to hold out, above 0 and below 1.
        seed: random seed of the first split, from which the other seeds are derived.
        progress: receives the stage and its steps.

    Returns:
        The entry ``seeds`` of ``repeats.json``: ``n``; ``scores`` per split (``accuracy``, ``balanced_accuracy``);
        ``summary`` (mean and interval of each score, see `fold_interval`); ``different`` (number of distinct splits;
        few groups allow few); ``of_splits`` (standard deviation of the accuracies; null for one split) and
        ``of_images`` (standard error due to the evaluated images; null if every split holds out one group); ``held``
        and ``trained`` (mean numbers of images and groups); ``l2``, ``says``.

    Raises:
        UserError: ``seeds`` is below 1, ``held`` is not between 0 and 1, or there are fewer than two groups.
    """
    if seeds < 1 or not 0 < held < 1:
        raise UserError(
            f"cannot hold out a fraction of {held} in {seeds} splits",
            "give 1 split or more, and a fraction such as 0.2",
        )
    targets = np.asarray(labels, np.int64)
    codes = group_codes(groups)
    if codes.max() < 1:
        raise UserError("all images belong to one group, so none can be held out", "add images of other groups")
    split_seeds = [seed, *generator(seed, "splits").integers(2**31, size=seeds - 1).tolist()]
    held_out = np.stack(
        [assign_splits(targets, groups, (1 - held, held), split_seed) == 1 for split_seed in split_seeds], axis=1
    )
    for split in np.flatnonzero(~held_out.any(axis=0)):  # with few groups the held-out part can be empty
        held_out[:, split] = codes == generator(split_seeds[split], "splits").integers(codes.max() + 1)
    name = "repeating with other splits"
    results = held_out_logits(features, targets, ~held_out, held_out, l2, classes, progress, name)
    split_scores, errors = [], []
    for rows, logits in zip(held_out.T, results, strict=True):
        split_scores.append(basic_scores(targets[rows], logits))
        correct = logits.argmax(1) == targets[rows]
        group_of_row, counts = np.unique(codes[rows], return_inverse=True, return_counts=True)[1:]
        hits = np.bincount(group_of_row, weights=correct, minlength=len(counts)).astype(np.float64)
        errors.append(variance_components(hits[None], counts.astype(np.float64))["of_images"])
    by_score = {name: [scores[name] for scores in split_scores] for name in ("accuracy", "balanced_accuracy")}
    sizes = [_mean_size(codes, side) for side in (held_out, ~held_out)]
    ratio = sizes[0]["groups"], sizes[1]["groups"]
    summary = {name: _mean_with_interval(name, values, *ratio, unit="split") for name, values in by_score.items()}
    known = [error for error in errors if error is not None]
    of_images = float(np.sqrt(np.mean(np.square(known)))) if known else None
    return {
        "n": seeds, "scores": by_score, "summary": summary, "different": len(np.unique(held_out, axis=1).T),
        "of_splits": summary["accuracy"]["spread"], "of_images": of_images, "held": sizes[0],
        "trained": sizes[1], "l2": l2, "says": _spread_sentence(summary["accuracy"], of_images, seeds),
    }  # fmt: skip


def learning_curve(
    features: Features,
    labels: Sequence[int],
    groups: Sequence[str],
    classes: int,
    *,
    fractions: Sequence[float] = FRACTIONS_OF_GROUPS,
    repeats: int = 5,
    folds: int = 5,
    l2: float,
    seed: int = 0,
    unit: str = "groups",
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Fit heads on growing fractions of the groups, and score them on held-out folds of the training set.

    Each repeat is a cross-validation whose training groups are put into a random order, stratified by class; a fraction
    is a prefix of this order, so larger subsets contain the smaller ones. Every class appears once before any class
    appears twice, so that no class is missing from a small subset; with many classes and few groups the smallest subset
    is therefore larger than its fraction. The score of a repeat at a size is the accuracy over all images, each scored
    in the fold that holds it out. The penalty is the same for all fractions: on leaf images, a third of it or three
    times as much changed no score by more than 0.005, and ten times as much cost 0.02 at a tenth of the groups.

    Args:
        features: features of the training images, shape (N, D), one view.
        labels: class ids of the N images, values in 0..K-1.
        groups: group names of the N images; groups are held out as a whole.
        classes: number of classes K.
        fractions: fractions of the groups outside a fold, above 0 and at most 1.
        repeats: number of cross-validations.
        folds: number of folds.
        l2: L2 penalty of the heads, as in `coverslip.training.heads.fit_head`.
        seed: random seed of folds and subsets.
        unit: plural noun for a group in the sentences.
        progress: receives the stage and its steps.

    Returns:
        The content of ``learning_curve.json``: ``unit``; ``sizes`` and ``images`` (numbers of training groups and
        images, means over folds, rounded; fractions with equal numbers of groups are merged); ``scores`` (repeats x
        sizes); ``score`` (``accuracy``); ``fit`` of `coverslip.evidence.learning_curve.fit_curve`; ``l2``. With fewer
        than `MIN_GROUPS` groups, ``sizes`` is empty and ``fit["says"]`` states the reason.

    Raises:
        UserError: ``repeats`` is below 1, there are fewer than two folds or fewer groups than folds, or a fraction is
            not above 0 and at most 1.
    """
    if repeats < 1 or not fractions or not all(0 < fraction <= 1 for fraction in fractions):
        raise UserError(
            f"no learning curve with {repeats} repeats at the fractions {tuple(fractions)}",
            "give 1 or more repeats, and fractions above 0 and at most 1",
        )
    targets, codes = np.asarray(labels, np.int64), group_codes(groups)
    count = int(codes.max()) + 1
    content: dict[str, Any] = {"unit": unit, "sizes": [], "images": [], "scores": [], "score": "accuracy"}
    if count < MIN_GROUPS:
        reason = f"a learning curve needs at least {MIN_GROUPS} training {unit}; there are {count}"
        return content | {"fit": fit_curve(np.empty(0), np.empty((1, 0)), unit=unit) | {"says": reason}, "l2": l2}
    held_out, train = learning_curve_splits(targets, codes, groups, sorted(fractions), repeats, folds, seed)
    images = train.sum(axis=0)  # (fractions, repeats, folds)
    present = np.stack([np.bincount(codes[rows], minlength=count) > 0 for rows in train.reshape(len(targets), -1).T])
    sizes = np.rint(present.sum(1).reshape(images.shape).mean(axis=(1, 2))).astype(int)
    keep = np.flatnonzero(np.diff(sizes, append=0))  # the last of equal sizes
    sizes, images, train = sizes[keep], images[keep], train[:, keep]
    held_out = np.broadcast_to(held_out[:, None], train.shape).reshape(len(targets), -1)
    train = train.reshape(len(targets), -1)
    results = held_out_logits_own_basis(
        features, targets, train, held_out, l2, classes, progress, "computing the learning curve"
    )
    hits = [int((logits.argmax(1) == targets[rows]).sum()) for rows, logits in zip(held_out.T, results, strict=True)]
    scores = np.array(hits).reshape(images.shape).sum(axis=2).T / len(targets)
    content |= {"sizes": sizes.tolist(), "images": np.rint(images.mean(axis=(1, 2))).astype(int).tolist()}
    fit = fit_curve(sizes, scores, unit=unit, seed=seed)
    return content | {"scores": scores.tolist(), "fit": fit, "l2": l2}


def _mean_size(codes: IntArray, side: npt.NDArray[np.bool_]) -> dict[str, int]:
    """Return the mean number of images and groups in the columns of ``side``, bool (N, L)."""
    groups = [len(np.unique(codes[rows])) for rows in side.T]
    return {"images": round(float(side.sum(0).mean())), "groups": round(float(np.mean(groups)))}


def _mean_with_interval(
    name: str, scores: list[float], tested: float, trained: float, unit: str = "fold"
) -> dict[str, Any]:
    """Return `fold_interval`, which is also valid for splits, worded for ``unit`` and clipped to valid scores."""
    result = fold_interval(np.array(scores), tested, trained)
    if result["low"] is not None:
        high = result["high"] if name == "log_loss" else min(1.0, result["high"])
        result |= {"low": max(0.0, result["low"]), "high": high}
    return {key: value.replace("fold", unit) if isinstance(value, str) else value for key, value in result.items()}


def _mean_sentence(summary: dict[str, Any], over: str) -> str:
    interval = "" if summary["low"] is None else f" [{summary['low']:.3f}, {summary['high']:.3f}]"
    return f"accuracy {summary['mean']:.3f}{interval} {over} (range {summary['least']:.3f} to {summary['most']:.3f})"


def _spread_sentence(summary: dict[str, Any], of_images: float | None, splits: int) -> str:
    """Describe the variation between splits, and test whether it exceeds that due to the evaluated images."""
    mean = _mean_sentence(summary, f"over {splits} other split{'s' * (splits > 1)}")
    spread = summary["spread"]
    if not spread or of_images is None:
        return f"{mean}; separating the effects of split and images requires two splits and two held-out groups"
    text = f"{mean}. The standard deviation between splits is {spread:.3f}; the choice of the evaluated images explains"
    if (splits - 1) * spread**2 > chi2.ppf(0.975, splits - 1) * of_images**2:  # upper limit of the variance ratio
        return f"{text} {of_images:.3f} of it, so the choice of the training groups matters too"
    return f"{text} all of it ({of_images:.3f})"
