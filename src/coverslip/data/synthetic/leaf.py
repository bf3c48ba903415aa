"""One leaf, grown once: a flat square of color, relief, opacity and lesion that every photograph looks at."""

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

FINE = 3  # lines are drawn this many times larger, then averaged, for smooth edges
MARGIN = 0.045  # empty border of the square, so that a turned leaf never touches it


@dataclass(frozen=True)
class Leaf:
    """What a camera sees of a leaf, on a square of T pixels.

    Attributes:
        albedo: float32 (T, T, 3), color under even white light, 0..1.
        alpha: float32 (T, T), 1 on the leaf, 0 beside it.
        slope: float32 (2, T, T), how steeply the surface climbs to the right and downwards.
        cover: float32 (T, T), opacity of the symptoms, 0..1; 0 everywhere on a healthy leaf.
        gloss: how much the surface shines, 0..1.
        severity: 0 healthy to 1.
    """

    albedo: Field
    alpha: Field
    slope: Field
    cover: Field
    gloss: float
    severity: float


def fitted(outline: Outline) -> Outline:
    """Send the outline into the unit square, tip up, y pointing down, as large as the margin allows."""
    points = np.concatenate([*outline.blades, outline.petiole.points])
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (1 - 2 * MARGIN) / float((high - low).max())
    middle = (low + high) / 2
    return outline.moved(lambda p: (p - middle) * [scale, -scale] + 0.5).scaled(scale)


def shrunk(canvas: Image.Image, fine: int) -> Field:
    """A drawn mask, averaged down by ``fine`` and brought to 0..1."""
    return fraction(canvas.reduce(fine))


def draw_blades(blades: Sequence[Points], side: int, fine: int) -> Field:
    """(side, side) 0..1, 1 inside any of the polygons."""
    canvas = Image.new("L", (side * fine, side * fine))
    pen = ImageDraw.Draw(canvas)
    for blade in blades:
        pen.polygon([tuple(point) for point in (blade * side * fine).tolist()], fill=255)
    return shrunk(canvas, fine)


def draw_veins(veins: Sequence[Vein], side: int, fine: int) -> Field:
    """(side, side) 0..1, 1 on the tapered lines."""
    canvas = Image.new("L", (side * fine, side * fine))
    pen = ImageDraw.Draw(canvas)
    for vein in veins:
        points = vein.points * side * fine
        widths = np.linspace(vein.start, vein.end, len(points)) * side * fine
        for start, end, width in zip(points[:-1], points[1:], widths[1:], strict=True):
            pen.line([*start.tolist(), *end.tolist()], fill=255, width=max(1, round(width)))
            reach = max(width / 2 - 0.5, 0)  # a round joint hides the gap between two segments
            pen.ellipse([*(end - reach).tolist(), *(end + reach).tolist()], fill=255)
    return shrunk(canvas, fine)


def away_from(mask: Flags) -> Field:
    """Distance to the nearest pixel of ``mask``, as a fraction of the side."""
    if not mask.any():
        return np.ones(mask.shape, np.float32)
    distance = ndimage.distance_transform_edt(~mask).astype(np.float32)
    return np.asarray(distance / np.float32(mask.shape[0]))


@cache
def mesh_of(variant: int, side: int, cells: int = 1500) -> Field:
    """(side, side), 0 in the middle of a mesh of the finest veins to 1 on a vein; kept, as it takes long to make."""
    seeds = stream(0, "mesh", variant).random((cells, 2))
    axis = (np.arange(side) + 0.5) / side
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    near, _ = cKDTree(seeds).query(points, k=2)
    gap = ((near[:, 1] - near[:, 0]) * np.sqrt(cells)).reshape(side, side)
    return ramp(gap.astype(np.float32), 0.32, 0.0)


