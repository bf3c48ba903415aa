"""Symptoms of leaf diseases. To add a disease, register one function in this file.

A disease receives the leaf as `Symptoms`, a severity 0..1 and a random generator, and paints on the leaf. Everything
it paints is recorded as cover, so that image and lesion mask agree; nothing is painted outside the blade.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coverslip.core.registry import Registry
from coverslip.data.synthetic import difficulty
from coverslip.data.synthetic.noise import Field, Flags, fractal, ramp, rgb, smooth

LESION_COVER = 0.35  # a pixel with at least this cover is part of the lesion mask
Disease = Callable[["Symptoms", float, np.random.Generator], None]

DISEASES: Registry[Disease] = Registry("disease")


@dataclass(frozen=True)
class Blade:
    """A healthy flat leaf on a square of T x T pixels; lengths are fractions of the square.

    Attributes:
        albedo: float32 (T, T, 3), color under even white light, 0..1.
        inside: bool (T, T), True on the blades, without petiole and holes.
        edge: float32 (T, T), distance to the margin, 0 outside.
        vein: float32 (T, T), distance to the nearest main or side vein.
    """

    albedo: Field
    inside: Flags
    edge: Field
    vein: Field

    @property
    def side(self) -> int:
        """Side of the square in pixels."""
        return int(self.inside.shape[0])


class Symptoms:
    """A leaf while a disease is painted on it: its color, the cover so far, and its relief."""

    def __init__(self, blade: Blade) -> None:
        self.blade = blade
        self.albedo = blade.albedo.copy()
        self.cover: Field = np.zeros(blade.inside.shape, np.float32)
        self.relief: Field = np.zeros(blade.inside.shape, np.float32)

    def paint(self, color: npt.ArrayLike, cover: Field) -> None:
        """Paint ``color``, (3,) or (T, T, 3), on the blade with the opacity ``cover``, (T, T) 0..1."""
        opacity = np.where(self.blade.inside, np.clip(cover, 0, 1), np.float32(0))
        self.cover = 1 - (1 - self.cover) * (1 - opacity)
        alpha = (opacity * np.float32(difficulty.SYMPTOM_CONTRAST))[..., None]
        self.albedo += (np.asarray(color, np.float32) - self.albedo) * alpha

    def darken(self, share: Field) -> None:
        """Darken the blade by the fraction ``share``, (T, T); darker areas do not count as lesion."""
        self.albedo *= (1 - np.where(self.blade.inside, share, np.float32(0)))[..., None]

    def positions(self, rng: np.random.Generator, count: int, near_edge: float = 0.0) -> Field:
        """Return random positions inside the blade, (count, 2) of x, y; ``near_edge`` 1 strongly favors the margin."""
        candidates = rng.random((4000, 2))
        keep = rng.random(4000)
        pixel = (candidates * self.blade.side).astype(int)
        column, row = pixel[:, 0], pixel[:, 1]
        probability = np.exp(-near_edge * self.blade.edge[row, column] / 0.03)
        accepted = candidates[self.blade.inside[row, column] & (keep < probability)]
        if len(accepted) == 0:  # a leaf of a few pixels
            accepted = np.full((1, 2), 0.5)
        chosen: Field = accepted[np.arange(count) % len(accepted)].astype(np.float32)
        return chosen

    def spots(self, positions: Field, radii: Field, reach: float) -> tuple[Field, npt.NDArray[np.int32]]:
        """Return for each pixel the distance to the nearest spot, in radii of that spot, and the index of the spot.

        Args:
            positions: centers x, y of the spots, shape (S, 2).
            radii: radii of the spots as fractions of the square, shape (S,).
            reach: largest distance considered, in radii; farther away the distance is ``reach`` and the index -1.
        """
        side = self.blade.side
        distance: Field = np.full((side, side), reach, np.float32)
        which = np.full((side, side), -1, np.int32)
        axis = ((np.arange(side) + 0.5) / side).astype(np.float32)
        for index, ((x, y), radius) in enumerate(zip(positions, radii, strict=True)):
            span = reach * radius
            left, right = np.searchsorted(axis, (x - span, x + span))
            top, bottom = np.searchsorted(axis, (y - span, y + span))
            box = np.s_[top:bottom, left:right]
            to_spot = np.hypot(axis[left:right] - x, (axis[top:bottom] - y)[:, None]) / radius
            nearer = to_spot < distance[box]
            which[box][nearer] = index
            np.minimum(distance[box], to_spot, out=distance[box])
        return distance, which


def scatter_around(positions: Field, rng: np.random.Generator, members: int, spread: float) -> Field:
    """Scatter ``members`` points around each of the (S, 2) centers: (S * members, 2)."""
    offsets = rng.standard_normal((len(positions), members, 2)) * spread
    return (positions[:, None] + offsets).reshape(-1, 2).astype(np.float32)


@DISEASES.register("bacterial_spot")
def bacterial_spot(leaf: Symptoms, severity: float, rng: np.random.Generator) -> None:
    """Paint many small, angular, almost black spots, each with a yellow halo."""
    count = round(7 + 75 * severity)
    positions = leaf.positions(rng, count, near_edge=0.25)
    radii = (0.0058 + 0.0062 * rng.random(count) ** 2).astype(np.float32) * np.float32(1 + 0.4 * severity)
    distance, which = leaf.spots(positions, radii, 3.5)
    ragged = distance + 0.45 * smooth(rng, 70, leaf.blade.side) * (distance < 3)
    dark = rng.random(count + 1)[which][..., None].astype(np.float32)
    leaf.paint((0.71, 0.69, 0.20), (0.50 + 0.25 * severity) * ramp(ragged, 2.8, 1.2))
    leaf.paint(rgb(0.13, 0.09, 0.06) + dark * rgb(0.15, 0.08, 0.03), 0.95 * ramp(ragged, 1.35, 0.8))
    leaf.paint((0.45, 0.36, 0.24), 0.6 * ramp(ragged, 0.5, 0.1) * (radii[which] > 0.012))
    leaf.relief -= 0.0012 * ramp(distance, 1.4, 0.6)


@DISEASES.register("early_blight")
def early_blight(leaf: Symptoms, severity: float, rng: np.random.Generator) -> None:
    """Paint brown spots with dark concentric rings, like targets, on a yellowing leaf."""
    count = round(2 + 8 * severity)
    positions = leaf.positions(rng, count, near_edge=0.1)
    radii = (0.018 + (0.012 + 0.042 * severity) * rng.random(count) ** 1.3).astype(np.float32)
    distance, which = leaf.spots(positions, radii, 3.2)
    ragged = distance + (0.16 * smooth(rng, 18, leaf.blade.side) + 0.08 * smooth(rng, 60, leaf.blade.side)) * (
        distance < 2.9
    )
    rings = 1.8 + 36 * radii
    wave = 0.5 + 0.5 * np.cos(2 * np.pi * ragged * rings[which])
    tone = np.clip(0.35 + 0.5 * wave + 0.18 * smooth(rng, 90, leaf.blade.side), 0, 1)[..., None]
    brown = rgb(0.24, 0.15, 0.09) + tone * rgb(0.26, 0.19, 0.10)
    leaf.paint((0.74, 0.68, 0.22), (0.35 + 0.4 * severity) * ramp(ragged, 2.3, 1.0))
    leaf.paint(brown, 0.96 * ramp(ragged, 1.08, 0.90))
    leaf.paint((0.14, 0.09, 0.06), 0.65 * ramp(np.abs(ragged - 0.98), 0.12, 0.02))
    leaf.relief -= 0.0025 * ramp(ragged, 1.05, 0.8) - 0.0006 * wave * (ragged < 1)


@DISEASES.register("late_blight")
def late_blight(leaf: Symptoms, severity: float, rng: np.random.Generator) -> None:
    """Paint large dark, water-soaked patches with a pale rim, spreading from the margin."""
    count = round(1 + 3.2 * severity)
    positions = leaf.positions(rng, count, near_edge=2.5)
    radii = ((0.065 + 0.17 * severity) * (0.75 + 0.5 * rng.random(count))).astype(np.float32)
    distance, _ = leaf.spots(positions, radii, 2.6)
    side = leaf.blade.side
    ragged = distance + 0.34 * fractal(rng, 7, side, 4) - 0.10 * ramp(leaf.blade.vein, 0.02, 0.0)
    blotch = (0.5 + 0.35 * fractal(rng, 12, side, 3))[..., None]
    soaked = rgb(0.115, 0.10, 0.06) + np.clip(blotch, 0, 1) * rgb(0.17, 0.13, 0.06)
    soaked = soaked + 0.18 * leaf.blade.albedo
    leaf.paint((0.66, 0.71, 0.36), 0.62 * ramp(ragged, 1.42, 1.05))
    leaf.paint(soaked, 0.97 * ramp(ragged, 1.10, 0.88))
    dry = ramp(ragged, 0.55, 0.15) * ramp(smooth(rng, 10, side), -0.2, 0.7)
    leaf.paint((0.43, 0.32, 0.19), 0.75 * dry)
    leaf.relief -= 0.006 * ramp(ragged, 1.1, 0.5) + 0.0035 * smooth(rng, 22, side) * ramp(ragged, 1.0, 0.6)


@DISEASES.register("mosaic")
def mosaic(leaf: Symptoms, severity: float, rng: np.random.Generator) -> None:
    """Paint light and dark green patches between the veins of a puckered blade."""
    side = leaf.blade.side
    field = fractal(rng, 13, side, 3) + 0.55 * smooth(rng, 4, side) - 0.35 * ramp(leaf.blade.vein, 0.014, 0.0)
    level = np.quantile(field[leaf.blade.inside], 1 - (0.22 + 0.30 * severity)) if leaf.blade.inside.any() else 0.0
    pale = ramp(field, level - 0.12, level + 0.16)
    green = leaf.blade.albedo
    light = green * rgb(1.5, 1.30, 1.15) + rgb(0.09, 0.09, 0.0)
    leaf.paint(light, (0.58 + 0.34 * severity) * pale)
    leaf.darken((0.10 + 0.12 * severity) * ramp(field, level - 0.15, level - 0.9))
    leaf.relief += (0.002 + 0.006 * severity) * field


@DISEASES.register("powdery_mildew")
def powdery_mildew(leaf: Symptoms, severity: float, rng: np.random.Generator) -> None:
    """Paint round, merging colonies of white powder."""
    count = round(3 + 17 * severity)
    positions = leaf.positions(rng, count)
    radii = ((0.030 + 0.050 * severity) * (0.5 + rng.random(count))).astype(np.float32)
    distance, _ = leaf.spots(positions, radii, 2.4)
    side = leaf.blade.side
    soft = distance + 0.28 * fractal(rng, 16, side, 3)
    dust = np.clip(0.62 + 0.30 * fractal(rng, 60, side, 2), 0, 1)
    thick = ramp(soft, 1.35, 0.25) * dust
    leaf.paint((0.86, 0.87, 0.83), (0.75 + 0.25 * severity) * thick)
    leaf.relief += 0.0008 * fractal(rng, 80, side, 2) * thick


@DISEASES.register("rust")
def rust(leaf: Symptoms, severity: float, rng: np.random.Generator) -> None:
    """Paint groups of small raised orange pustules; the larger ones have a dark center."""
    groups = round(5 + 13 * severity)
    positions = scatter_around(leaf.positions(rng, groups), rng, 8, 0.035 + 0.035 * severity)
    radii = (0.0058 + 0.0062 * rng.random(len(positions)) ** 2).astype(np.float32) * np.float32(1 + 0.35 * severity)
    distance, which = leaf.spots(positions, radii, 3.2)
    ragged = distance + 0.25 * smooth(rng, 80, leaf.blade.side) * (distance < 3)
    warm = rng.random(len(positions) + 1)[which][..., None].astype(np.float32)
    leaf.paint((0.68, 0.68, 0.25), (0.35 + 0.25 * severity) * ramp(ragged, 2.7, 1.2))
    orange = rgb(0.50, 0.24, 0.08) + warm * rgb(0.22, 0.15, 0.05)
    leaf.paint(orange, 0.95 * ramp(ragged, 1.35, 0.85))
    leaf.paint((0.33, 0.14, 0.05), 0.6 * ramp(ragged, 0.55, 0.15) * (radii[which] > 0.009))
    leaf.relief += 0.0022 * ramp(distance, 1.4, 0.3)
