"""A whole test set: what each class looks at, who looked away, which mistakes are alike, and images worth a look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from coverslip.core.progress import SILENT, Progress
from coverslip.evidence.intervals import format_interval
from coverslip.explaining.areas import LESION, Areas
from coverslip.explaining.maps.heatmap import FloatArray
from coverslip.explaining.maps.placement import frame
from coverslip.explaining.maps.review import (
    Cluster,
    Examples,
    LookedAway,
    choose_examples,
    cluster_failures,
    mean_maps,
    rank_looked_away,
    with_names,
)
from coverslip.explaining.maps.scores import Placement, place_heat
from coverslip.explaining.maps.trust import BORDER_PROBES, Trust, about_background, about_border, check_maps
from coverslip.explaining.methods import Method, other_methods
from coverslip.explaining.subjects import Subjects
from coverslip.figures.overlay import overlay, with_outlines
from coverslip.inference.predictor import Predictor
from coverslip.models.stages import Staged

SAMPLE = 24  # images whose maps are tested: each costs the network a hundred runs
EACH = 3  # examples of a class


def confident_text(confident: int, wrong: int) -> str:
    """How many of the mistakes are confident ones, in words.

    >>> [confident_text(*each) for each in ((0, 0), (1, 1), (0, 1))]
    ['there is no mistake', 'the only mistake is a confident one', 'the only mistake is not a confident one']
    >>> confident_text(0, 4), confident_text(3, 4)
    ('none of 4 mistakes is a confident one', '3 of 4 mistakes are confident ones')
    """
    if not wrong:
        return "there is no mistake"
    if wrong == 1:
        return f"the only mistake is {'' if confident else 'not '}a confident one"
    if confident < 2:
        return f"{confident or 'none'} of {wrong:,} mistakes is a confident one"
    return f"{confident:,} of {wrong:,} mistakes are confident ones"


@dataclass(frozen=True)
class Review:
    """The test set by its maps; N images, K classes, rows are places in ``names``.

    Attributes:
        names: paths as the run names them.
        labels: (N,) true classes.
        predicted: (N,).
        confidence: (N,) probability of the predicted class.
        maps: float32 (N, h, w) of the predicted class, last layer.
        true_maps: row of a mistake -> map of its true class.
        means: (K, h, w), the mean map of what was predicted as each class; NaN where nothing was.
        counts: (K,) of how many images.
        looked_away: the worst first.
        with_subject: whether masks said what the subject is; without them it is all but the border.
        clusters: of the mistakes.
        examples: three a class, and every confident mistake.
        trust: of a sample of the maps; None where it was not asked.
        places: name of an area -> where the heat of all images lies, background and border among them.
        cluster_names: path of an image -> name that a person gave to its cluster.
        image: row -> image to be drawn, (H, W, C).
        areas: masks of the images.
        probes: of the run's audit, for the border.
    """

    names: list[str]
    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    maps: FloatArray
    true_maps: dict[int, FloatArray]
    means: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    looked_away: list[LookedAway]
    with_subject: bool
    clusters: list[Cluster]
    examples: Examples
    trust: Trust | None
    places: dict[str, Placement]
    cluster_names: Mapping[str, str]
    image: Callable[[int], npt.NDArray[Any]]
    areas: Areas
    probes: Sequence[Mapping[str, Any]] = ()

    @property
    def sentences(self) -> list[str]:
        """What was found, the place of the heat first."""
        if self.with_subject:
            told = [about_background(self.places["background"])]
        else:
            told = [about_border(self.places["border"], self.probes)]
        if LESION in self.places:
            place = self.places[LESION]
            if place.hits["value"] is not None and place.hits_by_chance is not None:
                told.append(
                    f"The hottest place lies in a lesion in {format_interval(place.hits, 2)} of the images, by "
                    f"chance in {place.hits_by_chance:.2f}."
                )
        told += [] if self.trust is None else self.trust.sentences()[:2]
        what = "the subject" if self.with_subject else "the middle of the image"
        wrong = int(((self.labels != self.predicted) & (self.labels >= 0)).sum())
        away = f"{len(self.looked_away):,} of {len(self.names):,} images"
        have = "has" if len(self.looked_away) == 1 else "have"
        sure = confident_text(len(self.examples.mistakes), wrong)
        told.append(f"{away} {have} more heat off {what} than its area would give; {sure}.")
        return told

    def versions(self, row: int, *, own: bool | None = None) -> list[npt.NDArray[np.uint8]]:
        """An image, the map of what was said over it, and of a mistake the map of what it is.

        Args:
            row: which.
            own: whether there is a third, blank where it was no mistake; None for mistakes only.
        """
        image, areas = self.image(row), self.areas.of(row)
        drawn = [with_outlines(image, areas), overlay(image, self.maps[row])]
        heat = self.true_maps.get(row)
        if own or (own is None and heat is not None):
            drawn.append(np.full_like(drawn[1], 245) if heat is None else overlay(image, heat))
        return drawn


def review_test(
    predictor: Predictor,
    network: Staged,
    subjects: Subjects,
    method: Method,
    *,
    trust: bool = True,
    probes: Sequence[Mapping[str, Any]] = (),
    cluster_names: Mapping[str, str] | None = None,
    device: torch.device,
    progress: Progress = SILENT,
) -> Review:
    """Draw the map of the predicted class for every image of a test set, and look through them.

    Args:
        predictor: the trained model.
        network: the same in one piece, on the device.
        subjects: the test set.
        method: with its layers; the last is read.
        trust: whether a sample of the maps is tested.
        probes: of the run's audit.
        cluster_names: path of an image -> name that a person gave to its cluster.
        device: to compute on.
        progress: told of the stages.
    """
    classes = predictor.task.classes
    features = predictor.extractor.extract(
        subjects.pixels, subjects.rows, subjects.keys, 1, progress, "features of the test set"
    )
    probabilities = predictor.probabilities(features)
    predicted = predictor.task.named(probabilities)
    confidence = probabilities[np.arange(len(predicted)), predicted]
    labels = np.array([-1 if each is None else each for each in subjects.labels])
    parts: list[FloatArray] = []
    true_maps: dict[int, FloatArray] = {}
    with progress.stage(f"drawing {method.name}", len(subjects)) as stage:
        for some in subjects.batches():
            images = subjects.images(predictor, device, some)
            parts.append(method.explain(network, images, predicted[some].tolist()))
            wrong = [place for place in some if labels[place] not in (-1, predicted[place])]
            if wrong:
                own = images[[place - some.start for place in wrong]]
                found = method.explain(network, own, labels[wrong].tolist())
                true_maps |= dict(zip(wrong, found, strict=True))
            stage.advance(len(some))
    maps = np.concatenate(parts)
    everyone = range(len(subjects))
    whole = subjects.areas.subject(everyone)
    size = (int(subjects.pixels.shape[1]), int(subjects.pixels.shape[2]))
    middle = np.broadcast_to(~frame(size), (len(subjects), *size))
    places = {name: place_heat(maps, each, subjects.groups) for name, each in subjects.areas.some(everyone).items()}
    if whole is not None:
        places["background"] = place_heat(maps, ~whole, subjects.groups)
    places["border"] = place_heat(maps, ~middle, subjects.groups)
    means, counts = mean_maps(maps, predicted, len(classes))
    known = labels >= 0
    clusters = cluster_failures(features, np.where(known, labels, predicted), predicted)
    return Review(
        names=subjects.names,
        labels=labels,
        predicted=predicted,
        confidence=confidence,
        maps=maps,
        true_maps=true_maps,
        means=means,
        counts=counts,
        looked_away=rank_looked_away(maps, middle if whole is None else whole),
        with_subject=whole is not None,
        clusters=with_names(clusters, subjects.names, cluster_names or {}),
        examples=choose_examples(labels, predicted, confidence, len(classes), each=EACH),
        trust=_sampled(predictor, network, subjects, predicted, method, probes, device, progress) if trust else None,
        places=places,
        cluster_names=cluster_names or {},
        image=lambda row: subjects.shown(predictor, row),
        areas=subjects.areas,
        probes=[probe for probe in probes if probe.get("name") in BORDER_PROBES],
    )


def _sampled(
    predictor: Predictor,
    network: Staged,
    subjects: Subjects,
    predicted: npt.NDArray[np.int64],
    method: Method,
    probes: Sequence[Mapping[str, Any]],
    device: torch.device,
    progress: Progress,
) -> Trust:
    """Test the maps of a sample, taken at even distances."""
    some = sorted({round(place) for place in np.linspace(0, len(subjects) - 1, min(SAMPLE, len(subjects)))})
    with progress.stage("testing whether the maps can be trusted", len(some)) as stage:
        found = check_maps(
            network,
            subjects.images(predictor, device, some),
            predicted[some].tolist(),
            method.explain,
            method=method.name,
            others=other_methods(method, len(some)),
            masks=subjects.areas.some(some),
            subject=subjects.areas.subject(some),
            groups=None if subjects.groups is None else [subjects.groups[place] for place in some],
            probes=probes,
            draws=1,
            layer_by_layer=False,
        )
        stage.advance(len(some))
    return found
