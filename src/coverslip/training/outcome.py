"""What the small door hands back: the history of a training, and scores with their intervals."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip import figures
from coverslip.evidence import Score, format_interval
from coverslip.figures import svg_text
from coverslip.models.keras_adapter import as_module
from coverslip.tasks.classification import Classification
from coverslip.training.array_data import read_images
from coverslip.training.scoring import score_network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IntArray = npt.NDArray[np.int64]
FLOOR = "background: #fffefb; color: #1c231f; padding: 0.6em; max-width: 62em"  # the figures' colors are for light


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """A training, epoch by epoch, and the network that came out of it.

    Attributes:
        frame: a row an epoch: epoch, step, lr, train_loss, train_accuracy, validation_loss, validation_accuracy,
            seconds; null where something was not measured.
        network: the one that was given, trained in place.
        classes: names, in the order of its outputs.
        best_epoch: whose weights it has.
        stopped: why training ended before its last epoch; "" where it did not.
        train_rows: of ``x``, that were learned from, in order.
        validation_rows: of ``x``, that were held out.
        layout: of ``x``, where it had to be told.
    """

    frame: pl.DataFrame
    network: Any
    classes: tuple[str, ...]
    best_epoch: int
    stopped: str = ""
    train_rows: IntArray = field(repr=False)
    validation_rows: IntArray = field(repr=False)
    layout: str | None = None

    def plot(self) -> Figure:
        """Loss and accuracy by epoch, the best epoch ringed."""
        return figures.history(self.frame, best=self.best_epoch if len(self.validation_rows) else None)

    def predict(self, x: Any) -> npt.NDArray[np.float64]:
        """The probability of each class, float (N, K), rows sum to 1; ``x`` as for `fit_arrays`."""
        return predict_arrays(self.network, x, layout=self.layout)

    def __repr__(self) -> str:
        said = [f"{self.frame.height} epochs"]
        if self.frame.height:
            row = self.frame.row(by_predicate=pl.col("epoch") == self.best_epoch, named=True)
            shown = ("validation_loss", "validation_accuracy") if len(self.validation_rows) else ("train_loss",)
            values = [f"{name.replace('_', ' ')} {row[name]:.3f}" for name in shown if row[name] is not None]
            said.append(f"best epoch {self.best_epoch} ({', '.join(values)})")
        said += [f"ended early: {self.stopped}"] if self.stopped else []
        return f"History: {'; '.join(said)}"

    def _repr_html_(self) -> str:
        drawing = svg_text(self.plot(), f"history-{id(self)}", label=repr(self))
        return f'<div style="{FLOOR}"><p>{escape(repr(self))}</p>{drawing}</div>'


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """How well a network tells images apart: every number with its interval.

    Attributes:
        loss: mean log loss (cross-entropy), with ``value``, ``low`` and ``high``.
        accuracy: share of images told rightly, likewise.
        classes: names, in the order of the outputs.
        confusion: int (K, K), true classes in rows, what the network said in columns.
        evidence: every score, also class by class, as `coverslip.evidence.classification_evidence` gives them.
        probabilities: float (N, K).
    """

    loss: Score
    accuracy: Score
    classes: tuple[str, ...]
    confusion: IntArray = field(repr=False)
    evidence: dict[str, Any] = field(repr=False)
    probabilities: npt.NDArray[np.float64] = field(repr=False)

    def plot(self) -> Figure:
        """The confusion matrix."""
        return figures.confusion(self.confusion, self.classes)

    def __repr__(self) -> str:
        count = f"{self.accuracy['images']:,} images"
        count += f", {self.accuracy['groups']:,} groups" if self.evidence["grouped"] else ""
        return f"accuracy {format_interval(self.accuracy)}, loss {format_interval(self.loss)} ({count})"


def predict_arrays(network: Any, x: Any, *, layout: str | None = None) -> npt.NDArray[np.float64]:
    """The probability of each class by softmax of the network's scores.

    Args:
        network: answers with scores (N, K).
        x: as for `coverslip.training.arrays.fit_arrays`.
        layout: "NHWC" or "NCHW", where the shape does not tell.

    Returns:
        (N, K), rows sum to 1.
    """
    inputs, _ = read_images(x, layout)
    return Classification(()).probabilities(score_network(as_module(network), inputs))
