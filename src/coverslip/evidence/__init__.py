"""How sure a number is: scores with intervals that respect groups."""

from coverslip.evidence.classification import classification_evidence
from coverslip.evidence.intervals import Score, format_interval

__all__ = ["Score", "classification_evidence", "format_interval"]
