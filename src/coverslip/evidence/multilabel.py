"""All scores of predicted labels on a test set with confidence intervals over groups: the contents of ``test.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.bootstrap import BootstrapScores, bootstrap_scores
from coverslip.evidence.classification import WARN_UNDER_GROUPS, sample_size_warnings
from coverslip.evidence.intervals import MIN_GROUPS
from coverslip.evidence.ranks import RankTable
from coverslip.evidence.resampling import centered, group_ids, influence
from coverslip.evidence.scores import mean_of_present
from coverslip.evidence.support import Support, bootstrap_method, proportion_score

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Groups = NDArray[np.integer[Any]]
OVERALL = ("macro_f1", "micro_f1", "mean_average_precision", "macro_auroc", "hamming_loss", "log_loss", "exact_match")
LABEL = ("f1", "auroc", "auprc")
ONE_SIDED = "no label has images with it and images without it"
SMALLEST = float(np.finfo(np.float32).eps)  # probabilities are clipped to it for the log loss


class LabelScorer:
    """Scores of predicted labels as a function of group weights.

    A label without images has no F1, AUROC or average precision and is left out of their means.

    Args:
        members: true labels, shape (N, L).
        probabilities: predicted probabilities, shape (N, L).
        predicted: predicted labels, shape (N, L).
        groups: group ids, shape (N,), values in 0..G-1, each of which occurs.

    Attributes:
        sums: sums per group, shape (G, 3 L + 4): per label true positives, images and predictions; exact matches,
            share of wrong labels, log loss, images.
    """

    def __init__(self, members: BoolArray, probabilities: FloatArray, predicted: BoolArray, groups: IntArray) -> None:
        self.labels = members.shape[1]
        clipped = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
        loss = -np.log(np.where(members, clipped, 1 - clipped)).mean(axis=1)
        wrong = members != predicted
        rows = [members & predicted, members, predicted, ~wrong.any(axis=1, keepdims=True)]
        rows += [wrong.mean(axis=1, keepdims=True), loss[:, None], np.ones((len(members), 1))]
        stacked = np.concatenate([row.astype(np.float64) for row in rows], axis=1)
        number = int(groups.max()) + 1
        self.sums: FloatArray = np.zeros((number, stacked.shape[1]))
        np.add.at(self.sums, groups, stacked)
        self.tables: dict[int, RankTable] = {}
        for label in range(self.labels):
            positive = members[:, label]
            if positive.any() and not positive.all():
                self.tables[label] = RankTable(probabilities[:, label], positive, groups, number)

    @property
    def columns(self) -> list[str]:
        """Names of the scores."""
        return [*OVERALL, *(f"{name} {label}" for name in LABEL for label in range(self.labels))]

    def of_sums(self, sums: FloatArray) -> FloatArray:
        """Return scores of sums, shape (..., S), from shape (..., C); scores of ranks are NaN."""
        hits, images, predictions = (sums[..., block * self.labels : (block + 1) * self.labels] for block in range(3))
        exact, wrong, loss, count = (sums[..., 3 * self.labels + index] for index in range(4))
        f1 = np.where(images > 0, _ratio(2 * hits, images + predictions), np.nan)
        micro = _ratio(2 * hits.sum(axis=-1), images.sum(axis=-1) + predictions.sum(axis=-1))
        ranks = np.full((*sums.shape[:-1], 2 * self.labels), np.nan)
        empty = np.full(count.shape, np.nan)
        overall = [mean_of_present(f1), micro, empty, empty, *(_ratio(each, count) for each in (wrong, loss, exact))]
        return np.concatenate([np.stack(overall, axis=-1), f1, ranks], axis=-1)

    def at(self, weights: FloatArray) -> FloatArray:
        """Return scores, shape (B, S), at group weights, shape (G, B)."""
        areas = np.full((2, weights.shape[1], self.labels), np.nan)
        for label, table in self.tables.items():
            areas[:, :, label] = table.areas(weights)
        return self._with_ranks(self.of_sums(weights.T @ self.sums), areas, mean_of_present(areas))

    def influence(self, strata: IntArray) -> FloatArray:
        """Return the influence of each group on each score, shape (G, S), mean 0 within each stratum."""
        values = influence(self.sums, strata, self.of_sums)
        areas = np.full((2, len(values), self.labels), np.nan)
        for label, table in self.tables.items():
            areas[:, :, label] = table.influence()
        mean = np.nansum(areas, axis=-1) / max(1, len(self.tables))
        return centered(self._with_ranks(values, areas, mean), strata)

    def _with_ranks(self, columns: FloatArray, areas: FloatArray, mean: FloatArray) -> FloatArray:
        start = len(OVERALL) + self.labels
        columns[..., start : start + self.labels] = areas[0]
        columns[..., start + self.labels :] = areas[1]
        columns[..., OVERALL.index("macro_auroc")], columns[..., OVERALL.index("mean_average_precision")] = mean
        return columns


def multilabel_evidence(
    members: BoolArray,
    probabilities: FloatArray,
    predicted: BoolArray,
    groups: Groups | None,
    names: Sequence[str],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the scores of predicted labels with confidence intervals over groups, as stored in ``test.json``.

    Exact match, recall and precision are proportions; all other scores are resampled over groups (BCa bootstrap). With
    fewer than 5 groups there is no interval. The result does not depend on the order of the rows.

    Args:
        members: true labels, shape (N, L); an image may have none.
        probabilities: predicted probabilities, shape (N, L), values in 0 to 1.
        predicted: predicted labels, shape (N, L), by thresholds that were fixed on other images.
        groups: integer group ids of any value, shape (N,); None if each image is its own group.
        names: names of the L labels.
        level: confidence level, between 0 and 1.
        resamples: number of bootstrap resamples.
        seed: random seed of the bootstrap.

    Returns:
        Plain Python values without NaN: ``images``, ``groups``, ``grouped``, ``level``, ``class_names``, ``warnings``;
        ``scores``: ``macro_f1`` (mean over labels), ``micro_f1`` (over all pairs of image and label),
        ``mean_average_precision``, ``macro_auroc``, ``exact_match`` (share of images with all labels right),
        ``hamming_loss`` (share of wrong labels) and ``log_loss``; and ``classes``: for each label precision, recall,
        F1, AUROC and AUPRC.

    Raises:
        ValueError: there is no image, shapes do not match, or a probability is NaN.

    >>> members = np.eye(4, dtype=bool)[np.arange(40) % 4]
    >>> evidence = multilabel_evidence(members, members * 0.8 + 0.1, members, None, list("abcd"), resamples=200)
    >>> evidence["scores"]["macro_f1"]["value"], evidence["scores"]["exact_match"]["value"]
    (1.0, 1.0)
    """
    if members.shape != probabilities.shape or members.shape != predicted.shape or members.shape[1] != len(names):
        raise ValueError(f"shapes do not match: {members.shape}, {probabilities.shape} and {predicted.shape}")
    if not len(members) or not np.isfinite(probabilities).all():
        raise ValueError("there is no image, or a probability is NaN or infinite")
    codes, grouped = group_ids(groups, len(members)), groups is not None
    order = np.lexsort((*probabilities.T, *members.T, codes))
    members, probabilities, predicted, codes = members[order], probabilities[order], predicted[order], codes[order]
    scorer = LabelScorer(members, probabilities, predicted, codes)
    number = len(scorer.sums)
    resampled = bootstrap_scores(scorer, None, resamples, seed, MIN_GROUPS, len(members))
    support = Support(len(members), number, level, grouped)
    scores = {name: support.resampled_score(resampled, name, resamples, ONE_SIDED) for name in OVERALL[:-1]}
    exact, count = scorer.sums[:, 3 * len(names)], scorer.sums[:, -1]  # a proportion has a closed form
    scores["exact_match"] = proportion_score(exact, count, level, grouped=grouped)
    classes = {name: _scores_of_label(scorer, resampled, index, support) for index, name in enumerate(names)}
    return {
        "images": len(members),
        "groups": number,
        "grouped": grouped,
        "level": level,
        "scores": scores,
        "classes": classes,
        "class_names": list(names),
        "warnings": sample_size_warnings(codes, grouped=grouped) + _label_warnings(classes, support.unit),
    }


