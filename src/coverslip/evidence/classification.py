"""What a test set says about a classifier: every score with its interval, as `test.json` holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.basis import Basis, draw_method, proportion
from coverslip.evidence.draws import CLASS_SCORES, Draws, PartScores, draw_scores
from coverslip.evidence.intervals import FEWEST_GROUPS, Score, all_right_limits
from coverslip.evidence.part import ScoredPart, check_part
from coverslip.evidence.resampling import strata_of_groups
from coverslip.evidence.scores import read_sums

FloatArray = NDArray[np.float64]
ROUGH_UNDER = 20  # groups; an interval from fewer is given, with a warning
LARGE_SHARE = 0.5  # of the images in one group; an interval is given, with a warning
SHOWN = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "macro_auroc", "macro_auprc", "log_loss", "brier", "ece")
TWO_CLASSES = {"macro_auroc": "AUROC", "macro_auprc": "the area under precision-recall", "mcc": "MCC"}


def classification_evidence(
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    groups: NDArray[np.integer[Any]] | None,
    class_names: Sequence[str],
    *,
    predicted: NDArray[np.integer[Any]] | None = None,
    positive: str | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Scores of a classifier with intervals over groups: the contents of `test.json`.

    Accuracy, recall, precision, sensitivity and specificity have a formula: exact without groups, Wilson on the
    effective number with them. The others are resampled over groups (BCa), within class where each group has
    images of one class; those between two bounds are never given less than Wilson's interval on the effective
    number, and balanced accuracy without a mistake has an exact limit. A class without images scores
    null, and macro averages are over the classes present; so too in a resample from which a class has vanished: that
    resample has no score of the class, and its averages are over the others. A score has no interval (null with a
    reason) under five groups of what it is about, where one group is the whole part, and where all resamples are
    equal: an interval of no width would claim certainty. The order of the rows does not matter.

    Args:
        labels: (N,) integers, the true class of each image, 0 to K - 1.
        probabilities: (N, K) floats, 0 to 1, each row sums to 1.
        groups: (N,) integers, any values: what was photographed several times (leaf, patient, slide). None where
            each image stands for itself.
        class_names: K different names, in the order of the columns.
        predicted: (N,) integers, the class that each image was named as, where a rule that was fixed before, on
            other images, names them (a `threshold`). None: the first of the largest probabilities.
        positive: for two classes, the one that is looked for: also sensitivity (its recall) and specificity (that of
            the other).
        level: of the intervals, between 0 and 1.
        resamples: of the bootstrap, at least 100.
        seed: of the bootstrap.

    Returns:
        A dictionary of plain Python values without NaN. For recall, ``images`` and ``groups`` count the images of
        the class, for precision the images predicted as the class.

    Raises:
        ValueError: no image; shapes that do not agree; NaN or infinity; a label, probability, level or number out
            of range; a positive class that is none of two.

    >>> labels = np.array([0] * 30 + [1] * 30)
    >>> sure = np.where(np.arange(60) % 10 == 0, 0.4, 0.9)          # every tenth image is wrong
    >>> rows = np.where(np.eye(2)[labels] > 0, sure[:, None], 1 - sure[:, None])
    >>> accuracy = classification_evidence(labels, rows, None, ["healthy", "rust"])["scores"]["accuracy"]
    >>> round(accuracy["value"], 3), round(accuracy["low"], 3), round(accuracy["high"], 3), accuracy["method"]
    (0.9, 0.795, 0.962, 'Clopper-Pearson')
    """
    if not 0 < level < 1 or resamples < 100:
        raise ValueError(f"level must lie between 0 and 1 and resamples be 100 or more, not {level} and {resamples}")
    part = check_part(labels, probabilities, groups, class_names, predicted=predicted)
    if positive is not None and (part.classes != 2 or positive not in class_names):
        raise ValueError(f"a positive class is for two classes and one of them, not {positive!r} of {part.classes}")
    scored = PartScores(part, [*SHOWN[1:], *CLASS_SCORES])
    sums = read_sums(scored.sums, part.classes)
    images = sums.images
    strata = strata_of_groups(images)
    draws = draw_scores(scored, strata, resamples, seed, FEWEST_GROUPS, len(part.labels))
    method = draw_method(part.unit, within_class=strata is not None, resamples=resamples)

    classes = {
        name: _class_scores(part, number, scored.sums, draws, level, method) for number, name in enumerate(class_names)
    }
    scores = {name: whole_score(name, part, scored.sums, draws, level, method) for name in SHOWN}
    if positive is not None:
        recalls = {name: entry["recall"].copy() for name, entry in classes.items()}
        scores["sensitivity"] = recalls.pop(positive)
        scores["specificity"] = recalls.popitem()[1]

    confusion = np.zeros((part.classes, part.classes), dtype=np.int64)
    np.add.at(confusion, (part.labels, part.predicted), 1)
    return {
        "images": len(part.labels),
        "groups": len(images),
        "grouped": part.grouped,
        "level": level,
        "scores": scores,
        "classes": classes,
        "confusion": confusion.tolist(),
        "class_names": list(class_names),
        "warnings": part_warnings(part) + _class_warnings({n: c["groups"] for n, c in classes.items()}, part.unit),
    }


