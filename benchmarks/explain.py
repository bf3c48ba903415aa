"""Class activation maps of 15 classes at 4 layers: ours in one pass, beside pytorch-grad-cam; are they the same?

    python benchmarks/explain.py [NETWORK ...] [--rounds 5]

Both work on the same network, image and layers, each in its own process, asked in turn. Writes
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
    "map": "a map a call, as documented",
    "layer": "a layer a call, the image repeated for every class",
    "call": "one call, the layers' maps taken from its inside",
}
PAIRS = (
    ("grad-cam", "grad-cam"),
    ("layer-cam", "layer-cam"),
    ("grad-cam++ with their constant", "grad-cam++"),
    ("grad-cam++", "grad-cam++"),
)
GOAL = 5.0  # times as fast as the documented ways


def compare(own: Worker, peer: Worker, network: str, folder: Path) -> dict[str, dict[str, float]]:
    """The largest difference of any number of any map from theirs, by method.

    ``grid`` is on the layer's own grid, as a share of the layer's largest (a map that is cut away at 0 almost
    everywhere is small beside its own rounding); ``drawn`` after stretching each map to the image and from 0 to 1.
    """
    found = {}
    for mine, theirs in PAIRS:
        ours, others = folder / "ours.npz", folder / "theirs.npz"
        own.ask(network=network, method=mine, file=str(ours))
        peer.ask(network=network, method=theirs, way="call", file=str(others))
        found[mine] = {"grid": _difference(ours, others, False)}
        drawn = [path.with_name(f"{path.name}.drawn.npz") for path in (ours, others)]
        found[mine]["drawn"] = _difference(drawn[0], drawn[1], True)
    return found


def _difference(ours: Path, theirs: Path, stretch: bool) -> float:
    worst = 0.0
    with np.load(ours) as mine, np.load(theirs) as others:
        assert sorted(mine) == sorted(others), (sorted(mine), sorted(others))
        for name in mine:
            assert mine[name].shape == others[name].shape and len(mine[name]) == CLASSES, name
            whole = max(mine[name].max(), others[name].max())
            for pair in zip(mine[name], others[name], strict=True):
                a, b = ((each - each.min()) / (np.ptp(each) or 1.0) for each in pair) if stretch else pair
                worst = max(worst, float(np.abs(a - b).max() / (1.0 if stretch else whole)))
    return worst


def measure(own: Worker, peer: Worker, network: str, rounds: int, idle: bool) -> dict[str, dict[str, list[float]]]:
    """Seconds for the 60 maps, by the clock and of the processors, a number a round, after one that warms up."""
    found: dict[str, dict[str, list[float]]] = {name: {"seconds": [], "processor": []} for name in ("ours", *WAYS)}
    for number in range(rounds + 1):
        for name, times in found.items():
            worker = own if name == "ours" else peer
            ask = worker.measure if idle and number else worker.ask
            answer = ask(network=network, way=name)
            for kind in times if number else ():
                times[kind].append(answer[kind])
        print(f"{network}: round {number} of {rounds}", flush=True)
    return found


def ratios(times: dict[str, Any], way: str, kind: str) -> list[float]:
    """Theirs by ours, round by round."""
    return [theirs / ours for ours, theirs in zip(times["ours"][kind], times[way][kind], strict=True)]


def page(results: dict[str, Any]) -> str:
    """The results for people."""
    lines = [
        "# Class activation maps of many classes and layers",
        "",
        heading(results),
        "",
        f"One image of {SIZE} x {SIZE}, {CLASSES} classes, 4 layers: {4 * CLASSES} maps by Grad-CAM, brought to the "
        "image's size. Seconds as median [least, most]; all were asked in turn in each round, after a warm-up.",
        "",
        f"| seconds | {' | '.join(results['networks'])} |",
        "| --- |" + " --- |" * len(results["networks"]),
    ]
    networks = results["networks"].values()
    lines[4] += f" Threads: {', '.join(str(each['threads']) for each in networks)}."
    if not all(each["waited"] for each in networks):
        lines[4] += " Other programs ran beside: the spread shows it."
    for name, label in {"ours": "ours, one pass", **{way: f"pytorch-grad-cam, {WAYS[way]}" for way in WAYS}}.items():
        lines.append(f"| {label} | {' | '.join(spread(each['times'][name]['seconds'], 2) for each in networks)} |")
    lines += [
        "",
        f"Times as fast, round by round (the goal is {GOAL:.0f} against what is documented), by the clock; and by the "
        "processor time, which other programs on the machine change little:",
        "",
        f"| beside | {' | '.join(results['networks'])} |",
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
        "The largest difference of any number of any of the 60 maps: on the layer's own grid, as a share of that "
        "layer's largest; and after stretching each map to the image and from 0 to 1, as pytorch-grad-cam does.",
        "",
        f"| method | {' | '.join(results['networks'])} |",
        "| --- |" + " --- |" * len(results["networks"]),
    ]
    for mine, _ in PAIRS:
        cells = [
            f"{each['differences'][mine]['grid']:.1e}, {each['differences'][mine]['drawn']:.1e}" for each in networks
        ]
        lines.append(f"| {mine} | {' | '.join(cells)} |")
    lines += [
        "",
        "pytorch-grad-cam's Grad-CAM++ adds 1e-6 to a denominator of squared gradients that are often no larger, so "
        "that its maps depend on the scale of the scores. Ours divides by the squared gradient first, as the formula "
        "allows, and needs no such number; with it, it gives theirs. Where activations can be negative (the linear "
        "bottlenecks of EfficientNet-Lite, the transformer) their denominator can pass through 0, and rounding makes "
        "the maps; ours counts a channel's sum below 0 as 0.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(LAYERS), help=", ".join(LAYERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--busy", action="store_true", help="do not wait until the machine is idle; to try the script")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    python = peer_python("explain", HERE / "peer-explain.txt")
    path = os.pathsep.join([str(HERE.parent / "src"), os.environ.get("PYTHONPATH", "")])
    own = Worker("ours", script(sys.executable, "own_explain.py"))
    peer = Worker("pytorch-grad-cam", script(python, "peer_explain.py"), PYTHONPATH=path)
    file = options.out / "explain.json"
    results: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"networks": {}}
    said = own.ask()
    results |= circumstances("coverslip")
    results["versions"] |= said["versions"] | peer.ask()["versions"]
    with tempfile.TemporaryDirectory() as folder:
        for network in options.networks:
            differences = compare(own, peer, network, Path(folder))
            times = measure(own, peer, network, options.rounds, not options.busy)
            results["networks"][network] = {"times": times, "differences": differences, "waited": not options.busy}
            results["networks"][network]["threads"] = said["threads"]
            print(f"{network}: {statistics.median(ratios(times, 'map', 'seconds')):.1f} times as fast", flush=True)
    for worker in (own, peer):
        worker.close()
    results["networks"] = {name: results["networks"][name] for name in LAYERS if name in results["networks"]}
    keep_results(file, results, page(results))
    print(page(results))


if __name__ == "__main__":
    main()
