"""Measure the coverage of confidence intervals and of prediction intervals of a regression, for images in groups.

    python benchmarks/coverage_values.py [--tries 600] [--out benchmarks/results/coverage_values]

Simulated test sets: 4 images per group; the true values have a skewed distribution (severities of leaves are), of which
half of the variance is between groups; the errors have a bias, and 30 % of their variance is shared by a group. The
true score is that of 400,000 images. Prediction intervals are calibrated on residuals of the same kind, whose size
varies between images by a factor of up to 4, and checked on new groups.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from coverslip.evidence.prediction_intervals import Residuals, fit_interval
from coverslip.evidence.regression import SCORES, regression_evidence
from coverslip.evidence.regression_scores import plain_scores

GROUPS, SIZE, SHARED = (5, 10, 20, 30, 60), 4, 0.3
NOISE = {"good": 0.35, "weak": 1.0}  # standard deviation of the errors relative to that of the true values
NEEDED, FROM = 0.93, 30  # required coverage, from this number of groups on
NAMES = (*SCORES, "difference")  # the last: MAE of a constant minus that of the model
MEAN = float(np.exp(0.125))  # of the true values, the constant
FloatArray = NDArray[np.float64]


def draw(groups: int, noise: float, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """Return true and predicted values, shape (N, 1), and groups, shape (N,)."""
    codes = np.repeat(np.arange(groups), SIZE)
    latent = (rng.normal(size=groups)[codes] + rng.normal(size=len(codes))) / np.sqrt(2)
    truth = np.exp(0.5 * latent)  # log-normal: skewed to the right
    spread = noise * 0.6
    error = np.sqrt(SHARED) * rng.normal(size=groups)[codes] + np.sqrt(1 - SHARED) * rng.normal(size=len(codes))
    return truth[:, None], (truth + spread * (error + 0.2))[:, None], codes


def score_cell(groups: int, quality: str, tries: int, true: dict[str, float]) -> dict[str, Any]:
    """Return the share of test sets whose interval contains the true score, and the mean width, of each score."""
    inside = dict.fromkeys(NAMES, 0)
    given, widths = dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 0.0)
    for seed in range(tries):
        truth, predicted, codes = draw(groups, NOISE[quality], np.random.default_rng([seed, groups]))
        constant = np.full_like(truth, MEAN)
        evidence = regression_evidence(
            truth, predicted, codes, ["y"], baselines={"constant": constant}, resamples=1000, seed=seed
        )
        scores = evidence["scores"] | {"difference": evidence["targets"]["y"]["baselines"]["constant"]["difference"]}
        for name in NAMES:
            low, high = scores[name]["low"], scores[name]["high"]
            if low is not None and high is not None:
                given[name] += 1
                inside[name] += low <= true[name] <= high
                widths[name] += high - low
    return {
        name: {
            "given": given[name],
            "coverage": inside[name] / given[name] if given[name] else None,
            "width": widths[name] / given[name] if given[name] else None,
        }
        for name in NAMES
    }


def interval_cell(groups: int, out_of_fold: int, tries: int) -> dict[str, float]:
    """Return the mean coverage of prediction intervals on new groups, and their mean width relative to the best."""

    def residuals(number: int, rng: np.random.Generator) -> Residuals:
        codes = np.repeat(np.arange(number), SIZE)
        scale = rng.uniform(0.5, 2.0, len(codes))
        shared = np.sqrt(SHARED) * rng.normal(size=number)[codes]
        return Residuals((shared + np.sqrt(1 - SHARED) * rng.normal(size=len(codes))) * scale, scale, codes)

    covered, none = [], 0
    for seed in range(tries):
        rng = np.random.default_rng([seed, groups, out_of_fold])
        fitted = fit_interval(residuals(groups, rng), residuals(out_of_fold, rng) if out_of_fold else None)
        if fitted is None:
            none += 1
            continue
        new = residuals(100, rng)
        covered.append(float((np.abs(new.values) <= fitted.half_width * new.scale).mean()))
    error = float(np.std(covered) / np.sqrt(len(covered))) if covered else 0.0
    return {"coverage": float(np.mean(covered)) if covered else float("nan"), "error": error, "none": none}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tries", type=int, default=600)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/coverage_values"))
    options = parser.parse_args()
    start, lines, results = time.monotonic(), [], {}
    for quality, noise in NOISE.items():
        population = draw(100_000, noise, np.random.default_rng(7))
        true = plain_scores(population[0][:, 0], population[1][:, 0])
        errors = [np.abs(values - population[0]).mean() for values in (np.array(MEAN), population[1])]
        true["difference"] = float(errors[0] - errors[1])
        cells = {groups: score_cell(groups, quality, options.tries, true) for groups in GROUPS}
        results[quality] = {"true": true, "cells": cells}
        lines += [f"## Predictions: {quality} (true concordance {true['concordance']:.2f})", ""]
        lines += ["| score | true | " + " | ".join(f"{groups} groups" for groups in GROUPS) + " |"]
        lines += ["| --- | --- |" + " --- |" * len(GROUPS)]
        for name in NAMES:
            texts = []
            for groups in GROUPS:
                cell = cells[groups][name]
                text = "none" if cell["coverage"] is None else f"{cell['coverage']:.3f} ({cell['width']:.2f})"
                failed = cell["coverage"] is not None and groups >= FROM and cell["coverage"] < NEEDED
                texts.append(f"**{text}**" if failed else text)
            lines.append(f"| {name} | {true[name]:.3f} | " + " | ".join(texts) + " |")
        lines.append("")
    lines += [
        "The errors of the two qualities differ by a factor only, so scores that scale with them are one measurement.",
        "",
    ]
    lines += ["## Prediction intervals, nominal coverage 0.90", ""]
    lines += [
        "| calibration groups | out-of-fold groups | coverage on new groups | without interval |",
        "| --- | --- | --- | --- |",
    ]
    for groups, out_of_fold in ((5, 20), (10, 40), (20, 80), (10, 0), (20, 0), (40, 0), (100, 0)):
        cell = interval_cell(groups, out_of_fold, options.tries)
        results[f"intervals {groups} {out_of_fold}"] = cell
        lines.append(f"| {groups} | {out_of_fold} | {cell['coverage']:.3f} ± {cell['error']:.3f} | {cell['none']} |")
    seconds = time.monotonic() - start
    error = np.sqrt(0.95 * 0.05 / options.tries)
    head = [
        "# Coverage of the intervals of a regression",
        "",
        f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}; {seconds:.0f} s, one "
        "process.",
        "",
        f"Share of {options.tries:,} simulated test sets whose 95 % interval contained the true score (standard error",
        f"{error:.3f}), and in brackets the mean width of the interval. {SIZE} images per group. Bold: below {NEEDED} "
        f"at {FROM} or more groups.",
        "",
    ]
    options.out.with_suffix(".md").write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")
    options.out.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
