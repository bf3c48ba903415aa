"""Findings about single files: unreadable files and images that differ from the rest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.auditing.findings import Finding, single_rows
from coverslip.data.image import AS_FLOAT
from coverslip.data.inputs import white_value
from coverslip.data.table import STATUS_OK

MIN_SIDE = 32  # pixels of the shorter side: smaller images contain hardly any texture
BLANK_CONTRAST = 0.012  # standard deviation of grey values from 0 to 1: three of 255 grey levels
OUTLIER = 6.0  # robust standard deviations from the median
BLURRY_OUTLIER = 4.0  # the same for log sharpness, which varies more with texture than brightness does
MIN_DIFFERENCE = 0.15  # of the range from black to white: a smaller difference is not "much", however alike the rest is
RARE = 0.1  # a color mode or format of at most this fraction of the images is unusual
FEW_PAGES = 8  # stacks of at most this many pages, the same number in every file, may be channels
STRETCH = 1.5  # a shape or size that differs from the median by this factor is unusual


def used_span(facts: pl.DataFrame) -> float:
    """Return the width of the range of values that a data set uses, in the unit of its brightness; 1 for 8 bits.

    A 10-bit camera whose images are stored in 16 bits uses a sixty-fourth of their range. The 1st and the 99th
    percentile of the images are the ends, so that a single image does not set the range.

    Args:
        facts: one row per file, columns of `coverslip.data.decoding.FACTS`.
    """
    read = facts.filter(pl.col("status") == STATUS_OK)
    if "highest" not in read.columns or read["highest"].null_count() == read.height:
        return 1.0
    # Only a float32 image uses values that are no 8 or 16 bits, and then all of a data set do.
    modes = read["mode"].drop_nulls().to_list()
    if not any(mode.startswith(AS_FLOAT) for mode in modes):
        deep = any(mode.startswith(("uint16", "I")) for mode in modes)
        if not deep:
            return 1.0
        unit = white_value("uint16")
    else:
        unit = 1.0
    low, high = read["lowest"].quantile(0.01), read["highest"].quantile(0.99)
    span = 0.0 if low is None or high is None else (high - low) / unit
    return span if unit == 1 else min(span, 1.0)


def file_findings(facts: pl.DataFrame) -> list[Finding]:
    """Return findings about files.

    Args:
        facts: one row per file, columns of `coverslip.data.decoding.FACTS`.
    """
    findings = [*_unreadable(facts)]
    read = facts.with_row_index("row").filter(pl.col("status") == STATUS_OK)
    if read.height:
        span = used_span(facts)
        findings += [
            *_small(read, span),
            *_outliers(read, span),
            *_formats(read),
            *_sizes(read),
            *_orientation_and_pages(read),
        ]
    return findings


def _unreadable(facts: pl.DataFrame) -> Iterator[Finding]:
    broken = facts.with_row_index("row").filter(pl.col("status") != STATUS_OK)
    if broken.height:
        first = broken.row(0, named=True)
        yield Finding(
            name="unreadable",
            severity="warns",
            title=f"{_count(broken.height, 'file')} cannot be read",
            meaning=f"These files are excluded. The first is {first['path']!r}: {first['status']}.",
            remedy="Restore them from the original source, or delete them.",
            rows=single_rows(broken["row"].to_list()),
            numbers={"reasons": dict(broken["status"].value_counts(sort=True).iter_rows())},
        )


def _small(read: pl.DataFrame, span: float) -> Iterator[Finding]:
    tiny = read.filter(pl.min_horizontal("width", "height") < MIN_SIDE)
    if tiny.height:
        yield Finding(
            name="tiny",
            severity="warns",
            title=f"{_count(tiny.height, 'image')} smaller than {MIN_SIDE} pixels",
            meaning="Images this small contain hardly any texture; they may be thumbnails or icons.",
            remedy="Replace them with the original images, or exclude them with --drop tiny.",
            rows=single_rows(tiny["row"].to_list()),
        )
    blank = read.filter(pl.col("contrast") < _blank_contrast(span))
    if blank.height:
        yield Finding(
            name="blank",
            severity="warns",
            title=f"{_count(blank.height, 'image')} of nearly uniform color",
            meaning="There is nothing to learn from these images, or they use a tiny part of the intensity range.",
            remedy="Inspect them; --drop blank excludes them.",
            rows=single_rows(blank["row"].to_list()),
        )


def _blank_contrast(span: float) -> float:
    """Return the contrast below which an image is blank, relative to the range that the data set uses."""
    return max(BLANK_CONTRAST * span, 1e-9)


def _outliers(read: pl.DataFrame, span: float) -> Iterator[Finding]:
    """Yield findings about images that are much darker, brighter or blurrier than the rest."""
    if read.height < 8:  # too few images for a robust spread
        return
    has_content = read["contrast"].to_numpy() >= _blank_contrast(span)  # sharpness means nothing in a blank image
    rows = read["row"].to_numpy()
    brightness = read["brightness"].to_numpy().astype(np.float64)
    sharpness = np.log(np.maximum(read["sharpness"].to_numpy().astype(np.float64), 1e-6))
    deviation = brightness - np.median(brightness)
    outlying = np.abs(deviation) > np.maximum(OUTLIER * _spread(brightness), MIN_DIFFERENCE * span)
    blurry = has_content & (
        np.median(sharpness) - sharpness > np.maximum(BLURRY_OUTLIER * _spread(sharpness), np.log(4))
    )
    for name, word, selected in (
        ("dark", "darker", outlying & (deviation < 0)),
        ("bright", "brighter", outlying & (deviation > 0)),
        ("blurry", "blurrier", blurry),
    ):
        if selected.any():
            yield Finding(
                name=name,
                severity="notes",
                title=f"{_count(int(selected.sum()), 'image')} much {word} than the rest",
                meaning="The model sees few images like these and will be less certain about them.",
                remedy=f"Inspect them; --drop {name} excludes them.",
                rows=single_rows(rows[selected].tolist()),
            )


def _formats(read: pl.DataFrame) -> Iterator[Finding]:
    kinds = (("odd-color", "mode", "color mode"), ("odd-format", "format", "file format"))
    for name, column, words in kinds:
        counts = read[column].value_counts(sort=True)
        if counts.height < 2:
            continue
        images = {str(kind): int(count) for kind, count in counts.iter_rows()}
        rare = [kind for kind, count in images.items() if count <= RARE * read.height]
        unusual = read.filter(pl.col(column).is_in(rare))
        listed = ", ".join(f"{kind} {count:,}" for kind, count in images.items())
        yield Finding(
            name=name,
            severity="notes",
            title=f"{_count(unusual.height, 'image')} with an unusual {words}" if rare else f"several {words}s",
            meaning=f"The images were saved in different ways ({listed}). If this differs between classes, "
            "it is a shortcut.",
            remedy="No action is needed if it occurs in every class; otherwise, save all images in the same way.",
            rows=single_rows(unusual["row"].to_list()),
            numbers={"counts": images},
        )


def _sizes(read: pl.DataFrame) -> Iterator[Finding]:
    width, height = (read[side].to_numpy().astype(np.float64) for side in ("width", "height"))
    sizes = read.select(pl.struct("width", "height").n_unique()).item()
    if sizes == 1:
        return
    aspect, side = width / height, np.sqrt(width * height)
    unusual = _off_median(aspect) | _off_median(side)
    if unusual.any() and unusual.mean() <= RARE:
        yield Finding(
            name="odd-size",
            severity="notes",
            title=f"{_count(int(unusual.sum()), 'image')} with an unusual size or shape",
            meaning="After resizing, their subject is larger, smaller or more padded than in the other images.",
            remedy="Check that they show the same kind of subject at the same scale.",
            rows=single_rows(read["row"].to_numpy()[unusual].tolist()),
        )
    yield Finding(
        name="mixed-sizes",
        severity="notes",
        title=f"{sizes:,} image sizes, from {_size(width, height, side.argmin())} "
        f"to {_size(width, height, side.argmax())}",
        meaning="All images are resized to one size, so a common physical scale may be lost.",
        remedy="No action is needed unless the size is related to the class, the camera or the magnification.",
        numbers={"sizes": int(sizes), "aspect": [float(aspect.min()), float(aspect.max())]},
    )


def _orientation_and_pages(read: pl.DataFrame) -> Iterator[Finding]:
    rotated = read.filter(pl.col("turned"))
    if rotated.height:
        yield Finding(
            name="turned",
            severity="notes",
            title=f"{_count(rotated.height, 'image')} rotated by the EXIF orientation",
            meaning="Programs that ignore the EXIF orientation show these images rotated or mirrored.",
            remedy="No action is needed: Coverslip applies the EXIF orientation.",
            rows=single_rows(rotated["row"].to_list()),
        )
    pages = read.filter(pl.col("pages") > 1)
    if pages.height:
        count = int(pages["pages"][0])
        alike = pages.height == read.height and pages["pages"].n_unique() == 1 and count <= FEW_PAGES
        stacks = alike and set(read["format"].to_list()) == {"TIFF"}
        meaning, remedy = "Only the first page of each file is used.", "Save the planes that matter as separate files."
        if stacks:
            meaning = (
                f"Every file has {count} pages, and only the first is used; they may be the channels of one image."
            )
            remedy = (
                "If they are channels, save each file with tifffile.imwrite(path, image, photometric='minisblack', "
                "metadata={'axes': 'CYX'}), and all are used; otherwise save the plane that matters as its own file."
            )
        yield Finding(
            name="several-pages",
            severity="warns" if stacks else "notes",
            title=f"{_count(pages.height, 'file')} with more than one page or plane",
            meaning=meaning,
            remedy=remedy,
            rows=single_rows(pages["row"].to_list()),
        )


def _spread(values: npt.NDArray[np.float64]) -> float:
    """Return a robust standard deviation: 1.4826 times the median absolute deviation."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _off_median(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    ratio = values / np.median(values)
    return (ratio > STRETCH) | (ratio < 1 / STRETCH)


def _size(width: npt.NDArray[np.float64], height: npt.NDArray[np.float64], row: np.intp) -> str:
    return f"{width[row]:.0f} x {height[row]:.0f}"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
