"""Several labels: each image has any number of labels, or none."""

from coverslip.tasks.multilabel.prediction import LabelPrediction
from coverslip.tasks.multilabel.task import Multilabel

__all__ = ["LabelPrediction", "Multilabel"]
