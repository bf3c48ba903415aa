"""Measure seconds and accuracy of training a head, a tail and the whole network on one split, from a cold start.

Each depth runs in a separate process with its own cache, so that no run uses results of another. All runs have the same
test images; their differences are paired, over groups.

    python benchmarks/depth.py ../shared/data/plantvillage --group shots:3
    python benchmarks/depth.py ../shared/data/beans_field
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from coverslip.api import compare
from coverslip.core.devices import machine
from measuring import keep_results, measure

HERE = Path(__file__).parent
DEPTHS = ("head", "tail", "all")


def run(depth: str, source: Path, group: str, work: Path) -> dict[str, Any]:
    """Train from scratch with an empty cache; return total and training seconds, peak memory and accuracy."""
    out = work / depth
    command = [sys.executable, "-m", "coverslip", "train", str(source), "--depth", depth, "--out", str(out)]
    command += ["--group", group] if group else []
    measured = measure(command, work / f"{depth}.log", work / f"cache-{depth}")
    test = json.loads((out / "test.json").read_text(encoding="utf-8"))
    stages = json.loads((out / "environment.json").read_text(encoding="utf-8"))["seconds"]
    model = json.loads((out / "model" / "model.json").read_text(encoding="utf-8"))
    return {
        "depth": depth,
        "seconds": measured.seconds,
        "training": stages.get("training", 0.0),
        "stages": stages,
        "epochs": model.get("epochs"),
        "peak_mib": measured.peak_mib,
        "accuracy": test["scores"]["accuracy"],
    }


def table(results: dict[str, Any]) -> str:
    """Return the results of all folders as Markdown."""
    lines = []
    for name, result in results.items():
        lines += [f"## {name}", "", "| depth | seconds in total | of which training | memory | accuracy |"]
        lines.append("| --- | --- | --- | --- | --- |")
        for row in result["runs"]:
            score = row["accuracy"]
            value = f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
            training = f"{row['training']:.0f} ({row['epochs']} epochs)" if row["training"] else "-"
            lines.append(
                f"| {row['depth']} | {row['seconds']:.0f} | {training} | {row['peak_mib']:.0f} MiB | {value} |"
            )
        lines += ["", *(f"* {each}" for each in result["compared"]), "", result["about"], ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--group", default="")
    parser.add_argument("--depths", nargs="+", default=list(DEPTHS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        runs = [run(depth, options.source, options.group, work) for depth in options.depths]
        print(json.dumps(runs, indent=1))  # print the results of an hour before anything else can fail
        comparison = compare([work / row["depth"] for row in runs])
    about = (
        f"{runs[0]['accuracy']['images']} test images of {runs[0]['accuracy']['groups']} groups "
        f"(--group {options.group or 'not given'}), one run per depth; "
        f"{machine()['processor']}, {machine()['cores']} cores."
    )
    path = HERE / "results" / "depth.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    results[options.source.name] = {
        "runs": runs,
        "compared": [each["sentence"] for each in comparison["result"]["comparisons"]],
        "about": about,
        "machine": machine(),
    }
    keep_results(path, results, "# How deep to train\n\n" + table(results))
    print(table(results))


if __name__ == "__main__":
    main()
