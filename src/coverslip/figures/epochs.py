"""Training by epoch: loss and accuracy of train and validation, the best epoch, the learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from coverslip.figures.curves import Column, draw_panel, panels_of, points_of
from coverslip.figures.style import ACCENT, LINE, MUTED, new_figure, style

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEASURED = ("loss", "accuracy")
Points = list[tuple[float, float]]


def history(frame: pl.DataFrame | Mapping[str, Column], *, best: int | None = None) -> Figure:
    """Loss and accuracy after each epoch, with a line for train and one for validation.

    Args:
        frame: a row an epoch, with any of the columns ``epoch``, ``train_loss``, ``train_accuracy``,
            ``validation_loss``, ``validation_accuracy`` and ``rate``, as in ``history.frame`` or a run's
            ``history.csv``. None and NaN are left out of a line; without ``epoch`` rows are counted from 1.
        best: the epoch whose weights were kept; it is ringed and named.

    Returns:
        A figure with an axes each for loss and accuracy, as far as they were measured, and a low one for the learning
        rate where it changed.

    >>> [ax.get_title(loc="left") for ax in history({"train_loss": [0.9, 0.5], "lr": [0.1, 0.01]}).axes]
    ['loss', 'learning rate']
    """
    columns: Mapping[str, Any] = frame if isinstance(frame, Mapping) else frame.to_dict(as_series=False)
    wanted = [f"{part}_{what}" for what in MEASURED for part in ("train", "validation")]
    panels = panels_of({name: columns[name] for name in wanted if name in columns}, "epoch")
    rates = points_of(columns, "epoch", "lr") if "lr" in columns else []
    changing = len({rate for _, rate in rates}) > 1
    wide = len(panels) > 1
    with style():
        figure = new_figure(figsize=(8.6 if wide else 5.4, 2.9 + (1.5 if changing else 0.0)), layout="constrained")
        grid = figure.add_gridspec(
            2 if changing else 1, max(len(panels), 1), height_ratios=[2.4, 1] if changing else None
        )
        for place, (title, parts) in enumerate(panels.items()):
            ax = figure.add_subplot(grid[0, place])
            lines = {part: points_of(columns, "epoch", column) for part, column in parts.items()}
            draw_panel(ax, title, lines, "epoch")
            _whole_epochs(ax)
            _mark_best(ax, lines, best)
        if not panels:
            ax = figure.add_subplot(grid[0, 0])
            ax.set_axis_off()
            ax.text(0.5, 0.5, "nothing was measured", ha="center", va="center", color=MUTED)
        if changing:
            _draw_rate(figure.add_subplot(grid[1, :]), rates)
        return figure


def _mark_best(ax: Axes, lines: Mapping[str, Points], best: int | None) -> None:
    """A ring about the point of the best epoch, on validation where it was measured."""
    chosen = lines.get("validation") or lines.get("train") or []
    if best is None or best not in dict(chosen):
        return
    ax.axvline(best, color=ACCENT, linewidth=0.9, linestyle=(0, (1, 2)))
    look: dict[str, Any] = {
        "markersize": 11,
        "markerfacecolor": "none",
        "markeredgecolor": ACCENT,
        "markeredgewidth": 1.6,
    }
    ax.plot([best], [dict(chosen)[best]], "o", linestyle="none", label=f"best epoch, {best}", **look)
    ax.legend(loc="best", handlelength=2.6)


def _draw_rate(ax: Axes, rates: Points) -> None:
    ax.set_title("learning rate")
    ax.set_xlabel("epoch")
    ax.grid(axis="y", color=LINE)
    ax.margins(x=0.015)
    ax.plot(*zip(*rates, strict=True), color=MUTED, marker="o", markersize=3)
    ax.set_ylim(bottom=0)
    ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=False)
    _whole_epochs(ax)


def _whole_epochs(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