def _scores_of_label(scorer: LabelScorer, resampled: BootstrapScores, label: int, support: Support) -> dict[str, Any]:
    """Return the scores of one label; all null if no image has it."""
    hits, images, predictions = (scorer.sums[:, block * scorer.labels + label] for block in range(3))
    with_label, with_others = images > 0, scorer.sums[:, -1] > images
    own = Support(int(images.sum()), int(with_label.sum()), support.level, support.grouped)
    absent = "" if with_label.any() else "no image of the test set has this label"
    method = bootstrap_method(support.unit, within_class=False, resamples=len(resampled.resampled))
    entry: dict[str, Any] = {
        "precision": proportion_score(hits, predictions, own.level, grouped=own.grouped, undefined=absent),
        "recall": proportion_score(hits, images, own.level, grouped=own.grouped, undefined=absent),
    }
    smaller = min(own.groups, int(with_others.sum()))
    for name in LABEL:
        groups = own.groups if name == "f1" else smaller
        one_sided = "" if with_others.any() or name == "f1" else "every image of the test set has this label"
        entry[name] = own.bootstrap_score(
            resampled, f"{name} {label}", method, groups=groups, max_df=groups - 1, undefined=absent or one_sided
        )
    return entry | {"images": own.images, "groups": own.groups}


def _label_warnings(classes: dict[str, Any], unit: str) -> list[str]:
    warnings = []
    absent = [name for name, entry in classes.items() if not entry["groups"]]
    few = [name for name, entry in classes.items() if 0 < entry["groups"] < WARN_UNDER_GROUPS]
    if absent:
        warnings.append(f"no image of the test set has these labels: {', '.join(absent)}")
    if few:
        warnings.append(f"fewer than {WARN_UNDER_GROUPS} {unit} of the test set have these labels: {', '.join(few)}")
    return warnings


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    undefined = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    return np.asarray(np.divide(numerator, denominator, out=undefined, where=denominator > 0))
