"""Measure the time of `coverslip leaves` for 600 images of 256 px, rendered and written.

python benchmarks/leaves_speed.py [runs]
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy
import PIL
import scipy

from coverslip.data.synthetic import write_leaves

IMAGES = 600


def processor() -> str:
    """Return the name of the processor if the system provides it."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def seconds(folder: Path) -> float:
    start = time.perf_counter()
    write_leaves(folder, classes=10, leaves=20, shots=3, size=256)
    return time.perf_counter() - start


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with tempfile.TemporaryDirectory() as folder:
        times = [seconds(Path(folder) / str(run)) for run in range(runs)]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    spread = f"{min(times):.1f} to {max(times):.1f}, n={runs}"
    print(f"{IMAGES} images of 256 px: {statistics.median(times):.1f} s ({spread})")
    print(f"{os.cpu_count()} x {processor()}, load {load:.1f}")
    libraries = f"numpy {numpy.__version__}, scipy {scipy.__version__}, Pillow {PIL.__version__}"
    print(f"Python {platform.python_version()}, {libraries}")


if __name__ == "__main__":
    main()
