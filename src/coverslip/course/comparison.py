"""Comparison of training variants on the same test images: scores with intervals and paired differences."""

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

PANEL = 2.7  # inches, width of one axes
Probabilities = npt.NDArray[np.float64]


class Normalize(nn.Module):
    """Layer that subtracts the mean of each color channel and divides by its standard deviation.

    Args:
        mean: means of the three channels, on the scale 0 to 1.
        spread: standard deviations of the three channels, above 0.

    Raises:
        UserError: one of the arguments is not a row of numbers.

    >>> Normalize([0.5, 0.5, 0.5], [0.25, 0.25, 0.25])(torch.ones(1, 3, 1, 1)).flatten().tolist()
    [2.0, 2.0, 2.0]
    """

    mean: torch.Tensor
    spread: torch.Tensor

    def __init__(self, mean: Sequence[float], spread: Sequence[float]) -> None:
        super().__init__()
        shape = (1, -1, 1, 1)
        for name, values in (("mean", mean), ("spread", spread)):
            if np.asarray(values).dtype.kind not in "fiu" or np.asarray(values).ndim != 1:
                raise UserError(
                    f"{name} is not one number for each color", "give three numbers, measured on the training images"
                )
        self.register_buffer("mean", torch.as_tensor(np.asarray(mean), dtype=torch.float32).reshape(shape))
        self.register_buffer("spread", torch.as_tensor(np.asarray(spread), dtype=torch.float32).reshape(shape))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> the same shape."""
        return (images - self.mean) / self.spread


def repeat(
    make: Callable[[], nn.Module], train: Images, *, times: int = 3, first: int = 0, **settings: Any
) -> list[History]:
    """Train the same variant several times, each time with other initial weights and another validation set.

    One training shows how good *this* network is. To compare two variants, train each several times.

    Args:
        make: function without arguments that builds a new network.
        train: training images.
        times: number of trainings, 1 or more; their seeds are ``first``, ``first`` + 1, ...
        first: the first seed.
        settings: settings of ``coverslip.fit``, such as ``epochs=30``.

    Raises:
        UserError: ``make`` is a network instead of a function, or ``coverslip.fit`` rejects a setting.
    """
    if isinstance(make, nn.Module):
        raise UserError(
            "one network cannot be trained twice from the start: its training would continue from its current weights",
            "give a function that builds a new network: repeat(lambda: nn.Sequential(...), train)",
        )
    histories = []
    for seed in range(first, first + times):
        torch.manual_seed(seed)
        options = {"groups": train.groups, "seed": seed, "verbose": 0, **settings}
        histories.append(fit_arrays(make(), train.x, train.y, **options))
    return histories


@dataclass(frozen=True)
class Comparison:
    """Scores of several variants on the same test images, and their paired differences.

    Attributes:
        result: the result of `coverslip.evidence.compare.compare`.
        times: number of trainings per variant.
    """

    result: dict[str, Any] = field(repr=False)
    times: int = 1

    @property
    def sentences(self) -> list[str]:
        """Conclusion of each paired comparison, as one sentence."""
        return [comparison["sentence"] for comparison in self.result["comparisons"]]

    def difference(self, first: str, second: str) -> dict[str, Any]:
        """Return the comparison of two variants.

        Its keys include ``difference`` (second minus first), ``low_all``, ``high_all``, ``needed`` and ``better``.

        Raises:
            UserError: these two variants were not compared.
        """
        for comparison in self.result["comparisons"]:
            if {comparison["first"], comparison["second"]} == {first, second}:
                return dict(comparison)
        pairs = ", ".join(f"{item['first']} and {item['second']}" for item in self.result["comparisons"])
        raise UserError(f"{first!r} and {second!r} were not compared", f"choose from: {pairs}")

    def __repr__(self) -> str:
        score = self.result["score"].replace("_", " ")
        lower = ", lower is better" if self.result["lower_is_better"] else ""
        groups = f"{self.result['groups']:,} groups"
        trainings = "" if self.times == 1 else f", each trained {self.times} times"
        width = max(len(run["name"]) for run in self.result["runs"])
        scores = [f"  {run['name'].ljust(width)}  {format_interval(run)}" for run in self.result["runs"]]
        return "\n".join([f"{score}{lower} ({groups}{trainings})", *scores, "", *self.sentences])

    def plot(self) -> Figure:
        """Draw the scores on the left and the paired differences on the right, with confidence intervals."""
        return _draw(self.result)


def compare_on_test(
    test: Images,
    variants: Mapping[str, Any],
    *,
    score: str = "accuracy",
    reference: str | None = None,
    smallest: float = 0.02,
) -> Comparison:
    """Compare variants on the same test images: paired differences over groups, adjusted for multiple comparisons.

    Args:
        test: test images that no variant was trained on.
        variants: name -> a network, a history, scores, or predicted probabilities (N, K); or a list of these for a
            variant that was trained several times. The score of such a variant is the mean over its trainings, and all
            its predictions for a leaf count as one group. All variants must be trained equally often.
        score: "accuracy", "log_loss", or another score of `coverslip.evidence.compare.compare`.
        reference: name of the variant that all others are compared with; by default every pair is compared.
        smallest: smallest relevant difference, for the number of groups that would be needed to detect it.

    Raises:
        UserError: there are fewer than two variants, they were trained unequally often, or their predictions do not
            match the images.

    >>> from coverslip.course import images
    >>> few = images(leaves=6, shots=1, size=32)
    >>> perfect, coin = np.eye(2)[few.y], np.full((12, 2), 0.5)
    >>> compare_on_test(few, {"coin": coin, "perfect": perfect}).result["runs"][1]["value"]
    1.0
    """
    if len(variants) < 2:
        raise UserError("a comparison needs two variants", "add a second one, such as the previous network")
    if reference is not None and reference not in variants:
        raise UserError(f"there is no variant {reference!r}", f"choose from {', '.join(variants)}")
    predictions = {name: _predictions(name, variant, test) for name, variant in variants.items()}
    times = {name: len(trainings) for name, trainings in predictions.items()}
    if len(set(times.values())) > 1:
        counts = ", ".join(f"{name} {number}" for name, number in times.items())
        raise UserError(f"the variants were not trained equally often: {counts}", "train all variants equally often")
    repeats = next(iter(times.values()))
    codes = np.unique(test.groups, return_inverse=True)[1]
    result = compare(
        np.tile(test.y, repeats),
        {name: np.concatenate(trainings) for name, trainings in predictions.items()},
        np.tile(codes, repeats),
        test.names,
        score=score,
        reference=reference,
        smallest=smallest,
    )
    return Comparison(result, repeats)


def curves(variants: Mapping[str, History | Sequence[History]], column: str = "train_loss") -> Figure:
    """Draw one column of the histories by epoch: per variant the mean of its trainings, with their range as a band.

    Args:
        variants: name -> a history, or the histories of several trainings.
        column: column of ``history.frame``, such as "validation_loss".

    Raises:
        UserError: the histories have no such column.
    """
    with style():
        figure = new_figure(figsize=(6.4, 3.0), layout="constrained")
        ax = figure.add_subplot()
        for number, (name, variant) in enumerate(variants.items()):
            histories = [variant] if isinstance(variant, History) else list(variant)
            columns = histories[0].frame.columns
            if column not in columns:
                raise UserError(f"a history has no column {column!r}", nearest(column, columns))
            shortest = min(history.frame.height for history in histories)
            rows = np.array([history.frame[column][:shortest].to_list() for history in histories], float)
            epochs = np.arange(1, shortest + 1)
            color, dash = OKABE_ITO[number % len(OKABE_ITO)], DASHES[number % len(DASHES)]
            ax.plot(epochs, rows.mean(axis=0), color=color, linestyle=dash, linewidth=1.8, label=name)
            if len(rows) > 1:
                ax.fill_between(epochs, rows.min(axis=0), rows.max(axis=0), color=color, alpha=0.15, linewidth=0)
        ax.set(title=column.replace("_", " "), xlabel="epoch", ylim=(0, None))
        ax.grid(axis="y", color=LINE)
        ax.legend(loc="best", handlelength=2.6)
        return figure


def _predictions(name: str, variant: Any, test: Images) -> list[Probabilities]:
    """Return the predicted probabilities of each training of a variant, shape (N, K) each."""
    if isinstance(variant, list | tuple):
        return [probabilities for item in variant for probabilities in _predictions(name, item, test)]
    if isinstance(variant, History):
        variant = variant.network
    if isinstance(variant, Scores):
        variant = variant.probabilities
    predicted = predict_arrays(variant, test.x) if isinstance(variant, nn.Module) else np.asarray(variant)
    if predicted.dtype.kind != "f" or predicted.shape != (len(test), len(test.names)):
        expected = f"({len(test)}, {len(test.names)})"
        raise UserError(
            f"the predictions of {name!r} are {predicted.dtype} of shape {predicted.shape}; "
            f"expected probabilities of shape {expected}",
            "give a network, a history, scores, or history.predict(test.x)",
        )
    return [predicted]


def _draw(result: dict[str, Any]) -> Figure:
    runs, comparisons = result["runs"], result["comparisons"]
    names = [run["name"] for run in runs]
    pairs = [f"{item['second']} \N{MINUS SIGN} {item['first']}" for item in comparisons]
    rows = max(len(runs), len(comparisons))
    left_margin, right_margin = (max(text_width(label, 9) for label in labels) + 0.3 for labels in (names, pairs))
    height, width = 0.34 * rows + 0.9, left_margin + right_margin + 2 * PANEL + 0.3
    with style():
        figure = new_figure(figsize=(width, height))
        left = figure.add_axes((left_margin / width, 0.55 / height, PANEL / width, 0.34 * rows / height))
        lower = result["lower_is_better"]
        title = result["score"].replace("_", " ")
        _bars(left, [(run["value"], run["low"], run["high"]) for run in runs], names, rows)
        left.set_title(f"{title}{', lower is better' if lower else ''}", loc="left")
        x = (left_margin + PANEL + right_margin) / width
        right = figure.add_axes((x, 0.55 / height, PANEL / width, 0.34 * rows / height))
        right.axvline(0, color=INK, linewidth=1)
        significant = [item["better"] is not None for item in comparisons]
        differences = [(item["difference"], item["low_all"], item["high_all"]) for item in comparisons]
        _bars(right, differences, pairs, rows, significant)
        right.set_title("paired difference", loc="left")
        note = "Bars: 95 % confidence intervals, simultaneous on the right. Open circles: not distinguishable."
        figure.text(0.1 / width, 0.08 / height, note, color=MUTED, size=7.5)
        return figure


def _bars(
    ax: Axes,
    rows: Sequence[tuple[float | None, float | None, float | None]],
    labels: Sequence[str],
    row_count: int,
    significant: Sequence[bool] = (),
) -> None:
    """Draw (value, low, high) of each row as a circle with a bar; rows that are not significant are grey and open."""
    for row, (value, low, high) in enumerate(rows):
        filled = not significant or significant[row]
        if low is not None and high is not None:
            ax.plot([low, high], [row, row], color=ACCENT if filled else MUTED, linewidth=2.2, solid_capstyle="butt")
        if value is not None:
            marker: dict[str, Any] = {"markerfacecolor": ACCENT if filled else "white", "markersize": 6.5}
            ax.plot([value], [row], "o", color=ACCENT if filled else MUTED, **marker)
    ax.set(ylim=(row_count - 0.5, -0.5), yticks=range(len(rows)), yticklabels=labels)
    ax.grid(axis="x", color=LINE)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.margins(x=0.06)
