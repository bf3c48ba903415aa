"""Measure `coverslip predict` on many images: speed relative to its slower stage, memory over time, kill and resume.

    python benchmarks/predict_many.py ../shared/data/plantvillage --images 20000

trains a head on the data, creates a folder of this many *different* images (each image of the data rotated, cropped and
brightened at random: for identical images the cached features would be used), and measures on them, in turns:

* the decoding stage alone, on all cores;
* the inference stage alone: the engine on prepared images, repeatedly;
* the whole command in a separate process, with its memory over time, and again with `kill -9` in the middle and
  `--resume`, which must give an identical file.

The files are in the page cache (they have just been written). It writes `results/predict_many.json` and `.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from coverslip import api
from coverslip.core.progress import Stage, TerminalProgress
from coverslip.data.decoding import PixelFormat, decode_all
from coverslip.data.sources.source import Files
from coverslip.data.sources.unlabeled import find_images
from coverslip.inference.predictor import CACHE_LIMIT, Predictor
from first_model import HERE, PACKAGES
from many_images import multiply
from measuring import circumstances, heading, keep_results, own_bytes, spread

REQUIRED = 0.85
POOL = 512  # number of prepared images for the engine
FLAT = 0.05


def decoding_alone(model: Predictor, folder: Path) -> float:
    """Images a second."""
    listing, spec = find_images([folder]), model.spec
    form, start = PixelFormat(spec.channels, spec.depth), time.perf_counter()
    for _ in decode_all(
        Files(listing.root), listing.paths, form, spec.size, spec.fit, Stage(), widen=False, statistics=False
    ):
        pass
    return len(listing.paths) / (time.perf_counter() - start)


def inference_alone(model: Predictor, folder: Path, number: int) -> float:
    """Return the images per second without preparation."""
    listing, spec, engine = find_images([folder]), model.spec, model.extractor.engine
    form = PixelFormat(spec.channels, spec.depth)
    chunks = decode_all(Files(listing.root), listing.paths[:POOL], form, spec.size, spec.fit, Stage(), widen=False)
    prepared = spec.prepare(np.concatenate([chunk.pixels for chunk in chunks]))
    batches = [prepared[at : at + engine.batch] for at in range(0, len(prepared), engine.batch)]
    rounds = -(-number // engine.batch)
    for _ in engine.run(batches[:8]):
        pass
    start = time.perf_counter()
    done = sum(len(each) for each in engine.run(batches[place % len(batches)] for place in range(rounds)))
    return done / (time.perf_counter() - start)


def command(run: Path, folder: Path, out: Path, *more: str) -> list[str]:
    program = Path(sysconfig.get_path("scripts")) / "coverslip"
    return [str(each) for each in (program, "predict", run, folder, "--out", out, *more)]


def whole_command(run: Path, folder: Path, out: Path, log: Path) -> dict[str, Any]:
    """Return the seconds of the process and of its stage, and its memory twice per second."""
    memory, start = [], time.perf_counter()
    with log.open("wb") as file:
        process = subprocess.Popen(command(run, folder, out), stdout=file, stderr=subprocess.STDOUT)
        while process.poll() is None:
            memory.append((round(time.perf_counter() - start, 2), own_bytes(process.pid) / 2**20))
            time.sleep(0.5)
    seconds = time.perf_counter() - start
    said = log.read_text(encoding="utf-8")
    if process.returncode != 0:
        sys.exit(said[-3000:])
    stage = re.search(r"predicting: [\d,]+ images in ([\d.]+) s", said)
    assert stage is not None
    return {"seconds": seconds, "stage_seconds": float(stage[1]), "memory_mib": memory}


def killed_and_resumed(run: Path, folder: Path, out: Path, log: Path, number: int) -> dict[str, Any]:
    """Kill the process with `kill -9` when half is written, then run it with `--resume`."""
    journal = out.with_name(f"{out.name}.journal")
    with log.open("wb") as file:
        process = subprocess.Popen(command(run, folder, out), stdout=file, stderr=subprocess.STDOUT)
        while rows_of(journal) < number / 2 and process.poll() is None:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kept, start = rows_of(journal), time.perf_counter()
        subprocess.run(command(run, folder, out, "--resume"), stdout=file, stderr=subprocess.STDOUT, check=True)
    return {"rows_before": kept, "resumed_seconds": time.perf_counter() - start}


def rows_of(journal: Path) -> int:
    """Return the number of rows in the journal."""
    try:
        lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)[1:]
    except OSError:
        return 0
    return sum(json.loads(line)["rows"] for line in lines if line.endswith("\n"))


def growth(memory: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Return the memory in MiB in the second and the last fifth of the time (medians), and its relative growth."""
    end = memory[-1][0]
    early, late = (
        statistics.median(mib for at, mib in memory if low * end <= at <= high * end)
        for low, high in ((0.2, 0.4), (0.8, 0.98))
    )
    return early, late, late / early - 1


