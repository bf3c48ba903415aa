"""Scores of heat maps over images, with confidence intervals in the format of ``test.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.evidence.intervals import MIN_GROUPS, Score, linearized_interval
from coverslip.evidence.support import Support, proportion_score
from coverslip.explaining.maps.placement import Masks, heat_in_mask, pointing_game
from coverslip.explaining.maps.similarity import FloatArray, Maps

Groups = Sequence[Any] | npt.NDArray[Any] | None
LEVEL = 0.95


@dataclass(frozen=True)
class Placement:
    """Location of the heat relative to a mask, compared with the area of the mask, which is the chance level.

    Attributes:
        hits: fraction of the images whose hottest pixel is in the mask (pointing game).
        hits_by_chance: mean fraction of the image in which the hottest pixel would be a hit; None without images.
        heat: mean fraction of the heat inside the mask.
        area: mean fraction of the image that the mask covers; None without images.
        gain: mean of heat minus area, -1 to 1; the interval is computed over the differences.
    """

    hits: Score
    hits_by_chance: float | None
    heat: Score
    area: float | None
    gain: Score


def measure_placement(maps: Maps, masks: Masks, groups: Groups = None) -> Placement:
    """Return pointing game and heat of maps (N, h, w) in masks, bool (N, H, W); empty masks do not count."""
    hits, chance = pointing_game(maps, masks)
    heat, area = heat_in_mask(maps, masks)
    return Placement(
        mean_score(hits, groups, counted=True),
        plain_mean(chance),
        mean_score(heat, groups),
        plain_mean(area),
        mean_score(heat - area, groups, least=-1),
    )


def mean_score(values: FloatArray, groups: Groups = None, *, least: float = 0.0, counted: bool = False) -> Score:
    """Return the mean of one value per image with a confidence interval over groups, as an entry of ``test.json``.

    Args:
        values: one value per image, shape (N,), from ``least`` to 1; NaN does not count.
        groups: group of each image, shape (N,); None if images are independent.
        least: lower bound of the values.
        counted: whether the values are hits, 1 or 0, so that the mean is a proportion.

    Returns:
        The score. With fewer than five groups there is no interval, and with no finite value there is no score; the
        reason is stated. The interval is Wilson's with the effective sample size and a t quantile.

    >>> score = mean_score(np.array([0.2, 0.4, 0.6, 0.8, 0.5, 0.5]))
    >>> round(score["value"], 3), round(score["low"], 3), round(score["high"], 3)
    (0.5, 0.306, 0.694)
    """
    known = np.isfinite(values)
    finite = values[known]
    names = np.arange(len(values)) if groups is None else np.array(list(groups), dtype=object).astype(str)
    codes = np.unique(names[known], return_inverse=True)[1]
    sums, counts = (np.bincount(codes, weights).astype(np.float64) for weights in (finite, np.ones(len(finite))))
    if counted:
        undefined = "" if len(finite) else "there is no image to average over"
        return proportion_score(sums, counts, LEVEL, grouped=groups is not None, undefined=undefined)
    basis = Support(len(finite), len(counts), LEVEL, groups is not None)
    method = "Wilson on the effective number, t quantile"
    if len(finite) == 0:
        return basis.score(None, None, method, "there is no image to average over")
    value, scale = float(finite.mean()), 1 - least
    if basis.groups < MIN_GROUPS:
        return basis.score(value, None, method, basis.too_few_groups(basis.groups))
    influence = (sums - value * counts) / len(finite) / scale
    limits = linearized_interval((value - least) / scale, influence, np.inf, basis.groups, LEVEL, basis.groups - 1)
    return basis.score(value, (least + scale * limits[0], least + scale * limits[1]), method)


def plain_mean(values: FloatArray) -> float | None:
    """Return the mean of the finite values; None if there are none."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
