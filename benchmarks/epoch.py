"""Measure an epoch from a folder of JPEGs with augmentation: Coverslip, fastai and Keras.

    python benchmarks/epoch.py ../shared/data/plantvillage

All use the same small network, batches of 32 and 1,000 images. Each process trains a few epochs; the first one (which
fills caches) is reported separately. Writes `results/epoch.json` and `.md`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from coverslip.data.scan import scan
from measuring import circumstances, environment, heading, keep_results, peer_python, spread
from workers import run_alone, script

HERE = Path(__file__).parent
SIZES = (64, 128)
PEERS = {"fastai": "fastai", "keras": "Keras, TensorFlow", "keras-cache": "Keras, TensorFlow, .cache()"}
OURS = {"float32": "ours, float32", "bfloat16": "ours, bfloat16"}


def choose_images(source: Path, count: int, target: Path) -> int:
    """Create links to images that are evenly distributed over a folder."""
    table = scan(source)
    step = max(1, len(table) // count)
    chosen = [path for path in table.paths[::step] if path.lower().endswith((".jpg", ".jpeg"))][:count]
    for path in chosen:
        link = target / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((source / path).resolve())
        link.read_bytes()  # otherwise the first process would measure the disk
    return len(chosen)


def measure(commands: dict[str, list[str]], size: int, epochs: int, rounds: int) -> dict[str, Any]:
    """Return the seconds of the first and of later epochs by name, and the versions; the processes take turns."""
    seconds_of: dict[str, Any] = {name: {"first": [], "later": []} for name in commands}
    versions: dict[str, str] = {}
    for number in range(rounds):
        for name, command in commands.items():
            with tempfile.TemporaryDirectory(prefix="epoch-") as cache, environment(COVERSLIP_CACHE=cache):
                answer = run_alone(name, [*command, str(size), str(epochs)])
            seconds_of[name]["first"].append(answer["seconds"][0])
            seconds_of[name]["later"] += answer["seconds"][1:]
            versions |= answer["versions"]
            later = statistics.median(answer["seconds"][1:])
            print(f"{size} px, round {number + 1}, {name}: {answer['seconds'][0]:.1f}, then {later:.1f} s", flush=True)
    return {"seconds": seconds_of, "versions": versions}


def page(results: dict[str, Any]) -> str:
    """Return the results as a Markdown page."""
    lines = [
        "# An epoch from a folder of JPEGs, with augmentation",
        "",
        heading(results),
        "",
        f"{results['images']:,} images of 256 x 256 pixels, batches of 32, three blocks of convolutions and 128",
        "dense units, Adam, no validation. Seconds as median [min, max]. Flips, rotations of 10 degrees, shifts, zoom,",
        "brightness and contrast for all; ours also saturation and hue, fastai's own `aug_transforms()` also warps.",
        "Our first epoch includes scanning and decoding. A process was measured again if other programs used more than",
        "a tenth of a core. fastai trains on 98 % of the images; its seconds are divided by this fraction.",
        "Keras without `.cache()` is the example of keras.io; by default ours uses the faster precision (`auto`).",
    ]
    for size, seconds_of in results["sizes"].items():
        lines += [
            "",
            f"## {size} px",
            "",
            "| program | first epoch | later epochs | relative to ours, float32 | bfloat16 |",
        ]
        lines.append("| --- |" + " --- |" * 4)
        own_medians = [statistics.median(seconds_of[name]["later"]) for name in OURS.values()]
        for name, seconds in seconds_of.items():
            later = statistics.median(seconds["later"])
            times = " | ".join("" if name in OURS.values() else f"{later / each:.1f}" for each in own_medians)
            lines.append(f"| {name} | {spread(seconds['first'])} | {spread(seconds['later'], 2)} | {times} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of class folders")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=4, help="epochs per process; the first is reported separately")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    keras = peer_python("keras", HERE / "peer-keras.txt")
    pythons = {"fastai": peer_python("fastai", HERE / "peer-constraints.txt"), "keras": keras, "keras-cache": keras}
    results = circumstances("coverslip", "torch", "numpy") | {"sizes": {}}
    with tempfile.TemporaryDirectory(prefix="epoch-") as folder:
        work = Path(folder)
        results["images"] = choose_images(options.data, options.images, work)
        commands = {called: script(sys.executable, "own_epoch.py", name, work) for name, called in OURS.items()}
        commands |= {called: script(pythons[name], "peer_epoch.py", name, work) for name, called in PEERS.items()}
        for size in SIZES:
            measured = measure(commands, size, options.epochs, options.rounds)
            results["sizes"][str(size)] = measured["seconds"]
            results["versions"] |= measured["versions"]
    keep_results(options.out / "epoch.json", results, page(results))
    print(page(results))


if __name__ == "__main__":
    main()
