"""Compare hyperparameter searches on cached features: Coverslip, plain Optuna, Ray Tune and KerasTuner.

    python benchmarks/tuning.py ../shared/data/plantvillage --group shots:3

Same features, same space, TPE and Hyperband (KerasTuner: its own Hyperband), 50 trials of up to 20 epochs. The
criterion is the time until a trial reaches a validation log loss that every search reaches in every round. Then the
memory over 200 trials is measured. Writes `results/tuning.json` and `.md`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from measuring import circumstances, heading, peer_python, spread
from workers import run_alone, script

HERE = Path(__file__).parent
PEERS = {"optuna": "Optuna, TPE and Hyperband", "ray": "Ray Tune, ASHA", "keras-tuner": "KerasTuner, Hyperband"}


def reached(rows: list[list[float]], goal: float) -> float:
    """Return the seconds until a loss is at most the goal."""
    return min(seconds for seconds, loss in rows if loss <= goal)


def page(results: dict[str, Any]) -> str:
    """Return the results as a Markdown page."""
    runs = results["runs"]
    goal = max(min(loss for _, loss in rows) for of in runs.values() for rows in of)
    own_median = statistics.median(reached(rows, goal) for rows in runs["ours"])
    lines = [
        "# Searching for the best head on cached features",
        "",
        heading(results),
        "",
        f"{results['source']}, {results['trials']} trials (KerasTuner: as determined by its Hyperband) of up to",
        f"{results['epochs']} epochs. Median [min, max] of runs with different seeds, in turns. The goal is",
        f"{goal:.3f}, the lowest validation log loss that every search reached in every run. Reading images and",
        "computing features is not included, nor is the start of Ray's processes before the first trial.",
        "Other programs used at most "
        f"{max(each for of in results['others'].values() for each in of):.2f} cores during any run.",
        "",
        "| program | seconds to the goal | relative to ours | seconds in total | lowest log loss | epochs trained |",
        "| --- |" + " --- |" * 5,
    ]
    for name, of in runs.items():
        seconds = [reached(rows, goal) for rows in of]
        times = "" if name == "ours" else f"{statistics.median(seconds) / own_median:.1f}"
        lowest, total_seconds = [min(loss for _, loss in rows) for rows in of], [rows[-1][0] for rows in of]
        count = statistics.median(len(rows) for rows in of)
        cells = [name, spread(seconds), times, spread(total_seconds), spread(lowest, 3), f"{count:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    memory = results.get("memory")
    if memory:
        early, late = (next(mib for over, mib in memory if over >= count) for count in (10, memory[-1][0]))
        lines += ["", f"Anonymous memory of ours: {early:.0f} MiB after {10} trials, {late:.0f} MiB after"]
        lines[-1] += f" {memory[-1][0]} ({100 * (late / early - 1):+.1f} %)."
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--group", default="shots:3")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=list(PEERS))
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    tools = peer_python("tuning", HERE / "peer-tuning.txt") if set(options.peers) - {"optuna"} else Path(sys.executable)
    pythons = {"optuna": Path(sys.executable), "ray": tools, "keras-tuner": tools}
    results = circumstances("coverslip", "torch", "numpy") | {"source": options.source.name}
    results |= {"trials": options.trials, "epochs": options.epochs}
    source = [str(options.source), options.group, str(options.epochs)]
    with tempfile.TemporaryDirectory(prefix="tuning-") as folder:
        file = str(Path(folder) / "features.npz")
        run_alone("features", [*script(sys.executable, "own_tuning.py", "features"), *source, file], again=False)
        names = {"ours": "ours", **{PEERS[name]: name for name in options.peers}}
        results["runs"], results["others"] = {name: [] for name in names}, {name: [] for name in names}
        for seed in range(options.rounds):
            for called, name in names.items():
                command = [*script(sys.executable, "own_tuning.py", "search"), *source, str(options.trials), str(seed)]
                if name != "ours":
                    command = script(pythons[name], "peer_tuning.py", name, file, options.trials, options.epochs, seed)
                answer = run_alone(called, command, again=False)
                results["runs"][called].append(answer["rows"])
                results["others"][called].append(answer["others"])
                results["versions"] |= answer["versions"]
                rows = answer["rows"]
                print(f"round {seed + 1}, {called}: {min(row[1] for row in rows):.3f}, {rows[-1][0]:.0f} s", flush=True)
        answer = run_alone("memory", [*script(sys.executable, "own_tuning.py", "memory"), *source, "200"], again=False)
        results["memory"] = answer["rows"]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "tuning.json").write_text(json.dumps(results) + "\n", encoding="utf-8")
    (options.out / "tuning.md").write_text(page(results), encoding="utf-8")
    print(page(results))


if __name__ == "__main__":
    main()
