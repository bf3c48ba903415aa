"""Tiny data sets whose targets can be seen in the images, for every task."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES, PER_GROUP = 60, 3


def write_task_images(folder: Path, images: int = IMAGES, seed: int = 0) -> Path:
    """Write images with red spots on green, and a table of what they show; return the table.

    Columns: path, plant (groups of three images), share (of the spots, 0 to 1), length (twice the share plus noise),
    grade (low, middle, high) and spots (``rust;blue`` where there are blue spots too; ``none`` where there are none).
    """
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(images):
        level = rng.uniform(0, 0.8)
        pixels = np.empty((32, 32, 3))
        pixels[:] = (60, 150, 60)
        pixels += rng.normal(0, 8, pixels.shape)
        red = rng.uniform(size=(32, 32)) < level
        pixels[red] = (190, 60, 40)
        blue = bool(number % 2)
        if blue:
            pixels[4:12, 4:12] = (40, 60, 200)
        name = f"images/{number:03d}.png"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name)
        share = float(red.mean())
        labels = [label for label, present in (("rust", share > 0.3), ("blue", blue)) if present]
        grade = "low" if share < 0.25 else "middle" if share < 0.5 else "high"
        length = 2 * share + rng.normal(0, 0.02)
        rows.append(
            [name, f"plant{number // PER_GROUP}", f"{share:.4f}", f"{length:.4f}", grade, ";".join(labels) or "none"]
        )
    table = folder / "table.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "plant", "share", "length", "grade", "spots"], *rows])
    return table
