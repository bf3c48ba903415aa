"""Scores by any column of the table (site, camera, severity): where does the model do worse, and is that chance?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.classification import ROUGH_UNDER, classification_evidence
from coverslip.evidence.intervals import FEWEST_GROUPS
from coverslip.evidence.part import check_part

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]
MOST_VALUES = 30
QUARTERS_OVER = 10  # different numbers; more are put in quarters
CHANCE = 0.05


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
    """Accuracy and balanced accuracy for each value of a column, with intervals over groups.

    Whether the values differ is told by a permutation test, and only where it can be: values are exchanged between
    whole groups, and only between groups of the same class where each group has one class, so that a site with more
    of a hard class is not blamed for it.

    Args:
        labels: (N,) integers, 0 to K - 1.
        probabilities: (N, K), rows sum to 1.
        groups: (N,) integers, or None where each image stands for itself.
        values: N entries of the column; None and "" are shown as "". Over 10 different numbers are put in quarters.
        class_names: K names.
        predicted: (N,) the class that each image was named as; None: the most probable.
        level: of the intervals.
        resamples: of the bootstrap and of the test.
        seed: of both.

    Returns:
        ``values``, largest first: ``value``, ``images``, ``groups``, ``accuracy`` and ``balanced_accuracy`` (each a
        `Score`), ``warning`` ("" or why the subgroup says little). ``p``: of the test, or null with ``reason``.
        ``says``: one sentence where the values differ beyond chance, else "".

    Raises:
        ValueError: as `check_part`; another number of values; over 30 different ones.
    """
    part = check_part(labels, probabilities, groups, class_names, predicted=predicted)
    if len(values) != len(part.labels):
        raise ValueError(f"{len(part.labels)} images, but {len(values)} values")
    names = _named(values)
    different, codes, counts = np.unique(names, return_inverse=True, return_counts=True)
    if len(different) > MOST_VALUES:
        raise ValueError(f"{len(different)} different values, at most {MOST_VALUES} can be shown")
    truth, rows = np.asarray(labels), np.asarray(probabilities)
    named = rows.argmax(axis=1) if predicted is None else np.asarray(predicted)
    ids = np.arange(len(truth)) if groups is None else np.asarray(groups)
    entries = []
    for number in np.argsort(-counts, kind="stable"):
        mine = codes == number
        some = None if groups is None else ids[mine]
        found = classification_evidence(
            truth[mine],
            rows[mine],
            some,
            class_names,
            predicted=named[mine],
            level=level,
            resamples=resamples,
            seed=seed,
        )
        entry = {"value": str(different[number]), "images": found["images"], "groups": found["groups"]}
        entry |= {name: found["scores"][name] for name in ("accuracy", "balanced_accuracy")}
        entries.append(entry | {"warning": _warning(found["groups"], part.unit)})
    right = named == truth
    p, reason = _test(truth, right, np.unique(ids, return_inverse=True)[1], codes, resamples, seed)
    return {"values": entries, "p": p, "reason": reason, "says": _sentence(entries, p, part.unit)}


def _named(values: Sequence[str | float | None]) -> NDArray[np.str_]:
    """Every value as text; many different numbers as the quarter they lie in, such as "2 to 3.5"."""
    texts = ["" if value is None or str(value) == "nan" else str(value).strip() for value in values]
    try:
        numbers = np.array([float(text) for text in texts if text])
    except ValueError:
        return np.array(texts)
    if len(np.unique(numbers)) <= QUARTERS_OVER or not np.isfinite(numbers).all():
        return np.array(texts)
    edges = np.unique(np.quantile(numbers, (0.25, 0.5, 0.75)))
    places = np.searchsorted(edges, numbers, side="left")
    spans = {
        place: f"{numbers[places == place].min():g} to {numbers[places == place].max():g}" for place in set(places)
    }
    filled = iter(places)
    return np.array([spans[next(filled)] if text else "" for text in texts])


def _warning(groups: int, unit: str) -> str:
    if groups >= ROUGH_UNDER:
        return ""
    what = f"{groups} {unit if groups != 1 else unit[:-1]}"
    return f"only {what}: too few to say" if groups < FEWEST_GROUPS else f"only {what}: a rough interval"


def _test(
    labels: Labels, right: NDArray[np.bool_], groups: IntArray, values: IntArray, resamples: int, seed: int
) -> tuple[float | None, str]:
    """The probability that values which do not matter differ as much, or why it cannot be told.

    What is compared is how many more (or fewer) images of each value are right than the recall of their classes
    over all images lets expect. Values with under 5 groups take no part.
    """
    number = int(groups.max()) + 1
    first = np.unique(groups, return_index=True)[1]
    value_of, class_of = values[first], labels[first]
    if (value_of[groups] != values).any():
        return None, "groups have images of several values, so it cannot be told whether the values differ"
    large = np.flatnonzero(np.bincount(value_of) >= FEWEST_GROUPS)
    if len(large) < 2:
        return None, f"under two values have {FEWEST_GROUPS} groups or more, so it cannot be told whether they differ"
    one_class = bool((class_of[groups] == labels).all())
    stratum = class_of if one_class else np.zeros(number, dtype=np.int64)
    inside = np.isin(value_of, large)
    chosen = inside[groups]
    expected = np.zeros(len(labels))
    for each in np.unique(labels[chosen]):
        mine = chosen & (labels == each)
        expected[mine] = right[mine].mean()
    excess = np.bincount(groups, weights=np.where(chosen, right - expected, 0.0), minlength=number)[inside]
    images, value, stratum = np.bincount(groups, minlength=number)[inside], value_of[inside], stratum[inside]

    def spread(shuffled: IntArray) -> float:
        total, count = (np.bincount(shuffled, weights=each)[large] for each in (excess, images))
        return float((total**2 / np.maximum(count, 1)).sum())

    if not excess.any():
        return None, "nothing differs: each class is all right, or all wrong"
    chance = np.random.default_rng(seed)
    seen, as_much = spread(value), 1
    base = np.argsort(stratum, kind="stable")
    shuffled = np.empty_like(value)
    for _ in range(resamples):
        order = np.lexsort((chance.random(len(value)), stratum))  # within each stratum another order
        shuffled[base] = value[order]
        as_much += spread(shuffled) >= seen - 1e-12
    return as_much / (resamples + 1), ""


def _sentence(entries: list[dict[str, Any]], p: float | None, unit: str) -> str:
    able = [entry for entry in entries if entry["groups"] >= FEWEST_GROUPS]
    if p is None or p > CHANCE:
        return ""
    low, high = (pick(able, key=lambda entry: entry["accuracy"]["value"]) for pick in (min, max))
    worst, best = (f"{entry['value']!r} {entry['accuracy']['value']:.3f}" for entry in (low, high))
    return (
        f"accuracy differs by more than chance (p = {p:.3f}, permutation over {unit}): lowest {worst}, highest {best}"
    )
