# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/05_a_result_you_can_defend.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

HINTS = (
    "Its name begins with shortcut. Which of them is about pixels that a network sees, and not about the file?",
    "What lies along the border of the image is background.",
)


def judge(suspect: str):
    """The name of the finding about the background."""
    name = suspect.strip().lower()
    if name in ("shortcut-border", "shortcut-border-color"):
        return Passed("Yes: a few pixels of background tell most classes. A perfect score says nothing about leaves.")
    if name == "shortcut-file-size":
        return "File sizes differ, too, but a network never sees them. Which finding is about pixels?"
    if "copies" in name:
        return "Copies count an image twice; they do not give the class away."
    if name == "leak-price":
        return "That one is about leaves on both sides of the split, the first half of this lesson."
    from coverslip.auditing.findings import NAMES

    if name not in NAMES:
        return f"There is no finding {suspect!r}; the names stand above, right behind 'warns:' and 'notes:'."
    return f"{suspect!r} is about something else. Look for one that tells the class without the leaf."
