"""Answers by task: the fields of the REST API for predictions, and their columns in a CSV table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.registry import Registry
from coverslip.serving.schemas import Answer, AnyAnswer, LabelAnswer, Model, PredictedValue, ValueAnswer
from coverslip.tasks import Multilabel, Regression
from coverslip.tasks.class_task import ClassTask
from coverslip.tasks.regression.prediction import suffix_of
from coverslip.tasks.task import SEPARATOR, Task, unsupported_task

Outputs = npt.NDArray[np.floating[Any]]
LABEL_SEPARATOR, NO_LABEL = ";", "none"
ANSWERS: Registry[Callable[..., AnyAnswer]] = Registry("task that can be served")
ANSWERS.register("classification")(Answer)
ANSWERS.register("ordinal")(Answer)
ANSWERS.register("multilabel")(LabelAnswer)
ANSWERS.register("regression")(ValueAnswer)


def answer_fields(task: Task, outputs: Outputs) -> list[dict[str, Any]]:
    """Return the fields of the answers of a task for outputs (N, num_outputs).

    Raises:
        UserError: models of the task cannot be served.
    """
    if isinstance(task, ClassTask):
        return _class_fields(task, outputs)
    if isinstance(task, Multilabel):
        return _label_fields(task, outputs)
    if isinstance(task, Regression):
        return _value_fields(task, outputs)
    raise unsupported_task(task, "serve")


def _class_fields(task: ClassTask, outputs: Outputs) -> list[dict[str, Any]]:
    prediction, classes = task.predict(outputs), task.classes
    return [
        {
            "label": classes[label],
            "confidence": shares[label],
            "probabilities": dict(zip(classes, shares, strict=True)),
            "members": _names(prediction.members, row, classes),
        }
        for row, (label, shares) in enumerate(
            zip(prediction.predicted.tolist(), prediction.probabilities.tolist(), strict=True)
        )
    ]


def _label_fields(task: Multilabel, outputs: Outputs) -> list[dict[str, Any]]:
    prediction = task.predict(outputs)
    return [
        {
            "labels": _names(prediction.predicted, row, task.classes),
            "probabilities": dict(zip(task.classes, shares, strict=True)),
            "members": _names(prediction.members, row, task.classes),
        }
        for row, shares in enumerate(prediction.probabilities.tolist())
    ]


def _value_fields(task: Regression, outputs: Outputs) -> list[dict[str, Any]]:
    prediction = task.predict(outputs)
    seen = task.seen or ((-np.inf, np.inf),) * len(task.targets)
    rows = []
    for row in range(len(prediction)):
        values = []
        for index, (name, (low, high)) in enumerate(zip(task.targets, seen, strict=True)):
            value = float(prediction.values[row, index])
            ends = [None if ends is None else float(ends[row, index]) for ends in (prediction.low, prediction.high)]
            known = [None if end is None or not np.isfinite(end) else end for end in ends]
            values.append(
                PredictedValue(name=name, value=value, low=known[0], high=known[1], outside=not low <= value <= high)
            )
        rows.append({"values": values})
    return rows


def _names(members: npt.NDArray[np.bool_] | None, row: int, names: Sequence[str]) -> list[str] | None:
    return None if members is None else [names[index] for index in np.flatnonzero(members[row]).tolist()]


def columns_of(model: Model) -> list[str]:
    """Return the columns of the predictions of a model in a CSV table, those of `coverslip predict`."""
    if model.task == "regression":
        names = [target.name for target in model.targets]
        return [f"{kind}{suffix_of(names, name)}" for name in names for kind in ("predicted", "low", "high")]
    own = ["predicted"] if model.task == "multilabel" else ["predicted", "confidence"]
    return [*own, *(f"p:{name}" for name in model.classes), "set"]


def cells_of(answer: AnyAnswer, model: Model) -> list[str | float | None]:
    """Return the cells of an answer in the columns of `columns_of`."""
    if isinstance(answer, ValueAnswer):
        values = answer.values or []
        cells: list[str | float | None] = [end for value in values for end in (value.value, value.low, value.high)]
        return cells or [None] * len(columns_of(model))
    if isinstance(answer, LabelAnswer):
        shares = answer.probabilities or {}
        own = [_joined(answer.labels), *(shares.get(name) for name in model.classes)]
        return [*own, _joined(answer.members)]
    shares = answer.probabilities or {}
    members = None if answer.members is None else SEPARATOR.join(answer.members)
    return [answer.label, answer.confidence, *(shares.get(name) for name in model.classes), members]


def _joined(labels: Sequence[str] | None) -> str | None:
    return None if labels is None else LABEL_SEPARATOR.join(labels) or NO_LABEL
