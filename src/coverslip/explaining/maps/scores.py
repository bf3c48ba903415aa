"""Means over images with their intervals: one value a map in, an entry as in ``test.json`` out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.evidence.basis import Basis, proportion
from coverslip.evidence.intervals import FEWEST_GROUPS, Score, spread_limits
from coverslip.explaining.maps.placement import Masks, heat_inside, point
from coverslip.explaining.maps.similarity import FloatArray, Maps

Groups = Sequence[Any] | npt.NDArray[Any] | None
LEVEL = 0.95


@dataclass(frozen=True)
class Placement:
    """Where the heat of some maps lies, beside the share of area, which is what chance gives.

    Attributes:
        hits: share of the images whose hottest place lies in the mask (the pointing game).
        hits_by_chance: mean share of the image in which it would have been a hit.
        heat: mean share of the heat inside the mask.
        area: mean share of the image that the mask covers.
        gain: mean of heat less area, -1 to 1; its interval is over the pairs.
    """

    hits: Score
    hits_by_chance: float | None
    heat: Score
    area: float | None
    gain: Score


def place_heat(maps: Maps, masks: Masks, groups: Groups = None) -> Placement:
    """Pointing game and share of heat of maps (N, h, w) in bool masks (N, H, W); an empty mask does not count."""
    hits, chance = point(maps, masks)
    heat, area = heat_inside(maps, masks)
    return Placement(
        mean_score(hits, groups, counted=True),
        plain_mean(chance),
        mean_score(heat, groups),
        plain_mean(area),
        mean_score(heat - area, groups, least=-1),
    )


def mean_score(values: FloatArray, groups: Groups = None, *, least: float = 0.0, counted: bool = False) -> Score:
    """The mean of one value an image, with its interval over groups, as an entry of ``test.json``.

    Args:
        values: (N,), from ``least`` to 1; NaN does not count.
        groups: (N,), whatever names them; None where each image stands for itself.
        least: the smallest value there can be.
        counted: the values are hits, 1 or 0, and the mean is a proportion.

    Returns:
        Without an interval, and with the reason, where there are fewer than five groups; without a value where nothing
        counts. The interval is Wilson's on the effective number, with Student's t.

    >>> score = mean_score(np.array([0.2, 0.4, 0.6, 0.8, 0.5, 0.5]))
    >>> round(score["value"], 3), round(score["low"], 3), round(score["high"], 3)
    (0.5, 0.306, 0.694)
    """
    known = np.isfinite(values)
    found = values[known]
    named = np.arange(len(values)) if groups is None else np.array(list(groups), dtype=object).astype(str)
    codes = np.unique(named[known], return_inverse=True)[1]
    sums, counts = (np.bincount(codes, each).astype(np.float64) for each in (found, np.ones(len(found))))
    if counted:
        nothing = "" if len(found) else "no image counts"
        return proportion(sums, counts, LEVEL, grouped=groups is not None, undefined=nothing)
    basis = Basis(len(found), len(counts), LEVEL, groups is not None)
    method = "Wilson on the effective number, t quantile"
    if len(found) == 0:
        return basis.score(None, None, method, "no image counts")
    value, scale = float(found.mean()), 1 - least
    if basis.groups < FEWEST_GROUPS:
        return basis.score(value, None, method, basis.too_few(basis.groups))
    moves = (sums - value * counts) / len(found) / scale
    limits = spread_limits((value - least) / scale, moves, np.inf, basis.groups, LEVEL, basis.groups - 1)
    return basis.score(value, (least + scale * limits[0], least + scale * limits[1]), method)


def plain_mean(values: FloatArray) -> float | None:
    """The mean of what is not NaN; None where nothing is left."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
