"""Single-label classification: each image belongs to one of several classes."""

from coverslip.tasks.class_prediction import ClassPrediction
from coverslip.tasks.classification.task import Classification, require_classification

__all__ = ["ClassPrediction", "Classification", "require_classification"]
