"""Tests for shortcuts: can the label be predicted without the subject?

A network uses whatever predicts the label most easily. If background, file type or camera differ between the classes,
it can score well without using the subject. Each probe is a small model that receives one such property and nothing
else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.auditing.probe_features import (
    BorderFeatures,
    ProbeFeatures,
    dimensions,
    encoders,
    exif,
    file_sizes,
    name_numbers,
    numbered_per_class,
    varying,
)
from coverslip.auditing.probes import KINDS, NUMBERED_PER_CLASS, SAME_IN_CENTER, Probe, ProbeKind
from coverslip.core.devices import cores
from coverslip.core.progress import SILENT, Progress
from coverslip.data.image import Pixels
from coverslip.data.split import assign_splits
from coverslip.data.table import ImageTable
from coverslip.evidence.classification import classification_evidence
from coverslip.evidence.intervals import MIN_GROUPS, Score, format_interval

__all__ = ["Probe", "probe_shortcuts"]

MARGIN = 0.10  # a warning needs a lower bound this far above chance
FOLDS = 5
TREES = 100  # 200 trees gave the same scores within their intervals
SINGLE_THREAD = 500  # images; below, starting threads takes longer than fitting the trees
MAX_IMAGES = 6000  # more images would take minutes and hardly narrow the interval
SAME_COLORS = 1 / 3  # fraction of the border's gain over chance that the center must reach to count as the same

IntArray = npt.NDArray[np.int64]


def probe_shortcuts(
    table: ImageTable,
    facts: pl.DataFrame,
    pixels: Pixels,
    fit: str,
    rows: Sequence[int],
    *,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> list[Probe]:
    """Predict the classes from border, file size, dimensions, encoder, EXIF data and file name, each alone.

    Each probe is a forest of extremely randomized trees with equal class weights, evaluated by five-fold
    cross-validation over groups. A probe without varying features is not run. Classes with fewer than two groups cannot
    be both learned and tested, and are excluded.

    Args:
        table: the images.
        facts: one row per image, columns of `coverslip.data.decoding.FACTS`.
        pixels: resized images, shape (N, H, W, C), in the order of the table.
        fit: how the images were fitted into H x W: ``pad``, ``squash`` or ``crop``.
        rows: readable images to use: train and validation, never test.
        groups: group of every row of the table; None uses the groups of the table. With more than 6,000 images, a
            stratified sample of whole groups is used.
        seed: seed of folds and trees.
        progress: receives one stage.

    Returns:
        One result per kind of probe, always in the same order.

    Reference: Geurts, Ernst & Wehenkel, Extremely randomized trees, Machine Learning 63(1), 2006.
    """
    group_names = [groups[row] for row in rows] if groups is not None else table.groups(rows)
    data, reason = _ProbeData.of(np.array(table.labels(rows), np.int64), group_names, seed)
    if data is None:
        return [_not_run(kind, reason) for kind in KINDS]
    probed = [rows[place] for place in data.places]
    probed_facts = facts[probed]
    paths = table.frame["path"].gather(probed).to_list()
    probes = []
    with progress.stage("checking for shortcuts", len(KINDS), "probes") as stage:
        border = BorderFeatures(pixels, probed, facts, fit)
        features_of: dict[str, Callable[[], ProbeFeatures]] = {
            "border": lambda: border.eight,
            "border-color": lambda: border.frame,
            "file-size": lambda: file_sizes(probed_facts),
            "dimensions": lambda: dimensions(probed_facts),
            "encoder": lambda: encoders(probed_facts, paths),
            "exif": lambda: exif(probed_facts),
            "name": lambda: name_numbers(paths, data.labels),
        }

        @cache
        def same_in_center() -> bool:  # takes a second, so it is computed only if a border probe fires
            return _same_in_center(data, border)

        def harmless_reason(kind: ProbeKind) -> str:
            if kind.name.startswith("border") and same_in_center():
                return SAME_IN_CENTER
            if kind.name == "name" and numbered_per_class(paths, data.labels):
                return NUMBERED_PER_CLASS
            return kind.harmless

        for kind in KINDS:
            features = varying(features_of[kind.name]())
            has_features = features.shape[1]
            probes.append(
                _run(kind, data, features, harmless_reason) if has_features else _not_run(kind, kind.constant)
            )
            stage.advance()
    return probes


@dataclass(frozen=True)
class _ProbeData:
    """The images on which probes are fitted and scored.

    Attributes:
        places: positions in the list of rows, shape (n,).
        labels: integer class ids without gaps, shape (n,), values in 0..K-1.
        groups: integer group ids, shape (n,).
        fold: test fold of each image, shape (n,).
        seed: seed of the trees.
        remark: sentence about images or classes that were excluded, with a leading space; "" if there are none.
    """

    places: IntArray
    labels: IntArray
    groups: IntArray
    fold: IntArray
    seed: int
    remark: str

    @classmethod
    def of(cls, labels: IntArray, groups: Sequence[str], seed: int) -> tuple[_ProbeData | None, str]:
        """Select at most `MAX_IMAGES` images of classes with two groups or more; or return None and the reason."""
        codes = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)[1]
        places, remark = np.arange(len(labels)), ""
        if len(places) > MAX_IMAGES:
            places = places[assign_splits(labels, groups, (MAX_IMAGES, len(places) - MAX_IMAGES), seed) == 0]
            remark = f" {len(places):,} of {len(labels):,} images were used."
        present = np.unique(labels)
        large_enough = [label for label in present if len(np.unique(codes[places][labels[places] == label])) >= 2]
        places = places[np.isin(labels[places], large_enough)]
        if len(large_enough) < len(present):
            remark += (
                f" Excluded, with fewer than two groups: {len(present) - len(large_enough)} of {len(present)} classes."
            )
        number = len(np.unique(codes[places]))
        if len(large_enough) < 2:
            return None, f"at least two classes with two groups each are needed (found {len(large_enough)})"
        if number < MIN_GROUPS:
            return None, f"{number} groups are too few for a confidence interval (at least {MIN_GROUPS} are needed)"
        class_ids = np.unique(labels[places], return_inverse=True)[1]
        fold = assign_splits(class_ids, [str(code) for code in codes[places]], np.ones(FOLDS), seed)
        return cls(places, class_ids, codes[places], fold, seed, remark), ""

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return int(self.labels.max()) + 1

    def predict(self, features: ProbeFeatures, *others: ProbeFeatures) -> list[IntArray]:
        """Predict classes (n,) by cross-validation from features, and from other features with the same columns."""
        from sklearn.ensemble import ExtraTreesClassifier

        inputs = (features, *others)
        predicted = [np.zeros(len(features), np.int64) for _ in inputs]
        for number in np.unique(self.fold):
            test = self.fold == number
            forest = ExtraTreesClassifier(
                TREES,
                class_weight="balanced",
                min_samples_leaf=2,
                random_state=self.seed,
                n_jobs=cores() if len(features) > SINGLE_THREAD else 1,
            )
            forest.fit(features[~test], self.labels[~test])
            forest.set_params(n_jobs=1)  # threads sum the votes in varying order, which makes ties random
            for result, values in zip(predicted, inputs, strict=True):
                result[test] = forest.predict(values[test])
        return predicted

    def score(self, predicted: IntArray) -> Score:
        """Return the balanced accuracy of predicted classes (n,), with its confidence interval over groups."""
        one_hot = np.eye(self.classes)[predicted]
        names = [str(number) for number in range(self.classes)]
        independent = len(np.unique(self.groups)) == len(self.groups)
        evidence = classification_evidence(
            self.labels, one_hot, None if independent else self.groups, names, seed=self.seed
        )
        score: Score = evidence["scores"]["balanced_accuracy"]
        return score


def _run(
    kind: ProbeKind, data: _ProbeData, features: ProbeFeatures, harmless_reason: Callable[[ProbeKind], str]
) -> Probe:
    score = data.score(data.predict(features)[0])
    chance = 1 / data.classes
    value, low, high = score["value"], score["low"], score["high"]
    # If everything is correct there is no interval over groups of several classes, but no doubt either.
    bound = low if low is not None else value if value == 1 else None
    fires = bound is not None and bound > chance + MARGIN
    harmless = harmless_reason(kind) if fires else ""
    accuracy = format_interval(score, 2)
    summary = f"{kind.subject} alone predict {data.classes} classes with a balanced accuracy of {accuracy}"
    summary += f"; chance is {chance:.2f}"
    if fires:
        summary += f". {harmless or kind.advice}"
    elif low is not None and low > chance:
        summary += ": weak, but above chance. " + (kind.advice or kind.harmless)
    elif (
        value is not None and value < chance / 2
    ):  # happens if each of a few values occurs equally often in every class
        summary += (
            ": no evidence of a shortcut (below chance, because values held out of one class remain in the others)."
        )
    else:
        summary += ": no evidence of a shortcut."
    return Probe(
        name=kind.name,
        title=kind.title,
        description=kind.description,
        summary=summary + data.remark,
        verdict=("notes" if harmless else "warns") if fires else "silent",
        chance=chance,
        value=value,
        low=low,
        high=high,
        reason=score.get("reason", ""),
    )


def _not_run(kind: ProbeKind, reason: str) -> Probe:
    summary = f"Not run: {reason}."
    return Probe(name=kind.name, title=kind.title, description=kind.description, summary=summary, reason=reason)


def _same_in_center(data: _ProbeData, border: BorderFeatures) -> bool:
    """Return whether a model fitted to border colors also predicts the class from the center of the images.

    With a background it cannot, since a leaf differs in color from paper; in histology, where the subject fills the
    image, it can.
    """
    frame, center = (
        np.mean([(predicted == data.labels)[data.labels == label].mean() for label in range(data.classes)])
        for predicted in data.predict(border.frame, border.center)
    )
    chance = 1 / data.classes
    return bool(frame > chance and center - chance > SAME_COLORS * (frame - chance))
