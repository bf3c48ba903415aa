"""The outline and the veins of a leaf, as lines in the plane.

Coordinates of this module: the petiole joins the blade at (0, 0), the tip is near (0, 1), y points up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from coverslip.data.synthetic import difficulty

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Vein:
    """One line of a leaf: points (N, 2), its width at the first and last point, and its order (1 main, 2 side)."""

    points: Points
    start: float
    end: float
    order: int


@dataclass(frozen=True)
class Outline:
    """Blades as closed polygons (N, 2), veins, and the stalk that carries them."""

    blades: tuple[Points, ...]
    veins: tuple[Vein, ...]
    petiole: Vein

    def moved(self, move: Callable[[Points], Points]) -> Outline:
        """The same outline with every point sent through ``move``."""
        return Outline(
            tuple(move(blade) for blade in self.blades),
            tuple(replace(vein, points=move(vein.points)) for vein in self.veins),
            replace(self.petiole, points=move(self.petiole.points)),
        )

    def scaled(self, factor: float) -> Outline:
        """The same outline with the widths of its veins multiplied; points are left alone."""
        veins = tuple(replace(v, start=v.start * factor, end=v.end * factor) for v in self.veins)
        stalk = replace(self.petiole, start=self.petiole.start * factor, end=self.petiole.end * factor)
        return Outline(self.blades, veins, stalk)


@dataclass(frozen=True, kw_only=True)
class Pinnate:
    """A blade with one midrib. Lengths are fractions of the blade's length."""

    width: float
    base: float  # exponent of the profile at the base: small is round
    tip: float  # the same at the tip: above 1 is drawn out to a point
    heart: float = 0.0  # how far the base reaches back beside the petiole
    drip: float = 0.0  # how far the last of the tip is pulled out
    lobes: int = 0
    lobe_depth: float = 0.0
    teeth: int = 0
    tooth: float = 0.0
    pairs: int = 7
    rise: float = 0.2  # how far a side vein climbs on its way to the margin

    def margin(self, t: Points) -> Points:
        """(N,) 0 at the base to 1 at the tip -> (N, 2) right half of the smooth outline."""
        peak = self.base / (self.base + self.tip)
        top = peak**self.base * (1 - peak) ** self.tip
        x = self.width / 2 * t**self.base * (1 - t) ** self.tip / top
        y = t - self.heart * np.sin(np.pi * np.clip(t / 0.34, 0, 1)) + self.drip * t**9
        return np.stack([x, y], axis=1)


def saw(phase: Points, rng: np.random.Generator, lean: float = 0.72) -> Points:
    """(N,) phase in teeth -> (N,) height 0..1 of teeth that lean forward and differ in size."""
    part = phase % 1
    size = 0.65 + 0.5 * rng.random(int(phase.max()) + 2)
    shape = np.where(part < lean, part / lean, (1 - part) / (1 - lean))
    return np.asarray(shape**0.85 * size[phase.astype(int)])


def bezier(start: Points, bend: Points, end: Points, count: int = 14) -> Points:
    """A quadratic curve from ``start`` to ``end``, pulled towards ``bend``: (count, 2)."""
    t = np.linspace(0, 1, count)[:, None]
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end)


