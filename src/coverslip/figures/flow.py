"""Flow diagram of the images of a run: found, excluded with reasons, and assigned to splits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from coverslip.figures.labels import text_width, wrap_name
from coverslip.figures.style import ACCENT, AXIS, BLUE, CARD, GREEN, INK, LINE, MUTED, VERMILION, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = {"train": BLUE, "validation": VERMILION, "test": GREEN}  # as in the split figure
LINE_HEIGHT, PAD, GAP = 0.19, 0.12, 0.34  # inches
SIZE = 8.5  # points


class FlowBox(NamedTuple):
    """One step: a title, and lines of counts or reasons.

    Attributes:
        title: shown in bold.
        lines: shown below the title.
        split: train, validation or test, which sets the color; else "".
    """

    title: str
    lines: Sequence[str]
    split: str = ""


class FlowStage(NamedTuple):
    """A step, and the images that are excluded after it."""

    box: FlowBox
    excluded: FlowBox | None = None


def flow_figure(stages: Sequence[FlowStage], splits: Sequence[FlowBox]) -> Figure:
    """Draw stages from the top down, exclusions to the right of the arrows, and the splits side by side below.

    Args:
        stages: at least one; exclusions after the last one are drawn above the splits.
        splits: a few boxes, or none.

    Returns:
        A figure with one axes in inches; its patches are the boxes, in the given order.
    """
    from matplotlib.figure import Figure

    stages = [FlowStage(_wrapped(stage.box, 44), stage.excluded and _wrapped(stage.excluded, 52)) for stage in stages]
    splits = [_wrapped(split, 31) for split in splits]
    main = max(2.3, *(_width(stage.box) for stage in stages))
    side = max([_width(stage.excluded) for stage in stages if stage.excluded] or [0.0])
    split_width = max([1.9, *map(_width, splits)])
    below = len(splits) * split_width + max(0, len(splits) - 1) * 0.25
    middle = max(main, below) / 2  # horizontal position of the arrows
    width = max(below, middle + main / 2, middle + 0.45 + side if side else 0.0) + 0.06
    tall = [_height(stage.box) for stage in stages]
    # The arrow is as long as the box of the exclusions next to it.
    gaps = [GAP + (_height(stage.excluded) if stage.excluded else 0.0) for stage in stages]
    height = sum(tall) + sum(gaps) + (max(map(_height, splits)) if splits else 0.0) + 0.06
    with style():
        figure = Figure(figsize=(width, height))
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set(xlim=(-0.03, width - 0.03), ylim=(height - 0.03, -0.03))
        ax.axis("off")
        y = 0.0
        for index, (stage, box_height, gap) in enumerate(zip(stages, tall, gaps, strict=True)):
            _draw(ax, stage.box, middle - main / 2, y, main, box_height)
            last = index == len(stages) - 1
            start, end = y + box_height, y + box_height + gap
            if stage.excluded is not None:
                top = start + GAP * 0.35
                _draw(ax, stage.excluded, middle + 0.45, top, side, _height(stage.excluded), quiet=True)
                at = top + _height(stage.excluded) / 2
                _arrow(ax, [(middle, at), (middle + 0.45, at)])
            if not last:
                _arrow(ax, [(middle, start), (middle, end)])
            elif splits:
                _fork(
                    ax,
                    middle,
                    start,
                    end,
                    [middle + (i - (len(splits) - 1) / 2) * (split_width + 0.25) for i, _ in enumerate(splits)],
                )
            y = end
        for index, split in enumerate(splits):
            left = middle + (index - (len(splits) - 1) / 2) * (split_width + 0.25) - split_width / 2
            _draw(ax, split, left, y, split_width, max(map(_height, splits)))
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
    if box.split:
        color = COLORS.get(box.split, ACCENT)
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


def _fork(ax: Axes, middle: float, start: float, end: float, targets: Sequence[float]) -> None:
    turn = end - GAP * 0.55
    ax.plot([middle, middle], [start, turn], color=AXIS, linewidth=1)
    for target in targets:
        _arrow(ax, [(middle, turn), (target, turn), (target, end)])
