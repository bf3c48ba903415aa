"""Compare many trainings in one pass with the same trainings one after another and with a single one.

Heads on a frozen network's features, dense and convolutional networks of the course; AdamW, batches of 32, three
epochs with validation, from the call to the result. All take turns within one process on an otherwise idle machine; a
measurement is repeated if other programs used more than a tenth of a core.

    python benchmarks/tuning_lanes.py
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from coverslip.core.devices import machine
from measuring import keep_results, spread
from own_lanes import KINDS
from workers import Worker, script

HERE = Path(__file__).parent
LANES = {"head": 32, "mlp-16": 32, "mlp-128-128": 32, "cnn-8-16": 32, "cnn-32-64-128": 8}
WHAT = {
    "head": "linear head, 1,280 features, 15 classes, 2,000 images",
    "mlp-16": "mlp, 64 px x 3 - 16 - 10, 640 images",
    "mlp-128-128": "mlp, 64 px x 3 - 128 - 128 - 10, 640 images",
    "cnn-8-16": "cnn-full, 32 px, filters 8 and 16, 320 images",
    "cnn-32-64-128": "cnn-full, 64 px, filters 32, 64 and 128, 128 images",
}
SEEDS = {"same": "the same batches", "own": "different batches in each lane"}


def measure(worker: Worker, kind: str, lanes: int, rounds: int, busy: bool) -> list[dict[str, Any]]:
    """Measure in each round one training, all in one pass with equal or different batches, and all in sequence."""
    ask = worker.ask if busy else worker.measure
    for how in ("alone", "stack"):
        worker.ask(kind=kind, lanes=2, how=how, seeds="own")  # warm-up
    measured = []
    for _ in range(rounds):
        row: dict[str, Any] = {"one": ask(kind=kind, lanes=1, how="alone", seeds="own")["seconds"]}
        row["alone"] = ask(kind=kind, lanes=lanes, how="alone", seeds="own")
        for seeds in SEEDS:
            row[seeds] = ask(kind=kind, lanes=lanes, how="stack", seeds=seeds)
        gaps = [abs(a - b) for a, b in zip(row["alone"]["losses"], row["own"]["losses"], strict=True)]
        row = {name: value if name == "one" else value["seconds"] for name, value in row.items()}
        measured.append(row | {"gap": max(gaps)})
        print(kind, {name: round(value, 4) for name, value in measured[-1].items()}, flush=True)
    return measured


def table(results: dict[str, Any]) -> str:
    """As Markdown."""
    about = results["machine"]
    lines = [
        "# Many trainings in one pass",
        "",
        f"{results['date']}, {about['processor']}, {about['cores']} cores, {about['system']}, "
        f"Python {about['python']}, torch {results['torch']}.",
        "",
        "AdamW, batches of 32, three epochs with validation, whole trainings in seconds; medians [min, max] over "
        "rounds, in each of which all take turns. *Speedup* is relative to the same trainings one after "
        "another with `train_network`; *relative to one* is the time relative to a single training.",
        "",
        "| what | lanes | batches | one after another, s | in one pass, s | speedup | relative to one |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind, rows in results["kinds"].items():
        for seeds, words in SEEDS.items():
            faster = [row["alone"] / row[seeds] for row in rows]
            ones = [row[seeds] / row["one"] for row in rows]
            lines.append(
                f"| {WHAT[kind]} | {LANES[kind]} | {words} | {spread([row['alone'] for row in rows], 2)} | "
                f"{spread([row[seeds] for row in rows], 2)} | {spread(faster, 2)} | {spread(ones, 2)} |"
            )
    gap = max(row["gap"] for rows in results["kinds"].values() for row in rows)
    lines += [
        "",
        f"The largest difference between the final validation loss of a lane and of the training alone was {gap:.1e}.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    import datetime

    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--busy", action="store_true", help="measure although other programs are running; for testing the script"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results" / "tuning_lanes")
    options = parser.parse_args()
    worker = Worker("lanes", script(sys.executable, "own_lanes.py"))
    kinds = {kind: measure(worker, kind, LANES[kind], options.rounds, options.busy) for kind in options.kinds}
    worker.close()
    now = datetime.date.today().isoformat()
    results = {"date": now, "machine": machine(), "torch": torch.__version__, "again": worker.again, "kinds": kinds}
    keep_results(options.out, results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
