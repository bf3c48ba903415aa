"""Several ways to train, tried on the same test images: every score with its interval, every difference paired."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest
from coverslip.course.image_set import Images
from coverslip.evidence import format_interval
from coverslip.evidence.compare import compare
from coverslip.figures.labels import text_width
from coverslip.figures.style import ACCENT, DASHES, INK, LINE, MUTED, OKABE_ITO, new_figure, style
from coverslip.training.arrays import fit_arrays
from coverslip.training.outcome import History, Scores, predict_arrays

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 2.7  # inches of an axis
Probabilities = npt.NDArray[np.float64]


class Normalize(nn.Module):
    """Take away each color's mean, and divide by its spread.

    Args:
        mean: three numbers from 0 to 1.
        spread: three numbers above 0 (standard deviations).

    Raises:
        UserError: one of them is no row of numbers.

    >>> Normalize([0.5, 0.5, 0.5], [0.25, 0.25, 0.25])(torch.ones(1, 3, 1, 1)).flatten().tolist()
    [2.0, 2.0, 2.0]
    """

    mean: torch.Tensor
    spread: torch.Tensor

    def __init__(self, mean: Sequence[float], spread: Sequence[float]) -> None:
        super().__init__()
        shape = (1, -1, 1, 1)
        for name, given in (("mean", mean), ("spread", spread)):
            if np.asarray(given).dtype.kind not in "fiu" or np.asarray(given).ndim != 1:
                raise UserError(f"{name} is not one number for each color", "give three, measured on training images")
        self.register_buffer("mean", torch.as_tensor(np.asarray(mean), dtype=torch.float32).reshape(shape))
        self.register_buffer("spread", torch.as_tensor(np.asarray(spread), dtype=torch.float32).reshape(shape))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> the same shape."""
        return (images - self.mean) / self.spread


def repeat(
    make: Callable[[], nn.Module], train: Images, *, times: int = 3, first: int = 0, **settings: Any
) -> list[History]:
    """Train the same recipe several times, each time from other first weights and with another part held out.

    One training says how good *this* network is. Whether a recipe is better than another takes several.

    Args:
        make: builds a fresh network, as a function without arguments.
        train: what to learn from.
        times: how often, 1 or more; the seeds are ``first``, ``first`` + 1, ...
        first: the first seed.
        settings: for ``coverslip.fit``, such as ``epochs=30``.

    Raises:
        UserError: ``make`` is a network and no function, or as ``coverslip.fit`` says.
    """
    if isinstance(make, nn.Module):
        raise UserError(
            "one network cannot be trained from the beginning twice: it goes on from where it is",
            "give a function that builds a new one: repeat(lambda: nn.Sequential(...), train)",
        )
    histories = []
    for seed in range(first, first + times):
        torch.manual_seed(seed)
        how = {"groups": train.groups, "seed": seed, "verbose": 0, **settings}
        histories.append(fit_arrays(make(), train.x, train.y, **how))
    return histories


@dataclass(frozen=True)
class Comparison:
    """Rivals on the same test images.

    Attributes:
        found: as `coverslip.evidence.compare.compare` gives it.
        times: how often each was trained.
    """

    found: dict[str, Any] = field(repr=False)
    times: int = 1

    @property
    def sentences(self) -> list[str]:
        """What may be said of each pair."""
        return [told["sentence"] for told in self.found["comparisons"]]

    def difference(self, first: str, second: str) -> dict[str, Any]:
        """The comparison of two: ``difference`` (second less first), ``low_all``, ``high_all``, ``needed``, ``better``.

        Raises:
            UserError: these two were not compared.
        """
        for told in self.found["comparisons"]:
            if {told["first"], told["second"]} == {first, second}:
                return dict(told)
        pairs = ", ".join(f"{told['first']} and {told['second']}" for told in self.found["comparisons"])
        raise UserError(f"{first!r} and {second!r} were not compared", f"compared were {pairs}")

    def __repr__(self) -> str:
        score = self.found["score"].replace("_", " ")
        lower = ", lower is better" if self.found["lower_is_better"] else ""
        unit = f"{self.found['groups']:,} groups"
        each = "" if self.times == 1 else f", each trained {self.times} times"
        wide = max(len(run["name"]) for run in self.found["runs"])
        scores = [f"  {run['name'].ljust(wide)}  {format_interval(run)}" for run in self.found["runs"]]
        return "\n".join([f"{score}{lower} ({unit}{each})", *scores, "", *self.sentences])

    def plot(self) -> Figure:
        """Left the scores with their intervals, right how far each is from the one it is compared with."""
        return _draw(self.found)


def compare_on(
    test: Images,
    rivals: Mapping[str, Any],
    *,
    score: str = "accuracy",
    reference: str | None = None,
    smallest: float = 0.02,
) -> Comparison:
    """Compare rivals on the same test images: paired, over groups, and adjusted for how many pairs are looked at.

    Args:
        test: images that none of them learned from.
        rivals: name -> a network, a history, scores, or probabilities (N, K); or a list of these for a recipe that was
            trained several times: its score is the mean, and a leaf counts with all its answers as one group. All
            rivals must have been trained equally often.
        score: "accuracy", "log_loss", or another of `coverslip.evidence.compare.compare`.
        reference: compare each with this one only; without it, every pair.
        smallest: the smallest difference that matters, for the number of groups that it would take.

    Raises:
        UserError: fewer than two rivals, rivals trained unequally often, or answers that do not fit the images.

    >>> from coverslip.course import images
    >>> few = images(leaves=6, shots=1, size=32)
    >>> right, coin = np.eye(2)[few.y], np.full((12, 2), 0.5)
    >>> compare_on(few, {"coin": coin, "all right": right}).found["runs"][1]["value"]
    1.0
    """
    if len(rivals) < 2:
        raise UserError("a comparison needs two rivals", "give a second one, such as the network of before")
    if reference is not None and reference not in rivals:
        raise UserError(f"no rival is called {reference!r}", f"they are {', '.join(rivals)}")
    answers = {name: _answers(name, rival, test) for name, rival in rivals.items()}
    times = {name: len(each) for name, each in answers.items()}
    if len(set(times.values())) > 1:
        counts = ", ".join(f"{name} {number}" for name, number in times.items())
        raise UserError(f"the rivals were not trained equally often: {counts}", "train each as often as the others")
    often = next(iter(times.values()))
    codes = np.unique(test.groups, return_inverse=True)[1]
    found = compare(
        np.tile(test.y, often),
        {name: np.concatenate(each) for name, each in answers.items()},
        np.tile(codes, often),
        test.names,
        score=score,
        reference=reference,
        smallest=smallest,
    )
    return Comparison(found, often)


