"""Masks of images: areas such as the subject or lesions, resized to the input of the network."""

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
SUFFIXES = (".png", ".tif", ".tiff", ".bmp")
MAX_AREAS = 4  # values 0 to 3 in a mask stand for areas; more values are instances, such as nuclei


@dataclass(frozen=True)
class Areas:
    """Areas marked by the masks of N images.

    Attributes:
        masks: name of an area -> bool (N, H, W), all false for an image without a mask or without this area.
        known: number of images with a mask.
    """

    masks: dict[str, Masks] = field(default_factory=dict)
    known: int = 0

    def subject(self, places: Sequence[int]) -> Masks | None:
        """Return the subject of some images (the whole leaf with its lesions), bool (n, H, W); None without masks.

        For an image without a mask, the whole image counts as subject, so that nothing is off the subject.
        """
        mask = self.of_images(places).get(SUBJECT)
        if mask is None:
            return None
        return mask | ~mask.any(axis=(1, 2), keepdims=True)

    def of_image(self, place: int) -> dict[str, npt.NDArray[np.bool_]]:
        """Return the areas that are present in one image, bool (H, W) each."""
        return {name: mask[place] for name, mask in self.masks.items() if mask[place].any()}

    def of_images(self, places: Sequence[int]) -> dict[str, Masks]:
        """Return the areas that are present in at least one of some images, bool (n, H, W) each."""
        chosen = {name: mask[list(places)] for name, mask in self.masks.items()}
        return {name: mask for name, mask in chosen.items() if mask.any()}

    @classmethod
    def read(cls, files: Sequence[Path | None], size: tuple[int, int], fit: str) -> Areas:
        """Read the masks of images.

        The values 0 to 3 stand for background, subject, and lesions on the subject. Other values are instances, such as
        nuclei, which together form one area.

        Args:
            files: one mask per image; None for an image without a mask.
            size: (H, W) of the input of the network.
            fit: how images are fitted into ``size``: ``pad``, ``squash`` or ``crop``.

        Raises:
            UserError: a mask cannot be read or has more than one channel.
        """
        if not any(files):
            return cls()
        numbers = np.zeros((len(files), *size), np.int32)
        values: set[int] = set()
        for place, file in enumerate(files):
            if file is not None:
                mask = read_mask(file)
                values |= set(np.unique(mask).tolist()) - {0}
                numbers[place] = fit_masks(mask[None], size, fit)[0]
        known = sum(file is not None for file in files)
        if values <= set(range(1, MAX_AREAS)):
            lesions = {LESION: numbers > 1} if max(values, default=0) > 1 else {}
            return cls({SUBJECT: numbers > 0, **lesions}, known)
        return cls({MARKED: numbers > 0}, known)


def read_mask(file: Path) -> npt.NDArray[np.int32]:
    """Read a mask as integers, (h, w).

    Raises:
        UserError: the file cannot be read or has more than one channel.
    """
    try:
        with Image.open(file) as image:
            numbers = np.asarray(image)
    except (OSError, ValueError) as error:
        raise UserError(f"the mask {str(file)!r} cannot be read: {error}", "restore or delete the file") from error
    if numbers.ndim != 2:
        raise UserError(
            f"the mask {str(file)!r} has {numbers.shape[-1]} channels",
            "save it with one channel: 0 background, 1 subject, 2 lesion",
        )
    return numbers.astype(np.int32)


def find_masks(files: Sequence[Path], folder: Path | None, listed: Sequence[str | None]) -> list[Path | None]:
    """Find the mask of each image, in a folder by the name of the image, or as listed in the table.

    Args:
        files: image files.
        folder: folder with masks, searched recursively; None to use the masks listed in the table.
        listed: path of the mask in the table, one per image.

    Returns:
        Mask file of each image; None for an image without a mask.

    Raises:
        UserError: the folder does not exist, contains no mask for any image, or contains two masks for one image.
    """
    if folder is None:
        return [Path(mask) if mask and Path(mask).is_file() else None for mask in listed]
    if not folder.is_dir():
        raise UserError(f"the folder of masks {str(folder)!r} does not exist", "check the path")
    by_stem: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            by_stem.setdefault(path.stem, []).append(path)
    masks: list[Path | None] = []
    for file in files:
        candidates = by_stem.get(file.stem, [])
        matching = [mask for mask in candidates if mask.parent.name == file.parent.name] or candidates
        if len(matching) > 1:
            raise UserError(
                f"{str(folder)!r} contains {len(matching)} masks for {file.name!r}",
                "keep one of them, or put the masks in class folders like the images",
            )
        masks.append(matching[0] if matching else None)
    if not any(masks):
        raise UserError(
            f"{str(folder)!r} contains no mask for any of these images, such as {files[0].stem + '.png'!r}",
            "give each mask the same name as its image",
        )
    return masks
