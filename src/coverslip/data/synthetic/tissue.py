"""Stained tissue (hematoxylin and eosin look): ordered glands when healthy, crowded irregular nuclei in a tumor.

A slide has its own stain, its own disease state and its own architecture; a shot is another field of that slide.
Lengths are fractions of the field.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from coverslip.data.synthetic import difficulty
from coverslip.data.synthetic.specimen import Specimen
from coverslip.data.synthetic.stain import LABS, Nucleus, Points, Stain, Tissue, View, stained


def ring(rng: np.random.Generator, middle: Points, radius: float, rough: float, count: int = 72) -> Points:
    """A closed wavy contour around ``middle``: (count, 2)."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    waves = sum(rng.standard_normal() * np.cos(k * angle + rng.uniform(0, 6.28)) / k for k in (2, 3, 4, 5))
    reach = radius * np.maximum(1 + rough * waves, 0.35)
    return np.asarray(middle + reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1))


def lattice(rng: np.random.Generator, pitch: float, jitter: float) -> Points:
    """(N, 2) places on a shaken hexagonal lattice that reaches beyond the field."""
    rows = np.arange(-1, int(1 / (pitch * 0.866)) + 3)
    columns = np.arange(-1, int(1 / pitch) + 3)
    x = (columns[None, :] + 0.5 * (rows[:, None] % 2)) * pitch
    y = np.repeat(rows[:, None] * pitch * 0.866, len(columns), axis=1)
    places = np.stack([x, y], axis=-1).reshape(-1, 2) + pitch * rng.uniform(-0.7, 0.3, 2)
    return np.asarray(places + jitter * pitch * rng.standard_normal(places.shape))


def healthy_gland(tissue: Tissue, rng: np.random.Generator, middle: Points, radius: float, activity: float) -> None:
    """One row of like nuclei at the foot of tall cells, droplets of mucus above them, an open round lumen.

    ``activity`` 0..1: where tissue repairs itself, nuclei are larger, darker and closer, and there is less mucus.
    """
    wall = ring(rng, middle, radius, 0.07 + 0.06 * activity)
    tissue.walls.append(wall)
    tissue.lumens.append(middle + (wall - middle) * rng.uniform(0.22, 0.34))
    count = max(int(2 * np.pi * radius / (0.025 - 0.003 * activity)), 8)
    for index in range(count):
        spot = wall[int(index / count * len(wall))] - middle
        foot = middle + spot * rng.normal(0.85 - 0.03 * activity, 0.025 + 0.035 * activity)
        turn = float(np.arctan2(spot[1], spot[0])) + rng.normal(0, 0.12 + 0.1 * activity)
        long, short = 0.0135 * rng.normal(1 + 0.15 * activity, 0.08), 0.0078 * (1 + 0.25 * activity)
        dark = rng.normal(0.62 + 0.08 * activity, 0.06)
        tissue.normal.each.append(Nucleus(foot[0], foot[1], long, short, turn, 0.05, dark))
        add_droplet(tissue, rng, middle, spot, 0.60 - 0.35 * activity)


def add_droplet(tissue: Tissue, rng: np.random.Generator, middle: Points, spot: Points, share: float) -> None:
    """In a ``share`` of the cells, a droplet of mucus above the nucleus at ``middle + spot``."""
    if rng.random() < share:
        x, y = middle + spot * rng.uniform(0.50, 0.62)
        tissue.droplets.append((float(x), float(y), float(0.30 * np.hypot(*spot) * rng.uniform(0.35, 0.6))))


def tumor_gland(tissue: Tissue, rng: np.random.Generator, middle: Points, radius: float, grade: float) -> None:
    """Nuclei in several crowded rows, large, dark and unlike each other; the lumen shrinks as ``grade`` rises."""
    wall = ring(rng, middle, radius * (1 + 0.18 * grade), 0.10 + 0.16 * grade)
    tissue.walls.append(wall)
    opening = rng.uniform(0.24, 0.38) * (1 - 0.75 * grade) if rng.random() > 0.55 * grade else 0.0
    if opening > 0.05:
        tissue.lumens.append(middle + (ring(rng, middle, radius, 0.10 + 0.3 * grade) - middle) * opening)
    rows = 1 + int(0.15 + 2.9 * grade + rng.random())
    for row in range(rows):
        level = 0.86 - row * min((0.86 - opening - 0.10) / rows, 0.24)
        count = max(int(2 * np.pi * radius * level / (0.025 + 0.005 * grade)), 3)
        for index in range(count):
            spot = wall[int((index + rng.uniform(-0.3, 0.3)) / count * len(wall)) % len(wall)] - middle
            at = middle + spot * (level + rng.normal(0, 0.03 + 0.03 * grade))
            size = np.exp(rng.normal(0.08 + 0.28 * grade, 0.09 + 0.18 * grade))
            turn = float(np.arctan2(spot[1], spot[0])) + rng.normal(0, 0.2 + 1.0 * grade)
            add_tumor_nucleus(tissue, rng, at, size=0.0130 * size, turn=turn, grade=grade)
            if row == 0 and rows < 3:
                add_droplet(tissue, rng, middle, spot, 0.45 - grade)


