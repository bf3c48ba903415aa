# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/01_your_first_network.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

from collections.abc import Callable

import numpy as np

HINTS = (
    "First np.exp(scores), then divide by the sum of that.",
    "return np.exp(scores) / np.exp(scores).sum()",
)


def judge(softmax: Callable):
    """A function from scores to probabilities that are positive, add up to 1 and keep the order of the scores."""
    scores = np.array([2.0, 0.0, -1.0])
    told = softmax(scores)
    if told is ...:
        return ""
    if told is None:
        return "The function gives nothing back: it computes (or only prints) and forgets. It needs the word return."
    told = np.asarray(told, float)
    if told.shape != scores.shape:
        return f"For three scores it should give three probabilities, and it gives {told.size}."
    if (told < 0).any():
        return (
            f"For the scores 2, 0, -1 it gives {told.round(2).tolist()}: a probability cannot be negative. Take "
            "np.exp first."
        )
    if abs(told.sum() - 1) > 1e-6:
        return f"For the scores 2, 0, -1 the probabilities add up to {told.sum():.2f}, not to 1."
    if told.argmax() != 0:
        return "The largest score should get the largest probability; it gets the smallest."
    right = np.exp(scores) / np.exp(scores).sum()
    if np.abs(told - right).max() > 1e-6:
        return f"For the scores 2, 0, -1 it gives {told.round(3).tolist()}; softmax gives {right.round(3).tolist()}."
    return Passed(
        "For the scores 2, 0, -1 it gives 0.844, 0.114 and 0.042. Only the differences of scores matter; add 5 to "
        "all and see."
    )
