# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/05_a_result_you_can_defend.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

HINTS = (
    "Its name begins with shortcut. Which of them is about pixels that a network sees, and not about the file?",
    "The border of an image shows the background.",
)


def grade(finding_name: str):
    """The name of the finding about the background."""
    name = finding_name.strip().lower()
    if name in ("shortcut-border", "shortcut-border-color"):
        return Passed("Yes: a few pixels of background predict most classes. The score says nothing about the leaves.")
    if name == "shortcut-file-size":
        return "File sizes differ, too, but a network never sees them. Which finding is about pixels?"
    if "copies" in name:
        return "Because of copies an image counts twice; they do not predict the class."
    if name == "leak-price":
        return "This finding is about leaves in both sets of the split, as in the first half of this lesson."
    from coverslip.auditing.findings import NAMES

    if name not in NAMES:
        return f"There is no finding {finding_name!r}; the names are printed above, after 'warning:' and 'note:'."
    return f"{finding_name!r} is about something else. Look for one that predicts the class without the leaf."
