"""Results of `coverslip.fit` and of evaluating arrays: the training history, and scores with confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip import figures
from coverslip.evidence import Score, format_interval
from coverslip.evidence.recalibration import softmax
from coverslip.figures import svg_text
from coverslip.models.keras_adapter import as_module
from coverslip.training.array_data import read_images
from coverslip.training.forward import compute_logits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IntArray = npt.NDArray[np.int64]
STYLE = "background: #fffefb; color: #1c231f; padding: 0.6em; max-width: 62em"  # the figures need a light background


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """The history of a training, and the trained network.

    Attributes:
        frame: one row per epoch: epoch, step, lr, train_loss, train_accuracy, validation_loss, validation_accuracy,
            seconds; null if not measured.
        network: the network, which was trained in place.
        classes: class names, in the order of the network's outputs.
        best_epoch: epoch whose weights the network has.
        stopped: why training ended early; "" if it completed all epochs.
        train_rows: indices into ``x`` of the training images, in order.
        validation_rows: indices into ``x`` of the validation images.
        layout: layout of ``x``, if it was given.
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
        """Plot loss and accuracy by epoch, with the best epoch marked."""
        return figures.history(self.frame, best=self.best_epoch if len(self.validation_rows) else None)

    def predict(self, x: Any) -> npt.NDArray[np.float64]:
        """Return class probabilities, float64 (N, K), whose rows sum to 1; ``x`` as for `fit_arrays`."""
        return predict_arrays(self.network, x, layout=self.layout)

    def __repr__(self) -> str:
        parts = [f"{self.frame.height} epochs"]
        if self.frame.height:
            row = self.frame.row(by_predicate=pl.col("epoch") == self.best_epoch, named=True)
            shown = ("validation_loss", "validation_accuracy") if len(self.validation_rows) else ("train_loss",)
            values = [f"{name.replace('_', ' ')} {row[name]:.3f}" for name in shown if row[name] is not None]
            parts.append(f"best epoch {self.best_epoch} ({', '.join(values)})")
        parts += [f"stopped early: {self.stopped}"] if self.stopped else []
        return f"History: {'; '.join(parts)}"

    def _repr_html_(self) -> str:
        drawing = svg_text(self.plot(), f"history-{id(self)}", label=repr(self))
        return f'<div style="{STYLE}"><p>{escape(repr(self))}</p>{drawing}</div>'


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Scores of a network on labeled images, each with its confidence interval.

    Attributes:
        loss: mean log loss (cross-entropy), with ``value``, ``low`` and ``high``.
        accuracy: accuracy, with ``value``, ``low`` and ``high``.
        classes: class names, in the order of the outputs.
        confusion: confusion matrix, int (K, K): true classes in rows, predicted classes in columns.
        evidence: all scores, also per class, as returned by `coverslip.evidence.classification_evidence`.
        probabilities: predicted class probabilities, float64 (N, K).
    """

    loss: Score
    accuracy: Score
    classes: tuple[str, ...]
    confusion: IntArray = field(repr=False)
    evidence: dict[str, Any] = field(repr=False)
    probabilities: npt.NDArray[np.float64] = field(repr=False)

    def plot(self) -> Figure:
        """Plot the confusion matrix."""
        return figures.confusion(self.confusion, self.classes)

    def __repr__(self) -> str:
        count = f"{self.accuracy['images']:,} images"
        count += f", {self.accuracy['groups']:,} groups" if self.evidence["grouped"] else ""
        return f"accuracy {format_interval(self.accuracy)}, loss {format_interval(self.loss)} ({count})"


def predict_arrays(network: Any, x: Any, *, layout: str | None = None) -> npt.NDArray[np.float64]:
    """Return class probabilities, the softmax of the network's logits.

    Args:
        network: returns logits (N, K).
        x: images, as for `coverslip.training.arrays.fit_arrays`.
        layout: "NHWC" or "NCHW"; required if the shape is ambiguous.

    Returns:
        float64 (N, K); rows sum to 1.
    """
    inputs, _ = read_images(x, layout)
    return softmax(compute_logits(as_module(network), inputs))
