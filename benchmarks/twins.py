"""Evaluate the search for duplicates: recall on synthetic duplicates, false alarms, speed, and real folders.

    python benchmarks/twins.py [--data ../shared/data]

renders 1,000 leaves each in three sizes and 500 fields of tissue, adds duplicates of every kind, and writes
`results/twins.json` and `results/twins.md`. About ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from coverslip.auditing.alignment import reoriented
from coverslip.auditing.duplicates import MAX_CANDIDATES, MIN_SIMILARITY, find_duplicates
from coverslip.auditing.fingerprints import closest_pairs, fingerprints
from coverslip.core.progress import Stage
from coverslip.data import decoding
from coverslip.data.cache import PixelCache, read_pixels
from coverslip.data.decoding import decode_all, guess_format
from coverslip.data.metadata import FileMetadata
from coverslip.data.scan import scan
from coverslip.data.sources.unlabeled import scan_unlabeled
from coverslip.data.synthetic import write_leaves
from measuring import circumstances, environment, keep_results, spread

HERE = Path(__file__).parent
PACKAGES = ("coverslip", "torch", "numpy", "pillow", "scipy")
REAL = ("plantvillage", "oral_histology", "beans_field", "cifar10/cifar10.npz", "nuclei_dsb2018/images",
        "membrane_isbi/images", "retina_vessels/images", "potato_lesions/images")  # fmt: skip
TURNS = tuple(Image.Transpose)
Changed = tuple[Image.Image, int]


def resized(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


def cropped(image: Image.Image, fraction: float, rng: np.random.Generator | None) -> Image.Image:
    """Crop a fraction ``share`` of the sides: at a random position, or equally at all four edges."""
    cut = round(image.width * fraction)
    left, top = (cut // 2, cut // 2) if rng is None else rng.integers(0, cut + 1, 2)
    return image.crop((left, top, left + image.width - cut, top + image.height - cut))


def combined(image: Image.Image, rng: np.random.Generator) -> Changed:
    return resized(image, rng.uniform(0.5, 2)).transpose(TURNS[rng.integers(7)]), int(rng.integers(30, 96))


KINDS: dict[str, Callable[[Image.Image, np.random.Generator], Changed]] = {
    "JPEG, quality 30": lambda image, rng: (image, 30),
    "JPEG, quality 60": lambda image, rng: (image, 60),
    "JPEG, quality 95": lambda image, rng: (image, 95),
    "half the size": lambda image, rng: (resized(image, 0.5), 90),
    "0.7 of the size": lambda image, rng: (resized(image, 0.7), 90),
    "twice the size": lambda image, rng: (resized(image, 2), 90),
    "mirrored": lambda image, rng: (image.transpose(TURNS[rng.integers(2)]), 90),
    "turned": lambda image, rng: (image.transpose(TURNS[2 + rng.integers(3)]), 90),
    "saved, resized and turned": combined,
    "crop: 5 % of the sides": lambda image, rng: (cropped(image, 0.05, rng), 90),
    "crop: 5 % at each edge": lambda image, rng: (cropped(image, 0.1, None), 90),
    "crop: 10 % of the sides, anywhere": lambda image, rng: (cropped(image, 0.1, rng), 90),
}


def plant(folder: Path, each: int) -> dict[frozenset[str], str]:
    """Write ``each`` copies of every kind next to their originals; return the pairs of paths with their kind."""
    rng = np.random.default_rng(0)
    paths = scan(folder).paths
    chosen = rng.permutation(len(paths))[: each * len(KINDS)]
    planted = {}
    for number, at in enumerate(chosen):
        kind = list(KINDS)[number % len(KINDS)]
        source = Path(paths[at])
        with Image.open(folder / source) as opened:
            image, quality = KINDS[kind](opened.convert("RGB"), rng)
        copy = source.with_name(f"{source.stem}_copy.jpg")
        image.save(folder / copy, quality=quality)
        planted[frozenset((source.as_posix(), copy.as_posix()))] = kind
    return planted


def found_pairs(folder: Path, side: int = 224) -> tuple[list[str], PixelCache, set[frozenset[str]]]:
    table = scan(folder)
    cache = read_pixels(table, (side, side))
    twins = find_duplicates(cache.facts, cache.pixels)
    return table.paths, cache, {frozenset((table.paths[one], table.paths[other])) for one, other, _ in twins.near}


def planted_copies(work: Path, name: str, each: int, **leaves: Any) -> dict[str, Any]:
    """Return false alarms on clean images, recall of each kind, and precision."""
    folder = write_leaves(work / name, shots=1, **leaves).parent / "images"
    _, _, false = found_pairs(folder)
    planted = plant(folder, each)
    paths, cache, pairs = found_pairs(folder)
    row = {path: number for number, path in enumerate(paths)}
    result = {"set": name, "clean": len(paths) - len(planted), "false_on_clean": len(false), "kinds": {}}
    for kind in KINDS:
        expected = {pair for pair, own in planted.items() if own == kind}
        result["kinds"][kind] = {"n": len(expected), "recall": len(expected & pairs) / len(expected)}
    result["found"], result["right"] = len(pairs), len(pairs & set(planted))
    thumbnails = np.stack([np.frombuffer(each, np.uint8).reshape(32, 32) for each in cache.facts["thumbnail"]])
    truth = {tuple(sorted(row[path] for path in pair)): kind for pair, kind in planted.items()}
    result["searches"] = searches(thumbnails, truth)
    print(f"{name}: {result['false_on_clean']} false on clean, {result['right']} of {len(planted)}", flush=True)
    return result


def searches(thumbnails: np.ndarray, truth: dict[tuple[int, ...], str]) -> list[dict[str, Any]]:
    """Compare our fingerprint with the 64-bit perceptual hash (all eight orientations) as a search for candidates."""
    crops = {pair for pair, kind in truth.items() if kind.startswith("crop")}

    def evaluate(name: str, pairs: set[tuple[int, ...]]) -> dict[str, Any]:
        return {
            "search": name,
            "candidates": 2 * len(pairs) / len(thumbnails),
            "recall": len(pairs & (set(truth) - crops)) / len(set(truth) - crops),
            "recall_crops": len(pairs & crops) / len(crops),
        }

    prints = fingerprints(thumbnails)
    rows = [evaluate("fingerprint", set(map(tuple, closest_pairs(prints, MIN_SIMILARITY, MAX_CANDIDATES).tolist())))]
    own = _hashes(thumbnails)
    apart = np.min([(64 - own @ _hashes(reoriented(thumbnails, way)).T) / 2 for way in range(8)], axis=0)
    apart = np.minimum(apart, apart.T)
    for radius in (6, 10, 12, 14, 16):
        pairs = set(map(tuple, np.argwhere(np.triu(apart <= radius, 1)).tolist()))
        rows.append(evaluate(f"64-bit hash, radius {radius}", pairs))
    return rows


def _hashes(thumbnails: np.ndarray) -> np.ndarray:
    """Return hashes (n, 64) of -1 and 1: low frequencies of the cosine transform above their median."""
    at = np.arange(32)
    basis = np.cos(np.pi * np.arange(8)[:, None] * (2 * at + 1) / 64).astype(np.float32)
    waves = (basis @ thumbnails.astype(np.float32) @ basis.T).reshape(-1, 64)
    return np.where(waves > np.median(waves[:, 1:], axis=1, keepdims=True), 1, -1).astype(np.float32)


def search_speed(count: int) -> list[dict[str, Any]]:
    """Measure different images, and the worst cases: one scene with noise, and twenty scenes with noise."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.fftfreq(32)[None])
    frequency[0, 0] = 1
    natural = np.empty((count, 32, 32), np.uint8)
    for start in range(0, count, 2000):
        noise = rng.standard_normal((min(2000, count - start), 32, 32), np.float32)
        waves = np.fft.ifft2(np.fft.fft2(noise) / frequency**1.5).real
        waves = (waves - waves.mean(axis=(1, 2), keepdims=True)) / waves.std(axis=(1, 2), keepdims=True)
        natural[start : start + 2000] = (128 + 40 * waves).clip(0, 255)
    jitter = rng.integers(0, 7, (count, 32, 32), np.uint8)
    scenes = np.clip(natural[:20], 0, 248)
    rows = []
    for name, thumbnails in (
        ("all different", natural),
        ("one scene and noise", scenes[:1] + jitter),
        ("twenty scenes and noise", scenes[np.arange(count) % 20] + jitter),
    ):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        pairs = closest_pairs(fingerprints(thumbnails), MIN_SIMILARITY, MAX_CANDIDATES)
        seconds = time.perf_counter() - start
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        rows.append({"case": name, "n": count, "seconds": seconds, "pairs": len(pairs), "more_peak_mib": more})
        print(rows[-1], flush=True)
    return rows


