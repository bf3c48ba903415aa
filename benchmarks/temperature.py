"""Compare the temperature scaling of two versions of Coverslip on test sets, and the weight of its prior by simulation.

    python benchmarks/temperature.py ../shared/data --before PATH_OF_OLD_CHECKOUT

The folder contains plantvillage, oral_histology and beans_field; synthetic leaves are rendered, many and few. Each data
set is split with three seeds, and `coverslip train` fits a head with its defaults (and `--fix`) in both checkouts. A
checkout has one cache, so its images are decoded once. Without `--before`, only the simulation runs, which takes a
minute; all of it takes about ten minutes of processor time. `--only NAME` measures one data set again and keeps the
other results. Writes `results/temperature.json` and `.md`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from coverslip.evidence.recalibration import PRIOR_WEIGHT, TEMPERATURES
from measuring import circumstances, environment, heading, keep_results, measure, spread

HERE = Path(__file__).parent
DATA = {
    "plantvillage": ["--group", "shots:3"],
    "oral_histology": [],
    "beans_field": [],
    "leaves": ["--group", r"[a-z_]+_leaf\d+"],
    "few_leaves": ["--group", r"[a-z_]+_leaf\d+"],
}
RENDERED = {"leaves": [], "few_leaves": ["--classes", "3", "--leaves", "16"]}  # options of `coverslip leaves`
SCORES = {
    "log loss": ("scores", "log_loss", "value"),
    "calibration error": ("scores", "ece", "value"),
    "mean set size": ("sets", "size", "value"),
    "coverage of sets": ("sets", "coverage", "value"),
    "temperature": ("calibration", "temperature"),
    "accuracy": ("scores", "accuracy", "value"),
}
WEIGHTS = (0.0, 1.0, 2.0, 4.0, 8.0)
COUNTS = (24, 60, 200, 1000)
CLASSES, SCALES, TRUTHS = (2, 3, 15), (1.5, 3.0, 8.0), (0.25, 0.5, 1.0, 2.0)
SEPARABLE = np.inf
LOGS = np.linspace(*np.log(TEMPERATURES), 121)

FloatArray = NDArray[np.float64]


def train(source: Path, options: list[str], seed: int, work: Path, cache: Path) -> dict[str, float]:
    """Train a head in a new process and read its test scores."""
    run = work / "run"
    command = [sys.executable, "-m", "coverslip", "train", str(source), "--out", str(run), "--fix", *options]
    measure([*command, "--split-seed", str(seed)], work / "log", cache)
    test = json.loads((run / "test.json").read_text(encoding="utf-8"))
    by_name: dict[str, float] = {"images": test["images"]}
    for name, keys in SCORES.items():
        value: Any = test
        for key in keys:
            value = value[key]
        by_name[name] = value
    return by_name


def measure_sides(data: Path, names: list[str], sides: dict[str, Path], seeds: int, work: Path) -> dict[str, Any]:
    """Train on each data set with each seed in each checkout.

    Args:
        data: folder of the data sets.
        names: names of the data sets.
        sides: name -> root folder of each checkout.
        seeds: number of splits.
        work: an empty folder.

    Returns:
        data set -> side -> the scores of each seed.
    """
    by_name: dict[str, Any] = {}
    for name in names:
        source, options = data / name, DATA[name]
        if name in RENDERED:
            command = [sys.executable, "-m", "coverslip", "leaves", str(work / name), *RENDERED[name]]
            measure(command, work / "log")
            source = work / name / "images"
        by_name[name] = {side: [] for side in sides}
        for seed, (side, checkout) in itertools.product(range(seeds), sides.items()):
            with tempfile.TemporaryDirectory(dir=work) as own, environment(PYTHONPATH=str(checkout / "src")):
                scores = train(source, options, seed, Path(own), work / f"cache-{side}")
            by_name[name][side].append(scores)
            print(name, seed, side, {key: round(value, 4) for key, value in scores.items()}, flush=True)
    return by_name


def draw(rng: np.random.Generator, images: int, classes: int, scale: float, truth: float) -> tuple[FloatArray, Any]:
    """Draw logits (images, classes) and labels (images,).

    The logits divided by ``truth`` are normal with standard deviation ``scale``, and the labels follow their softmax.
    Separable labels are the class of the largest logit, and the logits have standard deviation ``3 * truth``.
    """
    logits = rng.normal(size=(images, classes))
    if scale == SEPARABLE:
        return 3 * truth * logits, logits.argmax(1)
    logits *= scale
    return truth * logits, (logits + rng.gumbel(size=logits.shape)).argmax(1)


def log_losses(logits: FloatArray, labels: NDArray[np.integer]) -> FloatArray:
    """Return the log loss at each temperature of the grid, shape (121,)."""
    rows = np.arange(len(logits))
    return np.array([-log_softmax(logits / np.exp(log), axis=1)[rows, labels].mean() for log in LOGS])


def simulate(repeats: int) -> list[dict[str, Any]]:
    """Compute the excess log loss over the minimum, without a fit and for each weight of the prior.

    Returns:
        One row per number of images, for separable and other logits: means over all numbers of classes, scales and true
        temperatures. ``worst`` is the largest mean of one condition.
    """
    rng, rows = np.random.default_rng(0), []
    names = ["T = 1", *(f"{weight:g}" for weight in WEIGHTS)]
    for images, separable in itertools.product(COUNTS, (False, True)):
        means = []
        for classes, scale, truth in itertools.product(CLASSES, (SEPARABLE,) if separable else SCALES, TRUTHS):
            new = log_losses(*draw(rng, 4000, classes, scale, truth))
            excess = np.zeros(len(names))
            for _ in range(repeats):
                losses = log_losses(*draw(rng, images, classes, scale, truth))
                best = [LOGS[np.argmin(losses + weight * LOGS**2 / (2 * images))] for weight in WEIGHTS]
                excess += np.interp([0.0, *best], LOGS, new) - new.min()
            means.append(excess / repeats)
        average, worst = np.mean(means, axis=0), np.max(means, axis=0)
        rows.append(
            {
                "images": images,
                "separable": separable,
                "mean": dict(zip(names, average.tolist(), strict=True)),
                "worst": dict(zip(names, worst.tolist(), strict=True)),
            }
        )
        print(rows[-1], flush=True)
    return rows


def page(results: dict[str, Any]) -> str:
    """Format the results as Markdown."""
    lines = ["# The temperature and its prior", "", heading(results), ""]
    if results["measured"]:
        lines += [
            f"## A head with default settings, {results['seeds']} seeds of the split",
            "",
            "Median [min, max] over the seeds, on the test set; the target coverage of the sets is 0.90. Images,",
            "splits and settings are the same for both versions (`--fix`; `--group` where it is shown).",
            "",
            f"| data | test images | version | {' | '.join(SCORES)} |",
            "| --- " * (3 + len(SCORES)) + "|",
        ]
        for name, by_side in results["measured"].items():
            options = " ".join(f"`{each}`" for each in DATA[name][1:])
            for side, tests in by_side.items():
                images = "-".join(
                    str(each)
                    for each in sorted({min(row["images"] for row in tests), max(row["images"] for row in tests)})
                )
                cells = [spread([row[score] for row in tests], 3) for score in SCORES]
                lines.append(f"| {name} {options} | {images} | {side} | {' | '.join(cells)} |")
        lines.append("")
    classes, truths, scales = (", ".join(f"{each:g}" for each in of) for of in (CLASSES, TRUTHS, SCALES))
    names = list(results["simulated"][0]["mean"])
    lines += [
        "## The weight of the prior, simulated",
        "",
        "Expected log loss on new images above that of the best temperature, in thousandths: mean (worst condition)",
        f"over {classes} classes, true temperatures of {truths}, and logits whose standard deviation at the true",
        f"temperature is {scales}; {results['repeats']} draws each. Weight 0 is no prior; the package uses",
        f"{PRIOR_WEIGHT:g}. In the separable rows every image, seen or new, is classified correctly, so the lowest",
        "temperature is the best.",
        "",
        f"| images | logits | {' | '.join(name if '=' in name else f'weight {name}' for name in names)} |",
        "| --- " * (2 + len(names)) + "|",
    ]
    for row in results["simulated"]:
        cells = [f"{1000 * row['mean'][name]:.1f} ({1000 * row['worst'][name]:.0f})" for name in names]
        lines.append(f"| {row['images']} | {'separable' if row['separable'] else 'drawn'} | {' | '.join(cells)} |")
    drawn = [row for row in results["simulated"] if not row["separable"]]
    cells = [f"{1000 * statistics.mean(row['mean'][name] for row in drawn):.1f}" for name in names]
    lines.append(f"| all | drawn, mean | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of plantvillage, oral_histology and beans_field")
    parser.add_argument("--before", type=Path, help="root folder of the older checkout")
    parser.add_argument("--only", choices=list(DATA), help="measure this data set again, keep all other results")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=40, help="draws per condition of the simulation")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    kept = json.loads((options.out / "temperature.json").read_text(encoding="utf-8")) if options.only else {}
    results = {**circumstances("coverslip", "torch", "numpy", "scipy"), "seeds": options.seeds}
    measured: dict[str, Any] = kept.get("measured", {})
    if options.before:
        sides = {"before": options.before.resolve(), "after": HERE.parent.resolve()}
        names = [options.only] if options.only else list(DATA)
        with tempfile.TemporaryDirectory() as work:
            measured |= measure_sides(options.data.resolve(), names, sides, options.seeds, Path(work))
    simulated = kept.get("simulated") or simulate(options.repeats)
    results |= {"measured": measured, "repeats": options.repeats, "simulated": simulated}
    text = page(results)
    keep_results(options.out / "temperature.json", results, text)
    print(text)


if __name__ == "__main__":
    main()