def netting(rng: np.random.Generator, side: int) -> Field:
    """One of 32 nets of finest veins, (side, side): four, each turned and mirrored, which no eye can tell."""
    variant, turns, mirrored = (int(value) for value in rng.integers((4, 4, 2)))
    mesh = np.rot90(mesh_of(variant, max(side // 2, 16)), turns)  # lines this faint need half the resolution
    return resize(mesh[:, ::-1] if mirrored else mesh, side, side)


def around(side: int, x: float, y: float, reach: float) -> tuple[tuple[slice, slice], Field]:
    """The window of pixels within ``reach`` of (x, y), and their distances to it."""
    left, right = (int(np.clip((x + sign * reach) * side, 0, side)) for sign in (-1, 1))
    top, bottom = (int(np.clip((y + sign * reach) * side, 0, side)) for sign in (-1, 1))
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    dx = (np.arange(left, right, dtype=np.float32) + 0.5) / side - x
    dy = (np.arange(top, bottom, dtype=np.float32) + 0.5) / side - y
    return np.s_[top:bottom, left:right], np.hypot(dx[None, :], dy[:, None]).astype(np.float32)


def punched(blade: Field, rng: np.random.Generator) -> Field:
    """Bite a few holes into some leaves, as insects do; healthy leaves have them too."""
    blade = blade.copy()
    count = int(rng.poisson(0.7 * difficulty.BLEMISHES))
    places = rng.random((count, 2)) * 0.7 + 0.15
    radii = 0.006 + 0.014 * rng.random(count) ** 2
    rough = 0.4 * smooth(rng, 60, len(blade))
    for (x, y), radius in zip(places, radii, strict=True):
        box, distance = around(len(blade), x, y, 2.5 * radius)
        blade[box] *= ramp(distance / radius + rough[box], 0.85, 1.15)
    return blade


def specked(surface: Field, rng: np.random.Generator) -> None:
    """Put a few small scars on the surface (T, T, 3), dark or pale: not a disease."""
    count = int(rng.poisson(5 * difficulty.BLEMISHES))
    places, radii = rng.random((count, 2)), 0.0025 + 0.006 * rng.random(count) ** 2
    for (x, y), radius, kind in zip(places, radii, rng.random(count), strict=True):
        box, distance = around(len(surface), x, y, 1.6 * radius)
        scar = rgb(0.36, 0.28, 0.16) if kind < 0.5 else rgb(0.60, 0.58, 0.38)
        surface[box] += (scar - surface[box]) * (0.75 * ramp(distance / radius, 1.4, 0.6))[..., None]


@dataclass(frozen=True)
class Anatomy:
    """The parts of a leaf on its square, each float32 (T, T), 0..1, and two distances in fractions of the side."""

    blade: Field
    veins: Field
    stalk: Field
    mesh: Field
    from_vein: Field
    from_trunk: Field


def anatomy(outline: Outline, rng: np.random.Generator, side: int) -> Anatomy:
    """Draw an outline that fits the unit square."""
    fine = FINE if side < 900 else 2
    blade = draw_blades(outline.blades, side, fine)
    trunk = draw_veins([vein for vein in outline.veins if vein.order == 1], side, fine)
    branches = draw_veins([vein for vein in outline.veins if vein.order == 2], side, fine)
    veins = np.maximum(trunk, branches * np.float32(0.85))
    stalk = np.maximum(draw_veins([outline.petiole], side, fine), trunk * (blade < 0.5))
    return Anatomy(
        blade=punched(blade, rng),
        veins=veins,
        stalk=stalk,
        mesh=netting(rng, side),
        from_vein=away_from(veins > 0.3),
        from_trunk=away_from(trunk > 0.3),
    )


def colored(species: Species, body: Anatomy, edge: Field, rng: np.random.Generator) -> Field:
    """Color of a healthy leaf, (T, T, 3); ``edge`` is the distance to the margin."""
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
    yellow = rng.random() ** 3 * 0.75 * difficulty.BLEMISHES  # some leaves fade from the margin; not a disease here
    fading = np.clip(yellow * ramp(edge + 0.05 * patches, 0.10, 0.0), 0, 1)
    surface += (rgb(0.58, 0.60, 0.20) - surface) * fading[..., None]
    specked(surface, rng)
    light = rgb(*species.vein) * np.float32(1 - 0.05 * vary * age)
    surface += (light - surface) * (0.72 * body.veins)[..., None]
    return np.clip(surface, 0.02, 0.98)


def slopes(body: Anatomy, relief: Field, rng: np.random.Generator) -> Field:
    """(2, T, T) slope to the right and downwards: quilted between the veins, folded along the midrib, curled."""
    side = len(relief)
    quilt = 0.0055 * (1 - np.exp(body.from_vein / -0.014)) - 0.0007 * body.mesh
    fold = np.float32(rng.uniform(-0.12, 0.30)) * np.minimum(body.from_trunk, np.float32(0.25))
    curl = 0.022 * smooth(rng, 3, side) + 0.006 * smooth(rng, 8, side)
    stalk = 0.006 * ndimage.gaussian_filter(body.stalk, side * 0.006)
    height = quilt + fold + curl + relief + stalk  # goes on beside the blade: a step there would draw a black line
    down, right = np.gradient(height.astype(np.float32) * np.float32(side))
    return np.stack([right, down])


def grow(specimen: Specimen) -> Leaf:
    """Grow one leaf: outline, color, symptoms and relief, each by chance of its own."""
    side = round(specimen.size * 1.15)  # a little finer than the photographs, which show it smaller than the frame
    species = SPECIES[specimen.species]
    outline = fitted(species.outline(specimen.chance("outline")))
    body = anatomy(outline, specimen.chance("anatomy"), side)
    inside = body.blade > 0.5
    edge = away_from(~inside)
    albedo = colored(species, body, edge, specimen.chance("color"))
    symptoms, severity = Symptoms(Blade(albedo, inside, edge, body.from_vein)), 0.0
    if specimen.condition != "healthy":
        chance = specimen.chance("disease")
        span = difficulty.SEVEREST - difficulty.MILDEST
        severity = difficulty.MILDEST + span * float(chance.random()) ** difficulty.SEVERITY_SKEW
        DISEASES[specimen.condition](symptoms, severity, chance)
    surface = symptoms.albedo
    surface += (rgb(*species.vein) * np.float32(0.88) - surface) * (body.stalk * (1 - body.blade))[..., None]
    return Leaf(
        albedo=np.clip(surface, 0, 1),
        alpha=np.maximum(body.blade, body.stalk),
        slope=slopes(body, symptoms.relief, specimen.chance("relief")),
        cover=symptoms.cover,
        gloss=species.gloss,
        severity=severity,
    )
