"""Scores by subgroup, defined by any column of the table (site, camera, severity), and a test for differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.classification import WARN_UNDER_GROUPS, classification_evidence
from coverslip.evidence.evaluation_data import check_evaluation_data
from coverslip.evidence.intervals import MIN_GROUPS

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]
MAX_VALUES = 30
MAX_NUMBERS = 10  # a column with more different numbers is divided at its quartiles
SIGNIFICANCE = 0.05


def subgroup_scores(
    labels: Labels,
    probabilities: NDArray[np.floating[Any]],
    groups: Labels | None,
    values: Sequence[str | float | None],
    class_names: Sequence[str],
    *,
    predicted: Labels | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Return accuracy and balanced accuracy for each value of a column, with intervals over groups.

    A permutation test shows whether accuracy differs between the values. It permutes values between whole groups, and
    only between groups of the same class if each group has one class, so that a site with more images of a difficult
    class does not appear worse for that reason.

    Args:
        labels: true class ids, shape (N,), values in 0..K-1.
        probabilities: floating point, shape (N, K), rows sum to 1.
        groups: integer group ids, shape (N,); None if each image is its own group.
        values: column values, length N; None and "" are reported as "". A column with more than 10 different numbers
            is divided at its quartiles.
        class_names: K different names.
        predicted: predicted class ids, shape (N,); by default the most probable class.
        level: confidence level of the intervals, between 0 and 1.
        resamples: number of resamples of the bootstrap and of permutations.
        seed: random seed of both.

    Returns:
        ``values``, the most frequent first: ``value``, ``images``, ``groups``, ``accuracy`` and ``balanced_accuracy``
        (each a `Score`), ``warning`` ("", or that the subgroup is too small). ``p``: p-value of the test, or null with
        a ``reason``. ``says``: one sentence if accuracy differs significantly, else "".

    Raises:
        ValueError: as `check_evaluation_data`; the number of values is not N; there are more than 30 different values.
    """
    data = check_evaluation_data(labels, probabilities, groups, class_names, predicted=predicted)
    if len(values) != len(data.labels):
        raise ValueError(f"{len(data.labels)} images, but {len(values)} values")
    names = value_names(values)
    unique, codes, counts = np.unique(names, return_inverse=True, return_counts=True)
    if len(unique) > MAX_VALUES:
        raise ValueError(f"the column has {len(unique)} different values; at most {MAX_VALUES} are supported")
    truth, rows = np.asarray(labels), np.asarray(probabilities)
    predictions = rows.argmax(axis=1) if predicted is None else np.asarray(predicted)
    group_ids = np.arange(len(truth)) if groups is None else np.asarray(groups)
    entries = []
    for code in np.argsort(-counts, kind="stable"):
        subgroup = codes == code
        evidence = classification_evidence(
            truth[subgroup],
            rows[subgroup],
            None if groups is None else group_ids[subgroup],
            class_names,
            predicted=predictions[subgroup],
            level=level,
            resamples=resamples,
            seed=seed,
        )
        entry = {"value": str(unique[code]), "images": evidence["images"], "groups": evidence["groups"]}
        entry |= {name: evidence["scores"][name] for name in ("accuracy", "balanced_accuracy")}
        entries.append(entry | {"warning": subgroup_warning(evidence["groups"], data.unit)})
    correct = predictions == truth
    group_codes = np.unique(group_ids, return_inverse=True)[1]
    p, reason = _permutation_test(truth, correct, group_codes, codes, resamples, seed)
    return {"values": entries, "p": p, "reason": reason, "says": _sentence(entries, p, data.unit)}


def value_names(values: Sequence[str | float | None]) -> NDArray[np.str_]:
    """Return all values as text; many different numbers as the quartile range they lie in, such as "2 to 3.5"."""
    texts = ["" if value is None or str(value) == "nan" else str(value).strip() for value in values]
    try:
        numbers = np.array([float(text) for text in texts if text])
    except ValueError:
        return np.array(texts)
    if len(np.unique(numbers)) <= MAX_NUMBERS or not np.isfinite(numbers).all():
        return np.array(texts)
    edges = np.unique(np.quantile(numbers, (0.25, 0.5, 0.75)))
    quarters = np.searchsorted(edges, numbers, side="left")
    ranges = {
        quarter: f"{numbers[quarters == quarter].min():g} to {numbers[quarters == quarter].max():g}"
        for quarter in set(quarters)
    }
    remaining = iter(quarters)
    return np.array([ranges[next(remaining)] if text else "" for text in texts])


