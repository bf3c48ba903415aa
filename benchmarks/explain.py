"""Compare class activation maps of 15 classes at 4 layers with pytorch-grad-cam: running time and differences.

    python benchmarks/explain.py [NETWORK ...] [--rounds 5]

Both use the same network, image and layers, each in its own process, in turns. Writes
`results/explain.json` and `.md`; results of other networks in the file are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from explain_networks import CLASSES, LAYERS, SIZE
from measuring import circumstances, heading, keep_results, peer_python, spread
from workers import Worker, script

HERE = Path(__file__).parent
WAYS = {
    "map": "one map per call, as documented",
    "layer": "one layer per call, the image repeated for every class",
    "call": "one call, with the layers' maps taken from its internals",
}
PAIRS = (
    ("grad-cam", "grad-cam"),
    ("layer-cam", "layer-cam"),
    ("grad-cam++ with their constant", "grad-cam++"),
    ("grad-cam++", "grad-cam++"),
)
GOAL = 5.0  # required speed relative to the documented ways


def compare(own: Worker, peer: Worker, network: str, folder: Path) -> dict[str, dict[str, float]]:
    """Return the largest difference of any value of any map from theirs, by method.

    ``grid`` is on the grid of the layer, relative to the largest value of the layer (a map that is 0 almost everywhere
    is small compared with its rounding errors); ``drawn`` is after resizing each map to the image and scaling it to
    0..1.
    """
    result = {}
    for method, theirs in PAIRS:
        ours, others = folder / "ours.npz", folder / "theirs.npz"
        own.ask(network=network, method=method, file=str(ours))
        peer.ask(network=network, method=theirs, way="call", file=str(others))
        result[method] = {"grid": _difference(ours, others, False)}
        drawn = [path.with_name(f"{path.name}.drawn.npz") for path in (ours, others)]
        result[method]["drawn"] = _difference(drawn[0], drawn[1], True)
    return result


def _difference(ours: Path, theirs: Path, stretch: bool) -> float:
    worst = 0.0
    with np.load(ours) as own_maps, np.load(theirs) as others:
        assert sorted(own_maps) == sorted(others), (sorted(own_maps), sorted(others))
        for name in own_maps:
            assert own_maps[name].shape == others[name].shape and len(own_maps[name]) == CLASSES, name
            peak = max(own_maps[name].max(), others[name].max())
            for pair in zip(own_maps[name], others[name], strict=True):
                a, b = ((each - each.min()) / (np.ptp(each) or 1.0) for each in pair) if stretch else pair
                worst = max(worst, float(np.abs(a - b).max() / (1.0 if stretch else peak)))
    return worst


def measure(own: Worker, peer: Worker, network: str, rounds: int, idle: bool) -> dict[str, dict[str, list[float]]]:
    """Return wall-clock and processor seconds for the 60 maps, one value per round, after a warm-up."""
    result: dict[str, dict[str, list[float]]] = {name: {"seconds": [], "processor": []} for name in ("ours", *WAYS)}
    for number in range(rounds + 1):
        for name, times in result.items():
            worker = own if name == "ours" else peer
            ask = worker.measure if idle and number else worker.ask
            answer = ask(network=network, way=name)
            for kind in times if number else ():
                times[kind].append(answer[kind])
        print(f"{network}: round {number} of {rounds}", flush=True)
    return result


def ratios(times: dict[str, Any], way: str, kind: str) -> list[float]:
    """Return the ratio of their time to ours in each round."""
    return [theirs / ours for ours, theirs in zip(times["ours"][kind], times[way][kind], strict=True)]


def page(results: dict[str, Any]) -> str:
    """Return the results as a Markdown page."""
    lines = [
        "# Class activation maps of many classes and layers",
        "",
        heading(results),
        "",
        f"One image of {SIZE} x {SIZE}, {CLASSES} classes, 4 layers: {4 * CLASSES} maps by Grad-CAM, resized to the "
        "image. Seconds as median [min, max]; in each round all take turns, after a warm-up.",
        "",
        f"| seconds | {' | '.join(results['networks'])} |",
        "| --- |" + " --- |" * len(results["networks"]),
    ]
    networks = results["networks"].values()
    lines[4] += f" Threads: {', '.join(str(each['threads']) for each in networks)}."
    if not all(each["waited"] for each in networks):
        lines[4] += " Other programs were running, as the spread shows."
    for name, label in {"ours": "ours, one pass", **{way: f"pytorch-grad-cam, {WAYS[way]}" for way in WAYS}}.items():
        lines.append(f"| {label} | {' | '.join(spread(each['times'][name]['seconds'], 2) for each in networks)} |")
    lines += [
        "",
        f"Speed relative to pytorch-grad-cam in each round (the goal is {GOAL:.0f} against the documented way), by "
        "wall-clock time, and by processor time, which other programs on the machine influence little:",
        "",
        f"| compared with | {' | '.join(results['networks'])} |",
        "| --- |" + " --- |" * len(results["networks"]),
    ]
    for way, label in WAYS.items():
        cells = [
            "; ".join(spread(ratios(each["times"], way, kind)) for kind in ("seconds", "processor"))
            for each in networks
        ]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    lines += [
        "",
        "The largest difference of any value of the 60 maps: on the grid of the layer, relative to the largest value "
        "of the layer; and after resizing each map to the image and scaling it to 0..1, as pytorch-grad-cam does.",
        "",
        f"| method | {' | '.join(results['networks'])} |",
        "| --- |" + " --- |" * len(results["networks"]),
    ]
    for method, _ in PAIRS:
        cells = [
            f"{each['differences'][method]['grid']:.1e}, {each['differences'][method]['drawn']:.1e}"
            for each in networks
        ]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    lines += [
        "",
        "pytorch-grad-cam's Grad-CAM++ adds 1e-6 to a denominator of squared gradients that are often no larger, so "
        "that its maps depend on the scale of the logits. Ours divides by the squared gradient first, which the "
        "formula allows, and needs no such constant; with the constant it equals theirs. Where activations can be "
        "negative (the linear bottlenecks of EfficientNet-Lite, the transformer) their denominator can cross 0, and "
        "rounding errors determine the maps; ours treats a negative sum of a channel as 0.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(LAYERS), help=", ".join(LAYERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--busy", action="store_true", help="do not wait until the machine is idle; for testing the script"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    python = peer_python("explain", HERE / "peer-explain.txt")
    path = os.pathsep.join([str(HERE.parent / "src"), os.environ.get("PYTHONPATH", "")])
    own = Worker("ours", script(sys.executable, "own_explain.py"))
    peer = Worker("pytorch-grad-cam", script(python, "peer_explain.py"), PYTHONPATH=path)
    file = options.out / "explain.json"
    results: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"networks": {}}
    first_answer = own.ask()
    results |= circumstances("coverslip")
    results["versions"] |= first_answer["versions"] | peer.ask()["versions"]
    with tempfile.TemporaryDirectory() as folder:
        for network in options.networks:
            differences = compare(own, peer, network, Path(folder))
            times = measure(own, peer, network, options.rounds, not options.busy)
            results["networks"][network] = {"times": times, "differences": differences, "waited": not options.busy}
            results["networks"][network]["threads"] = first_answer["threads"]
            print(
                f"{network}: {statistics.median(ratios(times, 'map', 'seconds')):.1f} times as fast as documented",
                flush=True,
            )
    for worker in (own, peer):
        worker.close()
    results["networks"] = {name: results["networks"][name] for name in LAYERS if name in results["networks"]}
    keep_results(file, results, page(results))
    print(page(results))


if __name__ == "__main__":
    main()
