"""Simple rules that a model has to beat: what they predict for the test images, fitted to the same training images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from coverslip.core.progress import Progress
from coverslip.core.registry import Registry
from coverslip.data.cache import PixelCache
from coverslip.data.table import ImageTable
from coverslip.pipeline.config import RunConfig
from coverslip.tasks.regression.scale import from_scale, to_scale
from coverslip.tasks.task import Baselines
from coverslip.training.ridge import fit_ridge

FloatArray = npt.NDArray[np.float64]
Rule = Callable[[RunConfig, ImageTable, "ColorFeatures", list[int], list[int], Progress], Baselines]
BASELINES: Registry[Rule] = Registry("task with simple rules")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
GREEN_LIMITS = (-0.1, 0.0, 0.1)  # of the excess green index
BORDER = 0.06  # largest difference from the color of the corners, in shares of the range, that counts as background


@dataclass(slots=True)
class ColorFeatures:
    """Color and size of the images of a run, each image measured once.

    Attributes:
        pixels: the decoded images.
        measured: row -> features, float64 (F,).
    """

    pixels: PixelCache
    measured: dict[int, FloatArray] = field(default_factory=dict)

    def take(self, rows: Sequence[int], log: Progress) -> FloatArray:
        """Return color and size of images, float64 (N, F): what a field scientist would measure without a network.

        Per channel mean, standard deviation and quantiles; for color images the mean of the excess green index
        (2 G - R - B) / (R + G + B) and the share of pixels above `GREEN_LIMITS`; and the share of pixels that differ
        from the corners, the size of the subject.

        Reference: Woebbecke et al., Transactions of the ASAE 38(1), 1995 (excess green index).
        """
        missing = [row for row in rows if row not in self.measured]
        if missing:
            with log.stage("measuring colors", len(missing)) as stage:
                for row in missing:
                    self.measured[row] = _features(np.asarray(self.pixels.pixels[row]))
                    stage.advance()
        return np.stack([self.measured[row] for row in rows])


def baseline_values(
    config: RunConfig, table: ImageTable, colors: ColorFeatures, rows: list[int], log: Progress
) -> Baselines:
    """Return what simple rules, fitted to the train and validation set, predict; see `rule_values`."""
    return rule_values(config, table, colors, sorted(table.rows("train") + table.rows("validation")), rows, log)


def has_rules(table: ImageTable) -> bool:
    """Return whether there are simple rules for the task of a table."""
    return table.task in BASELINES


def rule_values(
    config: RunConfig, table: ImageTable, colors: ColorFeatures, train: list[int], rows: list[int], log: Progress
) -> Baselines:
    """Return what simple rules predict for rows of a table, (N, T) by name of the rule; empty for other tasks.

    Args:
        config: the config of the run.
        table: the images.
        colors: color and size of the images.
        train: rows that the rules are fitted to.
        rows: N rows.
        log: receives the progress of measuring colors.
    """
    return BASELINES[table.task](config, table, colors, train, rows, log) if has_rules(table) else {}


@BASELINES.register("regression")
def regression_rules(
    config: RunConfig, table: ImageTable, colors: ColorFeatures, train: list[int], rows: list[int], log: Progress
) -> Baselines:
    """Return the predictions of the mean of the training targets, and of a ridge regression of color and size.

    Both are fitted on the scale of the model.
    """
    scale, target = config.data.scale, table.target(train)
    values, features = to_scale(target.array, scale), colors.take(train, log)
    head = fit_ridge(
        standardized(features, features),
        values,
        table.groups(train),
        target.strata(),
        folds=config.head.folds,
        seed=config.training.seed,
    )
    color = head.outputs(standardized(colors.take(rows, log), features))
    constant = np.broadcast_to(values.mean(axis=0), color.shape)
    return {"constant": from_scale(constant, scale), "color": from_scale(color, scale)}


def standardized(features: FloatArray, reference: FloatArray) -> FloatArray:
    """Return features (N, F) minus the mean and divided by the standard deviation of those of a reference (M, F)."""
    return np.asarray((features - reference.mean(axis=0)) / np.maximum(reference.std(axis=0), 1e-9))


def _features(image: npt.NDArray[np.generic]) -> FloatArray:
    values = image.astype(np.float64)
    values /= 255.0 if image.dtype == np.uint8 else 65535.0 if image.dtype == np.uint16 else max(np.ptp(values), 1e-9)
    flat = values.reshape(-1, values.shape[-1])
    parts = [flat.mean(axis=0), flat.std(axis=0), np.quantile(flat, QUANTILES, axis=0).ravel()]
    if values.shape[-1] == 3:
        red, green, blue = flat.T
        index = (2 * green - red - blue) / np.maximum(red + green + blue, 1e-6)
        parts.append(np.array([index.mean(), *(float((index > limit).mean()) for limit in GREEN_LIMITS)]))
    corners = np.stack([values[0, 0], values[0, -1], values[-1, 0], values[-1, -1]]).mean(axis=0)
    parts.append(np.array([float((np.abs(flat - corners).max(axis=1) > BORDER).mean())]))
    return np.concatenate(parts)
