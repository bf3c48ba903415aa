"""Callbacks of the training loop: progress, validation, early stopping and checkpoints."""

from __future__ import annotations

from coverslip.training.callbacks.callback import Callback, CallbackList
from coverslip.training.callbacks.checkpointing import CheckpointCallback
from coverslip.training.callbacks.early_stopping import EarlyStopping, NanGuard
from coverslip.training.callbacks.progress import ProgressCallback
from coverslip.training.callbacks.validation import ValidationCallback

__all__ = [
    "Callback",
    "CallbackList",
    "CheckpointCallback",
    "EarlyStopping",
    "NanGuard",
    "ProgressCallback",
    "ValidationCallback",
]
