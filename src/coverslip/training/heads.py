"""A head on frozen features: its strength of regularization and its temperature come from inside the training set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from coverslip.core.progress import SILENT, Progress
from coverslip.data.split import assign_parts
from coverslip.evidence.recalibration import fit_temperature
from coverslip.training.stack import Lanes, fit_lanes

STRENGTHS = (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1, 1.0)  # dense where the best one is found in practice
FOLDS = 5
DIRECTIONS = 512  # principal directions that a head sees at most; the others hold about 2 % of the variance
CROSS_STEPS, FINAL_STEPS = 40, 120
CROSS_ROWS = 16_000  # above, cross-fitting sees one view of each image, and a sample of groups chooses the strength


@dataclass(frozen=True, slots=True)
class Head:
    """A fitted linear head.

    Attributes:
        weight: float32 (K, D), on the features as they come.
        bias: float32 (K,).
        temperature: scores are divided by it; from the cross-fitted scores of the training set.
        strength: the penalty that was chosen.
        history: step, train_loss, and validation_loss, validation_accuracy where there is a validation set.
        strengths: strength, log_loss, accuracy: what cross-fitting said of each.
        held: float32 (N, K), scores of the training images in their order, before temperature, each by a head of the
            chosen strength that was fitted without the image's group.
    """

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    temperature: float
    strength: float
    history: pl.DataFrame
    strengths: pl.DataFrame
    held: npt.NDArray[np.float32]

    def scores(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """(N, D) -> (N, K)."""
        return np.asarray(features.astype(np.float32) @ self.weight.T + self.bias)


def fit_head(
    features: npt.NDArray[np.floating],
    labels: Sequence[int],
    groups: Sequence[str],
    classes: int,
    *,
    views: int = 1,
    validation: tuple[npt.NDArray[np.floating], Sequence[int]] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    folds: int = FOLDS,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Head:
    """Fit a softmax regression with an L2 penalty on frozen features.

    The features are centered and turned to their principal directions, each scaled by the fourth root of its inverse
    variance: halfway between as they come, where few directions rule, and whitened, where noise does. The strength is
    the one with the smallest log loss on held-out groups of the training set (all strengths and folds in one stack),
    and the temperature is fitted to those held-out logits (`fit_temperature`). The validation set is only watched.

    Above `CROSS_ROWS` rows, cross-fitting sees the first view only; above as many images, the strength is chosen on
    a sample of whole groups, and one more pass with that strength gives the held-out scores of all images.

    Args:
        features: (views * N, D): all images in their first view, then all in the second, and so on.
        labels: N class numbers.
        groups: N groups; a group is never on both sides of a fold.
        classes: K.
        views: of each image.
        validation: features (M, D) and M labels to be scored after each step, and nothing else.
        strengths: penalties to choose from; of the mean loss, for features of mean square 1.
        folds: of the cross-fitting.
        seed: of the folds.
        progress: told of the stages.
    """
    basis = Basis.of(features)
    inputs = basis.turn(features)
    truth = torch.tensor(list(labels) * views)
    crossed = views if len(inputs) <= CROSS_ROWS else 1
    table, strength, held = _choose(
        inputs[: crossed * len(labels)], labels, groups, strengths, classes, folds, seed, progress
    )
    watched = None if validation is None else (basis.turn(validation[0]), torch.tensor(list(validation[1])))
    rows: list[dict[str, float | None]] = []

    with progress.stage("fitting the head", FINAL_STEPS, "steps") as stage:

        def watch(step: int, weight: Tensor, bias: Tensor) -> None:
            stage.advance()
            row: dict[str, float | None] = {"step": step, "validation_loss": None, "validation_accuracy": None}
            if watched is not None:
                scores = watched[0] @ weight[0] + bias[0]
                row["validation_loss"] = float(cross_entropy(scores, watched[1]))
                row["validation_accuracy"] = float((scores.argmax(1) == watched[1]).float().mean())
            rows.append(row)

        lanes = _fit(inputs, truth, torch.ones(len(inputs), 1), (strength,), classes, FINAL_STEPS, watch)
        stage.advance(FINAL_STEPS - len(rows))
    for row, loss in zip(rows, lanes.losses[1:, 0].tolist(), strict=True):
        row["train_loss"] = loss
    columns = ["step", "train_loss", "validation_loss", "validation_accuracy"]
    schema = {name: pl.Int64 if name == "step" else pl.Float64 for name in columns}
    weight, bias = basis.turn_back(lanes.weight[0], lanes.bias[0])
    history = pl.DataFrame(rows, schema=schema).select(columns)
    temperature = fit_temperature(held, np.asarray(labels), groups)
    return Head(weight, bias, temperature, strength, history, table, held)


@dataclass(frozen=True, slots=True)
class Basis:
    """Principal directions of the training features, scaled.

    Attributes:
        center: float32 (D,).
        matrix: float32 (D, R): features minus center, times this, are what a head sees.
    """

    center: Tensor
    matrix: Tensor

    @classmethod
    def of(cls, features: npt.NDArray[np.floating]) -> Basis:
        """From (N, D) features; blocks of rows keep memory flat."""
        width = features.shape[1]
        center = torch.from_numpy(features.mean(axis=0, dtype=np.float64))
        if len(features) <= width:  # a covariance of few rows is mostly zeros, on which `eigh` fails now and then
            rows = torch.cat([block - center.float() for block in _blocks(features)])
            _, spread, vectors = torch.linalg.svd(rows, full_matrices=False)
            variance, directions = spread.square() / len(features), vectors.T
        else:
            covariance = torch.zeros(width, width)
            for block in _blocks(features):
                centered = block - center.float()
                covariance.addmm_(centered.T, centered)
            variance, directions = _principal(covariance / len(features))
        keep = min(DIRECTIONS, len(features), width)
        variance, directions = variance[:keep].clamp_min(0), directions[:, :keep]
        scale = (variance + 1e-4 * variance[0].clamp_min(1e-12)) ** -0.25
        scale = scale / (variance * scale.square()).mean().sqrt().clamp_min(1e-6)
        return cls(center.float(), directions * scale)

    def turn(self, features: npt.NDArray[np.floating]) -> Tensor:
        """(N, D) -> float32 (N, R)."""
        return torch.cat([(block - self.center) @ self.matrix for block in _blocks(features)])

    def turn_back(self, weight: Tensor, bias: Tensor) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """A head (R, K), (K,) on turned features -> the same head (K, D), (K,) on the features as they come."""
        full = self.matrix @ weight
        return full.T.contiguous().numpy(), (bias - self.center @ full).numpy()


def _principal(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Variances, the largest first, and their directions (D, D)."""
    try:
        variance, directions = torch.linalg.eigh(covariance)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # near copies: 64 bits tell their zeros apart
        variance, directions = (each.float() for each in torch.linalg.eigh(covariance.double()))
    return variance.flip(0), directions.flip(1)


