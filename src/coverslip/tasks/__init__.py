"""Tasks: the meaning of a network's outputs.

Each task is a folder; importing this package registers all of them in `coverslip.tasks.task.TASKS`.
"""

from coverslip.tasks import classification, multilabel, ordinal, regression
from coverslip.tasks.task import TASKS, Prediction, Task

__all__ = ["TASKS", "Prediction", "Task", "classification", "multilabel", "ordinal", "regression"]
