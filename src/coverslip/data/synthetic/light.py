"""Light of a photographed scene: its direction, the shading of the leaf, and the shadow on the background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from coverslip.data.synthetic import difficulty
from coverslip.data.synthetic.leaf import Leaf
from coverslip.data.synthetic.noise import Field, fraction, ramp, rgb, smooth


@dataclass(frozen=True)
class Light:
    """Light source: direction (angle in the frame, height 0..1), hardness, color temperature and exposure."""

    angle: float
    height: float
    hardness: float
    warmth: float
    exposure: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> Light:
        """Return a random light, from an overcast sky to low sun and from cool shade to a warm lamp."""
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
    """Return the color of the lit leaf on its square, (T, T, 3); ``turn`` is the rotation of the leaf in radians."""
    angle = light.angle - turn
    flat = np.sqrt(1 - light.height**2)
    x, y, z = (np.float32(value) for value in (flat * np.cos(angle), flat * np.sin(angle), light.height))
    right, down = leaf.slope
    upright = 1 / np.sqrt(1 + right * right + down * down)
    against = right * x + down * y
    share = np.float32(0.55 + 0.35 * light.hardness)
    bright = (1 - share) + share / z * np.clip((z - against) * upright, 0, None)
    # Blinn highlight for a camera straight above: normal times the direction halfway between camera and light.
    halfway = 1 / np.sqrt(2 + 2 * z)
    mirror = np.clip((z + 1 - against) * halfway * upright, 0, 1)
    for _ in range(5):
        mirror = mirror * mirror  # power of 32 by repeated squaring, much faster than **
    gleam = np.float32(leaf.gloss * (0.25 + 0.75 * light.hardness)) * (mirror - np.float32(0.2))
    gleam = np.clip(gleam, 0, 1) * (1 - np.float32(0.8) * leaf.cover)
    return np.asarray(leaf.albedo * bright[..., None] + gleam[..., None] * rgb(0.80, 0.90, 1.0), np.float32)


def blur_mask(image: Image.Image, sigma: float, side: int) -> Field:
    """Blur a half-size mask with a Gaussian of ``sigma`` (fraction of the side) and enlarge it: (side, side) 0..1."""
    soft = image.filter(ImageFilter.GaussianBlur(sigma * image.width))
    return fraction(soft.resize((side, side), Image.Resampling.BILINEAR))


def shadow(alpha: Field, light: Light) -> Field:
    """Return the fraction of light that reaches the background, (S, S): 1 far from the leaf, about 0.3 below it."""
    side = len(alpha)
    half = max(side // 2, 16)  # shadows are soft: half the resolution looks the same at a quarter of the cost
    image = Image.fromarray((alpha * 255).astype(np.uint8)).resize((half, half), Image.Resampling.BILINEAR)
    lift = (0.018 + 0.022 * (1 - light.height)) * half
    shifted = Image.new("L", image.size)
    shifted.paste(image, (round(-lift * np.cos(light.angle)), round(-lift * np.sin(light.angle))))
    cast = blur_mask(shifted, 0.006 + 0.020 * (1 - light.hardness), side)
    near = blur_mask(image, 0.020, side)
    return np.asarray((1 - np.float32(0.35 + 0.28 * light.hardness) * cast) * (1 - np.float32(0.28) * near))


def illumination(light: Light, rng: np.random.Generator, side: int) -> Field:
    """Return the brightness of the scene, (S, S), around 1: a gradient, darker corners, sometimes a shadow."""
    vary = difficulty.LIGHT_VARIATION
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    x, y = axis[None, :], axis[:, None]
    along = x * np.float32(np.cos(light.angle)) + y * np.float32(np.sin(light.angle))
    slope, corners = 0.16 * vary * rng.random(), 0.11 * vary * rng.random()
    field = (1 + np.float32(slope) * along) * (1 - np.float32(corners) * (x * x + y * y))
    shaded, deep, turn, start = rng.random(4)
    wobble = smooth(rng, 5, side)
    if shaded < 0.18 * vary:  # the photographer's shadow falls on the scene
        turn *= 2 * np.pi
        reach = x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn)) + np.float32(0.10) * wobble
        start, width = 0.9 * start, 0.06 + 0.35 * (1 - light.hardness)
        field = field * (1 - np.float32(0.15 + 0.25 * deep) * ramp(reach, start, start + width))
    return np.asarray(field * np.float32(light.exposure), np.float32)
