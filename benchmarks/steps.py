"""Steps of training on arrays in memory: Coverslip beside Keras on its three back ends, plain PyTorch and Lightning.

    python benchmarks/steps.py

Batches of 32 images of 64 x 64; every peer in its own process, all asked in turn, `--rounds` times after a warm-up.
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
SECONDS, LEAST, MOST = 1.5, 2, 120  # of an epoch that is timed; its steps
OURS = ("ours, float32", "ours, bfloat16")
BACKENDS = ("Keras, TensorFlow", "Keras, JAX", "Keras, PyTorch")
GOAL = {"mlp": 1.0}  # times the best back end of Keras; 1.2 for the others


def start_workers() -> dict[str, Worker]:
    """Every peer, and ours in float32 and in bfloat16."""
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
    """Images a second of every worker on every network, a number a round; and what our first worker says beside."""
    counts: dict[tuple[str, str], int] = {}
    about: dict[str, Any] = {"versions": {}, "peak": {"float32": [], "bfloat16": []}, "work": {}}
    for name, worker in workers.items():
        about["versions"] |= worker.ask()["versions"]
        for network in NETWORKS:
            for count in (2 * BATCH, 4 * BATCH):  # the first compiles
                seconds = worker.ask(name=network, count=count, size=SIZE)["seconds"]
            steps = round(SECONDS / (seconds / 4))
            counts[name, network] = BATCH * min(max(steps, LEAST), MOST)
        print(f"{name} is warm", flush=True)
    found: dict[str, dict[str, list[float]]] = {network: {name: [] for name in workers} for network in NETWORKS}
    ours = workers["ours, float32"]
    about["work"] = {network: ours.ask(name=network, size=SIZE)["work"] for network in NETWORKS}
    for number in range(rounds):
        for kind, rate in ours.measure()["peak"].items():
            about["peak"][kind].append(rate)
        for network in NETWORKS:
            for name, worker in workers.items():
                count = counts[name, network]
                seconds = worker.measure(name=network, count=count, size=SIZE)["seconds"]
                found[network][name].append(count / seconds)
        print(f"round {number + 1} of {rounds}", flush=True)
    about["overhead"] = ours.measure(overhead=True)["overhead"]
    about["chosen"] = {network: ours.measure(chosen=network, size=SIZE)["chosen"] for network in NETWORKS}
    about["again"] = {name: worker.again for name, worker in workers.items()}
    return found, about


def ratios(mine: list[float], theirs: list[float]) -> list[float]:
    """Round by round: neighbors in time."""
    return [a / b for a, b in zip(mine, theirs, strict=True)]


def page(results: dict[str, Any]) -> str:
    """The results for people."""
    found = results["images_per_second"]
    lines = [
        "# Steps of training on arrays in memory",
        "",
        heading(results),
        "",
        f"Batches of {BATCH} images of {SIZE} x {SIZE}, Adam. Images a second in an epoch of about {SECONDS} s, as",
        "median [least, most]; all were asked in turn in each round, after a warm-up. An epoch in which other",
        "programs took more than a tenth of a core was measured again. Keras' `mixed_bfloat16` is not its default; it",
        "stands here because our `bfloat16` does.",
        "",
        "| images a second | " + " | ".join(NETWORKS) + " |",
        "| --- |" + " --- |" * len(NETWORKS),
    ]
    for name in found[NETWORKS[0]]:
        lines.append(f"| {name} | " + " | ".join(spread(found[each][name], 0) for each in NETWORKS) + " |")
    lines += ["", "Times as fast, round by round (the goal is against the best of Keras' three back ends):", ""]
    heads = ("network", "best of Keras", "goal", "ours, float32", "ours, bfloat16", "as it comes: `auto` takes")
    lines += [f"| {' | '.join(heads)} |", "| --- |" + " --- |" * (len(heads) - 1)]
    for network in NETWORKS:
        rates = found[network]
        best = max(BACKENDS, key=lambda name: statistics.median(rates[name]))
        mine = [spread(ratios(rates[f"ours, {kind}"], rates[best]), 2) for kind in ("float32", "bfloat16")]
        goal, chosen = GOAL.get(network, 1.2), results["chosen"][network]
        lines.append(f"| {network} | {best} | {goal} | {' | '.join(mine)} | {chosen} |")
    lines += ["", "Our step beside the machine's best matrix product, and the share of it that our callbacks take:"]
    heads = ("float32, share of peak", "bfloat16, share of peak", "callbacks, of float32", "callbacks, of bfloat16")
    lines += ["", f"| network | {' | '.join(heads)} |", "| --- |" + " --- |" * 4]
    beside = statistics.median(results["overhead"])
    for network in NETWORKS:
        rates, work = found[network], results["work"][network]
        shares = [
            statistics.median(rates[f"ours, {kind}"]) * work / max(results["peak"][kind])
            for kind in ("float32", "bfloat16")
        ]
        costs = [beside * statistics.median(rates[name]) / BATCH for name in OURS]
        lines.append(f"| {network} | {shares[0]:.0%} | {shares[1]:.0%} | {costs[0]:.2%} | {costs[1]:.2%} |")
    peaks = [f"{max(results['peak'][kind]) / 1e9:.0f} ({kind})" for kind in ("float32", "bfloat16")]
    lines += ["", f"The best matrix product (2048 x 2048): {' and '.join(peaks)} billion operations a second."]
    microseconds = spread([1e6 * each for each in results["overhead"]], 0)
    lines.append(
        f"Callbacks and all that stands beside forward, backward and update: {microseconds} microseconds a step."
    )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    workers = start_workers()
    found, about = measure_rounds(workers, options.rounds)
    for worker in workers.values():
        worker.close()
    results = circumstances("coverslip", "torch", "numpy")
    results["versions"] |= about.pop("versions")
    results |= about | {"images_per_second": found}
    keep_results(options.out / "steps.json", results, page(results))
    print(page(results))


if __name__ == "__main__":
    main()
