"""Appearance of a tissue slide under the microscope: shapes drawn in two dyes that absorb light.

Lengths are fractions of the field.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from coverslip.data.synthetic import difficulty
from coverslip.data.synthetic.noise import Field, fractal, fraction, ramp, smooth

LABORATORIES = ("lab_a", "lab_b")  # with different stains and scanners
OVERSAMPLING = 3  # nuclei are drawn this many times larger and then averaged, for smooth edges

# Optical density of red, green and blue for one unit of each stain (after Ruifrok and Johnston 2001; eosin is warmer).
HEMATOXYLIN = {"lab_a": (0.66, 0.72, 0.32), "lab_b": (0.80, 0.66, 0.24)}
EOSIN = {"lab_a": (0.09, 0.78, 0.38), "lab_b": (0.05, 0.84, 0.56)}

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """One field of a slide: image uint8 (S, S, 3), mask uint8 (S, S), severity 0..1, and laboratory."""

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    severity: float
    lab: str


@dataclass(frozen=True, slots=True)
class Nucleus:
    """Ellipse around (x, y): half axes, rotation in radians, roughness (0 is smooth) and darkness 0..1."""

    x: float
    y: float
    long: float
    short: float
    turn: float
    rough: float
    dark: float


@dataclass
class Nuclei:
    """Nuclei of one type, and dark grains (x, y, radius) inside them."""

    items: list[Nucleus] = field(default_factory=list)
    grains: list[tuple[float, float, float]] = field(default_factory=list)

    def contours(self, rng: np.random.Generator) -> Points:
        """Return the closed outlines of all nuclei, shape (N, 18, 2)."""
        names = ("x", "y", "long", "short", "turn", "rough")
        values = np.array([[getattr(nucleus, name) for name in names] for nucleus in self.items]).reshape(-1, 6)
        x, y, long, short, turn, rough = values.T[..., None]
        angle = np.linspace(0, 2 * np.pi, 18, endpoint=False)
        waves = np.zeros((len(values), 18))
        for k in (2, 3, 4):
            size, start = rng.standard_normal((len(values), 1)), rng.uniform(0, 2 * np.pi, (len(values), 1))
            waves += size * np.cos(k * angle + start) / k
        radius = np.maximum(1 + rough * waves, 0.4)
        right, up = long * radius * np.cos(angle), short * radius * np.sin(angle)
        cos, sin = np.cos(turn), np.sin(turn)
        return np.stack([x + right * cos - up * sin, y + right * sin + up * cos], axis=-1)

    def draw(self, rng: np.random.Generator, side: int) -> tuple[Field, Field]:
        """Draw the nuclei; return coverage and stain density, both (side, side) 0..1."""
        big = side * OVERSAMPLING
        cover, stain = Image.new("L", (big, big)), Image.new("L", (big, big))
        pens = ImageDraw.Draw(cover), ImageDraw.Draw(stain)
        contours = self.contours(rng)
        contours = np.concatenate([contours, contours[:, :1]], axis=1)  # closed, for the outline
        visible = np.any(np.all((contours > 0) & (contours < 1), axis=2), axis=1)
        corners = (contours[visible] * big).reshape(int(visible.sum()), 38).tolist()
        edge = max(1, round(side / 128))
        for index, points in zip(np.flatnonzero(visible).tolist(), corners, strict=True):
            dark = min(max(self.items[index].dark, 0.15), 1.0) * 255
            pens[0].polygon(points, fill=255)
            pens[1].polygon(points, fill=round(dark))
            pens[1].line(points, fill=round(0.41 * dark), width=edge)  # separates overlapping nuclei
        for x, y, radius in self.grains:
            pens[1].ellipse([v * big for v in (x - radius, y - radius, x + radius, y + radius)], fill=255)
        return fraction(cover.reduce(OVERSAMPLING)), fraction(stain.reduce(OVERSAMPLING))


@dataclass
class Tissue:
    """Contents of one field: gland walls and lumens as polygons, droplets of mucus, and two types of nuclei."""

    walls: list[Points] = field(default_factory=list)
    lumens: list[Points] = field(default_factory=list)
    droplets: list[tuple[float, float, float]] = field(default_factory=list)
    normal: Nuclei = field(default_factory=Nuclei)
    tumor: Nuclei = field(default_factory=Nuclei)


@dataclass(frozen=True)
class Stain:
    """Stain of one slide: its laboratory, the optical density (3,) of each dye, and the color of the background."""

    lab: str
    hematoxylin: Field
    eosin: Field
    white: Field

    @classmethod
    def of_slide(cls, lab: str, rng: np.random.Generator) -> Stain:
        """Return the laboratory's stain with random variation of strength and color, as between batches of dye."""
        vary = difficulty.STAIN_VARIATION
        strength = np.exp(0.16 * vary * rng.standard_normal(2))
        shift = 0.045 * vary * rng.standard_normal((2, 3))
        dyes = np.array([HEMATOXYLIN[lab], EOSIN[lab]]) + shift
        dyes = np.clip(dyes, 0.02, None) * strength[:, None]
        white = 0.955 + 0.015 * vary * rng.standard_normal(3)
        return cls(lab, *(values.astype(np.float32) for values in (dyes[0], dyes[1], np.clip(white, 0.9, 0.99))))


