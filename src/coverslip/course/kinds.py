"""What kind of thing a learner handed in, in words, and whether it is the kind that a judge asks for."""

from __future__ import annotations

import inspect
import numbers
import types
import typing
from collections.abc import Callable
from typing import Any

import numpy as np

NAMES = {  # by class name, so that nothing heavy is imported to name a thing
    "History": ("a history, what coverslip.fit gives back", "its network is history.network"),
    "Scores": ("scores, what coverslip.evaluate gives back", "one number of them is scores.accuracy['value']"),
    "Images": ("a set of images", "its array is .x, its classes .y"),
    "Figure": ("a figure", ""),
    "DataFrame": ("a table", ""),
    "Run": ("a run", ""),
    "Callable": ("a function, its name without parentheses", ""),
}


def said(answer: Any) -> str:
    """What an answer is, in words.

    >>> said(7), said("relu"), said([1, 2])
    ('the number 7', "the text 'relu'", 'a list of 2')
    """
    other = f"something of the kind {type(answer).__name__}"
    return next((words(answer) for fits, words in WORDS if fits(answer)), other)


def fit_kinds(judge: Callable[..., Any], answers: tuple[Any, ...]) -> tuple[list[Any], str]:
    """The answers as the judge's annotations want them, and a sentence where they cannot be.

    Numbers come as numbers whatever they were kept in (a NumPy number, a tensor of one). Arguments without an
    annotation are passed on as they are.

    >>> def judge(answer: int): ...
    >>> fit_kinds(judge, (np.int64(4),))
    ([4], '')
    >>> fit_kinds(judge, ("four",))[1]
    "That is the text 'four'; a whole number is wanted here."
    """
    signature = inspect.signature(judge)
    try:
        bound = signature.bind(*answers)
    except TypeError:
        wanted = ", ".join(signature.parameters)
        count = len(signature.parameters)
        return [], f"This check wants {count} ({wanted}) behind the number of the task; {len(answers)} came."
    hints = typing.get_type_hints(judge)
    fitted: list[Any] = []
    for name, answer in zip(bound.signature.parameters, answers, strict=False):
        kind = hints.get(name)
        value = answer if kind is None else _as(kind, answer)
        if value is ...:
            return [], _mismatch(kind, answer)
        fitted.append(value)
    return fitted, ""


def _as(wanted: Any, answer: Any) -> Any:
    """The answer as the wanted kind; ``...`` where it is none."""
    if isinstance(wanted, types.UnionType) or typing.get_origin(wanted) is typing.Union:
        options = (_as(each, answer) for each in typing.get_args(wanted))
        return next((value for value in options if value is not ...), ...)
    kind = typing.get_origin(wanted) or wanted
    if kind is Any:
        return answer
    if kind in (int, float):
        return _number(kind, answer)
    if kind is typing.get_origin(Callable[..., Any]):
        return answer if callable(answer) else ...
    return answer if isinstance(answer, kind) and not _is_bare_class(answer) else ...


def _number(kind: type, answer: Any) -> Any:
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


def _mismatch(wanted: Any, answer: Any) -> str:
    name = getattr(wanted, "__name__", str(wanted))
    words = {"int": "a whole number", "float": "a number", "str": "a text in quotes", "Module": "a network"}
    what, comma, origin = (NAMES[name][0] if name in NAMES else words.get(name, f"a {name}")).partition(",")
    help_with = NAMES.get(type(answer).__name__, ("", ""))[1]
    return f"That is {said(answer)}; {what} is wanted here{comma}{origin}{f' ({help_with})' if help_with else ''}."


def _is_network(answer: Any) -> bool:
    return any(each.__module__.startswith("torch.nn") and each.__name__ == "Module" for each in type(answer).__mro__)


def _array_words(answer: Any) -> str:
    what = "a tensor" if type(answer).__module__.startswith("torch") else "an array"
    return f"{what} of shape {tuple(answer.shape)}"


def _is_bare_class(answer: Any) -> bool:
    return isinstance(answer, type)


# The first that fits is said.
WORDS: tuple[tuple[Callable[[Any], bool], Callable[[Any], str]], ...] = (
    (lambda answer: type(answer).__name__ in NAMES, lambda answer: NAMES[type(answer).__name__][0]),
    (_is_bare_class, lambda answer: f"the class {answer.__name__} itself (parentheses after it make one)"),
    (lambda answer: isinstance(answer, bool | np.bool_), lambda answer: f"the word {answer}"),
    (lambda answer: isinstance(answer, int), lambda answer: f"the number {answer:,}"),
    (lambda answer: isinstance(answer, numbers.Number), lambda answer: f"the number {answer}"),
    (lambda answer: isinstance(answer, str), lambda answer: f"the text {answer[:40]!r}"),
    (_is_network, lambda answer: f"a network ({type(answer).__name__})"),
    (lambda answer: hasattr(answer, "shape") and hasattr(answer, "dtype"), _array_words),
    (
        lambda answer: isinstance(answer, list | tuple | set | dict),
        lambda answer: f"a {type(answer).__name__} of {len(answer)}",
    ),
    (callable, lambda answer: "a function"),
)
