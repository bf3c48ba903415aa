"""What each disease does to a leaf. A new disease is one registered function in this file.

A disease gets the leaf as `Symptoms`, a severity 0..1 and its own chance, and paints. Whatever it paints is counted
as cover, so that image and lesion mask cannot disagree; it never reaches beyond the blade.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coverslip.core.registry import Registry
from coverslip.data.synthetic import difficulty
from coverslip.data.synthetic.noise import Field, Flags, fractal, ramp, rgb, smooth

VISIBLE = 0.35  # cover from which a pixel counts as lesion
Disease = Callable[["Symptoms", float, np.random.Generator], None]

DISEASES: Registry[Disease] = Registry("disease")


@dataclass(frozen=True)
class Blade:
    """A healthy leaf laid flat on a square of T pixels; lengths are fractions of the square.

    Attributes:
        albedo: float32 (T, T, 3), color under even white light, 0..1.
        inside: bool (T, T), the blades without petiole and holes.
        edge: float32 (T, T), distance to the margin, 0 outside.
        vein: float32 (T, T), distance to the nearest main or side vein.
    """

    albedo: Field
    inside: Flags
    edge: Field
    vein: Field

    @property
    def side(self) -> int:
        """Pixels along the square."""
        return int(self.inside.shape[0])


class Symptoms:
    """A leaf while a disease paints it: its color, what is covered so far, and its raised or sunken parts."""

    def __init__(self, blade: Blade) -> None:
        self.blade = blade
        self.albedo = blade.albedo.copy()
        self.cover: Field = np.zeros(blade.inside.shape, np.float32)
        self.relief: Field = np.zeros(blade.inside.shape, np.float32)

    def paint(self, color: npt.ArrayLike, cover: Field) -> None:
        """Lay ``color`` (3,) or (T, T, 3) over the blade where ``cover`` (T, T) is above 0, up to 1."""
        veil = np.where(self.blade.inside, np.clip(cover, 0, 1), np.float32(0))
        self.cover = 1 - (1 - self.cover) * (1 - veil)
        strength = (veil * np.float32(difficulty.SYMPTOM_CONTRAST))[..., None]
        self.albedo += (np.asarray(color, np.float32) - self.albedo) * strength

    def darken(self, share: Field) -> None:
        """Take a ``share`` (T, T) of the blade's light away; what is only darker is not counted as lesion."""
        self.albedo *= (1 - np.where(self.blade.inside, share, np.float32(0)))[..., None]

    def places(self, rng: np.random.Generator, count: int, near_edge: float = 0.0) -> Field:
        """(count, 2) of x, y inside the blade; ``near_edge`` 0 is anywhere, 1 favors the margin strongly."""
        guesses = rng.random((4000, 2))
        keep = rng.random(4000)
        pixel = (guesses * self.blade.side).astype(int)
        column, row = pixel[:, 0], pixel[:, 1]
        liking = np.exp(-near_edge * self.blade.edge[row, column] / 0.03)
        good = guesses[self.blade.inside[row, column] & (keep < liking)]
        if len(good) == 0:  # a leaf of a few pixels
            good = np.full((1, 2), 0.5)
        chosen: Field = good[np.arange(count) % len(good)].astype(np.float32)
        return chosen

    def spots(self, places: Field, radii: Field, reach: float) -> tuple[Field, npt.NDArray[np.int32]]:
        """Distance to the nearest spot in radii of that spot, and which spot it is.

        Args:
            places: (S, 2) x, y.
            radii: (S,) fractions of the square.
            reach: radii looked at; further away the distance is ``reach`` and the spot -1.
        """
        side = self.blade.side
        away: Field = np.full((side, side), reach, np.float32)
        which = np.full((side, side), -1, np.int32)
        axis = ((np.arange(side) + 0.5) / side).astype(np.float32)
        for index, ((x, y), radius) in enumerate(zip(places, radii, strict=True)):
            span = reach * radius
            left, right = np.searchsorted(axis, (x - span, x + span))
            top, bottom = np.searchsorted(axis, (y - span, y + span))
            box = np.s_[top:bottom, left:right]
            distance = np.hypot(axis[left:right] - x, (axis[top:bottom] - y)[:, None]) / radius
            nearer = distance < away[box]
            which[box][nearer] = index
            np.minimum(away[box], distance, out=away[box])
        return away, which


def clustered(places: Field, rng: np.random.Generator, members: int, spread: float) -> Field:
    """(S, 2) centers -> (S * members, 2) points scattered around them."""
    around = rng.standard_normal((len(places), members, 2)) * spread
    return (places[:, None] + around).reshape(-1, 2).astype(np.float32)


