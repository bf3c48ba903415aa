# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/01_your_first_network.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

HINTS = (
    "Ask of each sentence: could it be false although the 0.97 is true? Look at the two scores printed above.",
    "Two of the five follow. One is about what it can hold, the other about where to measure.",
)


def judge(follows: str):
    """A and D follow from a training accuracy, B, C and E do not."""
    letters = {each for each in follows.upper() if each.isalpha()}
    if not letters or not letters <= set("ABCDE"):
        return 'Answer with letters from A to E in quotation marks, such as "BC".'
    if "B" in letters:
        return (
            "B: perhaps, perhaps not; the 0.97 does not tell. Only new leaves can: compare the two scores printed "
            "above (for the built-in leaves they lie far apart)."
        )
    if "C" in letters:
        return "C: it may have learned these leaves by heart, with their background, without knowing what a spot is."
    if "E" in letters:
        return (
            "E: on what it learned from, yes; about other leaves it says nothing (for the built-in ones the intervals "
            "of the two overlap)."
        )
    missing = sorted({"A", "D"} - letters)
    if missing:
        return f"{' and '.join(missing)} also follows."
    return Passed(
        "Just these. It could learn its examples, so it is large enough. What it is worth is a matter of other "
        "leaves, and of an interval."
    )
