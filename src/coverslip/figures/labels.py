"""Class names in figures: wrapped, measured, and drawn independently of the reader's font."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PIECE = re.compile(r".+?(?:[_ ,/-]+|$)")  # a line may end after _ , / - and space: class names are often file names


def wrap_name(name: str, width: int = 26, lines: int = 2) -> str:
    """Wrap a class name to at most ``lines`` lines of at most ``width`` characters, as evenly as possible.

    The middle of a name that does not fit is replaced by "…", since similar names often differ at their ends.

    >>> print(wrap_name("Tomato___Spider_mites Two-spotted_spider_mite"))
    Tomato___Spider_mites
    Two-spotted_spider_mite
    >>> wrap_name("healthy")
    'healthy'
    >>> wrap_name("Tomato___Two-spotted_spider_mite", width=16, lines=1)
    'Tomato__…er_mite'
    """
    name = " ".join(name.split())
    if len(name) <= width:
        return name
    for keep in range(len(name), 0, -1):
        text = name if keep == len(name) else f"{name[: keep - keep // 2]}…{name[len(name) - keep // 2 :]}"
        if len(text) > width * lines or len(rows := _broken(text, width)) > lines:
            continue
        while len(closer := _broken(text, width - 1)) == len(rows):  # the smallest width gives the most even lines
            width, rows = width - 1, closer
        return "\n".join(rows)
    return "…"


def _broken(text: str, width: int) -> list[str]:
    rows = [""]
    for piece in _PIECE.findall(text):
        if rows[-1] and len((rows[-1] + piece).rstrip()) > width:
            rows.append("")
        rows[-1] += piece
        while len(rows[-1].rstrip()) > width:  # one long word
            rows[-1:] = [rows[-1][:width], rows[-1][width:]]
    return [row.strip() for row in rows]


def text_width(text: str, size: float = 8.5) -> float:
    """Estimate the width of the longest line at ``size`` points in inches, for a rather wide sans serif font."""
    return max((len(line) for line in text.split("\n")), default=0) * size * 0.6 / 72


def draw_lines(
    ax: Axes, x: float, y: float, text: str, *, size: float, pitch: float, va: str = "center", **look: Any
) -> None:
    """Draw wrapped text as one artist per line, ``pitch`` data units apart on an axis that points down.

    Matplotlib positions the lines of one text from the left, by the widths of its own font. In a page, where the font
    differs, they would not be aligned on the right or centered.
    """
    rows = text.split("\n")
    first = y - pitch * (len(rows) - 1) * (0.5 if va == "center" else 1.0)
    for index, row in enumerate(rows):
        ax.text(x, first + index * pitch, row, va=va, fontsize=size, **look)
