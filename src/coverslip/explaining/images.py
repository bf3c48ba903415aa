"""Images one by one: maps of every stage for the classes that matter, and whether they can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from coverslip.core.progress import SILENT, Progress
from coverslip.evidence.threshold import MIDDLE, Threshold
from coverslip.explaining.maps.heatmap import FloatArray, Heatmap
from coverslip.explaining.maps.similarity import rank_correlation
from coverslip.explaining.maps.trust import Trust
from coverslip.explaining.methods import Method
from coverslip.explaining.subjects import Subjects
from coverslip.explaining.trusting import about_one, ask_trust, trust_of, trust_strip
from coverslip.figures.heatmaps import MapRow, TrustStrip, heatmap_figure
from coverslip.inference.predictor import Predictor
from coverslip.models.stages import Staged

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = 3  # classes of a grid, where none is asked for
MOST_COLUMNS = 10  # of a figure; further stages are in the arrays
UNDER = 40  # letters that fit under the image


@dataclass(frozen=True)
class ExplainedImage:
    """One image.

    Attributes:
        name: as the user wrote it.
        label: its true class; None where nobody knows.
        predicted: what the model says.
        confidence: with which probability.
        seen: whether the model was trained on it.
        classes: the rows of the grid by number.
        probabilities: of those.
        roles: what each is: "is", "said", "is and said", "asked", "next".
        heatmaps: (rows, columns) of them.
        trust: of the map of the last column for one class; None where it was not asked.
        sentences: what was found of it.
        figure: all of it.
        decided: what the threshold did, where it named the less probable of two classes: "from 0.03 up"; else empty.
    """

    name: str
    label: str | None
    predicted: str
    confidence: float
    seen: bool
    classes: tuple[int, ...]
    probabilities: tuple[float, ...]
    roles: tuple[str, ...]
    heatmaps: tuple[tuple[Heatmap, ...], ...]
    trust: Trust | None
    sentences: tuple[str, ...]
    figure: Figure
    decided: str = ""

    @property
    def verdict(self) -> str:
        """What the model said of it, and whether that is right, in one line."""
        limit = f" ({self.decided})" if self.decided else ""
        right = "" if self.label is None else " (right)" if self.label == self.predicted else f" (is {self.label})"
        return f"{self.predicted} {self.confidence:.2f}{limit}{right}{', trained on it' if self.seen else ''}"


def explain_images(
    predictor: Predictor,
    network: Staged,
    subjects: Subjects,
    method: Method,
    *,
    asked: Sequence[int] = (),
    trust: bool = True,
    probes: Sequence[Mapping[str, Any]] = (),
    device: torch.device,
    progress: Progress = SILENT,
) -> tuple[list[ExplainedImage], Trust | None]:
    """The grid of every image, with its trust strip.

    Args:
        predictor: the trained model.
        network: the same in one piece, on the device.
        subjects: the images.
        method: with its layers.
        asked: classes that the user wants to see; the first is the one whose map is tested.
        trust: whether maps are tested; that takes most of the time.
        probes: of the run's audit.
        device: to compute on.
        progress: told of the stages.

    Returns:
        An entry an image, and what was found of all of them together (None without ``trust``).
    """
    images = subjects.images(predictor, device)
    probabilities = _probabilities(network, subjects, predictor, device)
    named = predictor.task.named(probabilities).tolist()
    chosen = [
        choose_rows(row, label, asked, said)
        for row, label, said in zip(probabilities, subjects.labels, named, strict=True)
    ]
    table = [[number for number, _ in some] for some in chosen]
    with progress.stage(f"drawing {method.name}", len(subjects)) as stage:
        grids = method.grid(network, images, table)
        stage.advance(len(subjects))
    tested = [asked[0] if asked else said for said in named]
    together: Trust | None = None
    others: dict[str, FloatArray] = {}
    if trust:
        with progress.stage("testing whether the maps can be trusted", len(subjects)) as stage:
            together, others = ask_trust(network, subjects, images, tested, method, probes)
            stage.advance(len(subjects))
    names = predictor.task.classes
    found = []
    for place in range(len(subjects)):
        maps = tuple(
            tuple(
                Heatmap(grid[place, row], method.name, column, names[number], number, subjects.names[place])
                for column, grid in zip(method.columns, grids, strict=True)
            )
            for row, (number, _) in enumerate(chosen[place])
        )
        alone = None if together is None else trust_of(together, place, subjects)
        best = named[place]
        label = subjects.labels[place]
        entry = ExplainedImage(
            name=subjects.names[place],
            label=None if label is None else names[label],
            predicted=names[best],
            confidence=float(probabilities[place, best]),
            seen=subjects.seen[place],
            classes=tuple(table[place]),
            probabilities=tuple(float(probabilities[place, number]) for number in table[place]),
            roles=tuple(role for _, role in chosen[place]),
            heatmaps=maps,
            trust=alone,
            sentences=() if alone is None else tuple(about_one(alone)),
            figure=None,  # type: ignore[arg-type]  # drawn from the rest, at once
            decided=what_decided(predictor.threshold, names[best], float(probabilities[place, best])),
        )
        shown = subjects.shown(predictor, place)
        beside = [
            (name, each[place], float(rank_correlation(together.maps[[place]], each[[place]])[0]))
            for name, each in others.items()
            if together is not None
        ]
        strip = None if alone is None else trust_strip(alone, names[tested[place]], method, beside)
        found.append(replace(entry, figure=_figure(entry, shown, method, subjects.areas.of(place), strip)))
    return found, together


def choose_rows(
    probabilities: npt.NDArray[np.float64], label: int | None, asked: Sequence[int] = (), said: int | None = None
) -> list[tuple[int, str]]:
    """The classes of a grid and what each is to the image: the true one, the predicted one, those asked, the next.

    The predicted one is ``said``; without it the most probable.

    >>> choose_rows(np.array([0.1, 0.6, 0.05, 0.25]), 0)
    [(0, 'is'), (1, 'said'), (3, 'next')]
    >>> choose_rows(np.array([0.1, 0.6, 0.05, 0.25]), 1, [2])
    [(1, 'is and said'), (2, 'asked'), (3, 'next')]
    """
    order = [int(number) for number in np.argsort(-probabilities, kind="stable")]
    order = order if said is None else [said, *(number for number in order if number != said)]
    rows = [] if label is None or label == order[0] else [(label, "is")]
    rows.append((order[0], "is and said" if label == order[0] else "said"))
    rows += [(number, "asked") for number in dict.fromkeys(asked) if number not in (label, order[0])]
    wanted = min(len(order), max(ROWS, 2 + len(set(asked))))  # as many for every image
    rest = [number for number in order if number not in [each for each, _ in rows]]
    return [*rows, *((number, "next") for number in rest[: wanted - len(rows)])]


def what_decided(threshold: Threshold | None, named: str, probability: float) -> str:
    """What the threshold did where the class that it named is the less probable one; else nothing.

    >>> from coverslip.evidence.basis import Basis
    >>> nobody = Basis(0, 0, 0.95, False).score(None, None, "", "not measured")
    >>> early, late = (Threshold("rust", value, nobody, nobody) for value in (0.03, 0.7))
    >>> what_decided(early, "rust", 0.04), what_decided(late, "healthy", 0.4), what_decided(early, "rust", 0.9)
    ('from 0.03 up', 'rust only from 0.7 up', '')
    """
    if threshold is None or probability >= MIDDLE:
        return ""
    return f"{'' if named == threshold.class_name else f'{threshold.class_name} only '}from {threshold.value:.3g} up"


def _probabilities(
    network: Staged, subjects: Subjects, predictor: Predictor, device: torch.device
) -> npt.NDArray[np.float64]:
    parts = []
    with torch.inference_mode():
        for some in subjects.batches():
            parts.append(network(subjects.images(predictor, device, some)).cpu().double().softmax(1).numpy())
    return np.concatenate(parts)


def _figure(
    entry: ExplainedImage,
    image: npt.NDArray[Any],
    method: Method,
    areas: dict[str, npt.NDArray[np.bool_]],
    strip: TrustStrip | None,
) -> Figure:
    columns = method.columns
    kept = sorted({round(place) for place in np.linspace(0, len(columns) - 1, min(len(columns), MOST_COLUMNS))})
    rows = [
        MapRow(maps[0].class_name, f"{role}, {probability:.2f}", [maps[place].values for place in kept])
        for maps, role, probability in zip(entry.heatmaps, entry.roles, entry.probabilities, strict=True)
    ]
    said, limit = f"said {entry.predicted}, {entry.confidence:.2f}", f"({entry.decided})" if entry.decided else ""
    under = [f"{said} {limit}".rstrip()] if not limit or len(said) + len(limit) < UNDER else [said, limit]
    under += [] if entry.label is None else [f"is {entry.label}"]
    under += ["the model was trained on it"] if entry.seen else []
    under += [f"outlined: {' and '.join(areas)}"] if areas else []
    notes = (
        [f"{len(kept)} of {len(columns)} stages are drawn; all are in the arrays."] if len(kept) < len(columns) else []
    )
    titles = [f"{columns[place]}\n{' x '.join(map(str, entry.heatmaps[0][place].values.shape))}" for place in kept]
    return heatmap_figure(
        image,
        rows,
        titles,
        title=PurePath(entry.name).name,
        under=under,
        notes=[*notes, *([method.warning] if method.warning and strip is None else [])],
        masks=areas,
        strip=strip,
        caption=f"{method.name}. {method.about}",
    )