def page(results: dict[str, Any]) -> str:
    number, runs = results["images"], results["whole"]
    decoding, inference = (statistics.median(results[name]) for name in ("decoding", "inference"))
    slower = min(decoding, inference)
    stage = [number / each["stage_seconds"] for each in runs]
    process = [number / each["seconds"] for each in runs]
    early, late, grew = growth(runs[-1]["memory_mib"])
    killed = results["killed"]
    kept = "kept" if number <= CACHE_LIMIT else "not kept"
    slowest = [("from the first image to the last", stage), ("from the start of the process to its end", process)]
    rows = [
        f"| `coverslip predict`, {what} | {spread(each)} | {spread([one / slower for one in each], 2)} |"
        for what, each in slowest
    ]
    best = 1 / (1 / decoding + 1 / inference) / slower
    most = max(mib for _, mib in runs[-1]["memory_mib"])
    rest = f"{number - killed['rows_before']:,} more in {killed['resumed_seconds']:.0f} s"
    return f"""# Predicting very many images

{heading(results)}
{number:,} different images made from {results["data"]}, a head on {results["network"]}; their features were {kept} in
the cache. Images per second:

| what | images/s | relative to the slower stage |
| --- | --- | --- |
| decoding alone, all cores | {spread(results["decoding"])} | |
| inference alone, all cores, prepared images | {spread(results["inference"])} | |
{chr(10).join(rows)}

Required: {REQUIRED}. On a CPU both stages need all cores; without any overhead {best:.2f} would be possible.

Anonymous memory: {early:.0f} MiB in the second fifth of the time, {late:.0f} MiB in the last
({grew:+.1%}; required within {FLAT:.0%}), maximum {most:.0f} MiB.

Killed by `kill -9` after {killed["rows_before"]:,} rows and resumed: {rest}.
The file is identical to that of an uninterrupted call: {killed["same"]}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of class folders to train on and to multiply")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the results")
    options = parser.parse_args()
    number = options.images
    results: dict[str, Any] = {"decoding": [], "inference": [], "whole": []}
    with tempfile.TemporaryDirectory(prefix="predict-many-") as name:
        work = Path(name)
        os.environ["COVERSLIP_CACHE"] = str(work / "cache")
        run = api.train(options.data, work / "run", progress=TerminalProgress()).folder
        folder = work / "images"
        multiply(options.data, number, folder)
        print(f"{number:,} images made", flush=True)
        model = api.load(run)
        for repeat in range(options.repeats):
            results["decoding"].append(decoding_alone(model, folder))
            results["inference"].append(inference_alone(model, folder, number))
            shutil.rmtree(work / "cache" / "features", ignore_errors=True)  # up to CACHE_LIMIT images are kept there
            results["whole"].append(whole_command(run, folder, work / f"{repeat}.csv", work / f"{repeat}.log"))
            last = results["whole"][-1]
            print(
                f"decoding {results['decoding'][-1]:.0f}/s, inference {results['inference'][-1]:.0f}/s, whole "
                f"{number / last['stage_seconds']:.0f}/s ({number / last['seconds']:.0f}/s including the start), "
                f"memory {growth(last['memory_mib'])}",
                flush=True,
            )
        killed = killed_and_resumed(run, folder, work / "killed.csv", work / "killed.log", number)
        killed["same"] = (work / "killed.csv").read_bytes() == (work / "0.csv").read_bytes()
        results |= {"killed": killed, "network": model.design.network}
    results |= circumstances(*PACKAGES) | {"data": options.data.name, "images": number}
    keep_results(options.out / "predict_many.json", results, page(results))
    print(page(results))


if __name__ == "__main__":
    main()
