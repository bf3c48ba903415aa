"""The same head on other divisions of the same images: folds, other splits, growing shares of the groups.

The features are there already and heads are fitted many at a time, so that each answer takes seconds.
None of this opens the test set: callers give the images of train, or of train and validation.
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
from coverslip.data.split import FRACTIONS, assign_folds, assign_parts
from coverslip.evidence.learning_curve import fit_curve
from coverslip.evidence.recalibration import fit_temperature
from coverslip.evidence.repeats import fold_interval, seeds_beside_images
from coverslip.training.held_out import growing_shares, held_out_scores, number_groups, own_scores, three_scores

HELD = FRACTIONS[1] / (FRACTIONS[0] + FRACTIONS[1])  # as much as the validation set is of train and validation
SHARES = (0.1, 0.2, 0.4, 0.8, 1.0)
FEWEST = 10  # groups, for a learning curve

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
    strength: float,
    seed: int = 0,
    progress: Progress = SILENT,
) -> tuple[dict[str, Any], FloatArray]:
    """Every image scored by a head that never saw its group.

    The probabilities of a fold have the temperature that suits the other folds' held-out scores. The strength is
    given: where it was chosen on the same images, the scores owe it a trifle (one of eight numbers was chosen).

    Args:
        features: (N, D) of the images of train and validation, one view.
        labels: N class numbers.
        groups: N group names; a group is held out whole.
        classes: K.
        folds: how many.
        strength: of the heads' penalty, as in `coverslip.training.heads.fit_head`.
        seed: of the folds.
        progress: told of the stage.

    Returns:
        What ``repeats.json`` holds under ``folds``: ``k``; ``scores`` (of each fold: ``accuracy``,
        ``balanced_accuracy`` over the classes that the fold has, ``log_loss``); ``summary`` (of each score its mean
        with limits, see `fold_interval`); ``pooled`` (the same three scores of all images together); ``strength``,
        ``images``, ``groups``, ``says``. And the probabilities (N, K), float64, in the order of the images. A
        class that a fold holds out entirely is never predicted there, and counts as wrong.

    Raises:
        UserError: fewer than two folds, or fewer groups than folds.
    """
    truth, codes = np.asarray(labels, np.int64), number_groups(groups)
    fold = assign_folds(truth, groups, folds, seed)
    held = fold[:, None] == np.arange(folds)
    scores = np.empty((len(truth), classes), np.float32)
    found = held_out_scores(features, truth, ~held, held, strength, classes, progress, "cross-validating")
    for number, each in enumerate(found):
        scores[fold == number] = each
    logs = np.empty((len(truth), classes))
    for number in range(folds):
        others = fold != number
        temperature = fit_temperature(scores[others], truth[others], codes[others].tolist())
        logs[fold == number] = log_softmax(scores[fold == number].astype(np.float64) / temperature, axis=1)
    each_fold = [three_scores(truth[rows], logs[rows]) for rows in held.T]
    by_score = {name: [one[name] for one in each_fold] for name in each_fold[0]}
    count = len(set(groups))
    summary = {name: _mean_with_limits(name, row, 1 / folds, 1 - 1 / folds) for name, row in by_score.items()}
    told = {
        "k": folds, "scores": by_score, "summary": summary, "pooled": three_scores(truth, logs), "strength": strength,
        "images": len(truth), "groups": count, "says": _say_mean(summary["accuracy"], f"over {folds} folds"),
    }  # fmt: skip
    return told, np.exp(logs)


def repeat_seeds(
    features: Features,
    labels: Sequence[int],
    groups: Sequence[str],
    classes: int,
    *,
    seeds: int = 10,
    strength: float,
    held: float = HELD,
    seed: int = 0,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """The same head after other splits: how far the score would have moved, had other groups been tested.

    A head has no dice of its own: its fit starts from zero, and the same images give the same head. What a seed
    decides is which groups are held out. So each seed here is another split of the images of train and validation:
    whole groups, as many held out as the validation set has, the rest trained on, the held-out part scored. The
    spread between these scores is set beside the spread that the choice of the tested images explains by itself
    (the standard error over groups of one split's accuracy, from which an interval is made). As the splits share one
    pool of images, their scores differ a little less than those of test sets drawn afresh would, by a factor of
    about sqrt(1 - held). The true test set is not among these images.

    Args:
        features: (N, D) of the images of train and validation, one view.
        labels: N class numbers.
        groups: N group names; a group is held out whole.
        classes: K.
        seeds: how many splits.
        strength: of the heads' penalty, as in `coverslip.training.heads.fit_head`.
        held: share of the images that is held out, above 0 and below 1.
        seed: of the first split; the others follow from it.
        progress: told of the stage.

    Returns:
        What ``repeats.json`` holds under ``seeds``: ``n``; ``scores`` (``accuracy`` and ``balanced_accuracy`` of each
        split); ``summary`` (of each score its mean with limits, see `fold_interval`); ``different`` (splits that
        differ: few groups can be divided in few ways); ``of_splits`` (standard deviation of the accuracies, null for
        one split) and ``of_images`` (what the tested images explain, null where one group is held out);
        ``held`` and ``trained`` (mean images and groups), ``strength``, ``says``.

    Raises:
        UserError: no split asked for, a share that is not between 0 and 1, or fewer than two groups.
    """
    if seeds < 1 or not 0 < held < 1:
        raise UserError(f"{seeds} splits that hold {held} out", "give 1 split or more, and a share such as 0.2")
    truth = np.asarray(labels, np.int64)
    codes = number_groups(groups)
    if codes.max() < 1:
        raise UserError("all images are of one group, so none can be held out", "add images of other groups")
    numbers = [seed, *generator(seed, "splits").integers(2**31, size=seeds - 1).tolist()]
    out = np.stack([assign_parts(truth, groups, (1 - held, held), each) == 1 for each in numbers], axis=1)
    for lane in np.flatnonzero(~out.any(axis=0)):  # so few groups that the held-out part got none
        out[:, lane] = codes == generator(numbers[lane], "splits").integers(codes.max() + 1)
    found = held_out_scores(features, truth, ~out, out, strength, classes, progress, "repeating with other splits")
    each_split, errors = [], []
    for rows, scores in zip(out.T, found, strict=True):
        each_split.append(three_scores(truth[rows], scores))
        right = scores.argmax(1) == truth[rows]
        of_group, counts = np.unique(codes[rows], return_inverse=True, return_counts=True)[1:]
        hits = np.bincount(of_group, weights=right, minlength=len(counts)).astype(np.float64)
        errors.append(seeds_beside_images(hits[None], counts.astype(np.float64))["of_images"])
    by_score = {name: [one[name] for one in each_split] for name in ("accuracy", "balanced_accuracy")}
    sizes = [_mean_size(codes, side) for side in (out, ~out)]
    ratio = sizes[0]["groups"], sizes[1]["groups"]
    summary = {name: _mean_with_limits(name, row, *ratio, unit="split") for name, row in by_score.items()}
    known = [error for error in errors if error is not None]
    of_images = float(np.sqrt(np.mean(np.square(known)))) if known else None
    return {
        "n": seeds, "scores": by_score, "summary": summary, "different": len(np.unique(out, axis=1).T),
        "of_splits": summary["accuracy"]["spread"], "of_images": of_images, "held": sizes[0],
        "trained": sizes[1], "strength": strength, "says": _say_spread(summary["accuracy"], of_images, seeds),
    }  # fmt: skip


def learning_curve(
    features: Features,
    labels: Sequence[int],
    groups: Sequence[str],
    classes: int,
    *,
    shares: Sequence[float] = SHARES,
    repeats: int = 5,
    folds: int = 5,
    strength: float,
    seed: int = 0,
    unit: str = "groups",
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Heads on growing shares of the groups, scored on folds held out inside the training set.

    In each repeat the groups are divided into folds anew, and those outside a fold are put in a random order in which
    the classes take turns: a share is the beginning of that order, so that larger shares contain the smaller. Each
    class comes once before any comes twice, so that no class vanishes from a small share; with many classes and few
    groups the smallest share is larger than asked for. A repeat's score at a size is the accuracy over all
    images, each scored in the fold that holds it out. The strength is the same for all shares: on real leaves a
    third of it or three times as much changed no size by more than 0.005, and ten times cost 0.02 at a tenth.

    Args:
        features: (N, D) of the training images, one view.
        labels: N class numbers.
        groups: N group names; a group is held out whole.
        classes: K.
        shares: of the groups outside a fold, above 0, at most 1.
        repeats: divisions into folds.
        folds: how many.
        strength: of the heads' penalty, as in `coverslip.training.heads.fit_head`.
        seed: of folds and order.
        unit: what a group is called, in the plural.
        progress: told of the stage.

    Returns:
        What ``learning_curve.json`` holds: ``unit``; ``sizes`` and ``images`` (groups and images trained on, means
        over folds, rounded; shares that come to the same number of groups are one size); ``scores`` (repeats x
        sizes); ``score`` (``accuracy``); ``fit`` of `coverslip.evidence.learning_curve.fit_curve`; ``strength``.
        Under 10 groups, no sizes, and ``fit["says"]`` tells why.

    Raises:
        UserError: no repeat, fewer than two folds, fewer groups than folds, or a share that is not one.
    """
    if repeats < 1 or not shares or not all(0 < share <= 1 for share in shares):
        raise UserError(
            f"{repeats} repeats at the shares {tuple(shares)}", "give 1 or more repeats, shares over 0 to 1"
        )
    truth, codes = np.asarray(labels, np.int64), number_groups(groups)
    count = int(codes.max()) + 1
    told: dict[str, Any] = {"unit": unit, "sizes": [], "images": [], "scores": [], "score": "accuracy"}
    if count < FEWEST:
        few = f"a learning curve needs {FEWEST} {unit} to train on, here are {count}"
        return told | {"fit": fit_curve(np.empty(0), np.empty((1, 0)), unit=unit) | {"says": few}, "strength": strength}
    held, train = growing_shares(truth, codes, groups, sorted(shares), repeats, folds, seed)
    used = train.sum(axis=0)  # (shares, repeats, folds), images
    kinds = np.stack([np.bincount(codes[rows], minlength=count) > 0 for rows in train.reshape(len(truth), -1).T])
    sizes = np.rint(kinds.sum(1).reshape(used.shape).mean(axis=(1, 2))).astype(int)
    keep = np.flatnonzero(np.diff(sizes, append=0))  # of equal sizes the last
    sizes, used, train = sizes[keep], used[keep], train[:, keep]
    held = np.broadcast_to(held[:, None], train.shape).reshape(len(truth), -1)
    lanes = train.reshape(len(truth), -1)
    found = own_scores(features, truth, lanes, held, strength, classes, progress, "growing the training set")
    hits = [int((scores.argmax(1) == truth[rows]).sum()) for rows, scores in zip(held.T, found, strict=True)]
    scores = np.array(hits).reshape(used.shape).sum(axis=2).T / len(truth)
    told |= {"sizes": sizes.tolist(), "images": np.rint(used.mean(axis=(1, 2))).astype(int).tolist()}
    fit = fit_curve(sizes, scores, unit=unit, seed=seed)
    return told | {"scores": scores.tolist(), "fit": fit, "strength": strength}


def _mean_size(codes: IntArray, side: npt.NDArray[np.bool_]) -> dict[str, int]:
    """Images and groups of the rows in each column of ``side`` (N, L), on average."""
    counted = [len(np.unique(codes[rows])) for rows in side.T]
    return {"images": round(float(side.sum(0).mean())), "groups": round(float(np.mean(counted)))}


def _mean_with_limits(
    name: str, scores: list[float], tested: float, trained: float, unit: str = "fold"
) -> dict[str, Any]:
    """`fold_interval`, which is as right for splits, in words of ``unit``; limits within what the score can be."""
    told = fold_interval(np.array(scores), tested, trained)
    if told["low"] is not None:
        told |= {"low": max(0.0, told["low"]), "high": told["high"] if name == "log_loss" else min(1.0, told["high"])}
    return {key: each.replace("fold", unit) if isinstance(each, str) else each for key, each in told.items()}


def _say_mean(summary: dict[str, Any], over: str) -> str:
    limits = "" if summary["low"] is None else f" [{summary['low']:.3f}, {summary['high']:.3f}]"
    return f"accuracy {summary['mean']:.3f}{limits} {over}, from {summary['least']:.3f} to {summary['most']:.3f}"


def _say_spread(summary: dict[str, Any], of_images: float | None, splits: int) -> str:
    """How far another split moves the accuracy, and whether the tested images explain it."""
    said = _say_mean(summary, f"over {splits} other split{'s' * (splits > 1)}")
    spread = summary["spread"]
    if not spread or of_images is None:
        return f"{said}; what splits and images contribute takes two splits and two held-out groups to tell"
    moved = f"{said}: another split moves it by about {spread:.3f}, and the choice of the tested images explains"
    if (splits - 1) * spread**2 > chi2.ppf(0.975, splits - 1) * of_images**2:
        return f"{moved} {of_images:.3f} of it: it matters too which groups are trained on"
    return f"{moved} as much by itself ({of_images:.3f})"
