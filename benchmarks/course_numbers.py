"""Repeat the comparison of lesson 3 on real leaves: three convolutional blocks, one block and a dense network.

    python benchmarks/course_numbers.py ../shared/data/plantvillage --group shots:3

The networks and the training are those of lesson 3, on all classes of the folder at 48 pixels, with cross-validation
over groups: every image is predicted once, by a network that was not trained on its group, and the paired differences
are based on all groups. Writes `results/course_numbers.json` and `.md`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

import coverslip
from coverslip.course import images
from coverslip.course.comparison import compare_on_test, repeat
from coverslip.data.split import assign_folds
from coverslip.evidence import format_interval
from measuring import circumstances, heading, keep_results

HERE = Path(__file__).parent
SIZE = 48
SCORES = (
    "accuracy",
    "balanced_accuracy",
)  # a third of the images have the same class, so that classes are also weighted equally
LESSON = {"epochs": 16, "lr": 2e-3, "schedule": "one-cycle"}  # as in lessons/03_convolutions.py


def networks(classes: int) -> dict[str, Callable[[], nn.Module]]:
    """Return the three networks of lesson 3."""

    def block(channels: int, filters: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))

    def ending(inputs: int) -> list[nn.Module]:
        return [nn.Flatten(), nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, classes)]

    def colors() -> nn.Module:
        return nn.BatchNorm2d(3, affine=False)

    half, eighth = SIZE // 2, SIZE // 8
    return {
        "dense": lambda: nn.Sequential(colors(), *ending(SIZE * SIZE * 3)),
        "one block": lambda: nn.Sequential(colors(), block(3, 16), *ending(half * half * 16)),
        "three blocks": lambda: nn.Sequential(
            colors(), block(3, 16), block(16, 32), block(32, 64), *ending(eighth * eighth * 64)
        ),
    }


def page(results: dict[str, Any]) -> str:
    """Return the results as a Markdown page."""
    lines = [
        "# The comparison of the course, on real leaves",
        "",
        heading(results),
        "",
        f"{results['source']}, {results['classes']} classes, {SIZE} pixels: {results['images']:,} images of",
        f"{results['groups']:,} groups ({results['by']}). The networks and the training of lesson 3,",
        f"with {results['folds']} folds over groups: every image is predicted once, by a network that was not",
        "trained on its group. 95 % confidence intervals over groups.",
        "",
        "| network | parameters | accuracy | balanced accuracy | seconds per training |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, row in results["networks"].items():
        seconds = f"{sum(row['seconds']) / len(row['seconds']):.0f}"
        scores = " | ".join(format_interval(row[score]) for score in SCORES)
        lines.append(f"| {name} | {row['parameters']:,} | {scores} | {seconds} |")
    for score, comparisons in results["comparisons"].items():
        title = f"{score.replace('_', ' ').capitalize()}, paired, adjusted for three comparisons:"
        lines += ["", title, "", *(f"* {comparison['sentence']}" for comparison in comparisons)]
    return "\n".join([*lines, ""])


def main() -> None:
    """Train, compare and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--group", default="")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    data = images(options.source, classes=1000, size=SIZE, group=options.group, max_per_class=100_000)
    folds = assign_folds(data.y, data.groups, options.folds, 0)
    predictions: dict[str, Any] = {}
    rows: dict[str, Any] = {}
    for name, make in networks(len(data.names)).items():
        predictions[name], seconds = np.zeros((len(data), len(data.names))), []
        for fold in range(options.folds):
            start = time.perf_counter()
            history = repeat(make, data.take(np.flatnonzero(folds != fold)), times=1, first=fold, **LESSON)[0]
            seconds.append(time.perf_counter() - start)
            test = np.flatnonzero(folds == fold)
            predictions[name][test] = history.predict(data.x[test])
            accuracy = float((predictions[name][test].argmax(axis=1) == data.y[test]).mean())
            print(f"{name}, fold {fold + 1}: {accuracy:.3f}, {seconds[-1]:.0f} s", flush=True)
        parameters = coverslip.summary(make(), (3, SIZE, SIZE)).parameters
        rows[name] = {"parameters": parameters, "seconds": [round(value, 1) for value in seconds]}
    comparisons = {score: compare_on_test(data, predictions, score=score) for score in SCORES}
    for score, comparison in comparisons.items():
        for run in comparison.result["runs"]:
            rows[run["name"]][score] = run
    results = {
        **circumstances("coverslip", "torch", "numpy"),
        "source": Path(options.source).name,
        "classes": len(data.names),
        "by": options.group or "each image is a group",
        "folds": options.folds,
        "images": len(data),
        "groups": len(set(data.groups)),
        "networks": rows,
        "comparisons": {score: comparison.result["comparisons"] for score, comparison in comparisons.items()},
    }
    keep_results(options.out / "course_numbers.json", results, page(results))
    print(page(results))


if __name__ == "__main__":
    main()
