"""Measure how running time and memory grow with the number of images: depth tail on 1 to 16 thousand images.

python benchmarks/growth.py ../shared/data/cifar10/cifar10.npz
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.core.devices import machine
from measuring import keep_results, measure

HERE = Path(__file__).parent
COUNTS = (1000, 2000, 4000, 8000, 16_000)


def page(result: dict[str, Any]) -> str:
    """Return the results as a Markdown page, with the growth of memory per image."""
    rows = result["rows"]
    lines = [
        "# Cost and images",
        "",
        "| images | seconds in total | of which training | peak memory |",
    ]
    lines += ["| --- | --- | --- | --- |"]
    for row in rows:
        training = row["stages"]["training"]
        each = f"{training:.1f} ({1000 * training / row['images']:.1f} ms per image)"
        lines.append(f"| {row['images']:,} | {row['seconds']:.0f} | {each} | {row['peak_mib']:.0f} MiB |")
    first, last = rows[0], rows[-1]
    grew = (last["peak_mib"] - first["peak_mib"]) * 1024 / (last["images"] - first["images"])
    lines += ["", result["about"], ""]
    lines.append(f"Memory grew by {grew:.0f} KiB per image from the first row to the last.")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help=".npz with x_train and y_train")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    with np.load(options.source) as arrays:
        images, labels = arrays["x_train"], arrays["y_train"]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for count in COUNTS:
            np.savez(work / f"{count}.npz", x=images[:count], y=labels[:count])
            command = [sys.executable, "-m", "coverslip", "train", str(work / f"{count}.npz"), "--depth", "tail"]
            command += ["--epochs", str(options.epochs), "--set", f"input.size={options.size}"]
            command += ["--out", str(work / str(count)), "--set", "training.precision=float32"]
            for finding in ("copy-leak", "label-conflict"):
                command += ["--accept", finding]
            measured = measure(command, work / "log", work / f"cache-{count}")
            stages = json.loads((work / str(count) / "environment.json").read_text(encoding="utf-8"))["seconds"]
            rows.append({"images": count, "seconds": measured.seconds, "peak_mib": measured.peak_mib, "stages": stages})
    about = (
        f"Depth tail, {options.epochs} epochs, {options.size} px, {options.source.name}, "
        f"one run each with its own cache; "
        f"{machine()['processor']}, {machine()['cores']} cores. Mapped files do not count as memory."
    )
    result = {"rows": rows, "about": about, "machine": machine()}
    keep_results(HERE / "results" / "growth.json", result, page(result))
    print(page(result))


if __name__ == "__main__":
    main()
