"""A section of the report of a run: its anchor and title, its template, and the function that fills it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from coverslip.reporting.run_files import RunFiles
from coverslip.reporting.thumbnails import Thumbnails

CLASSES = frozenset({"classification", "ordinal"})
VALUES = frozenset({"regression"})
LABELS = frozenset({"multilabel"})


@dataclass(frozen=True, slots=True)
class PageContext:
    """What a section is made from.

    Attributes:
        files: the files of the run.
        thumbnails: the images, within a budget that all sections share.
        training_images: whether images of all splits are shown; otherwise test images only.
    """

    files: RunFiles
    thumbnails: Thumbnails
    training_images: bool


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the report.

    Attributes:
        anchor: its id on the page, and the name of its content in the template.
        title: its heading.
        build: returns the content; an empty dict leaves the section out.
        tasks: tasks whose reports have this section; None for all.
        order: sections are built in this order, and on the page in that of the list: images of earlier ones have
            priority for the budget of thumbnails.
        template: file in ``templates/``; by default ``ANCHOR.html.j2``.
    """

    anchor: str
    title: str
    build: Callable[[PageContext], dict[str, Any]]
    tasks: frozenset[str] | None = None
    order: int = 0
    template: str = ""

    @property
    def file(self) -> str:
        """The file name of the template."""
        return self.template or f"{self.anchor}.html.j2"
