"""Regression: one or several values per image, each with a prediction interval."""

from coverslip.tasks.regression.prediction import ValuePrediction
from coverslip.tasks.regression.task import Regression

__all__ = ["Regression", "ValuePrediction"]
