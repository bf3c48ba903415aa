"""A deck of slides, made of the lessons' key sentences and of the figures that their notebooks drew."""

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
        lesson: its number and title.
        text: markdown: bold, emphasis, code, and a list are known.
        figure: PNG, or empty.
        title: whether it opens a lesson.
    """

    lesson: str
    text: str
    figure: bytes = b""
    title: bool = False


def slides_of(done: Rehearsal) -> list[Slide]:
    """The slides of one lesson: its title, then a slide a key sentence, with the figure of the cell right behind it."""
    name = f"{done.lesson.number}. {done.lesson.title}"
    found = [Slide(name, done.lesson.title, title=True)]
    shown = {step.cell.line: images_of(step.outputs) for step in done.steps}
    for cell, following in _pairs(done.lesson.cells):
        if cell.role == "slide":
            figures = shown.get(following.line, []) if following is not None and following.code else []
            found.append(Slide(name, cell.source, figures[0] if figures else b""))
    return found


def deck(rehearsals: Sequence[Rehearsal]) -> str:
    """The whole deck as one HTML file without a link to anything: arrow keys, Home, End; printed, a page a slide."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    loader = ChoiceLoader([PackageLoader("coverslip.course", "templates"), PackageLoader("coverslip", "look")])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    slides = [slide for done in rehearsals for slide in slides_of(done)]
    shown = [
        {
            "lesson": slide.lesson,
            "title": slide.title,
            "words": Markup(words(slide.text)),
            "figure": base64.b64encode(slide.figure).decode(),
            "label": re.sub(r"[*`>#]", "", slide.text).strip(),
        }
        for slide in slides
    ]
    return environment.get_template("slides.html.j2").render(slides=shown)


def words(text: str) -> str:
    """The little markdown of a key sentence as HTML.

    >>> words("A **network** is a `function`.")
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
    shown = [cell for cell in cells if cell.role not in HIDDEN]
    return zip(shown, [*shown[1:], None], strict=True)
