# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/04_improving.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

HINTS = (
    "Imagine that a colleague sees the changed image. Would she make the same diagnosis?",
    "A slide has no up or down, and laboratories stain differently. But the size of nuclei is part of the diagnosis.",
)


def grade(keeps: dict):
    """True or False for each change: does it keep the diagnosis?"""
    missing = [name for name, answer in keeps.items() if answer is ...]
    if missing:
        return "" if len(missing) == len(keeps) else f"Still missing: {', '.join(missing)}."
    if not keeps.get("mirrored"):
        return "mirrored: no diagnosis depends on the left and right of a slide."
    if not keeps.get("rotated by 90 degrees"):
        return "rotated: a slide has no up and down; its orientation under the microscope is arbitrary."
    if not keeps.get("stained a little more weakly"):
        return "stained more weakly: laboratories differ by more than that, and your network should tolerate it."
    if keeps.get("nuclei enlarged to twice their size"):
        return "enlarged: at one magnification the size of nuclei is a sign of a tumor. Such a zoom changes the label."
    if keeps.get("nuclei painted over"):
        return "painted over: this removes the basis of the diagnosis, and the network learns to guess."
    return Passed("Three changes keep it, two do not. For other images the list is different: it is your decision.")