def pinnate(shape: Pinnate, rng: np.random.Generator) -> Outline:
    """Grow one blade of the given shape, no two halves alike."""
    vary = difficulty.SHAPE_VARIATION
    shape = replace(
        shape,
        width=shape.width * (1 + 0.10 * vary * rng.standard_normal()),
        base=shape.base * (1 + 0.06 * vary * rng.standard_normal()),
        tip=shape.tip * (1 + 0.06 * vary * rng.standard_normal()),
    )
    t = (1 - np.cos(np.linspace(0, np.pi, 260))) / 2
    halves, veins = [], []
    for side in (1.0, -1.0):
        edge = shape.margin(t)
        room = np.clip(np.sin(np.pi * t), 0, 1) ** 0.6
        if shape.lobes:
            phase = t * shape.lobes + rng.uniform(0, 0.5)
            edge[:, 0] *= 1 - shape.lobe_depth * (1 - saw(phase, rng, lean=0.6)) * room
        if shape.teeth:
            bite = shape.tooth * saw(t * shape.teeth + rng.random(), rng) * room
            edge += np.stack([bite, 0.5 * bite], axis=1)
        wave = 0.011 * vary * np.sin(2 * np.pi * (t * rng.uniform(0.7, 2.0) + rng.random())) * room
        edge[:, 0] = np.maximum(edge[:, 0] * (1 + 0.05 * vary * rng.standard_normal()) + wave, 0)
        halves.append(edge * [side, 1])
        for index in range(shape.pairs):
            low = 0.03 + 0.80 * (index + 0.35 * (side > 0) + 0.12 * rng.standard_normal()) / shape.pairs
            low = max(low, 0.015)
            high = min(low + shape.rise * (1 - 0.45 * low), 0.985)
            end = shape.margin(np.array([high]))[0] * [0.94 * side, 1]
            start = np.array([0.0, low])
            bend = np.array([0.62 * end[0], start[1] + 0.30 * (end[1] - start[1])])
            size = 0.0085 * (1 - 0.5 * low)
            veins.append(Vein(bezier(start, bend, end), size, 0.0022, 2))
    veins.append(Vein(np.stack([np.zeros(40), np.linspace(0, 0.985 + shape.drip, 40)], axis=1), 0.017, 0.003, 1))
    stalk = np.stack([np.zeros(12), np.linspace(0.01, -0.2, 12)], axis=1)
    return Outline((np.concatenate([halves[0], halves[1][::-1]]),), tuple(veins), Vein(stalk, 0.018, 0.022, 1))


def palmate(rng: np.random.Generator, angles: Points, lengths: Points, *, breadth: float, tooth: float) -> Outline:
    """Grow a blade whose main veins spread from the petiole, one to each lobe.

    Args:
        rng: chance.
        angles: (L,) radians from the tip's direction, ascending.
        lengths: (L,) reach of each lobe.
        breadth: radians a lobe spreads.
        tooth: height of the teeth.
    """
    vary = difficulty.SHAPE_VARIATION
    angles = angles + 0.06 * vary * rng.standard_normal(len(angles))
    lengths = lengths * (1 + 0.06 * vary * rng.standard_normal(len(lengths)))
    breadth *= 1 + 0.10 * vary * rng.standard_normal()

    def reach(theta: Points) -> Points:
        away = np.abs(theta[:, None] - angles) / breadth
        lobes = lengths * np.exp(-(away**1.45))
        return np.asarray((lobes**3).sum(axis=1) ** (1 / 3))

    theta = np.linspace(-np.pi * 0.985, np.pi * 0.985, 620)
    smooth = reach(theta)
    steps = np.hypot(np.gradient(smooth), smooth * np.gradient(theta))
    along = np.cumsum(steps)
    bite = tooth * saw(along / along[-1] * 58 + 0.01, rng, lean=0.5)
    radius = smooth + bite * np.clip(smooth * 2.2, 0, 1)
    blade = np.stack([radius * np.sin(theta), radius * np.cos(theta)], axis=1)

    veins = []
    for angle, length in zip(angles, lengths, strict=True):
        way = np.array([np.sin(angle), np.cos(angle)])
        across = np.array([way[1], -way[0]]) * 0.05 * rng.standard_normal()
        main = bezier(np.zeros(2), way * length / 2 + across, way * length * 0.97, 24)
        veins.append(Vein(main, 0.015, 0.003, 1))
        for part in (0.22, 0.38, 0.53, 0.67, 0.80):
            for side in (-1.0, 1.0):
                turn = angle + side * 0.40 * (1 - 0.62 * part) * (1 + 0.1 * rng.standard_normal())
                far = max(float(reach(np.array([turn]))[0]) * 0.93, length * part * 1.02)
                far = min(far, length * (part + 0.30))
                start = main[int(part * 23)]
                end = far * np.array([np.sin(turn), np.cos(turn)])
                veins.append(Vein(bezier(start, 0.5 * (start + end) + 0.05 * way * length, end), 0.0075, 0.002, 2))
    stalk = np.stack([np.zeros(12), np.linspace(0.01, -0.42, 12)], axis=1)
    return Outline((blade,), tuple(veins), Vein(stalk, 0.017, 0.02, 1))


def bent(outline: Outline, rng: np.random.Generator) -> Outline:
    """Curve the midrib, and everything with it, as no leaf is straight."""
    curve, sway = 0.13 * rng.standard_normal(), 0.018 * rng.standard_normal()

    def move(points: Points) -> Points:
        x, y = points[:, 0], points[:, 1]
        return np.stack([x + curve * y * np.abs(y) + sway * np.sin(4 * y), y - 0.4 * curve * x * y], axis=1)

    return outline.moved(move)