def whole_score(name: str, part: ScoredPart, columns: FloatArray, draws: Draws, level: float, method: str) -> Score:
    """The entry of one score of the whole part.

    Args:
        name: of `SCORES`.
        part: what was scored.
        columns: (G, any) from `group_sums`.
        draws: with a column of that name, but for accuracy, which has a formula.
        level: of the interval.
        method: of the draws, as from `draw_method`.
    """
    sums = read_sums(columns, part.classes)
    has = sums.images > 0  # (G, K)
    whole = Basis(len(part.labels), len(columns), level, part.grouped)
    if name == "accuracy":
        return proportion(sums.hits.sum(axis=1), sums.number, level, grouped=part.grouped)
    groups_of_class = has.sum(axis=0)[has.any(axis=0)].astype(np.float64)
    one_class_groups = bool((has.sum(axis=1) == 1).all())  # so that the recalls are independent
    all_right = bool((sums.hits.sum(axis=1) == sums.number).all())
    if name == "balanced_accuracy" and all_right and one_class_groups and whole.groups >= FEWEST_GROUPS:
        limits = all_right_limits(groups_of_class, level)
        return whole.score(1.0, limits, "exact limit where nothing went wrong (Buehler)")
    one_class = len(groups_of_class) < 2
    undefined = f"{TWO_CLASSES[name]} needs images of two classes" if one_class and name in TWO_CLASSES else ""
    strata = strata_of_groups(sums.images)
    freedom = whole.groups - (1 if strata is None else len(np.unique(strata)))
    # every class counts the same, so that trials are worth what those of the rarest classes are
    worth = len(groups_of_class) ** 2 / float((1 / groups_of_class).sum()) if one_class_groups else None
    return whole.drawn(draws, name, method, fewest=whole.groups, freedom=freedom, worth=worth, undefined=undefined)


def _class_scores(
    part: ScoredPart, number: int, columns: FloatArray, draws: Draws, level: float, method: str
) -> dict[str, Any]:
    """The entry of one class; all null where it has no image, though precision would be 0 by its formula."""
    sums = read_sums(columns, part.classes)
    hits, images, predictions = (amount[:, number] for amount in (sums.hits, sums.images, sums.predictions))
    about, rest = images > 0, sums.number > images
    basis = Basis(int(images.sum()), int(about.sum()), level, part.grouped)
    absent = "" if about.any() else "no image of this class in the test set"
    entry: dict[str, Any] = {
        "precision": proportion(hits, predictions, level, grouped=part.grouped, undefined=absent),
        "recall": proportion(hits, images, level, grouped=part.grouped, undefined=absent),
    }
    both = min(basis.groups, int(rest.sum()))  # an order is about both sides
    for name, fewest, what in (
        ("f1", basis.groups, ""),
        ("auroc", both, "AUROC"),
        ("auprc", both, "the area under precision-recall"),
    ):
        undefined = absent or (f"{what} needs images of another class" if what and not rest.any() else "")
        column, freedom = f"{name} {number}", fewest - 1
        entry[name] = basis.drawn(draws, column, method, fewest=fewest, freedom=freedom, undefined=undefined)
    return entry | {"images": basis.images, "groups": basis.groups}


def part_warnings(part: ScoredPart) -> list[str]:
    """Plain sentences on what so few or such unequal groups cannot show."""
    sizes = np.bincount(part.groups)
    if len(sizes) == 1 and part.grouped:
        return ["all test images are of one group: nothing can be said about other groups, so no interval is given"]
    said = []
    if len(sizes) < ROUGH_UNDER:
        unit = part.unit if len(sizes) > 1 else part.unit[:-1]
        said.append(f"the test set has only {len(sizes)} {unit}: its intervals are rough")
    share = float(sizes.max() / sizes.sum())
    if part.grouped and share > LARGE_SHARE:
        said.append(f"one group holds {share:.0%} of the test images: the intervals rest on it and are rough")
    return said


def _class_warnings(groups_of_class: dict[str, int], unit: str) -> list[str]:
    """Plain sentences on the classes of which the test set shows little."""
    said = []
    for what, low, high in (
        ("not in the test set, so left out of the averages", 0, 0),
        (f"under {FEWEST_GROUPS} {unit} in the test set, so no interval", 1, FEWEST_GROUPS - 1),
        (f"under {ROUGH_UNDER} {unit} in the test set, so rough intervals", FEWEST_GROUPS, ROUGH_UNDER - 1),
    ):
        names = [name for name, number in groups_of_class.items() if low <= number <= high]
        if names:
            said.append(f"{what}: {', '.join(names)}")
    return said
