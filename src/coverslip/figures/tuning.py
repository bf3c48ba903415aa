"""Shared parts of the figures of a study: its trials, their markers, and the identification of marks in an SVG."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from coverslip.figures.style import ACCENT, AXIS, BLUE, CARD, INK, MUTED, VERMILION, svg_text

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Frame = pl.DataFrame | Mapping[str, Sequence[Any]]

Value = float | int | str
TRIALS = "trials-"  # prefix of the gid of an artist that shows trials, followed by their numbers, joined by dots
COLUMNS = ("number", "state", "epochs", "validation_loss", "validation_accuracy", "best_epoch", "seconds", "stack")
NOT_SETTINGS = frozenset((*COLUMNS, "why", "role"))
MARKERS_BY_STATE: dict[str, dict[str, Any]] = {  # state -> marker and colors; states differ in more than color
    "finished": {"marker": "o", "facecolor": BLUE, "edgecolor": BLUE, "s": 17},
    "running": {"marker": "o", "facecolor": CARD, "edgecolor": BLUE, "s": 17},
    "pruned": {"marker": "o", "facecolor": CARD, "edgecolor": AXIS, "s": 11},
}
BEST: dict[str, Any] = {"marker": "D", "facecolor": ACCENT, "edgecolor": ACCENT, "s": 42}
DEFAULT: dict[str, Any] = {"marker": "s", "facecolor": "none", "edgecolor": INK, "s": 44}
FAILED: dict[str, Any] = {"marker": "x", "facecolor": VERMILION, "s": 22}
OUT_OF_RANGE: dict[str, Any] = {"marker": "^", "facecolor": CARD, "edgecolor": AXIS, "s": 16}  # beyond the axis


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial, a row of ``trials.csv``. None means not measured.

    Attributes:
        number: number of the trial.
        state: ``running``, ``finished``, ``pruned`` or ``failed``.
        loss: log loss on the selection half at the best epoch.
        accuracy: accuracy on the selection half at the best epoch.
        epochs: number of epochs trained.
        best_epoch: epoch of the lowest loss, from 1.
        seconds: training time.
        why: reason why the trial was pruned or failed.
        role: such as ``default``, see `coverslip.tuning.tables.Trial`.
        values: setting key -> value.
        best: whether the study chose this trial; if none is marked, the one of the lowest loss is the best.
    """

    number: int
    state: str = "finished"
    loss: float | None = None
    accuracy: float | None = None
    epochs: int = 0
    best_epoch: int | None = None
    seconds: float | None = None
    why: str = ""
    role: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)
    best: bool = False


