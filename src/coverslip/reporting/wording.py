"""Numbers, names and scores as text."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from coverslip.evidence.score_specs import score_spec

DIGITS, MOST_DIGITS = 3, 12  # decimals of a score; most decimals of one in the unit of the target


def digits_of(key: str, scores: Mapping[str, Any]) -> int:
    """Return the number of decimals of a score: those in the unit of the target follow the mean absolute error.

    Args:
        key: name of the score.
        scores: all scores of this target as in test.json.

    >>> digits_of("rmse", {"mae": {"value": 0.000421}}), digits_of("rmse", {"mae": {"value": 41.7}})
    (6, 1)
    >>> digits_of("r2", {"mae": {"value": 41.7}})
    3
    """
    error = (scores.get("mae") or {}).get("value") if score_spec(key).in_unit else None
    return DIGITS if not error else min(max(2 - math.floor(math.log10(error)), 0), MOST_DIGITS)


def count_text(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun in the singular or plural.

    >>> count_text(1, "image"), count_text(2991, "image"), count_text(2, "class", "classes")
    ('1 image', '2,991 images', '2 classes')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(items: Sequence[str]) -> str:
    """Join phrases to a list in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def number_text(value: float | None, digits: int = 3) -> str:
    """Return a score as text; None becomes "not defined", and zero has no sign.

    >>> number_text(0.8456), number_text(None), number_text(-1e-18)
    ('0.846', 'not defined', '0.000')
    """
    text = "not defined" if value is None else f"{value:.{digits}f}"
    return text if text.strip("-0.") else text.lstrip("-")


def share_text(share: float) -> str:
    """Return a share, 0 to 1, as a percentage that is never rounded to 0 or 100 % unless it is exact.

    >>> share_text(1.0), share_text(0.9999), share_text(0.784), share_text(0.0001)
    ('100 %', '99.9 %', '78 %', '0.1 %')
    """
    if share in (0.0, 1.0):
        return f"{share:.0%}".replace("%", " %")
    if 0.01 <= share <= 0.99:
        return f"{share * 100:.0f} %"
    return f"{min(max(share * 100, 0.1), 99.9):.1f} %"


def score_context(score: dict[str, Any] | None, digits: int = 3) -> dict[str, Any]:
    """Return one score of test.json as a template shows it.

    Args:
        score: value, low, high, level, method, images and groups; None or empty if the score does not exist.
        digits: decimals of the value and of the interval.

    Returns:
        The numbers, and as text: value, interval (empty without one), the reason for a missing interval, method, level.
    """
    score = score or {}
    low, high, images, groups = (score.get(key) for key in ("low", "high", "images", "groups"))
    has_interval = low is not None and high is not None
    return {
        "number": score.get("value"),
        "low": low,
        "high": high,
        "value": number_text(score.get("value"), digits),
        "interval": f"[{low:.{digits}f}, {high:.{digits}f}]" if has_interval else "",
        "reason": "" if has_interval else str(score.get("reason") or "no reason given"),
        "method": str(score.get("method") or "") if has_interval else "",
        "level": share_text(score["level"]) if score.get("level") else "",
        "images": images,
        "groups": groups,
    }


def name_of_score(key: str) -> tuple[str, str]:
    """Return the title of a score and its definition in one line (empty for a score unknown to this version)."""
    spec = score_spec(key)
    return spec.title, spec.definition


def without_folders(text: str) -> str:
    """Shorten an absolute path to its last part, so that a shared page does not reveal the folders of its author.

    >>> [without_folders(path) for path in ("/Users/ada/leaves", "C:\\\\Users\\\\ada\\\\leaves", "data/leaves")]
    ['…/leaves', '…/leaves', 'data/leaves']
    """
    if re.match(r"[A-Za-z]:[\\/]", text) or text.startswith("\\\\"):
        return f"…/{PureWindowsPath(text).name}"
    return f"…/{PurePosixPath(text).name}" if re.match(r"/[^/\s]", text) else text


def value_text(value: object) -> str:
    """Return the value of a setting as a table shows it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value in ("", None, [], {}):
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(value_text(item) for item in value)
    return without_folders(str(value))


def flat_rows(content: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Flatten a nested dict to rows of ``section.key`` and value.

    >>> flat_rows({"model": {"name": "lite0", "views": 1}})
    [('model.name', 'lite0'), ('model.views', '1')]
    """
    rows: list[tuple[str, str]] = []
    for key, value in content.items():
        if isinstance(value, dict):
            rows += flat_rows(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", value_text(value)))
    return rows
