"""Figures of a test set: mean maps, examples, mistakes, images with heat off the subject, clusters of mistakes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from coverslip.explaining.learned import Drawing
from coverslip.explaining.methods import Method
from coverslip.explaining.review import Review
from coverslip.figures.heat_review import GalleryItem, map_gallery, mean_map_figure

MAX_IMAGES = 24  # of one gallery
MAX_OF_CLUSTER = 4  # images of one cluster
MAX_CLUSTERS = 8


def draw_review(names: Sequence[str], review: Review, method: Method) -> list[Drawing]:
    """Draw all figures of a review that have content.

    Args:
        names: class names.
        review: review of the test set.
        method: heat-map method of the review.
    """

    def item(row: int, note: str, *, true_map: bool = False) -> GalleryItem:
        text = f"predicted {names[review.predicted[row]]} {review.confidence[row]:.2f}"
        if true_map and review.labels[row] >= 0:
            text += f", true {names[review.labels[row]]}"
        return GalleryItem(review.versions(row, true_map=true_map), text, note)

    where = f" of {method.columns[-1]}" if method.taps else ""
    kind = f"{method.name}{where}"
    caption = f"Mean map of all images predicted as each class ({kind}); each map has its own scale."
    drawings = [
        Drawing(
            "mean-maps",
            "Mean maps of the classes",
            caption,
            mean_map_figure(names, review.means, review.counts.tolist()),  # web pages show the caption below the figure
            {"means": review.means, "counts": review.counts, "classes": np.array(names)},
        ),
    ]
    chosen = [row for rows in review.examples.of_class for row in rows]
    if chosen:
        caption = f"Correctly classified images of each class with high, medium and low confidence, with {kind}."
        items = [item(row, review.names[row]) for row in chosen[: 2 * MAX_IMAGES]]
        drawings.append(_gallery("examples", "Examples of each class", caption, items))
    if review.examples.mistakes:
        mistakes = review.examples.mistakes[:MAX_IMAGES]
        caption = f"Confident mistakes: the image, and {kind} of the predicted and of the true class."
        if len(mistakes) < len(review.examples.mistakes):
            caption += f" The first {len(mistakes)} of {len(review.examples.mistakes)}."
        items = [item(row, review.names[row], true_map=True) for row in mistakes]
        drawings.append(_gallery("mistakes", "Confident mistakes", caption, items))
    if review.off_subject:
        ranked = review.off_subject[:MAX_IMAGES]
        region = "the subject" if review.with_subject else "the center of the image"
        caption = (
            f"Images with more heat outside {region} than expected from the area, the worst first: "
            f"{len(review.off_subject):,} of {len(review.names):,}."
        )
        items = [
            item(image.row, f"{image.off:.2f} of the heat outside {region}, which covers {image.area:.2f} of the image")
            for image in ranked
        ]
        drawings.append(
            _gallery(
                "looked-away",
                "Heat outside the subject" if review.with_subject else "Heat outside the center",
                caption,
                items,
            )
        )
    rows = [
        (number, cluster, row)
        for number, cluster in enumerate(review.clusters[:MAX_CLUSTERS], 1)
        if len(cluster.rows) > 1
        for row in cluster.rows[:MAX_OF_CLUSTER]
    ]
    if rows:
        caption = (
            "Mistakes with similar features, the largest cluster and the most typical image first. Clusters can be "
            "named in clusters.csv."
        )
        items = [
            item(row, cluster.name or f"cluster {number}, {len(cluster.rows)} mistakes", true_map=True)
            for number, cluster, row in rows
        ]
        drawings.append(_gallery("clusters", "Clusters of mistakes", caption, items))
    arrays = {
        "maps": review.maps.astype(np.float16) if _fits_half(review.maps) else review.maps,
        "paths": np.array(review.names),
        "predicted": review.predicted,
        "labels": review.labels,
    }
    drawings[0].arrays.update(arrays)
    return drawings


def _gallery(name: str, title: str, caption: str, items: Sequence[GalleryItem]) -> Drawing:
    return Drawing(name, title, caption, map_gallery(items, title=title, caption=caption))


def _fits_half(maps: npt.NDArray[np.float32]) -> bool:
    """Return whether half precision represents the maps without overflow or underflow."""
    largest = float(maps.max(initial=0))
    return 1e-3 < largest < 6e4
