"""All scores of a classifier on a test set with confidence intervals: the contents of ``test.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.bootstrap import CLASS_SCORES, BootstrapScores, ClassificationScorer, bootstrap_scores
from coverslip.evidence.evaluation_data import EvaluationData, check_evaluation_data
from coverslip.evidence.intervals import MIN_GROUPS, Score, perfect_recall_interval
from coverslip.evidence.resampling import strata_of_groups
from coverslip.evidence.scores import read_sums
from coverslip.evidence.support import Support, bootstrap_method, proportion_score

FloatArray = NDArray[np.float64]
WARN_UNDER_GROUPS = 20  # with fewer groups the interval is given with a warning
MAX_GROUP_SHARE = 0.5  # if one group contains a larger share of the images, the interval is given with a warning
OVERALL_SCORES = (
    "accuracy", "balanced_accuracy", "macro_f1", "mcc", "macro_auroc", "macro_auprc", "log_loss", "brier", "ece",
)  # fmt: skip
TWO_CLASSES = {  # scores that are undefined if all images are of one class
    "macro_auroc": "AUROC",
    "macro_auprc": "the area under the precision-recall curve",
    "mcc": "MCC",
}


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
    """Return the scores of a classifier with confidence intervals over groups, as stored in ``test.json``.

    Accuracy, recall, precision, sensitivity and specificity are proportions: Clopper-Pearson without groups, Wilson's
    interval with the effective sample size with groups. All other scores are resampled over groups (BCa bootstrap),
    within class if each group has images of one class only. Scores with a finite range never get an interval narrower
    than Wilson's with the effective sample size, and balanced accuracy without any error has an exact lower limit.

    A class without images has null scores, and macro averages are over the classes present. The same holds in a
    resample that contains no image of a class: its scores are missing there, and averages are over the other classes.

    The interval is null, with a reason, if there are fewer than 5 groups, in particular if one group is the whole test
    set, and if all resamples are equal, because an interval of zero width would claim certainty. The result does not
    depend on the order of the rows.

    Args:
        labels: true class ids, shape (N,), values in 0..K-1.
        probabilities: floating point, shape (N, K), values in 0 to 1, rows sum to 1.
        groups: integer group ids of any value, shape (N,): leaf, patient or slide of each image. None if each image
            is its own group.
        class_names: K different names, in the order of the columns.
        predicted: predicted class ids, shape (N,), if they follow from a rule that was fixed on other images (a
            `threshold`). By default the first class of largest probability.
        positive: for two classes, the positive class: adds sensitivity (its recall) and specificity (the recall of
            the other class).
        level: confidence level, between 0 and 1.
        resamples: number of bootstrap resamples, at least 100.
        seed: random seed of the bootstrap.

    Returns:
        Plain Python values without NaN: ``images``, ``groups``, ``grouped``, ``level``, ``scores`` and ``classes``
        (name -> `Score`), ``confusion`` (K x K counts, rows are true classes), ``class_names`` and ``warnings``. In
        the scores of a class, ``images`` and ``groups`` count the images of the class; for precision, the images
        predicted as the class.

    Raises:
        ValueError: there is no image; shapes do not match; NaN or infinity; a label, probability, ``level`` or
            ``resamples`` is out of range; ``positive`` is not one of two classes.

    >>> labels = np.array([0] * 30 + [1] * 30)
    >>> confidence = np.where(np.arange(60) % 10 == 0, 0.4, 0.9)  # every tenth image is misclassified
    >>> rows = np.where(np.eye(2)[labels] > 0, confidence[:, None], 1 - confidence[:, None])
    >>> accuracy = classification_evidence(labels, rows, None, ["healthy", "rust"])["scores"]["accuracy"]
    >>> round(accuracy["value"], 3), round(accuracy["low"], 3), round(accuracy["high"], 3), accuracy["method"]
    (0.9, 0.795, 0.962, 'Clopper-Pearson')
    """
    if not 0 < level < 1 or resamples < 100:
        raise ValueError(f"level must lie between 0 and 1 and resamples be at least 100, not {level} and {resamples}")
    data = check_evaluation_data(labels, probabilities, groups, class_names, predicted=predicted)
    if positive is not None and (data.classes != 2 or positive not in class_names):
        raise ValueError(f"positive must be one of exactly two classes, not {positive!r} of {data.classes}")
    scorer = ClassificationScorer(data, [*OVERALL_SCORES[1:], *CLASS_SCORES])  # accuracy has a closed form
    images = read_sums(scorer.sums, data.classes).images
    strata = strata_of_groups(images)
    resampled = bootstrap_scores(scorer, strata, resamples, seed, MIN_GROUPS, len(data.labels))
    method = bootstrap_method(data.unit, within_class=strata is not None, resamples=resamples)

    classes = {
        name: _class_scores(data, class_id, scorer.sums, resampled, level, method)
        for class_id, name in enumerate(class_names)
    }
    scores = {name: overall_score(name, data, scorer.sums, resampled, level, method) for name in OVERALL_SCORES}
    if positive is not None:
        recalls = {name: entry["recall"].copy() for name, entry in classes.items()}
        scores["sensitivity"] = recalls.pop(positive)
        scores["specificity"] = recalls.popitem()[1]

    confusion = np.zeros((data.classes, data.classes), dtype=np.int64)
    np.add.at(confusion, (data.labels, data.predicted), 1)
    groups_per_class = {name: entry["groups"] for name, entry in classes.items()}
    return {
        "images": len(data.labels),
        "groups": len(images),
        "grouped": data.grouped,
        "level": level,
        "scores": scores,
        "classes": classes,
        "confusion": confusion.tolist(),
        "class_names": list(class_names),
        "warnings": sample_size_warnings(data.groups, grouped=data.grouped)
        + _class_warnings(groups_per_class, data.unit),
    }


def overall_score(
    name: str, data: EvaluationData, columns: FloatArray, resampled: BootstrapScores, level: float, method: str
) -> Score:
    """Return one score over all classes with its interval.

    Args:
        name: name from `SCORES`.
        data: images with labels and predictions.
        columns: sums per group from `group_sums`, shape (G, any).
        resampled: bootstrap scores with a column ``name``; not needed for accuracy, which has a closed form.
        level: confidence level, between 0 and 1.
        method: description of the bootstrap, from `bootstrap_method`.
    """
    sums = read_sums(columns, data.classes)
    has_class = sums.images > 0  # (G, K)
    support = Support(len(data.labels), len(columns), level, data.grouped)
    if name == "accuracy":
        return proportion_score(sums.hits.sum(axis=1), sums.number, level, grouped=data.grouped)
    groups_per_class = has_class.sum(axis=0)[has_class.any(axis=0)].astype(np.float64)
    # the recalls of different classes are independent only if no group contributes to two of them
    one_class_groups = bool((has_class.sum(axis=1) == 1).all())
    all_correct = bool((sums.hits.sum(axis=1) == sums.number).all())
    if name == "balanced_accuracy" and all_correct and one_class_groups and support.groups >= MIN_GROUPS:
        interval = perfect_recall_interval(groups_per_class, level)
        return support.score(1.0, interval, "exact limit for a result without errors (Buehler)")
    one_class = len(groups_per_class) < 2
    undefined = f"{TWO_CLASSES[name]} requires images of two classes" if one_class and name in TWO_CLASSES else ""
    strata = strata_of_groups(sums.images)
    max_df = support.groups - (1 if strata is None else len(np.unique(strata)))
    # Every class has the same weight in a macro average, so rare classes dominate its variance: K classes of n_k
    # groups are worth K^2 / sum(1 / n_k) groups.
    number = len(groups_per_class) ** 2 / float((1 / groups_per_class).sum()) if one_class_groups else None
    return support.bootstrap_score(
        resampled, name, method, groups=support.groups, max_df=max_df, fallback_number=number, undefined=undefined
    )


def _class_scores(
    data: EvaluationData, class_id: int, columns: FloatArray, resampled: BootstrapScores, level: float, method: str
) -> dict[str, Any]:
    """Return the scores of one class; all null if it has no image, although precision would be 0 by its formula."""
    sums = read_sums(columns, data.classes)
    hits, images, predictions = (column[:, class_id] for column in (sums.hits, sums.images, sums.predictions))
    with_class, with_others = images > 0, sums.number > images
    support = Support(int(images.sum()), int(with_class.sum()), level, data.grouped)
    absent = "" if with_class.any() else "no image of this class in the test set"
    entry: dict[str, Any] = {
        "precision": proportion_score(hits, predictions, level, grouped=data.grouped, undefined=absent),
        "recall": proportion_score(hits, images, level, grouped=data.grouped, undefined=absent),
    }
    smaller_side = min(support.groups, int(with_others.sum()))  # a ranking compares the class with all others
    for name, groups, description in (
        ("f1", support.groups, ""),
        ("auroc", smaller_side, "AUROC"),
        ("auprc", smaller_side, "the area under the precision-recall curve"),
    ):
        one_sided = bool(description) and not with_others.any()
        undefined = absent or (f"{description} requires images of another class" if one_sided else "")
        entry[name] = support.bootstrap_score(
            resampled, f"{name} {class_id}", method, groups=groups, max_df=groups - 1, undefined=undefined
        )
    return entry | {"images": support.images, "groups": support.groups}


def sample_size_warnings(groups: NDArray[np.int64], *, grouped: bool) -> list[str]:
    """Return warnings about too few groups and about one group that dominates the test set.

    Args:
        groups: group ids, shape (N,), values in 0..G-1, each of which occurs.
        grouped: False if each image is its own group.
    """
    sizes = np.bincount(groups)
    if len(sizes) == 1 and grouped:
        return [
            "all test images belong to one group: the result does not generalize to other groups, so there is no "
            "interval"
        ]
    warnings = []
    if len(sizes) < WARN_UNDER_GROUPS:
        unit = "group" if grouped else "image"
        count = f"{len(sizes)} {unit}{'s' if len(sizes) > 1 else ''}"
        warnings.append(f"the test set has only {count}: the intervals are approximate")
    share = float(sizes.max() / sizes.sum())
    if grouped and share > MAX_GROUP_SHARE:
        warnings.append(f"one group contains {share:.0%} of the test images: the intervals are approximate")
    return warnings


def _class_warnings(groups_per_class: dict[str, int], unit: str) -> list[str]:
    """Return warnings about classes with no or few groups in the test set."""
    warnings = []
    for description, low, high in (
        ("not in the test set and excluded from the averages", 0, 0),
        (f"fewer than {MIN_GROUPS} {unit} in the test set, so there is no interval", 1, MIN_GROUPS - 1),
        (
            f"fewer than {WARN_UNDER_GROUPS} {unit} in the test set, so the intervals are approximate",
            MIN_GROUPS,
            WARN_UNDER_GROUPS - 1,
        ),
    ):
        names = [name for name, number in groups_per_class.items() if low <= number <= high]
        if names:
            warnings.append(f"{description}: {', '.join(names)}")
    return warnings
