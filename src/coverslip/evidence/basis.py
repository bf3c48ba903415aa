"""What a score rests on, and the entry of `test.json` that follows: an interval, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.draws import Draws
from coverslip.evidence.intervals import (
    FEWEST_GROUPS,
    Limits,
    Score,
    bca,
    freedom_of_spread,
    proportion_limits,
    quantile,
    spread_limits,
    unbiased_limits,
)

FloatArray = NDArray[np.float64]
LIKE_SHARES = ("balanced_accuracy", "macro_f1", "f1")  # no group is worth more than its images
BOUNDED = {  # scores with a least and a greatest value, in the neighborhood of which few groups say little
    **dict.fromkeys(
        ("balanced_accuracy", "macro_f1", "macro_auroc", "macro_auprc", "f1", "auroc", "auprc"), (0.0, 1.0)
    ),
    "mcc": (-1.0, 1.0),
}


@dataclass(frozen=True)
class Basis:
    """The images and groups that a score is about."""

    images: int
    groups: int
    level: float  # of the interval
    grouped: bool  # false where each image is its own group

    @property
    def unit(self) -> str:
        """What is counted when a sentence says how few there are."""
        return "groups" if self.grouped else "images"

    def score(self, value: float | None, limits: Limits | None, method: str, reason: str = "") -> Score:
        """The entry of `test.json`; ``reason`` says why there are no limits."""
        low, high = limits or (None, None)
        score = Score(
            value=value, low=low, high=high, level=self.level, method=method, images=self.images, groups=self.groups
        )
        if low is None:
            score["reason"] = reason
        return score

    def too_few(self, groups: int) -> str:
        """Why so few groups have no interval."""
        unit = self.unit[:-1] + " is" if groups == 1 else self.unit + " are"
        return f"{groups} {unit} too few for an interval ({FEWEST_GROUPS} are needed)"

    def drawn(
        self,
        draws: Draws,
        name: str,
        method: str,
        *,
        fewest: int,
        freedom: int,
        worth: float | None = None,
        undefined: str = "",
    ) -> Score:
        """A resampled score.

        A score with a least and a greatest value gets the hull of two intervals: the bootstrap's, and Wilson's on the
        effective number, without which a score near 1 from few groups is covered too rarely (`benchmarks/coverage.py`).

        Args:
            draws: of the part.
            name: of the column.
            method: what is said of the bootstrap.
            fewest: groups, which decide whether there is an interval.
            freedom: degrees, the most that Student's t is given.
            worth: the number of independent trials that the groups are worth where nothing went wrong; ``fewest``
                unless given.
            undefined: why it has no value.
        """
        kind = name.partition(" ")[0]
        scale = BOUNDED.get(kind)
        said = f"{method}, and Wilson on the effective number" if scale else method
        said = said.replace("BCa", "bias-corrected") if name == "ece" else said
        if undefined:
            return self.score(None, None, said, undefined)
        column = draws.columns.index(name)
        value = float(draws.values[column])
        if fewest < FEWEST_GROUPS:
            return self.score(value, None, said, self.too_few(fewest))
        moves, resampled = draws.influence[:, column], draws.resampled[:, column]
        width = quantile(self.level, freedom_of_spread(moves, freedom))
        if name == "ece":
            by_chance = draws.resampled[:, draws.columns.index("ece_chance")]
            limits = unbiased_limits(value, resampled, by_chance, width)
        else:
            limits = bca(value, resampled, moves, width)
        if scale and np.isfinite(moves).all():
            least, size = scale[0], scale[1] - scale[0]
            where, trials = (value - least) / size, fewest if worth is None else worth
            most = self.images if kind in LIKE_SHARES else np.inf
            other = spread_limits(where, moves / size, most, trials, self.level, freedom)
            low, high = (least + size * limit for limit in other)
            limits = (low, high) if limits is None else (min(low, limits[0]), max(high, limits[1]))
        return self.score(value, limits, said, "the resamples show no spread about the value")


def proportion(
    hits: FloatArray, counts: FloatArray, level: float, *, grouped: bool, undefined: str = "", note: str = ""
) -> Score:
    """The entry of hits over counts.

    Args:
        hits, counts: (G,) of each group; a group with count 0 does not count.
        level: of the interval.
        grouped: false where each image is its own group.
        undefined: why there is no value.
        note: added to the method.
    """
    about = counts > 0
    basis = Basis(int(counts.sum()), int(about.sum()), level, grouped)
    method = ("Wilson on the effective number, t quantile" if grouped else "Clopper-Pearson") + note
    if undefined or basis.images == 0:
        return basis.score(None, None, method, undefined or "no image was predicted as this class")
    value = float(hits.sum() / basis.images)
    if basis.groups < FEWEST_GROUPS:
        return basis.score(value, None, method, basis.too_few(basis.groups))
    return basis.score(value, proportion_limits(hits[about], counts[about], level, grouped=grouped), method)


def draw_method(unit: str, *, within_class: bool, resamples: int) -> str:
    """How resampled intervals were made, in the words of `test.json`."""
    return f"BCa bootstrap over {unit}{' within class' if within_class else ''}, {resamples} resamples"