@DISEASES.register("bacterial_spot")
def bacterial_spot(leaf: Symptoms, severity: float, rng: np.random.Generator) -> None:
    """Many small, angular, almost black spots, each in a yellow halo."""
    count = round(7 + 75 * severity)
    places = leaf.places(rng, count, near_edge=0.25)
    radii = (0.0058 + 0.0062 * rng.random(count) ** 2).astype(np.float32) * np.float32(1 + 0.4 * severity)
    away, which = leaf.spots(places, radii, 3.5)
    ragged = away + 0.45 * smooth(rng, 70, leaf.blade.side) * (away < 3)
    dark = rng.random(count + 1)[which][..., None].astype(np.float32)
    leaf.paint((0.71, 0.69, 0.20), (0.50 + 0.25 * severity) * ramp(ragged, 2.8, 1.2))
    leaf.paint(rgb(0.13, 0.09, 0.06) + dark * rgb(0.15, 0.08, 0.03), 0.95 * ramp(ragged, 1.35, 0.8))
    leaf.paint((0.45, 0.36, 0.24), 0.6 * ramp(ragged, 0.5, 0.1) * (radii[which] > 0.012))
    leaf.relief -= 0.0012 * ramp(away, 1.4, 0.6)


@DISEASES.register("early_blight")
def early_blight(leaf: Symptoms, severity: float, rng: np.random.Generator) -> None:
    """Brown spots with dark concentric rings, like a target, in a yellowing leaf."""
    count = round(2 + 8 * severity)
    places = leaf.places(rng, count, near_edge=0.1)
    radii = (0.018 + (0.012 + 0.042 * severity) * rng.random(count) ** 1.3).astype(np.float32)
    away, which = leaf.spots(places, radii, 3.2)
    ragged = away + (0.16 * smooth(rng, 18, leaf.blade.side) + 0.08 * smooth(rng, 60, leaf.blade.side)) * (away < 2.9)
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
    """Large dark patches that look soaked with water, spreading from the margin behind a pale rim."""
    count = round(1 + 3.2 * severity)
    places = leaf.places(rng, count, near_edge=2.5)
    radii = ((0.065 + 0.17 * severity) * (0.75 + 0.5 * rng.random(count))).astype(np.float32)
    away, _ = leaf.spots(places, radii, 2.6)
    side = leaf.blade.side
    ragged = away + 0.34 * fractal(rng, 7, side, 4) - 0.10 * ramp(leaf.blade.vein, 0.02, 0.0)
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
    """Light and dark green in patches between the veins, on a puckered blade."""
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
    """Round colonies of white dust that run into each other."""
    count = round(3 + 17 * severity)
    places = leaf.places(rng, count)
    radii = ((0.030 + 0.050 * severity) * (0.5 + rng.random(count))).astype(np.float32)
    away, _ = leaf.spots(places, radii, 2.4)
    side = leaf.blade.side
    soft = away + 0.28 * fractal(rng, 16, side, 3)
    dust = np.clip(0.62 + 0.30 * fractal(rng, 60, side, 2), 0, 1)
    thick = ramp(soft, 1.35, 0.25) * dust
    leaf.paint((0.86, 0.87, 0.83), (0.75 + 0.25 * severity) * thick)
    leaf.relief += 0.0008 * fractal(rng, 80, side, 2) * thick


@DISEASES.register("rust")
def rust(leaf: Symptoms, severity: float, rng: np.random.Generator) -> None:
    """Small raised orange pustules in groups, the larger ones dark in the middle."""
    groups = round(5 + 13 * severity)
    places = clustered(leaf.places(rng, groups), rng, 8, 0.035 + 0.035 * severity)
    radii = (0.0058 + 0.0062 * rng.random(len(places)) ** 2).astype(np.float32) * np.float32(1 + 0.35 * severity)
    away, which = leaf.spots(places, radii, 3.2)
    ragged = away + 0.25 * smooth(rng, 80, leaf.blade.side) * (away < 3)
    warm = rng.random(len(places) + 1)[which][..., None].astype(np.float32)
    leaf.paint((0.68, 0.68, 0.25), (0.35 + 0.25 * severity) * ramp(ragged, 2.7, 1.2))
    orange = rgb(0.50, 0.24, 0.08) + warm * rgb(0.22, 0.15, 0.05)
    leaf.paint(orange, 0.95 * ramp(ragged, 1.35, 0.85))
    leaf.paint((0.33, 0.14, 0.05), 0.6 * ramp(ragged, 0.55, 0.15) * (radii[which] > 0.009))
    leaf.relief += 0.0022 * ramp(away, 1.4, 0.3)
