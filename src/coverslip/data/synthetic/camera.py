"""One photograph of a leaf: turned, moved and tilted, laid on a background, lit, and seen by lens and sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from coverslip.data.synthetic import difficulty
from coverslip.data.synthetic.diseases import VISIBLE
from coverslip.data.synthetic.leaf import Leaf
from coverslip.data.synthetic.light import Light, falling, shade, shadow
from coverslip.data.synthetic.noise import Field, fraction, rgb

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Pose:
    """Where the leaf lies: turn in radians, its size and middle as fractions of the frame, and two tilts."""

    turn: float
    zoom: float
    x: float
    y: float
    tilt: tuple[float, float]

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Pose:
        """A pose as a person takes images: mostly upright, mostly in the middle, nearly from above."""
        turn = rng.vonmises(0.0, 1.6)
        zoom = rng.uniform(0.94, 1.14)
        x, y = 0.5 + 0.035 * rng.standard_normal(2)
        tilt = np.clip(0.13 * rng.standard_normal(2), -0.3, 0.3)
        return cls(float(turn), float(zoom), float(x), float(y), (float(tilt[0]), float(tilt[1])))

    def frame_to_leaf(self, frame: int, leaf: int) -> tuple[float, ...]:
        """The eight numbers with which Pillow sends a pixel of the frame back to a pixel of the leaf's square."""
        center = np.array([[1, 0, -leaf / 2], [0, 1, -leaf / 2], [0, 0, leaf]]) / leaf
        turn = np.array(
            [
                [np.cos(self.turn), -np.sin(self.turn), 0],
                [np.sin(self.turn), np.cos(self.turn), 0],
                [self.tilt[0], self.tilt[1], 1],
            ]
        )
        place = np.array([[self.zoom * frame, 0, self.x * frame], [0, self.zoom * frame, self.y * frame], [0, 0, 1]])
        back = np.linalg.inv(place @ turn @ center)
        return tuple((back / back[2, 2]).ravel()[:8].tolist())


def seen(channels: Field, pose: Pose, frame: int) -> Field:
    """(T, T) or (T, T, 4) of 0..1 on the leaf's square -> the same in the image; 0 beside the square."""
    levels = (np.clip(channels, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    # Four channels go as CMYK: Pillow moves it as it stands, while RGBA would be multiplied by its alpha on the way.
    image = Image.fromarray(levels, "L" if levels.ndim == 2 else "CMYK")
    data = pose.frame_to_leaf(frame, len(channels))
    moved = image.transform((frame, frame), Image.Transform.PERSPECTIVE, data, Image.Resampling.BILINEAR)
    return fraction(moved)


def exposed(scene: Field, light: Light, rng: np.random.Generator) -> Bytes:
    """Lens and sensor: (S, S, 3) of 0..1 -> uint8, with color temperature, defocus, a soft shoulder and noise."""
    side = len(scene)
    tint = 0.02 * difficulty.LIGHT_VARIATION * rng.standard_normal()
    blur = difficulty.DEFOCUS * float(rng.random() ** 2.5) * 1.5 * side / 256
    gain = difficulty.SENSOR_NOISE * 10 ** rng.uniform(-2.4, -1.5)
    values = scene * rgb(1 + light.warmth, 1 + tint, 1 - light.warmth)
    over = np.maximum(values - np.float32(0.8), 0)
    values -= over * over / (over + np.float32(0.3))  # highlights do not clip at once
    np.clip(values, 0, 1, out=values)
    values *= 255
    if blur > 0.2:
        image = Image.fromarray((values + np.float32(0.5)).astype(np.uint8), "RGB")
        values = np.asarray(image.filter(ImageFilter.GaussianBlur(blur)), np.float32)
    grain = rng.standard_normal(values.shape, dtype=np.float32)
    grain *= np.sqrt(values + 8)  # brighter pixels count more photons, and scatter more
    grain *= np.float32(16 * gain)
    grain += values
    grain += np.float32(0.5)
    return np.clip(grain, 0, 255).astype(np.uint8)


def photograph(leaf: Leaf, ground: Field, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    """Take one image of ``leaf`` on ``ground`` (S, S, 3): the image (S, S, 3) and its mask (S, S) of 0, 1, 2."""
    side = len(ground)
    pose, light = Pose.drawn(rng), Light.drawn(rng)
    lit = seen(np.dstack([shade(leaf, light, pose.turn), leaf.alpha]), pose, side)
    body, alpha = lit[..., :3], lit[..., 3]
    scene = ground * shadow(alpha, light)[..., None]
    scene += (body - scene) * alpha[..., None]
    scene *= falling(light, rng, side)[..., None]
    mask = (alpha >= 0.5).astype(np.uint8)
    if leaf.cover.any():
        mask[(mask == 1) & (seen(leaf.cover, pose, side) >= VISIBLE)] = 2
    return exposed(scene, light, rng), mask
