"""Linear heads on frozen features, with an L2 penalty and a temperature chosen inside the training set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.data.split import assign_splits
from coverslip.evidence.recalibration import fit_temperature
from coverslip.training.stacked_heads import StackedHeads, fit_stacked_heads

L2_VALUES = (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1, 1.0)  # dense around 1e-3, where the best value usually lies
FOLDS = 5
DIRECTIONS = 512  # maximum number of principal directions; the remaining ones contain about 2 % of the variance
# L-BFGS steps. Cross-fitting only ranks penalties, for which fewer steps suffice; both fits usually converge earlier.
CROSS_FIT_STEPS, FINAL_STEPS = 40, 120
CROSS_FIT_ROWS = 16_000  # with more rows, cross-fitting uses one view per image, and a sample of groups to choose L2


@dataclass(frozen=True, slots=True)
class Head:
    """A fitted linear head.

    Attributes:
        weight: weights on the unscaled features, float32 (K, D).
        bias: biases, float32 (K,).
        temperature: divisor of the logits, fitted to the held-out logits of the training images.
        l2: the chosen L2 penalty.
        history: columns step, train_loss, and validation_loss and validation_accuracy (null without validation set).
        penalties: columns l2, log_loss and accuracy: the cross-fitted scores of each penalty.
        held_out_logits: logits of the training images in their order, before temperature scaling, float32 (N, K). Those
            of an image come from a head with the chosen penalty that was fitted without the image's group.
    """

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    temperature: float
    l2: float
    history: pl.DataFrame
    penalties: pl.DataFrame
    held_out_logits: npt.NDArray[np.float32]

    def logits(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Return the logits (N, K) of features (N, D), before temperature scaling."""
        return np.asarray(features.astype(np.float32) @ self.weight.T + self.bias)


