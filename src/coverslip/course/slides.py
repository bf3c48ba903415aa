"""Slides from the lessons' key sentences and the figures that their notebooks draw."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from coverslip.course.lesson import HIDDEN, Cell
from coverslip.course.rehearsal import Rehearsal, images_of


@dataclass(frozen=True)
class Slide:
    """One slide.

    Attributes:
        lesson: number and title of the lesson.
        text: markdown; bold, emphasis, code and lists are supported.
        figure: PNG data, or empty.
        title: True for the first slide of a lesson.
    """

    lesson: str
    text: str
    figure: bytes = b""
    title: bool = False


def slides_of(rehearsal: Rehearsal) -> list[Slide]:
    """Return the slides of one lesson: its title, then one per key sentence with the figure of the cell after it."""
    name = f"{rehearsal.lesson.number}. {rehearsal.lesson.title}"
    slides = [Slide(name, rehearsal.lesson.title, title=True)]
    figures_by_line = {step.cell.line: images_of(step.outputs) for step in rehearsal.steps}
    for cell, next_cell in _pairs(rehearsal.lesson.cells):
        if cell.role == "slide":
            figures = figures_by_line.get(next_cell.line, []) if next_cell is not None and next_cell.code else []
            slides.append(Slide(name, cell.source, figures[0] if figures else b""))
    return slides


def deck(rehearsals: Sequence[Rehearsal]) -> str:
    """Return all slides as one self-contained HTML page: arrow keys, Home and End; in print, one page per slide."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    loader = ChoiceLoader([PackageLoader("coverslip.course", "templates"), PackageLoader("coverslip", "look")])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    slides = [slide for rehearsal in rehearsals for slide in slides_of(rehearsal)]
    fields = [
        {
            "lesson": slide.lesson,
            "title": slide.title,
            "text": Markup(markdown_to_html(slide.text)),
            "figure": base64.b64encode(slide.figure).decode(),
            "label": re.sub(r"[*`>#]", "", slide.text).strip(),
        }
        for slide in slides
    ]
    return environment.get_template("slides.html.j2").render(slides=fields)


def markdown_to_html(text: str) -> str:
    """Return the markdown of a key sentence as HTML.

    >>> markdown_to_html("A **network** is a `function`.")
    '<p>A <strong>network</strong> is a <code>function</code>.</p>'
    """
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.splitlines()
        if all(re.match(r"\s*[-*] ", line) for line in lines):
            items = "".join(f"<li>{_inline(re.sub(r'^ *[-*] ', '', line))}</li>" for line in lines)
            blocks.append(f"<ul>{items}</ul>")
        else:
            blocks.append(f"<p>{_inline(' '.join(re.sub(r'^#+ ', '', line) for line in lines))}</p>")
    return "".join(blocks)


def _inline(text: str) -> str:
    safe = escape(text, quote=False)
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    safe = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", safe)
    return re.sub(r"(?<!\*)\*([^*\s][^*]*)\*", r"<em>\1</em>", safe)


def _pairs(cells: Sequence[Cell]) -> Iterator[tuple[Cell, Cell | None]]:
    """Yield each cell of the notebook with the one after it."""
    visible = [cell for cell in cells if cell.role not in HIDDEN]
    return zip(visible, [*visible[1:], None], strict=True)
