"""Evaluate `--depth tail`, with and without `--refit`, on leaves that were not used in any training.

    python benchmarks/other_leaves.py ../shared/data/plantvillage

A fifth of the leaves is put aside before training (``shots:3``); `coverslip train` gets the others and splits them as
usual; `coverslip evaluate` evaluates the saved model on the leaves put aside. Seconds are from the folder to the tested
model, with an empty cache. Writes `results/other_leaves.json` and `.md`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from coverslip import api
from coverslip.reporting.methods import score_text
from measuring import circumstances, environment, heading, keep_results, measure
from tomatoes import divide

HERE = Path(__file__).parent
WANTED = {"tail": 0.93, "tail --refit": 0.95, "head": None}
OPTIONS = {"tail": ["--depth", "tail"], "tail --refit": ["--depth", "tail", "--refit"], "head": []}


def one(options: list[str], data: Path, work: Path) -> dict[str, Any]:
    """Train and evaluate with a separate cache."""
    command = [sys.executable, "-m", "coverslip", "train", str(data / "train"), "--group", "shots:3", *options]
    measured = measure([*command, "--out", str(work / "run")], work / "log", work / "cache")
    with environment(COVERSLIP_CACHE=str(work / "cache")):
        run = api.evaluate(work / "run", data / "test", work / "scored", group="shots:3")
    test = json.loads(run.test_file.read_text(encoding="utf-8"))
    return {"seconds": measured.seconds, "accuracy": test["scores"]["accuracy"], "warnings": test["warnings"]}


def page(results: dict[str, Any]) -> str:
    lines = ["# Other leaves", "", heading(results), ""]
    lines += [f"{results['data']}, divided by leaves before anything else ({len(results['divisions'])} times, by other"]
    lines += ["seeds). Accuracy on the leaves put aside, with its 95 % confidence interval over leaves.", ""]
    lines += ["| training on the other leaves | put aside | accuracy | required | seconds, folder to tested model |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for division in results["divisions"]:
        for name, result in division["runs"].items():
            held_out, score = WANTED[name] or "", result["accuracy"]
            aside = f"{score['images']:,} images of {score['groups']:,} leaves"
            lines.append(f"| {name} | {aside} | {score_text(score)} | {held_out} | {result['seconds']:.0f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="plantvillage")
    parser.add_argument("--divisions", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    divisions = []
    for seed in range(options.divisions):
        with tempfile.TemporaryDirectory(prefix="other-leaves-") as home:
            counts, runs = divide(options.data, Path(home) / "data", "", seed), {}
            for name, more in OPTIONS.items():
                work = Path(home) / name.replace(" ", "")
                work.mkdir()
                runs[name] = one(more, Path(home) / "data", work)
                print(f"{name}: {score_text(runs[name]['accuracy'])}, {runs[name]['seconds']:.0f} s", flush=True)
            divisions.append({"images": counts, "runs": runs})
    results = circumstances("coverslip", "torch") | {"data": options.data.name, "divisions": divisions}
    keep_results(options.out / "other_leaves.json", results, page(results))
    print(page(results))


if __name__ == "__main__":
    main()
