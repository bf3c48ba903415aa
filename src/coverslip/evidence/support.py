"""Scores together with the sample they were computed from: with an interval, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coverslip.evidence.bootstrap import BootstrapScores
from coverslip.evidence.intervals import (
    MIN_GROUPS,
    Interval,
    Score,
    bca_interval,
    bias_corrected_interval,
    critical_value,
    effective_df,
    linearized_interval,
    proportion_interval,
)
from coverslip.evidence.score_specs import Z_SCALE, score_spec

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Support:
    """The sample that a score is computed from.

    Attributes:
        images: number of images.
        groups: number of groups.
        level: confidence level of the interval.
        grouped: False if each image is its own group.
    """

    images: int
    groups: int
    level: float
    grouped: bool

    @property
    def unit(self) -> str:
        """Plural noun for the independent units: "groups" or "images"."""
        return "groups" if self.grouped else "images"

    def score(self, value: float | None, interval: Interval | None, method: str, reason: str = "") -> Score:
        """Return a `Score` of this sample.

        Args:
            value: the score; None if it is undefined.
            interval: its confidence interval, or None.
            method: how the interval is computed, for the report.
            reason: why there is no interval; ignored if there is one.
        """
        low, high = interval or (None, None)
        score = Score(
            value=value, low=low, high=high, level=self.level, method=method, images=self.images, groups=self.groups
        )
        if low is None:
            score["reason"] = reason
        return score

    def too_few_groups(self, groups: int, least: int = MIN_GROUPS) -> str:
        """Return the reason for a missing interval: the number of groups is below the minimum."""
        unit = self.unit[:-1] + " is" if groups == 1 else self.unit + " are"
        return f"{groups} {unit} too few for an interval (at least {least} are needed)"

    def bootstrap_score(
        self,
        scores: BootstrapScores,
        name: str,
        method: str,
        *,
        groups: int,
        max_df: int,
        fallback_number: float | None = None,
        undefined: str = "",
    ) -> Score:
        """Return a score with its bootstrap interval.

        A score with a finite range gets the union of the bootstrap interval and Wilson's interval with the effective
        sample size. Without the latter the coverage is too low for scores near 1 in few groups
        (`benchmarks/coverage.py`).

        Args:
            scores: resampled scores.
            name: name of the column of ``scores``.
            method: description of the bootstrap, from `bootstrap_method`.
            groups: number of groups that decides whether there is an interval.
            max_df: maximal degrees of freedom of Student's t.
            fallback_number: effective sample size if no error was observed; by default ``groups``.
            undefined: why the score is undefined; empty if it is defined.
        """
        kind, spec = name.partition(" ")[0], score_spec(name)
        score_range = spec.wilson_range
        described = (
            f"{method}, combined with Wilson's interval for the effective sample size" if score_range else method
        )
        described = described.replace("BCa", "bias-corrected") if name == "ece" else described
        described += " and Student's t" if kind == "difference" else ""
        described += f" and Student's t on the {spec.scale} scale" if spec.scale else ""
        if undefined:
            return self.score(None, None, described, undefined)
        column = scores.columns.index(name)
        value = float(scores.values[column])
        least = spec.least_groups
        if groups < least:
            return self.score(value, None, described, self.too_few_groups(groups, least))
        influence, resampled = scores.influence[:, column], scores.resampled[:, column]
        critical = critical_value(self.level, effective_df(influence, max_df))
        if name == "ece":
            null_resampled = scores.resampled[:, scores.columns.index("ece_chance")]
            interval = bias_corrected_interval(value, resampled, null_resampled, critical)
        else:
            interval = bca_interval(value, resampled, influence, critical)
        if score_range and np.isfinite(influence).all():
            lowest, width = score_range[0], score_range[1] - score_range[0]
            max_number = self.images if spec.at_most_images else np.inf
            wilson = linearized_interval(
                (value - lowest) / width,
                influence / width,
                max_number,
                groups if fallback_number is None else fallback_number,
                self.level,
                max_df,
            )
            low, high = (lowest + width * limit for limit in wilson)
            interval = (low, high) if interval is None else (min(low, interval[0]), max(high, interval[1]))
        if kind == "difference" and interval is not None and np.isfinite(influence).all():
            half = critical * float(np.sqrt((influence**2).sum()))
            interval = min(value - half, interval[0]), max(value + half, interval[1])
        if spec.scale and interval is not None and np.isfinite(influence).all():
            low, high = transformed_interval(spec.scale, value, float(np.sqrt((influence**2).sum())), critical)
            interval = min(low, interval[0]), max(high, interval[1])
        return self.score(value, interval, described, "the score does not vary between resamples")

    def resampled_score(self, scores: BootstrapScores, name: str, resamples: int, undefined: str) -> Score:
        """Return a score of all groups, which are resampled from a single stratum, with its interval.

        Args:
            scores: resampled scores.
            name: name of the column of ``scores``.
            resamples: number of resamples.
            undefined: why the score is undefined, if its value is not finite.
        """
        defined = bool(np.isfinite(scores.values[scores.columns.index(name)]))
        return self.bootstrap_score(
            scores,
            name,
            bootstrap_method(self.unit, within_class=False, resamples=resamples),
            groups=self.groups,
            max_df=self.groups - 1,
            undefined="" if defined else undefined,
        )


def transformed_interval(scale: str, value: float, error: float, critical: float) -> Interval:
    """Return Student's interval on another scale, transformed back.

    Args:
        scale: `Z_SCALE` or `VARIANCE_SCALE`.
        value: the score, below 1.
        error: its standard error.
        critical: quantile of Student's t.

    References:
        Fisher, Metron 1, 1921 (z); Lin, Biometrics 45(1), 1989 (z of the concordance).

    >>> low, high = transformed_interval(Z_SCALE, 0.9, 0.05, 2.0)
    >>> round(low, 2), round(high, 2)
    (0.74, 0.96)
    """
    if not value < 1:
        return value, value
    if scale == Z_SCALE:
        half = critical * error / max(1 - value**2, 1e-12)
        return float(np.tanh(np.arctanh(value) - half)), float(np.tanh(np.arctanh(value) + half))
    factor = float(np.exp(min(critical * error / (1 - value), 50.0)))
    return 1 - (1 - value) * factor, 1 - (1 - value) / factor


def proportion_score(
    hits: FloatArray, counts: FloatArray, level: float, *, grouped: bool, undefined: str = "", note: str = ""
) -> Score:
    """Return the proportion of hits among counts with its interval.

    Args:
        hits: successes per group, shape (G,).
        counts: images per group, shape (G,); groups with count 0 are ignored.
        level: confidence level of the interval.
        grouped: False if each image is its own group.
        undefined: why the proportion is undefined; empty if it is defined.
        note: text appended to the description of the method.
    """
    present = counts > 0
    support = Support(int(counts.sum()), int(present.sum()), level, grouped)
    method = ("Wilson's interval with effective sample size and t quantile" if grouped else "Clopper-Pearson") + note
    if undefined or support.images == 0:
        return support.score(None, None, method, undefined or "no image was predicted as this class")
    value = float(hits.sum() / support.images)
    if support.groups < MIN_GROUPS:
        return support.score(value, None, method, support.too_few_groups(support.groups))
    return support.score(value, proportion_interval(hits[present], counts[present], level, grouped=grouped), method)


def bootstrap_method(unit: str, *, within_class: bool, resamples: int) -> str:
    """Return the description of the bootstrap that is stored with each score."""
    return f"BCa bootstrap over {unit}{' within class' if within_class else ''}, {resamples} resamples"
