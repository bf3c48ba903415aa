"""Heads that are fitted on some images and evaluated on held-out images, for many splits of the same images.

Heads that are fitted on most of the images (folds, splits) share one half-whitening, computed from all images including
the held-out ones, so that they can be fitted in one stack. No labels enter, but the scores are slightly optimistic: on
2,542 leaf images by 0.0009 in accuracy and 0.0011 in log loss (8 five-fold cross-validations, standard errors 0.0004
and 0.0005). Heads on small subsets need their own half-whitening: with that of all images, heads on a tenth of the
images lost 0.035 in accuracy, which would make a learning curve too steep.
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
from coverslip.training.heads import HalfWhitening
from coverslip.training.stacked_heads import fit_stacked_heads

STEPS = 60  # maximum; on leaf images, fits converged within 30 steps
COLUMNS = 640  # heads times classes per stack; limits memory, and keeps a block of logits in the CPU cache

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def held_out_logits(
    features: npt.NDArray[np.floating],
    labels: IntArray,
    train: BoolArray,
    held_out: BoolArray,
    l2: float,
    classes: int,
    progress: Progress,
    name: str,
) -> Iterator[npt.NDArray[np.float32]]:
    """Fit one head per column of ``train``, and yield its logits of the held-out images.

    Args:
        features: features of the images, shape (N, D).
        labels: class ids, int64 (N,), values in 0..K-1.
        train: training rows of each of the L heads, bool (N, L).
        held_out: rows to predict with each head, bool (N, L).
        l2: L2 penalty of the heads.
        classes: number of classes K.
        progress: receives the stage and its steps.
        name: name of the stage.

    Yields:
        The logits of each head, float32 (n, K), n being its number of held-out rows.
    """
    inputs, targets, heads = HalfWhitening.fit(features).transform(features), torch.from_numpy(labels), train.shape[1]
    size = max(1, COLUMNS // classes)
    starts = range(0, heads, size)
    with progress.stage(name, STEPS * len(starts), "steps") as stage:
        for start in starts:
            weights = torch.from_numpy(train[:, start : start + size].astype(np.float32))
            penalties = torch.full((weights.shape[1],), l2)
            fitted = fit_stacked_heads(
                inputs, targets, weights, penalties, classes, steps=STEPS, callback=lambda *_: stage.advance()
            )
            stage.advance(STEPS - len(fitted.losses) + 1)  # converged early
            for head, (weight, bias) in enumerate(zip(fitted.weight, fitted.bias, strict=True)):
                rows = torch.from_numpy(np.flatnonzero(held_out[:, start + head]))
                yield (inputs[rows] @ weight + bias).numpy()


def held_out_logits_own_basis(
    features: npt.NDArray[np.floating],
    labels: IntArray,
    train: BoolArray,
    held_out: BoolArray,
    l2: float,
    classes: int,
    progress: Progress,
    name: str,
) -> Iterator[npt.NDArray[np.float32]]:
    """Do as `held_out_logits`, one head after the other, each with the half-whitening of its own training rows.

    Each half-whitening is computed within the principal components of all rows (at most 512), which is much faster than
    in the space of the features.
    """
    shared, targets = HalfWhitening.fit(features), torch.from_numpy(labels)
    components = (shared.transform(features) / shared.matrix.norm(dim=0)).numpy()  # undo the scaling of each direction
    with progress.stage(name, train.shape[1], "heads") as stage:
        for train_rows, held_out_rows in zip(train.T, held_out.T, strict=True):
            rows, whitening = np.flatnonzero(train_rows), HalfWhitening.fit(components[train_rows])
            inputs = whitening.transform(components[train_rows])
            weights, penalty = torch.ones(len(rows), 1), torch.tensor([l2])
            fitted = fit_stacked_heads(inputs, targets[rows], weights, penalty, classes, steps=STEPS)
            stage.advance()
            yield (whitening.transform(components[held_out_rows]) @ fitted.weight[0] + fitted.bias[0]).numpy()


def basic_scores(labels: IntArray, logits: npt.NDArray[np.floating]) -> dict[str, float]:
    """Return accuracy, balanced accuracy over the classes present, and log loss.

    Args:
        labels: class ids, int64 (n,), values in 0..K-1.
        logits: logits or log-probabilities, float (n, K).
    """
    correct = logits.argmax(1) == labels
    logs = log_softmax(logits.astype(np.float64), axis=1)
    recalls = [correct[labels == label].mean() for label in np.unique(labels)]
    loss = -logs[np.arange(len(labels)), labels].mean()
    return {"accuracy": float(correct.mean()), "balanced_accuracy": float(np.mean(recalls)), "log_loss": float(loss)}


def group_codes(groups: Sequence[str]) -> IntArray:
    """Return integer ids of the groups, int64 (N,), values in 0..G-1."""
    return np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)[1].astype(np.int64)


def learning_curve_splits(
    labels: IntArray,
    codes: IntArray,
    groups: Sequence[str],
    fractions: Sequence[float],
    repeats: int,
    folds: int,
    seed: int,
) -> tuple[BoolArray, BoolArray]:
    """Draw nested training subsets of growing size for each fold of repeated cross-validations.

    Args:
        labels: class ids of the N images, int64 (N,).
        codes: group ids, int64 (N,), as `group_codes` returns them.
        groups: group names of the N images.
        fractions: fractions of the groups outside a fold to train on.
        repeats: number of cross-validations.
        folds: number of folds.
        seed: random seed of folds and subsets.

    Returns:
        Held-out rows, bool (N, repeats, folds), and training rows, bool (N, fractions, repeats, folds).
    """
    held_out = np.zeros((len(labels), repeats, folds), bool)
    train = np.zeros((len(labels), len(fractions), repeats, folds), bool)
    rng = generator(seed, "learning curve")
    for repeat, fold_seed in enumerate(rng.integers(2**31, size=repeats).tolist()):
        fold = assign_folds(labels, groups, folds, fold_seed)
        for number in range(folds):
            held_out[:, repeat, number] = fold == number
            order, minimum = _stratified_order(labels, codes, np.flatnonzero(fold != number), rng)
            rank = np.full(codes.max() + 1, len(codes))
            rank[order] = np.arange(len(order))
            for index, fraction in enumerate(fractions):
                train[:, index, repeat, number] = rank[codes] < max(minimum, round(fraction * len(order)))
    return held_out, train


def _stratified_order(
    labels: IntArray, codes: IntArray, rows: IntArray, rng: np.random.Generator
) -> tuple[IntArray, int]:
    """Return the groups of some rows in a random order whose every prefix is nearly stratified by class.

    A group counts for its most frequent class.

    Returns:
        Group ids, and the length of the shortest prefix that contains every class.
    """
    present, group_of_row = np.unique(codes[rows], return_inverse=True)
    counts = np.zeros((len(present), int(labels.max()) + 1))
    np.add.at(counts, (group_of_row, labels[rows]), 1)
    majority = counts.argmax(1)
    position = np.empty(len(present))
    for label in np.unique(majority):
        members = rng.permutation(np.flatnonzero(majority == label))
        position[members] = (np.arange(len(members)) + rng.random()) / len(members)  # evenly spaced in [0, 1)
        position[members[0]] = -1  # one group of every class comes first
    return present[np.lexsort((rng.random(len(present)), position))], len(np.unique(majority))
