"""The public functions; the command line calls the same ones.

Functions that can take long have an argument ``progress``: silent by default;
`coverslip.core.progress.TerminalProgress` draws progress bars.
"""

from __future__ import annotations

from coverslip.api.configs import configure, plan, unfinished
from coverslip.api.evaluating import compare, evaluate, evaluate_any, load, report
from coverslip.api.explaining import explain
from coverslip.api.exporting import export
from coverslip.api.predicting import predict, predict_in_parts, predict_to
from coverslip.api.training import audit, find_lr, train
from coverslip.api.tuning import resume_study, study_folder, tune

__all__ = [
    "audit",
    "compare",
    "configure",
    "evaluate",
    "evaluate_any",
    "explain",
    "export",
    "find_lr",
    "load",
    "plan",
    "predict",
    "predict_in_parts",
    "predict_to",
    "report",
    "resume_study",
    "study_folder",
    "train",
    "tune",
    "unfinished",
]
