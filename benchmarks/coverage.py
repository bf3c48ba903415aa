"""Measure the coverage of 95 % confidence intervals for images in groups.

python benchmarks/coverage.py [--tries 1000] [--slow-tries 400] [--workers 2] [--scores accuracy macro_f1 macro_auroc]

The test sets are simulated, with 6 images per group, a correlation of 0.3 within a group, 8 to 120 groups, and a true
score of 0.8, 0.9 or 0.97. The intervals of Coverslip are compared with intervals that ignore groups and with the plain
percentile bootstrap over groups.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from scipy import stats

from coverslip.evidence.bootstrap import ClassificationScorer, bootstrap_scores
from coverslip.evidence.classification import overall_score
from coverslip.evidence.evaluation_data import check_evaluation_data
from coverslip.evidence.intervals import MIN_GROUPS
from coverslip.evidence.resampling import strata_of_groups
from coverslip.evidence.scores import read_sums
from coverslip.evidence.support import bootstrap_method

GROUPS, TRUTHS = (8, 15, 30, 60, 120), (0.8, 0.9, 0.97)
SIZE, CORRELATION, LEVEL = 6, 0.3, 0.95
SCORES = {"accuracy": "Accuracy", "macro_f1": "Macro F1", "macro_auroc": "AUROC"}
METHODS = {"ours": "Coverslip", "ungrouped": "groups ignored", "percentile": "percentile bootstrap"}
NEEDED = {15: 0.90, 30: 0.93, 60: 0.93, 120: 0.93}  # groups -> required coverage


def simulate(score: str, groups: int, truth: float, rng: np.random.Generator) -> tuple[Any, Any, Any, float]:
    """Draw labels, probabilities and groups of one test set, and return them with the true score.

    There are two classes, and every group belongs to one of them. For accuracy and F1 the fraction of correct images
    in a group is drawn from a beta distribution, which gives the correlation. For AUROC a normal score has a component
    that is shared by the group; the true score is over pairs of images of different groups.
    """
    of_group = np.repeat(np.arange(groups), SIZE)
    labels = of_group % 2
    if score == "macro_auroc":
        distance = stats.norm.ppf(truth) * np.sqrt(2)
        shared, individual = rng.normal(size=groups)[of_group], rng.normal(size=len(labels))
        value = distance * (labels - 0.5) + np.sqrt(CORRELATION) * shared + np.sqrt(1 - CORRELATION) * individual
        second = 1 / (1 + np.exp(-distance * value))
        return labels, np.stack([1 - second, second], axis=1), of_group, truth
    total = 1 / CORRELATION - 1
    fraction = rng.beta(truth * total, (1 - truth) * total, groups)[of_group]
    answer = np.where(rng.random(len(labels)) < fraction, labels, 1 - labels)
    if score == "macro_f1":  # precision depends on the class sizes, which are equal up to one group
        sizes = np.bincount(np.arange(groups) % 2)
        true = float(np.mean(2 * truth * sizes / (sizes + truth * sizes + (1 - truth) * sizes[::-1])))
    else:
        true = truth
    return labels, np.where(np.eye(2)[answer] > 0, 0.9, 0.1), of_group, true


def limits(
    score: str, method: str, data: tuple[Any, Any, Any], resamples: int, seed: int
) -> tuple[float, float] | None:
    """Return the interval of one simulated test set, or None if there is none."""
    labels, rows, groups = data
    evaluation_data = check_evaluation_data(
        labels, rows, None if method == "ungrouped" else groups, ["healthy", "diseased"]
    )
    scored = ClassificationScorer(evaluation_data, [score])
    number = len(scored.sums)
    if method == "percentile":
        rng = np.random.default_rng(seed)
        drawn = scored.at(rng.multinomial(number, np.full(number, 1 / number), resamples).T.astype(np.float64))
        low, high = np.nanquantile(drawn[:, 0], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)
    strata = strata_of_groups(read_sums(scored.sums, 2).images)
    # accuracy has a formula and needs no resamples
    draws = bootstrap_scores(scored, strata, 2 if score == "accuracy" else resamples, seed, MIN_GROUPS, len(labels))
    note = bootstrap_method(evaluation_data.unit, within_class=strata is not None, resamples=resamples)
    entry = overall_score(score, evaluation_data, scored.sums, draws, LEVEL, note)
    return None if entry["low"] is None or entry["high"] is None else (entry["low"], entry["high"])


def cell(score: str, groups: int, truth: float, method: str, tries: int, resamples: int) -> dict[str, Any]:
    """Return the coverage in one setting; a test set without an interval counts as not covered and is reported."""
    # the same test sets for every method
    rng = np.random.default_rng([groups, round(truth * 100), list(SCORES).index(score)])
    covered, missed_low, missed_high, none, widths = 0, 0, 0, 0, []
    for number in range(tries):
        labels, rows, of_group, true = simulate(score, groups, truth, rng)
        interval = limits(score, method, (labels, rows, of_group), resamples, number)
        if interval is None:
            none += 1
            continue
        missed_low += interval[1] < true - 1e-12
        missed_high += interval[0] > true + 1e-12
        covered += interval[0] - 1e-12 <= true <= interval[1] + 1e-12
        widths.append(interval[1] - interval[0])
    coverage = covered / tries
    return {
        "score": score, "groups": groups, "truth": truth, "method": method, "tries": tries,
        "coverage": coverage, "error": float(np.sqrt(max(coverage * (1 - coverage), 0.25 / tries) / tries)),
        "wholly_under": missed_low / tries, "wholly_over": missed_high / tries, "without": none / tries,
        "width": float(np.mean(widths)) if widths else None,
    }  # fmt: skip


def text(results: dict[str, Any]) -> str:
    """Return the results as Markdown tables."""
    made = results["made"]
    lines = [
        "# Coverage of the intervals",
        "",
        f"Measured on {made['date']}. Python {made['python']}, NumPy {made['numpy']}, SciPy {made['scipy']}; "
        f"{made['seconds']:.0f} s with {made['workers']} processes.",
        "",
        f"Fraction of simulated test sets whose {LEVEL:.0%} interval contains the true score: {SIZE} images per group, "
        f"correlation {CORRELATION} within a group, two classes. ± is one Monte Carlo standard error; the mean "
        f"width follows. Bootstrap intervals use {results['resamples']} resamples. Coverslip should reach 0.93 with 30 "
        "or more groups and 0.90 with 15; there is no requirement for fewer groups.",
        "",
    ]
    for score, title in SCORES.items():
        lines += [f"## {title}", "", "| groups | true score | " + " | ".join(METHODS.values()) + " |"]
        lines += ["| --- " * (2 + len(METHODS)) + "|"]
        for groups in GROUPS:
            for truth in TRUTHS:
                row = [f"| {groups} | {truth}"]
                for method in METHODS:
                    one = find(results["cells"], score, groups, truth, method)
                    mark = "**" if method == "ours" and one["coverage"] < NEEDED.get(groups, 0) else ""
                    none = f", none in {one['without']:.0%}" if one["without"] else ""
                    row.append(f"{mark}{one['coverage']:.3f}{mark} ± {one['error']:.3f} ({one['width']:.3f}{none})")
                lines.append(" | ".join(row) + " |")
        tries = {m: find(results["cells"], score, GROUPS[0], TRUTHS[0], m)["tries"] for m in METHODS}
        lines += ["", "Test sets: " + ", ".join(f"{METHODS[m]} {n:,}" for m, n in tries.items()) + ".", ""]
    short = [c for c in results["cells"] if c["method"] == "ours" and c["coverage"] < NEEDED.get(c["groups"], 0)]
    lines += [f"Cells of Coverslip below the required coverage (bold): {len(short)}.", ""]
    return "\n".join(lines)


def find(cells: list[dict[str, Any]], score: str, groups: int, truth: float, method: str) -> dict[str, Any]:
    keys = (score, groups, truth, method)
    return next(one for one in cells if (one["score"], one["groups"], one["truth"], one["method"]) == keys)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--tries",
        type=int,
        default=1000,
        help="test sets for Coverslip's bootstrap intervals; five times as many for accuracy",
    )
    parser.add_argument("--slow-tries", type=int, default=400, help="test sets for the other two methods")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/coverage"))
    parser.add_argument(
        "--scores",
        nargs="*",
        choices=SCORES,
        default=list(SCORES),
        help="scores to measure; results of the others are kept",
    )
    options = parser.parse_args()
    start = time.perf_counter()
    jobs = []
    for score in options.scores:
        for method in METHODS:
            tries = options.tries if method == "ours" else options.slow_tries
            if score == "accuracy":
                tries = 5 * options.tries if method == "ours" else options.tries
            jobs += [(score, groups, truth, method, tries, options.resamples) for groups in GROUPS for truth in TRUTHS]
    jobs.sort(key=lambda job: -job[1])  # longest jobs first
    with ProcessPoolExecutor(options.workers) as pool:
        cells = list(pool.map(cell, *zip(*jobs, strict=True)))
    file = options.out.with_suffix(".json")
    before = json.loads(file.read_text()) if file.exists() else {"cells": [], "made": {"seconds": 0.0}}
    kept = [one for one in before["cells"] if one["score"] not in options.scores]
    cells = sorted(kept + cells, key=lambda one: (list(SCORES).index(one["score"]), one["groups"], one["truth"]))
    seconds = time.perf_counter() - start + (before["made"]["seconds"] if kept else 0.0)
    made = {
        "date": datetime.now(UTC).date().isoformat(), "seconds": seconds, "workers": options.workers,
        "python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__,
    }  # fmt: skip
    results = {"made": made, "resamples": options.resamples, "cells": cells}
    file.write_text(json.dumps(results, indent=1) + "\n")
    if {one["score"] for one in cells} == set(SCORES):
        options.out.with_suffix(".md").write_text(text(results))
        print(text(results))


if __name__ == "__main__":
    main()
