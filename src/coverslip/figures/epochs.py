"""Training curves by epoch: loss and accuracy, the best epoch, and the learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from coverslip.figures.curves import Column, draw_panel, panels_of, points_of
from coverslip.figures.style import ACCENT, LINE, MUTED, new_figure, style

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRICS = ("loss", "accuracy")
Points = list[tuple[float, float]]


def history(frame: pl.DataFrame | Mapping[str, Column], *, best: int | None = None) -> Figure:
    """Draw loss and accuracy after each epoch, with one line each for the training and the validation set.

    Args:
        frame: one row per epoch, with any of the columns ``epoch``, ``train_loss``, ``train_accuracy``,
            ``validation_loss``, ``validation_accuracy`` and ``lr``, as in ``history.frame`` or a run's
            ``history.csv``. None and NaN are skipped; without ``epoch``, rows are counted from 1.
        best: the epoch whose weights were kept; it is marked by a ring.

    Returns:
        A figure with one axes each for loss and accuracy, as far as they are in ``frame``, and one for the learning
        rate if it changed.

    >>> [ax.get_title(loc="left") for ax in history({"train_loss": [0.9, 0.5], "lr": [0.1, 0.01]}).axes]
    ['loss', 'learning rate']
    """
    columns: Mapping[str, Any] = frame if isinstance(frame, Mapping) else frame.to_dict(as_series=False)
    names = [f"{split}_{metric}" for metric in METRICS for split in ("train", "validation")]
    panels = panels_of({name: columns[name] for name in names if name in columns}, "epoch")
    lrs = points_of(columns, "epoch", "lr") if "lr" in columns else []
    changing = len({lr for _, lr in lrs}) > 1
    wide = len(panels) > 1
    with style():
        figure = new_figure(figsize=(8.6 if wide else 5.4, 2.9 + (1.5 if changing else 0.0)), layout="constrained")
        grid = figure.add_gridspec(
            2 if changing else 1, max(len(panels), 1), height_ratios=[2.4, 1] if changing else None
        )
        for position, (title, splits) in enumerate(panels.items()):
            ax = figure.add_subplot(grid[0, position])
            lines = {split: points_of(columns, "epoch", column) for split, column in splits.items()}
            draw_panel(ax, title, lines, "epoch")
            _integer_epochs(ax)
            _mark_best(ax, lines, best)
        if not panels:
            ax = figure.add_subplot(grid[0, 0])
            ax.set_axis_off()
            ax.text(0.5, 0.5, "no values", ha="center", va="center", color=MUTED)
        if changing:
            _draw_lr(figure.add_subplot(grid[1, :]), lrs)
        return figure


def _mark_best(ax: Axes, lines: Mapping[str, Points], best: int | None) -> None:
    """Draw a ring around the best epoch, on the validation line if there is one."""
    line = lines.get("validation") or lines.get("train") or []
    if best is None or best not in dict(line):
        return
    ax.axvline(best, color=ACCENT, linewidth=0.9, linestyle=(0, (1, 2)))
    look: dict[str, Any] = {
        "markersize": 11,
        "markerfacecolor": "none",
        "markeredgecolor": ACCENT,
        "markeredgewidth": 1.6,
    }
    ax.plot([best], [dict(line)[best]], "o", linestyle="none", label=f"best epoch ({best})", **look)
    ax.legend(loc="best", handlelength=2.6)


def _draw_lr(ax: Axes, lrs: Points) -> None:
    ax.set_title("learning rate")
    ax.set_xlabel("epoch")
    ax.grid(axis="y", color=LINE)
    ax.margins(x=0.015)
    ax.plot(*zip(*lrs, strict=True), color=MUTED, marker="o", markersize=3)
    ax.set_ylim(bottom=0)
    ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=False)
    _integer_epochs(ax)


def _integer_epochs(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