def draw_polygons(shapes: list[Points], side: int, fine: int = 2) -> Field:
    """Return (side, side) 0..1, 1 inside any of the polygons."""
    image = Image.new("L", (side * fine, side * fine))
    pen = ImageDraw.Draw(image)
    for shape in shapes:
        pen.polygon([tuple(point) for point in (shape * side * fine).tolist()], fill=255)
    return fraction(image.reduce(fine))


def draw_circles(places: list[tuple[float, float, float]], side: int, fine: int = 2) -> Field:
    """Return (side, side) 0..1, 1 inside any of the circles (x, y, radius)."""
    image = Image.new("L", (side * fine, side * fine))
    pen = ImageDraw.Draw(image)
    for x, y, radius in places:
        pen.ellipse([v * side * fine for v in (x - radius, y - radius, x + radius, y + radius)], fill=255)
    return fraction(image.reduce(fine))


def blur(values: Field, sigma: float) -> Field:
    """Blur (S, S) 0..1 with a Gaussian of ``sigma`` pixels."""
    image = Image.fromarray((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8))
    return fraction(image.filter(ImageFilter.GaussianBlur(sigma)))


def fiber_texture(rng: np.random.Generator, direction: float, side: int) -> Field:
    """Return (side, side), about -1..1: wavy strands along ``direction`` (radians)."""
    axis = np.linspace(0, 1, side, dtype=np.float32)
    across = axis[:, None] * np.cos(direction) - axis[None, :] * np.sin(direction)
    bend = 0.055 * smooth(rng, 5, side) + 0.02 * smooth(rng, 14, side)
    strands = np.sin(2 * np.pi * 17 * (across + bend)) + 0.6 * np.sin(2 * np.pi * 41 * (across + 1.4 * bend))
    return np.asarray(0.5 * strands + 0.35 * fractal(rng, 40, side, 2), np.float32)


def render_field(
    tissue: Tissue, stain: Stain, direction: float, rng: np.random.Generator, side: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Render a field: image uint8 (side, side, 3) and mask uint8 (side, side): 0 stroma, 1 nuclei, 2 tumor nuclei."""
    pixel = side / 256
    wall, lumen = draw_polygons(tissue.walls, side), draw_polygons(tissue.lumens, side)
    mucus = blur(draw_circles(tissue.droplets, side), 0.8 * pixel) * wall
    rough = fractal(rng, 30, side, 3)
    strands = fiber_texture(rng, direction, side)
    gap = ramp(strands + 0.8 * smooth(rng, 9, side), -1.0, -1.9)  # cracks in the fibers, caused by cutting
    pink = (0.50 + 0.17 * strands + 0.08 * rough) * (1 - 0.85 * gap)
    seam = np.clip(blur(wall, 2.2 * pixel) - wall, 0, 1)  # loose, pale tissue around a gland
    pink = pink * (1 - 0.9 * seam)
    body = 0.40 + 0.07 * rough + 0.05 * smooth(rng, 60, side)
    soft = blur(lumen, 0.7 * pixel)
    eosin = pink + (body - pink) * wall
    eosin = eosin * (1 - 0.80 * mucus) * (1 - 0.93 * soft)
    haze = (0.05 + 0.13 * wall + 0.02 * rough) * (1 - 0.6 * mucus) * (1 - 0.9 * soft)

    normal, normal_dark = tissue.normal.draw(rng, side)
    tumor, tumor_dark = tissue.tumor.draw(rng, side)
    chromatin = 1 + 0.20 * fractal(rng, 100, side, 2)
    dark = np.maximum(normal_dark, tumor_dark)
    cover = np.maximum(normal, tumor)
    rim = np.clip(cover - blur(cover, 1.3 * pixel), 0, 1)
    hematoxylin = haze + 1.45 * dark * np.clip(chromatin, 0.4, 1.6) * (0.80 + 0.9 * rim)
    eosin = eosin * (1 - 0.55 * cover)
    density = hematoxylin[..., None] * stain.hematoxylin + np.clip(eosin, 0, None)[..., None] * stain.eosin
    light = stain.white * np.exp(-density.astype(np.float32))
    mask = (normal >= 0.5).astype(np.uint8)
    mask[tumor >= 0.5] = 2
    sigma = difficulty.DEFOCUS * (0.25 + 0.55 * rng.random() ** 2) * pixel
    image = Image.fromarray((np.clip(light, 0, 1) * 255 + 0.5).astype(np.uint8), "RGB")
    values = np.asarray(image.filter(ImageFilter.GaussianBlur(sigma)), np.float32)
    values = values + difficulty.SENSOR_NOISE * 1.8 * rng.standard_normal(values.shape, dtype=np.float32)
    return np.clip(values + 0.5, 0, 255).astype(np.uint8), mask
