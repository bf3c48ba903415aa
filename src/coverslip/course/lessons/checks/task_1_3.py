# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/01_your_first_network.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

from collections.abc import Callable

import numpy as np

HINTS = (
    "First np.exp(logits), then divide by the sum of that.",
    "return np.exp(logits) / np.exp(logits).sum()",
)


def grade(softmax: Callable):
    """A function from logits to probabilities that are positive, add up to 1 and keep the order of the logits."""
    logits = np.array([2.0, 0.0, -1.0])
    result = softmax(logits)
    if result is ...:
        return ""
    if result is None:
        return "The function has no result: it computes (or only prints) a value, but does not return it. Use return."
    result = np.asarray(result, float)
    if result.shape != logits.shape:
        return f"For three logits it should return three probabilities; it returns {result.size}."
    if (result < 0).any():
        return (
            f"For the logits 2, 0, -1 it returns {result.round(2).tolist()}: a probability cannot be negative. Apply "
            "np.exp first."
        )
    if abs(result.sum() - 1) > 1e-6:
        return f"For the logits 2, 0, -1 the probabilities add up to {result.sum():.2f}, not to 1."
    if result.argmax() != 0:
        return "The largest logit should have the largest probability; here it has the smallest."
    expected = np.exp(logits) / np.exp(logits).sum()
    if np.abs(result - expected).max() > 1e-6:
        return (
            f"For the logits 2, 0, -1 it returns {result.round(3).tolist()}; softmax is {expected.round(3).tolist()}."
        )
    return Passed(
        "For the logits 2, 0, -1 it returns 0.844, 0.114 and 0.042. Only the differences between logits matter: add 5 "
        "to all of them and see."
    )
