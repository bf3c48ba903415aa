"""What is left of the luck of choosing once it is corrected, and how often the intervals hold the truth.

python benchmarks/winner.py [--tries 250]

Simulated studies whose truth is known: trials that differ little or much, on images in groups. The best is chosen by
its log loss, as a study does it. Beside the corrected score stand the plain one with the interval of a test set (as if
nothing had been chosen), and the percentiles of the left-out scores (BBC-CV as published). Further kinds of study show
what the correction cannot see: one in which the images choose each trial's epoch too (which it does see where every
epoch is given), and one that searches near what was best so far. One thread, within two minutes.
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
FAR = {"equal": 0.0, "near": 0.1, "far": 0.4}  # how much worse than the best possible trials typically are
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)


@dataclass(frozen=True)
class Setting:
    """One kind of study: trials, groups, how far the trials are apart, and what their mistakes have in common."""

    kind: str  # plain, epochs, every (epoch) or search
    trials: int
    groups: int
    apart: str
    shared: float
    size: int = SIZE


def settings() -> list[Setting]:
    found = [Setting("plain", 50, g, apart, s) for g in (15, 30, 60) for apart in FAR for s in (0.5, 0.9)]
    found += [Setting("plain", t, 30, apart, 0.9) for t in (10, 200) for apart in FAR]
    found += [Setting("plain", 50, 120, apart, 0.9, size=1) for apart in FAR]
    return found + [Setting(kind, 50, g, "near", 0.9) for kind in ("epochs", "every", "search") for g in (15, 30, 60)]


def study(one: Setting, chance: np.random.Generator) -> tuple[Any, Any, Any, Any, Any]:
    """Losses (T, M), right (T, M), groups (M,), true mean margins (T,) and trial numbers (T,); 0 is the default.

    An image's margin is normal with variance 1: a part that all trials share (hard images), a part of the trial's
    own, and in both a part that the group shares. It is right above 0, and its loss is the softplus of -2 times it.
    """
    of_group = np.repeat(np.arange(one.groups), one.size)

    def noise(*shape: int) -> Any:
        group = chance.normal(size=(*shape, one.groups))[..., of_group]
        share = CORRELATION if one.size > 1 else 0.0
        return np.sqrt(share) * group + np.sqrt(1 - share) * chance.normal(size=(*shape, len(of_group)))

    hard = np.sqrt(one.shared) * noise(1)
    if one.kind == "search":
        truth, own = _searched(one, hard, noise, chance)
    else:
        truth = BASE - FAR[one.apart] * np.abs(chance.normal(size=one.trials))
        truth[0] = BASE - FAR[one.apart] * 0.8
        own = noise(one.trials)
    numbers = np.arange(one.trials)
    if one.kind in ("epochs", "every"):  # a third of a trial's own part changes from epoch to epoch
        each = np.sqrt(2 / 3) * own[:, None] + np.sqrt(1 / 3) * noise(one.trials, EPOCHS)
        truth, numbers = np.repeat(truth, EPOCHS), np.repeat(numbers, EPOCHS)
        own = each.reshape(one.trials * EPOCHS, -1)
    margins = truth[:, None] + hard + np.sqrt(1 - one.shared) * own
    losses = _loss(margins)
    if one.kind == "epochs":
        kept = losses.mean(axis=1).reshape(-1, EPOCHS).argmin(axis=1) + np.arange(0, len(truth), EPOCHS)
        return losses[kept], margins[kept] > 0, of_group, truth[kept], numbers[kept]
    return losses, margins > 0, of_group, truth, numbers


def _searched(one: Setting, hard: Any, noise: Any, chance: np.random.Generator) -> tuple[Any, Any]:
    """A third of the trials anywhere, the others near the best so far; trials near one another err alike.

    Three hyperparameters, each 0 to 1. The own part of a trial is a smooth random function of them for every image
    (256 random Fourier features, length scale 0.3), so that luck, once found, can be followed.
    """
    features = 256
    waves, shifts = chance.normal(size=(features, 3)) / 0.3, chance.uniform(0, 2 * np.pi, features)
    amplitudes = noise(features) * np.sqrt(2 / features)
    optimum = chance.uniform(0.2, 0.8, 3)
    truth, own = np.empty(one.trials), np.empty((one.trials, hard.shape[1]))
    points, lost = np.empty((one.trials, 3)), np.empty(one.trials)
    for trial in range(one.trials):
        near = points[lost[:trial].argmin()] if trial else None
        explore = trial < one.trials // 3
        points[trial] = chance.random(3) if explore else np.clip(near + 0.1 * chance.normal(size=3), 0, 1)
        truth[trial] = BASE - FAR[one.apart] * ((points[trial] - optimum) ** 2).sum() * 4
        own[trial] = np.cos(waves @ points[trial] + shifts) @ amplitudes
        lost[trial] = _loss(truth[trial] + hard[0] + np.sqrt(1 - one.shared) * own[trial]).mean()
    return truth, own


def _loss(margins: Any) -> Any:
    return np.logaddexp(0, -STEEP * margins)


def true_loss(means: Any) -> Any:
    return _loss(means[..., None] + NODES) @ (WEIGHTS / WEIGHTS.sum())


def percentiles(losses: Any, right: Any, groups: Any, seed: int) -> tuple[float, float]:
    """As published: each resample's choice is scored on what it left out, and the interval is of these scores."""
    trials = check_trials(losses, right, groups)
    scores = []
    for weights in weight_blocks(np.zeros(len(trials.counts), np.int64), RESAMPLES, seed, max(trials.hits.shape)):
        out = weights == 0
        hits = (trials.hits[(trials.losses @ weights).argmin(axis=0)].T * out).sum(axis=0)
        scores.append(hits / (trials.counts @ out))
    low, high = np.nanquantile(np.concatenate(scores), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def one_try(one: Setting, chance: np.random.Generator, seed: int) -> dict[str, float]:
    losses, right, groups, truth, numbers = study(one, chance)
    best, default = (int(losses[: n or None].mean(axis=1).argmin()) for n in (0, int((numbers == 0).sum())))
    accuracy, loss = stats.norm.cdf(truth), true_loss(truth)
    told = assess_winner(losses, right, groups, numbers, resamples=RESAMPLES, seed=seed)
    sums = check_trials(losses, right, groups)
    plain = proportion_score(sums.hits[best], sums.counts, LEVEL, grouped=sums.grouped)
    lead = compare_trials(losses, right, groups, best, default, numbers=numbers, resamples=RESAMPLES, seed=seed)
    limits = mean_interval(sums.hits[best] - sums.hits[default], sums.counts, LEVEL, RESAMPLES, seed)
    lost = mean_interval(sums.losses[best] - sums.losses[default], sums.counts, LEVEL, RESAMPLES, seed)
    outer = percentiles(losses, right, groups, seed)
    ours, ours_loss = told.corrected, told.corrected_log_loss
    plain_lead = (sums.hits[best].sum() - sums.hits[default].sum()) / sums.counts.sum()
    true_lead = (accuracy[best] - accuracy[default], loss[best] - loss[default])

    def holds(low: float, high: float, true: float) -> bool:
        return low - 1e-9 <= true <= high + 1e-9

    found = {
        "truth": accuracy[best],
        "plain": plain["value"] - accuracy[best], "corrected": ours["value"] - accuracy[best],
        "plain_loss": told.log_loss["value"] - loss[best], "corrected_loss": ours_loss["value"] - loss[best],
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
        found["lead_holds"] = holds(lead["low"], lead["high"], true_lead[0])
        found["loss_lead_holds"] = holds(lead["log_loss"]["low"], lead["log_loss"]["high"], true_lead[1])
    return {name: float(value) for name, value in found.items()}


def cell(one: Setting, tries: int) -> dict[str, Any]:
    """Means over simulated studies, with the standard error of each."""
    chance = np.random.default_rng(
        [list(FAR).index(one.apart), one.trials, one.groups, round(one.shared * 10), one.size]
    )
    rows = [one_try(one, chance, number) for number in range(tries)]
    numbers: dict[str, Any] = {}
    for name in {name for row in rows for name in row}:
        values = np.array([row[name] for row in rows if name in row])
        numbers[name] = float(values.mean())
        numbers[f"{name}_error"] = float(values.std() / np.sqrt(len(values)))
    return {**one.__dict__, "tries": tries, **dict(sorted(numbers.items()))}


def text(results: dict[str, Any]) -> str:
    """The tables in Markdown."""
    made, cells = results["made"], results["cells"]
    lines = [
        "# The winner of many trials",
        "",
        f"Measured on {made['date']}. Python {made['python']}, NumPy {made['numpy']}, SciPy {made['scipy']}; "
        f"{made['seconds']:.0f} s of one core. {cells[0]['tries']} simulated studies a row, {RESAMPLES} resamples; ± "
        "is one Monte Carlo standard error.",
        "",
        f"Each study has {SIZE} images a group (correlation {CORRELATION} within a group) and is won by the trial of "
        "the lowest log loss. *Apart*: the trials are all equally good, differ by up to about two points of accuracy, "
        "or by up to ten and more. *Shared*: the part of an image's margin that is the same in all trials.",
        "",
        "## Accuracy of the winner",
        "",
        "*Bias*: mean of what is said less the truth. *Covers*: share of 95 % intervals that hold the true accuracy of "
        "the trial that was chosen; in brackets their mean width. *Percentiles*: of the left-out scores, as published.",
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
        "The default is one of the trials. *Says better*: share of the studies in which the winner is called better "
        "than the default in accuracy or log loss; where all trials are equal every such verdict is wrong. *Covers*: "
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

    said = [
        f"Over the {len(plain)} rows in which nothing but the trial was chosen: the plain best is off by "
        f"{span(plain, 'plain', '+.4f')}, corrected by {span(plain, 'corrected', '+.4f')}; the plain interval covers "
        f"in {span(plain, 'plain_holds', '.2f')}, the corrected one in {span(plain, 'corrected_holds', '.2f')}. Where "
        f"all trials are equal, the winner is wrongly called better in {span(equal, 'plain_claims', '.2f')} of the "
        f"studies without the correction, and in {span(equal, 'claims', '.2f')} with it. The corrected log loss covers "
        f"in {span(plain, 'loss_holds', '.2f')}: with few groups a skewed score shows too little of its spread."
    ]
    kinds = {
        "epochs": "Where the same images chose each trial's epoch too",
        "every": "Where they did, and every epoch is given",
        "search": "Where the search went where it was best so far",
    }
    for kind, what in kinds.items():
        rows = [one for one in cells if one["kind"] == kind]
        said.append(
            f"{what}, the corrected score is off by {span(rows, 'corrected', '+.4f')} (plain "
            f"{span(rows, 'plain', '+.4f')}) and covers in {span(rows, 'corrected_holds', '.2f')}."
        )
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tries", type=int, default=250, help="simulated studies a row")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/winner"))
    given = parser.parse_args()
    cells = [cell(one, given.tries) for one in settings()]
    made = {
        "date": datetime.now(UTC).date().isoformat(), "seconds": time.process_time(),
        "python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__,
    }  # fmt: skip
    results = {"made": made, "resamples": RESAMPLES, "cells": cells}
    keep_results(given.out, results, text(results))
    print(text(results))


if __name__ == "__main__":
    main()
