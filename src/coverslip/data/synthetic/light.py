"""Light on a photographed scene: where it comes from, how it falls on a leaf, and the shadow it casts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from coverslip.data.synthetic import difficulty
from coverslip.data.synthetic.leaf import Leaf
from coverslip.data.synthetic.noise import Field, fraction, ramp, rgb, smooth


@dataclass(frozen=True)
class Light:
    """Where light comes from (angle in the frame, height 0..1) and how hard and warm it is."""

    angle: float
    height: float
    hardness: float
    warmth: float
    exposure: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Light:
        """From an overcast sky to low sun, from a cool shade to a warm lamp."""
        vary = difficulty.LIGHT_VARIATION
        hard = float(rng.random() ** 1.3)
        return cls(
            angle=float(rng.uniform(0, 2 * np.pi)),
            height=float(rng.uniform(0.55, 0.85)),
            hardness=hard,
            warmth=float(np.clip(0.05 * vary * rng.standard_normal(), -0.12, 0.12)),
            exposure=float(np.exp(0.13 * vary * rng.standard_normal())),
        )


def shade(leaf: Leaf, light: Light, turn: float) -> Field:
    """Color of the lit leaf on its own square: (T, T, 3); ``turn`` is how far the leaf is turned under the light."""
    angle = light.angle - turn
    flat = np.sqrt(1 - light.height**2)
    x, y, z = (np.float32(part) for part in (flat * np.cos(angle), flat * np.sin(angle), light.height))
    right, down = leaf.slope
    upright = 1 / np.sqrt(1 + right * right + down * down)
    against = right * x + down * y
    share = np.float32(0.55 + 0.35 * light.hardness)
    bright = (1 - share) + share / z * np.clip((z - against) * upright, 0, None)
    # Blinn's highlight, for an eye straight above: the normal against the direction halfway between eye and light.
    halfway = 1 / np.sqrt(2 + 2 * z)
    mirror = np.clip((z + 1 - against) * halfway * upright, 0, 1)
    for _ in range(5):
        mirror = mirror * mirror  # to the power of 32, much faster than **
    gleam = np.float32(leaf.gloss * (0.25 + 0.75 * light.hardness)) * (mirror - np.float32(0.2))
    gleam = np.clip(gleam, 0, 1) * (1 - np.float32(0.8) * leaf.cover)
    return np.asarray(leaf.albedo * bright[..., None] + gleam[..., None] * rgb(0.80, 0.90, 1.0), np.float32)


def softened(image: Image.Image, sigma: float, side: int) -> Field:
    """A half-size mask through a Gaussian of ``sigma`` (fraction of the side), at full size: (side, side) 0..1."""
    soft = image.filter(ImageFilter.GaussianBlur(sigma * image.width))
    return fraction(soft.resize((side, side), Image.Resampling.BILINEAR))


def shadow(alpha: Field, light: Light) -> Field:
    """(S, S) share of light that the leaf leaves on the ground: 1 far away, down to about 0.3 under it."""
    side = len(alpha)
    half = max(side // 2, 16)  # shadows are soft: half the resolution shows no difference and costs a quarter
    image = Image.fromarray((alpha * 255).astype(np.uint8)).resize((half, half), Image.Resampling.BILINEAR)
    lift = (0.018 + 0.022 * (1 - light.height)) * half
    moved = Image.new("L", image.size)
    moved.paste(image, (round(-lift * np.cos(light.angle)), round(-lift * np.sin(light.angle))))
    cast = softened(moved, 0.006 + 0.020 * (1 - light.hardness), side)
    near = softened(image, 0.020, side)
    return np.asarray((1 - np.float32(0.35 + 0.28 * light.hardness) * cast) * (1 - np.float32(0.28) * near))


def falling(light: Light, rng: np.random.Generator, side: int) -> Field:
    """(S, S) brightness of the scene around 1: a gradient, darker corners, now and then the shadow of something."""
    vary = difficulty.LIGHT_VARIATION
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    x, y = axis[None, :], axis[:, None]
    along = x * np.float32(np.cos(light.angle)) + y * np.float32(np.sin(light.angle))
    slope, corners = 0.16 * vary * rng.random(), 0.11 * vary * rng.random()
    field = (1 + np.float32(slope) * along) * (1 - np.float32(corners) * (x * x + y * y))
    shaded, deep, turn, start = rng.random(4)
    wobble = smooth(rng, 5, side)
    if shaded < 0.18 * vary:  # the photographer's own shadow reaches into the image
        turn *= 2 * np.pi
        reach = x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn)) + np.float32(0.10) * wobble
        start, width = 0.9 * start, 0.06 + 0.35 * (1 - light.hardness)
        field = field * (1 - np.float32(0.15 + 0.25 * deep) * ramp(reach, start, start + width))
    return np.asarray(field * np.float32(light.exposure), np.float32)
