"""Measure the coverage of confidence intervals of ordered classes and of several labels, for images in groups.

    python benchmarks/coverage_tasks.py [--tries 1000] [--out benchmarks/results/coverage_tasks]

Simulated test sets: 4 images per group. Ordered classes: 4 levels of a latent score, of which half of the variance is
between groups; the prediction is the level of the score plus an error, of which 30 % is shared by a group. Labels: 4
labels with frequencies of 0.5, 0.3, 0.2 and 0.1, of the same kind. The true score is that of 400,000 images.
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
from scipy.special import expit
from scipy.stats import norm

from coverslip.evidence.intervals import Score
from coverslip.evidence.multilabel import LabelScorer, multilabel_evidence
from coverslip.evidence.ordinal import level_scores
from coverslip.evidence.regression_scores import plain_scores

GROUPS, SIZE, SHARED = (5, 10, 20, 30, 60), 4, 0.3
NOISE = {"good": 0.35, "weak": 1.0}  # standard deviation of the error relative to that of the latent score
EDGES = norm.ppf([0.3, 0.6, 0.85])
FREQUENCIES = np.array([0.5, 0.3, 0.2, 0.1])
NEEDED, FROM = 0.93, 30  # required coverage, from this number of groups on
LARGE = 100_000  # groups of the set that has the true score
Codes = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def mixture(codes: Codes, shared: float, width: int, rng: np.random.Generator) -> FloatArray:
    """Return normal values, shape (N, width), with variance 1, of which ``shared`` is between groups."""
    groups = int(codes.max()) + 1
    between = rng.normal(size=(groups, width))[codes]
    return np.asarray(np.sqrt(shared) * between + np.sqrt(1 - shared) * rng.normal(size=(len(codes), width)))


def draw_levels(groups: int, noise: float, rng: np.random.Generator) -> tuple[Codes, Codes, Codes]:
    """Return true and predicted levels, shape (N,), and groups, shape (N,)."""
    codes = np.repeat(np.arange(groups), SIZE)
    latent = mixture(codes, 0.5, 1, rng)[:, 0]
    found = latent + noise * (mixture(codes, SHARED, 1, rng)[:, 0] + 0.2)
    return np.digitize(latent, EDGES), np.digitize(found, EDGES), codes


def draw_labels(groups: int, noise: float, rng: np.random.Generator) -> tuple[NDArray[np.bool_], FloatArray, Codes]:
    """Return true labels and probabilities, shape (N, 4), and groups, shape (N,)."""
    codes = np.repeat(np.arange(groups), SIZE)
    latent = mixture(codes, 0.5, len(FREQUENCIES), rng)
    found = latent + noise * mixture(codes, SHARED, len(FREQUENCIES), rng)
    edges = norm.ppf(1 - FREQUENCIES)
    return latent > edges, expit(3 * (found - edges)), codes


def level_cell(groups: int, noise: float, seed: int) -> dict[str, Score]:
    """Return the scores of one simulated test set of ordered classes."""
    return level_scores(*draw_levels(groups, noise, np.random.default_rng([seed, groups])), resamples=1000, seed=seed)


def label_cell(groups: int, noise: float, seed: int) -> dict[str, Score]:
    """Return the scores of one simulated test set of labels."""
    members, probabilities, codes = draw_labels(groups, noise, np.random.default_rng([seed, groups]))
    evidence = multilabel_evidence(
        members, probabilities, probabilities >= 0.5, codes, list("abcd"), resamples=1000, seed=seed
    )
    scores: dict[str, Score] = evidence["scores"]
    return scores


def true_scores(kind: str, noise: float) -> dict[str, float]:
    """Return the scores of a test set of 400,000 images."""
    rng = np.random.default_rng(99)
    if kind == "levels":
        levels, predicted, _ = draw_levels(LARGE, noise, rng)
        plain = plain_scores(levels.astype(np.float64), predicted.astype(np.float64))
        near = float((np.abs(levels - predicted) <= 1).mean())
        return {
            "quadratic_kappa": plain["concordance"], "level_error": plain["mae"], "adjacent_accuracy": near
        }  # fmt: skip
    members, probabilities, _ = draw_labels(LARGE, noise, rng)
    scorer = LabelScorer(members, probabilities, probabilities >= 0.5, np.zeros(len(members), np.int64))
    return dict(zip(scorer.columns, scorer.at(np.ones((1, 1)))[0].tolist(), strict=True))


def measure(tries: int) -> dict[str, Any]:
    """Return coverage and mean width of the interval of every score in every cell."""
    cells: dict[str, Any] = {}
    for kind, cell in (("levels", level_cell), ("labels", label_cell)):
        for quality, noise in NOISE.items():
            true = true_scores(kind, noise)
            for groups in GROUPS:
                found = [cell(groups, noise, seed) for seed in range(tries)]
                for name in found[0]:
                    scores = [scores[name] for scores in found]
                    ends = [(s["low"], s["high"]) for s in scores if s["low"] is not None and s["high"] is not None]
                    inside = [low <= true[name] <= high for low, high in ends]
                    cells[f"{kind} {quality} {groups} {name}"] = {
                        "true": true[name],
                        "given": len(ends),
                        "coverage": float(np.mean(inside)) if ends else None,
                        "width": float(np.mean([high - low for low, high in ends])) if ends else None,
                    }
                print(kind, quality, groups, flush=True)
    return cells


def table(cells: dict[str, Any], tries: int) -> str:
    """Return the results as a page."""
    lines = [
        "# Coverage of the intervals of ordered classes and of several labels",
        "",
        "`python benchmarks/coverage_tasks.py`; see there for the simulation. Each number is the share of",
        f"{tries:,} simulated test sets whose 95 % interval contains the true score (standard error at 0.95:",
        f"{np.sqrt(0.95 * 0.05 / tries):.3f}); in parentheses the mean width of the interval. *No*: fewer than half of",
        "the test sets had an interval.",
    ]
    names = {
        kind: list(dict.fromkeys(k.split()[3] for k in cells if k.startswith(kind))) for kind in ("levels", "labels")
    }
    for kind, title in (("levels", "Four ordered classes"), ("labels", "Four labels")):
        for quality in NOISE:
            lines += ["", f"## {title}, {quality} model", ""]
            lines += [f"| score | true | {' | '.join(f'{groups} groups' for groups in GROUPS)} |"]
            lines += ["| --- " * (len(GROUPS) + 2) + "|"]
            for name in names[kind]:
                row = [cells[f"{kind} {quality} {groups} {name}"] for groups in GROUPS]
                texts = [f"{c['coverage']:.3f} ({c['width']:.2f})" if c["given"] >= tries / 2 else "no" for c in row]
                lines.append(f"| {name} | {row[0]['true']:.3f} | {' | '.join(texts)} |")
    low = [
        f"{key}: {cell['coverage']:.3f}"
        for key, cell in cells.items()
        if int(key.split()[2]) >= FROM and cell["coverage"] is not None and cell["coverage"] < NEEDED
    ]
    lines += ["", f"Below {NEEDED} at {FROM} groups or more: {', '.join(low) if low else 'none'}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the table and the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tries", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/coverage_tasks"))
    options = parser.parse_args()
    started = time.monotonic()
    cells = measure(options.tries)
    text = table(cells, options.tries)
    about = f"\nPython {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}; "
    text += f"{about}{time.monotonic() - started:,.0f} s.\n"
    options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    options.out.with_suffix(".json").write_text(json.dumps(cells, indent=1) + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