def fit_head(
    features: npt.NDArray[np.floating],
    labels: Sequence[int],
    groups: Sequence[str],
    classes: int,
    *,
    views: int = 1,
    validation: tuple[npt.NDArray[np.floating], Sequence[int]] | None = None,
    l2_values: Sequence[float] = L2_VALUES,
    folds: int = FOLDS,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Head:
    """Fit a softmax regression with an L2 penalty to frozen features.

    1. Half-whiten the features (see `HalfWhitening`).
    2. Cross-fit a head for every penalty and fold over the groups of the training set, all in one stack, and choose the
       penalty with the smallest held-out log loss.
    3. Fit the head to all training images with this penalty.
    4. Fit the temperature to the held-out logits of step 2 (see `fit_temperature`). Logits of training images by a head
       that was fitted to them would be overconfident.

    The validation set is scored after each step for the learning curve and decides nothing.

    With more than `CROSS_FIT_ROWS` rows, step 2 uses the first view of each image only. If the images themselves are
    more than that, the penalty is chosen on a sample of whole groups, and one more pass with this penalty computes the
    held-out logits of all images.

    Args:
        features: float (views * N, D): all images in view 0, then all in view 1, and so on.
        labels: integer class ids of the N images, values in 0..K-1.
        groups: group names of the N images; a group is never in both sides of a fold.
        classes: number of classes K.
        views: number of views per image.
        validation: features (M, D) and M class ids of the validation set.
        l2_values: penalties to choose from. They multiply half the squared norm of the weights, relative to the mean
            loss and for features scaled to mean square 1.
        folds: number of folds of the cross-fitting.
        seed: random seed of the folds.
        progress: receives the stages and their steps.

    Raises:
        UserError: no class has a second group, so that nothing is left to fit a head on where a fold is held out.
    """
    _check_groups(labels, groups, classes)
    whitening = HalfWhitening.fit(features)
    inputs = whitening.transform(features)
    targets = torch.tensor(list(labels) * views)
    cross_fit_views = views if len(inputs) <= CROSS_FIT_ROWS else 1
    table, l2, held_out_logits = _choose_l2(
        inputs[: cross_fit_views * len(labels)], labels, groups, l2_values, classes, folds, seed, progress
    )
    watched = None
    if validation is not None:
        watched = whitening.transform(validation[0]), torch.tensor(list(validation[1]))
    rows: list[dict[str, float | None]] = []

    with progress.stage("fitting the head", FINAL_STEPS, "steps") as stage:

        def record(step: int, weight: Tensor, bias: Tensor) -> None:
            stage.advance()
            row: dict[str, float | None] = {"step": step, "validation_loss": None, "validation_accuracy": None}
            if watched is not None:
                logits = watched[0] @ weight[0] + bias[0]
                row["validation_loss"] = float(cross_entropy(logits, watched[1]))
                row["validation_accuracy"] = float((logits.argmax(1) == watched[1]).float().mean())
            rows.append(row)

        fitted = _fit(inputs, targets, torch.ones(len(inputs), 1), (l2,), classes, FINAL_STEPS, record)
        stage.advance(FINAL_STEPS - len(rows))  # converged early
    for row, loss in zip(rows, fitted.losses[1:, 0].tolist(), strict=True):
        row["train_loss"] = loss
    columns = ["step", "train_loss", "validation_loss", "validation_accuracy"]
    schema = {name: pl.Int64 if name == "step" else pl.Float64 for name in columns}
    history = pl.DataFrame(rows, schema=schema).select(columns)
    weight, bias = whitening.to_feature_space(fitted.weight[0], fitted.bias[0])
    temperature = fit_temperature(held_out_logits, np.asarray(labels), groups)
    return Head(weight, bias, temperature, l2, history, table, held_out_logits)


def _check_groups(labels: Sequence[int], groups: Sequence[str], classes: int) -> None:
    """Check that some class has two groups: folds hold out the first group of every class together.

    Raises:
        UserError: see above.
    """
    pairs = set(zip(labels, groups, strict=True))
    if len(pairs) == len({label for label, _ in pairs}):
        unit = "images" if len(set(groups)) == len(groups) else "groups"
        raise UserError(
            f"the train set has {len(labels)} images of {classes} classes, one {unit[:-1]} per class, so no penalty "
            "can be chosen by cross-fitting",
            f"add {unit}: 10 or more per class, of which about 7 are for training",
        )


@dataclass(frozen=True, slots=True)
class HalfWhitening:
    """An affine map of features to scaled principal components.

    Each component is divided by the fourth root of its variance, halfway between PCA (where a few directions with large
    variance dominate, and the penalty barely acts on them) and full whitening (where the noise in directions with small
    variance is inflated). Decorrelated columns of similar scale also condition the problem well: L-BFGS then converges
    in tens of steps.

    Attributes:
        center: mean of the features, float32 (D,).
        matrix: scaled principal directions, float32 (D, R).
    """

    center: Tensor
    matrix: Tensor

    @classmethod
    def fit(cls, features: npt.NDArray[np.floating]) -> HalfWhitening:
        """Compute the map from features (N, D), in blocks of rows to limit memory."""
        width = features.shape[1]
        center = torch.from_numpy(features.mean(axis=0, dtype=np.float64))
        if len(features) <= width:  # the covariance would be rank-deficient, on which `eigh` sometimes fails
            rows = torch.cat([block - center.float() for block in _blocks(features)])
            _, singular_values, vectors = torch.linalg.svd(rows, full_matrices=False)
            variance, directions = singular_values.square() / len(features), vectors.T
        else:
            covariance = torch.zeros(width, width)
            for block in _blocks(features):
                centered = block - center.float()
                covariance.addmm_(centered.T, centered)
            variance, directions = _eigen_decomposition(covariance / len(features))
        keep = min(DIRECTIONS, len(features), width)
        variance, directions = variance[:keep].clamp_min(0), directions[:, :keep]  # rounding can make zeros negative
        scale = (variance + 1e-4 * variance[0].clamp_min(1e-12)) ** -0.25  # the floor bounds the inflation of noise
        scale = scale / (variance * scale.square()).mean().sqrt().clamp_min(1e-6)  # mean square 1: L2 keeps its meaning
        return cls(center.float(), directions * scale)

    def transform(self, features: npt.NDArray[np.floating]) -> Tensor:
        """Return the half-whitened features, float32 (N, R), of features (N, D)."""
        return torch.cat([(block - self.center) @ self.matrix for block in _blocks(features)])

    def to_feature_space(self, weight: Tensor, bias: Tensor) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Convert a head on half-whitened features, (R, K) and (K,), to the same head on features, (K, D) and (K,)."""
        unwhitened = self.matrix @ weight
        return unwhitened.T.contiguous().numpy(), (bias - self.center @ unwhitened).numpy()


def _eigen_decomposition(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Return the variances in descending order and their directions (D, D)."""
    try:
        variance, directions = torch.linalg.eigh(covariance)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # float32 fails on many nearly equal eigenvalues
        variance, directions = (result.float() for result in torch.linalg.eigh(covariance.double()))
    return variance.flip(0), directions.flip(1)


def _choose_l2(
    inputs: Tensor,
    labels: Sequence[int],
    groups: Sequence[str],
    l2_values: Sequence[float],
    classes: int,
    folds: int,
    seed: int,
    progress: Progress,
) -> tuple[pl.DataFrame, float, npt.NDArray[np.float32]]:
    """Return the cross-fitted scores of each penalty, the best penalty, and its held-out logits (N, K)."""
    targets = np.asarray(labels)
    fold = assign_splits(targets, groups, np.ones(min(folds, len(set(groups)))), seed)
    stage = "cross-fitting penalties"
    rows = _sample_groups(targets, groups, folds, seed) if len(inputs) > CROSS_FIT_ROWS else None
    if rows is None:
        table, best, held_out_logits = _cross_fit(inputs, targets, fold, l2_values, classes, progress, stage)
        return table, l2_values[best], held_out_logits
    sample = inputs[torch.from_numpy(rows)]
    sample_fold = assign_splits(targets[rows], [groups[row] for row in rows.tolist()], np.ones(folds), seed)
    table, best, _ = _cross_fit(sample, targets[rows], sample_fold, l2_values, classes, progress, stage)
    l2 = l2_values[best]
    _, _, held_out_logits = _cross_fit(inputs, targets, fold, [l2], classes, progress, "scoring held-out images")
    return table, l2, held_out_logits


def _sample_groups(
    labels: npt.NDArray[np.integer], groups: Sequence[str], folds: int, seed: int
) -> npt.NDArray[np.int64] | None:
    """Return the rows of about `CROSS_FIT_ROWS` images in whole groups, stratified; None if the groups are too few."""
    split = assign_splits(labels, groups, (CROSS_FIT_ROWS, max(1, len(labels) - CROSS_FIT_ROWS)), seed)
    rows = np.flatnonzero(split == 0)
    return rows if len({groups[row] for row in rows.tolist()}) >= folds else None


def _cross_fit(
    inputs: Tensor,
    labels: npt.NDArray[np.integer],
    fold: npt.NDArray[np.int64],
    l2_values: Sequence[float],
    classes: int,
    progress: Progress,
    name: str,
) -> tuple[pl.DataFrame, int, npt.NDArray[np.float32]]:
    """Fit a head for every penalty and fold in one stack.

    Args:
        inputs: half-whitened features, float32 (views * N, R): all images in view 0, then all in view 1.
        labels: class ids, shape (N,).
        fold: fold in which an image is held out with all its views, int64 (N,).
        l2_values: S penalties.
        classes: number of classes K.
        progress: receives the stage and its steps.
        name: name of the stage.

    Returns:
        The held-out log loss and accuracy of each penalty, the index of the best penalty, and its held-out logits,
        float32 (N, K).
    """
    views, folds, images = len(inputs) // len(labels), int(fold.max()) + 1, len(labels)
    fold_of_image, targets = torch.from_numpy(fold), torch.from_numpy(labels)
    held_out = fold_of_image.repeat(views)[:, None] == torch.arange(folds)  # (views * N, folds)
    weights = (~held_out).float().repeat(1, len(l2_values))  # column s * folds + f: penalty s, fold f held out
    with progress.stage(name, CROSS_FIT_STEPS, "steps") as stage:
        penalties = [l2 for l2 in l2_values for _ in range(folds)]
        fitted = _fit(
            inputs, targets.repeat(views), weights, penalties, classes, CROSS_FIT_STEPS, lambda *_: stage.advance()
        )
        stage.advance(CROSS_FIT_STEPS - len(fitted.losses) + 1)  # converged early
    logits = torch.empty(len(l2_values), images, classes)  # of view 0 only
    for number in range(folds):
        rows = torch.nonzero(fold_of_image == number)[:, 0]
        weight = fitted.weight.view(len(l2_values), folds, -1, classes)[:, number]
        bias = fitted.bias.view(len(l2_values), folds, 1, classes)[:, number]
        logits[:, rows] = inputs[rows] @ weight + bias
    losses = [float(cross_entropy(values, targets)) for values in logits]
    accuracies = [float((values.argmax(1) == targets).float().mean()) for values in logits]
    table = pl.DataFrame({"l2": list(l2_values), "log_loss": losses, "accuracy": accuracies})
    best = int(np.argmin(losses))
    return table, best, logits[best].numpy().copy()


def _fit(
    inputs: Tensor,
    targets: Tensor,
    weights: Tensor,
    l2_values: Sequence[float],
    classes: int,
    steps: int,
    callback: Callable[[int, Tensor, Tensor], None],
) -> StackedHeads:
    return fit_stacked_heads(inputs, targets, weights, torch.tensor(l2_values), classes, steps=steps, callback=callback)


def _blocks(features: npt.NDArray[np.floating], rows: int = 8192) -> Iterator[Tensor]:
    """Yield blocks of rows as float32, so that the whole array is never converted at once."""
    for start in range(0, len(features), rows):
        yield torch.from_numpy(np.asarray(features[start : start + rows], np.float32))
