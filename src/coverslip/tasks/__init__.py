"""Tasks: the meaning of a network's outputs.

Each task is a folder; importing this package registers all of them in `coverslip.tasks.task.TASKS`.
"""

from coverslip.tasks import classification, multilabel, ordinal, regression
from coverslip.tasks.multilabel import Multilabel
from coverslip.tasks.ordinal import Ordinal
from coverslip.tasks.regression import Regression
from coverslip.tasks.task import TASKS, Prediction, Task

__all__ = [
    "TASKS",
    "Multilabel",
    "Ordinal",
    "Prediction",
    "Regression",
    "Task",
    "classification",
    "multilabel",
    "ordinal",
    "regression",
]
