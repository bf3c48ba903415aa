"""The functions users call; the command line calls the same ones.

A long job takes ``progress``: the default says nothing, `coverslip.progress.TerminalProgress` draws bars.
"""

from __future__ import annotations

from coverslip.api.exporting import export
from coverslip.api.maps import explain
from coverslip.api.plans import plan, unfinished
from coverslip.api.predicting import predict, predict_in_parts, predict_to
from coverslip.api.studies import resume_study, study_folder, tune
from coverslip.api.training import audit, find_rate, train
from coverslip.api.use import compare, evaluate, evaluate_any, load, report

__all__ = [
    "audit",
    "compare",
    "evaluate",
    "evaluate_any",
    "explain",
    "export",
    "find_rate",
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
