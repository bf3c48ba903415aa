"""Shortcuts: can the label be told without looking at the subject?

A network takes the easiest way to the label. Where background, file type or camera differ between the classes, it can
score without having seen a leaf. Each probe is a small model that is shown one such thing and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.auditing.clues import (
    BorderClues,
    Clues,
    counted_by_class,
    dimensions,
    encoders,
    exif,
    file_sizes,
    name_numbers,
    varying,
)
from coverslip.auditing.probes import COUNTED, IN_THE_MIDDLE, KINDS, Probe, ProbeKind
from coverslip.core.devices import cores
from coverslip.core.progress import SILENT, Progress
from coverslip.data.image import Pixels
from coverslip.data.split import assign_parts
from coverslip.data.table import ImageTable
from coverslip.evidence.classification import classification_evidence
from coverslip.evidence.intervals import FEWEST_GROUPS, Score, format_interval

__all__ = ["Probe", "probe_shortcuts"]

MARGIN = 0.10  # a warning needs a lower bound this far above chance
FOLDS = 5
TREES = 100  # 200 gave the same scores within their intervals
ALONE = 500  # images under which starting threads takes longer than growing trees
MOST = 6000  # images that are probed; more would take minutes and hardly narrow the interval
ALIKE = 1 / 3  # share of the border's advantage over chance that the middle must reach to be called alike

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
    """Try to tell the classes by border, file size, dimensions, encoder, EXIF and file name, each alone.

    Each probe is a forest of extremely randomized trees, classes weighted equally. It is fitted five times, each time
    without a fifth of the groups, and scored on those. A probe that has nothing to look at is not run. A class of
    fewer than two groups cannot be learned and tested, and is left out.

    Args:
        table: the images.
        facts: what decoding noted of each file, a row a table row.
        pixels: (N, H, W, C), the resized images of all table rows.
        fit: how they were resized.
        rows: readable images that may be looked at: train and validation, never test.
        groups: of every table row; None takes the table's own. Of more than 6,000 images a stratified sample of
            whole groups is probed.
        seed: of folds and trees.
        progress: told of the stage.

    Returns:
        One probe of each kind, always in the same order.

    Reference: Geurts, Ernst & Wehenkel, Extremely randomized trees, Machine Learning 63(1), 2006.
    """
    named = [groups[row] for row in rows] if groups is not None else table.groups(rows)
    jury, reason = _Jury.of(np.array(table.labels(rows), np.int64), named, seed)
    if jury is None:
        return [_not_run(kind, reason) for kind in KINDS]
    some = [rows[place] for place in jury.places]
    shown = facts[some]
    paths = table.frame["path"].gather(some).to_list()
    probes = []
    with progress.stage("probing for shortcuts", len(KINDS), "probes") as stage:
        border = BorderClues(pixels, some, facts, fit)
        clues: dict[str, Callable[[], Clues]] = {
            "border": lambda: border.eight,
            "border-color": lambda: border.frame,
            "file-size": lambda: file_sizes(shown),
            "dimensions": lambda: dimensions(shown),
            "encoder": lambda: encoders(shown, paths),
            "exif": lambda: exif(shown),
            "name": lambda: name_numbers(paths, jury.labels),
        }

        @cache
        def inside() -> bool:  # asked only where the border fires: it takes a second
            return _same_in_the_middle(jury, border)

        def harmless(kind: ProbeKind) -> str:
            if kind.name.startswith("border") and inside():
                return IN_THE_MIDDLE
            if kind.name == "name" and counted_by_class(paths, jury.labels):
                return COUNTED
            return kind.harmless

        for kind in KINDS:
            given = varying(clues[kind.name]())
            probes.append(_judge(kind, jury, given, harmless) if given.shape[1] else _not_run(kind, kind.nothing))
            stage.advance()
    return probes


@dataclass(frozen=True)
class _Jury:
    """The images that probes are fitted and scored on."""

    places: IntArray  # (n,) which of the rows
    labels: IntArray  # (n,) 0 to K - 1, none left out
    groups: IntArray  # (n,)
    fold: IntArray  # (n,)
    seed: int
    aside: str  # what was left out

    @classmethod
    def of(cls, labels: IntArray, groups: Sequence[str], seed: int) -> tuple[_Jury | None, str]:
        """Without thin classes, at most `MOST` images; or None and the reason why nothing can be probed."""
        codes = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)[1]
        places, aside = np.arange(len(labels)), ""
        if len(places) > MOST:
            places = places[assign_parts(labels, groups, (MOST, len(places) - MOST), seed) == 0]
            aside = f" {len(places):,} of {len(labels):,} images were probed."
        present = np.unique(labels)
        thick = [label for label in present if len(np.unique(codes[places][labels[places] == label])) >= 2]
        places = places[np.isin(labels[places], thick)]
        if len(thick) < len(present):
            aside += f" Left out for want of a second group: {len(present) - len(thick)} of {len(present)} classes."
        number = len(np.unique(codes[places]))
        if len(thick) < 2:
            return (
                None,
                f"it takes two classes of two groups each; there {'is' if len(thick) == 1 else 'are'} {len(thick)}",
            )
        if number < FEWEST_GROUPS:
            return None, f"{number} groups are too few for an interval ({FEWEST_GROUPS} are needed)"
        own = np.unique(labels[places], return_inverse=True)[1]
        fold = assign_parts(own, [str(code) for code in codes[places]], np.ones(FOLDS), seed)
        return cls(places, own, codes[places], fold, seed, aside), ""

    @property
    def classes(self) -> int:
        return int(self.labels.max()) + 1

    def predict(self, clues: Clues, *others: Clues) -> list[IntArray]:
        """Classes (n,) that a model of the other folds reads from these clues, and from others of the same kind."""
        from sklearn.ensemble import ExtraTreesClassifier

        shown = (clues, *others)
        said = [np.zeros(len(clues), np.int64) for _ in shown]
        for number in np.unique(self.fold):
            held = self.fold == number
            forest = ExtraTreesClassifier(
                TREES,
                class_weight="balanced",
                min_samples_leaf=2,
                random_state=self.seed,
                n_jobs=cores() if len(clues) > ALONE else 1,
            )
            forest.fit(clues[~held], self.labels[~held])
            forest.set_params(n_jobs=1)  # threads would add up the votes in any order, and ties fall either way
            for answer, each in zip(said, shown, strict=True):
                answer[held] = forest.predict(each[held])
        return said

    def score(self, predicted: IntArray) -> Score:
        """Balanced accuracy with its interval over groups."""
        sure = np.eye(self.classes)[predicted]
        names = [str(number) for number in range(self.classes)]
        alone = len(np.unique(self.groups)) == len(self.groups)
        evidence = classification_evidence(self.labels, sure, None if alone else self.groups, names, seed=self.seed)
        score: Score = evidence["scores"]["balanced_accuracy"]
        return score


def _judge(kind: ProbeKind, jury: _Jury, clues: Clues, harmless_of: Callable[[ProbeKind], str]) -> Probe:
    score = jury.score(jury.predict(clues)[0])
    chance = 1 / jury.classes
    value, low, high = score["value"], score["low"], score["high"]
    # Where every resample is right there is no interval over groups of several classes; there is no doubt either.
    bound = low if low is not None else value if value == 1 else None
    fires = bound is not None and bound > chance + MARGIN
    harmless = harmless_of(kind) if fires else ""
    says = f"{kind.subject} alone tell {jury.classes} classes with a balanced accuracy of {format_interval(score, 2)}"
    says += f"; chance is {chance:.2f}"
    if fires:
        says += f". {harmless or kind.advice}"
    elif value is not None and value < chance / 2:  # each of a few values occurs as often in every class
        says += ": no shortcut (below chance, since what is held out of a class remains in the others)."
    else:
        says += ": no shortcut."
    return Probe(
        name=kind.name,
        title=kind.title,
        sees=kind.sees,
        says=says + jury.aside,
        verdict=("notes" if harmless else "warns") if fires else "silent",
        chance=chance,
        value=value,
        low=low,
        high=high,
        reason=score.get("reason", ""),
    )


def _not_run(kind: ProbeKind, reason: str) -> Probe:
    return Probe(name=kind.name, title=kind.title, sees=kind.sees, says=f"Not probed: {reason}.", reason=reason)


def _same_in_the_middle(jury: _Jury, border: BorderClues) -> bool:
    """Whether a model of the border's color reads the class from the middle of the images as well.

    On a background it cannot, since a leaf has other colors than paper; in histology, where the subject fills the
    image, it can.
    """
    frame, middle = (
        np.mean([(said == jury.labels)[jury.labels == label].mean() for label in range(jury.classes)])
        for said in jury.predict(border.frame, border.middle)
    )
    chance = 1 / jury.classes
    return bool(frame > chance and middle - chance > ALIKE * (frame - chance))
