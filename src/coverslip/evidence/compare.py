"""Which of several models is better on the same test images, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.basis import draw_method
from coverslip.evidence.classification import TWO_CLASSES, part_warnings, whole_score
from coverslip.evidence.draws import SCORES, PartScores, draw_scores
from coverslip.evidence.intervals import FEWEST_GROUPS, bca, freedom_of_spread, quantile
from coverslip.evidence.paired import exchange_p, groups_needed, holm, joint_width, mcnemar_p
from coverslip.evidence.part import ScoredPart, check_part
from coverslip.evidence.resampling import strata_of_groups
from coverslip.evidence.scores import LOWER_IS_BETTER, read_sums
from coverslip.evidence.verdicts import better_of, sentence_of, too_few

FloatArray = NDArray[np.float64]


def compare(
    labels: NDArray[np.integer[Any]],
    probabilities: Mapping[str, NDArray[np.floating[Any]]],
    groups: NDArray[np.integer[Any]] | None,
    class_names: Sequence[str],
    *,
    predicted: Mapping[str, NDArray[np.integer[Any]]] | None = None,
    score: str = "accuracy",
    reference: str | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    smallest: float = 0.02,
    group_word: str = "groups",
) -> dict[str, Any]:
    """Paired differences of models that were tested on the same images.

    Every pair is compared, since a reader picks the pairs that look interesting after the fact; with ``reference``,
    a model chosen beforehand, only the pairs with it. Each difference has a paired bootstrap interval over groups
    (BCa) and the p of exchanging the two models' answers group by group; accuracy without groups has McNemar's exact
    test instead. With several pairs, p is adjusted by Holm's method, and ``low_all`` and ``high_all`` hold for all
    pairs at once (max-t). One model is called better only where both the adjusted p and those limits say so.

    The odd cases: models that give the same probabilities are named identical. Where every group shows the same
    difference there is no interval, since one of no width would claim certainty. Under five groups, or where one group
    is the whole test set, there is neither interval nor p. AUROC and MCC of one class alone have no value.

    Args:
        labels: (N,) integers, the true class of each image, 0 to K - 1.
        probabilities: model -> (N, K) floats as for `classification_evidence`, at least two models. Where they differ
            in precision, all are taken at the coarsest, so that a stored 0 costs every model the same.
        groups: (N,) integers; None where each image stands for itself.
        class_names: K different names, in the order of the columns.
        predicted: model -> (N,) the class that it named each image as; None: the most probable.
        score: "accuracy", "balanced_accuracy", "macro_f1", "mcc", "macro_auroc", "macro_auprc", "log_loss", "brier"
            or "ece"; of the last three, lower is better.
        reference: one of the models.
        level: of the intervals, between 0 and 1.
        resamples: of the bootstrap and of the exchanges, at least 100.
        seed: of both.
        smallest: the smallest difference that matters, above 0, for the number of groups that it would take.
        group_word: what a group is called, for example "leaves".

    Returns:
        Plain JSON values. ``runs`` holds the score of each model as in `test.json`, with its name. ``comparisons``
        holds for each pair ``difference`` (second less first), its limits, p and ``p_adjusted``, ``better`` (a name or
        null), ``needed`` (groups to see ``smallest`` with a power of 0.8), the images that only one of them names
        correctly, and a plain ``sentence``.

    Raises:
        ValueError: fewer than two models; an unknown score or reference; NaN or infinity (as of an infinite logit);
            and all that `classification_evidence` refuses.

    >>> labels = np.arange(200) % 2
    >>> def answers(wrong): return np.where(np.eye(2)[labels ^ (np.arange(200) % wrong == 0)] > 0, 0.9, 0.1)
    >>> told = compare(labels, {"A": answers(4), "B": answers(20)}, None, ["healthy", "rust"])
    >>> told["comparisons"][0]["sentence"]
    'B is better than A by 0.200 [0.152, 0.247]'
    """
    if len(probabilities) < 2:
        raise ValueError("a comparison needs at least two models")
    if score not in SCORES:
        raise ValueError(f"score must be one of {', '.join(SCORES)}, not {score!r}")
    if reference is not None and reference not in probabilities:
        raise ValueError(f"the reference must be one of {', '.join(probabilities)}, not {reference!r}")
    if not 0 < level < 1 or resamples < 100 or not smallest > 0:
        raise ValueError(f"level is {level}, resamples {resamples}, smallest {smallest}: see the docstring")
    names = list(probabilities)
    parts = _same_parts(labels, probabilities, groups, class_names, predicted or {})
    part = parts[0]
    scored = [PartScores(each, [score]) for each in parts]
    images = read_sums(scored[0].sums, part.classes).images
    strata = strata_of_groups(images)
    draws = [draw_scores(each, strata, resamples, seed, FEWEST_GROUPS, len(part.labels)) for each in scored]
    method = draw_method(part.unit, within_class=strata is not None, resamples=resamples)

    together = _Together(
        values=np.array([each.values[0] for each in draws]),
        resampled=np.stack([each.resampled[:, 0] for each in draws], axis=1),
        moves=np.stack([each.influence[:, 0] for each in draws], axis=1),
        freedom=len(images) - (1 if strata is None else len(np.unique(strata))),
        level=level,
    )
    one_class = (images.sum(axis=0) > 0).sum() < 2 and score in TWO_CLASSES
    valueless = f"{TWO_CLASSES[score]} needs images of two classes" if one_class else ""
    unit = group_word if part.grouped else "images"
    reason = valueless or too_few(len(images), unit)
    pairs = [pair for pair in combinations(range(len(names)), 2) if reference is None or names.index(reference) in pair]
    comparisons = [_counts(parts, names, pair) for pair in pairs]
    for told, pair in zip(comparisons, pairs, strict=True):
        told["difference"] = None if valueless else together.difference(pair)
        told |= {"low": None, "high": None, "low_all": None, "high_all": None, "method": f"paired {method}"}
        told |= {"p": None, "p_adjusted": None, "test": "", "needed": None, "reason": reason}
    if not reason:
        widest = together.joint_width(pairs) if len(pairs) > 1 else 0.0
        tests = [_test(parts[one], parts[two], score, resamples, seed) for one, two in pairs]
        adjusted = holm([p for p, _ in tests])
        for told, pair, (p, test), p_adjusted in zip(comparisons, pairs, tests, adjusted, strict=True):
            told |= {"p": p, "p_adjusted": p_adjusted, "test": test, **together.limits(pair, widest)}
            told["needed"] = groups_needed(together.error(pair), len(images), smallest, level, len(pairs))
    lower = score in LOWER_IS_BETTER
    for told in comparisons:
        told["better"] = better_of(told, lower, level)
        told["sentence"] = sentence_of(told, lower, smallest, len(images), unit)
    runs = [
        {"name": name, **whole_score(score, each, some.sums, drawn, level, method)}
        for name, each, some, drawn in zip(names, parts, scored, draws, strict=True)
    ]
    return {
        "score": score,
        "lower_is_better": lower,
        "level": level,
        "smallest": smallest,
        "images": len(part.labels),
        "groups": len(images),
        "grouped": part.grouped,
        "reference": reference,
        "runs": runs,
        "comparisons": comparisons,
        "warnings": part_warnings(part),
    }


def _same_parts(
    labels: NDArray[np.integer[Any]],
    probabilities: Mapping[str, NDArray[np.floating[Any]]],
    groups: NDArray[np.integer[Any]] | None,
    class_names: Sequence[str],
    predicted: Mapping[str, NDArray[np.integer[Any]]],
) -> list[ScoredPart]:
    """What each model said, rows in the same order for all."""
    arrays = {name: np.asarray(rows) for name, rows in probabilities.items()}
    for name, rows in arrays.items():
        if rows.shape != (len(labels), len(class_names)):
            raise ValueError(f"{name}: probabilities must be {(len(labels), len(class_names))}, not {rows.shape}")
        if not np.issubdtype(rows.dtype, np.floating):
            raise ValueError(f"{name}: probabilities must be floating point, not {rows.dtype}")
        broken = int((~np.isfinite(rows)).any(axis=1).sum())
        if broken:
            raise ValueError(f"{name}: the probabilities of {broken} images hold NaN or infinity")
    coarsest = min((rows.dtype for rows in arrays.values()), key=lambda dtype: dtype.itemsize)
    rounded = {name: rows.astype(coarsest) for name, rows in arrays.items()}
    order_by = np.concatenate(list(rounded.values()), axis=1).astype(np.float64)
    return [
        check_part(labels, rows, groups, class_names, order_by, predicted.get(name)) for name, rows in rounded.items()
    ]


@dataclass(frozen=True)
class _Together:
    """One score of M models: of the data, of every shared resample, and how it moves with each group."""

    values: FloatArray  # (M,)
    resampled: FloatArray  # (B, M)
    moves: FloatArray  # (G, M)
    freedom: int
    level: float

    def difference(self, pair: tuple[int, int]) -> float:
        """Second less first."""
        difference = float(self.values[pair[1]] - self.values[pair[0]])
        return 0.0 if abs(difference) < 1e-12 else difference

    def error(self, pair: tuple[int, int]) -> float:
        """Standard error of the difference, from how it moves with each group; 0 where it is rounding."""
        moves = self.moves[:, pair[1]] - self.moves[:, pair[0]]
        error = float(np.sqrt(np.nansum(moves**2) * len(moves) / max(1, self.freedom)))
        return error if error > 1e-9 else 0.0

    def joint_width(self, pairs: list[tuple[int, int]]) -> float:
        """In standard errors, for limits that hold for all pairs at once."""
        first, second = (np.array([pair[side] for pair in pairs]) for side in (0, 1))
        errors = np.array([self.error(pair) for pair in pairs])
        resampled = self.resampled[:, second] - self.resampled[:, first]
        return joint_width(self.values[second] - self.values[first], resampled, errors, self.level)

    def limits(self, pair: tuple[int, int], joint: float) -> dict[str, Any]:
        """Limits of one difference, alone and with the others; a lone pair has the same twice."""
        one, two = pair
        difference, resampled = self.difference(pair), self.resampled[:, two] - self.resampled[:, one]
        moves = self.moves[:, two] - self.moves[:, one]
        if self.error(pair) == 0:
            return {"reason": "the two show the same difference in every group, which is no certainty"}
        width = quantile(self.level, freedom_of_spread(moves, self.freedom))
        wider = width * max(1.0, joint / quantile(self.level))
        alone, all_at_once = (bca(difference, resampled, moves, some) for some in (width, wider))
        if alone is None:
            return {"reason": "the resamples show no spread about the difference"}
        low, high = all_at_once or alone
        return {"low": alone[0], "high": alone[1], "low_all": min(low, alone[0]), "high_all": max(high, alone[1])}


def _counts(parts: list[ScoredPart], names: list[str], pair: tuple[int, int]) -> dict[str, Any]:
    """The images on which two models differ."""
    first, second = (parts[side] for side in pair)
    right, also = first.predicted == first.labels, second.predicted == second.labels
    return {
        "first": names[pair[0]],
        "second": names[pair[1]],
        "identical": bool(
            (first.probabilities == second.probabilities).all() and (first.predicted == second.predicted).all()
        ),
        "only_first_right": int((right & ~also).sum()),
        "only_second_right": int((also & ~right).sum()),
        "named_differently": int((first.predicted != second.predicted).sum()),
    }


def _test(first: ScoredPart, second: ScoredPart, score: str, resamples: int, seed: int) -> tuple[float, str]:
    """The p-value of no difference, and the name of its test."""
    if score == "accuracy" and not first.grouped:
        right, also = first.predicted == first.labels, second.predicted == second.labels
        return mcnemar_p(int((right & ~also).sum()), int((also & ~right).sum())), "McNemar's exact test"
    return exchange_p(first, second, score, resamples, seed), f"sign-flip permutation over {first.unit}"
