"""Compare the audit with CleanVision: findings and running time on the same folder, in turns.

Known problems are added to a copy of a folder (duplicates, label conflicts, truncated files, dark, blank and blurred
images). Both programs check it n times, each from a cold start with an empty cache.

    python benchmarks/audit_speed.py ../shared/data/plantvillage
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from coverslip.core.devices import machine
from measuring import environment, keep_results, measure, peer_python, spread

HERE = Path(__file__).parent
EACH = 12  # number of added problems of each kind

Opened = Image.Image
COPIES: dict[str, Callable[[Opened], Opened]] = {
    "saved again": lambda image: image,
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "quarter turn": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "cropped by 5 %": lambda image: image.crop(
        tuple(round(side * image.width) for side in (0.025, 0.025, 0.975, 0.975))
    ),  # type: ignore[arg-type]
}
DEFECTS: dict[str, Callable[[Opened], Opened]] = {
    "dark": lambda image: Image.eval(image, lambda value: value // 16),
    "blank": lambda image: Image.new("RGB", image.size, (120, 130, 110)),
    "blurry": lambda image: image.filter(ImageFilter.GaussianBlur(12)),
}


def add_problems(folder: Path, seed: int = 0) -> dict[str, list[list[str]]]:
    """Add known problems to a folder; return kind -> sets of paths (a duplicate with its original, or one path)."""
    rng = np.random.default_rng(seed)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    chosen = iter(rng.permutation(len(paths)))
    planted: dict[str, list[list[str]]] = {}

    def add(kind: str, *names: Path) -> None:
        planted.setdefault(kind, []).append([path.relative_to(folder).as_posix() for path in names])

    for kind, change in COPIES.items():
        for number in range(EACH):
            source = paths[next(chosen)]
            copy = source.with_name(f"planted {kind} {number}.jpg".replace("%", "percent"))
            change(Image.open(source).convert("RGB")).save(copy, quality=int(rng.integers(30, 96)))
            add(kind, source, copy)
    for number in range(EACH):
        source = paths[next(chosen)]
        copy = source.with_name(f"planted exact {number}.jpg")
        shutil.copy(source, copy)
        add("exact copy", source, copy)
        source = paths[next(chosen)]
        other = next(path for path in sorted(folder.iterdir()) if path.is_dir() and path != source.parent)
        shutil.copy(source, other / f"planted conflict {number}.jpg")
        add("two labels", source, other / f"planted conflict {number}.jpg")
        source = paths[next(chosen)]
        source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
        add("truncated", source)
        for kind, change in DEFECTS.items():
            source = paths[next(chosen)]
            change(Image.open(source).convert("RGB")).save(source, quality=90)
            add(kind, source)
    return planted


def run_ours(folder: Path, work: Path, repeat: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the seconds of whole processes from a cold start, and the findings."""
    seconds = {}
    program = [sys.executable, "-m", "coverslip"]
    cache = work / f"cache-{repeat}"
    decode = (
        "import sys; from coverslip.data.cache import read_pixels; from coverslip.data.scan import scan; "
        "read_pixels(scan(sys.argv[1]), (224, 224))"
    )
    seconds["decoding alone"] = measure(
        [sys.executable, "-c", decode, str(folder)], work / "ours.log", work / f"cache-decode-{repeat}"
    ).seconds
    out = work / f"quick-{repeat}"
    seconds["files, duplicates, groups, split"] = measured_audit(
        [*program, "audit", str(folder), "--quick"], work, cache
    )
    shutil.rmtree(cache)
    seconds["with shortcut and leakage tests"] = measured_audit(
        [*program, "audit", str(folder), "--out", str(out)], work, cache
    )
    seconds["the same again"] = measured_audit([*program, "audit", str(folder), "--out", f"{out}-again"], work, cache)
    return seconds, json.loads((out / "audit.json").read_text(encoding="utf-8"))


def measured_audit(command: list[str], work: Path, cache: Path) -> float:
    """Return the seconds of an audit; exit code 1 (blocking findings) is a success here."""
    quiet = [
        sys.executable,
        "-c",
        "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]) not in (0, 1))",
        *command,
    ]
    return measure(quiet, work / "ours.log", cache).seconds


def measure_in_process(work: Path, folder: Path) -> dict[str, float]:
    """Return the seconds of the decoding pass and of the audit after it, within one process."""
    from coverslip.api import configure
    from coverslip.core.progress import SILENT
    from coverslip.data.cache import read_pixels
    from coverslip.data.scan import scan
    from coverslip.pipeline.prepare import run_audit

    with environment(COVERSLIP_CACHE=str(work / "cache-inside")):
        table = scan(folder)
        start = time.perf_counter()
        pixels = read_pixels(table, (224, 224))
        decoding = time.perf_counter() - start
        start = time.perf_counter()
        run_audit(configure(folder), table, pixels, SILENT)
        auditing = time.perf_counter() - start
    return {"decoding": decoding, "audit after it": auditing}


