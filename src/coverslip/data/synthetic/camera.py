"""Photograph of a leaf: pose, background, light, lens and sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from coverslip.data.synthetic import difficulty
from coverslip.data.synthetic.diseases import LESION_COVER
from coverslip.data.synthetic.leaf import Leaf
from coverslip.data.synthetic.light import Light, illumination, shade, shadow
from coverslip.data.synthetic.noise import Field, fraction, rgb

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Pose:
    """Pose of the leaf: rotation in radians, size and center as fractions of the frame, and two tilts."""

    turn: float
    zoom: float
    x: float
    y: float
    tilt: tuple[float, float]

    @classmethod
    def random(cls, rng: np.random.Generator) -> Pose:
        """Return a typical pose: mostly upright, near the center, almost from above."""
        turn = rng.vonmises(0.0, 1.6)
        zoom = rng.uniform(0.94, 1.14)
        x, y = 0.5 + 0.035 * rng.standard_normal(2)
        tilt = np.clip(0.13 * rng.standard_normal(2), -0.3, 0.3)
        return cls(float(turn), float(zoom), float(x), float(y), (float(tilt[0]), float(tilt[1])))

    def frame_to_leaf(self, frame: int, leaf: int) -> tuple[float, ...]:
        """Return Pillow's eight perspective coefficients, which map pixels of the frame to the leaf's square."""
        center = np.array([[1, 0, -leaf / 2], [0, 1, -leaf / 2], [0, 0, leaf]]) / leaf
        turn = np.array(
            [
                [np.cos(self.turn), -np.sin(self.turn), 0],
                [np.sin(self.turn), np.cos(self.turn), 0],
                [self.tilt[0], self.tilt[1], 1],
            ]
        )
        to_frame = np.array([[self.zoom * frame, 0, self.x * frame], [0, self.zoom * frame, self.y * frame], [0, 0, 1]])
        inverse = np.linalg.inv(to_frame @ turn @ center)
        return tuple((inverse / inverse[2, 2]).ravel()[:8].tolist())


def warp(channels: Field, pose: Pose, frame: int) -> Field:
    """Warp (T, T) or (T, T, 4) of 0..1 from the leaf's square to the image; 0 outside the square."""
    levels = (np.clip(channels, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    # Four channels are passed as CMYK, since Pillow would multiply RGBA by its alpha.
    image = Image.fromarray(levels, "L" if levels.ndim == 2 else "CMYK")
    data = pose.frame_to_leaf(frame, len(channels))
    warped = image.transform((frame, frame), Image.Transform.PERSPECTIVE, data, Image.Resampling.BILINEAR)
    return fraction(warped)


def expose(scene: Field, light: Light, rng: np.random.Generator) -> Bytes:
    """Simulate lens and sensor: (S, S, 3) of 0..1 -> uint8, with color cast, defocus, soft highlights and noise."""
    side = len(scene)
    tint = 0.02 * difficulty.LIGHT_VARIATION * rng.standard_normal()
    blur = difficulty.DEFOCUS * float(rng.random() ** 2.5) * 1.5 * side / 256
    gain = difficulty.SENSOR_NOISE * 10 ** rng.uniform(-2.4, -1.5)
    values = scene * rgb(1 + light.warmth, 1 + tint, 1 - light.warmth)
    over = np.maximum(values - np.float32(0.8), 0)
    values -= over * over / (over + np.float32(0.3))  # soft shoulder: highlights do not clip abruptly
    np.clip(values, 0, 1, out=values)
    values *= 255
    if blur > 0.2:
        image = Image.fromarray((values + np.float32(0.5)).astype(np.uint8), "RGB")
        values = np.asarray(image.filter(ImageFilter.GaussianBlur(blur)), np.float32)
    grain = rng.standard_normal(values.shape, dtype=np.float32)
    grain *= np.sqrt(values + 8)  # shot noise grows with the square root of the brightness
    grain *= np.float32(16 * gain)
    grain += values
    grain += np.float32(0.5)
    return np.clip(grain, 0, 255).astype(np.uint8)


def photograph(leaf: Leaf, background: Field, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    """Return an image (S, S, 3) of ``leaf`` on ``background`` (S, S, 3), and its mask (S, S) of 0, 1, 2."""
    side = len(background)
    pose, light = Pose.random(rng), Light.random(rng)
    lit = warp(np.dstack([shade(leaf, light, pose.turn), leaf.alpha]), pose, side)
    body, alpha = lit[..., :3], lit[..., 3]
    scene = background * shadow(alpha, light)[..., None]
    scene += (body - scene) * alpha[..., None]
    scene *= illumination(light, rng, side)[..., None]
    mask = (alpha >= 0.5).astype(np.uint8)
    if leaf.cover.any():
        mask[(mask == 1) & (warp(leaf.cover, pose, side) >= LESION_COVER)] = 2
    return expose(scene, light, rng), mask
