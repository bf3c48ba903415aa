"""The course's comparison on real leaves: three blocks of convolutions beside one block beside a dense network.

    python benchmarks/course_numbers.py ../shared/data/plantvillage --group shots:3

The networks and the training are those of lesson 3, on all classes of the folder at 48 pixels, in folds of whole
groups: every image is named once, by a network that saw none of its group, and the differences, paired over groups,
rest on all of them. Writes `results/course_numbers.json` and `.md`.
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
from coverslip.course.trials import compare_on, repeat
from coverslip.data.split import assign_folds
from coverslip.evidence import format_interval
from measuring import circumstances, heading, keep_results

HERE = Path(__file__).parent
SIZE = 48
SCORES = ("accuracy", "balanced_accuracy")  # a third of the images are of one class: the second counts all alike
LESSON = {"epochs": 16, "lr": 2e-3, "schedule": "one-cycle"}  # as in lessons/03_convolutions.py


def networks(classes: int) -> dict[str, Callable[[], nn.Module]]:
    """The three networks of lesson 3."""

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
    """The results for people."""
    lines = [
        "# The numbers of the course, on real leaves",
        "",
        heading(results),
        "",
        f"{results['source']}, {results['classes']} classes, {SIZE} pixels: {results['images']:,} images of",
        f"{results['groups']:,} groups ({results['by']}). The networks and the training of lesson 3,",
        f"in {results['folds']} folds of whole groups: every image is named once, by a network that saw none",
        "of its group. 95 % intervals over groups.",
        "",
        "| network | parameters | accuracy | balanced accuracy | seconds a training |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, row in results["networks"].items():
        seconds = f"{sum(row['seconds']) / len(row['seconds']):.0f}"
        scores = " | ".join(format_interval(row[score]) for score in SCORES)
        lines.append(f"| {name} | {row['parameters']:,} | {scores} | {seconds} |")
    for score, told in results["comparisons"].items():
        said = [f"* {each['sentence']}" for each in told]
        lines += ["", f"{score.replace('_', ' ').capitalize()}, paired, adjusted for three comparisons:", "", *said]
    return "\n".join([*lines, ""])


def main() -> None:
    """Train, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--group", default="")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    given = parser.parse_args()
    found = images(given.source, classes=1000, size=SIZE, group=given.group, most=100_000)
    folds = assign_folds(found.y, found.groups, given.folds, 0)
    answers: dict[str, Any] = {}
    rows: dict[str, Any] = {}
    for name, make in networks(len(found.names)).items():
        answers[name], seconds = np.zeros((len(found), len(found.names))), []
        for fold in range(given.folds):
            start = time.perf_counter()
            history = repeat(make, found.take(np.flatnonzero(folds != fold)), times=1, first=fold, **LESSON)[0]
            seconds.append(time.perf_counter() - start)
            asked = np.flatnonzero(folds == fold)
            answers[name][asked] = history.predict(found.x[asked])
            right = float((answers[name][asked].argmax(axis=1) == found.y[asked]).mean())
            print(f"{name}, fold {fold + 1}: {right:.3f}, {seconds[-1]:.0f} s", flush=True)
        parameters = coverslip.summary(make(), (3, SIZE, SIZE)).parameters
        rows[name] = {"parameters": parameters, "seconds": [round(each, 1) for each in seconds]}
    contests = {score: compare_on(found, answers, score=score) for score in SCORES}
    for score, contest in contests.items():
        for run in contest.found["runs"]:
            rows[run["name"]][score] = run
    results = {
        **circumstances("coverslip", "torch", "numpy"),
        "source": Path(given.source).name,
        "classes": len(found.names),
        "by": given.group or "each image for itself",
        "folds": given.folds,
        "images": len(found),
        "groups": len(set(found.groups)),
        "networks": rows,
        "comparisons": {score: contest.found["comparisons"] for score, contest in contests.items()},
    }
    keep_results(given.out / "course_numbers.json", results, page(results))
    print(page(results))


if __name__ == "__main__":
    main()
