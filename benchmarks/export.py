"""Compare exported files with Coverslip: differences of the predictions, and milliseconds per image.

    python benchmarks/export.py RUN [RUN ...] [--images 200]

Each run is exported as ONNX, OpenVINO, TorchScript and int8, which checks the file on images of the run. Then each
file classifies test images in one process that reads them with Pillow one after another, and so does `coverslip
predict` in a process with its own cache; its time per image is the additional time of all images compared with one
image. Writes `results/export.json` and `.md`; results of other runs in the file are kept.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from coverslip.api.exporting import export
from coverslip.core.runs import Run
from coverslip.explaining.image_set import run_table
from coverslip.exporting.formats import formats
from coverslip.exporting.images import available_rows, evenly_spaced
from measuring import circumstances, heading, keep_results, measure, spread

HERE = Path(__file__).parent
KINDS = (("onnx", ""), ("onnx", "int8"), ("openvino", ""), ("torch", ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "export.json")
    options = parser.parse_args()
    before = json.loads(options.out.read_text(encoding="utf-8"))["runs"] if options.out.is_file() else {}
    results = {
        **circumstances("coverslip", "onnxruntime", "openvino", "torch", "pillow"),
        "runs": before | {run.name: of_run(run, options.images) for run in options.runs},
    }
    keep_results(options.out, results, page(results))
    print(options.out.with_suffix(".md").read_text(encoding="utf-8"))


def of_run(run: Path, most: int) -> dict[str, Any]:
    table = run_table(Run(run))
    paths = [table.root / table.paths[row] for row in evenly_spaced(available_rows(table, "test"), most)]
    files: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as home:
        for format_, quantize in KINDS:
            folder = export(run, Path(home) / f"{format_}{quantize}", format=format_, quantize=quantize)
            card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
            size = sum((folder / name).stat().st_size for name in card["files"])
            opened = formats()[format_].open(folder)
            times = []
            for path in paths:
                start = time.perf_counter()
                opened(np.array(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))[None])
                times.append((time.perf_counter() - start) * 1000)
            files[f"{format_} {quantize}".strip()] = {"bytes": size, "ms": times[5:], "check": card["check"]}
        predict = [predicting(run, paths, Path(home) / f"cache{number}") for number in range(3)]
    return {"images": len(paths), "files": files, "predict": predict}


def predicting(run: Path, paths: list[Path], cache: Path) -> float:
    """Return the milliseconds per image of the whole process, without the constant part."""
    seconds = []
    for number, subset in enumerate((paths[:1], paths)):
        out = cache.with_name(f"{cache.name}-{number}.csv")
        command = [sys.executable, "-m", "coverslip", "predict", str(run), *map(str, subset), "--out", str(out)]
        seconds.append(measure(command, cache.with_suffix(".log"), cache / str(number)).seconds)
    return (seconds[1] - seconds[0]) / (len(paths) - 1) * 1000


def page(results: dict[str, Any]) -> str:
    lines = ["# Exported files", "", heading(results), "", *(__doc__ or "").split("\n\n")[2].strip().splitlines()]
    for name, result in results["runs"].items():
        lines += ["", f"## {name}, {result['images']} test images timed", ""]
        lines += ["| | MB | ms per image | resize, grey levels | network | end to end | same label |"]
        lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
        for kind, each in result["files"].items():
            check = each["check"]
            figures = f"{check['grey']} | {check['network']:.1e} | {check['probability']:.5f} | {check['same']:.1%}"
            lines.append(f"| {kind} | {each['bytes'] / 1e6:.1f} | {middle(each['ms'])} | {figures} |")
        lines += [f"| `coverslip predict` | | {spread(result['predict'])} | | | | |", ""]
        lines += [f"{kind}: {'; '.join(each['check']['sentences'])}." for kind, each in result["files"].items()]
    return "\n".join(lines) + "\n"


def middle(times: list[float]) -> str:
    """Return the median and the central 90 % range."""
    low, high = np.percentile(times, [5, 95])
    return f"{statistics.median(times):.1f} [{low:.1f}, {high:.1f}], n={len(times)}"


if __name__ == "__main__":
    main()
