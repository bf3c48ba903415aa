"""The meaning of the folders in a folder: classes, splits, or a layout that is refused with what it looks like."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from coverslip.core.errors import UserError
from coverslip.data.files import is_image, subfolders, walk_names

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
SPLIT_WORD = re.compile(
    r"(?:^|(?<=[^a-z]))(training|train|validation|valid|val|testing|test)(?=sets?|images?|imgs?|data|[^a-z]|$)"
)
NEUTRAL = frozenset({"set", "sets", "image", "images", "img", "imgs", "data", "dataset", "seg", "split", "folder"})
"""Words that may surround ``train`` in the name of a split folder."""
RENDERINGS = frozenset(
    {
        "color",
        "colour",
        "colored",
        "rgb",
        "gray",
        "grey",
        "grayscale",
        "greyscale",
        "segmented",
        "cropped",
        "masked",
        "original",
        "originals",
        "raw",
        "processed",
        "preprocessed",
        "augmented",
        "enhanced",
        "normalized",
        "resized",
    }
)
"""Names of folders that hold the same images in several versions."""
IMAGE_WORDS = frozenset({"image", "images", "img", "imgs", "input", "inputs", "original", "originals", "photos"})
MASK_WORDS = frozenset(
    {
        "mask",
        "masks",
        "label",
        "labels",
        "annotation",
        "annotations",
        "segmentation",
        "segmentations",
        "groundtruth",
        "gt",
        "bboxes",
        "boxes",
        "targets",
    }
)
OBJECT_FILES = (".txt", ".xml", ".json")
BY_TABLE = "give a table with the columns path and label"


def split_of(name: str) -> str | None:
    """Return the split that a folder name refers to: ``train``, ``validation`` or ``test``; else None.

    >>> split_of("training_set"), split_of("seg_test"), split_of("val2017"), split_of("untrained")
    ('train', 'test', 'validation', None)
    """
    match = SPLIT_WORD.search(name.lower())
    return SPLIT_FOLDERS[match[1]] if match else None


def find_splits(folder: Path, tops: Sequence[Path]) -> dict[Path, str]:
    """Return the split folders among the folders in ``folder`` and their splits; empty if they are class folders.

    Split folders are called train, val, test and the like, or have names that contain one of these words and are equal
    otherwise (``seg_train``, ``seg_test``).

    Raises:
        UserError: other folders with images lie next to split folders, or there is no train folder.
    """
    exact = {top: SPLIT_FOLDERS[top.name.lower()] for top in tops if top.name.lower() in SPLIT_FOLDERS}
    likely = {top: split for top in tops if (split := split_of(top.name))}
    alike = len({SPLIT_WORD.sub("*", top.name.lower()) for top in likely}) == 1
    if not alike and not all(set(_rest(top.name)) <= NEUTRAL for top in likely):
        likely = exact
    only = len(likely) == len(tops) == 1 and _is_container(tops[0])
    if "train" not in exact.values() and len(set(likely.values())) < 2 and not only:
        return {}
    splits = likely
    others = [top for top in tops if top not in splits and has_images(top)]
    listed, names = ", ".join(repr(top.name) for top in others), ", ".join(repr(top.name) for top in splits)
    if "train" not in splits.values():
        if others:  # classes such as test, validation, control
            return {}
        raise UserError(
            f"{str(folder)!r} contains {names}, which looks like a split without a train folder",
            f"give the folder {str(next(iter(splits)))!r} itself, rename the folder of the train set to 'train', "
            f"or, if they are classes, {BY_TABLE}",
        )
    if others:
        raise UserError(
            f"{str(folder)!r} contains split folders ({names}) and other folders: {listed}",
            "use either class folders only, or only train/, validation/ and test/ with class folders inside; if "
            f"{next(iter(splits)).name!r} is a class, rename it, or {BY_TABLE}",
        )
    return splits


def class_parent(split_folder: Path) -> Path:
    """Return the folder that contains the class folders of a split: itself, or its only folder (train/images/)."""
    inner = subfolders(split_folder)
    if len(inner) != 1 or direct_images(split_folder) or not _is_container(inner[0]):
        return split_folder
    name = inner[0].name.lower()
    return inner[0] if name == split_folder.name.lower() or name in NEUTRAL or split_of(name) else split_folder


def container_of_classes(folder: Path) -> tuple[Path, int] | None:
    """Return the folder inside that contains the class folders, and their number; None if there is no such folder."""
    inside = folder
    while True:
        tops = [top for top in subfolders(inside) if has_images(top)]
        if len(tops) > 1:
            return (inside, len(tops)) if inside != folder else None
        if not tops or direct_images(inside):
            return None
        inside = tops[0]


def check_classes(folder: Path, tops: Sequence[Path], *, grouped: bool) -> list[str]:
    """Check that folders are classes; return notes if they may not be.

    Args:
        folder: the folder of the user, for messages.
        tops: folders that are taken for class folders.
        grouped: whether the user stated how images are grouped; folders inside class folders are then expected.

    Raises:
        UserError: they look like images and masks, like versions of the same images, or like class folders that
            contain split folders.
    """
    _refuse_masks(folder, tops)
    inner = [{each.name for each in subfolders(top)} for top in tops]
    if len(tops) < 2 or not all(len(names) > 1 and names == inner[0] for names in inner):
        return []
    names, outer = sorted(inner[0]), ", ".join(repr(top.name) for top in tops[:4])
    inside = ", ".join(map(repr, names[:4]))
    if all(name.lower() in SPLIT_FOLDERS for name in names):
        raise UserError(
            f"{str(folder)!r} contains split folders inside its class folders: {inside} in each of {outer}",
            f"make train/, validation/ and test/ the outer folders, or {BY_TABLE} and split",
        )
    if any(direct_images(top) for top in tops):
        return []
    if all(set(re.split(r"[^a-z]+", top.name.lower())) & RENDERINGS for top in tops):
        raise UserError(
            f"{str(folder)!r} contains versions of the same images ({outer}), each with the class folders {inside}",
            f"give one of them, for example {str(tops[0])!r}; if they are the classes, {BY_TABLE}",
        )
    if grouped or all(any(character.isdigit() for character in name) for name in names):
        return []
    return [
        f"the classes are {outer}, and each contains the folders {inside}; if those are the classes, "
        f"give one of the outer folders, or {BY_TABLE}"
    ]


def has_images(folder: Path) -> bool:
    """Return whether there is an image at any depth."""
    return any(image for _, image in walk_names(folder))


def direct_images(folder: Path) -> list[str]:
    """Return the names of the images directly in a folder, sorted."""
    return sorted(entry.name for entry in os.scandir(folder) if is_image(entry.name) and not entry.is_dir())


def _rest(name: str) -> list[str]:
    """Return the words of a split folder's name without the split."""
    return [word for word in re.split(r"[^a-z]+", SPLIT_WORD.sub("-", name.lower())) if word]


