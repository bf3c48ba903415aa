"""Test that memory does not grow with the number of images: a whole run on 30,000 images, from folder to report.

    python benchmarks/many_images.py ../shared/data/plantvillage --images 30000

creates a folder of this many different JPEGs (each image of the data rotated, cropped and brightened at random), runs
`coverslip train` on it with an empty cache, and writes `results/many_images.json` with the peak of anonymous memory,
and the same for a tenth of the images.
"""

from __future__ import annotations

import argparse
import json
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

from coverslip.core.devices import cores
from coverslip.core.runs import Run
from coverslip.data.scan import scan
from first_model import HERE, PACKAGES
from measuring import circumstances, measure


def multiply(data: Path, number: int, folder: Path) -> None:
    """Write ``number`` different images into ``folder``, with the classes of ``data``."""
    paths = scan(data).paths

    def write(serial: int) -> None:
        rng = np.random.default_rng(serial)
        path = Path(paths[serial % len(paths)])
        with Image.open(data / path) as opened:
            image = opened.convert("RGB")
        left, top = rng.integers(0, 24, 2)
        image = image.crop((left, top, image.width - 24 + left, image.height - 24 + top)).rotate(90 * rng.integers(4))
        image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.7, 1.3))
        target = folder / path.parent / f"{serial:06d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        image.save(target, quality=90)

    with ThreadPoolExecutor(cores()) as pool:
        for _ in pool.map(write, range(number)):
            pass


def run_once(data: Path, number: int, work: Path) -> dict[str, Any]:
    folder, out = work / f"images-{number}", work / f"run-{number}"
    multiply(data, number, folder)
    program = str(Path(sysconfig.get_path("scripts")) / "coverslip")
    command = [program, "train", str(folder), "--out", str(out)]
    measured = measure(command, work / f"{number}.log", work / f"cache-{number}")
    seconds = json.loads(Run(out).environment_file.read_text(encoding="utf-8"))["seconds"]
    print(f"{number:,} images: {measured.peak_mib:.0f} MiB, {measured.seconds:.0f} s", flush=True)
    return {"images": number, "peak_mib": measured.peak_mib, "seconds": measured.seconds, "stages": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of class folders to multiply")
    parser.add_argument("--images", type=int, default=30_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="many-images-") as folder:
        runs = [run_once(options.data, number, Path(folder)) for number in (options.images // 10, options.images)]
    results = {
        **circumstances(*PACKAGES),
        "data": options.data.name,
        "runs": runs,
    }
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "many_images.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
