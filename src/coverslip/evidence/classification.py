"""What a test part says about a classifier: every score with its interval, as `test.json` holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.intervals import (
    FEWEST_GROUPS,
    Limits,
    Score,
    all_right_limits,
    bca,
    proportion_limits,
    quantile,
)
from coverslip.evidence.part import ScoredPart, check_part
from coverslip.evidence.resampling import centered, influence, strata_of_groups, weight_blocks
from coverslip.evidence.scores import RankTable, f1_scores, group_sums, log_losses, mean_of_present, recalls

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ROUGH_UNDER = 20  # groups; an interval from fewer is given, with a warning


def classification_evidence(
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    groups: NDArray[np.integer[Any]] | None,
    class_names: Sequence[str],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Scores of a classifier with intervals over groups: the contents of `test.json`.

    Accuracy, recall and precision have a formula: exact without groups, Wilson on the effective number with them.
    The others are resampled over groups (BCa), and balanced accuracy without a mistake has an exact limit. A class
    without pictures scores null, and macro averages are over the classes present. A score has no interval (null with
    a reason) under five groups of what it is about, and where all resamples are equal: an interval of no width would
    claim certainty. The order of the rows does not matter.

    Args:
        labels: (N,) integers, the true class of each picture, 0 to K - 1.
        probabilities: (N, K) floats, 0 to 1, each row sums to 1. The predicted class is the first of the largest.
        groups: (N,) integers, any values: what was photographed several times (leaf, patient, slide). None where
            each picture stands for itself.
        class_names: K different names, in the order of the columns.
        level: of the intervals, between 0 and 1.
        resamples: of the bootstrap, at least 100.
        seed: of the bootstrap.

    Returns:
        A dictionary of plain Python values without NaN. For recall, ``images`` and ``groups`` count the pictures of
        the class, for precision the pictures predicted as the class.

    Raises:
        ValueError: no picture; shapes that do not agree; NaN; a label, probability, level or number out of range.

    >>> labels = np.array([0] * 30 + [1] * 30)
    >>> sure = np.where(np.arange(60) % 10 == 0, 0.4, 0.9)          # every tenth picture is wrong
    >>> rows = np.where(np.eye(2)[labels] > 0, sure[:, None], 1 - sure[:, None])
    >>> accuracy = classification_evidence(labels, rows, None, ["healthy", "rust"])["scores"]["accuracy"]
    >>> round(accuracy["value"], 3), round(accuracy["low"], 3), round(accuracy["high"], 3), accuracy["method"]
    (0.9, 0.795, 0.962, 'Clopper-Pearson')
    """
    if not 0 < level < 1 or resamples < 100:
        raise ValueError(f"level must lie between 0 and 1 and resamples be 100 or more, not {level} and {resamples}")
    part = check_part(labels, probabilities, groups, class_names)
    sums = group_sums(part.labels, part.predicted, part.loss, part.groups, part.classes)
    images = sums[:, part.classes : 2 * part.classes]
    strata = strata_of_groups(images)
    draws = _resample(part, sums, strata, resamples, seed)

    classes = {name: _class_scores(part, number, sums, draws, level) for number, name in enumerate(class_names)}
    whole = _Basis(len(part.labels), len(sums), level, part)
    freedom = whole.groups - (1 if strata is None else len(np.unique(strata)))
    one_class = "AUROC needs pictures of two classes" if (images.sum(axis=0) > 0).sum() < 2 else ""
    scores = {"accuracy": _proportion(part, sums[:, : part.classes].sum(axis=1), sums[:, -1], level)}
    for name in ("balanced_accuracy", "macro_f1", "macro_auroc", "log_loss"):
        undefined = one_class if name == "macro_auroc" else ""
        scores[name] = draws.score(name, whole, fewest=whole.groups, freedom=freedom, undefined=undefined)
    one_class_groups = bool(((images > 0).sum(axis=1) == 1).all())  # so that the recalls are independent
    if scores["accuracy"]["value"] == 1 and one_class_groups and whole.groups >= FEWEST_GROUPS:
        groups_of_class = (images > 0).sum(axis=0).astype(np.float64)
        limits = all_right_limits(groups_of_class[groups_of_class > 0], level)
        scores["balanced_accuracy"] = whole.score(1.0, limits, "exact limit where nothing went wrong (Buehler)")

    confusion = np.zeros((part.classes, part.classes), dtype=np.int64)
    np.add.at(confusion, (part.labels, part.predicted), 1)
    return {
        "images": whole.images,
        "groups": whole.groups,
        "grouped": part.grouped,
        "level": level,
        "scores": scores,
        "classes": classes,
        "confusion": confusion.tolist(),
        "class_names": list(class_names),
        "warnings": _warnings({name: each["groups"] for name, each in classes.items()}, whole.groups, part.unit),
    }


def _class_scores(part: ScoredPart, number: int, sums: FloatArray, draws: _Draws, level: float) -> dict[str, Any]:
    """The entry of one class; all null where it has no picture, though precision would be 0 by its formula."""
    hits, images, predictions = (sums[:, place * part.classes + number] for place in range(3))
    about, rest = images > 0, sums[:, -1] > images
    basis = _Basis(int(images.sum()), int(about.sum()), level, part)
    absent = "" if about.any() else "no picture of this class in the test part"
    alone = "" if rest.any() else "AUROC needs pictures of another class"
    fewest = min(basis.groups, int(rest.sum()))  # AUROC is about both sides
    return {
        "precision": _proportion(part, hits, predictions, level, absent),
        "recall": _proportion(part, hits, images, level, absent),
        "f1": draws.score(f"f1 {number}", basis, fewest=basis.groups, freedom=basis.groups - 1, undefined=absent),
        "auroc": draws.score(f"auroc {number}", basis, fewest=fewest, freedom=fewest - 1, undefined=absent or alone),
        "images": basis.images,
        "groups": basis.groups,
    }