def _is_container(folder: Path) -> bool:
    return not direct_images(folder) and sum(map(has_images, subfolders(folder))) > 1


def _refuse_masks(folder: Path, tops: Sequence[Path]) -> None:
    for images in (top for top in tops if top.name.lower() in IMAGE_WORDS):
        for masks in (top for top in tops if top.name.lower() in MASK_WORDS):
            stems = {_stem(name) for name, image in walk_names(images) if image}
            files = [(name, image) for name, image in walk_names(masks)]
            found = {_stem(name) for name, _ in files} & stems
            if 2 * len(found) < max(len(stems), 1):
                continue
            drawn = any(image for _, image in files)
            if not drawn and not any(name.lower().endswith(OBJECT_FILES) for name, _ in files):
                continue
            kind = "a segmentation data set (images and masks)" if drawn else "an object detection data set"
            raise UserError(
                f"{str(folder)!r} looks like {kind}: {images.name!r} and {masks.name!r} contain the same file names",
                f"this is not supported yet; to classify the images, {BY_TABLE} of those in {images.name!r}",
            )


def _stem(name: str) -> str:
    stem = name.rpartition("/")[2].rpartition(".")[0].lower()
    return re.sub(r"[_\-. ]*(mask|label|seg|segmentation|gt|groundtruth|annotation|image|img)s?$", "", stem) or stem