def _choose(
    inputs: Tensor,
    labels: Sequence[int],
    groups: Sequence[str],
    strengths: Sequence[float],
    classes: int,
    folds: int,
    seed: int,
    progress: Progress,
) -> tuple[pl.DataFrame, float, npt.NDArray[np.float32]]:
    """What cross-fitting said of each strength, the best one, and its held-out scores (N, K) of all images."""
    truth = np.asarray(labels)
    fold = assign_parts(truth, groups, np.ones(min(folds, len(set(groups)))), seed)
    stage = "cross-fitting strengths"
    rows = _sample(truth, groups, folds, seed) if len(inputs) > CROSS_ROWS else None
    if rows is None:
        table, best, held = _cross_fit(inputs, truth, fold, strengths, classes, progress, stage)
        return table, strengths[best], held
    some = assign_parts(truth[rows], [groups[row] for row in rows.tolist()], np.ones(folds), seed)
    table, best, _ = _cross_fit(inputs[torch.from_numpy(rows)], truth[rows], some, strengths, classes, progress, stage)
    strength = strengths[best]
    _, _, held = _cross_fit(inputs, truth, fold, [strength], classes, progress, "scoring held-out images")
    return table, strength, held


def _sample(
    labels: npt.NDArray[np.integer], groups: Sequence[str], folds: int, seed: int
) -> npt.NDArray[np.int64] | None:
    """Rows of about `CROSS_ROWS` images in whole groups, stratified; None where they would be of too few groups."""
    part = assign_parts(labels, groups, (CROSS_ROWS, max(1, len(labels) - CROSS_ROWS)), seed)
    rows = np.flatnonzero(part == 0)
    return rows if len({groups[row] for row in rows.tolist()}) >= folds else None


def _cross_fit(
    inputs: Tensor,
    labels: npt.NDArray[np.integer],
    fold: npt.NDArray[np.int64],
    strengths: Sequence[float],
    classes: int,
    progress: Progress,
    name: str,
) -> tuple[pl.DataFrame, int, npt.NDArray[np.float32]]:
    """Every strength on every fold, in one stack: the table, the best strength's number, and its held-out scores.

    Args:
        inputs: (views * N, R), all images in their first view, then all in the second.
        labels: (N,).
        fold: (N,), in which an image is held out, with all its views.
        strengths: S penalties.
        classes: K.
        progress: told of the stage.
        name: of the stage.
    """
    views, folds, images = len(inputs) // len(labels), int(fold.max()) + 1, len(labels)
    own, truth = torch.from_numpy(fold), torch.from_numpy(labels)
    held = own.repeat(views)[:, None] == torch.arange(folds)  # (views * N, folds)
    weights = (~held).float().repeat(1, len(strengths))  # lane s * folds + f
    with progress.stage(name, CROSS_STEPS, "steps") as stage:
        penalties = [strength for strength in strengths for _ in range(folds)]
        lanes = _fit(inputs, truth.repeat(views), weights, penalties, classes, CROSS_STEPS, lambda *_: stage.advance())
        stage.advance(CROSS_STEPS - len(lanes.losses) + 1)
    scores = torch.empty(len(strengths), images, classes)  # of the images themselves, not of their further views
    for number in range(folds):
        mine = torch.nonzero(own == number)[:, 0]
        block = lanes.weight.view(len(strengths), folds, -1, classes)[:, number]
        scores[:, mine] = inputs[mine] @ block + lanes.bias.view(len(strengths), folds, 1, classes)[:, number]
    losses = [float(cross_entropy(each, truth)) for each in scores]
    right = [float((each.argmax(1) == truth).float().mean()) for each in scores]
    table = pl.DataFrame({"strength": list(strengths), "log_loss": losses, "accuracy": right})
    best = int(np.argmin(losses))
    return table, best, scores[best].numpy().copy()


def _fit(
    inputs: Tensor,
    truth: Tensor,
    weights: Tensor,
    strengths: Sequence[float],
    classes: int,
    steps: int,
    watch: Callable[[int, Tensor, Tensor], None],
) -> Lanes:
    return fit_lanes(inputs, truth, weights, torch.tensor(strengths), classes, steps=steps, step_done=watch)


def _blocks(features: npt.NDArray[np.floating], rows: int = 8192) -> Iterator[Tensor]:
    """Float32 blocks of rows, one at a time: the whole is never float32 at once."""
    for start in range(0, len(features), rows):
        yield torch.from_numpy(np.asarray(features[start : start + rows], np.float32))
