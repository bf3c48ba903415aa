"""All that `explain` found: figures to look at, maps to compute with, words to quote."""

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
from coverslip.explaining.maps.trust import Trust
from coverslip.explaining.review import Review

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Explanation:
    """What `coverslip.explain` gives; a notebook shows its figures one below the other.

    Attributes:
        run: name of the run.
        network: name of the network.
        classes: of the model.
        method: name of the method.
        layer: whose maps are tested and reviewed; "" where the method reads none.
        images: one by one.
        trust: of all of those together; None where it was not asked.
        drawings: all further figures: ideal images, filters, the test set.
        review: of the test set; None where it was not asked.
        notes: what the user should know.
    """

    run: str
    network: str
    classes: tuple[str, ...]
    method: str
    layer: str
    images: list[ExplainedImage] = field(default_factory=list)
    trust: Trust | None = None
    drawings: list[Drawing] = field(default_factory=list)
    review: Review | None = None
    notes: tuple[str, ...] = ()

    @property
    def figures(self) -> list[Figure]:
        """Every figure, images first."""
        return [figure for _, _, figure in self.shown()]

    @property
    def heatmaps(self) -> list[Heatmap]:
        """Every map of the images: image by image, class by class, stage by stage."""
        return [heatmap for each in self.images for row in each.heatmaps for heatmap in row]

    @property
    def sentences(self) -> list[str]:
        """What was found, in a few sentences; of the test set where there is one."""
        if self.review is None and len(self.images) == 1:
            return list(self.images[0].sentences)
        if self.review is not None:
            return self.review.sentences
        if self.trust is None:
            return []
        average = f"An average over these {len(self.images):,} images; what was found of each is under its maps."
        return [average, *self.trust.sentences()]

    def shown(self) -> Iterator[tuple[str, str, Figure]]:
        """Title, caption and figure of everything, in order."""
        for each in self.images:
            yield each.name, "", each.figure
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
