"""The look of every figure: its colors, its style file, and its way into a page as SVG text."""

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
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # never color alone: the n-th series has the n-th marker and dashes too
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.6)), (0, (6, 2, 1, 2)), "-", (0, (5, 2)), (0, (1.2, 1.6)))

# In a page these colors follow its light or dark mode; outside one, the color after the comma is used.
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
def _settings() -> Any:  # an RcParams; its type names every setting one by one
    import matplotlib as mpl

    return mpl.rc_params_from_file(Path(__file__).with_name("coverslip.mplstyle"), use_default_template=False)


def style() -> AbstractContextManager[None]:
    """The style for the length of a ``with`` block; the user's own settings come back after it."""
    import matplotlib as mpl

    return mpl.rc_context(_settings())


@cache
def _figure_class() -> type[Figure]:
    from matplotlib.figure import Figure

    class Shown(Figure):
        """A figure that a notebook shows by itself; a plain one is shown only once somebody has imported pyplot."""

        def _repr_png_(self) -> bytes:
            file = io.BytesIO()
            self.savefig(file, format="png")
            return file.getvalue()

    return Shown


def new_figure(**options: Any) -> Figure:
    """A figure of matplotlib's, with its options, which a notebook shows as the last line of a cell."""
    return _figure_class()(**options)


def svg_text(figure: Figure, name: str, *, label: str = "", titles: Mapping[str, str] | None = None) -> str:
    """The figure as an inline ``<svg>``: no XML header, its text as text, its colors following the page.

    Args:
        figure: any figure of this package.
        name: unique in the page; every id inside begins with it. The same figure and name give the same text.
        label: what a screen reader says of the whole figure.
        titles: a tooltip for each artist that was given a ``gid``, by that gid.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    silent = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with style(), mpl.rc_context({"svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the browser has the glyph
        figure.savefig(buffer, format="svg", metadata=silent)
    return _for_page(buffer.getvalue(), name, label, titles or {})


def _for_page(svg: str, name: str, label: str, titles: Mapping[str, str]) -> str:
    body = svg[svg.index("<svg") :]
    opening, _, body = body.partition(">")
    view = re.search(r'viewBox="([^"]+)"', opening)
    assert view is not None  # matplotlib always writes one
    width = float(view[1].split()[2])
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.DOTALL)
    body = re.sub(r"font-family: [^;\"]+;? ?", "", body)  # the page's own font
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
    role = "group" if "<a " in body else "img"  # an image hides its links from a screen reader
    look = f"--width: {width / 72:.2f}in; stroke-linejoin: round"
    return f'<svg viewBox="{view[1]}" style="{look}" role="{role}" aria-label="{escape(label)}">{body}'.strip()
