"""Masks beside images: what they mark, brought to the network's frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from coverslip.core.errors import UserError
from coverslip.explaining.maps.placement import Masks, fit_masks

SUBJECT, LESION, MARKED = "subject", "lesion", "marked area"
KINDS = (".png", ".tif", ".tiff", ".bmp")
FEW = 4  # numbers in a mask that names areas; more are instances, such as nuclei
ALIKE = 0.02  # by how much the proportions of a mask and its image may differ


@dataclass(frozen=True)
class Areas:
    """What masks mark in N images.

    Attributes:
        masks: name of an area -> bool (N, H, W), all false where an image has no mask or not that area.
        known: how many images have a mask.
    """

    masks: dict[str, Masks] = field(default_factory=dict)
    known: int = 0

    def subject(self, places: Sequence[int]) -> Masks | None:
        """What some images are of, the whole leaf with its lesions: (n, H, W).

        All of an image that has no mask, so that nothing counts as off it; None where no mask tells.
        """
        found = self.some(places).get(SUBJECT)
        if found is None:
            return None
        return found | ~found.any(axis=(1, 2), keepdims=True)

    def of(self, place: int) -> dict[str, npt.NDArray[np.bool_]]:
        """The areas of one image, those that it has."""
        return {name: each[place] for name, each in self.masks.items() if each[place].any()}

    def some(self, places: Sequence[int]) -> dict[str, Masks]:
        """The areas of some images, (n, H, W) each; none where none of them has any."""
        kept = {name: each[list(places)] for name, each in self.masks.items()}
        return {name: each for name, each in kept.items() if each.any()}

    @classmethod
    def read(cls, files: Sequence[Path | None], size: tuple[int, int], fit: str) -> Areas:
        """Read one mask an image; None where there is none.

        Numbers 0 to 3 are background, subject, and lesions on it; 0 and one other number mark one area; more numbers
        are single things, such as nuclei, and mark one area together.

        Raises:
            UserError: a mask that cannot be read, or that has more than one channel.
        """
        if not any(files):
            return cls()
        numbers = np.zeros((len(files), *size), np.int32)
        found: set[int] = set()
        for place, file in enumerate(files):
            if file is not None:
                mask = read_mask(file)
                found |= set(np.unique(mask).tolist()) - {0}
                numbers[place] = fit_masks(mask[None], size, fit)[0]
        known = sum(file is not None for file in files)
        if found <= set(range(1, FEW)):
            lesions = {LESION: numbers > 1} if max(found, default=0) > 1 else {}
            return cls({SUBJECT: numbers > 0, **lesions}, known)
        return cls({MARKED: numbers > 0}, known)


def read_mask(file: Path) -> npt.NDArray[np.int32]:
    """A mask (h, w) of numbers.

    Raises:
        UserError: it cannot be read, or has more than one channel.
    """
    try:
        with Image.open(file) as image:
            numbers = np.asarray(image)
    except (OSError, ValueError) as error:
        raise UserError(f"the mask {str(file)!r} cannot be read: {error}", "restore it, or take it away") from error
    if numbers.ndim != 2:
        raise UserError(
            f"the mask {str(file)!r} has {numbers.shape[-1]} channels",
            "masks have one: 0 background, 1 subject, 2 lesion",
        )
    return numbers.astype(np.int32)


def find_masks(files: Sequence[Path], folder: Path | None, given: Sequence[str | None]) -> list[Path | None]:
    """The mask of each image: from a folder by the file's own name, or from where the table says.

    Args:
        files: the images.
        folder: with masks, searched at any depth; None for what the table says.
        given: the table's, one an image.

    Raises:
        UserError: there is no such folder, or no mask in it for any image; two masks for one.
    """
    if folder is None:
        return [Path(each) if each and Path(each).is_file() else None for each in given]
    if not folder.is_dir():
        raise UserError(f"there is no folder of masks {str(folder)!r}", "check the path")
    by_stem: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in KINDS:
            by_stem.setdefault(path.stem, []).append(path)
    found: list[Path | None] = []
    for file in files:
        some = by_stem.get(file.stem, [])
        near = [each for each in some if each.parent.name == file.parent.name] or some
        if len(near) > 1:
            raise UserError(
                f"{str(folder)!r} has {len(near)} masks for {file.name!r}", "keep one, or put them in class folders"
            )
        found.append(near[0] if near else None)
    if not any(found):
        raise UserError(
            f"{str(folder)!r} has no mask for any of these images, such as {files[0].stem + '.png'!r}",
            "masks have the image's name",
        )
    return found