@dataclass(frozen=True, slots=True)
class Curve:
    """The learning curve of a trial; a loss may be NaN or infinite.

    Attributes:
        epochs: epochs, from 1.
        loss: log loss on the selection half after each epoch.
        train_loss: training loss of each epoch.
    """

    epochs: Sequence[int]
    loss: Sequence[float]
    train_loss: Sequence[float]


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that a study varies, as described in ``study.json``.

    Attributes:
        key: dotted key.
        name: name for readers.
        kind: ``float``, ``int`` or ``choice``.
        log: whether its axis is logarithmic.
        low: lower end of the range.
        high: upper end of the range.
        choices: choices, or the values of a sweep.
    """

    key: str
    name: str = ""
    kind: str = "float"
    log: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[Value, ...] = ()

    @property
    def title(self) -> str:
        """Name in figures."""
        return self.name or self.key.rpartition(".")[2].replace("_", " ")


def read_trials(frame: Frame) -> list[TrialRow]:
    """Read the rows of ``trials.csv``; every other column is a setting.

    Raises:
        KeyError: a column is missing.

    >>> read_trials({"number": [0], "state": ["failed"], "validation_loss": [None], "training.lr": [0.1]})[0].values
    {'training.lr': 0.1}
    """
    columns: Mapping[str, Sequence[Any]] = frame if isinstance(frame, Mapping) else frame.to_dict(as_series=False)
    keys = [name for name in columns if name not in NOT_SETTINGS]
    size = len(columns["number"])
    nothing: Sequence[Any] = [None] * size
    rows = []
    for at in range(size):
        row = {name: columns.get(name, nothing)[at] for name in (*COLUMNS, "why", "role")}
        rows.append(
            TrialRow(
                number=int(row["number"]),
                state=str(row["state"]),
                loss=_finite(row["validation_loss"]),
                accuracy=_finite(row["validation_accuracy"]),
                epochs=int(row["epochs"] or 0),
                best_epoch=None if row["best_epoch"] is None else int(row["best_epoch"]),
                seconds=_finite(row["seconds"]),
                why=str(row["why"] or ""),
                role=str(row["role"] or ""),
                values={key: columns[key][at] for key in keys if columns[key][at] is not None},
            )
        )
    return rows


def read_curves(frame: Frame) -> dict[int, Curve]:
    """Read ``curves.csv``: trial number -> learning curve, epochs in order; missing values are NaN."""
    columns: Mapping[str, Sequence[Any]] = frame if isinstance(frame, Mapping) else frame.to_dict(as_series=False)
    size = len(columns["number"])
    train = columns.get("train_loss", [None] * size)
    losses: dict[int, dict[int, tuple[float, float]]] = {}
    for number, epoch, loss, train_loss in zip(
        columns["number"], columns["epoch"], columns["validation_loss"], train, strict=True
    ):
        # A dict, since after a resume an epoch may be listed twice.
        losses.setdefault(int(number), {})[int(epoch)] = (_or_nan(loss), _or_nan(train_loss))
    curves = {}
    for number, epochs in losses.items():
        order = sorted(epochs)
        curves[number] = Curve(order, [epochs[epoch][0] for epoch in order], [epochs[epoch][1] for epoch in order])
    return curves


def as_trials(trials: Sequence[TrialRow] | Frame) -> list[TrialRow]:
    """Return rows unchanged, or read those of a frame."""
    return list(trials) if isinstance(trials, Sequence) else read_trials(trials)


def as_curves(curves: Mapping[int, Curve] | Frame) -> dict[int, Curve]:
    """Return curves unchanged, or read those of a frame."""
    if isinstance(curves, Mapping) and all(isinstance(curve, Curve) for curve in curves.values()):
        return dict(cast("Mapping[int, Curve]", curves))
    return read_curves(cast("Frame", curves))


def as_setting(setting: Setting | str) -> Setting:
    """Return a setting unchanged, or a setting with only a key."""
    return Setting(setting) if isinstance(setting, str) else setting


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(float(value)) else None


def _or_nan(value: Any) -> float:
    return math.nan if value is None else float(value)


def best_trial(trials: Sequence[TrialRow]) -> TrialRow | None:
    """Return the marked trial, else the finished trial with the lowest loss, of equal ones the first; no repeats."""
    finished = [trial for trial in trials if trial.state == "finished" and trial.loss is not None]
    candidates = [trial for trial in finished if trial.best] or [trial for trial in finished if trial.role != "repeat"]
    return min(candidates, key=lambda trial: (trial.loss, trial.number), default=None)


def default_trial(trials: Sequence[TrialRow]) -> TrialRow | None:
    """Return the default trial; None if there is none."""
    return next((trial for trial in trials if trial.role == "default"), None)


def value_label(value: Value) -> str:
    """Return the text of a setting's value, as in figures, tables and on the command line.

    >>> [value_label(value) for value in (1e-5, 0.000215443, 0.001, 32, 1.0, "64,128", True)]
    ['1e-5', '2.15e-4', '0.001', '32', '1', '64,128', 'yes']
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value or "none"
    if value and not 1e-3 <= abs(value) < 1e5:
        mantissa, _, power = f"{value:.2e}".partition("e")
        return f"{float(mantissa):g}e{int(power)}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def mark_trials(ax: Axes, trials: Sequence[TrialRow], x: Sequence[float], y: Sequence[float], **look: Any) -> None:
    """Draw a marker per trial, which `trial_svg` can identify."""
    if trials:
        ax.scatter(x, y, gid=trial_gid(trials), linewidths=0.9, clip_on=False, **look)


def trial_gid(trials: Sequence[TrialRow]) -> str:
    """Return the gid of an artist whose elements are these trials, in this order."""
    return TRIALS + ".".join(str(trial.number) for trial in trials)


def trial_svg(figure: Figure, name: str, *, label: str) -> str:
    """Return `svg_text` with the number of the trial on each of its marks (``data-t``), so a page can highlight it."""
    svg = svg_text(figure, name, label=label)
    head, *groups = re.split(rf'<g id="{name}-{TRIALS}([\d.]+)">', svg)
    parts = [head]
    for numbers, body in zip(groups[::2], groups[1::2], strict=True):
        remaining = iter(numbers.split("."))

        def tag(match: re.Match[str], remaining: Any = remaining) -> str:
            if match[1] is None:  # a definition, not a mark
                return match[0]
            number = next(remaining, None)
            return match[0] if number is None else f'<{match[1]} data-t="{number}"'

        parts += ["<g>", re.sub(r"<defs>.*?</defs>|<(use|path)\b", tag, body, flags=re.DOTALL)]
    return "".join(parts)


def draw_empty(ax: Axes, text: str) -> None:
    """Draw a text in place of a figure without data."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, transform=ax.transAxes)


def draw_legend(ax: Axes, entries: Sequence[tuple[str, Mapping[str, Any]]], *, at: float = 1.02) -> None:
    """Draw the legend in one row above the axes.

    Args:
        ax: the axes.
        entries: text and marker of each entry.
        at: vertical position in axes coordinates.
    """
    from matplotlib.lines import Line2D

    handles = []
    for text, look in entries:
        options = dict(look)
        face, edge = options.pop("facecolor", "none"), options.pop("edgecolor", options.get("color", INK))
        size = math.sqrt(options.pop("s", 17))
        options.setdefault("linestyle", "none")
        edge = face if options.get("marker") == "x" else edge
        handles.append(
            Line2D([], [], markerfacecolor=face, markeredgecolor=edge, markersize=size, label=text, **options)
        )
    if handles:
        box: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (-0.01, at), "borderaxespad": 0.0}
        ax.legend(handles=handles, ncol=len(handles), handletextpad=0.4, columnspacing=1.6, handlelength=1.6, **box)
