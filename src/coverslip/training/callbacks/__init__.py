"""Callbacks: what happens beside training, at five moments."""

from __future__ import annotations

from coverslip.training.callbacks.callback import Callback, Moments
from coverslip.training.callbacks.history import History
from coverslip.training.callbacks.saving import Saving
from coverslip.training.callbacks.showing import Showing
from coverslip.training.callbacks.stopping import StopAtNan, Stopping

__all__ = ["Callback", "History", "Moments", "Saving", "Showing", "StopAtNan", "Stopping"]
