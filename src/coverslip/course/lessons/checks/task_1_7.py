# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/01_your_first_network.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

HINTS = (
    "Ask for each statement: could it be false although the 0.97 is true? Look at the scores printed above.",
    "Two of the five follow. One is about the capacity, the other about where to measure.",
)


def grade(follows: str):
    """A and D follow from a training accuracy; B, C and E do not."""
    letters = {letter for letter in follows.upper() if letter.isalpha()}
    if not letters or not letters <= set("ABCDE"):
        return 'Answer with letters from A to E in quotation marks, such as "BC".'
    if "B" in letters:
        return (
            "B: the 0.97 does not show this. Only new leaves can show it: compare the first two scores printed above "
            "(for the built-in leaves they are far apart)."
        )
    if "C" in letters:
        return "C: it may have memorized these leaves with their background, without knowing what a spot is."
    if "E" in letters:
        return (
            "E: on the images it learned from, yes. The 0.97 says nothing about other leaves (for the built-in leaves "
            "the intervals of the two networks overlap)."
        )
    missing = sorted({"A", "D"} - letters)
    if missing:
        return f"{' and '.join(missing)} also follows."
    return Passed(
        "Exactly these two. The network could learn its training images, so it is large enough. How good it is must be "
        "measured on other leaves, with a confidence interval."
    )
