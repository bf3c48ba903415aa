"""The way of the images through a run, as a flow diagram: what was found, what was left out and why, the parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from coverslip.figures.labels import text_width, wrap_name
from coverslip.figures.style import ACCENT, AXIS, BLUE, CARD, GREEN, INK, LINE, MUTED, VERMILION, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = {"train": BLUE, "validation": VERMILION, "test": GREEN}  # those of the split figure
LINE_HEIGHT, PAD, GAP = 0.19, 0.12, 0.34  # inches
SIZE = 8.5  # points


class FlowBox(NamedTuple):
    """One step: its title, and lines of counts or reasons below it."""

    title: str
    lines: Sequence[str]
    part: str = ""  # train, validation or test: gives the box its color


class FlowStage(NamedTuple):
    """A step, and what leaves the way after it."""

    box: FlowBox
    out: FlowBox | None = None


def flow_figure(stages: Sequence[FlowStage], parts: Sequence[FlowBox]) -> Figure:
    """Stages from the top down, what is left out to the right of the arrow between two, the parts side by side below.

    Args:
        stages: at least one; what leaves after the last is drawn above the parts.
        parts: at most a few; may be empty.

    Returns:
        A figure with one axes whose units are inches; its patches are the boxes, in the order given.
    """
    from matplotlib.figure import Figure

    stages = [FlowStage(_wrapped(stage.box, 44), stage.out and _wrapped(stage.out, 52)) for stage in stages]
    parts = [_wrapped(part, 31) for part in parts]
    main = max(2.3, *(_width(stage.box) for stage in stages))
    side = max([_width(stage.out) for stage in stages if stage.out] or [0.0])
    each = max([1.9, *map(_width, parts)])
    below = len(parts) * each + max(0, len(parts) - 1) * 0.25
    middle = max(main, below) / 2  # of the way down
    width = max(below, middle + main / 2, middle + 0.45 + side if side else 0.0) + 0.06
    tall = [_height(stage.box) for stage in stages]
    # What leaves hangs beside the arrow, which is as long as it takes.
    gaps = [GAP + (_height(stage.out) if stage.out else 0.0) for stage in stages]
    height = sum(tall) + sum(gaps) + (max(map(_height, parts)) if parts else 0.0) + 0.06
    with style():
        figure = Figure(figsize=(width, height))
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set(xlim=(-0.03, width - 0.03), ylim=(height - 0.03, -0.03))
        ax.axis("off")
        y = 0.0
        for index, (stage, own, gap) in enumerate(zip(stages, tall, gaps, strict=True)):
            _draw(ax, stage.box, middle - main / 2, y, main, own)
            last = index == len(stages) - 1
            start, end = y + own, y + own + gap
            if stage.out is not None:
                beside = start + GAP * 0.35
                _draw(ax, stage.out, middle + 0.45, beside, side, _height(stage.out), quiet=True)
                at = beside + _height(stage.out) / 2
                _arrow(ax, [(middle, at), (middle + 0.45, at)])
            if not last:
                _arrow(ax, [(middle, start), (middle, end)])
            elif parts:
                _fork(
                    ax,
                    middle,
                    start,
                    end,
                    [middle + (i - (len(parts) - 1) / 2) * (each + 0.25) for i, _ in enumerate(parts)],
                )
            y = end
        for index, part in enumerate(parts):
            left = middle + (index - (len(parts) - 1) / 2) * (each + 0.25) - each / 2
            _draw(ax, part, left, y, each, max(map(_height, parts)))
        return figure


def _wrapped(box: FlowBox, width: int) -> FlowBox:
    lines = [row for line in box.lines for row in wrap_name(line, width, 3).split("\n")]
    return box._replace(title=wrap_name(box.title, width, 1), lines=lines)


def _width(box: FlowBox) -> float:
    return max([text_width(box.title, SIZE) * 1.08, *(text_width(line, SIZE) for line in box.lines)]) + 2 * PAD


def _height(box: FlowBox) -> float:
    return LINE_HEIGHT * (1 + len(box.lines)) + 1.3 * PAD


def _draw(ax: Axes, box: FlowBox, left: float, top: float, width: float, height: float, *, quiet: bool = False) -> None:
    from matplotlib.patches import Rectangle

    edge = LINE if quiet else AXIS
    ax.add_patch(Rectangle((left, top), width, height, facecolor=CARD, edgecolor=edge, linewidth=0.9))
    if box.part:
        color = COLORS.get(box.part, ACCENT)
        ax.plot([left, left + width], [top, top], color=color, linewidth=3.2, solid_capstyle="butt")
    for row, text in enumerate([box.title, *box.lines]):
        look: dict[str, Any] = (
            {"color": INK, "fontweight": "bold"} if row == 0 and not quiet else {"color": MUTED if quiet else INK}
        )
        y = top + PAD * 0.65 + LINE_HEIGHT * (row + 0.5)
        ax.text(left + PAD, y, text, va="center", fontsize=SIZE, **look)


def _arrow(ax: Axes, points: Sequence[tuple[float, float]]) -> None:
    (before, end) = points[-2:]
    down = abs(end[1] - before[1]) > abs(end[0] - before[0])
    ax.plot(*zip(*points, strict=True), color=AXIS, linewidth=1, solid_joinstyle="miter")
    size = 0.045
    tip = [end[0] - (0 if down else size), end[1] - (size if down else 0)]
    ax.plot([tip[0]], [tip[1]], "v" if down else ">", color=AXIS, markersize=5, markeredgewidth=0)


def _fork(ax: Axes, middle: float, start: float, end: float, places: Sequence[float]) -> None:
    turn = end - GAP * 0.55
    ax.plot([middle, middle], [start, turn], color=AXIS, linewidth=1)
    for place in places:
        _arrow(ax, [(middle, turn), (place, turn), (place, end)])
