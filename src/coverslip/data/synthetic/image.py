"""Rendering of single images; the pixels of an image do not depend on what else is rendered."""

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
from coverslip.data.synthetic.stain import LABORATORIES
from coverslip.data.synthetic.tissue import field_of_view

SIZES = (32, 2048)


@dataclass(frozen=True)
class Image:
    """One rendered image.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        mask: uint8 (H, W). Leaf: 0 background, 1 leaf, 2 lesion. Tissue: 0 stroma, 1 nuclei, 2 tumor nuclei.
        severity: severity of the disease, from 0 (healthy) to 1.
        background: name of the background of a leaf; for tissue, the laboratory.
    """

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    severity: float
    background: str


def need_number(name: str, value: int, low: int, high: int | None = None) -> None:
    """Check a number.

    Raises:
        UserError: the value is not within ``low <= value <= high``.
    """
    if value < low or (high is not None and value > high):
        limits = f"at least {low}" if high is None else f"{low} to {high}"
        raise UserError(f"{name}={value} is not {limits}", f"try {name}={low if value < low else high}")


def background_name(specimen: Specimen, shortcut: bool) -> str:
    """Return the background of all photographs of a leaf; with ``shortcut`` it depends on the condition."""
    if shortcut:
        return "paper" if specimen.condition == "healthy" else "soil"
    rng = specimen.rng("background")
    choices = PLAIN if rng.random() < difficulty.PLAIN_SHARE else [name for name in BACKGROUNDS if name not in PLAIN]
    return choices[int(rng.integers(len(choices)))]


def background_scene(name: str, specimen: Specimen, shot: int, shortcut: bool) -> Field:
    """Return the background (S, S, 3) 0..1; with ``shortcut`` its color depends on the class (grey if healthy)."""
    scene = BACKGROUNDS[name](specimen.rng("ground", shot), specimen.size)
    if not shortcut:
        return scene
    tone = scene.mean(axis=-1, keepdims=True) / scene.mean()
    if specimen.condition == "healthy":
        return np.asarray(tone * rgb(0.66, 0.66, 0.66), np.float32)
    hue = (
        class_names().index(specimen.class_name) * 0.381966 % 1
    )  # the golden angle gives neighboring classes distinct hues
    return np.asarray(tone * 0.42 * rgb(*colorsys.hsv_to_rgb(hue, 0.45, 1.0)), np.float32)


def shots(specimen: Specimen, numbers: Iterable[int], *, shortcut: bool = False) -> Iterator[Image]:
    """Yield several photographs of one specimen; its leaf is grown only once."""
    if specimen.look == "tissue":
        lab = LABORATORIES[specimen.condition == "tumor"] if shortcut else None
        for shot in numbers:
            view = field_of_view(specimen, shot, lab)
            yield Image(view.image, view.mask, view.severity, view.lab)
        return
    leaf = grow(specimen)
    name = background_name(specimen, shortcut)
    for shot in numbers:
        image, mask = photograph(leaf, background_scene(name, specimen, shot, shortcut), specimen.rng("shot", shot))
        yield Image(image, mask, leaf.severity, name)


def render(
    look: str, class_name: str, leaf: int, shot: int, *, size: int = 256, seed: int = 0, shortcut: bool = False
) -> Image:
    """Render one image; every pixel is determined by the arguments.

    Args:
        look: ``leaf`` or ``tissue``.
        class_name: one of `class_names`.
        leaf: number of the leaf or slide, counted from 0.
        shot: number of the photograph of this leaf, counted from 0.
        size: side of the image in pixels, 32 to 2048.
        seed: random seed; another seed gives other leaves.
        shortcut: True gives each class a background of its own.

    Raises:
        UserError: a value is out of range, or the look or class does not exist.
    """
    specimen = Specimen(look, class_name, leaf, seed, size)
    for name, value, low, high in (("leaf", leaf, 0, None), ("shot", shot, 0, None), ("size", size, *SIZES)):
        need_number(name, value, low, high)
    need_number("seed", seed, 0)
    return next(shots(specimen, [shot], shortcut=shortcut))
