# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/03_convolutions.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

HINTS = (
    "What was compared: all networks, or three of them on one set of leaves?",
    "A result is a difference with its interval, and for what it holds. Only one of the four has both.",
)


def judge(sentence: str):
    """The letter of the sentence that may stand in a report."""
    answer = sentence.strip().strip("\"'.").upper()
    if answer == "B":
        return "B speaks of all networks and all images. You compared three networks on these leaves."
    if answer == "C":
        return (
            "C asks too much: the bars on the left may touch while the paired difference on the right is clear, since "
            "both networks find the same leaves hard. Look at the interval of the difference."
        )
    if answer == "D":
        return "D promises a number for other leaves: that is what the interval says you cannot."
    if answer != "A":
        return f"There is no sentence {sentence!r}; they are A, B, C and D."
    return Passed(
        "A: a difference, its interval, and what it holds for. One training each, so it is about these three networks."
    )
