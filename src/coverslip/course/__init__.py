"""The course: lessons as notebooks, checks of the learners' answers, and images to learn from.

Import them in a notebook with::

    from coverslip.course import check, explorables, images
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

_HOMES = {
    "check": "coverslip.course.checking",
    "images": "coverslip.course.image_set",
    "Passed": "coverslip.course.result",
}

__all__ = ["Passed", "check", "images"]

if TYPE_CHECKING:
    from coverslip.course.checking import check
    from coverslip.course.image_set import images
    from coverslip.course.result import Passed


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'coverslip.course' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
