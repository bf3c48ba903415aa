"""The figures of a test set: mean maps, examples, mistakes, images that were looked away from, clusters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from coverslip.explaining.learned import Drawing
from coverslip.explaining.methods import Method
from coverslip.explaining.review import Review
from coverslip.figures.heat_review import Shown, map_gallery, mean_map_figure

MOST = 24  # images of one gallery
OF_CLUSTER = 4  # images of one cluster
CLUSTERS = 8


def draw_review(names: Sequence[str], review: Review, method: Method) -> list[Drawing]:
    """Every figure of a review, those without content left out."""

    def shown(row: int, note: str, *, own: bool = False) -> Shown:
        said = f"said {names[review.predicted[row]]} {review.confidence[row]:.2f}"
        if own and review.labels[row] >= 0:
            said += f", is {names[review.labels[row]]}"
        return Shown(review.versions(row, own=own), said, note)

    where = f" of {method.columns[-1]}" if method.taps else ""
    kind = f"{method.name}{where}"
    caption = f"The mean map of all images that were said to be of a class ({kind}); each has a scale of its own."
    drawings = [
        Drawing(
            "mean-maps",
            "What each class looks at",
            caption,
            mean_map_figure(names, review.means, review.counts.tolist()),  # pages have the caption below it
            {"means": review.means, "counts": review.counts, "classes": np.array(names)},
        ),
    ]
    chosen = [row for rows in review.examples.of_class for row in rows]
    if chosen:
        caption = f"Of each class the surest, a middling and the least sure of those that were right, with {kind}."
        items = [shown(row, review.names[row]) for row in chosen[: 2 * MOST]]
        drawings.append(_gallery("examples", "Examples of each class", caption, items))
    if review.examples.mistakes:
        some = review.examples.mistakes[:MOST]
        caption = f"Confident mistakes: the image, {kind} of what was said, and of what it is."
        if len(some) < len(review.examples.mistakes):
            caption += f" The first {len(some)} of {len(review.examples.mistakes)}."
        items = [shown(row, review.names[row], own=True) for row in some]
        drawings.append(_gallery("mistakes", "Confident mistakes", caption, items))
    if review.looked_away:
        some_away = review.looked_away[:MOST]
        what = "the subject" if review.with_subject else "the middle of the image"
        caption = (
            f"Images in which more heat lies off {what} than its area would give, the worst first: "
            f"{len(review.looked_away):,} of {len(review.names):,}."
        )
        items = [
            shown(each.row, f"{each.off:.2f} of the heat off {what}, {each.area:.2f} of the area") for each in some_away
        ]
        drawings.append(_gallery("looked-away", "Looked away", caption, items))
    rows = [
        (number, each, row)
        for number, each in enumerate(review.clusters[:CLUSTERS], 1)
        if len(each.rows) > 1
        for row in each.rows[:OF_CLUSTER]
    ]
    if rows:
        caption = (
            "Mistakes that the network sees alike, the largest cluster first, the most typical image first. Give "
            "them names in clusters.csv."
        )
        items = [
            shown(row, each.name or f"cluster {number}, {len(each.rows)} mistakes", own=True)
            for number, each, row in rows
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


def _gallery(name: str, title: str, caption: str, items: Sequence[Shown]) -> Drawing:
    return Drawing(name, title, caption, map_gallery(items, title=title, caption=caption))


def _fits_half(maps: npt.NDArray[np.float32]) -> bool:
    """Whether half precision holds the maps without becoming infinite or vanishing."""
    most = float(maps.max(initial=0))
    return 1e-3 < most < 6e4
