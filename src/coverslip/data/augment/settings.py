"""The config of data augmentation: one number per transformation, and named presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from coverslip.core.config import from_mapping, option, to_mapping
from coverslip.core.errors import UserError
from coverslip.core.registry import nearest

LIMITS: dict[str, tuple[float, float]] = {  # minimum and maximum of each number
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
    """Section ``[augment]``: random changes of training images. All are off by default.

    Each image draws its own parameters uniformly from the range of each setting. Factors are drawn uniformly on a
    logarithmic scale, from ``1 / (1 + value)`` to ``1 + value``, so that brighter is as likely as darker.

    Raises:
        UserError: a value is out of range (`LIMITS`).

    >>> Augmentation(flip=True, rotate=10).uses("rotate"), Augmentation().uses("rotate")
    (True, False)
    """

    flip: bool = option(False, "Mirror left to right, with probability 0.5.")
    flip_vertical: bool = option(False, "Mirror top to bottom, with probability 0.5.")
    turns: bool = option(False, "Rotate by 0, 90, 180 or 270 degrees; images that are not square by 0 or 180.")
    rotate: float = option(0.0, "Maximum rotation in degrees, in either direction.")
    shift: float = option(0.0, "Maximum translation, as a fraction of the side.")
    scale: float = option(0.0, "Zoom in or out by a factor of at most 1 + scale.")
    shear: float = option(0.0, "Maximum shear in degrees, in either direction.")
    crop: float = option(1.0, "Minimum fraction of the area that a random crop keeps, aspect 3:4 to 4:3; 1: off.")
    brightness: float = option(0.0, "Change the brightness by a factor of at most 1 + brightness.")
    contrast: float = option(0.0, "Change the contrast around the image's mean grey, by at most 1 + contrast.")
    saturation: float = option(0.0, "Change the saturation by at most 1 + saturation; RGB images only.")
    hue: float = option(0.0, "Maximum shift of the hue, as a fraction of the color circle; RGB images only.")
    gamma: float = option(0.0, "Gamma correction with an exponent of at most 1 + gamma.")
    blur: float = option(0.0, "Maximum standard deviation of a Gaussian blur, in pixels.")
    noise: float = option(0.0, "Maximum standard deviation of Gaussian noise, for values in 0..1.")
    jpeg: int = option(0, "Minimum quality of a JPEG compression, 1 to 100; 0: off.")
    stain: float = option(0.0, "Change of hematoxylin, eosin and DAB, each independently; RGB images only.")
    cutout: float = option(0.0, "Side of a square filled with the mean color, as a fraction of the image's side.")
    mixup: float = option(0.0, "Alpha of the Beta distribution of the weights with which two images are blended.")
    cutmix: float = option(0.0, "Alpha of the Beta distribution of the fraction taken from another image.")
    paste: float = option(0.0, "Fraction of images onto which objects of another image are pasted; needs masks.")

    outside: str = option("mirror", "Pixels beyond the edge: mirror (reflection of the image) or black.")

    def __post_init__(self) -> None:
        if self.outside not in OUTSIDE:
            raise UserError(f"unknown outside={self.outside!r}", nearest(self.outside, OUTSIDE))
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:  # also NaN
                raise UserError(
                    f"{name}={value} is not within {low:g} to {high:g}",
                    f"give a value in that range; {OFF[name]:g} switches it off",
                )

    def uses(self, *names: str) -> bool:
        """Return whether any of these settings is on."""
        return any(getattr(self, name) != OFF[name] for name in names)

    def describe(self) -> str:
        """Return the settings that are on, as one line of text.

        >>> Augmentation(flip=True, rotate=10).describe()
        'flip, rotate 10'
        """
        on = [(name.replace("_", " "), getattr(self, name)) for name in OFF if self.uses(name)]
        text = ", ".join(name if value is True else f"{name} {value}".removesuffix(".0") for name, value in on)
        return text or "no augmentation"


OFF: dict[str, Any] = {field.name: field.default for field in fields(Augmentation)}

PRESETS: dict[str, Augmentation] = {
    "none": Augmentation(),
    # For images without a natural orientation: leaves on a table, tissue, cells. No pixel's value changes.
    "flips": Augmentation(flip=True, flip_vertical=True, turns=True),
    # Safe for nearly all images, including photographs with a natural orientation.
    "light": Augmentation(
        flip=True, rotate=10, shift=0.06, scale=0.1, brightness=0.15, contrast=0.15, saturation=0.15, hue=0.01
    ),
    # For few images, many epochs, and images without a natural orientation.
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
    # For histological sections, whose stains differ between batches and laboratories.
    "tissue": Augmentation(
        flip=True, flip_vertical=True, turns=True, scale=0.1, brightness=0.1, contrast=0.1, blur=0.5, stain=0.2
    ),
}


def augmentation(preset: str, changes: Mapping[str, Any] | None = None) -> Augmentation:
    """Return a preset with some settings changed.

    Args:
        preset: name of the preset.
        changes: setting -> value.

    >>> augmentation("flips", {"rotate": 20}).rotate
    20.0

    Raises:
        UserError: the preset or a setting does not exist (the fix names the nearest), or a value is invalid.
    """
    if preset not in PRESETS:
        raise UserError(f"unknown augmentation {preset!r}", nearest(preset, PRESETS))
    return from_mapping(Augmentation, {**to_mapping(PRESETS[preset]), **(changes or {})}, "augmentation")
