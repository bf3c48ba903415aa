"""Do sets hold the true class as often as promised? Coverage over random splits of simulated scores.

python benchmarks/conformal.py [--splits 200]

Each split divides a pool of images into a part that calibrates and a part that is tested, class by class, groups
whole. The promise: mean coverage within [target, target + 1 / (n + 1)], give or take 2 standard errors of the mean,
with n groups that calibrate; and from split to split a spread as the beta-binomial distribution predicts.
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

from coverslip.evidence.conformal import OWN, fit_sets, sets
from measuring import keep_results

RESULTS = Path(__file__).parent / "results"
TARGET = 0.9


@dataclass(frozen=True)
class Scenario:
    """A pool of images: how many groups of each class, how many of them calibrate, and how hard it is."""

    name: str
    groups: tuple[int, ...]  # of each class
    calibrate: tuple[int, ...]
    shots: int = 1  # images a group
    signal: float = 1.5  # how far apart the classes lie
    shared: float = 0.0  # share of the variance that the images of a group have in common


SCENARIOS = (
    Scenario("four equal classes", (200, 200, 200, 200), (100, 100, 100, 100)),
    Scenario("unequal classes", (400, 160, 80, 40), (200, 80, 40, 9)),
    Scenario("an accurate model", (200, 200, 200, 200), (100, 100, 100, 100), signal=3.5),
    Scenario("leaves of 6 images", (120, 120, 120), (60, 60, 60), shots=6, shared=0.3),
    Scenario("leaves of 6 equal images", (120, 120, 120), (60, 60, 60), shots=6, shared=1.0),
)


def pool(scenario: Scenario, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels (N,), probabilities (N, K) and groups (N,)."""
    classes = len(scenario.groups)
    label_of = np.repeat(np.arange(classes), scenario.groups)
    groups = np.repeat(np.arange(len(label_of)), scenario.shots)
    labels = label_of[groups]
    own = chance.normal(size=(len(groups), classes)) * math.sqrt(1 - scenario.shared)
    scores = own + chance.normal(size=(len(label_of), classes))[groups] * math.sqrt(scenario.shared)
    scores[np.arange(len(labels)), labels] += scenario.signal
    powers = np.exp(scores)
    return labels, powers / powers.sum(axis=1, keepdims=True), groups


def split(scenario: Scenario, chance: np.random.Generator) -> np.ndarray:
    """(G,) whether a group calibrates: so many of each class."""
    chosen, start = np.zeros(sum(scenario.groups), dtype=bool), 0
    for number, calibrate in zip(scenario.groups, scenario.calibrate, strict=True):
        chosen[start + chance.permutation(number)[:calibrate]] = True
        start += number
    return chosen


def predicted(calibrate: int, test: int) -> tuple[float, float]:
    """Mean and standard deviation of the coverage of one class: beta-binomial."""
    place = math.ceil((calibrate + 1) * TARGET - 1e-9)
    a, b = place, calibrate + 1 - place
    variance = a * b * (a + b + test) / ((a + b) ** 2 * (a + b + 1)) / test
    return a / (a + b), math.sqrt(variance)


def measure(scenario: Scenario, splits: int, seed: int) -> dict[str, Any]:
    chance = np.random.default_rng(seed)
    labels, probabilities, groups = pool(scenario, chance)
    classes, count = len(scenario.groups), int(groups.max()) + 1
    label_of = labels[np.unique(groups, return_index=True)[1]]
    coverage, sizes, empty, filled = np.empty((splits, classes)), [], [], []
    overall = np.empty(splits)
    for number in range(splits):
        chosen = split(scenario, chance)
        mine, rest = chosen[groups], ~chosen[groups]
        limits = fit_sets(labels[mine], probabilities[mine], groups[mine], coverage=TARGET)
        assert set(limits.basis) == {OWN}
        members = sets(probabilities[rest], limits, fill=False)
        full = sets(probabilities[rest], limits)
        held = members[np.arange(rest.sum()), labels[rest]]
        share = np.bincount(groups[rest], weights=held, minlength=count) / scenario.shots
        coverage[number] = [share[~chosen & (label_of == k)].mean() for k in range(classes)]
        overall[number] = share[~chosen].mean()
        sizes.append(full.sum(axis=1).mean())
        empty.append((~members.any(axis=1)).mean())
        filled.append(full[np.arange(rest.sum()), labels[rest]].mean())
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
    """One line of the table: what was promised, what was found, and whether it agrees."""
    splits = len(coverage)
    error = float(coverage.std(ddof=1)) / math.sqrt(splits)
    low, high = TARGET - 2 * error, TARGET + width + 2 * error
    # where a standard deviation from this many splits lies in 99.8 % of cases: there are some twenty rows to judge
    within = np.sqrt(scipy.stats.chi2.ppf([0.001, 0.999], splits - 1) / (splits - 1)) * spread
    deviation = float(coverage.std(ddof=1))
    # images of one leaf average out, so that the spread may be smaller than that of as many single images
    spread_ok = deviation <= within[1] if 0 < scenario.shared < 1 else within[0] <= deviation <= within[1]
    return {
        "what": name, "calibrate": calibrate, "test": tested, "mean": float(coverage.mean()), "low": low,
        "high": high, "mean_ok": bool(low <= coverage.mean() <= high), "deviation": deviation,
        "predicted": spread, "within": within.tolist(), "spread_ok": bool(spread_ok),
    }  # fmt: skip


def text(found: list[dict[str, Any]], splits: int) -> str:
    """The table as Markdown."""
    lines = [
        "# Conformal sets: coverage over random splits",
        "",
        f"Simulated scores, {splits} splits each, target {TARGET:.2f}, n in groups. Python {platform.python_version()},"
        f" numpy {np.__version__}. `python benchmarks/conformal.py`",
        "",
        "| scores | of | n calibrate | n test | mean coverage | allowed | spread | predicted | agrees |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in found:
        for line in each["rows"]:
            verdict = "yes" if line["mean_ok"] and line["spread_ok"] else "NO"
            lines.append(
                f"| {each['scenario']} | {line['what']} | {line['calibrate']} | {line['test']} | {line['mean']:.4f} | "
                f"{line['low']:.4f} to {line['high']:.4f} | {line['deviation']:.4f} | {line['predicted']:.4f} "
                f"[{line['within'][0]:.4f}, {line['within'][1]:.4f}] | {verdict} |"
            )
    lines += [
        "",
        "In brackets: where a standard deviation from so many splits lies in 99.8 % of cases. Where the images of a",
        "leaf differ, they average out, and the spread may be smaller than predicted.",
        "",
        "| scores | accuracy | mean size | empty before filling | coverage after filling |",
        "| --- | --- | --- | --- | --- |",
    ]
    for each in found:
        lines.append(
            f"| {each['scenario']} | {each['accuracy']:.3f} | {each['size']:.2f} | {each['empty']:.3f} | "
            f"{each['coverage_filled']:.4f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=200)
    splits = parser.parse_args().splits
    found = [measure(scenario, splits, seed) for seed, scenario in enumerate(SCENARIOS)]
    RESULTS.mkdir(exist_ok=True)
    content = {"splits": splits, "target": TARGET, "found": found}
    keep_results(RESULTS / "conformal.json", content, text(found, splits))
    print(text(found, splits))


if __name__ == "__main__":
    main()
