"""Outlines and veins of leaves as lines in the plane.

Coordinates in this module: the petiole joins the blade at (0, 0), the tip is near (0, 1), y points up.
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
    """A vein: points (N, 2), its width at the first and the last point, and its order (1 main, 2 side)."""

    points: Points
    start: float
    end: float
    order: int


@dataclass(frozen=True)
class Outline:
    """Blades as closed polygons (N, 2), veins, and the petiole."""

    blades: tuple[Points, ...]
    veins: tuple[Vein, ...]
    petiole: Vein

    def map_points(self, move: Callable[[Points], Points]) -> Outline:
        """Return the outline with ``move`` applied to all points."""
        return Outline(
            tuple(move(blade) for blade in self.blades),
            tuple(replace(vein, points=move(vein.points)) for vein in self.veins),
            replace(self.petiole, points=move(self.petiole.points)),
        )

    def scale_widths(self, factor: float) -> Outline:
        """Return the outline with the widths of its veins multiplied by ``factor``; the points do not change."""
        veins = tuple(replace(v, start=v.start * factor, end=v.end * factor) for v in self.veins)
        stalk = replace(self.petiole, start=self.petiole.start * factor, end=self.petiole.end * factor)
        return Outline(self.blades, veins, stalk)


@dataclass(frozen=True, kw_only=True)
class Pinnate:
    """A blade with one midrib. Lengths are fractions of the blade's length."""

    width: float
    base: float  # exponent of the profile at the base; a small value gives a round base
    tip: float  # exponent of the profile at the tip; above 1 the tip is tapered
    heart: float = 0.0  # extension of the base next to the petiole, as in a heart
    drip: float = 0.0  # extension of the outermost tip
    lobes: int = 0
    lobe_depth: float = 0.0
    teeth: int = 0
    tooth: float = 0.0
    pairs: int = 7
    rise: float = 0.2  # rise of a side vein between midrib and margin

    def margin(self, t: Points) -> Points:
        """Return the right half of the smooth outline, (N, 2), for positions (N,) from 0 (base) to 1 (tip)."""
        peak = self.base / (self.base + self.tip)
        top = peak**self.base * (1 - peak) ** self.tip
        x = self.width / 2 * t**self.base * (1 - t) ** self.tip / top
        y = t - self.heart * np.sin(np.pi * np.clip(t / 0.34, 0, 1)) + self.drip * t**9
        return np.stack([x, y], axis=1)


def teeth_profile(phase: Points, rng: np.random.Generator, lean: float = 0.72) -> Points:
    """Return the height 0..1, (N,), of teeth that lean forward and vary in size, for phases (N,) in teeth."""
    position = phase % 1
    size = 0.65 + 0.5 * rng.random(int(phase.max()) + 2)
    shape = np.where(position < lean, position / lean, (1 - position) / (1 - lean))
    return np.asarray(shape**0.85 * size[phase.astype(int)])


def bezier(start: Points, bend: Points, end: Points, count: int = 14) -> Points:
    """Return a quadratic Bezier curve from ``start`` to ``end`` with the control point ``bend``, (count, 2)."""
    t = np.linspace(0, 1, count)[:, None]
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end)


def pinnate(shape: Pinnate, rng: np.random.Generator) -> Outline:
    """Return one blade of the given shape with random variation, also between its two halves."""
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
            edge[:, 0] *= 1 - shape.lobe_depth * (1 - teeth_profile(phase, rng, lean=0.6)) * room
        if shape.teeth:
            bite = shape.tooth * teeth_profile(t * shape.teeth + rng.random(), rng) * room
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
    """Return a blade whose main veins spread from the petiole, one into each lobe.

    Args:
        rng: random generator.
        angles: directions of the lobes in radians from the tip, ascending, shape (L,).
        lengths: lengths of the lobes, shape (L,).
        breadth: width of a lobe in radians.
        tooth: height of the teeth.
    """
    vary = difficulty.SHAPE_VARIATION
    angles = angles + 0.06 * vary * rng.standard_normal(len(angles))
    lengths = lengths * (1 + 0.06 * vary * rng.standard_normal(len(lengths)))
    breadth *= 1 + 0.10 * vary * rng.standard_normal()

    def reach(theta: Points) -> Points:
        distance = np.abs(theta[:, None] - angles) / breadth
        lobes = lengths * np.exp(-(distance**1.45))
        return np.asarray((lobes**3).sum(axis=1) ** (1 / 3))

    theta = np.linspace(-np.pi * 0.985, np.pi * 0.985, 620)
    smooth = reach(theta)
    steps = np.hypot(np.gradient(smooth), smooth * np.gradient(theta))
    along = np.cumsum(steps)
    bite = tooth * teeth_profile(along / along[-1] * 58 + 0.01, rng, lean=0.5)
    radius = smooth + bite * np.clip(smooth * 2.2, 0, 1)
    blade = np.stack([radius * np.sin(theta), radius * np.cos(theta)], axis=1)

    veins = []
    for angle, length in zip(angles, lengths, strict=True):
        direction = np.array([np.sin(angle), np.cos(angle)])
        across = np.array([direction[1], -direction[0]]) * 0.05 * rng.standard_normal()
        main = bezier(np.zeros(2), direction * length / 2 + across, direction * length * 0.97, 24)
        veins.append(Vein(main, 0.015, 0.003, 1))
        for position in (0.22, 0.38, 0.53, 0.67, 0.80):
            for side in (-1.0, 1.0):
                turn = angle + side * 0.40 * (1 - 0.62 * position) * (1 + 0.1 * rng.standard_normal())
                far = max(float(reach(np.array([turn]))[0]) * 0.93, length * position * 1.02)
                far = min(far, length * (position + 0.30))
                start = main[int(position * 23)]
                end = far * np.array([np.sin(turn), np.cos(turn)])
                veins.append(
                    Vein(bezier(start, 0.5 * (start + end) + 0.05 * direction * length, end), 0.0075, 0.002, 2)
                )
    stalk = np.stack([np.zeros(12), np.linspace(0.01, -0.42, 12)], axis=1)
    return Outline((blade,), tuple(veins), Vein(stalk, 0.017, 0.02, 1))


def bend_randomly(outline: Outline, rng: np.random.Generator) -> Outline:
    """Bend the midrib and the whole outline by a random curve."""
    curve, sway = 0.13 * rng.standard_normal(), 0.018 * rng.standard_normal()

    def move(points: Points) -> Points:
        x, y = points[:, 0], points[:, 1]
        return np.stack([x + curve * y * np.abs(y) + sway * np.sin(4 * y), y - 0.4 * curve * x * y], axis=1)

    return outline.map_points(move)
