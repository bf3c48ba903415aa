"""Decision threshold for two classes: sensitivity against specificity.

With two classes such as healthy and diseased, a missed case and a false alarm rarely have the same cost, so the more
probable class is not always the best decision. The threshold is fitted on images that were not used for training, over
groups, stored with the model, and applied by every entry point.

References:
    Altman & Bland, BMJ 308:1552 and 309:102, 1994 (sensitivity, specificity); Youden, Cancer 3(1), 1950 (balanced);
    Vovk, Asian Conference on Machine Learning 2012 (guaranteed sensitivity, as in `conformal`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.conformal import group_quantile, min_groups_for_coverage
from coverslip.evidence.evaluation_data import EvaluationData, check_evaluation_data
from coverslip.evidence.intervals import Score
from coverslip.evidence.support import Support, proportion_score

FloatArray = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]
DEFAULT_VALUE = 0.5
STEPS = 101  # points of an operating curve
DEFAULT, VALUE, SENSITIVITY, SPECIFICITY, BALANCED = "default", "value", "sensitivity", "specificity", "balanced"
NEGATIVE_WORDS = (  # words in the name of a class that mark it as the negative one
    "healthy health normal negative neg control controls ctrl benign background uninfected unaffected undiseased "
    "untreated uninfested asymptomatic clean intact sound good ok absent absence none nothing mock sham placebo "
    "vehicle wildtype wt false 0"
)
NEGATIONS = "no non not without free"


@dataclass(frozen=True, slots=True)
class Threshold:
    """Decision threshold on the probability of the positive class.

    The names of the attributes are the keys in ``model.json``.

    Attributes:
        class_name: positive class.
        value: threshold, 0 to 1; an image is predicted positive if its probability of the class is at least this.
        sensitivity: sensitivity on the images used for fitting, a `Score`; biased upwards if the threshold was
            optimized on them, so the test set is more reliable.
        specificity: specificity on these images, likewise.
        chosen: how the threshold was set: "default" (the more probable class), "value" (given), for a target
            "sensitivity" or "specificity", or "balanced".
        asked: the given value or the target; None for "default" and "balanced".
        why: why ``class_name`` is the positive class.
        note: why the target is not guaranteed; empty if it is.
    """

    class_name: str
    value: float
    sensitivity: Score
    specificity: Score
    chosen: str = DEFAULT
    asked: float | None = None
    why: str = ""
    note: str = ""

    def predicted_classes(self, probabilities: NDArray[np.floating[Any]], classes: Sequence[str]) -> NDArray[np.int64]:
        """Return the predicted class ids, shape (N,).

        Args:
            probabilities: shape (N, 2); a row of NaN is assigned to the negative class.
            classes: names of the two classes, in the order of the columns.

        >>> unknown = Support(0, 0, 0.95, False).score(None, None, "", "not measured")
        >>> threshold = Threshold("rust", 0.3, unknown, unknown)
        >>> threshold.predicted_classes(np.array([[0.65, 0.35], [0.9, 0.1]]), ["healthy", "rust"]).tolist()
        [1, 0]
        """
        positive = list(classes).index(self.class_name)
        return np.where(np.asarray(probabilities)[:, positive] >= self.value, positive, 1 - positive).astype(np.int64)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``model.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any], classes: Sequence[str]) -> Threshold:
        """Read the values written by `to_json`.

        Raises:
            KeyError, TypeError, ValueError: a value is missing or invalid, or the threshold is for other classes.
        """
        name, value, asked = str(content["class_name"]), float(content["value"]), content["asked"]
        if len(classes) != 2 or name not in classes or not 0 <= value <= 1:
            raise ValueError("this is not a threshold for these classes")
        sensitivity, specificity = (_score(content[key]) for key in (SENSITIVITY, SPECIFICITY))
        chosen, why, note = (str(content[key]) for key in ("chosen", "why", "note"))
        target = None if asked is None else float(asked)
        return cls(name, value, sensitivity, specificity, chosen, target, why, note)


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
    """Return the name of the positive one of two classes, guessed from the names, and the reason.

    The class whose name suggests a negative finding ("healthy", "control", "no tumor") is the negative one.

    >>> positive_class(["Normal", "OSCC"])
    ('OSCC', "the name 'Normal' indicates the negative class")
    >>> positive_class(["not_healthy", "tomato_healthy"])[0], positive_class(["cat", "dog"])[0]
    ('not_healthy', 'dog')
    """
    first, second = class_names
    negative = [_is_negative(name) for name in (first, second)]
    if negative[0] == negative[1]:
        return (
            second,
            f"neither {first!r} nor {second!r} indicates the negative class, so the second is used by default",
        )
    return (second, first)[negative[1]], f"the name {(second, first)[negative[0]]!r} indicates the negative class"


def _is_negative(name: str) -> bool:
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    negative, negated = (any(word in known.split() for word in words) for known in (NEGATIVE_WORDS, NEGATIONS))
    return negative != negated  # "no tumor" is negative, "not healthy" is not


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
    """Fit a decision threshold on images that were not used for training; by default it is 0.5.

    A target sensitivity is guaranteed like the coverage of prediction sets: an image of the positive class from a new
    group is predicted positive with at least this probability, where each group has the same weight. With too few
    groups for the guarantee, the threshold is the highest at which all of their images are predicted positive, and
    ``note`` says so. A target specificity is treated in the same way. The balanced threshold maximizes sensitivity +
    specificity (Youden's index); of several maxima the one nearest to 0.5 is used.

    Args:
        labels: true class ids, shape (N,), values 0 and 1.
        probabilities: calibrated probabilities, shape (N, 2), rows sum to 1.
        groups: integer group ids of complete groups, shape (N,); None if each image is its own group.
        class_names: names of the two classes.
        positive: name of the positive class.
        value: the threshold itself, between 0 and 1.
        sensitivity: minimal sensitivity, between 0 and 1.
        specificity: minimal specificity, between 0 and 1.
        balanced: whether to maximize the sum of sensitivity and specificity.
        why: why this is the positive class, for the report.
        level: confidence level of the intervals, between 0 and 1.

    Raises:
        ValueError: as `check_evaluation_data`; there are not two classes; several targets are given, or one is out of
            range.

    >>> labels = np.array([0, 1] * 40)
    >>> rust = np.linspace(0.05, 0.6, 80)  # the probability of rust rarely exceeds 0.5
    >>> rows = np.stack([1 - rust, rust], axis=1)
    >>> threshold = fit_threshold(labels, rows, None, ["healthy", "rust"], "rust", sensitivity=0.9)
    >>> round(threshold.value, 3), threshold.sensitivity["value"], threshold.specificity["value"]
    (0.099, 0.925, 0.1)
    """
    options = {
        VALUE: value,
        SENSITIVITY: sensitivity,
        SPECIFICITY: specificity,
        BALANCED: DEFAULT_VALUE if balanced else None,
    }
    given = {name: option for name, option in options.items() if option is not None}
    if len(given) > 1 or not all(0 < option < 1 for option in given.values()):
        raise ValueError(f"give at most one target for the threshold, between 0 and 1, not {given}")
    data, class_id = _check(labels, probabilities, groups, class_names), list(class_names).index(positive)
    predicted, is_positive, note = data.probabilities[:, class_id], data.labels == class_id, ""
    chosen, threshold = next(iter(given.items()), (DEFAULT, DEFAULT_VALUE))
    if chosen == BALANCED:
        threshold = _youden_threshold(predicted, is_positive, data.groups)
    elif chosen == SENSITIVITY:
        limit, note = _guaranteed_limit(
            -predicted[is_positive], data.groups[is_positive], threshold, positive, data.unit
        )
        threshold = DEFAULT_VALUE if limit is None else -limit
    elif chosen == SPECIFICITY:
        negative_name = class_names[1 - class_id]
        limit, note = _guaranteed_limit(
            predicted[~is_positive], data.groups[~is_positive], threshold, negative_name, data.unit
        )
        # the next float above the limit, so that an image exactly at the limit is predicted negative
        threshold = DEFAULT_VALUE if limit is None else float(np.nextafter(limit, 2))
    threshold = float(np.clip(threshold, 0, 1))
    target = given.get(chosen) if chosen != BALANCED else None
    return Threshold(
        positive, threshold, *_operating_point(data, class_id, threshold, level), chosen, target, why, note
    )


def unmeasured_threshold(positive: str, value: float | None, why: str = "", level: float = 0.95) -> Threshold:
    """Return the default or given threshold without sensitivity and specificity, if no image is left to measure them.

    Args:
        positive: name of the positive class.
        value: the threshold; None for the default.
        why: why this is the positive class, for the report.
        level: confidence level.
    """
    unknown = Support(0, 0, level, False).score(None, None, "", "no image was left to measure it")
    chosen = DEFAULT if value is None else VALUE
    return Threshold(positive, DEFAULT_VALUE if value is None else value, unknown, unknown, chosen, value, why)


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
    """Return sensitivity and specificity at thresholds from 0 to 1, with an interval at each threshold.

    Args:
        labels: as for `fit_threshold`.
        probabilities: likewise.
        groups: likewise.
        class_names: likewise.
        positive: likewise.
        value: a threshold to be included.
        steps: number of equidistant thresholds, at least 2.
        level: confidence level of the intervals, between 0 and 1.

    Returns:
        ``thresholds``, ascending; ``sensitivity`` and ``specificity``, [value, low, high] at each threshold, null if
        undefined.
    """
    data, class_id = _check(labels, probabilities, groups, class_names), list(class_names).index(positive)
    thresholds = sorted({*np.round(np.linspace(0, 1, steps), 6).tolist(), *([] if value is None else [value])})
    points = [_operating_point(data, class_id, threshold, level) for threshold in thresholds]
    sides = [[[score["value"], score["low"], score["high"]] for score in side] for side in zip(*points, strict=True)]
    return {"thresholds": thresholds, SENSITIVITY: sides[0], SPECIFICITY: sides[1]}


def _check(
    labels: Labels, probabilities: NDArray[np.floating[Any]], groups: Labels | None, class_names: Sequence[str]
) -> EvaluationData:
    if len(class_names) != 2:
        raise ValueError(f"a threshold requires two classes, not {len(class_names)}")
    return check_evaluation_data(labels, probabilities, groups, class_names)


def _operating_point(data: EvaluationData, positive: int, threshold: float, level: float) -> tuple[Score, Score]:
    """Return sensitivity and specificity at one threshold; ``positive`` is the id of the positive class."""
    flagged, number, scores = data.probabilities[:, positive] >= threshold, int(data.groups.max()) + 1, []
    for side, correct in ((data.labels == positive, flagged), (data.labels != positive, ~flagged)):
        hits = np.bincount(data.groups[side & correct], minlength=number).astype(np.float64)
        counts = np.bincount(data.groups[side], minlength=number).astype(np.float64)
        absent = "" if side.any() else "no image of this class"
        scores.append(proportion_score(hits, counts, level, grouped=data.grouped, undefined=absent))
    return scores[0], scores[1]


def _guaranteed_limit(
    scores: FloatArray, groups: Labels, share: float, name: str, unit: str
) -> tuple[float | None, str]:
    """Return the limit that a new image stays within with probability ``share``, and a note if it does not exist.

    With too few groups the limit is the largest score; without images it is None.

    Args:
        scores: scores of the images of one class, shape (N,).
        groups: integer group ids, shape (N,).
        share: target sensitivity or specificity.
        name: name of the class.
        unit: "groups" or "images".
    """
    number = len(np.unique(groups))
    if number == 0:
        return None, f"there is no image of {name!r} to fit the threshold on, so it is {DEFAULT_VALUE:g}"
    limit = group_quantile(scores, groups, share)
    if limit is not None:
        return limit, ""
    note = (
        f"{number} {unit if number != 1 else unit[:-1]} of {name!r} cannot guarantee the target of {share:g} "
        f"(at least {min_groups_for_coverage(share)} are needed); the threshold guarantees "
        f"{achievable_text(number, share)}"
    )
    return float(scores.max()), note


def achievable_text(groups: int, asked: float) -> str:
    """Return the probability that this number of groups can guarantee, with enough digits to differ from the target.

    Args:
        groups: number of groups.
        asked: the target, between 0 and 1.

    >>> achievable_text(6, 0.95), achievable_text(18, 0.95)
    ('0.86', '0.947')
    """
    achievable = groups / (groups + 1)
    texts = (f"{achievable:.{digits}f}" for digits in range(2, 10))
    return next((text for text in texts if float(text) < asked), f"{achievable:g}")


def _youden_threshold(predicted: FloatArray, is_positive: NDArray[np.bool_], groups: Labels) -> float:
    """Return the threshold that maximizes sensitivity + specificity; each group of a class has the same weight."""
    weights = np.zeros(len(predicted))
    for side in (is_positive, ~is_positive):
        codes, counts = np.unique(groups[side], return_inverse=True, return_counts=True)[1:]
        weights[side] = 1 / counts[codes] / max(len(counts), 1)
    edges, bin_of = np.unique(predicted, return_inverse=True)
    # All thresholds between two neighboring probabilities are equivalent; 0 and 1 are thresholds as well.
    gain = np.bincount(bin_of, weights=np.where(is_positive, weights, -weights))
    youden = np.concatenate([np.cumsum(gain[::-1])[::-1], [0.0]])  # sensitivity + specificity - 1 from each edge on
    low, high = np.concatenate([[0.0], edges]), np.concatenate([edges, [1.0]])
    best = np.flatnonzero(youden >= youden.max() - 1e-9)
    contains_default = (low[best] < DEFAULT_VALUE) & (high[best] >= DEFAULT_VALUE)
    candidates = np.where(contains_default, DEFAULT_VALUE, (low[best] + high[best]) / 2)
    return float(candidates[np.abs(candidates - DEFAULT_VALUE).argmin()])
