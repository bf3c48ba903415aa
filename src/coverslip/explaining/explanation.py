"""Result of `explain`: figures, heat maps and sentences."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from coverslip.explaining.images import ExplainedImage
from coverslip.explaining.learned import Drawing
from coverslip.explaining.maps.heatmap import Heatmap
from coverslip.explaining.maps.sanity import SanityChecks
from coverslip.explaining.review import Review

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Explanation:
    """Result of `coverslip.explain`; a notebook shows its figures one below the other.

    Attributes:
        run: name of the run.
        network: name of the network.
        classes: class names of the model.
        method: name of the heat-map method.
        layer: layer whose maps are checked and reviewed; "" if the method uses no layer.
        images: explanations of single images.
        trust: sanity checks of all these images together; None if they were not run.
        drawings: other figures: ideal images, filters, the test set.
        review: review of the test set; None if it was not requested.
        notes: notes for the user.
    """

    run: str
    network: str
    classes: tuple[str, ...]
    method: str
    layer: str
    images: list[ExplainedImage] = field(default_factory=list)
    trust: SanityChecks | None = None
    drawings: list[Drawing] = field(default_factory=list)
    review: Review | None = None
    notes: tuple[str, ...] = ()

    @property
    def figures(self) -> list[Figure]:
        """All figures, those of single images first."""
        return [figure for _, _, figure in self.shown()]

    @property
    def heatmaps(self) -> list[Heatmap]:
        """All maps of single images: image by image, class by class, stage by stage."""
        return [heatmap for image in self.images for row in image.heatmaps for heatmap in row]

    @property
    def sentences(self) -> list[str]:
        """Results in a few sentences; those of the test set if it was reviewed."""
        if self.review is None and len(self.images) == 1:
            return list(self.images[0].sentences)
        if self.review is not None:
            return self.review.sentences
        if self.trust is None:
            return []
        average = f"Averages over these {len(self.images):,} images; the results of each image are below its maps."
        return [average, *self.trust.sentences()]

    def shown(self) -> Iterator[tuple[str, str, Figure]]:
        """Yield title, caption and figure of everything, in order."""
        for image in self.images:
            yield image.name, "", image.figure
        for drawing in self.drawings:
            yield drawing.title, drawing.caption, drawing.figure

    def _repr_html_(self) -> str:
        parts = [f"<p>{escape(note)}</p>" for note in self.notes]
        for title, caption, figure in self.shown():
            file = io.BytesIO()
            figure.savefig(file, format="png", dpi=100)
            data = base64.b64encode(file.getvalue()).decode("ascii")
            parts.append(f'<img alt="{escape(title)}" style="max-width: 100%" src="data:image/png;base64,{data}">')
            parts.append(f"<p>{escape(caption)}</p>" if caption else "")
        return "\n".join(parts)
