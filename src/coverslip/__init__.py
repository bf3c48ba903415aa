"""Train an image classifier on your own images, and report a result you can defend.

Public names are loaded on first use, so that ``import coverslip`` is fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coverslip import _version

__version__ = _version.__version__

_HOMES = {
    "scan": "coverslip.data.scan",
    "configure": "coverslip.api",
    "plan": "coverslip.api",
    "audit": "coverslip.api",
    "compare": "coverslip.api",
    "train": "coverslip.api",
    "tune": "coverslip.api",
    "load": "coverslip.api",
    "predict": "coverslip.api",
    "evaluate": "coverslip.api",
    "explain": "coverslip.api",
    "export": "coverslip.api",
    "report": "coverslip.api",
    "fit": "coverslip.training.arrays",
    "summary": "coverslip.models.summary",
    "leaves": "coverslip.data.synthetic",
    "UserError": "coverslip.core.errors",
}
_NAMES = {"leaves": "write_leaves", "fit": "fit_arrays", "evaluate": "evaluate_any"}

__all__ = [
    "UserError",
    "audit",
    "compare",
    "configure",
    "evaluate",
    "explain",
    "export",
    "fit",
    "leaves",
    "load",
    "predict",
    "report",
    "scan",
    "summary",
    "train",
    "tune",
]

if TYPE_CHECKING:
    from coverslip.api import audit, compare, configure, explain, export, load, predict, report, train, tune
    from coverslip.api import evaluate_any as evaluate
    from coverslip.core.errors import UserError
    from coverslip.data.scan import scan
    from coverslip.data.synthetic import write_leaves as leaves
    from coverslip.models.summary import summary
    from coverslip.training.arrays import fit_arrays as fit


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'coverslip' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), _NAMES.get(name, name))


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
