"""JavaScript of each explorable as one string, and stand-alone pages that need no notebook and no internet."""

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
from coverslip.course.explorables.catalog import EXPLORABLES
from coverslip.course.explorables.options import Explorable

IMPORT = re.compile(r'^import \{[^}]*\} from "\./([a-z_]+\.js)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


def static(name: str) -> str:
    """Return the text of one file of ``static/``."""
    return files("coverslip.course.explorables").joinpath("static", name).read_text(encoding="utf-8")


@cache
def theme() -> str:
    """Return the colors and fonts of all pages, for ``:root``."""
    return files("coverslip").joinpath("look", "theme.css").read_text(encoding="utf-8")


@cache
def style() -> str:
    """Return the style sheet of an explorable; its colors apply to ``.cx`` only, as notebooks have themes."""
    light, dark = re.findall(r":root (\{[^}]*\})", theme())
    return f'.cx {light}\n.cx[data-theme="dark"] {dark}\n{static("style.css")}'


def order(name: str, before: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return a module and all modules it imports, each once, dependencies first.

    >>> order("surfaces.js")
    ('numbers.js', 'surfaces.js')
    """
    for needed in IMPORT.findall(static(name)):
        if needed not in before:
            before = order(needed, before)
    return (*before, name)


def joined(*names: str) -> str:
    """Join modules and all their imports in one scope: a notebook's widget takes one string, not a folder.

    Top-level names must be unique over all modules; a test checks this.
    """
    needed: tuple[str, ...] = ()
    for name in names:
        needed = needed if name in needed else order(name, needed)
    return "\n".join(EXPORT.sub("", IMPORT.sub("", static(file))) for file in needed)


@cache
def module(name: str) -> str:
    """Return the ES module of an explorable: its texts and options, then ``export default { render(...) }``."""
    return f"const EXPLORABLE = {_json(asdict(EXPLORABLES[name]))};\n{joined(f'{name}.js')}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).replace("</", "<\\/")


def pages() -> dict[str, str]:
    """Return the explorables as pages that open without a kernel, a server or the internet.

    Returns:
        file name -> HTML: one page per explorable, and ``index.html``. The pages link to each other.

    >>> sorted(pages())
    ['activations.html', 'capacity.html', 'descent.html', 'index.html', 'kernel.html', 'regularization.html']
    """
    return {"index.html": _index()} | {f"{name}.html": _page(explorable) for name, explorable in EXPLORABLES.items()}


def write_pages(folder: str | Path) -> list[Path]:
    """Write `pages` into a folder, which is created if necessary; existing pages are replaced.

    Raises:
        UserError: the folder is a file or cannot be written to.
    """
    target = expand(folder)
    texts = pages()
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_text(target / name, text)
    except OSError as error:
        raise UserError(
            f"cannot write pages into {target}: {error.strerror}", "choose a folder you may write to"
        ) from error
    return [target / name for name in texts]


def _page(explorable: Explorable) -> str:
    model = f"plainModel({_json(explorable.values())})"
    code = module(explorable.name).replace("export default", "const explorable =")
    script = EXPORT.sub("", static("plain.js")) + code
    start = f'explorable.render({{ model: {model}, el: document.getElementById("explorable") }});'
    without = "<noscript>This page needs JavaScript, which is disabled in this browser.</noscript>"
    scripts = f'<script type="module">\n{script}\n{start}\n</script>'
    return _fill_template(explorable.name, explorable.title, without, scripts)


def _index() -> str:
    rows = "".join(
        f'<li><h2><a href="{name}.html">{html.escape(item.title)}</a></h2><p>{html.escape(item.opening)}</p></li>'
        for name, item in EXPLORABLES.items()
    )
    return _fill_template("", "Explorables", f'<h1>Explorables</h1>\n<ul class="index">{rows}</ul>', "")


def _fill_template(name: str, title: str, body: str, script: str) -> str:
    links = [
        f'<a href="{page}.html"{" aria-current=page" if page == name else ""}>{html.escape(explorable.short)}</a>'
        for page, explorable in EXPLORABLES.items()
    ]
    fields = {
        "title": html.escape(title),
        "style": theme() + style(),
        "links": "\n".join(links) if name else "<span>Interactive figures. They need no internet.</span>",
        "body": body,
        "script": script,
    }
    return re.sub(r"\{(title|style|links|body|script)\}", lambda match: fields[match[1]], static("page.html"))
