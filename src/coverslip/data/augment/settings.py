"""How strongly training pictures are changed: one number for each way, and presets by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from coverslip.config import from_mapping, to_mapping
from coverslip.errors import UserError
from coverslip.registry import nearest

LIMITS: dict[str, tuple[float, float]] = {  # the least and the most of each number
    "rotate": (0, 180),
    "shift": (0, 0.5),
    "scale": (0, 1),
    "shear": (0, 45),
    "crop": (0.05, 1),
    "brightness": (0, 2),
    "contrast": (0, 2),
    "saturation": (0, 2),
    "hue": (0, 0.5),
    "gamma": (0, 2),
    "blur": (0, 10),
    "noise": (0, 0.5),
    "jpeg": (0, 100),
    "stain": (0, 1),
    "cutout": (0, 0.9),
    "mixup": (0, 10),
    "cutmix": (0, 10),
    "paste": (0, 1),
}

OUTSIDE = ("mirror", "black")


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """How strongly training pictures are changed. Every part is off by default, and what is off costs nothing.

    Each picture draws its own numbers, evenly from the range that a strength opens. Factors are drawn evenly on a
    logarithmic scale, from ``1 / (1 + strength)`` to ``1 + strength``, so that brighter is as likely as darker.

    Raises:
        UserError: a number out of its range (`LIMITS`).

    >>> Augmentation(flip=True, rotate=10).uses("rotate"), Augmentation().uses("rotate")
    (True, False)
    """

    flip: bool = False  # left to right, half of the pictures
    flip_vertical: bool = False  # upside down, half of the pictures
    turns: bool = False  # by 0, 90, 180 or 270 degrees; pictures that are not square by 0 or 180
    rotate: float = 0.0  # at most so many degrees either way
    shift: float = 0.0  # at most this share of the side, either way
    scale: float = 0.0  # larger or smaller by a factor of at most 1 + scale
    shear: float = 0.0  # at most so many degrees either way
    crop: float = 1.0  # least share of the area that a random cut keeps, its sides 3:4 to 4:3; 1 is off
    brightness: float = 0.0  # factor
    contrast: float = 0.0  # factor, around the picture's own mean grey
    saturation: float = 0.0  # factor; pictures of 3 channels only
    hue: float = 0.0  # at most this share of the color circle either way; pictures of 3 channels only
    gamma: float = 0.0  # exponent, a factor
    blur: float = 0.0  # standard deviation of a Gaussian, 0 to so many pixels
    noise: float = 0.0  # standard deviation of Gaussian noise, 0 to so much, on the scale 0..1
    jpeg: int = 0  # least quality of a JPEG compression, 1..100; 0 is off
    stain: float = 0.0  # strength of hematoxylin, eosin and DAB, each on its own; pictures of 3 channels only
    cutout: float = 0.0  # side of a square that is painted over with the mean color, a share of the picture's side
    mixup: float = 0.0  # alpha of the Beta distribution that two pictures are blended by
    cutmix: float = 0.0  # alpha of the Beta distribution of the share that another picture takes
    paste: float = 0.0  # share of pictures onto which the marked objects of another are pasted; needs masks

    outside: str = "mirror"  # what a motion brings in from beyond the edge: the picture's mirror image, or "black"

    def __post_init__(self) -> None:
        if self.outside not in OUTSIDE:
            raise UserError(f"outside={self.outside!r} is not known", nearest(self.outside, OUTSIDE))
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:  # also NaN
                raise UserError(f"{name}={value} is not within {low:g} to {high:g}", f"{OFF[name]:g} is off")

    def uses(self, *names: str) -> bool:
        """Whether any of these settings is on."""
        return any(getattr(self, name) != OFF[name] for name in names)

    def describe(self) -> str:
        """What is on, in a line.

        >>> Augmentation(flip=True, rotate=10).describe()
        'flip, rotate 10'
        """
        on = [(name.replace("_", " "), getattr(self, name)) for name in OFF if self.uses(name)]
        said = ", ".join(name if value is True else f"{name} {value}".removesuffix(".0") for name, value in on)
        return said or "nothing is changed"


OFF: dict[str, Any] = {field.name: field.default for field in fields(Augmentation)}

PRESETS: dict[str, Augmentation] = {
    "none": Augmentation(),
    # What has no up: leaves on a table, tissue, cells. No value of a pixel changes.
    "flips": Augmentation(flip=True, flip_vertical=True, turns=True),
    # Safe for nearly everything, also for photographs that have an up.
    "light": Augmentation(
        flip=True, rotate=10, shift=0.06, scale=0.1, brightness=0.15, contrast=0.15, saturation=0.15, hue=0.01
    ),
    # Few pictures, many epochs, nothing that has an up.
    "strong": Augmentation(
        flip=True,
        flip_vertical=True,
        turns=True,
        rotate=30,
        shift=0.1,
        scale=0.15,
        shear=5,
        crop=0.6,
        brightness=0.2,
        contrast=0.2,
        saturation=0.25,
        hue=0.02,
        gamma=0.15,
        blur=0.8,
        noise=0.03,
        cutout=0.25,
    ),
    # Sections under a microscope, whose stains differ from batch to batch and from laboratory to laboratory.
    "tissue": Augmentation(
        flip=True, flip_vertical=True, turns=True, scale=0.1, brightness=0.1, contrast=0.1, blur=0.5, stain=0.2
    ),
}


def augmentation(preset: str, changes: Mapping[str, Any] | None = None) -> Augmentation:
    """A preset with single strengths changed.

    >>> augmentation("flips", {"rotate": 20}).rotate
    20.0

    Raises:
        UserError: no such preset or strength (with the nearest), or a value it cannot take.
    """
    if preset not in PRESETS:
        raise UserError(f"no augmentation is called {preset!r}", nearest(preset, PRESETS))
    return from_mapping(Augmentation, {**to_mapping(PRESETS[preset]), **(changes or {})}, "augmentation")
