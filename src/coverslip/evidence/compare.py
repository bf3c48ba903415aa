"""Paired comparison of models on the same test images: which is better, and how certain that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.bootstrap import SCORES, BootstrapScores, ClassificationScorer, bootstrap_scores
from coverslip.evidence.classification import TWO_CLASSES, overall_score, sample_size_warnings
from coverslip.evidence.evaluation_data import EvaluationData, check_evaluation_data
from coverslip.evidence.intervals import MIN_GROUPS, bca_interval, critical_value, effective_df
from coverslip.evidence.paired import groups_for_power, holm, max_t_quantile, mcnemar_p, permutation_p
from coverslip.evidence.resampling import strata_of_groups
from coverslip.evidence.score_specs import score_spec
from coverslip.evidence.scores import read_sums
from coverslip.evidence.support import bootstrap_method
from coverslip.evidence.verdicts import better_model, comparison_sentence, too_few_groups

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
    """Return paired differences between models that were tested on the same images.

    All pairs are compared, because readers pick the interesting pairs after the fact; with ``reference``, a model
    chosen in advance, only the pairs that include it. Each difference has a paired bootstrap interval over groups
    (BCa) and the p-value of a permutation test that swaps the predictions of both models group by group; accuracy
    without groups has McNemar's exact test instead. With several pairs, p-values are adjusted by Holm's method, and
    ``low_all`` and ``high_all`` are simultaneous limits for all pairs (max-t). A model is called better only if both
    the adjusted p-value and the simultaneous interval support it.

    Special cases: models with the same probabilities are reported as identical. If all groups show the same
    difference, there is no interval, because zero width would claim certainty. With fewer than 5 groups, in particular
    if one group is the whole test set, there is neither an interval nor a p-value. AUROC, average precision and MCC
    are undefined if all images are of one class.

    Args:
        labels: true class ids, shape (N,), values in 0..K-1.
        probabilities: model name -> probabilities as for `classification_evidence`, shape (N, K), for at least two
            models. If the dtypes differ, all are rounded to the least precise one, so that a probability stored as 0
            has the same log loss for all models.
        groups: integer group ids, shape (N,); None if each image is its own group.
        class_names: K different names, in the order of the columns.
        predicted: model name -> predicted class ids, shape (N,); by default the most probable class.
        score: "accuracy", "balanced_accuracy", "macro_f1", "mcc", "macro_auroc", "macro_auprc", "log_loss", "brier"
            or "ece"; for the last three, lower is better.
        reference: name of one of the models.
        level: confidence level, between 0 and 1.
        resamples: number of bootstrap resamples and of permutations, at least 100.
        seed: random seed of both.
        smallest: smallest difference of interest, above 0, for the number of groups required to detect it.
        group_word: plural noun for the groups, for example "leaves".

    Returns:
        Plain JSON values. ``runs`` contains the score of each model with its name, as in ``test.json``.
        ``comparisons`` contains for each pair ``difference`` (second minus first), its limits, ``p`` and
        ``p_adjusted``, ``better`` (a name or null), ``needed`` (number of groups to detect ``smallest`` with a power
        of 0.8), the number of images that only one of them classifies correctly, and a ``sentence``.

    Raises:
        ValueError: fewer than two models; unknown ``score`` or ``reference``; probabilities that contain NaN or
            infinity; all conditions of `classification_evidence`.

    >>> labels = np.arange(200) % 2
    >>> def predict(error): return np.where(np.eye(2)[labels ^ (np.arange(200) % error == 0)] > 0, 0.9, 0.1)
    >>> result = compare(labels, {"A": predict(4), "B": predict(20)}, None, ["healthy", "rust"])
    >>> result["comparisons"][0]["sentence"]
    'B is better than A by 0.200 [0.152, 0.247]'
    """
    if len(probabilities) < 2:
        raise ValueError("a comparison requires at least two models")
    if score not in SCORES:
        raise ValueError(f"score must be one of {', '.join(SCORES)}, not {score!r}")
    if reference is not None and reference not in probabilities:
        raise ValueError(f"reference must be one of {', '.join(probabilities)}, not {reference!r}")
    if not 0 < level < 1 or resamples < 100 or not smallest > 0:
        raise ValueError(
            "level must lie between 0 and 1, resamples be at least 100 and smallest above 0, "
            f"not {level}, {resamples} and {smallest}"
        )
    names = list(probabilities)
    models = _check_models(labels, probabilities, groups, class_names, predicted or {})
    data = models[0]
    scorers = [ClassificationScorer(model, [score]) for model in models]
    images = read_sums(scorers[0].sums, data.classes).images
    strata = strata_of_groups(images)
    resampled = [bootstrap_scores(scorer, strata, resamples, seed, MIN_GROUPS, len(data.labels)) for scorer in scorers]
    method = bootstrap_method(data.unit, within_class=strata is not None, resamples=resamples)

    one_class = (images.sum(axis=0) > 0).sum() < 2 and score in TWO_CLASSES
    undefined = f"{TWO_CLASSES[score]} requires images of two classes" if one_class else ""
    unit, lower_is_better = group_word if data.grouped else "images", score_spec(score).lower_is_better
    comparisons = compare_scored(
        names,
        resampled,
        0,
        max_df=len(images) - (1 if strata is None else len(np.unique(strata))),
        groups=len(images),
        unit=unit,
        method=method,
        undefined=undefined,
        agreement=lambda pair: _agreement(models, names, pair),
        test=lambda pair: _test(models[pair[0]], models[pair[1]], score, resamples, seed),
        reference=reference,
        lower_is_better=lower_is_better,
        level=level,
        smallest=smallest,
    )
    runs = [
        {"name": name, **overall_score(score, model, scorer.sums, scores, level, method)}
        for name, model, scorer, scores in zip(names, models, scorers, resampled, strict=True)
    ]
    return {
        "score": score,
        "lower_is_better": lower_is_better,
        "level": level,
        "smallest": smallest,
        "images": len(data.labels),
        "groups": len(images),
        "grouped": data.grouped,
        "reference": reference,
        "runs": runs,
        "comparisons": comparisons,
        "warnings": sample_size_warnings(data.groups, grouped=data.grouped),
    }


def compare_scored(
    names: Sequence[str],
    resampled: Sequence[BootstrapScores],
    column: int,
    *,
    max_df: int,
    groups: int,
    unit: str,
    method: str,
    undefined: str,
    agreement: Callable[[tuple[int, int]], dict[str, Any]],
    test: Callable[[tuple[int, int]], tuple[float, str]],
    reference: str | None,
    lower_is_better: bool,
    level: float,
    smallest: float,
) -> list[dict[str, Any]]:
    """Return the entries ``comparisons`` of `compare` for any score of any task.

    Args:
        names: names of M models.
        resampled: scores of each model in the same resamples.
        column: column of the score.
        max_df: maximal degrees of freedom of Student's t.
        groups: number of groups.
        unit: plural noun for the groups.
        method: description of the bootstrap.
        undefined: why the score is undefined; empty if it is defined.
        agreement: pair of model numbers -> their names, whether they are identical, and on how many images they differ.
        test: pair of model numbers -> p-value and name of the test.
        reference: name of a model chosen in advance; only its pairs are compared.
        lower_is_better: whether a lower score is better.
        level: confidence level.
        smallest: smallest difference of interest.
    """
    paired = _PairedScores(
        values=np.array([scores.values[column] for scores in resampled]),
        resampled=np.stack([scores.resampled[:, column] for scores in resampled], axis=1),
        influence=np.stack([scores.influence[:, column] for scores in resampled], axis=1),
        max_df=max_df,
        level=level,
    )
    reason = undefined or too_few_groups(groups, unit)
    pairs = [pair for pair in combinations(range(len(names)), 2) if reference is None or names.index(reference) in pair]
    comparisons = [agreement(pair) for pair in pairs]
    for comparison, pair in zip(comparisons, pairs, strict=True):
        comparison["difference"] = None if undefined else paired.difference(pair)
        comparison |= {"low": None, "high": None, "low_all": None, "high_all": None, "method": f"paired {method}"}
        comparison |= {"p": None, "p_adjusted": None, "test": "", "needed": None, "reason": reason}
    if not reason:
        joint = paired.joint_critical_value(pairs) if len(pairs) > 1 else 0.0
        tests = [test(pair) for pair in pairs]
        adjusted = holm([p for p, _ in tests])
        for comparison, pair, (p, name), p_adjusted in zip(comparisons, pairs, tests, adjusted, strict=True):
            comparison |= {"p": p, "p_adjusted": p_adjusted, "test": name, **paired.limits(pair, joint)}
            error = paired.standard_error(pair)
            comparison["needed"] = groups_for_power(error, groups, smallest, level, len(pairs))
    for comparison in comparisons:
        comparison["better"] = better_model(comparison, lower_is_better, level)
        comparison["sentence"] = comparison_sentence(comparison, lower_is_better, smallest, groups, unit)
    return comparisons


def _check_models(
    labels: NDArray[np.integer[Any]],
    probabilities: Mapping[str, NDArray[np.floating[Any]]],
    groups: NDArray[np.integer[Any]] | None,
    class_names: Sequence[str],
    predicted: Mapping[str, NDArray[np.integer[Any]]],
) -> list[EvaluationData]:
    """Validate the predictions of all models; the rows are in the same order for all."""
    arrays = {name: np.asarray(rows) for name, rows in probabilities.items()}
    for name, rows in arrays.items():
        if rows.shape != (len(labels), len(class_names)):
            raise ValueError(
                f"{name}: probabilities must have shape {(len(labels), len(class_names))}, not {rows.shape}"
            )
        if not np.issubdtype(rows.dtype, np.floating):
            raise ValueError(f"{name}: probabilities must be floating point, not {rows.dtype}")
        not_finite = int((~np.isfinite(rows)).any(axis=1).sum())
        if not_finite:
            raise ValueError(f"{name}: the probabilities of {not_finite} images contain NaN or infinity")
    least_precise = min((rows.dtype for rows in arrays.values()), key=lambda dtype: dtype.itemsize)
    rounded = {name: rows.astype(least_precise) for name, rows in arrays.items()}
    order_by = np.concatenate(list(rounded.values()), axis=1).astype(np.float64)
    return [
        check_evaluation_data(labels, rows, groups, class_names, order_by, predicted.get(name))
        for name, rows in rounded.items()
    ]


@dataclass(frozen=True)
class _PairedScores:
    """One score of M models on the same resamples.

    Attributes:
        values: score of the data, shape (M,).
        resampled: score of each resample, shape (B, M).
        influence: influence of each group on the score, shape (G, M).
        max_df: maximal degrees of freedom of Student's t.
        level: confidence level.
    """

    values: FloatArray
    resampled: FloatArray
    influence: FloatArray
    max_df: int
    level: float

    def difference(self, pair: tuple[int, int]) -> float:
        """Return the score of the second model minus that of the first."""
        difference = float(self.values[pair[1]] - self.values[pair[0]])
        return 0.0 if abs(difference) < 1e-12 else difference

    def standard_error(self, pair: tuple[int, int]) -> float:
        """Return the linearized standard error of the difference; 0 if it is only rounding error."""
        influence = self.influence[:, pair[1]] - self.influence[:, pair[0]]
        error = float(np.sqrt(np.nansum(influence**2) * len(influence) / max(1, self.max_df)))
        return error if error > 1e-9 else 0.0

    def joint_critical_value(self, pairs: list[tuple[int, int]]) -> float:
        """Return the critical value, in standard errors, of simultaneous intervals for all pairs."""
        first, second = (np.array([pair[side] for pair in pairs]) for side in (0, 1))
        errors = np.array([self.standard_error(pair) for pair in pairs])
        resampled = self.resampled[:, second] - self.resampled[:, first]
        return max_t_quantile(self.values[second] - self.values[first], resampled, errors, self.level)

    def limits(self, pair: tuple[int, int], joint: float) -> dict[str, Any]:
        """Return individual and simultaneous limits of one difference, equal for a single pair, or the reason."""
        first, second = pair
        difference, resampled = self.difference(pair), self.resampled[:, second] - self.resampled[:, first]
        influence = self.influence[:, second] - self.influence[:, first]
        if self.standard_error(pair) == 0:
            return {"reason": "the difference is the same in every group, so its variance cannot be estimated"}
        critical = critical_value(self.level, effective_df(influence, self.max_df))
        joint_critical = critical * max(1.0, joint / critical_value(self.level))
        individual, simultaneous = (
            bca_interval(difference, resampled, influence, value) for value in (critical, joint_critical)
        )
        if individual is None:
            return {"reason": "the difference does not vary between resamples"}
        low, high = simultaneous or individual
        return {
            "low": individual[0],
            "high": individual[1],
            "low_all": min(low, individual[0]),
            "high_all": max(high, individual[1]),
        }


def _agreement(models: list[EvaluationData], names: list[str], pair: tuple[int, int]) -> dict[str, Any]:
    """Count the images on which two models differ."""
    first, second = (models[side] for side in pair)
    first_correct, second_correct = first.predicted == first.labels, second.predicted == second.labels
    return {
        "first": names[pair[0]],
        "second": names[pair[1]],
        "identical": bool(
            (first.probabilities == second.probabilities).all() and (first.predicted == second.predicted).all()
        ),
        "only_first_right": int((first_correct & ~second_correct).sum()),
        "only_second_right": int((second_correct & ~first_correct).sum()),
        "named_differently": int((first.predicted != second.predicted).sum()),
    }


def _test(first: EvaluationData, second: EvaluationData, score: str, resamples: int, seed: int) -> tuple[float, str]:
    """Return the p-value of the null hypothesis of no difference, and the name of the test."""
    if score == "accuracy" and not first.grouped:
        first_correct, second_correct = first.predicted == first.labels, second.predicted == second.labels
        only_first, only_second = (
            int((first_correct & ~second_correct).sum()),
            int((second_correct & ~first_correct).sum()),
        )
        return mcnemar_p(only_first, only_second), "McNemar's exact test"
    return permutation_p(first, second, score, resamples, seed), f"sign-flip permutation over {first.unit}"
