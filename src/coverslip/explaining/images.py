"""Explanation of single images: maps of all stages for the relevant classes, with sanity checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from coverslip.core.progress import SILENT, Progress
from coverslip.evidence.threshold import DEFAULT_VALUE, Threshold
from coverslip.explaining.image_set import ImageSet
from coverslip.explaining.maps.heatmap import FloatArray, Heatmap
from coverslip.explaining.maps.sanity import SanityChecks
from coverslip.explaining.maps.similarity import rank_correlation
from coverslip.explaining.methods import Method
from coverslip.explaining.reliability import checks_of_image, image_sentences, reliability_strip, run_checks
from coverslip.figures.heatmaps import MapRow, SanityStrip, heatmap_figure
from coverslip.inference.predictor import Predictor
from coverslip.models.stages import Staged
from coverslip.tasks.classification import require_classification

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = 3  # classes in a grid if none is requested
MAX_COLUMNS = 10  # of a figure; the arrays contain all stages
LINE_LENGTH = 40  # characters that fit below the image


@dataclass(frozen=True)
class ExplainedImage:
    """Explanation of one image.

    Attributes:
        name: path as the user wrote it.
        label: true class; None if unknown.
        predicted: predicted class.
        confidence: probability of the predicted class, 0 to 1.
        trained_on: whether the model was trained on this image.
        classes: class ids of the rows of the grid.
        probabilities: probabilities of these classes.
        roles: role of each class: ``true``, ``predicted``, ``true and predicted``, ``requested`` or ``next``.
        heatmaps: maps, one tuple of columns per row.
        trust: sanity checks of the map in the last column for one class; None if they were not run.
        sentences: results of the sanity checks in words.
        figure: figure with everything above.
        decided: decision threshold, if because of it the less probable of two classes was predicted; else "".
    """

    name: str
    label: str | None
    predicted: str
    confidence: float
    trained_on: bool
    classes: tuple[int, ...]
    probabilities: tuple[float, ...]
    roles: tuple[str, ...]
    heatmaps: tuple[tuple[Heatmap, ...], ...]
    trust: SanityChecks | None
    sentences: tuple[str, ...]
    figure: Figure
    decided: str = ""

    @property
    def summary(self) -> str:
        """Prediction and correctness in one line."""
        threshold = f" ({self.decided})" if self.decided else ""
        correct = (
            "" if self.label is None else " (correct)" if self.label == self.predicted else f" (true: {self.label})"
        )
        training = ", used for training" if self.trained_on else ""
        return f"{self.predicted} {self.confidence:.2f}{threshold}{correct}{training}"


def explain_images(
    predictor: Predictor,
    network: Staged,
    image_set: ImageSet,
    method: Method,
    *,
    requested: Sequence[int] = (),
    trust: bool = True,
    probes: Sequence[Mapping[str, Any]] = (),
    device: torch.device,
    progress: Progress = SILENT,
) -> tuple[list[ExplainedImage], SanityChecks | None]:
    """Explain images one by one.

    Args:
        predictor: trained model.
        network: the same model as one network, on ``device``.
        image_set: images to explain.
        method: heat-map method with its layers.
        requested: class ids that the user wants to see; sanity checks are run for the first one.
        trust: run the sanity checks; they take most of the time.
        probes: shortcut probes of the run's audit.
        device: device of the computation.
        progress: receives the stages.

    Returns:
        One explanation per image, and the sanity checks of all images together (None without ``trust``).
    """
    task = require_classification(predictor.task, "explain")
    images = image_set.images(predictor, device)
    probabilities = _probabilities(network, image_set, predictor, device)
    predictions = task.predicted_classes(probabilities).tolist()
    rows_of = [
        choose_rows(row, label, requested, predicted)
        for row, label, predicted in zip(probabilities, image_set.labels, predictions, strict=True)
    ]
    table = [[class_id for class_id, _ in rows] for rows in rows_of]
    with progress.stage(f"computing {method.name} maps", len(image_set)) as stage:
        grids = method.grid(network, images, table)
        stage.advance(len(image_set))
    checked = [requested[0] if requested else predicted for predicted in predictions]
    checks: SanityChecks | None = None
    others: dict[str, FloatArray] = {}
    if trust:
        with progress.stage("running sanity checks", len(image_set)) as stage:
            checks, others = run_checks(network, image_set, images, checked, method, probes)
            stage.advance(len(image_set))
    names = task.classes
    explained = []
    for place in range(len(image_set)):
        maps = tuple(
            tuple(
                Heatmap(grid[place, row], method.name, column, names[class_id], class_id, image_set.names[place])
                for column, grid in zip(method.columns, grids, strict=True)
            )
            for row, (class_id, _) in enumerate(rows_of[place])
        )
        own_checks = None if checks is None else checks_of_image(checks, place, image_set)
        predicted = predictions[place]
        label = image_set.labels[place]
        entry = ExplainedImage(
            name=image_set.names[place],
            label=None if label is None else names[label],
            predicted=names[predicted],
            confidence=float(probabilities[place, predicted]),
            trained_on=image_set.trained_on[place],
            classes=tuple(table[place]),
            probabilities=tuple(float(probabilities[place, class_id]) for class_id in table[place]),
            roles=tuple(role for _, role in rows_of[place]),
            heatmaps=maps,
            trust=own_checks,
            sentences=() if own_checks is None else tuple(image_sentences(own_checks)),
            figure=None,  # type: ignore[arg-type]  # drawn below from the other attributes
            decided=threshold_note(task.threshold, float(probabilities[place, predicted])),
        )
        shown = image_set.shown(predictor, place)
        comparisons = [
            (name, maps_of_method[place], float(rank_correlation(checks.maps[[place]], maps_of_method[[place]])[0]))
            for name, maps_of_method in others.items()
            if checks is not None
        ]
        strip = (
            None if own_checks is None else reliability_strip(own_checks, names[checked[place]], method, comparisons)
        )
        explained.append(replace(entry, figure=_figure(entry, shown, method, image_set.areas.of_image(place), strip)))
    return explained, checks


def choose_rows(
    probabilities: npt.NDArray[np.float64],
    label: int | None,
    requested: Sequence[int] = (),
    predicted: int | None = None,
) -> list[tuple[int, str]]:
    """Choose the classes of a grid: the true, the predicted and the requested ones, then the next most probable.

    Args:
        probabilities: class probabilities, shape (K,).
        label: true class id; None if unknown.
        requested: class ids that the user wants to see.
        predicted: predicted class id; None for the most probable class.

    Returns:
        Class id and role of each row of the grid.

    >>> choose_rows(np.array([0.1, 0.6, 0.05, 0.25]), 0)
    [(0, 'true'), (1, 'predicted'), (3, 'next')]
    >>> choose_rows(np.array([0.1, 0.6, 0.05, 0.25]), 1, [2])
    [(1, 'true and predicted'), (2, 'requested'), (3, 'next')]
    """
    order = [int(class_id) for class_id in np.argsort(-probabilities, kind="stable")]
    if predicted is not None:
        order = [predicted, *(class_id for class_id in order if class_id != predicted)]
    rows = [] if label is None or label == order[0] else [(label, "true")]
    rows.append((order[0], "true and predicted" if label == order[0] else "predicted"))
    rows += [(class_id, "requested") for class_id in dict.fromkeys(requested) if class_id not in (label, order[0])]
    count = min(len(order), max(ROWS, 2 + len(set(requested))))  # the same for every image
    chosen = [class_id for class_id, _ in rows]
    rest = [class_id for class_id in order if class_id not in chosen]
    return [*rows, *((class_id, "next") for class_id in rest[: count - len(rows)])]


def threshold_note(threshold: Threshold | None, probability: float) -> str:
    """Return the decision threshold if because of it the less probable of two classes was predicted; else "".

    Args:
        threshold: decision threshold of the model; None without one.
        probability: probability of the predicted class, 0 to 1.

    >>> from coverslip.evidence.support import Support
    >>> score = Support(0, 0, 0.95, False).score(None, None, "", "not measured")
    >>> low = Threshold("rust", 0.03, score, score)
    >>> threshold_note(low, 0.04), threshold_note(low, 0.9)
    ('threshold for rust: 0.03', '')
    """
    if threshold is None or probability >= DEFAULT_VALUE:
        return ""
    return f"threshold for {threshold.class_name}: {threshold.value:.3g}"


def _probabilities(
    network: Staged, image_set: ImageSet, predictor: Predictor, device: torch.device
) -> npt.NDArray[np.float64]:
    batches = []
    with torch.inference_mode():
        for places in image_set.batches():
            logits = network(image_set.images(predictor, device, places))
            batches.append(logits.cpu().double().softmax(1).numpy())
    return np.concatenate(batches)


def _figure(
    entry: ExplainedImage,
    image: npt.NDArray[Any],
    method: Method,
    areas: dict[str, npt.NDArray[np.bool_]],
    strip: SanityStrip | None,
) -> Figure:
    columns = method.columns
    kept = sorted({round(place) for place in np.linspace(0, len(columns) - 1, min(len(columns), MAX_COLUMNS))})
    rows = [
        MapRow(maps[0].class_name, f"{role}, {probability:.2f}", [maps[place].values for place in kept])
        for maps, role, probability in zip(entry.heatmaps, entry.roles, entry.probabilities, strict=True)
    ]
    prediction = f"predicted: {entry.predicted}, {entry.confidence:.2f}"
    threshold = f"({entry.decided})" if entry.decided else ""
    fits = not threshold or len(prediction) + len(threshold) < LINE_LENGTH
    under = [f"{prediction} {threshold}".rstrip()] if fits else [prediction, threshold]
    under += [] if entry.label is None else [f"true class: {entry.label}"]
    under += ["used for training"] if entry.trained_on else []
    under += [f"outlined: {' and '.join(areas)}"] if areas else []
    notes = (
        [f"{len(kept)} of {len(columns)} stages are shown; the arrays file contains all of them."]
        if len(kept) < len(columns)
        else []
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
