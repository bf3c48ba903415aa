"""Backgrounds of leaf photographs. To add a background, register one function in this file."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy.spatial import cKDTree

from coverslip.core.registry import Registry
from coverslip.data.synthetic.noise import Field, fractal, fraction, ramp, resize, rgb, smooth, stream
from coverslip.data.synthetic.outlines import Outline
from coverslip.data.synthetic.species import SPECIES

Background = Callable[[np.random.Generator, int], Field]

BACKGROUNDS: Registry[Background] = Registry("background")
PLAIN = ("paper", "bench")  # the others are cluttered


@BACKGROUNDS.register("paper")
def paper(rng: np.random.Generator, side: int) -> Field:
    """Return grey or white paper with a faint grain."""
    grey = rng.uniform(0.50, 0.86)
    tone = 1 + 0.012 * fractal(rng, 90, side, 2) + 0.02 * smooth(rng, 3, side)
    warm = 0.012 * rng.standard_normal()
    return np.asarray(rgb(grey + warm, grey, grey - warm) * tone[..., None], np.float32)


@BACKGROUNDS.register("bench")
def bench(rng: np.random.Generator, side: int) -> Field:
    """Return a wooden board with grain."""
    across, along = smooth(rng, (46, 3), side), smooth(rng, (110, 7), side)
    bend = smooth(rng, (5, 2), side)
    rings = np.sin(9 * bend + 3.0 * across)
    tone = 1 + 0.07 * across + 0.05 * along + 0.06 * rings
    wood = rgb(0.55, 0.42, 0.29) * np.float32(rng.uniform(0.7, 1.2))
    board = np.asarray(wood * tone[..., None], np.float32)
    return board if rng.random() < 0.5 else np.ascontiguousarray(board.transpose(1, 0, 2))


def pebbles(rng: np.random.Generator, side: int, count: int) -> tuple[Field, Field]:
    """Return rounded stones that fill the square: height (side, side) 0..1, and a tone (side, side) per stone."""
    coarse = max(side // 2, 24)
    seeds = rng.random((count, 2)) * 1.2 - 0.1
    tones = rng.random(count)
    axis = (np.arange(coarse) + 0.5) / coarse
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    near, which = cKDTree(seeds).query(points, k=2)
    gap = (near[:, 1] - near[:, 0]) * np.sqrt(count)
    height = ramp(gap.reshape(coarse, coarse).astype(np.float32), -0.05, 0.6)
    tone = tones[which[:, 0]].reshape(coarse, coarse).astype(np.float32)
    return resize(height, side, side), resize(tone, side, side)


def lit(height: Field, contrast: float) -> Field:
    """Return the brightness, around 1, of a relief lit from the upper left, with a contrast independent of size."""
    down, right = np.gradient(height)
    return np.asarray(1 - contrast * len(height) * (right + down) / 2, np.float32)


@BACKGROUNDS.register("soil")
def soil(rng: np.random.Generator, side: int) -> Field:
    """Return dark crumbly soil with a few stones."""
    crumbs = fractal(rng, 14, side, 4, fall=0.8)
    height, tone = pebbles(rng, side, 700)
    stones = ramp(tone, 0.90, 0.94)
    relief = 0.008 * crumbs + 0.010 * height * (0.4 + stones)
    light = np.clip(lit(relief, 1.0), 0.45, 1.7) * (0.55 + 0.45 * height)
    earth = np.float32(rng.uniform(0.75, 1.25)) * rgb(0.36, 0.265, 0.19)
    surface = earth * (1 + 0.22 * crumbs)[..., None]
    surface += (rgb(0.44, 0.40, 0.35) - surface) * (0.8 * stones)[..., None]
    return np.asarray(np.clip(surface * light[..., None], 0.01, 1), np.float32)


@BACKGROUNDS.register("gravel")
def gravel(rng: np.random.Generator, side: int) -> Field:
    """Return grey and brown pebbles."""
    height, tone = pebbles(rng, side, round(rng.uniform(90, 320)))
    light = np.clip(lit(0.020 * height, 1.0), 0.5, 1.5) * (0.42 + 0.58 * height)
    warm = np.sin(40 * tone)[..., None] * rgb(0.05, 0.01, -0.05)
    surface = (0.38 + 0.22 * tone + 0.03 * fractal(rng, 60, side, 2))[..., None] + warm
    return np.asarray(np.clip(surface * light[..., None], 0.01, 1), np.float32)


@BACKGROUNDS.register("straw")
def straw(rng: np.random.Generator, side: int) -> Field:
    """Return crossing dry stems on dark soil."""
    big = max(side, 160) * 2
    image = Image.new("RGB", (big, big), (52, 40, 28))
    pen = ImageDraw.Draw(image)
    main = rng.uniform(0, np.pi)
    for depth in np.linspace(0.45, 1.0, 230):
        x, y = rng.uniform(-0.1, 1.1, 2) * big
        turn = main + 0.7 * rng.standard_normal()
        reach = rng.uniform(0.10, 0.45) * big
        dx, dy = reach * np.cos(turn), reach * np.sin(turn)
        width = max(1, round(rng.uniform(0.006, 0.020) * big))
        tone = depth * rng.uniform(0.75, 1.1)
        fill = (int(205 * tone), int(172 * tone), int(108 * tone))
        shade = (int(70 * depth), int(54 * depth), int(34 * depth))
        gleam = (min(int(245 * tone), 255), min(int(218 * tone), 255), int(160 * tone))
        drop = max(1, width // 3)
        pen.line([x + drop, y + drop, x + dx + drop, y + dy + drop], fill=shade, width=width)
        pen.line([x, y, x + dx, y + dy], fill=fill, width=width)
        pen.line(
            [x - drop / 2, y - drop / 2, x + dx - drop / 2, y + dy - drop / 2], fill=gleam, width=max(1, width // 4)
        )
    scene = fraction(image.resize((side, side), Image.Resampling.BOX))
    return scene * (1 + 0.05 * smooth(rng, 80, side))[..., None]


@cache
def foliage_outlines() -> tuple[Outline, ...]:
    """Return a few outlines for the foliage; they are out of focus, so that their repetition is not visible."""
    return tuple(SPECIES[name].outline(stream(0, "foliage", name, number)) for name in SPECIES for number in range(3))


@BACKGROUNDS.register("foliage")
def foliage(rng: np.random.Generator, side: int) -> Field:
    """Return other leaves, in the shade and out of focus."""
    big = max(side, 128)
    image = Image.new("RGB", (big, big), (22, 34, 16))
    pen = ImageDraw.Draw(image)
    shapes = foliage_outlines()
    for depth in np.linspace(0.35, 0.80, 15):
        shape = shapes[int(rng.integers(len(shapes)))]
        turn, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.30, 0.65) * big
        spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * size
        middle = rng.uniform(-0.05, 1.05, 2) * big - np.array([0, 0.5]) @ spin
        tone = depth * rng.uniform(0.75, 1.15)
        green = np.array([0.30 + 0.10 * rng.random(), 0.45, 0.19]) * tone * 255
        blades = [blade[::3] @ spin + middle for blade in shape.blades]  # a blurred edge needs fewer points
        for blade in blades:
            pen.polygon((blade + 0.025 * big).ravel().tolist(), fill=(14, 22, 10))
        for blade in blades:
            pen.polygon(blade.ravel().tolist(), fill=tuple(green.astype(int).tolist()))
        pale = tuple(np.clip(green * 1.25 + 12, 0, 255).astype(int).tolist())
        for vein in shape.veins:
            width = max(1, round(vein.start * size))
            pen.line((vein.points[::4] @ spin + middle).ravel().tolist(), fill=pale, width=width)
    soft = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.006, 0.016) * big))
    scene = fraction(soft.resize((side, side), Image.Resampling.BILINEAR))
    return np.asarray(scene * (1 + 0.10 * fractal(rng, 9, side, 3))[..., None])
