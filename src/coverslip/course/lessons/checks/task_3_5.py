# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/03_convolutions.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

HINTS = (
    "What was compared: all networks, or three networks on one set of leaves?",
    "A result is a difference with its confidence interval and its scope. Only one of the four has both.",
)


def grade(sentence: str):
    """The letter of the sentence that the comparison supports."""
    answer = sentence.strip().strip("\"'.").upper()
    if answer == "B":
        return "B is about all networks and all images. You compared three networks on these leaves."
    if answer == "C":
        return (
            "C is too strict: the bars on the left may overlap although the paired difference on the right is clear, "
            "since the same leaves are difficult for both networks. Look at the interval of the difference."
        )
    if answer == "D":
        return "D promises a number for other leaves. The test measured leaves like these, and only with an interval."
    if answer != "A":
        return f"There is no sentence {sentence!r}; choose A, B, C or D."
    return Passed(
        "A: a difference, its interval and its scope. Each was trained once, so it is about these three networks."
    )
