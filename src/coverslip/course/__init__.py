"""The course: lessons as notebooks, checks that look at what a learner did, and pictures to learn on.

In a notebook::

    from coverslip.course import check, explorables, pictures
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

_HOMES = {
    "check": "coverslip.course.checking",
    "pictures": "coverslip.course.picture_set",
    "Passed": "coverslip.course.result",
}

__all__ = ["Passed", "check", "pictures"]

if TYPE_CHECKING:
    from coverslip.course.checking import check
    from coverslip.course.picture_set import pictures
    from coverslip.course.result import Passed


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'coverslip.course' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