def add_tumor_nucleus(
    tissue: Tissue, rng: np.random.Generator, at: Points, *, size: float, turn: float, grade: float
) -> None:
    """One nucleus of the tumor, with one or two nucleoli where the grade is high."""
    round_ = rng.uniform(0.58, 0.70 + 0.25 * grade)
    dark = rng.normal(0.66 + 0.08 * grade, 0.07 + 0.10 * grade)
    rough = 0.06 + 0.13 * grade
    tissue.tumor.each.append(Nucleus(at[0], at[1], size, size * round_, turn, rough, dark))
    for _ in range(int(rng.random() < 0.7 * grade) + int(rng.random() < 0.25 * grade)):
        off = 0.35 * size * rng.standard_normal(2)
        tissue.tumor.grains.append((float(at[0] + off[0]), float(at[1] + off[1]), float(0.16 * size)))


def gland_board(tissue: Tissue, side: int = 128) -> npt.NDArray[np.uint8]:
    """(side, side), 1 where a gland is."""
    board = Image.new("L", (side, side))
    pen = ImageDraw.Draw(board)
    for wall in tissue.walls:
        pen.polygon([tuple(point) for point in (wall * side).tolist()], fill=1)
    return np.asarray(board)


def stroma(tissue: Tissue, rng: np.random.Generator, direction: float, inflamed: float) -> None:
    """Thin nuclei along the fibers, and round dark inflammatory cells, which healthy tissue has as well."""
    taken = gland_board(tissue)
    thin, small = int(rng.poisson(110)), int(rng.poisson(60 + 420 * inflamed))
    places = rng.random((thin + small, 2))
    pixel = (places * len(taken)).astype(int)
    free = taken[pixel[:, 1], pixel[:, 0]] == 0
    for x, y in places[:thin][free[:thin]]:
        long, turn = rng.uniform(0.010, 0.018), direction + rng.normal(0, 0.4)
        tissue.normal.each.append(Nucleus(x, y, long, 0.0042, turn, 0.08, rng.normal(0.62, 0.08)))
    for x, y in places[thin:][free[thin:]]:
        long = 0.0082 * rng.normal(1, 0.1)
        tissue.normal.each.append(Nucleus(x, y, long, 0.0078, 0.0, 0.05, rng.normal(0.80, 0.06)))


def laid_out(grade: float, activity: float, direction: float, rng: np.random.Generator) -> Tissue:
    """Place glands and nuclei of one field: ``grade`` 0 is healthy, up to 1 a tumor without order.

    ``activity`` 0..1 is inflammation, which healthy tissue and tumors both have.
    """
    tissue, tumor = Tissue(), grade > 0
    pitch = rng.uniform(0.27, 0.36)
    for middle in lattice(rng, pitch, 0.05 + 0.10 * grade):
        if np.any(middle < -0.25) or np.any(middle > 1.25):
            continue
        radius = pitch * rng.uniform(0.38, 0.45)
        if not tumor:
            healthy_gland(tissue, rng, middle, radius, activity)
        else:
            tumor_gland(tissue, rng, middle, radius, float(np.clip(grade * rng.uniform(0.7, 1.2), 0.05, 1)))
    if tumor:  # cells that have left the glands
        for at in rng.random((int(rng.poisson(260 * max(grade - 0.25, 0) ** 1.2)), 2)):
            size = 0.0125 * float(np.exp(rng.normal(0.15, 0.25)))
            add_tumor_nucleus(tissue, rng, at, size=size, turn=rng.uniform(0, np.pi), grade=grade)
    stroma(tissue, rng, direction, activity**2)
    return tissue


def field_of_view(slide: Specimen, shot: int, lab: str | None) -> View:
    """One field of a slide; ``lab`` None lets chance decide who stained it."""
    tumor = slide.condition == "tumor"
    chance = slide.chance("slide")
    grade = difficulty.EARLY_TUMOR + (1 - difficulty.EARLY_TUMOR) * float(chance.random())
    drawn = LABS[int(chance.integers(2))]
    activity = float(chance.random())
    stain = Stain.of_slide(lab or drawn, chance)
    rng = slide.chance("field", shot)
    direction = rng.uniform(0, np.pi)
    tissue = laid_out(grade if tumor else 0.0, activity, direction, rng)
    image, mask = stained(tissue, stain, direction, rng, slide.size)
    return View(image, mask, grade if tumor else 0.0, stain.lab)