def decoding_share(data: Path, repeats: int = 5) -> dict[str, Any]:
    """Measure the decoding pass with and without the facts for the audit, in turns, and the search for duplicates."""
    table = scan(data)
    form = guess_format(table.source, table.paths)

    def seconds() -> float:
        start = time.process_time()
        for _ in decode_all(table.source, table.paths, form, (224, 224), "pad", Stage()):
            pass
        return time.process_time() - start

    statistics_rows, read_metadata = decoding.statistics_rows, decoding.decode.__globals__["read_metadata"]
    times: dict[str, list[float]] = {"with": [], "without": []}
    seconds()  # load the files into the page cache
    for _ in range(repeats):
        times["with"].append(seconds())
        decoding.statistics_rows = lambda pixels, boxes: [{} for _ in boxes]
        decoding.decode.__globals__["read_metadata"] = lambda image: FileMetadata()
        times["without"].append(seconds())
        decoding.statistics_rows, decoding.decode.__globals__["read_metadata"] = statistics_rows, read_metadata
    cache = read_pixels(table, (224, 224))
    find_duplicates(cache.facts, cache.pixels)
    search = []
    for _ in range(repeats):
        start = time.perf_counter()
        find_duplicates(cache.facts, cache.pixels)
        search.append(time.perf_counter() - start)
    fraction = statistics.median(times["with"]) / statistics.median(times["without"]) - 1
    return {"images": len(table), "cpu_seconds": times, "share": fraction, "find_twins_seconds": search}


