"""The price of a leak: how much of a score is owed to images of the same leaf (patient, slide) on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from coverslip.core.progress import SILENT, Progress
from coverslip.core.seeds import generator
from coverslip.data.split import assign_parts
from coverslip.evidence.intervals import quantile
from coverslip.training.heads import Basis
from coverslip.training.stack import fit_lanes

PARTS = 5  # a fifth of the groups is held out at a time
STEPS = 60  # at most; the heads are done before
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """The same head scored on images whose siblings it was trained on, and on images of groups it never saw.

    Attributes:
        by: what the groups come from, such as ``leaf``.
        each: accuracy of (random, grouped) in each split, 0 to 1.
        train: images that a head was trained on, on average.
        test: images in each of the two parts it was scored on, on average.
        groups: groups that a head was trained on, on average.
        says: the result in one sentence.
        reason: why there is no difference to speak of, where `each` is empty.
    """

    by: str
    says: str
    each: tuple[tuple[float, float], ...] = ()
    train: int = 0
    test: int = 0
    groups: int = 0
    reason: str = ""

    @property
    def random(self) -> float | None:
        """Mean accuracy by a random split."""
        return float(np.mean([random for random, _ in self.each])) if self.each else None

    @property
    def grouped(self) -> float | None:
        """Mean accuracy on new groups."""
        return float(np.mean([grouped for _, grouped in self.each])) if self.each else None

    @property
    def differences(self) -> list[float]:
        """Random less grouped, in each split."""
        return [random - grouped for random, grouped in self.each]

    @property
    def difference(self) -> float | None:
        """The price: the mean of the differences; None where it could not be measured."""
        return float(np.mean(self.differences)) if self.each else None

    @property
    def low(self) -> float | None:
        """The smallest difference of a split."""
        return min(self.differences, default=None)

    @property
    def high(self) -> float | None:
        """The largest difference of a split."""
        return max(self.differences, default=None)

    @property
    def told(self) -> bool:
        """Whether a leak can be told from the splits' own noise."""
        if not self.each:
            return False
        return min(self.differences) > 0 or _certain(np.array(self.differences), self.test / max(self.train, 1))

    def to_json(self) -> dict[str, Any]:
        """What ``audit.json`` holds."""
        keys = ("by", "random", "grouped", "difference", "low", "high", "train", "test", "groups", "says")
        entry = {key: getattr(self, key) for key in keys}
        entry |= {"splits": len(self.each), "each": [list(pair) for pair in self.each]}
        return {**entry, "reason": self.reason} if self.reason else entry


