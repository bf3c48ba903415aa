"""Types of learners' answers: descriptions in words, and conversion to what a task's ``grade`` expects."""

from __future__ import annotations

import inspect
import numbers
import types
import typing
from collections.abc import Callable
from typing import Any

import numpy as np

# Keys are class names, so that a class need not be imported to describe its objects.
NAMES = {  # class name -> (description, help for an object of this class in the wrong place)
    "History": ("a history, as returned by coverslip.fit", "its network is history.network"),
    "Scores": ("scores, as returned by coverslip.evaluate", "the accuracy is scores.accuracy['value']"),
    "Images": ("a set of images", "its array is .x, its labels are .y"),
    "Figure": ("a figure", ""),
    "DataFrame": ("a table", ""),
    "Run": ("a run", ""),
    "Callable": ("a function (its name without parentheses)", ""),
}


def describe(answer: Any) -> str:
    """Return a description of an answer in words.

    >>> describe(7), describe("relu"), describe([1, 2])
    ('the number 7', "the text 'relu'", 'a list of 2')
    """
    other = f"an object of type {type(answer).__name__}"
    return next((description(answer) for matches, description in DESCRIPTIONS if matches(answer)), other)


def convert_answers(grade: Callable[..., Any], answers: tuple[Any, ...]) -> tuple[list[Any], str]:
    """Convert answers to the annotated types of ``grade``.

    NumPy numbers and tensors with one element become Python numbers. Arguments without an annotation are passed on
    unchanged.

    Args:
        grade: a task's function, whose parameters are the answers.
        answers: the learner's answers.

    Returns:
        The converted answers and "", or an empty list and a message that says which answer has the wrong type.

    >>> def grade(answer: int): ...
    >>> convert_answers(grade, (np.int64(4),))
    ([4], '')
    >>> convert_answers(grade, ("four",))[1]
    "This is the text 'four'; expected a whole number."
    """
    signature = inspect.signature(grade)
    try:
        bound = signature.bind(*answers)
    except TypeError:
        names = ", ".join(signature.parameters)
        count = len(signature.parameters)
        return [], (
            f"This check needs {count} answer{'' if count == 1 else 's'} ({names}) after the task number; "
            f"it was given {len(answers)}."
        )
    hints = typing.get_type_hints(grade)
    converted: list[Any] = []
    for name, answer in zip(bound.signature.parameters, answers, strict=False):
        expected = hints.get(name)
        value = answer if expected is None else _convert(expected, answer)
        if value is ...:
            return [], _mismatch(expected, answer)
        converted.append(value)
    return converted, ""


def _convert(expected: Any, answer: Any) -> Any:
    """Return the answer as the expected type, or ``...`` if it cannot be converted."""
    if isinstance(expected, types.UnionType) or typing.get_origin(expected) is typing.Union:
        options = (_convert(option, answer) for option in typing.get_args(expected))
        return next((value for value in options if value is not ...), ...)
    kind = typing.get_origin(expected) or expected
    if kind is Any:
        return answer
    if kind in (int, float):
        return _number(kind, answer)
    if kind is typing.get_origin(Callable[..., Any]):
        return answer if callable(answer) else ...
    return answer if isinstance(answer, kind) and not _is_class(answer) else ...


def _number(kind: type, answer: Any) -> Any:
    """Return the answer as an int or a float, or ``...`` if it is not a number of this type."""
    if isinstance(answer, bool | np.bool_ | str):
        return ...
    if hasattr(answer, "item") and getattr(answer, "size", 1) != 0:
        try:
            answer = answer.item()
        except (ValueError, RuntimeError, TypeError):
            return ...
    if not isinstance(answer, numbers.Real):
        return ...
    if kind is float:
        return float(answer)
    number = float(answer)
    return int(number) if number.is_integer() else ...


def _mismatch(expected: Any, answer: Any) -> str:
    """Return the message for an answer of the wrong type."""
    name = getattr(expected, "__name__", str(expected))
    words = {"int": "a whole number", "float": "a number", "str": "a text in quotes", "Module": "a network"}
    wanted = NAMES[name][0] if name in NAMES else words.get(name, f"a {name}")
    advice = NAMES.get(type(answer).__name__, ("", ""))[1]
    return f"This is {describe(answer)}; expected {wanted}{f' ({advice})' if advice else ''}."


def _is_network(answer: Any) -> bool:
    classes = type(answer).__mro__
    return any(base.__module__.startswith("torch.nn") and base.__name__ == "Module" for base in classes)


def _describe_array(answer: Any) -> str:
    kind = "a tensor" if type(answer).__module__.startswith("torch") else "an array"
    return f"{kind} of shape {tuple(answer.shape)}"


def _is_class(answer: Any) -> bool:
    return isinstance(answer, type)


# (condition, description); the first condition that holds decides.
DESCRIPTIONS: tuple[tuple[Callable[[Any], bool], Callable[[Any], str]], ...] = (
    (lambda answer: type(answer).__name__ in NAMES, lambda answer: NAMES[type(answer).__name__][0]),
    (_is_class, lambda answer: f"the class {answer.__name__} itself (add parentheses to create an object)"),
    (lambda answer: isinstance(answer, bool | np.bool_), lambda answer: f"the value {answer}"),
    (lambda answer: isinstance(answer, int), lambda answer: f"the number {answer:,}"),
    (lambda answer: isinstance(answer, numbers.Number), lambda answer: f"the number {answer}"),
    (lambda answer: isinstance(answer, str), lambda answer: f"the text {answer[:40]!r}"),
    (_is_network, lambda answer: f"a network ({type(answer).__name__})"),
    (lambda answer: hasattr(answer, "shape") and hasattr(answer, "dtype"), _describe_array),
    (
        lambda answer: isinstance(answer, list | tuple | set | dict),
        lambda answer: f"a {type(answer).__name__} of {len(answer)}",
    ),
    (callable, lambda answer: "a function"),
)
