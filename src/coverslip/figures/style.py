"""Style of all figures: colors, style file, and conversion to SVG for a page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, AXIS, LINE, CARD = "#1c231f", "#5c665f", "#8b938c", "#dedbd0", "#fffefb"
ACCENT, ON_ACCENT, ON_TINT = "#2f6f4f", "#ffffff", "#101512"
BLUE, VERMILION, GREEN = "#0072b2", "#d55e00", "#009e73"
OKABE_ITO = (BLUE, VERMILION, GREEN, "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # a series has its own color, marker and dashes
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.6)), (0, (6, 2, 1, 2)), "-", (0, (5, 2)), (0, (1.2, 1.6)))

# In a page, CSS variables replace these colors, so that they follow its light or dark mode.
PAGE_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    AXIS: "--axis",
    LINE: "--line",
    CARD: "--card",
    ACCENT: "--accent",
    ON_ACCENT: "--on-accent",
    ON_TINT: "--on-tint",
    BLUE: "--blue",
    VERMILION: "--vermilion",
    GREEN: "--green",
}


@cache
def _settings() -> Any:  # RcParams, whose type lists all settings
    import matplotlib as mpl

    return mpl.rc_params_from_file(Path(__file__).with_name("coverslip.mplstyle"), use_default_template=False)


def style() -> AbstractContextManager[None]:
    """Return a context manager that applies the style and restores the user's settings afterwards."""
    import matplotlib as mpl

    return mpl.rc_context(_settings())


@cache
def _figure_class() -> type[Figure]:
    from matplotlib.figure import Figure

    class NotebookFigure(Figure):
        """A figure that a notebook displays without pyplot."""

        def _repr_png_(self) -> bytes:
            file = io.BytesIO()
            self.savefig(file, format="png")
            return file.getvalue()

    return NotebookFigure


def new_figure(**options: Any) -> Figure:
    """Create a matplotlib figure that a notebook displays as the last value of a cell.

    Args:
        options: keyword arguments of `matplotlib.figure.Figure`.
    """
    return _figure_class()(**options)


def svg_text(figure: Figure, name: str, *, label: str = "", titles: Mapping[str, str] | None = None) -> str:
    """Convert a figure to an inline ``<svg>`` without XML header, with text as text and colors that follow the page.

    Args:
        figure: any figure of this package.
        name: prefix of all ids, unique in the page. The same figure and name give the same text.
        label: description for screen readers.
        titles: tooltip of each artist, by its ``gid``.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    no_metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with style(), mpl.rc_context({"svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the browser has its own fonts
        figure.savefig(buffer, format="svg", metadata=no_metadata)
    return _for_page(buffer.getvalue(), name, label, titles or {})


def _for_page(svg: str, name: str, label: str, titles: Mapping[str, str]) -> str:
    body = svg[svg.index("<svg") :]
    opening, _, body = body.partition(">")
    view = re.search(r'viewBox="([^"]+)"', opening)
    assert view is not None  # matplotlib always writes it
    width = float(view[1].split()[2])
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.DOTALL)
    body = re.sub(r"font-family: [^;\"]+;? ?", "", body)  # use the font of the page
    body = re.sub(r"font: ([\d.]+)px [^;\"]+", r"font-size: \1px", body)
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)  # it would apply to the whole page
    body = body.replace("xlink:href", "href").replace(' target="_blank"', "")
    body = re.sub(r"<defs>\s*</defs>", "", body)
    body = re.sub(r' transform="rotate\(-0 [^"]*\)"', "", body)
    for gid, text in titles.items():
        body = body.replace(f'<g id="{gid}">', f'<g id="{gid}"><title>{escape(text)}</title>')
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    body = re.sub(r'(<use\b[^>]*?)href="#([^"]+)"', rf'\1href="#{name}-\2"', body)
    for color, variable in PAGE_VARIABLES.items():
        body = re.sub(rf"{color}\b", f"var({variable}, {color})", body)
    body = re.sub(r"\s*\n\s*", "\n", body)
    role = "group" if "<a " in body else "img"  # the role "img" would hide links from screen readers
    css = f"--width: {width / 72:.2f}in; stroke-linejoin: round"
    return f'<svg viewBox="{view[1]}" style="{css}" role="{role}" aria-label="{escape(label)}">{body}'.strip()
