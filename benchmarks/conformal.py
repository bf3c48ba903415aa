"""Test the coverage of conformal prediction sets over random splits of simulated probabilities.

python benchmarks/conformal.py [--splits 200]

Each split divides a pool of images into a calibration set and a test set, stratified by class, with groups kept intact.
Expected are a mean coverage within [target, target + 1 / (n + 1)], plus or minus 2 standard errors of the mean, for n
calibration groups, and a standard deviation between splits as predicted by the beta-binomial distribution.
"""

from __future__ import annotations

import argparse
import math
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from coverslip.evidence.conformal import OWN, fit_prediction_sets, prediction_sets
from measuring import keep_results

RESULTS = Path(__file__).parent / "results"
TARGET = 0.9


@dataclass(frozen=True)
class Scenario:
    """A pool of images: groups per class, calibration groups per class, and difficulty."""

    name: str
    groups: tuple[int, ...]  # per class
    calibrate: tuple[int, ...]
    shots: int = 1  # images per group
    signal: float = 1.5  # distance between the classes
    shared: float = 0.0  # fraction of the variance shared by the images of a group


SCENARIOS = (
    Scenario("four equal classes", (200, 200, 200, 200), (100, 100, 100, 100)),
    Scenario("unequal classes", (400, 160, 80, 40), (200, 80, 40, 9)),
    Scenario("an accurate model", (200, 200, 200, 200), (100, 100, 100, 100), signal=3.5),
    Scenario("leaves of 6 images", (120, 120, 120), (60, 60, 60), shots=6, shared=0.3),
    Scenario("leaves of 6 equal images", (120, 120, 120), (60, 60, 60), shots=6, shared=1.0),
)


