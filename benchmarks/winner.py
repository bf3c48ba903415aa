"""Evaluate the correction of selection bias, and the coverage of its confidence intervals, by simulation.

python benchmarks/winner.py [--tries 250]

The simulated studies have known true scores; their trials differ little or much, on images in groups. The best trial
is selected by its log loss, as in a study. The corrected score is compared with the plain score with the interval of a
test set (which ignores the selection), and with the percentiles of the left-out scores (BBC-CV as published). Further
studies show the limits of the correction: one in which the images also select the epoch of each trial (which is
corrected if every epoch is given), and one that searches near the best trial so far. One thread, within two minutes.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import numpy as np
import scipy
from scipy import stats

from coverslip.evidence.resampling import weight_blocks
from coverslip.evidence.selection import check_trials, mean_interval
from coverslip.evidence.support import proportion_score
from coverslip.evidence.winner import assess_winner, compare_trials
from measuring import keep_results

SIZE, CORRELATION, BASE, EPOCHS, STEEP = 4, 0.3, 1.2, 10, 2.0
RESAMPLES, LEVEL = 400, 0.95
FAR = {"equal": 0.0, "near": 0.1, "far": 0.4}  # typical distance of the trials from the best possible one
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)


@dataclass(frozen=True)
class Setting:
    """One kind of study: trials, groups, differences between the trials, and correlation of their errors."""

    kind: str  # plain, epochs, every (epoch) or search
    trials: int
    groups: int
    apart: str
    shared: float
    size: int = SIZE


def settings() -> list[Setting]:
    result = [Setting("plain", 50, g, apart, s) for g in (15, 30, 60) for apart in FAR for s in (0.5, 0.9)]
    result += [Setting("plain", t, 30, apart, 0.9) for t in (10, 200) for apart in FAR]
    result += [Setting("plain", 50, 120, apart, 0.9, size=1) for apart in FAR]
    return result + [Setting(kind, 50, g, "near", 0.9) for kind in ("epochs", "every", "search") for g in (15, 30, 60)]


def study(one: Setting, rng: np.random.Generator) -> tuple[Any, Any, Any, Any, Any]:
    """Draw losses (T, M), correct (T, M), groups (M,), true mean margins (T,) and trial numbers (T,); 0 is the default.

    The margin of an image is normal with variance 1: a component shared by all trials (difficult images), a component
    specific to the trial, and in both a component shared by the group. The prediction is correct if the margin is above
    0, and its loss is softplus(-2 * margin).
    """
    of_group = np.repeat(np.arange(one.groups), one.size)

    def noise(*shape: int) -> Any:
        group = rng.normal(size=(*shape, one.groups))[..., of_group]
        share = CORRELATION if one.size > 1 else 0.0
        return np.sqrt(share) * group + np.sqrt(1 - share) * rng.normal(size=(*shape, len(of_group)))

    hard = np.sqrt(one.shared) * noise(1)
    if one.kind == "search":
        truth, own = _searched(one, hard, noise, rng)
    else:
        truth = BASE - FAR[one.apart] * np.abs(rng.normal(size=one.trials))
        truth[0] = BASE - FAR[one.apart] * 0.8
        own = noise(one.trials)
    numbers = np.arange(one.trials)
    if one.kind in ("epochs", "every"):  # a third of the trial-specific component changes from epoch to epoch
        each = np.sqrt(2 / 3) * own[:, None] + np.sqrt(1 / 3) * noise(one.trials, EPOCHS)
        truth, numbers = np.repeat(truth, EPOCHS), np.repeat(numbers, EPOCHS)
        own = each.reshape(one.trials * EPOCHS, -1)
    margins = truth[:, None] + hard + np.sqrt(1 - one.shared) * own
    losses = _loss(margins)
    if one.kind == "epochs":
        kept = losses.mean(axis=1).reshape(-1, EPOCHS).argmin(axis=1) + np.arange(0, len(truth), EPOCHS)
        return losses[kept], margins[kept] > 0, of_group, truth[kept], numbers[kept]
    return losses, margins > 0, of_group, truth, numbers


def _searched(one: Setting, hard: Any, noise: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """Simulate a search: a third of the trials are random, the others near the best so far; close trials err alike.

    There are three hyperparameters, each 0 to 1. The specific component of a trial is a smooth random function of them
    for every image (256 random Fourier features, length scale 0.3), so that the search can exploit chance.
    """
    features = 256
    waves, shifts = rng.normal(size=(features, 3)) / 0.3, rng.uniform(0, 2 * np.pi, features)
    amplitudes = noise(features) * np.sqrt(2 / features)
    optimum = rng.uniform(0.2, 0.8, 3)
    truth, own = np.empty(one.trials), np.empty((one.trials, hard.shape[1]))
    points, lost = np.empty((one.trials, 3)), np.empty(one.trials)
    for trial in range(one.trials):
        near = points[lost[:trial].argmin()] if trial else None
        explore = trial < one.trials // 3
        points[trial] = rng.random(3) if explore else np.clip(near + 0.1 * rng.normal(size=3), 0, 1)
        truth[trial] = BASE - FAR[one.apart] * ((points[trial] - optimum) ** 2).sum() * 4
        own[trial] = np.cos(waves @ points[trial] + shifts) @ amplitudes
        lost[trial] = _loss(truth[trial] + hard[0] + np.sqrt(1 - one.shared) * own[trial]).mean()
    return truth, own


def _loss(margins: Any) -> Any:
    return np.logaddexp(0, -STEEP * margins)


def true_loss(means: Any) -> Any:
    return _loss(means[..., None] + NODES) @ (WEIGHTS / WEIGHTS.sum())


def percentiles(losses: Any, right: Any, groups: Any, seed: int) -> tuple[float, float]:
    """Return the published BBC-CV: the selection of each resample is evaluated on its left-out images."""
    trials = check_trials(losses, right, groups)
    scores = []
    for weights in weight_blocks(np.zeros(len(trials.counts), np.int64), RESAMPLES, seed, max(trials.hits.shape)):
        out = weights == 0
        hits = (trials.hits[(trials.losses @ weights).argmin(axis=0)].T * out).sum(axis=0)
        scores.append(hits / (trials.counts @ out))
    low, high = np.nanquantile(np.concatenate(scores), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def one_try(one: Setting, rng: np.random.Generator, seed: int) -> dict[str, float]:
    losses, right, groups, truth, numbers = study(one, rng)
    best, default = (int(losses[: n or None].mean(axis=1).argmin()) for n in (0, int((numbers == 0).sum())))
    accuracy, loss = stats.norm.cdf(truth), true_loss(truth)
    assessment = assess_winner(losses, right, groups, numbers, resamples=RESAMPLES, seed=seed)
    sums = check_trials(losses, right, groups)
    plain = proportion_score(sums.hits[best], sums.counts, LEVEL, grouped=sums.grouped)
    lead = compare_trials(losses, right, groups, best, default, numbers=numbers, resamples=RESAMPLES, seed=seed)
    limits = mean_interval(sums.hits[best] - sums.hits[default], sums.counts, LEVEL, RESAMPLES, seed)
    lost = mean_interval(sums.losses[best] - sums.losses[default], sums.counts, LEVEL, RESAMPLES, seed)
    outer = percentiles(losses, right, groups, seed)
    ours, ours_loss = assessment.corrected, assessment.corrected_log_loss
    plain_lead = (sums.hits[best].sum() - sums.hits[default].sum()) / sums.counts.sum()
    true_lead = (accuracy[best] - accuracy[default], loss[best] - loss[default])

    def holds(low: float, high: float, true: float) -> bool:
        return low - 1e-9 <= true <= high + 1e-9

    result = {
        "truth": accuracy[best],
        "plain": plain["value"] - accuracy[best], "corrected": ours["value"] - accuracy[best],
        "plain_loss": assessment.log_loss["value"] - loss[best], "corrected_loss": ours_loss["value"] - loss[best],
        "plain_holds": holds(plain["low"], plain["high"], accuracy[best]),
        "corrected_holds": holds(ours["low"], ours["high"], accuracy[best]),
        "percentiles_hold": holds(*outer, accuracy[best]),
        "loss_holds": holds(ours_loss["low"], ours_loss["high"], loss[best]),
        "plain_width": plain["high"] - plain["low"], "width": ours["high"] - ours["low"],
        "percentiles_width": outer[1] - outer[0],
        "plain_lead": plain_lead - true_lead[0],
        "lead": lead["difference"] - true_lead[0], "true_lead": true_lead[0],
        "plain_claims": (limits is not None and limits[0] > 0) or (lost is not None and lost[1] < 0),
        "claims": lead["better"] == lead["first"], "moved": best != default,
    }  # fmt: skip
    if best != default and lead["low"] is not None:
        result["lead_holds"] = holds(lead["low"], lead["high"], true_lead[0])
        result["loss_lead_holds"] = holds(lead["log_loss"]["low"], lead["log_loss"]["high"], true_lead[1])
    return {name: float(value) for name, value in result.items()}


def cell(one: Setting, tries: int) -> dict[str, Any]:
    """Return means over simulated studies with their standard errors."""
    rng = np.random.default_rng([list(FAR).index(one.apart), one.trials, one.groups, round(one.shared * 10), one.size])
    rows = [one_try(one, rng, number) for number in range(tries)]
    numbers: dict[str, Any] = {}
    for name in {name for row in rows for name in row}:
        values = np.array([row[name] for row in rows if name in row])
        numbers[name] = float(values.mean())
        numbers[f"{name}_error"] = float(values.std() / np.sqrt(len(values)))
    return {**one.__dict__, "tries": tries, **dict(sorted(numbers.items()))}


def text(results: dict[str, Any]) -> str:
    """Return the results as Markdown tables."""
    made, cells = results["made"], results["cells"]
    lines = [
        "# The winner of many trials",
        "",
        f"Measured on {made['date']}. Python {made['python']}, NumPy {made['numpy']}, SciPy {made['scipy']}; "
        f"{made['seconds']:.0f} s of one core. {cells[0]['tries']} simulated studies per row, {RESAMPLES} resamples; ± "
        "is one Monte Carlo standard error.",
        "",
        f"Each study has {SIZE} images per group (correlation {CORRELATION} within a group); its winner is the trial "
        "with the lowest log loss. *Apart*: the trials are equally good, differ by up to about two points of accuracy, "
        "or by ten and more. *Shared*: the fraction of an image's margin that is the same in all trials.",
        "",
        "## Accuracy of the winner",
        "",
        "*Bias*: mean of the estimate minus the true value. *Covers*: fraction of 95 % intervals that contain the true "
        "accuracy of the winner; in brackets their mean width. *Percentiles*: of the left-out scores, as published.",
        "",
        "| trials | groups | apart | shared | true | bias of the plain best | bias corrected | plain covers "
        "| corrected covers | percentiles cover |",
        "| --- " * 10 + "|",
    ]
    lines += [
        f"| {_about(c)} | {c['truth']:.3f} | {_signed(c, 'plain')} | {_signed(c, 'corrected')} "
        f"| {c['plain_holds']:.2f} ({c['plain_width']:.2f}) | {c['corrected_holds']:.2f} ({c['width']:.2f}) "
        f"| {c['percentiles_hold']:.2f} ({c['percentiles_width']:.2f}) |"
        for c in cells
    ]
    lines += [
        "",
        "## Log loss of the winner, and its lead over the default",
        "",
        "The default is one of the trials. *Says better*: fraction of the studies in which the winner is called better "
        "than the default in accuracy or log loss; if all trials are equal, this is always wrong. *Covers*: "
        "of the corrected intervals of the lead, in accuracy and in log loss.",
        "",
        "| trials | groups | apart | shared | bias of log loss, plain | corrected | covers | true lead "
        "| bias of the lead, plain | corrected | covers | says better, plain | corrected |",
        "| --- " * 13 + "|",
    ]
    lines += [
        f"| {_about(c)} | {_signed(c, 'plain_loss')} | {_signed(c, 'corrected_loss')} | {c['loss_holds']:.2f} "
        f"| {c['true_lead']:.3f} | {_signed(c, 'plain_lead')} | {_signed(c, 'lead')} "
        f"| {c['lead_holds']:.2f}, {c['loss_lead_holds']:.2f} | {c['plain_claims']:.2f} | {c['claims']:.2f} |"
        for c in cells
    ]
    lines += ["", *_summary(cells), ""]
    return "\n".join(lines)


def _about(one: dict[str, Any]) -> str:
    kind = {"plain": "", "epochs": ", epochs chosen too", "every": ", every epoch given", "search": ", searched"}[
        one["kind"]
    ]
    groups = f"{one['groups']} images" if one["size"] == 1 else one["groups"]
    return f"{one['trials']}{kind} | {groups} | {one['apart']} | {one['shared']}"


def _signed(one: dict[str, Any], name: str) -> str:
    return f"{one[name]:+.4f} ± {one[name + '_error']:.4f}"


def _summary(cells: list[dict[str, Any]]) -> list[str]:
    plain = [one for one in cells if one["kind"] == "plain"]
    equal = [one for one in plain if one["apart"] == "equal"]

    def span(rows: list[dict[str, Any]], name: str, form: str) -> str:
        return " to ".join(format(pick(one[name] for one in rows), form) for pick in (min, max))

    sentences = [
        f"In the {len(plain)} rows in which only the trial was selected, the bias of the plain best is "
        f"{span(plain, 'plain', '+.4f')}, of the corrected score {span(plain, 'corrected', '+.4f')}; the coverage of "
        f"the plain interval is {span(plain, 'plain_holds', '.2f')}, of the corrected one "
        f"{span(plain, 'corrected_holds', '.2f')}. If all trials are equal, the winner is wrongly called better in "
        f"{span(equal, 'plain_claims', '.2f')} of the studies without the correction, and in "
        f"{span(equal, 'claims', '.2f')} with it. The coverage of the corrected log loss is "
        f"{span(plain, 'loss_holds', '.2f')}: with few groups the spread of a skewed score is underestimated."
    ]
    kinds = {
        "epochs": "If the same images also selected the epoch of each trial",
        "every": "If they did, and every epoch is given",
        "search": "If the search concentrated near the best trial so far",
    }
    for kind, what in kinds.items():
        rows = [one for one in cells if one["kind"] == kind]
        sentences.append(
            f"{what}, the bias of the corrected score is {span(rows, 'corrected', '+.4f')} (plain "
            f"{span(rows, 'plain', '+.4f')}) and the coverage {span(rows, 'corrected_holds', '.2f')}."
        )
    return sentences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tries", type=int, default=250, help="simulated studies a row")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/winner"))
    options = parser.parse_args()
    cells = [cell(one, options.tries) for one in settings()]
    made = {
        "date": datetime.now(UTC).date().isoformat(), "seconds": time.process_time(),
        "python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__,
    }  # fmt: skip
    results = {"made": made, "resamples": RESAMPLES, "cells": cells}
    keep_results(options.out, results, text(results))
    print(text(results))


if __name__ == "__main__":
    main()
