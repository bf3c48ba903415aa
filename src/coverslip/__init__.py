"""From a folder of pictures to a result you can defend.

The public names load when they are first used, so that ``import coverslip`` is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "scan": "coverslip.data.scan",
    "plan": "coverslip.api",
    "audit": "coverslip.api",
    "compare": "coverslip.api",
    "train": "coverslip.api",
    "load": "coverslip.api",
    "predict": "coverslip.api",
    "evaluate": "coverslip.api",
    "report": "coverslip.api",
    "leaves": "coverslip.data.synthetic",
    "UserError": "coverslip.errors",
}
_NAMES = {"leaves": "write_leaves"}

__all__ = ["UserError", "audit", "compare", "evaluate", "leaves", "load", "plan", "predict", "report", "scan", "train"]

if TYPE_CHECKING:
    from coverslip.api import audit, compare, evaluate, load, plan, predict, report, train
    from coverslip.data.scan import scan
    from coverslip.data.synthetic import write_leaves as leaves
    from coverslip.errors import UserError


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'coverslip' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), _NAMES.get(name, name))


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