def real_folders(data: Path) -> list[dict[str, Any]]:
    rows = []
    for name in REAL:
        if not (data / name).exists():
            continue
        table = scan_unlabeled([data / name]) if name.endswith("images") else scan(data / name)
        side = 32 if name.startswith("cifar10") else 224
        cache = read_pixels(table, (side, side))
        start = time.perf_counter()
        twins = find_duplicates(cache.facts, cache.pixels)
        row = {"data": name, "images": len(table), "seconds": time.perf_counter() - start, "exact": len(twins.exact)}
        row |= {"near": len(twins.near), "sets": len(twins.sets), "chains": [len(each) for each in twins.chains]}
        row["examples"] = [[table.paths[one], table.paths[other], like] for one, other, like in twins.near[:5]]
        rows.append(row)
        print(row, flush=True)
    return rows


def report(results: dict[str, Any]) -> str:
    sets = results["planted"]
    lines = [
        "# Twins",
        "",
        f"{results['date']}, {results['machine']['processor']}, {results['machine']['cores']} cores.",
        "",
    ]
    lines += ["## Planted copies: recall (n)", "", f"| kind | {' | '.join(each['set'] for each in sets)} |"]
    lines.append("| --- |" + " --- |" * len(sets))
    for kind in KINDS:
        cells = [f"{each['kinds'][kind]['recall']:.3f} ({each['kinds'][kind]['n']})" for each in sets]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    cells = [f"{each['right'] / max(each['found'], 1):.3f} ({each['found']})" for each in sets]
    lines.append(f"| **precision** (pairs found) | {' | '.join(cells)} |")
    cells = [f"{each['false_on_clean']} of {each['clean']}" for each in sets]
    lines += [f"| **false pairs on clean images** | {' | '.join(cells)} |", ""]
    lines += ["## The search for candidates", ""]
    lines += [
        "| set | search | candidates per image | recall without crops | recall of crops |",
        "| --- |" + " --- |" * 4,
    ]
    for each in sets:
        for row in each["searches"]:
            figures = f"{row['candidates']:.2f} | {row['recall']:.3f} | {row['recall_crops']:.3f}"
            lines.append(f"| {each['set']} | {row['search']} | {figures} |")
    lines += ["", "| case | images | seconds | candidates kept | additional peak memory |", "| --- |" + " --- |" * 4]
    for row in results["speed"]:
        memory = f"{row['more_peak_mib']:.0f} MiB"
        lines.append(f"| {row['case']} | {row['n']:,} | {row['seconds']:.1f} | {row['pairs']:,} | {memory} |")
    if "decoding" in results:
        passes = results["decoding"]
        times = {name: spread(values, 2) for name, values in passes["cpu_seconds"].items()}
        lines += ["", "## Cost", ""]
        lines.append(
            f"Decoding pass of plantvillage, {passes['images']:,} images, processor seconds: {times['with']} with"
        )
        lines.append(
            f"the new facts, {times['without']} without: {passes['share']:+.1%}. Then `find_duplicates`, seconds:"
        )
        lines.append(f"{spread(passes['find_twins_seconds'], 2)}.")
    if results["real"]:
        lines += ["", "## Real data", "", "| data | images | exact sets | near pairs | chains | seconds |"]
        lines.append("| --- |" + " --- |" * 5)
        for row in results["real"]:
            figures = f"{row['exact']} | {row['near']} | {len(row['chains'])} | {row['seconds']:.2f}"
            lines.append(f"| {row['data']} | {row['images']:,} | {figures} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--count", type=int, default=100_000, help="fingerprints to search")
    parser.add_argument("--each", type=int, default=80, help="copies of each kind")
    parser.add_argument("--leaves", type=int, default=50, help="leaves per class, for 20 classes")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    results = circumstances(*PACKAGES)
    torch.set_grad_enabled(False)
    with tempfile.TemporaryDirectory(prefix="twins-") as folder, environment(COVERSLIP_CACHE=f"{folder}/cache"):
        results["speed"] = search_speed(options.count)
        work, each, leaves = Path(folder), options.each, {"classes": 20, "leaves": options.leaves}
        results["planted"] = [
            planted_copies(work, "leaves 256", each, **leaves),
            planted_copies(work, "leaves 128", each, size=128, seed=1, **leaves),
            planted_copies(work, "leaves 64", each, size=64, seed=2, **leaves),
            planted_copies(work, "tissue 128", each // 2, look="tissue", size=128, leaves=5 * options.leaves, seed=3),
        ]
        if (options.data / "plantvillage").is_dir():
            results["decoding"] = decoding_share(options.data / "plantvillage")
        results["real"] = real_folders(options.data)
    options.out.mkdir(exist_ok=True)
    keep_results(options.out / "twins.json", results, report(results))


if __name__ == "__main__":
    main()
