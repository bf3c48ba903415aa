"""Numbers and names as a page says them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

SCORES = {  # key in test.json -> what a page calls it, and what it is
    "accuracy": ("Accuracy", "the share of test images that were named correctly"),
    "balanced_accuracy": ("Balanced accuracy", "the mean of the classes' recalls: every class counts the same"),
    "macro_f1": ("Macro F1", "the mean of the classes' F1 scores: every class counts the same"),
    "mcc": ("MCC", "Matthews' correlation of what was said with what is so; 0 is chance, 1 is all right"),
    "macro_auroc": ("Macro AUROC", "how well the probabilities rank each class above the rest; 0.5 is chance"),
    "macro_auprc": ("Macro AUPRC", "the area under precision over recall, mean of the classes; 1 is all right"),
    "log_loss": ("Log loss", "how far the probabilities are from the truth; lower is better"),
    "brier": ("Brier score", "the squared error of the probabilities; lower is better"),
    "ece": ("Calibration error", "how far confidence is from the share that is right; lower is better"),
    "sensitivity": ("Sensitivity", "of the images of the class that is looked for, the share named so"),
    "specificity": ("Specificity", "of the images of the other class, the share named so"),
    "top_5_accuracy": ("Top-5 accuracy", "the share whose true class is among the five most probable"),
}


def count_text(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun.

    >>> count_text(1, "image"), count_text(2991, "image"), count_text(2, "class", "classes")
    ('1 image', '2,991 images', '2 classes')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def number_text(value: float | None, digits: int = 3) -> str:
    """A score as text; None is said to be not defined.

    >>> number_text(0.8456), number_text(None)
    ('0.846', 'not defined')
    """
    return "not defined" if value is None else f"{value:.{digits}f}"


def share_text(share: float) -> str:
    """A share as percent, never rounded up to all of it or down to none.

    >>> share_text(1.0), share_text(0.9999), share_text(0.784), share_text(0.0001)
    ('100 %', '99.9 %', '78 %', '0.1 %')
    """
    if share in (0.0, 1.0):
        return f"{share:.0%}".replace("%", " %")
    if 0.01 <= share <= 0.99:
        return f"{share * 100:.0f} %"
    return f"{min(max(share * 100, 0.1), 99.9):.1f} %"


def score_context(score: dict[str, Any] | None, digits: int = 3) -> dict[str, Any]:
    """One score of test.json as text: value, interval (empty without one), its reason, n, method."""
    score = score or {}
    low, high, images, groups = (score.get(key) for key in ("low", "high", "images", "groups"))
    has_interval = low is not None and high is not None
    return {
        "number": score.get("value"),
        "low": low,
        "high": high,
        "value": number_text(score.get("value"), digits),
        "interval": f"[{low:.{digits}f}, {high:.{digits}f}]" if has_interval else "",
        "reason": "" if has_interval else str(score.get("reason") or "no reason was given"),
        "method": str(score.get("method") or "") if has_interval else "",
        "level": share_text(score["level"]) if score.get("level") else "",
        "images": images,
        "groups": groups,
    }


def name_of_score(key: str) -> tuple[str, str]:
    """What a page calls a score, and what it is in one line (empty for a score this version does not know)."""
    return SCORES.get(key, (key.replace("_", " ").capitalize(), ""))


def without_folders(text: str) -> str:
    """An absolute path is cut to its last part: a page that is sent on should not tell where its sender keeps things.

    >>> [without_folders(path) for path in ("/Users/ada/leaves", "C:\\\\Users\\\\ada\\\\leaves", "data/leaves")]
    ['…/leaves', '…/leaves', 'data/leaves']
    """
    if re.match(r"[A-Za-z]:[\\/]", text) or text.startswith("\\\\"):
        return f"…/{PureWindowsPath(text).name}"
    return f"…/{PurePosixPath(text).name}" if re.match(r"/[^/\s]", text) else text


def value_text(value: object) -> str:
    """A setting as a table shows it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value in ("", None, [], {}):
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(value_text(each) for each in value)
    return without_folders(str(value))


def flat_rows(content: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A nested dict as rows ``section.key``, value.

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
