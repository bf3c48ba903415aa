"""Tissue stained with hematoxylin and eosin: ordered glands if healthy, crowded irregular nuclei in a tumor.

Each slide has its own stain, disease state and architecture; each shot is another field of the slide. Lengths are
fractions of the field.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from coverslip.data.synthetic import difficulty
from coverslip.data.synthetic.specimen import Specimen
from coverslip.data.synthetic.stain import LABORATORIES, Nucleus, Points, Stain, Tissue, View, render_field


def ring(rng: np.random.Generator, middle: Points, radius: float, rough: float, count: int = 72) -> Points:
    """Return a closed wavy contour around ``middle``, shape (count, 2)."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    waves = sum(rng.standard_normal() * np.cos(k * angle + rng.uniform(0, 6.28)) / k for k in (2, 3, 4, 5))
    reach = radius * np.maximum(1 + rough * waves, 0.35)
    return np.asarray(middle + reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1))


def jittered_lattice(rng: np.random.Generator, pitch: float, jitter: float) -> Points:
    """Return positions (N, 2) on a jittered hexagonal lattice that extends beyond the field."""
    rows = np.arange(-1, int(1 / (pitch * 0.866)) + 3)
    columns = np.arange(-1, int(1 / pitch) + 3)
    x = (columns[None, :] + 0.5 * (rows[:, None] % 2)) * pitch
    y = np.repeat(rows[:, None] * pitch * 0.866, len(columns), axis=1)
    positions = np.stack([x, y], axis=-1).reshape(-1, 2) + pitch * rng.uniform(-0.7, 0.3, 2)
    return np.asarray(positions + jitter * pitch * rng.standard_normal(positions.shape))


def healthy_gland(tissue: Tissue, rng: np.random.Generator, middle: Points, radius: float, activity: float) -> None:
    """Add a gland with one row of similar nuclei at the base of tall cells, mucus above them and an open round lumen.

    ``activity`` 0..1: in regenerating tissue, nuclei are larger, darker and closer, and there is less mucus.
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
        tissue.normal.items.append(Nucleus(foot[0], foot[1], long, short, turn, 0.05, dark))
        add_droplet(tissue, rng, middle, spot, 0.60 - 0.35 * activity)


def add_droplet(tissue: Tissue, rng: np.random.Generator, middle: Points, spot: Points, share: float) -> None:
    """Add, with probability ``share``, a droplet of mucus above the nucleus at ``middle + spot``."""
    if rng.random() < share:
        x, y = middle + spot * rng.uniform(0.50, 0.62)
        tissue.droplets.append((float(x), float(y), float(0.30 * np.hypot(*spot) * rng.uniform(0.35, 0.6))))


def tumor_gland(tissue: Tissue, rng: np.random.Generator, middle: Points, radius: float, grade: float) -> None:
    """Add a gland with several crowded rows of large, dark, irregular nuclei; its lumen shrinks with ``grade`` 0..1."""
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
    """Add one tumor nucleus, with up to two nucleoli if the grade is high."""
    round_ = rng.uniform(0.58, 0.70 + 0.25 * grade)
    dark = rng.normal(0.66 + 0.08 * grade, 0.07 + 0.10 * grade)
    rough = 0.06 + 0.13 * grade
    tissue.tumor.items.append(Nucleus(at[0], at[1], size, size * round_, turn, rough, dark))
    for _ in range(int(rng.random() < 0.7 * grade) + int(rng.random() < 0.25 * grade)):
        offset = 0.35 * size * rng.standard_normal(2)
        tissue.tumor.grains.append((float(at[0] + offset[0]), float(at[1] + offset[1]), float(0.16 * size)))


def gland_mask(tissue: Tissue, side: int = 128) -> npt.NDArray[np.uint8]:
    """Return a mask (side, side), uint8, 1 inside the glands."""
    mask = Image.new("L", (side, side))
    pen = ImageDraw.Draw(mask)
    for wall in tissue.walls:
        pen.polygon([tuple(point) for point in (wall * side).tolist()], fill=1)
    return np.asarray(mask)


def stroma(tissue: Tissue, rng: np.random.Generator, direction: float, inflamed: float) -> None:
    """Add thin nuclei along the fibers, and round dark inflammatory cells, which healthy tissue has, too."""
    glands = gland_mask(tissue)
    thin, small = int(rng.poisson(110)), int(rng.poisson(60 + 420 * inflamed))
    places = rng.random((thin + small, 2))
    pixel = (places * len(glands)).astype(int)
    free = glands[pixel[:, 1], pixel[:, 0]] == 0
    for x, y in places[:thin][free[:thin]]:
        long, turn = rng.uniform(0.010, 0.018), direction + rng.normal(0, 0.4)
        tissue.normal.items.append(Nucleus(x, y, long, 0.0042, turn, 0.08, rng.normal(0.62, 0.08)))
    for x, y in places[thin:][free[thin:]]:
        long = 0.0082 * rng.normal(1, 0.1)
        tissue.normal.items.append(Nucleus(x, y, long, 0.0078, 0.0, 0.05, rng.normal(0.80, 0.06)))


def lay_out(grade: float, activity: float, direction: float, rng: np.random.Generator) -> Tissue:
    """Arrange the glands and nuclei of one field.

    ``grade`` is 0 for healthy tissue and up to 1 for a tumor without any order. ``activity`` 0..1 is the inflammation,
    which both healthy tissue and tumors have.
    """
    tissue, tumor = Tissue(), grade > 0
    pitch = rng.uniform(0.27, 0.36)
    for middle in jittered_lattice(rng, pitch, 0.05 + 0.10 * grade):
        if np.any(middle < -0.25) or np.any(middle > 1.25):
            continue
        radius = pitch * rng.uniform(0.38, 0.45)
        if not tumor:
            healthy_gland(tissue, rng, middle, radius, activity)
        else:
            tumor_gland(tissue, rng, middle, radius, float(np.clip(grade * rng.uniform(0.7, 1.2), 0.05, 1)))
    if tumor:  # cells outside the glands
        for at in rng.random((int(rng.poisson(260 * max(grade - 0.25, 0) ** 1.2)), 2)):
            size = 0.0125 * float(np.exp(rng.normal(0.15, 0.25)))
            add_tumor_nucleus(tissue, rng, at, size=size, turn=rng.uniform(0, np.pi), grade=grade)
    stroma(tissue, rng, direction, activity**2)
    return tissue


def field_of_view(slide: Specimen, shot: int, lab: str | None) -> View:
    """Render one field of a slide; with ``lab`` None the laboratory is random."""
    tumor = slide.condition == "tumor"
    slide_rng = slide.rng("slide")
    grade = difficulty.EARLY_TUMOR + (1 - difficulty.EARLY_TUMOR) * float(slide_rng.random())
    random_lab = LABORATORIES[int(slide_rng.integers(2))]
    activity = float(slide_rng.random())
    stain = Stain.of_slide(lab or random_lab, slide_rng)
    rng = slide.rng("field", shot)
    direction = rng.uniform(0, np.pi)
    tissue = lay_out(grade if tumor else 0.0, activity, direction, rng)
    image, mask = render_field(tissue, stain, direction, rng, slide.size)
    return View(image, mask, grade if tumor else 0.0, stain.lab)
