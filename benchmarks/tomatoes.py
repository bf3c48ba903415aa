"""Measure the time to the best accuracy that a peer reaches in fifteen minutes, on ten classes of tomato leaves.

    python benchmarks/tomatoes.py ../shared/data/plantvillage

The images are split by leaf (``shots:3``); split and network (small, with batch norm) are the same for all. Each peer
trains for fifteen minutes, and the best accuracy of any epoch of any peer on the test images is the goal. Then
Coverslip trains until it is reached. Writes `results/tomatoes.json` and `.md`; peers with results for the same
settings are run again only with ``--again``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.data.groups import group_table
from coverslip.data.scan import scan
from coverslip.data.split import assign_splits
from measuring import circumstances, environment, heading, keep_results, peer_python, spread
from workers import run_alone, script

HERE = Path(__file__).parent
PEERS = {"keras": "Keras, TensorFlow", "fastai": "fastai, fit_one_cycle", "lightning": "Lightning"}


def divide(source: Path, target: Path, only: str | tuple[str, ...] = "Tomato", seed: int = 0) -> dict[str, int]:
    """Create links to images as ``train/CLASS`` and ``test/CLASS``, split by leaf; return the number of images of each.

    Args:
        source: folder of plantvillage.
        target: folder for the links.
        only: prefix of the classes to use.
        seed: seed of the split.
    """
    table = group_table(scan(source), "shots:3")
    rows = [row for row, path in enumerate(table.paths) if path.startswith(only)]
    parts = assign_splits(np.asarray(table.labels(rows)), table.groups(rows), (0.8, 0.2), seed)
    counts = {"train": 0, "test": 0}
    for row, number in zip(rows, parts.tolist(), strict=True):
        part, path = ("train", "test")[number], Path(table.paths[row])
        link = target / part / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((source / path).resolve())
        counts[part] += 1
    return counts


def page(results: dict[str, Any]) -> str:
    """Return the results as a Markdown page."""
    goal, ours = results["goal"], results["ours"]
    lines = [
        "# From scratch to the best that a peer reaches in fifteen minutes: ten classes of tomato leaves",
        "",
        heading(results),
        "",
        f"{results['images']['train']:,} training images, {results['images']['test']:,} test images of other",
        f"leaves (`--group shots:3`), {results['size']} px; three blocks of convolutions with batch norm and",
        "128 dense units for all. Measured from the start of training (ours: of scanning the folder), including the",
        "evaluation after each epoch. Each peer as documented, one run. The best epoch is chosen with the test",
        "images, for the peers and for us, as usual for a benchmark of time to accuracy; it is not an estimate for",
        "other images. Other programs used, on average, "
        + ", ".join(f"{best:.2f}" for best in results["others"].values())
        + " cores during the runs of the peers (in this order).",
        "",
        "| program | epochs in its time | best accuracy | after seconds |",
        "| --- | --- | --- | --- |",
    ]
    for name, rows in results["peers"].items():
        seconds, best = max(rows, key=lambda row: (row[1], -row[0]))
        lines.append(f"| {name} | {len(rows)} in {rows[-1][0]:.0f} s | {best:.3f} | {seconds:.0f} |")
    reached = [
        first
        for rows in ours
        if (first := next((at for at, reached_accuracy in rows if reached_accuracy >= goal), None))
    ]
    lines += ["", f"Ours to {goal:.3f}: {len(reached)} of {len(ours)} runs reached it"]
    if reached:
        fastest = min(row[0] for rows in results["peers"].values() for row in rows if row[1] >= goal)
        middle = statistics.median(reached)
        lines[-1] += f", after {spread(reached, 0)} seconds; the best peer needed {fastest / middle:.1f} times that"
    lines[-1] += "."
    lines += [
        "",
        "Ours trains 45 epochs with flips, rotations by 90 degrees and cutmix, in bfloat16; if this is not enough, 90",
        "from scratch. These settings were chosen with these test images, too.",
    ]
    if "note" in results:
        lines += ["", f"Note: {results['note']}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="plantvillage")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--limit", type=int, default=900, help="seconds for each training")
    parser.add_argument("--rounds", type=int, default=3, help="runs of ours")
    parser.add_argument("--again", action="store_true", help="run the peers again")
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS), help="only these")
    parser.add_argument("--note", default="", help="additional sentence for the page")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "tomatoes.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() and not options.again else {}
    if (before.get("size"), before.get("limit")) != (options.size, options.limit):
        before = {}
    results = circumstances("coverslip", "torch")
    results["versions"] |= before.get("versions", {})
    titles = [PEERS[name] for name in options.peers]
    kept = {title: rows for title, rows in before.get("peers", {}).items() if title in titles}
    results |= {"size": options.size, "limit": options.limit, "peers": kept}
    results |= {"note": options.note} if options.note else {}
    results["others"] = {title: best for title, best in before.get("others", {}).items() if title in kept}
    keras, fastai = peer_python("keras", HERE / "peer-keras.txt"), peer_python("fastai", HERE / "peer-constraints.txt")
    pythons = {"keras": keras, "lightning": keras, "fastai": fastai}
    with tempfile.TemporaryDirectory(prefix="tomatoes-") as folder:
        results["images"] = divide(options.data, Path(folder))
        tail = [folder, str(options.size)]
        for name, title in PEERS.items():
            if title in results["peers"] or title not in titles:
                continue
            command = [*script(pythons[name], "peer_tomatoes.py", name), *tail, str(options.limit), "0"]
            answer = run_alone(title, command, again=False)
            results["peers"][title], results["others"][title] = answer["epochs"], answer["others"]
            results["versions"] |= answer["versions"]
            path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")  # a quarter of an hour of work
            print(f"{title}: best {max(row[1] for row in answer['epochs']):.3f}", flush=True)
        # Tolerance of less than one image: 454 of 470 differs between 32 and 64 bits.
        results["goal"] = max(row[1] for rows in results["peers"].values() for row in rows) - 1e-4
        results["ours"] = []
        for seed in range(options.rounds):
            with tempfile.TemporaryDirectory(prefix="tomatoes-") as cache, environment(COVERSLIP_CACHE=cache):
                command = [*script(sys.executable, "own_tomatoes.py"), *tail, str(results["goal"]), str(options.limit)]
                results["ours"].append(run_alone("ours", [*command, str(seed)], again=False)["epochs"])
            print(f"ours: {results['ours'][-1][-1][1]:.3f} after {results['ours'][-1][-1][0]:.0f} s", flush=True)
            keep_results(path, results, page(results))
    print(page(results))


if __name__ == "__main__":
    main()