@dataclass(frozen=True)
class _Basis:
    """What a score rests on."""

    images: int
    groups: int
    level: float
    part: ScoredPart

    def score(self, value: float | None, limits: Limits | None, method: str, reason: str = "") -> Score:
        low, high = limits or (None, None)
        score = Score(
            value=value, low=low, high=high, level=self.level, method=method, images=self.images, groups=self.groups
        )
        if low is None:
            score["reason"] = reason
        return score

    def too_few(self, groups: int) -> str:
        unit = self.part.unit[:-1] + " is" if groups == 1 else self.part.unit + " are"
        return f"{groups} {unit} too few for an interval ({FEWEST_GROUPS} are needed)"


def _proportion(part: ScoredPart, hits: FloatArray, counts: FloatArray, level: float, undefined: str = "") -> Score:
    """Hits over counts, both (G,); ``undefined`` says why there is no value."""
    about = counts > 0
    basis = _Basis(int(counts.sum()), int(about.sum()), level, part)
    method = "Wilson on the effective number, t quantile" if part.grouped else "Clopper-Pearson"
    if undefined or basis.images == 0:
        return basis.score(None, None, method, undefined or "no picture was predicted as this class")
    value = float(hits.sum() / basis.images)
    if basis.groups < FEWEST_GROUPS:
        return basis.score(value, None, method, basis.too_few(basis.groups))
    return basis.score(value, proportion_limits(hits[about], counts[about], level, grouped=part.grouped), method)


@dataclass(frozen=True)
class _Draws:
    """The resampled scores: a column a score, named."""

    columns: list[str]
    values: FloatArray  # (S,)
    resampled: FloatArray  # (B, S); no row where there are too few groups
    influence: FloatArray  # (G, S)
    method: str

    def score(self, name: str, basis: _Basis, *, fewest: int, freedom: int, undefined: str = "") -> Score:
        """One column; ``fewest`` groups decide whether it has an interval, ``undefined`` says why it has no value."""
        if undefined:
            return basis.score(None, None, self.method, undefined)
        column = self.columns.index(name)
        value = float(self.values[column])
        if fewest < FEWEST_GROUPS:
            return basis.score(value, None, self.method, basis.too_few(fewest))
        width = quantile(basis.level, freedom)
        limits = bca(value, self.resampled[:, column], self.influence[:, column], width)
        return basis.score(value, limits, self.method, "the resamples show no spread about the value")


def _resample(part: ScoredPart, sums: FloatArray, strata: IntArray | None, resamples: int, seed: int) -> _Draws:
    """All scores without a formula, for the data and for every resample of the groups."""
    numbers = range(part.classes)
    columns = ["balanced_accuracy", "macro_f1", "log_loss", *(f"f1 {number}" for number in numbers)]
    columns += ["macro_auroc", *(f"auroc {number}" for number in numbers)]
    sides = [part.labels == number for number in numbers]
    tables = {
        number: RankTable(part.probabilities[:, number], sides[number], part.groups)
        for number in numbers
        if sides[number].any() and not sides[number].all()
    }

    def from_sums(some: FloatArray) -> FloatArray:  # (..., 3 K + 2) -> (..., K + 3)
        f1 = f1_scores(some)
        averages = [mean_of_present(recalls(some)), mean_of_present(f1), log_losses(some)]
        return np.concatenate([np.stack(averages, axis=-1), f1], axis=-1)

    def from_ranks(weights: FloatArray) -> FloatArray:  # (G, B) -> (B, K + 1)
        each = np.full((weights.shape[1], part.classes), np.nan)
        for number, table in tables.items():
            each[:, number] = table.auroc(weights)
        return np.concatenate([mean_of_present(each)[:, None], each], axis=1)

    groups = len(sums)
    values = np.concatenate([from_sums(sums.sum(axis=0)), from_ranks(np.ones((groups, 1)))[0]])
    method = f"BCa bootstrap over {part.unit}{'' if strata is None else ' within class'}, {resamples} resamples"
    if groups < FEWEST_GROUPS:
        return _Draws(columns, values, np.empty((0, len(columns))), np.empty((0, len(columns))), method)

    within = np.zeros(groups, dtype=np.int64) if strata is None else strata
    blocks = weight_blocks(within, resamples, seed, max(len(part.labels), sums.shape[1]))
    drawn = [np.concatenate([from_sums(weights.T @ sums), from_ranks(weights)], axis=1) for weights in blocks]
    moves = np.zeros((groups, part.classes + 1))
    for number, table in tables.items():
        moves[:, number + 1] = table.influence()
    moves[:, 0] = moves.sum(axis=1) / max(1, len(tables))
    moves = np.concatenate([influence(sums, within, from_sums), centered(moves, within)], axis=1)
    return _Draws(columns, values, np.concatenate(drawn), moves, method)


def _warnings(groups_of_class: dict[str, int], groups: int, unit: str) -> list[str]:
    """Plain sentences on what the test part cannot show."""
    said = [f"the test part has only {groups} {unit}: its intervals are rough"] if groups < ROUGH_UNDER else []
    for what, low, high in (
        ("not in the test part, so left out of the averages", 0, 0),
        (f"under {FEWEST_GROUPS} {unit} in the test part, so no interval", 1, FEWEST_GROUPS - 1),
        (f"under {ROUGH_UNDER} {unit} in the test part, so rough intervals", FEWEST_GROUPS, ROUGH_UNDER - 1),
    ):
        names = [name for name, number in groups_of_class.items() if low <= number <= high]
        if names:
            said.append(f"{what}: {', '.join(names)}")
    return said
