"""One string of JavaScript for each piece, and a page that needs neither kernel nor network."""

from __future__ import annotations

import html
import json
import re
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from pathlib import Path

from coverslip.core.errors import UserError
from coverslip.core.paths import expand
from coverslip.core.storage import write_text
from coverslip.course.explorables.options import Piece
from coverslip.course.explorables.pieces import PIECES

IMPORT = re.compile(r'^import \{[^}]*\} from "\./([a-z_]+\.js)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


def static(name: str) -> str:
    """The text of one file of ``static/``."""
    return files("coverslip.course.explorables").joinpath("static", name).read_text(encoding="utf-8")


@cache
def theme() -> str:
    """The colors and fonts of every page, for ``:root``."""
    return files("coverslip").joinpath("look", "theme.css").read_text(encoding="utf-8")


@cache
def style() -> str:
    """The sheet of a piece. Its colors stand under ``.cx``, light and dark, as a notebook has a theme of its own."""
    light, dark = re.findall(r":root (\{[^}]*\})", theme())
    return f'.cx {light}\n.cx[data-theme="dark"] {dark}\n{static("style.css")}'


def order(name: str, before: tuple[str, ...] = ()) -> tuple[str, ...]:
    """A module and all it imports, each once, what is needed first.

    >>> order("surfaces.js")
    ('numbers.js', 'surfaces.js')
    """
    for needed in IMPORT.findall(static(name)):
        if needed not in before:
            before = order(needed, before)
    return (*before, name)


def joined(*names: str) -> str:
    """The modules and all that they import in one scope: a notebook's widget takes one string, not a folder.

    Names at the top of a module are unique over all modules; a test sees to it.
    """
    needed: tuple[str, ...] = ()
    for name in names:
        needed = needed if name in needed else order(name, needed)
    return "\n".join(EXPORT.sub("", IMPORT.sub("", static(each))) for each in needed)


@cache
def module(name: str) -> str:
    """The ES module of a piece: ``export default { render({ model, el }) }``, with its words and limits in front."""
    return f"const PIECE = {_json(asdict(PIECES[name]))};\n{joined(f'{name}.js')}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).replace("</", "<\\/")


def pages() -> dict[str, str]:
    """The pieces as pages that open without a kernel, a server or a network.

    Returns:
        file name -> HTML: one page a piece, and ``index.html``. The pages link to each other by name.

    >>> sorted(pages())
    ['activations.html', 'capacity.html', 'descent.html', 'index.html', 'kernel.html', 'regularization.html']
    """
    return {"index.html": _index()} | {f"{name}.html": _page(piece) for name, piece in PIECES.items()}


def write_pages(folder: str | Path) -> list[Path]:
    """Write `pages` into a folder, which is made if need be; pages of the same names are replaced.

    Raises:
        UserError: there is a file of that name, or the folder cannot be written to.
    """
    to = expand(folder)
    texts = pages()
    try:
        to.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_text(to / name, text)
    except OSError as error:
        raise UserError(f"cannot write pages into {to}: {error.strerror}", "name a folder you may write to") from error
    return [to / name for name in texts]


def _page(piece: Piece) -> str:
    model = f"plainModel({_json(piece.values())})"
    script = EXPORT.sub("", static("plain.js")) + module(piece.name).replace("export default", "const explorable =")
    start = f'explorable.render({{ model: {model}, el: document.getElementById("piece") }});'
    without = "<noscript>This page moves with JavaScript, which is switched off in this browser.</noscript>"
    return _filled(piece.name, piece.title, without, f'<script type="module">\n{script}\n{start}\n</script>')


def _index() -> str:
    rows = "".join(
        f'<li><h2><a href="{name}.html">{html.escape(piece.title)}</a></h2><p>{html.escape(piece.opening)}</p></li>'
        for name, piece in PIECES.items()
    )
    return _filled("", "Explorables", f'<h1>Explorables</h1>\n<ul class="index">{rows}</ul>', "")


def _filled(name: str, title: str, body: str, script: str) -> str:
    links = [
        f'<a href="{each}.html"{" aria-current=page" if each == name else ""}>{html.escape(piece.short)}</a>'
        for each, piece in PIECES.items()
    ]
    parts = {
        "title": html.escape(title),
        "style": theme() + style(),
        "links": "\n".join(links) if name else "<span>Small pieces to try. They need no network.</span>",
        "body": body,
        "script": script,
    }
    return re.sub(r"\{(title|style|links|body|script)\}", lambda found: parts[found[1]], static("page.html"))
