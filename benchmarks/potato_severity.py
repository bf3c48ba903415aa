"""Write a table with the severity of potato leaves, the share of the leaf that is lesion, from the masks.

    python benchmarks/potato_severity.py DATA/potato_lesions OUT.csv

The groups are blocks of file numbers within a disease: images that were taken one after another share a block.
"""

from __future__ import annotations

import argparse
import csv
import re
from pathlib import Path

import numpy as np
from PIL import Image

BLOCKS = 15  # groups per disease


def severity(mask: Path) -> float:
    """Return the share of lesion pixels among leaf pixels, 0 to 1: labels above 1 are lesions, 1 is leaf."""
    labels = np.asarray(Image.open(mask))
    leaf = labels > 0
    return float((labels > 1).sum() / max(leaf.sum(), 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    rows = []
    by_disease: dict[str, list[tuple[int, Path]]] = {}
    for image in sorted((options.folder / "images").iterdir()):
        disease, number = re.match(r"(.*?)_?(\d+)", image.stem).groups()  # type: ignore[union-attr]
        by_disease.setdefault(disease, []).append((int(number), image))
    for disease, images in by_disease.items():
        for position, (_, image) in enumerate(sorted(images)):
            block = position * BLOCKS // len(images)
            mask = options.folder / "masks" / f"{image.stem}.png"
            rows.append([image.absolute().as_posix(), f"{severity(mask):.5f}", disease, f"{disease}-{block:02d}"])
    with options.out.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "severity", "disease", "block"], *rows])
    print(f"{len(rows)} leaves, {len({row[3] for row in rows})} blocks: {options.out}")


if __name__ == "__main__":
    main()
