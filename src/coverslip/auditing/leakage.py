"""Estimate of how much leakage inflates a score: images of one leaf (patient, slide) in both training and test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from coverslip.core.progress import SILENT, Progress
from coverslip.core.seeds import generator
from coverslip.data.split import assign_splits
from coverslip.evidence.intervals import critical_value
from coverslip.training.heads import HalfWhitening
from coverslip.training.stacked_heads import fit_stacked_heads

FOLDS = 5  # a fifth of the groups is held out at a time
STEPS = 60  # upper limit; the heads converge earlier
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class LeakageEstimate:
    """Accuracy of the same head on images whose groups it was trained on, and on images of new groups.

    Attributes:
        by: origin of the groups, such as ``leaf``.
        summary: the result in one sentence.
        accuracies: (random, grouped) of every split: accuracy on images of known groups and on images of new groups,
            0 to 1; empty if it could not be measured.
        train: mean number of training images.
        test: mean number of images in each of the two test sets.
        groups: mean number of groups in the training set.
        reason: why there are no accuracies; otherwise "".
    """

    by: str
    summary: str
    accuracies: tuple[tuple[float, float], ...] = ()
    train: int = 0
    test: int = 0
    groups: int = 0
    reason: str = ""

    @property
    def random(self) -> float | None:
        """Mean accuracy of a random split; None if it could not be measured."""
        return float(np.mean([random for random, _ in self.accuracies])) if self.accuracies else None

    @property
    def grouped(self) -> float | None:
        """Mean accuracy on new groups; None if it could not be measured."""
        return float(np.mean([grouped for _, grouped in self.accuracies])) if self.accuracies else None

    @property
    def differences(self) -> list[float]:
        """Random minus grouped accuracy of every split."""
        return [random - grouped for random, grouped in self.accuracies]

    @property
    def difference(self) -> float | None:
        """Estimated inflation of the accuracy by leakage: mean of the differences; None if it could not be measured."""
        return float(np.mean(self.differences)) if self.accuracies else None

    @property
    def low(self) -> float | None:
        """Smallest difference of a split."""
        return min(self.differences, default=None)

    @property
    def high(self) -> float | None:
        """Largest difference of a split."""
        return max(self.differences, default=None)

    @property
    def detected(self) -> bool:
        """Whether leakage is distinguishable from the variation between splits."""
        if not self.accuracies:
            return False
        return min(self.differences) > 0 or _significant(np.array(self.differences), self.test / max(self.train, 1))

    def to_json(self) -> dict[str, Any]:
        """Return the entry of ``audit.json``."""
        keys = ("by", "random", "grouped", "difference", "low", "high", "train", "test", "groups")
        entry = {key: getattr(self, key) for key in keys} | {"says": self.summary}
        entry |= {"splits": len(self.accuracies), "each": [list(pair) for pair in self.accuracies]}
        return {**entry, "reason": self.reason} if self.reason else entry


def estimate_leakage(
    features: npt.NDArray[np.floating],
    labels: Sequence[int],
    groups: Sequence[str],
    classes: int,
    *,
    l2: float = 1e-3,
    splits: int = 10,
    seed: int = 0,
    by: str = "",
    progress: Progress = SILENT,
) -> LeakageEstimate:
    """Estimate the inflation of the accuracy by leakage: test one head on known and on new groups, in several splits.

    In each split, a fifth of the groups is held out, and of the other groups as many single images of each class. The
    head is trained on the remaining images. These contain images of the groups of the single images (three quarters of
    them on average), and none of the held-out groups. Both accuracies have the same head, the same training images and
    the same number of test images per class, so they differ only by leakage. Over five consecutive splits each group is
    held out once, so groups are weighted by their number of images. All heads are fitted as lanes of one stack.

    Args:
        features: features of the images of train and validation, one view, shape (N, D).
        labels: integer class ids, shape (N,), values in 0..K-1.
        groups: group names, shape (N,).
        classes: number of classes K.
        l2: L2 penalty of the head, as in `coverslip.training.heads.fit_head`.
        splits: number of splits.
        seed: seed of the splits.
        by: what a group is called in the summary.
        progress: receives one stage.

    Returns:
        The accuracies of all splits, and a summary that reports leakage only if all splits agree or a corrected t-test
        is significant. If no group has two images, or no class has two groups, there are no accuracies but a reason.
    """
    targets = np.asarray(labels, np.int64)
    codes = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)[1]
    if len(np.unique(codes)) == len(codes):
        return _not_measured(by, "every image is its own group, so no information can leak between groups")
    rounds = [assign_splits(targets, groups, np.ones(FOLDS), value) for value in _seeds(seed, -(-splits // FOLDS))]
    draws = [
        _draw(targets, rounds[number // FOLDS] == number % FOLDS, generator(seed, f"price {number}"))
        for number in range(splits)
    ]
    draws = [draw for draw in draws if len(draw[0])]
    if not draws:
        return _not_measured(by, "no class has a second group to hold out")
    basis = HalfWhitening.fit(features)
    inputs = basis.transform(features)
    train = np.ones((len(targets), len(draws)), bool)
    for lane, (_, _, out) in enumerate(draws):
        train[out, lane] = False
    with progress.stage("estimating leakage", STEPS, "steps") as stage:
        lanes = fit_stacked_heads(
            inputs,
            torch.from_numpy(targets),
            torch.from_numpy(train.astype(np.float32)),
            torch.full((len(draws),), l2),
            classes,
            steps=STEPS,
            callback=lambda *_: stage.advance(),
        )
        stage.advance(STEPS - len(lanes.losses) + 1)
    accuracies = []
    for lane, (known, new, _) in enumerate(draws):
        logits = [inputs[rows] @ lanes.weight[lane] + lanes.bias[lane] for rows in (known, new)]
        random, grouped = [
            float((values.argmax(1).numpy() == targets[rows]).mean())
            for values, rows in zip(logits, (known, new), strict=True)
        ]
        accuracies.append((random, grouped))
    estimate = LeakageEstimate(
        by=by,
        summary="",
        accuracies=tuple(accuracies),
        train=round(float(train.sum(0).mean())),
        test=round(float(np.mean([len(known) for known, _, _ in draws]))),
        groups=round(float(np.mean([len(np.unique(codes[trained])) for trained in train.T]))),
    )
    return replace(estimate, summary=_sentence(estimate))


def _seeds(seed: int, number: int) -> list[int]:
    return [int(value) for value in generator(seed, "price").integers(2**31, size=number)]


def _draw(
    labels: IntArray, held_out: npt.NDArray[np.bool_], rng: np.random.Generator
) -> tuple[IntArray, IntArray, IntArray]:
    """Draw the rows of one split: test images of known groups, test images of new groups, and all rows not trained on.

    Both test sets have the same number of images of each class: at most half of the images outside the held-out groups.
    """
    known, new = [], []
    for label in np.unique(labels):
        inside, outside = (np.flatnonzero((labels == label) & side) for side in (held_out, ~held_out))
        count = min(len(inside), len(outside) // 2)
        known.append(rng.choice(outside, count, replace=False))
        new.append(rng.choice(inside, count, replace=False))
    known_rows = np.concatenate(known)
    return known_rows, np.concatenate(new), np.concatenate([known_rows, np.flatnonzero(held_out)])


def _sentence(estimate: LeakageEstimate) -> str:
    differences = np.array(estimate.differences)
    mean, low, high = differences.mean(), differences.min(), differences.max()
    number = NUMBERS[len(differences)] if len(differences) < len(NUMBERS) else str(len(differences))
    spread = f"range over {number} split{'s' * (len(differences) > 1)} {low:.3f} to {high:.3f}"
    scores = f"accuracy {estimate.random:.3f} with a random split, {estimate.grouped:.3f} by {estimate.by or 'group'}"
    if estimate.detected:
        return f"{scores}: leakage inflates the score by an estimated {mean:.3f} ({spread})"
    return (
        f"{scores}: the difference of {mean:.3f} ({spread}) is within the variation between splits, so leakage is "
        "neither shown nor excluded"
    )


def _significant(differences: npt.NDArray[np.float64], ratio: float) -> bool:
    """Test whether the mean difference is above zero: one-sided t-test at 0.025, corrected for overlapping splits.

    Args:
        differences: random minus grouped accuracy of S splits, shape (S,).
        ratio: number of test images over number of training images of a split.

    Reference: Nadeau & Bengio, Inference for the generalization error, Machine Learning 52(3), 2003.
    """
    number = len(differences)
    if number < 2:
        return False
    error = float(differences.std(ddof=1)) * np.sqrt(1 / number + ratio)
    return bool(differences.mean() > critical_value(0.95, number - 1) * error)


def _not_measured(by: str, reason: str) -> LeakageEstimate:
    return LeakageEstimate(by=by, summary=f"leakage was not estimated: {reason}", reason=reason)
