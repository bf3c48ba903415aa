"""Measure training steps on arrays in memory: Coverslip, Keras on three back ends, plain PyTorch and Lightning.

    python benchmarks/steps.py

Batches of 32 images of 64 x 64; every peer in a separate process, in turns, `--rounds` times after a warm-up.
Writes `results/steps.json` and `.md`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

from measuring import circumstances, heading, keep_results, peer_python, spread
from workers import Worker, script

HERE = Path(__file__).parent
NETWORKS = ("mlp", "cnn", "cnn-norm", "resnet18")
SIZE, BATCH = 64, 32
SECONDS, LEAST, MOST = 1.5, 2, 120  # duration of a timed epoch; its steps
OURS = ("ours, float32", "ours, bfloat16")
BACKENDS = ("Keras, TensorFlow", "Keras, JAX", "Keras, PyTorch")
GOAL = {"mlp": 1.0}  # required speed relative to the best back end of Keras; 1.2 for the others


def start_workers() -> dict[str, Worker]:
    """Return the workers: every peer, and ours in float32 and in bfloat16."""
    python = peer_python("keras", HERE / "peer-keras.txt")

    def keras(name: str, backend: str, *policy: str) -> Worker:
        variables = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"}
        return Worker(name, script(python, "peer_steps.py", "keras", *policy), **variables)

    workers = [Worker(name, script(sys.executable, "own_steps.py", name.split()[1])) for name in OURS]
    workers += [keras(name, name.split()[-1].lower().replace("py", "")) for name in BACKENDS]
    workers += [
        keras("Keras, TensorFlow, mixed_bfloat16", "tensorflow", "mixed_bfloat16"),
        Worker("plain PyTorch", script(python, "peer_steps.py", "torch")),
        Worker("Lightning", script(python, "peer_steps.py", "lightning")),
    ]
    return {worker.name: worker for worker in workers}


def measure_rounds(workers: dict[str, Worker], rounds: int) -> tuple[dict[str, dict[str, list[float]]], dict[str, Any]]:
    """Return images per second of every worker and network in each round, and further values of our first worker."""
    counts: dict[tuple[str, str], int] = {}
    about: dict[str, Any] = {"versions": {}, "peak": {"float32": [], "bfloat16": []}, "work": {}}
    for name, worker in workers.items():
        about["versions"] |= worker.ask()["versions"]
        for network in NETWORKS:
            for count in (2 * BATCH, 4 * BATCH):  # the first one compiles
                seconds = worker.ask(name=network, count=count, size=SIZE)["seconds"]
            steps = round(SECONDS / (seconds / 4))
            counts[name, network] = BATCH * min(max(steps, LEAST), MOST)
        print(f"{name} is warm", flush=True)
    speeds: dict[str, dict[str, list[float]]] = {network: {name: [] for name in workers} for network in NETWORKS}
    ours = workers["ours, float32"]
    about["work"] = {network: ours.ask(name=network, size=SIZE)["work"] for network in NETWORKS}
    for number in range(rounds):
        for kind, rate in ours.measure()["peak"].items():
            about["peak"][kind].append(rate)
        for network in NETWORKS:
            for name, worker in workers.items():
                count = counts[name, network]
                seconds = worker.measure(name=network, count=count, size=SIZE)["seconds"]
                speeds[network][name].append(count / seconds)
        print(f"round {number + 1} of {rounds}", flush=True)
    about["overhead"] = ours.measure(overhead=True)["overhead"]
    about["chosen"] = {network: ours.measure(chosen=network, size=SIZE)["chosen"] for network in NETWORKS}
    about["again"] = {name: worker.again for name, worker in workers.items()}
    return speeds, about


def ratios(own_speeds: list[float], theirs: list[float]) -> list[float]:
    """Return the ratio of consecutive measurements in each round."""
    return [a / b for a, b in zip(own_speeds, theirs, strict=True)]


def page(results: dict[str, Any]) -> str:
    """Return the results as a Markdown page."""
    speeds = results["images_per_second"]
    lines = [
        "# Steps of training on arrays in memory",
        "",
        heading(results),
        "",
        f"Batches of {BATCH} images of {SIZE} x {SIZE}, Adam. Images per second in an epoch of about {SECONDS} s, as",
        "median [min, max]; in each round all take turns, after a warm-up. An epoch was measured again if other",
        "programs used more than a tenth of a core. `mixed_bfloat16` is not the default of Keras; it is listed",
        "for comparison with our `bfloat16`.",
        "",
        "| images a second | " + " | ".join(NETWORKS) + " |",
        "| --- |" + " --- |" * len(NETWORKS),
    ]
    for name in speeds[NETWORKS[0]]:
        lines.append(f"| {name} | " + " | ".join(spread(speeds[each][name], 0) for each in NETWORKS) + " |")
    lines += [
        "",
        "Speed relative to the peers in each round (the goal refers to the best of the three back ends of Keras):",
        "",
    ]
    headings = ("network", "best of Keras", "goal", "ours, float32", "ours, bfloat16", "chosen by `auto`")
    lines += [f"| {' | '.join(headings)} |", "| --- |" + " --- |" * (len(headings) - 1)]
    for network in NETWORKS:
        rates = speeds[network]
        best = max(BACKENDS, key=lambda name: statistics.median(rates[name]))
        own_speeds = [spread(ratios(rates[f"ours, {kind}"], rates[best]), 2) for kind in ("float32", "bfloat16")]
        goal, chosen = GOAL.get(network, 1.2), results["chosen"][network]
        lines.append(f"| {network} | {best} | {goal} | {' | '.join(own_speeds)} | {chosen} |")
    lines += [
        "",
        "Our step relative to the fastest matrix product of the machine, and the fraction used by our callbacks:",
    ]
    headings = (
        "float32, fraction of peak",
        "bfloat16, fraction of peak",
        "callbacks, of float32",
        "callbacks, of bfloat16",
    )
    lines += ["", f"| network | {' | '.join(headings)} |", "| --- |" + " --- |" * 4]
    callback_seconds = statistics.median(results["overhead"])
    for network in NETWORKS:
        rates, work = speeds[network], results["work"][network]
        shares = [
            statistics.median(rates[f"ours, {kind}"]) * work / max(results["peak"][kind])
            for kind in ("float32", "bfloat16")
        ]
        costs = [callback_seconds * statistics.median(rates[name]) / BATCH for name in OURS]
        lines.append(f"| {network} | {shares[0]:.0%} | {shares[1]:.0%} | {costs[0]:.2%} | {costs[1]:.2%} |")
    peaks = [f"{max(results['peak'][kind]) / 1e9:.0f} ({kind})" for kind in ("float32", "bfloat16")]
    lines += ["", f"The fastest matrix product (2048 x 2048): {' and '.join(peaks)} billion operations per second."]
    microseconds = spread([1e6 * each for each in results["overhead"]], 0)
    lines.append(f"Callbacks and everything except forward, backward and update: {microseconds} microseconds per step.")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    workers = start_workers()
    speeds, about = measure_rounds(workers, options.rounds)
    for worker in workers.values():
        worker.close()
    results = circumstances("coverslip", "torch", "numpy")
    results["versions"] |= about.pop("versions")
    results |= about | {"images_per_second": speeds}
    keep_results(options.out / "steps.json", results, page(results))
    print(page(results))


if __name__ == "__main__":
    main()