def pool(scenario: Scenario, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw labels (N,), probabilities (N, K) and groups (N,)."""
    classes = len(scenario.groups)
    label_of = np.repeat(np.arange(classes), scenario.groups)
    groups = np.repeat(np.arange(len(label_of)), scenario.shots)
    labels = label_of[groups]
    individual = rng.normal(size=(len(groups), classes)) * math.sqrt(1 - scenario.shared)
    scores = individual + rng.normal(size=(len(label_of), classes))[groups] * math.sqrt(scenario.shared)
    scores[np.arange(len(labels)), labels] += scenario.signal
    powers = np.exp(scores)
    return labels, powers / powers.sum(axis=1, keepdims=True), groups


def split(scenario: Scenario, rng: np.random.Generator) -> np.ndarray:
    """Return which groups are in the calibration set, bool (G,), stratified by class."""
    chosen, start = np.zeros(sum(scenario.groups), dtype=bool), 0
    for number, calibrate in zip(scenario.groups, scenario.calibrate, strict=True):
        chosen[start + rng.permutation(number)[:calibrate]] = True
        start += number
    return chosen


def predicted(calibrate: int, test: int) -> tuple[float, float]:
    """Return mean and standard deviation of the coverage of one class under the beta-binomial distribution."""
    rank = math.ceil((calibrate + 1) * TARGET - 1e-9)
    a, b = rank, calibrate + 1 - rank
    variance = a * b * (a + b + test) / ((a + b) ** 2 * (a + b + 1)) / test
    return a / (a + b), math.sqrt(variance)


def measure(scenario: Scenario, splits: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    labels, probabilities, groups = pool(scenario, rng)
    classes, count = len(scenario.groups), int(groups.max()) + 1
    label_of = labels[np.unique(groups, return_index=True)[1]]
    coverage, sizes, empty, filled = np.empty((splits, classes)), [], [], []
    overall = np.empty(splits)
    for number in range(splits):
        chosen = split(scenario, rng)
        calibration, test = chosen[groups], ~chosen[groups]
        limits = fit_prediction_sets(
            labels[calibration], probabilities[calibration], groups[calibration], coverage=TARGET
        )
        assert set(limits.basis) == {OWN}
        members = prediction_sets(probabilities[test], limits, fill=False)
        full = prediction_sets(probabilities[test], limits)
        held = members[np.arange(test.sum()), labels[test]]
        fraction = np.bincount(groups[test], weights=held, minlength=count) / scenario.shots
        coverage[number] = [fraction[~chosen & (label_of == k)].mean() for k in range(classes)]
        overall[number] = fraction[~chosen].mean()
        sizes.append(full.sum(axis=1).mean())
        empty.append((~members.any(axis=1)).mean())
        filled.append(full[np.arange(test.sum()), labels[test]].mean())
    tested = [g - c for g, c in zip(scenario.groups, scenario.calibrate, strict=True)]
    expected = [predicted(c, t) for c, t in zip(scenario.calibrate, tested, strict=True)]
    weight = np.array(tested) / sum(tested)
    rows = []
    for k, (calibrate, test) in enumerate(zip(scenario.calibrate, tested, strict=True)):
        rows.append(
            row(f"class {k + 1}", coverage[:, k], calibrate, test, 1 / (calibrate + 1), expected[k][1], scenario)
        )
    width = float(sum(w / (c + 1) for w, c in zip(weight, scenario.calibrate, strict=True)))
    spread = math.sqrt(sum((w * e[1]) ** 2 for w, e in zip(weight, expected, strict=True)))
    rows.insert(0, row("all", overall, sum(scenario.calibrate), sum(tested), width, spread, scenario))
    return {
        "scenario": scenario.name,
        "images": len(labels),
        "accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
        "rows": rows,
        "size": float(np.mean(sizes)),
        "empty": float(np.mean(empty)),
        "coverage_filled": float(np.mean(filled)),
    }


def row(
    name: str, coverage: np.ndarray, calibrate: int, tested: int, width: float, spread: float, scenario: Scenario
) -> dict[str, Any]:
    """Return one row of the table: expected and observed coverage, and whether they agree."""
    splits = len(coverage)
    error = float(coverage.std(ddof=1)) / math.sqrt(splits)
    low, high = TARGET - 2 * error, TARGET + width + 2 * error
    # 99.8 % interval of a standard deviation estimated from this many splits, since the table has about twenty rows
    within = np.sqrt(scipy.stats.chi2.ppf([0.001, 0.999], splits - 1) / (splits - 1)) * spread
    deviation = float(coverage.std(ddof=1))
    # the images of one leaf average out, so that the standard deviation may be smaller than for single images
    spread_ok = deviation <= within[1] if 0 < scenario.shared < 1 else within[0] <= deviation <= within[1]
    return {
        "what": name, "calibrate": calibrate, "test": tested, "mean": float(coverage.mean()), "low": low,
        "high": high, "mean_ok": bool(low <= coverage.mean() <= high), "deviation": deviation,
        "predicted": spread, "within": within.tolist(), "spread_ok": bool(spread_ok),
    }  # fmt: skip


def text(measured: list[dict[str, Any]], splits: int) -> str:
    """Return the results as Markdown tables."""
    lines = [
        "# Conformal sets: coverage over random splits",
        "",
        f"Simulated probabilities, {splits} splits each, target {TARGET:.2f}, n in groups. "
        f"Python {platform.python_version()}, numpy {np.__version__}. `python benchmarks/conformal.py`",
        "",
        "| scenario | of | n calibrate | n test | mean coverage | allowed | spread | predicted | agrees |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in measured:
        for line in each["rows"]:
            verdict = "yes" if line["mean_ok"] and line["spread_ok"] else "NO"
            lines.append(
                f"| {each['scenario']} | {line['what']} | {line['calibrate']} | {line['test']} | {line['mean']:.4f} | "
                f"{line['low']:.4f} to {line['high']:.4f} | {line['deviation']:.4f} | {line['predicted']:.4f} "
                f"[{line['within'][0]:.4f}, {line['within'][1]:.4f}] | {verdict} |"
            )
    lines += [
        "",
        "In brackets: the 99.8 % interval of a standard deviation from this number of splits. Where the images of a",
        "leaf differ, they average out, and the spread may be smaller than predicted.",
        "",
        "| scenario | accuracy | mean size | empty before filling | coverage after filling |",
        "| --- | --- | --- | --- | --- |",
    ]
    for each in measured:
        lines.append(
            f"| {each['scenario']} | {each['accuracy']:.3f} | {each['size']:.2f} | {each['empty']:.3f} | "
            f"{each['coverage_filled']:.4f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=200)
    splits = parser.parse_args().splits
    measured = [measure(scenario, splits, seed) for seed, scenario in enumerate(SCENARIOS)]
    RESULTS.mkdir(exist_ok=True)
    content = {"splits": splits, "target": TARGET, "found": measured}
    keep_results(RESULTS / "conformal.json", content, text(measured, splits))
    print(text(measured, splits))


if __name__ == "__main__":
    main()
