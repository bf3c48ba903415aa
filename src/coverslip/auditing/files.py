"""Findings about single files: what cannot be read, and what is unlike the rest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.auditing.findings import Finding, singly
from coverslip.data.table import READ

TINY = 32  # pixels of the shorter side: less shows hardly any texture
BLANK = 0.012  # standard deviation of the grey values, 0 to 1: three grey levels of 255
FAR = 6.0  # robust standard deviations from the median
DULL = 4.0  # likewise, of the logarithm of sharpness, which differs with texture more than brightness does
DARKER = 0.15  # of the range from black to white: less than this is not "much" darker, however alike the others are
RARE = 0.1  # a color mode or format of at most this share is odd
STRETCH = 1.5  # a shape or size this many times another is odd


def judge_files(facts: pl.DataFrame) -> list[Finding]:
    """Findings about files, from the facts of the pass that decoded them (see `coverslip.data.decoding.FACTS`)."""
    found = [*_unreadable(facts)]
    read = facts.with_row_index("row").filter(pl.col("status") == READ)
    if read.height:
        found += [*_small(read), *_unlike(read), *_forms(read), *_sizes(read), *_handled(read)]
    return found


def _unreadable(facts: pl.DataFrame) -> Iterator[Finding]:
    broken = facts.with_row_index("row").filter(pl.col("status") != READ)
    if broken.height:
        first = broken.row(0, named=True)
        yield Finding(
            name="unreadable",
            severity="warns",
            title=f"{_count(broken.height, 'file')} cannot be read",
            meaning=f"They are left out; the first is {first['path']!r}: {first['status']}.",
            remedy="Restore them from where they came from, or remove them.",
            rows=singly(broken["row"].to_list()),
            numbers={"reasons": dict(broken["status"].value_counts(sort=True).iter_rows())},
        )


def _small(read: pl.DataFrame) -> Iterator[Finding]:
    tiny = read.filter(pl.min_horizontal("width", "height") < TINY)
    if tiny.height:
        yield Finding(
            name="tiny",
            severity="warns",
            title=f"{_count(tiny.height, 'image')} smaller than {TINY} pixels",
            meaning="So few pixels show hardly any texture; they may be thumbnails or icons.",
            remedy="Replace them by the original images, or --drop tiny.",
            rows=singly(tiny["row"].to_list()),
        )
    blank = read.filter(pl.col("contrast") < BLANK)
    if blank.height:
        yield Finding(
            name="blank",
            severity="warns",
            title=f"{_count(blank.height, 'image')} of nearly one color",
            meaning="There is nothing to learn from in them, or their range of grey values is not used.",
            remedy="Look at them; --drop blank leaves them out.",
            rows=singly(blank["row"].to_list()),
        )


def _unlike(read: pl.DataFrame) -> Iterator[Finding]:
    """Much darker, brighter or blurrier than the rest; a blank image has nothing that could be sharp."""
    if read.height < 8:
        return
    shows = read["contrast"].to_numpy() >= BLANK
    rows = read["row"].to_numpy()
    brightness = read["brightness"].to_numpy().astype(np.float64)
    sharpness = np.log(np.maximum(read["sharpness"].to_numpy().astype(np.float64), 1e-6))
    away = brightness - np.median(brightness)
    far = np.abs(away) > np.maximum(FAR * _spread(brightness), DARKER)
    dull = shows & (np.median(sharpness) - sharpness > np.maximum(DULL * _spread(sharpness), np.log(4)))
    for name, word, which in (
        ("dark", "darker", far & (away < 0)),
        ("bright", "brighter", far & (away > 0)),
        ("blurry", "blurrier", dull),
    ):
        if which.any():
            yield Finding(
                name=name,
                severity="notes",
                title=f"{_count(int(which.sum()), 'image')} much {word} than the rest",
                meaning="The model sees few of this kind, and will be less sure of them.",
                remedy=f"Look at them; --drop {name} leaves them out.",
                rows=singly(rows[which].tolist()),
            )


def _forms(read: pl.DataFrame) -> Iterator[Finding]:
    kinds = (("odd-color", "mode", "color mode"), ("odd-format", "format", "file format"))
    for name, column, words in kinds:
        counts = read[column].value_counts(sort=True)
        if counts.height < 2:
            continue
        shares = {str(kind): int(count) for kind, count in counts.iter_rows()}
        rare = [kind for kind, count in shares.items() if count <= RARE * read.height]
        odd = read.filter(pl.col(column).is_in(rare))
        listed = ", ".join(f"{kind} {count:,}" for kind, count in shares.items())
        yield Finding(
            name=name,
            severity="notes",
            title=f"{_count(odd.height, 'image')} of another {words}" if rare else f"several {words}s",
            meaning=f"They come from another way of saving ({listed}); where that goes with a class, it is a shortcut.",
            remedy="Nothing, if every class has some; otherwise save all images in one way.",
            rows=singly(odd["row"].to_list()),
            numbers={"counts": shares},
        )


def _sizes(read: pl.DataFrame) -> Iterator[Finding]:
    width, height = (read[side].to_numpy().astype(np.float64) for side in ("width", "height"))
    kinds = read.select(pl.struct("width", "height").n_unique()).item()
    if kinds == 1:
        return
    shape, side = width / height, np.sqrt(width * height)
    odd = _off(shape) | _off(side)
    if odd.any() and odd.mean() <= RARE:
        yield Finding(
            name="odd-size",
            severity="notes",
            title=f"{_count(int(odd.sum()), 'image')} of another size or shape than most",
            meaning="After resizing, their subject is larger, smaller or more padded than that of the others.",
            remedy="Check that they show the same kind of thing at the same scale.",
            rows=singly(read["row"].to_numpy()[odd].tolist()),
        )
    yield Finding(
        name="mixed-sizes",
        severity="notes",
        title=f"{kinds:,} sizes, from {_size(width, height, side.argmin())} to {_size(width, height, side.argmax())}",
        meaning="All are resized to one; what was one scale in the field may not be one scale afterwards.",
        remedy="Nothing, unless the size goes with a class, the camera or the magnification.",
        numbers={"sizes": int(kinds), "aspect": [float(shape.min()), float(shape.max())]},
    )


def _handled(read: pl.DataFrame) -> Iterator[Finding]:
    turned = read.filter(pl.col("turned"))
    if turned.height:
        yield Finding(
            name="turned",
            severity="notes",
            title=f"{_count(turned.height, 'image')} turned upright, as the camera noted",
            meaning="Programs that ignore this note see them lying on their side.",
            remedy="Nothing; Coverslip turns them.",
            rows=singly(turned["row"].to_list()),
        )
    pages = read.filter(pl.col("pages") > 1)
    if pages.height:
        yield Finding(
            name="several-pages",
            severity="notes",
            title=f"{_count(pages.height, 'file')} with more than one page or plane",
            meaning="Only the first of each is used.",
            remedy="Save the planes that matter as files of their own.",
            rows=singly(pages["row"].to_list()),
        )


def _spread(values: npt.NDArray[np.float64]) -> float:
    """A standard deviation that a few outliers do not change: 1.4826 times the median absolute deviation."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _off(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    ratio = values / np.median(values)
    return (ratio > STRETCH) | (ratio < 1 / STRETCH)


def _size(width: npt.NDArray[np.float64], height: npt.NDArray[np.float64], row: np.intp) -> str:
    return f"{width[row]:.0f} x {height[row]:.0f}"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
