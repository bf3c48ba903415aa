"""Review of a test set with heat maps: mean maps, heat off the subject, clusters of mistakes, and examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from coverslip.core.progress import SILENT, Progress
from coverslip.explaining.areas import LESION, Areas
from coverslip.explaining.image_set import ImageSet
from coverslip.explaining.maps.heatmap import FloatArray
from coverslip.explaining.maps.placement import border_frame
from coverslip.explaining.maps.review import (
    Cluster,
    Examples,
    OffSubject,
    choose_examples,
    cluster_mistakes,
    mean_maps,
    rank_off_subject,
    with_names,
)
from coverslip.explaining.maps.sanity import (
    BORDER_PROBES,
    SanityChecks,
    background_sentence,
    border_sentence,
    check_maps,
    score_text,
)
from coverslip.explaining.maps.scores import Placement, measure_placement
from coverslip.explaining.methods import Method, other_methods
from coverslip.figures.overlay import overlay, with_outlines
from coverslip.inference.predictor import Predictor
from coverslip.models.stages import Staged
from coverslip.tasks.classification import require_classification

SAMPLE = 24  # images for the sanity checks: each needs about a hundred forward passes
PER_CLASS = 3  # examples per class


def confident_text(confident: int, wrong: int) -> str:
    """Return the number of confident mistakes in words.

    Args:
        confident: number of confident mistakes.
        wrong: number of mistakes.

    >>> [confident_text(*numbers) for numbers in ((0, 0), (1, 1), (0, 1))]
    ['there are no mistakes', 'the only mistake is a confident one', 'the only mistake is not a confident one']
    >>> confident_text(0, 4), confident_text(3, 4)
    ('none of 4 mistakes is a confident one', '3 of 4 mistakes are confident ones')
    """
    if not wrong:
        return "there are no mistakes"
    if wrong == 1:
        return f"the only mistake is {'' if confident else 'not '}a confident one"
    if confident < 2:
        return f"{confident or 'none'} of {wrong:,} mistakes is a confident one"
    return f"{confident:,} of {wrong:,} mistakes are confident ones"


@dataclass(frozen=True)
class Review:
    """Review of N test images and K classes; rows are positions in ``names``.

    Attributes:
        names: paths as in the table of the run.
        labels: true class ids, shape (N,); -1 for an unknown class.
        predicted: predicted class ids, shape (N,).
        confidence: probability of the predicted class, shape (N,), 0 to 1.
        maps: maps of the predicted class for the last layer, float32 (N, h, w).
        true_maps: row of a mistake -> map of its true class.
        means: mean map of the images predicted as each class, (K, h, w); NaN for a class without images.
        counts: number of images in each mean map, shape (K,).
        off_subject: images with more heat off the subject than expected from the area, the worst first.
        with_subject: whether masks of the subject exist; otherwise, everything but the border counts as subject.
        clusters: clusters of mistakes.
        examples: three examples per class, and all confident mistakes.
        trust: sanity checks of a sample of the maps; None if they were not run.
        places: name of an area, including ``background`` and ``border`` -> heat in that area.
        cluster_names: path of an image -> name that the user gave to its cluster.
        image: function that returns the image of a row for display, (H, W, C).
        areas: areas marked by masks.
        probes: border probes of the run's audit.
    """

    names: list[str]
    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    maps: FloatArray
    true_maps: dict[int, FloatArray]
    means: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    off_subject: list[OffSubject]
    with_subject: bool
    clusters: list[Cluster]
    examples: Examples
    trust: SanityChecks | None
    places: dict[str, Placement]
    cluster_names: Mapping[str, str]
    image: Callable[[int], npt.NDArray[Any]]
    areas: Areas
    probes: Sequence[Mapping[str, Any]] = ()

    @property
    def sentences(self) -> list[str]:
        """Results in a few sentences, the location of the heat first."""
        if self.with_subject:
            sentences = [background_sentence(self.places["background"])]
        else:
            sentences = [border_sentence(self.places["border"], self.probes)]
        if LESION in self.places:
            place = self.places[LESION]
            if place.hits["value"] is not None and place.hits_by_chance is not None:
                sentences.append(
                    f"Pointing game: the hottest pixel is in a lesion in {score_text(place.hits)} of the "
                    f"images (chance: {place.hits_by_chance:.2f})."
                )
        sentences += [] if self.trust is None else self.trust.sentences()[:2]
        region = "the subject" if self.with_subject else "the center of the image"
        wrong = int(((self.labels != self.predicted) & (self.labels >= 0)).sum())
        images = f"{len(self.off_subject):,} of {len(self.names):,} images"
        verb = "has" if len(self.off_subject) == 1 else "have"
        mistakes = confident_text(len(self.examples.mistakes), wrong)
        sentences.append(f"{images} {verb} more heat outside {region} than expected from the area; {mistakes}.")
        return sentences

    def versions(self, row: int, *, true_map: bool | None = None) -> list[npt.NDArray[np.uint8]]:
        """Return an image, the map of its predicted class, and the map of its true class if it is a mistake.

        Args:
            row: row of the image.
            true_map: always include the third version, blank for correct images; None includes it only for mistakes.
        """
        image, areas = self.image(row), self.areas.of_image(row)
        drawn = [with_outlines(image, areas), overlay(image, self.maps[row])]
        heat = self.true_maps.get(row)
        if true_map or (true_map is None and heat is not None):
            drawn.append(np.full_like(drawn[1], 245) if heat is None else overlay(image, heat))
        return drawn


def review_test(
    predictor: Predictor,
    network: Staged,
    image_set: ImageSet,
    method: Method,
    *,
    trust: bool = True,
    probes: Sequence[Mapping[str, Any]] = (),
    cluster_names: Mapping[str, str] | None = None,
    device: torch.device,
    progress: Progress = SILENT,
) -> Review:
    """Compute the map of the predicted class of every image in a test set, and evaluate the maps.

    Args:
        predictor: trained model.
        network: the same model as one network, on ``device``.
        image_set: the test set.
        method: heat-map method with its layers; the last layer is used.
        trust: run the sanity checks for a sample of the maps.
        probes: shortcut probes of the run's audit.
        cluster_names: path of an image -> name that the user gave to its cluster.
        device: device of the computation.
        progress: receives the stages.
    """
    task = require_classification(predictor.task, "explain")
    classes = task.classes
    features = predictor.extractor.extract(
        image_set.pixels, image_set.rows, image_set.keys, 1, progress, "computing features of the test set"
    )
    probabilities = task.probabilities(predictor.outputs(features))
    predicted = task.predicted_classes(probabilities)
    confidence = probabilities[np.arange(len(predicted)), predicted]
    labels = np.array([-1 if label is None else label for label in image_set.labels])
    batches: list[FloatArray] = []
    true_maps: dict[int, FloatArray] = {}
    with progress.stage(f"computing {method.name} maps", len(image_set)) as stage:
        for batch in image_set.batches():
            images = image_set.images(predictor, device, batch)
            batches.append(method.explain(network, images, predicted[batch].tolist()))
            wrong = [place for place in batch if labels[place] not in (-1, predicted[place])]
            if wrong:
                wrong_images = images[[place - batch.start for place in wrong]]
                maps_of_wrong = method.explain(network, wrong_images, labels[wrong].tolist())
                true_maps |= dict(zip(wrong, maps_of_wrong, strict=True))
            stage.advance(len(batch))
    maps = np.concatenate(batches)
    all_images = range(len(image_set))
    subject = image_set.areas.subject(all_images)
    size = (int(image_set.pixels.shape[1]), int(image_set.pixels.shape[2]))
    center = np.broadcast_to(~border_frame(size), (len(image_set), *size))
    places = {
        name: measure_placement(maps, mask, image_set.groups)
        for name, mask in image_set.areas.of_images(all_images).items()
    }
    if subject is not None:
        places["background"] = measure_placement(maps, ~subject, image_set.groups)
    places["border"] = measure_placement(maps, ~center, image_set.groups)
    means, counts = mean_maps(maps, predicted, len(classes))
    known = labels >= 0
    clusters = cluster_mistakes(features, np.where(known, labels, predicted), predicted)
    return Review(
        names=image_set.names,
        labels=labels,
        predicted=predicted,
        confidence=confidence,
        maps=maps,
        true_maps=true_maps,
        means=means,
        counts=counts,
        off_subject=rank_off_subject(maps, center if subject is None else subject),
        with_subject=subject is not None,
        clusters=with_names(clusters, image_set.names, cluster_names or {}),
        examples=choose_examples(labels, predicted, confidence, len(classes), per_class=PER_CLASS),
        trust=_check_sample(predictor, network, image_set, predicted, method, probes, device, progress)
        if trust
        else None,
        places=places,
        cluster_names=cluster_names or {},
        image=lambda row: image_set.shown(predictor, row),
        areas=image_set.areas,
        probes=[probe for probe in probes if probe.get("name") in BORDER_PROBES],
    )


def _check_sample(
    predictor: Predictor,
    network: Staged,
    image_set: ImageSet,
    predicted: npt.NDArray[np.int64],
    method: Method,
    probes: Sequence[Mapping[str, Any]],
    device: torch.device,
    progress: Progress,
) -> SanityChecks:
    """Run the sanity checks for an evenly spaced sample of the test set."""
    sample = sorted({round(place) for place in np.linspace(0, len(image_set) - 1, min(SAMPLE, len(image_set)))})
    with progress.stage("running sanity checks", len(sample)) as stage:
        checks = check_maps(
            network,
            image_set.images(predictor, device, sample),
            predicted[sample].tolist(),
            method.explain,
            method=method.name,
            others=other_methods(method, len(sample)),
            masks=image_set.areas.of_images(sample),
            subject=image_set.areas.subject(sample),
            groups=None if image_set.groups is None else [image_set.groups[place] for place in sample],
            probes=probes,
            draws=1,
            layer_by_layer=False,
        )
        stage.advance(len(sample))
    return checks