def subgroup_warning(groups: int, unit: str) -> str:
    """Return that a subgroup has too few groups for a precise interval; empty if it has enough."""
    if groups >= WARN_UNDER_GROUPS:
        return ""
    count = f"{groups} {unit if groups != 1 else unit[:-1]}"
    return f"only {count}: no interval" if groups < MIN_GROUPS else f"only {count}: the interval is approximate"


def _permutation_test(
    labels: Labels, correct: NDArray[np.bool_], groups: IntArray, values: IntArray, resamples: int, seed: int
) -> tuple[float | None, str]:
    """Return the p-value of equal accuracy for all values, or None and the reason why there is no test.

    The statistic sums over values the squared excess of correct images divided by the number of images. The excess is
    relative to the recall of each class over all images, so differences in class frequencies do not contribute. Values
    with fewer than 5 groups are excluded.

    Args:
        labels: true class ids, shape (N,).
        correct: whether each image was classified correctly, shape (N,).
        groups: group ids, shape (N,), values in 0..G-1.
        values: codes of the column values, shape (N,).
        resamples: number of permutations.
        seed: random seed of the permutations.
    """
    number = int(groups.max()) + 1
    first = np.unique(groups, return_index=True)[1]
    value_of, class_of = values[first], labels[first]
    if (value_of[groups] != values).any():
        return None, "some groups have images of several values, so the values cannot be tested for a difference"
    large = np.flatnonzero(np.bincount(value_of) >= MIN_GROUPS)
    if len(large) < 2:
        return (
            None,
            f"fewer than two values have {MIN_GROUPS} or more groups, so they cannot be tested for a difference",
        )
    one_class = bool((class_of[groups] == labels).all())
    stratum = class_of if one_class else np.zeros(number, dtype=np.int64)
    included = np.isin(value_of, large)
    selected = included[groups]
    expected = np.zeros(len(labels))
    for class_id in np.unique(labels[selected]):
        of_class = selected & (labels == class_id)
        expected[of_class] = correct[of_class].mean()
    excess = np.bincount(groups, weights=np.where(selected, correct - expected, 0.0), minlength=number)[included]
    images, value, stratum = np.bincount(groups, minlength=number)[included], value_of[included], stratum[included]

    def statistic(value_codes: IntArray) -> float:
        total, count = (np.bincount(value_codes, weights=weights)[large] for weights in (excess, images))
        return float((total**2 / np.maximum(count, 1)).sum())

    if not excess.any():
        return None, "there is no difference: all images of each class are classified correctly, or all incorrectly"
    generator = np.random.default_rng(seed)
    observed, as_large = statistic(value), 1  # the observed assignment counts as one of the permutations
    base = np.argsort(stratum, kind="stable")
    permuted = np.empty_like(value)
    for _ in range(resamples):
        order = np.lexsort((generator.random(len(value)), stratum))  # a random order within each stratum
        permuted[base] = value[order]
        as_large += statistic(permuted) >= observed - 1e-12
    return as_large / (resamples + 1), ""


def _sentence(entries: list[dict[str, Any]], p: float | None, unit: str) -> str:
    tested = [entry for entry in entries if entry["groups"] >= MIN_GROUPS]
    if p is None or p > SIGNIFICANCE:
        return ""
    lowest, highest = (pick(tested, key=lambda entry: entry["accuracy"]["value"]) for pick in (min, max))
    low, high = (f"for {entry['value']!r} ({entry['accuracy']['value']:.3f})" for entry in (lowest, highest))
    return f"accuracy differs significantly (p = {p:.3f}, permutation test over {unit}): lowest {low}, highest {high}"