def curves(rivals: Mapping[str, History | Sequence[History]], column: str = "train_loss") -> Figure:
    """One column of the histories by epoch, a line a rival: the mean of its trainings, with their least and most.

    Args:
        rivals: name -> a history, or those of several trainings.
        column: of ``history.frame``, such as "validation_loss".

    Raises:
        UserError: no such column.
    """
    with style():
        figure = new_figure(figsize=(6.4, 3.0), layout="constrained")
        ax = figure.add_subplot()
        for place, (name, given) in enumerate(rivals.items()):
            histories = [given] if isinstance(given, History) else list(given)
            known = histories[0].frame.columns
            if column not in known:
                raise UserError(f"a history has no column {column!r}", nearest(column, known))
            shortest = min(history.frame.height for history in histories)
            rows = np.array([history.frame[column][:shortest].to_list() for history in histories], float)
            epochs = np.arange(1, shortest + 1)
            color, dash = OKABE_ITO[place % len(OKABE_ITO)], DASHES[place % len(DASHES)]
            ax.plot(epochs, rows.mean(axis=0), color=color, linestyle=dash, linewidth=1.8, label=name)
            if len(rows) > 1:
                ax.fill_between(epochs, rows.min(axis=0), rows.max(axis=0), color=color, alpha=0.15, linewidth=0)
        ax.set(title=column.replace("_", " "), xlabel="epoch", ylim=(0, None))
        ax.grid(axis="y", color=LINE)
        ax.legend(loc="best", handlelength=2.6)
        return figure


def _answers(name: str, rival: Any, test: Images) -> list[Probabilities]:
    """Each training's probabilities, (N, K)."""
    if isinstance(rival, list | tuple):
        return [one for each in rival for one in _answers(name, each, test)]
    if isinstance(rival, History):
        rival = rival.network
    if isinstance(rival, Scores):
        rival = rival.probabilities
    given = predict_arrays(rival, test.x) if isinstance(rival, nn.Module) else np.asarray(rival)
    if given.dtype.kind != "f" or given.shape != (len(test), len(test.names)):
        wanted = f"({len(test)}, {len(test.names)})"
        raise UserError(
            f"{name!r} answers with {given.dtype} of shape {given.shape}; probabilities {wanted} are wanted",
            "give a network, a history, scores, or history.predict(test.x)",
        )
    return [given]


def _draw(found: dict[str, Any]) -> Figure:
    runs, told = found["runs"], found["comparisons"]
    names = [run["name"] for run in runs]
    labels = [f"{each['second']} \N{MINUS SIGN} {each['first']}" for each in told]
    rows = max(len(runs), len(told))
    first, second = (max(text_width(name, 9) for name in some) + 0.3 for some in (names, labels))
    tall, breadth = 0.34 * rows + 0.9, first + second + 2 * PANEL + 0.3
    with style():
        figure = new_figure(figsize=(breadth, tall))
        left = figure.add_axes((first / breadth, 0.55 / tall, PANEL / breadth, 0.34 * rows / tall))
        lower = found["lower_is_better"]
        title = found["score"].replace("_", " ")
        _bars(left, [(run["value"], run["low"], run["high"]) for run in runs], names, rows)
        left.set_title(f"{title}{', lower is better' if lower else ''}", loc="left")
        at = (first + PANEL + second) / breadth
        right = figure.add_axes((at, 0.55 / tall, PANEL / breadth, 0.34 * rows / tall))
        right.axvline(0, color=INK, linewidth=1)
        firm = [each["better"] is not None for each in told]
        _bars(right, [(each["difference"], each["low_all"], each["high_all"]) for each in told], labels, rows, firm)
        right.set_title("difference, paired", loc="left")
        note = "Bars: 95 % intervals; on the right they hold for all rows at once. Open: not distinguishable."
        figure.text(0.1 / breadth, 0.08 / tall, note, color=MUTED, size=7.5)
        return figure


def _bars(
    ax: Axes,
    rows: Sequence[tuple[float | None, float | None, float | None]],
    names: Sequence[str],
    places: int,
    firm: Sequence[bool] = (),
) -> None:
    for place, (value, low, high) in enumerate(rows):
        told = not firm or firm[place]
        if low is not None and high is not None:
            ax.plot([low, high], [place, place], color=ACCENT if told else MUTED, linewidth=2.2, solid_capstyle="butt")
        if value is not None:
            look: dict[str, Any] = {"markerfacecolor": ACCENT if told else "white", "markersize": 6.5}
            ax.plot([value], [place], "o", color=ACCENT if told else MUTED, **look)
    ax.set(ylim=(places - 0.5, -0.5), yticks=range(len(rows)), yticklabels=names)
    ax.grid(axis="x", color=LINE)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.margins(x=0.06)