def found_by_us(audit: dict[str, Any], planted: dict[str, list[list[str]]]) -> dict[str, str]:
    pairs = [set(each) for finding in audit["findings"] for each in finding["images"] if len(each) > 1]
    single = {
        name: {path for each in audit["findings"] if each["name"] == name for row in each["images"] for path in row}
        for name in ("dark", "blank", "blurry", "unreadable")
    }
    single["truncated"] = single["unreadable"]
    return {kind: _found(kind, sets, pairs, single) for kind, sets in planted.items()}


def found_by_cleanvision(result: dict[str, Any], planted: dict[str, list[list[str]]], folder: Path) -> dict[str, str]:
    def name(path: str) -> str:
        return Path(path).relative_to(folder).as_posix()

    pairs = [set(map(name, each)) for sets in result["sets"].values() for each in sets]
    issues = {key: set(map(name, paths)) for key, paths in result["issues"].items()}
    single = {
        "dark": issues["is_dark_issue"],
        "blurry": issues["is_blurry_issue"],
        "blank": issues["is_low_information_issue"],
        "truncated": set(),
    }
    return {kind: _found(kind, sets, pairs, single) for kind, sets in planted.items()}


def _found(kind: str, sets: list[list[str]], pairs: list[set[str]], single: dict[str, set[str]]) -> str:
    if len(sets[0]) > 1:
        matches = sum(any(set(paths) <= pair for pair in pairs) for paths in sets)
        return f"{matches} of {len(sets)}"
    expected = {paths[0] for paths in sets}
    return f"{len(expected & single[kind])} of {len(sets)}, and {len(single[kind] - expected)} others"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "audit")
    options = parser.parse_args()
    ours: list[dict[str, float]] = []
    theirs: list[float] = []
    steps: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as home:
        work = Path(home)
        folder = work / options.folder.name
        shutil.copytree(options.folder, folder)
        planted = add_problems(folder)
        python = peer_python("cleanvision", HERE / "peer-cleanvision.txt")
        for repeat in range(options.repeats):
            seconds, audit = run_ours(folder, work, repeat)
            ours.append(seconds)
            steps.append(measure_in_process(work / str(repeat), folder))
            result_file, broken = work / "cleanvision.json", work / "broken.json"
            broken.write_text(json.dumps([str(folder / path) for [path] in planted["truncated"]]))
            command = [python, HERE / "peer_cleanvision.py", folder, result_file, broken]
            measure([str(each) for each in command], work / "peer.log")
            result = json.loads(result_file.read_text())
            theirs.append(result["seconds"])
            print(seconds, steps[-1], theirs[-1], flush=True)
        kinds = {
            kind: [found_by_us(audit, planted)[kind], found_by_cleanvision(result, planted, folder)[kind]]
            for kind in planted
        }
    content = {
        "machine": machine(),
        "folder": options.folder.name,
        "images": audit["images"],
        "planted": kinds,
        "coverslip": {name: [each[name] for each in ours] for name in ours[0]},
        "within a process": {name: [each[name] for each in steps] for name in steps[0]},
        "added": [each["audit after it"] / each["decoding"] for each in steps],
        "cleanvision": theirs,
        "cleanvision version": result["version"],
        "cleanvision failed": result["failed"],
    }
    keep_results(options.out, content, as_text(content))
    print(as_text(content))


def as_text(content: dict[str, Any]) -> str:
    about = content["machine"]
    lines = [
        f"# Audit of {content['images']:,} images of `{content['folder']}`, with {EACH} added problems of each kind",
        "",
        f"{about['processor']}, {about['cores']} cores, {about['memory_gib']} GiB; whole processes, empty cache.",
        "",
        "| | seconds |",
        "| --- | --- |",
        *(f"| coverslip: {name} | {spread(values)} |" for name, values in content["coverslip"].items()),
        f"| CleanVision {content['cleanvision version']}: all its checks | {spread(content['cleanvision'])} |",
        "",
        "After the decoding pass, checking files, duplicates and groups takes "
        f"{spread(content['added'], 2)} of its time; the cost within the pass is measured in `twins.md`.",
        "",
        f"CleanVision failed with `{content['cleanvision failed']}` on the truncated files, and was run on the others; "
        "its seconds are those of its checks, without the start of Python.",
        "",
        "| added | found by coverslip | found by CleanVision |",
        "| --- | --- | --- |",
        *(f"| {kind} | {ours} | {theirs} |" for kind, (ours, theirs) in content["planted"].items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
