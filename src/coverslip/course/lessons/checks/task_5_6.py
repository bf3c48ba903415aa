# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/05_a_result_you_can_defend.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

HINTS = (
    "Two of the five go beyond what was measured. Which ones?",
    "Nothing from another farm was tested, and it has not been checked where the network looks.",
)


def grade(unsupported: str):
    """The letters of the claims that the run does not support."""
    letters = {letter for letter in unsupported.upper() if letter.isalpha()}
    if letters - set("ABCDE"):
        return "The claims are A to E; give letters only, such as 'AC'."
    if "A" in letters:
        return "A: this is exactly what was measured, and the claim says for which leaves."
    if "C" in letters:
        return "C: the run knows this from your pattern, and the claim says 'according to the file names'."
    if "E" in letters:
        return "E: the first run used its test set once, at the end. The ledger records this."
    if "B" not in letters:
        return "One is missing: was anything from other farms tested?"
    if "D" not in letters:
        return "One is missing: correct predictions do not show that it looks at the lesions. Remember the backgrounds."
    return Passed("B and D. They may be true, but they were not tested. A reviewer asks this, and now you can, too.")