def leak_price(
    features: npt.NDArray[np.floating],
    labels: Sequence[int],
    groups: Sequence[str],
    classes: int,
    *,
    strength: float = 1e-3,
    splits: int = 10,
    seed: int = 0,
    by: str = "",
    progress: Progress = SILENT,
) -> Price:
    """Score one head on both kinds of test images, in several splits, so that nothing but the leak differs.

    In each split a fifth of the groups is held out whole, and of the others as many single images of each class. The
    head is trained on what is left, which holds siblings of the single images (three quarters of them on average)
    and none of the groups. Head, training images, number of test images and their classes are the same for both
    scores. Over five splits in a row each group is held out once, so that groups weigh by their images, whatever
    their size. All heads are lanes of one stack.

    Args:
        features: (N, D) of the images of train and validation, one view.
        labels: N class numbers.
        groups: N group names.
        classes: K.
        strength: of the head's penalty, as in `coverslip.training.heads.fit_head`.
        splits: how many.
        seed: of the splits.
        by: what a group is called, for the sentence.
        progress: told of the stage.

    Returns:
        Means and each split. Its sentence speaks of a leak only where all splits agree or a corrected t-test says so.
        Without scores, but with a reason, where no group has two images, or no class has two groups.
    """
    truth = np.asarray(labels, np.int64)
    codes = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)[1]
    if len(np.unique(codes)) == len(codes):
        return _none(by, "each image is a group of its own, so nothing can leak")
    rounds = [assign_parts(truth, groups, np.ones(PARTS), each) for each in _seeds(seed, -(-splits // PARTS))]
    drawn = [
        _draw(truth, rounds[number // PARTS] == number % PARTS, generator(seed, f"price {number}"))
        for number in range(splits)
    ]
    drawn = [each for each in drawn if len(each[0])]
    if not drawn:
        return _none(by, "no class has a second group to hold out")
    basis = Basis.of(features)
    inputs = basis.turn(features)
    train = np.ones((len(truth), len(drawn)), bool)
    for lane, (_, _, out) in enumerate(drawn):
        train[out, lane] = False
    with progress.stage("pricing the leak", STEPS, "steps") as stage:
        lanes = fit_lanes(
            inputs,
            torch.from_numpy(truth),
            torch.from_numpy(train.astype(np.float32)),
            torch.full((len(drawn),), strength),
            classes,
            steps=STEPS,
            step_done=lambda *_: stage.advance(),
        )
        stage.advance(STEPS - len(lanes.losses) + 1)
    each = []
    for lane, (single, whole, _) in enumerate(drawn):
        scores = [inputs[rows] @ lanes.weight[lane] + lanes.bias[lane] for rows in (single, whole)]
        right = [
            float((score.argmax(1).numpy() == truth[rows]).mean())
            for score, rows in zip(scores, (single, whole), strict=True)
        ]
        each.append((right[0], right[1]))
    price = Price(
        by=by,
        says="",
        each=tuple(each),
        train=round(float(train.sum(0).mean())),
        test=round(float(np.mean([len(single) for single, _, _ in drawn]))),
        groups=round(float(np.mean([len(np.unique(codes[mine])) for mine in train.T]))),
    )
    return replace(price, says=_sentence(price))


def _seeds(seed: int, number: int) -> list[int]:
    return [int(each) for each in generator(seed, "price").integers(2**31, size=number)]


def _draw(
    labels: IntArray, held: npt.NDArray[np.bool_], chance: np.random.Generator
) -> tuple[IntArray, IntArray, IntArray]:
    """Rows of one split: single images to score, images of whole groups to score, and all that are not trained on.

    Of each class both scored parts have the same number: at most half of what is left beside the held groups.
    """
    single, whole = [], []
    for label in np.unique(labels):
        inside, outside = (np.flatnonzero((labels == label) & side) for side in (held, ~held))
        count = min(len(inside), len(outside) // 2)
        single.append(chance.choice(outside, count, replace=False))
        whole.append(chance.choice(inside, count, replace=False))
    singles = np.concatenate(single)
    return singles, np.concatenate(whole), np.concatenate([singles, np.flatnonzero(held)])


def _sentence(price: Price) -> str:
    differences = np.array(price.differences)
    mean, low, high = differences.mean(), differences.min(), differences.max()
    number = NUMBERS[len(differences)] if len(differences) < len(NUMBERS) else str(len(differences))
    spread = f"(spread over {number} split{'s' * (len(differences) > 1)} {low:.3f} to {high:.3f})"
    scores = f"random split {price.random:.3f}, by {price.by or 'group'} {price.grouped:.3f}"
    if price.told:
        return f"{scores}: {mean:.3f} of the score was leakage {spread}"
    return f"{scores}: {mean:.3f} apart {spread}; no leak can be told from the splits' own noise"


def _certain(differences: npt.NDArray[np.float64], ratio: float) -> bool:
    """Whether differences of splits that share images lie above zero: one-sided corrected t-test at 0.025.

    Args:
        differences: (S,) of the splits.
        ratio: test images over training images of a split.

    Reference: Nadeau & Bengio, Inference for the generalization error, Machine Learning 52(3), 2003.
    """
    number = len(differences)
    if number < 2:
        return False
    error = float(differences.std(ddof=1)) * np.sqrt(1 / number + ratio)
    return bool(differences.mean() > quantile(0.95, number - 1) * error)


def _none(by: str, reason: str) -> Price:
    return Price(by=by, says=f"the price of a leak was not measured: {reason}", reason=reason)
