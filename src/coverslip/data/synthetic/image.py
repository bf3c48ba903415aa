"""One image of one specimen: the same pixels whatever else is rendered."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import UserError
from coverslip.data.synthetic import difficulty
from coverslip.data.synthetic.backgrounds import BACKGROUNDS, PLAIN
from coverslip.data.synthetic.camera import photograph
from coverslip.data.synthetic.leaf import grow
from coverslip.data.synthetic.noise import Field, rgb
from coverslip.data.synthetic.specimen import Specimen, class_names
from coverslip.data.synthetic.stain import LABS
from coverslip.data.synthetic.tissue import field_of_view

SIZES = (32, 2048)


@dataclass(frozen=True)
class Image:
    """One rendered image.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        mask: uint8 (H, W). Leaf: 0 background, 1 leaf, 2 lesion. Tissue: 0 stroma, 1 nuclei, 2 tumor nuclei.
        severity: 0 healthy to 1.
        background: what it lies on; for tissue the laboratory that stained it.
    """

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    severity: float
    background: str


def need_number(name: str, value: int, low: int, high: int | None = None) -> None:
    """Raise a `UserError` unless ``low <= value <= high``."""
    if value < low or (high is not None and value > high):
        limits = f"at least {low}" if high is None else f"{low} to {high}"
        raise UserError(f"{name}={value} is not {limits}", f"try {name}={low if value < low else high}")


def background_name(specimen: Specimen, shortcut: bool) -> str:
    """What a leaf lies on in all its photographs; with ``shortcut`` its condition alone decides."""
    if shortcut:
        return "paper" if specimen.condition == "healthy" else "soil"
    rng = specimen.chance("background")
    choices = PLAIN if rng.random() < difficulty.PLAIN_SHARE else [name for name in BACKGROUNDS if name not in PLAIN]
    return choices[int(rng.integers(len(choices)))]


def ground(name: str, specimen: Specimen, shot: int, shortcut: bool) -> Field:
    """(S, S, 3) 0..1; with ``shortcut`` tinted in a color that belongs to the class, grey for healthy ones."""
    scene = BACKGROUNDS[name](specimen.chance("ground", shot), specimen.size)
    if not shortcut:
        return scene
    tone = scene.mean(axis=-1, keepdims=True) / scene.mean()
    if specimen.condition == "healthy":
        return np.asarray(tone * rgb(0.66, 0.66, 0.66), np.float32)
    hue = class_names().index(specimen.class_name) * 0.381966 % 1  # the golden angle keeps neighbors apart
    return np.asarray(tone * 0.42 * rgb(*colorsys.hsv_to_rgb(hue, 0.45, 1.0)), np.float32)


def shots(specimen: Specimen, numbers: Iterable[int], *, shortcut: bool = False) -> Iterator[Image]:
    """Photograph one specimen several times; a leaf is grown only once."""
    if specimen.look == "tissue":
        lab = LABS[specimen.condition == "tumor"] if shortcut else None
        for shot in numbers:
            view = field_of_view(specimen, shot, lab)
            yield Image(view.image, view.mask, view.severity, view.lab)
        return
    leaf = grow(specimen)
    name = background_name(specimen, shortcut)
    for shot in numbers:
        image, mask = photograph(leaf, ground(name, specimen, shot, shortcut), specimen.chance("shot", shot))
        yield Image(image, mask, leaf.severity, name)


def render(
    look: str, class_name: str, leaf: int, shot: int, *, size: int = 256, seed: int = 0, shortcut: bool = False
) -> Image:
    """Render one image; the arguments alone decide every pixel.

    Args:
        look: ``leaf`` or ``tissue``.
        class_name: one of `class_names`.
        leaf: number of the physical leaf, or of the slide, from 0.
        shot: number of the photograph of that leaf, from 0.
        size: pixels along a side, 32 to 2048.
        seed: another seed gives other leaves.
        shortcut: the background gives the class away.
    """
    specimen = Specimen(look, class_name, leaf, seed, size)
    for name, value, low, high in (("leaf", leaf, 0, None), ("shot", shot, 0, None), ("size", size, *SIZES)):
        need_number(name, value, low, high)
    need_number("seed", seed, 0)
    return next(shots(specimen, [shot], shortcut=shortcut))
