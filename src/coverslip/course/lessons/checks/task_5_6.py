# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/05_a_result_you_can_defend.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

HINTS = (
    "Two of the five go beyond what was looked at. Which ones were never measured?",
    "Nothing from another farm was tested, and nobody has looked yet at where the network looks.",
)


def judge(unsupported: str):
    """The letters of the claims that the run does not support."""
    given = {letter for letter in unsupported.upper() if letter.isalpha()}
    if given - set("ABCDE"):
        return "The claims are A to E; give letters only, such as 'AC'."
    if "A" in given:
        return "A: that is exactly what was measured, and it says for which leaves."
    if "C" in given:
        return "C: the run knows that from your pattern, and it says 'as far as the file names tell'."
    if "E" in given:
        return "E: the first run opened its test set once, as its last step. The ledger keeps count."
    if "B" not in given:
        return "One is missing: was anything from other farms tested?"
    if "D" not in given:
        return "One is missing: right answers do not show that it looks at the lesions. Remember the backgrounds."
    return Passed(
        "B and D. Neither is wrong; neither was tested. That is what a reviewer is for, and now it is what you are for."
    )
