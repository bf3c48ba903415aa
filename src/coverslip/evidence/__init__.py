"""Evaluation scores with confidence intervals over groups."""

from coverslip.evidence.classification import classification_evidence
from coverslip.evidence.intervals import Score, format_interval

__all__ = ["Score", "classification_evidence", "format_interval"]
