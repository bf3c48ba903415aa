"""One leaf on a flat square: color, relief, opacity and lesions, shared by all its photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import cKDTree

from coverslip.data.synthetic import difficulty
from coverslip.data.synthetic.diseases import DISEASES, Blade, Symptoms
from coverslip.data.synthetic.noise import Field, Flags, fractal, fraction, ramp, resize, rgb, smooth, stream
from coverslip.data.synthetic.outlines import Outline, Points, Vein
from coverslip.data.synthetic.species import SPECIES, Species
from coverslip.data.synthetic.specimen import Specimen

OVERSAMPLING = 3  # lines are drawn this many times larger and then averaged, for smooth edges
MARGIN = 0.045  # empty border of the square, so that a rotated leaf does not touch it


@dataclass(frozen=True)
class Leaf:
    """Appearance of a leaf on a square of T x T pixels.

    Attributes:
        albedo: float32 (T, T, 3), color under even white light, 0..1.
        alpha: float32 (T, T), 1 on the leaf, 0 outside.
        slope: float32 (2, T, T), slope of the surface to the right and downwards.
        cover: float32 (T, T), opacity of the symptoms, 0..1; 0 everywhere on a healthy leaf.
        gloss: specular reflection of the surface, 0..1.
        severity: severity of the disease, from 0 (healthy) to 1.
    """

    albedo: Field
    alpha: Field
    slope: Field
    cover: Field
    gloss: float
    severity: float


def fit_to_square(outline: Outline) -> Outline:
    """Fit the outline into the unit square, tip up, y pointing down, as large as the margin allows."""
    points = np.concatenate([*outline.blades, outline.petiole.points])
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (1 - 2 * MARGIN) / float((high - low).max())
    middle = (low + high) / 2
    return outline.map_points(lambda p: (p - middle) * [scale, -scale] + 0.5).scale_widths(scale)


def downsample(canvas: Image.Image, fine: int) -> Field:
    """Average a drawn mask over blocks of ``fine`` pixels and scale it to 0..1."""
    return fraction(canvas.reduce(fine))


def draw_blades(blades: Sequence[Points], side: int, fine: int) -> Field:
    """Return (side, side) 0..1, 1 inside any of the polygons."""
    canvas = Image.new("L", (side * fine, side * fine))
    pen = ImageDraw.Draw(canvas)
    for blade in blades:
        pen.polygon([tuple(point) for point in (blade * side * fine).tolist()], fill=255)
    return downsample(canvas, fine)


def draw_veins(veins: Sequence[Vein], side: int, fine: int) -> Field:
    """Return (side, side) 0..1, 1 on the tapered lines."""
    canvas = Image.new("L", (side * fine, side * fine))
    pen = ImageDraw.Draw(canvas)
    for vein in veins:
        points = vein.points * side * fine
        widths = np.linspace(vein.start, vein.end, len(points)) * side * fine
        for start, end, width in zip(points[:-1], points[1:], widths[1:], strict=True):
            pen.line([*start.tolist(), *end.tolist()], fill=255, width=max(1, round(width)))
            reach = max(width / 2 - 0.5, 0)  # a round joint closes the gap between two segments
            pen.ellipse([*(end - reach).tolist(), *(end + reach).tolist()], fill=255)
    return downsample(canvas, fine)


def distance_to(mask: Flags) -> Field:
    """Return the distance to the nearest pixel of ``mask``, as a fraction of the side."""
    if not mask.any():
        return np.ones(mask.shape, np.float32)
    distance = ndimage.distance_transform_edt(~mask).astype(np.float32)
    return np.asarray(distance / np.float32(mask.shape[0]))


@cache
def vein_mesh(variant: int, side: int, cells: int = 1500) -> Field:
    """Return the network of the finest veins, (side, side), 0 between veins to 1 on a vein (cached, as it is slow)."""
    seeds = stream(0, "mesh", variant).random((cells, 2))
    axis = (np.arange(side) + 0.5) / side
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    near, _ = cKDTree(seeds).query(points, k=2)
    gap = ((near[:, 1] - near[:, 0]) * np.sqrt(cells)).reshape(side, side)
    return ramp(gap.astype(np.float32), 0.32, 0.0)


def fine_veins(rng: np.random.Generator, side: int) -> Field:
    """Return one of 32 networks of finest veins, (side, side): four variants, rotated and mirrored."""
    variant, turns, mirrored = (int(value) for value in rng.integers((4, 4, 2)))
    mesh = np.rot90(vein_mesh(variant, max(side // 2, 16)), turns)  # half the resolution is enough for such faint lines
    return resize(mesh[:, ::-1] if mirrored else mesh, side, side)


def window_around(side: int, x: float, y: float, reach: float) -> tuple[tuple[slice, slice], Field]:
    """Return the window of pixels within ``reach`` of (x, y), and their distances to it."""
    left, right = (int(np.clip((x + sign * reach) * side, 0, side)) for sign in (-1, 1))
    top, bottom = (int(np.clip((y + sign * reach) * side, 0, side)) for sign in (-1, 1))
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    dx = (np.arange(left, right, dtype=np.float32) + 0.5) / side - x
    dy = (np.arange(top, bottom, dtype=np.float32) + 0.5) / side - y
    return np.s_[top:bottom, left:right], np.hypot(dx[None, :], dy[:, None]).astype(np.float32)


def add_holes(blade: Field, rng: np.random.Generator) -> Field:
    """Add a few holes, as from insects; healthy leaves have them, too."""
    blade = blade.copy()
    count = int(rng.poisson(0.7 * difficulty.BLEMISHES))
    positions = rng.random((count, 2)) * 0.7 + 0.15
    radii = 0.006 + 0.014 * rng.random(count) ** 2
    rough = 0.4 * smooth(rng, 60, len(blade))
    for (x, y), radius in zip(positions, radii, strict=True):
        box, distance = window_around(len(blade), x, y, 2.5 * radius)
        blade[box] *= ramp(distance / radius + rough[box], 0.85, 1.15)
    return blade


def add_specks(surface: Field, rng: np.random.Generator) -> None:
    """Add a few small dark or pale scars to the surface (T, T, 3), in place; they are not a disease."""
    count = int(rng.poisson(5 * difficulty.BLEMISHES))
    positions, radii = rng.random((count, 2)), 0.0025 + 0.006 * rng.random(count) ** 2
    for (x, y), radius, tone in zip(positions, radii, rng.random(count), strict=True):
        box, distance = window_around(len(surface), x, y, 1.6 * radius)
        scar = rgb(0.36, 0.28, 0.16) if tone < 0.5 else rgb(0.60, 0.58, 0.38)
        surface[box] += (scar - surface[box]) * (0.75 * ramp(distance / radius, 1.4, 0.6))[..., None]


@dataclass(frozen=True)
class Anatomy:
    """Parts of a leaf on its square, each float32 (T, T), 0..1, and two distances as fractions of the side."""

    blade: Field
    veins: Field
    stalk: Field
    mesh: Field
    from_vein: Field
    from_trunk: Field


def draw_anatomy(outline: Outline, rng: np.random.Generator, side: int) -> Anatomy:
    """Draw the parts of a leaf whose outline fits the unit square."""
    fine = OVERSAMPLING if side < 900 else 2
    blade = draw_blades(outline.blades, side, fine)
    trunk = draw_veins([vein for vein in outline.veins if vein.order == 1], side, fine)
    branches = draw_veins([vein for vein in outline.veins if vein.order == 2], side, fine)
    veins = np.maximum(trunk, branches * np.float32(0.85))
    stalk = np.maximum(draw_veins([outline.petiole], side, fine), trunk * (blade < 0.5))
    return Anatomy(
        blade=add_holes(blade, rng),
        veins=veins,
        stalk=stalk,
        mesh=fine_veins(rng, side),
        from_vein=distance_to(veins > 0.3),
        from_trunk=distance_to(trunk > 0.3),
    )


def leaf_color(species: Species, body: Anatomy, edge: Field, rng: np.random.Generator) -> Field:
    """Return the color of a healthy leaf, (T, T, 3); ``edge`` is the distance to the margin."""
    side = len(edge)
    vary = difficulty.COLOR_VARIATION
    age = rng.standard_normal()  # old leaves are darker and bluer, young ones lighter and yellower
    green = np.array(species.green) * (1 - 0.10 * vary * age)
    green = green * [1 - 0.09 * vary * age, 1, 1 + 0.06 * vary * rng.standard_normal()]
    patches = fractal(rng, 5, side, 3)
    tone = 0.97 + 0.10 * patches + 0.035 * fractal(rng, 70, side, 2) + 0.16 * np.exp(body.from_vein / -0.010)
    tone += 0.10 * body.mesh
    surface: Field = green.astype(np.float32) * tone[..., None]
    surface += (0.020 * smooth(rng, 3, side))[..., None] * rgb(1.5, 0.8, 0.1)
    yellowing = (
        rng.random() ** 3 * 0.75 * difficulty.BLEMISHES
    )  # some leaves turn yellow from the margin, which is not a disease here
    fading = np.clip(yellowing * ramp(edge + 0.05 * patches, 0.10, 0.0), 0, 1)
    surface += (rgb(0.58, 0.60, 0.20) - surface) * fading[..., None]
    add_specks(surface, rng)
    light = rgb(*species.vein) * np.float32(1 - 0.05 * vary * age)
    surface += (light - surface) * (0.72 * body.veins)[..., None]
    return np.clip(surface, 0.02, 0.98)


def surface_slopes(body: Anatomy, relief: Field, rng: np.random.Generator) -> Field:
    """Return the slope, (2, T, T), to the right and downwards: bulging between veins, folded at the midrib, curled."""
    side = len(relief)
    quilt = 0.0055 * (1 - np.exp(body.from_vein / -0.014)) - 0.0007 * body.mesh
    fold = np.float32(rng.uniform(-0.12, 0.30)) * np.minimum(body.from_trunk, np.float32(0.25))
    curl = 0.022 * smooth(rng, 3, side) + 0.006 * smooth(rng, 8, side)
    stalk = 0.006 * ndimage.gaussian_filter(body.stalk, side * 0.006)
    height = quilt + fold + curl + relief + stalk  # continuous across the margin, where a step would give a black line
    down, right = np.gradient(height.astype(np.float32) * np.float32(side))
    return np.stack([right, down])


def grow(specimen: Specimen) -> Leaf:
    """Generate one leaf: outline, color, symptoms and relief, each with its own random generator."""
    side = round(
        specimen.size * 1.15
    )  # slightly finer than the photographs, which show the leaf smaller than the frame
    species = SPECIES[specimen.species]
    outline = fit_to_square(species.outline(specimen.rng("outline")))
    body = draw_anatomy(outline, specimen.rng("anatomy"), side)
    inside = body.blade > 0.5
    edge = distance_to(~inside)
    albedo = leaf_color(species, body, edge, specimen.rng("color"))
    symptoms, severity = Symptoms(Blade(albedo, inside, edge, body.from_vein)), 0.0
    if specimen.condition != "healthy":
        rng = specimen.rng("disease")
        span = difficulty.SEVEREST - difficulty.MILDEST
        severity = difficulty.MILDEST + span * float(rng.random()) ** difficulty.SEVERITY_SKEW
        DISEASES[specimen.condition](symptoms, severity, rng)
    surface = symptoms.albedo
    surface += (rgb(*species.vein) * np.float32(0.88) - surface) * (body.stalk * (1 - body.blade))[..., None]
    return Leaf(
        albedo=np.clip(surface, 0, 1),
        alpha=np.maximum(body.blade, body.stalk),
        slope=surface_slopes(body, symptoms.relief, specimen.rng("relief")),
        cover=symptoms.cover,
        gloss=species.gloss,
        severity=severity,
    )
