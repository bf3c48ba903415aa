"""What the figures of a study share: its trials, how each of them looks, and how a page finds it again."""

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
TRIALS = "trials-"  # the gid of an artist that shows trials goes on with their numbers, joined by dots
COLUMNS = ("number", "state", "epochs", "validation_loss", "validation_accuracy", "best_epoch", "seconds", "stack")
NO_KEY = frozenset((*COLUMNS, "why", "role"))
LOOKS: dict[str, dict[str, Any]] = {  # state -> marker and colors: never color alone
    "finished": {"marker": "o", "facecolor": BLUE, "edgecolor": BLUE, "s": 17},
    "running": {"marker": "o", "facecolor": CARD, "edgecolor": BLUE, "s": 17},
    "pruned": {"marker": "o", "facecolor": CARD, "edgecolor": AXIS, "s": 11},
}
BEST: dict[str, Any] = {"marker": "D", "facecolor": ACCENT, "edgecolor": ACCENT, "s": 42}
DEFAULT: dict[str, Any] = {"marker": "s", "facecolor": "none", "edgecolor": INK, "s": 44}
FAILED: dict[str, Any] = {"marker": "x", "facecolor": VERMILION, "s": 22}
ABOVE: dict[str, Any] = {"marker": "^", "facecolor": CARD, "edgecolor": AXIS, "s": 16}  # beyond the axis


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial as ``trials.csv`` has it. None is "not measured"."""

    number: int
    state: str = "finished"  # running, finished, pruned, failed
    loss: float | None = None  # log loss of the choosing images at its best epoch
    accuracy: float | None = None
    epochs: int = 0
    best_epoch: int | None = None
    seconds: float | None = None
    why: str = ""
    role: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)  # key of the space -> what it was set to
    best: bool = False  # the one the study came to; where none is marked, it is the one of the lowest loss


@dataclass(frozen=True, slots=True)
class Curve:
    """What one trial measured after each epoch; a loss may be NaN or infinite."""

    epochs: Sequence[int]
    loss: Sequence[float]  # of the choosing images
    train_loss: Sequence[float]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting that differs between trials, as ``study.json`` describes it."""

    key: str
    name: str = ""  # in plain words
    kind: str = "float"  # float, int, choice
    log: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[Value, ...] = ()

    @property
    def title(self) -> str:
        """What a figure calls it."""
        return self.name or self.key.rpartition(".")[2].replace("_", " ")


def read_trials(frame: Frame) -> list[TrialRow]:
    """The rows of ``trials.csv``; every column it does not know is a setting.

    Raises:
        KeyError: a column is missing.

    >>> read_trials({"number": [0], "state": ["failed"], "validation_loss": [None], "training.lr": [0.1]})[0].values
    {'training.lr': 0.1}
    """
    columns: Mapping[str, Sequence[Any]] = frame if isinstance(frame, Mapping) else frame.to_dict(as_series=False)
    keys = [name for name in columns if name not in NO_KEY]
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
    """The rows of ``curves.csv`` by the number of their trial, epochs rising; what is not measured is NaN."""
    columns: Mapping[str, Sequence[Any]] = frame if isinstance(frame, Mapping) else frame.to_dict(as_series=False)
    size = len(columns["number"])
    train = columns.get("train_loss", [None] * size)
    found: dict[int, dict[int, tuple[float, float]]] = {}
    for number, epoch, loss, own in zip(
        columns["number"], columns["epoch"], columns["validation_loss"], train, strict=True
    ):
        found.setdefault(int(number), {})[int(epoch)] = (_or_nan(loss), _or_nan(own))  # a resumed epoch counts once
    curves = {}
    for number, epochs in found.items():
        order = sorted(epochs)
        curves[number] = Curve(order, [epochs[at][0] for at in order], [epochs[at][1] for at in order])
    return curves


def as_trials(trials: Sequence[TrialRow] | Frame) -> list[TrialRow]:
    """Rows as they are, or those of a frame."""
    return list(trials) if isinstance(trials, Sequence) else read_trials(trials)


def as_curves(curves: Mapping[int, Curve] | Frame) -> dict[int, Curve]:
    """Curves as they are, or those of a frame."""
    if isinstance(curves, Mapping) and all(isinstance(each, Curve) for each in curves.values()):
        return dict(cast("Mapping[int, Curve]", curves))
    return read_curves(cast("Frame", curves))


def as_setting(setting: Setting | str) -> Setting:
    """A setting as it is, or one of which only the key is known."""
    return Setting(setting) if isinstance(setting, str) else setting


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(float(value)) else None


def _or_nan(value: Any) -> float:
    return math.nan if value is None else float(value)


def best_of(trials: Sequence[TrialRow]) -> TrialRow | None:
    """The one that is marked, else the finished trial with the lowest loss, of equals the first; a repeat is none."""
    there = [each for each in trials if each.state == "finished" and each.loss is not None]
    there = [each for each in there if each.best] or [each for each in there if each.role != "repeat"]
    return min(there, key=lambda each: (each.loss, each.number), default=None)


def default_of(trials: Sequence[TrialRow]) -> TrialRow | None:
    """The trial that changed nothing."""
    return next((each for each in trials if each.role == "default"), None)


def value_label(value: Value) -> str:
    """A setting's value as a figure or table shows it, and as the command line takes it.

    >>> [value_label(each) for each in (1e-5, 0.000215443, 0.001, 32, 1.0, "64,128", True)]
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
    """A marker a trial, which `trial_svg` can find again; an ``edgecolor`` of None leaves the marker's own."""
    if trials:
        ax.scatter(x, y, gid=trial_gid(trials), linewidths=0.9, clip_on=False, **look)


def trial_gid(trials: Sequence[TrialRow]) -> str:
    """The gid of an artist whose parts are these trials, in this order."""
    return TRIALS + ".".join(str(each.number) for each in trials)


def trial_svg(figure: Figure, name: str, *, label: str) -> str:
    """`svg_text`, in which every mark of a trial says by ``data-t`` whose it is: a page lights up all marks of one."""
    svg = svg_text(figure, name, label=label)
    head, *groups = re.split(rf'<g id="{name}-{TRIALS}([\d.]+)">', svg)
    parts = [head]
    for numbers, body in zip(groups[::2], groups[1::2], strict=True):
        left = iter(numbers.split("."))

        def tag(found: re.Match[str], left: Any = left) -> str:
            if found[1] is None:  # a definition is no mark
                return found[0]
            number = next(left, None)
            return found[0] if number is None else f'<{found[1]} data-t="{number}"'

        parts += ["<g>", re.sub(r"<defs>.*?</defs>|<(use|path)\b", tag, body, flags=re.DOTALL)]
    return "".join(parts)


def draw_empty(ax: Axes, text: str) -> None:
    """Words in place of a figure that has nothing to show yet."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, transform=ax.transAxes)


def draw_legend(ax: Axes, entries: Sequence[tuple[str, Mapping[str, Any]]], *, at: float = 1.02) -> None:
    """The looks that were drawn, in one row above the axes."""
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
