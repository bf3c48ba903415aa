"""Heads fitted on some images and scored on others: many divisions of one set of images, as lanes of stacks.

Where heads are fitted on most of the images (folds, splits), the features' principal directions are computed once,
from all images given, those held out too, so that all heads share a stack. No label is used for it, but it flatters
by a trifle: on 2,542 photographs of leaves by 0.0009 in accuracy and 0.0011 in log loss (8 five-fold
cross-validations, standard error 0.0004 and 0.0005). Heads on a tenth of the images must have directions of their
own: with those of all they lost 0.035 in accuracy, which is no lack of images, and would make a learning curve steep.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import log_softmax

from coverslip.core.progress import Progress
from coverslip.core.seeds import generator
from coverslip.data.split import assign_folds
from coverslip.training.heads import Basis
from coverslip.training.stack import fit_lanes

STEPS = 60  # at most; on real leaves the tolerance stops the fit before 30
COLUMNS = 640  # lanes times classes in one stack: its scores stay in the processor's cache, its memory small

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def held_out_scores(
    features: npt.NDArray[np.floating],
    truth: IntArray,
    train: BoolArray,
    held: BoolArray,
    strength: float,
    classes: int,
    progress: Progress,
    name: str,
) -> Iterator[npt.NDArray[np.float32]]:
    """Fit a head a column of ``train`` (N, L), and give its scores (n, K) of the rows in that column of ``held``."""
    inputs, labels, lanes = Basis.of(features).turn(features), torch.from_numpy(truth), train.shape[1]
    wide = max(1, COLUMNS // classes)
    starts = range(0, lanes, wide)
    with progress.stage(name, STEPS * len(starts), "steps") as stage:
        for start in starts:
            weights = torch.from_numpy(train[:, start : start + wide].astype(np.float32))
            penalties = torch.full((weights.shape[1],), strength)
            fitted = fit_lanes(
                inputs, labels, weights, penalties, classes, steps=STEPS, step_done=lambda *_: stage.advance()
            )
            stage.advance(STEPS - len(fitted.losses) + 1)
            for lane, (weight, bias) in enumerate(zip(fitted.weight, fitted.bias, strict=True)):
                rows = torch.from_numpy(np.flatnonzero(held[:, start + lane]))
                yield (inputs[rows] @ weight + bias).numpy()


def own_scores(
    features: npt.NDArray[np.floating],
    truth: IntArray,
    train: BoolArray,
    held: BoolArray,
    strength: float,
    classes: int,
    progress: Progress,
    name: str,
) -> Iterator[npt.NDArray[np.float32]]:
    """As `held_out_scores`, one head after the other, each with the principal directions of its own training rows.

    They are sought among those of all rows (512 at most), which is much faster than among all features.
    """
    basis, labels = Basis.of(features), torch.from_numpy(truth)
    turned = (basis.turn(features) / basis.matrix.norm(dim=0)).numpy()  # turned, with no direction scaled yet
    with progress.stage(name, train.shape[1], "heads") as stage:
        for mine, other in zip(train.T, held.T, strict=True):
            rows, own = np.flatnonzero(mine), Basis.of(turned[mine])
            weights, penalty = torch.ones(len(rows), 1), torch.tensor([strength])
            fitted = fit_lanes(own.turn(turned[mine]), labels[rows], weights, penalty, classes, steps=STEPS)
            stage.advance()
            yield (own.turn(turned[other]) @ fitted.weight[0] + fitted.bias[0]).numpy()


def three_scores(truth: IntArray, scores: npt.NDArray[np.floating]) -> dict[str, float]:
    """Accuracy, balanced accuracy over the classes present, and log loss of log-probabilities or scores (n, K)."""
    right = scores.argmax(1) == truth
    logs = log_softmax(scores.astype(np.float64), axis=1)
    recalls = [right[truth == label].mean() for label in np.unique(truth)]
    loss = -logs[np.arange(len(truth)), truth].mean()
    return {"accuracy": float(right.mean()), "balanced_accuracy": float(np.mean(recalls)), "log_loss": float(loss)}


def number_groups(groups: Sequence[str]) -> IntArray:
    """(N,) numbers of the groups, 0 to G - 1."""
    return np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)[1].astype(np.int64)


def growing_shares(
    truth: IntArray, codes: IntArray, groups: Sequence[str], shares: list[float], repeats: int, folds: int, seed: int
) -> tuple[BoolArray, BoolArray]:
    """Rows held out (N, repeats, folds), and rows trained on (N, shares, repeats, folds)."""
    held = np.zeros((len(truth), repeats, folds), bool)
    train = np.zeros((len(truth), len(shares), repeats, folds), bool)
    chance = generator(seed, "learning curve")
    for repeat, number in enumerate(chance.integers(2**31, size=repeats).tolist()):
        fold = assign_folds(truth, groups, folds, number)
        for each in range(folds):
            held[:, repeat, each] = fold == each
            order, fewest = _in_turn(truth, codes, np.flatnonzero(fold != each), chance)
            place = np.full(codes.max() + 1, len(codes))
            place[order] = np.arange(len(order))
            for at, share in enumerate(shares):
                train[:, at, repeat, each] = place[codes] < max(fewest, round(share * len(order)))
    return held, train


def _in_turn(truth: IntArray, codes: IntArray, rows: IntArray, chance: np.random.Generator) -> tuple[IntArray, int]:
    """The groups of some rows in a random order in which any beginning has nearly the classes' shares of all.

    Returns:
        Group numbers, and how many of them, from the first, it takes to have each class once. A group counts for its
        most frequent class.
    """
    present, where = np.unique(codes[rows], return_inverse=True)
    counts = np.zeros((len(present), int(truth.max()) + 1))
    np.add.at(counts, (where, truth[rows]), 1)
    own = counts.argmax(1)
    turn = np.empty(len(present))
    for label in np.unique(own):
        mine = chance.permutation(np.flatnonzero(own == label))
        turn[mine] = (np.arange(len(mine)) + chance.random()) / len(mine)
        turn[mine[0]] = -1  # each class once before any comes twice
    return present[np.lexsort((chance.random(len(present)), turn))], len(np.unique(own))
