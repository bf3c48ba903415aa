"""From which probability on an image is called the class that is looked for: sensitivity against specificity.

For two classes, such as healthy and diseased. What is missed and what is a false alarm seldom cost the same, so that
the more probable class is not always the right word. A threshold is fitted on images that trained nothing, by whole
groups, is stored with the model, and is what names an image at every door.

References: Altman & Bland, BMJ 308:1552 and 309:102, 1994 (sensitivity, specificity); Youden, Cancer 3(1), 1950 (the
balanced one); Vovk, Asian Conference on Machine Learning 2012 (a share that is asked for and kept, as in `conformal`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.basis import Basis, proportion
from coverslip.evidence.conformal import group_quantile, groups_needed
from coverslip.evidence.intervals import Score
from coverslip.evidence.part import ScoredPart, check_part

FloatArray = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]
MIDDLE = 0.5
STEPS = 101  # points of a curve
DEFAULT, VALUE, SENSITIVITY, SPECIFICITY, BALANCED = "default", "value", "sensitivity", "specificity", "balanced"
WELL = (  # words of a name that says that nothing was found
    "healthy health normal negative neg control controls ctrl benign background uninfected unaffected undiseased "
    "untreated uninfested asymptomatic clean intact sound good ok absent absence none nothing mock sham placebo "
    "vehicle wildtype wt false 0"
)
DENIES = "no non not without free"


@dataclass(frozen=True, slots=True)
class Threshold:
    """From which probability on an image of two classes is named as the one that is looked for.

    Attributes:
        class_name: the class that is looked for (the positive one).
        value: 0 to 1; an image is named so where its probability of this class is at least this.
        sensitivity: the share of the images of this class that are named so, on the images that it was fitted on.
            Where it was chosen by them, the test says more. A `Score`: value, low, high, level, images, groups.
        specificity: the share of the other class's images that are not.
        chosen: "default" (the more probable class), "value" (given), or for which "sensitivity" or "specificity", or
            "balanced".
        asked: the value, sensitivity or specificity that was asked for; None for the others.
        why: why this class is the positive one, in words.
        note: what was asked for and could not be kept; else empty.
    """

    class_name: str
    value: float
    sensitivity: Score
    specificity: Score
    chosen: str = DEFAULT
    asked: float | None = None
    why: str = ""
    note: str = ""

    def named(self, probabilities: NDArray[np.floating[Any]], classes: Sequence[str]) -> NDArray[np.int64]:
        """(N, 2) probabilities -> (N,) the number of the class that each image is named as; NaN: the other class.

        >>> nobody = Basis(0, 0, 0.95, False).score(None, None, "", "not measured")
        >>> early = Threshold("rust", 0.3, nobody, nobody)
        >>> early.named(np.array([[0.65, 0.35], [0.9, 0.1]]), ["healthy", "rust"]).tolist()
        [1, 0]
        """
        positive = list(classes).index(self.class_name)
        return np.where(np.asarray(probabilities)[:, positive] >= self.value, positive, 1 - positive).astype(np.int64)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``model.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any], classes: Sequence[str]) -> Threshold:
        """Read what `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: it did not, or is not of these classes.
        """
        name, value, asked = str(content["class_name"]), float(content["value"]), content["asked"]
        if len(classes) != 2 or name not in classes or not 0 <= value <= 1:
            raise ValueError("this is not a threshold of these classes")
        sensitivity, specificity = (_score(content[key]) for key in (SENSITIVITY, SPECIFICITY))
        chosen, why, note = (str(content[key]) for key in ("chosen", "why", "note"))
        wanted = None if asked is None else float(asked)
        return cls(name, value, sensitivity, specificity, chosen, wanted, why, note)


def _score(content: Mapping[str, Any]) -> Score:
    score = Score(
        value=content["value"],
        low=content["low"],
        high=content["high"],
        level=float(content["level"]),
        method=str(content["method"]),
        images=int(content["images"]),
        groups=int(content["groups"]),
    )
    if "reason" in content:
        score["reason"] = str(content["reason"])
    return score


def positive_class(class_names: Sequence[str]) -> tuple[str, str]:
    """Which of two classes is the one that is looked for, and why: the one whose name does not say that all is well.

    >>> positive_class(["Normal", "OSCC"])
    ('OSCC', "'Normal' says by its name that nothing was found")
    >>> positive_class(["not_healthy", "tomato_healthy"])[0], positive_class(["cat", "dog"])[0]
    ('not_healthy', 'dog')
    """
    first, second = class_names
    well = [_is_well(name) for name in (first, second)]
    if well[0] == well[1]:
        return second, f"no name says which of {first!r} and {second!r} is looked for, so it is the second by name"
    return (second, first)[well[1]], f"{(second, first)[well[0]]!r} says by its name that nothing was found"


def _is_well(name: str) -> bool:
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    well, denied = (any(word in known.split() for word in words) for known in (WELL, DENIES))
    return well != denied  # "no tumor" is, "not healthy" is not


def fit_threshold(
    labels: Labels,
    probabilities: NDArray[np.floating[Any]],
    groups: Labels | None,
    class_names: Sequence[str],
    positive: str,
    *,
    value: float | None = None,
    sensitivity: float | None = None,
    specificity: float | None = None,
    balanced: bool = False,
    why: str = "",
    level: float = 0.95,
) -> Threshold:
    """A threshold from images that trained nothing; without a wish the more probable class is named, as ever.

    A sensitivity that is asked for is kept as the coverage of sets is: an image of the positive class from a new group
    is named so with that probability at least, each group counting once. Too few groups cannot promise it: then the
    threshold is the highest at which all of their images are found, and ``note`` says so. Likewise a specificity. The
    balanced one has the largest sum of both; of many it is the nearest to 0.5.

    Args:
        labels: (N,) 0 or 1.
        probabilities: (N, 2), calibrated, rows sum to 1.
        groups: (N,) integers, whole groups; None where each image stands for itself.
        class_names: two.
        positive: one of them.
        value: the threshold itself, between 0 and 1.
        sensitivity: at least this, between 0 and 1.
        specificity: likewise.
        balanced: both as large as they can be together.
        why: the positive class is this one.
        level: of the intervals.

    Raises:
        ValueError: as `check_part`; not two classes; several wishes, or one out of range.

    >>> labels = np.array([0, 1] * 40)
    >>> sure = np.linspace(0.05, 0.6, 80)                                      # rust is seldom given a half
    >>> rows = np.stack([1 - sure, sure], axis=1)
    >>> early = fit_threshold(labels, rows, None, ["healthy", "rust"], "rust", sensitivity=0.9)
    >>> round(early.value, 3), early.sensitivity["value"], early.specificity["value"]
    (0.099, 0.925, 0.1)
    """
    wishes = {VALUE: value, SENSITIVITY: sensitivity, SPECIFICITY: specificity, BALANCED: MIDDLE if balanced else None}
    asked = {name: wish for name, wish in wishes.items() if wish is not None}
    if len(asked) > 1 or not all(0 < wish < 1 for wish in asked.values()):
        raise ValueError(f"ask for one threshold between 0 and 1, not {asked}")
    part, number = _two(labels, probabilities, groups, class_names), list(class_names).index(positive)
    said, own, note = part.probabilities[:, number], part.labels == number, ""
    chosen, wish = next(iter(asked.items()), (DEFAULT, MIDDLE))
    if chosen == BALANCED:
        wish = _balanced(said, own, part.groups)
    elif chosen == SENSITIVITY:
        limit, note = _keeping(-said[own], part.groups[own], wish, positive, part.unit)
        wish = MIDDLE if limit is None else -limit
    elif chosen == SPECIFICITY:
        limit, note = _keeping(said[~own], part.groups[~own], wish, class_names[1 - number], part.unit)
        wish = MIDDLE if limit is None else float(np.nextafter(limit, 2))  # the other class stays under it
    named = float(np.clip(wish, 0, 1))
    wanted = asked.get(chosen) if chosen != BALANCED else None
    return Threshold(positive, named, *_point(part, number, named, level), chosen, wanted, why, note)


def unmeasured_threshold(positive: str, value: float | None, why: str = "", level: float = 0.95) -> Threshold:
    """The default, or a value that was given, where no image is left to measure what it does."""
    nothing = Basis(0, 0, level, False).score(None, None, "", "no image was left to measure it with")
    chosen = DEFAULT if value is None else VALUE
    return Threshold(positive, MIDDLE if value is None else value, nothing, nothing, chosen, value, why)


def operating_curve(
    labels: Labels,
    probabilities: NDArray[np.floating[Any]],
    groups: Labels | None,
    class_names: Sequence[str],
    positive: str,
    *,
    value: float | None = None,
    steps: int = STEPS,
    level: float = 0.95,
) -> dict[str, list[Any]]:
    """Sensitivity and specificity at thresholds from 0 to 1, with the interval of each point.

    Args:
        labels, probabilities, groups, class_names, positive, level: as for `fit_threshold`.
        value: a threshold that is to be among them.
        steps: thresholds beside it, at least 2.

    Returns:
        ``thresholds``, rising; ``sensitivity`` and ``specificity``, an entry of [value, low, high] for each, null where
        there is none.
    """
    part, number = _two(labels, probabilities, groups, class_names), list(class_names).index(positive)
    at = sorted({*np.round(np.linspace(0, 1, steps), 6).tolist(), *([] if value is None else [value])})
    points = [_point(part, number, each, level) for each in at]
    sides = [[[score["value"], score["low"], score["high"]] for score in side] for side in zip(*points, strict=True)]
    return {"thresholds": at, SENSITIVITY: sides[0], SPECIFICITY: sides[1]}


def _two(
    labels: Labels, probabilities: NDArray[np.floating[Any]], groups: Labels | None, class_names: Sequence[str]
) -> ScoredPart:
    if len(class_names) != 2:
        raise ValueError(f"a threshold is for two classes, not {len(class_names)}")
    return check_part(labels, probabilities, groups, class_names)


def _point(part: ScoredPart, positive: int, value: float, level: float) -> tuple[Score, Score]:
    """Sensitivity and specificity at one threshold."""
    called, number, found = part.probabilities[:, positive] >= value, int(part.groups.max()) + 1, []
    for own, hit in ((part.labels == positive, called), (part.labels != positive, ~called)):
        hits = np.bincount(part.groups[own & hit], minlength=number).astype(np.float64)
        counts = np.bincount(part.groups[own], minlength=number).astype(np.float64)
        absent = "" if own.any() else "no image of this class"
        found.append(proportion(hits, counts, level, grouped=part.grouped, undefined=absent))
    return found[0], found[1]


def _keeping(scores: FloatArray, groups: Labels, share: float, name: str, unit: str) -> tuple[float | None, str]:
    """The limit that this share of new images stays within, or the largest score and a word where none exists."""
    number = len(np.unique(groups))
    if number == 0:
        return None, f"no image of {name!r} to choose a threshold with, so it is {MIDDLE:g}"
    limit = group_quantile(scores, groups, share)
    if limit is not None:
        return limit, ""
    note = (
        f"{number} {unit if number != 1 else unit[:-1]} of {name!r} cannot promise {share:g} ({groups_needed(share)} "
    )
    return float(scores.max()), f"{note}could); the threshold is one that promises {promised_text(number, share)}"


def promised_text(groups: int, asked: float) -> str:
    """The share that so few groups can promise, with as many digits as tell it from the one that was asked for.

    >>> promised_text(6, 0.95), promised_text(18, 0.95)
    ('0.86', '0.947')
    """
    kept = groups / (groups + 1)
    texts = (f"{kept:.{digits}f}" for digits in range(2, 10))
    return next((text for text in texts if float(text) < asked), f"{kept:g}")


def _balanced(said: FloatArray, own: NDArray[np.bool_], groups: Labels) -> float:
    """The threshold with the largest sum of sensitivity and specificity, each group counting once on either side."""
    weights = np.zeros(len(said))
    for side in (own, ~own):
        codes, counts = np.unique(groups[side], return_inverse=True, return_counts=True)[1:]
        weights[side] = 1 / counts[codes] / max(len(counts), 1)
    edges, places = np.unique(said, return_inverse=True)
    # a threshold between two neighboring probabilities: all above are called; both ends are thresholds too
    gain = np.bincount(places, weights=np.where(own, weights, -weights))
    total = np.concatenate([np.cumsum(gain[::-1])[::-1], [0.0]])  # sensitivity + specificity - 1 from each edge on
    low, high = np.concatenate([[0.0], edges]), np.concatenate([edges, [1.0]])
    best = np.flatnonzero(total >= total.max() - 1e-9)
    inside = np.where((low[best] < MIDDLE) & (high[best] >= MIDDLE), MIDDLE, (low[best] + high[best]) / 2)
    return float(inside[np.abs(inside - MIDDLE).argmin()])
