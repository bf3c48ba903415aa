# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/04_improving.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

HINTS = (
    "Imagine the changed image on a colleague's desk. Would she name it as before?",
    "A slide has no up or down, and laboratories stain differently. But how large nuclei are is part of the diagnosis.",
)


def judge(keeps: dict):
    """For each change True or False: does the diagnosis stay?"""
    open_ones = [name for name, answer in keeps.items() if answer is ...]
    if open_ones:
        return "" if len(open_ones) == len(keeps) else f"Still open: {', '.join(open_ones)}."
    if not keeps.get("mirrored"):
        return "mirrored: nobody's diagnosis depends on left and right of a slide."
    if not keeps.get("turned by a quarter"):
        return "turned: a slide has no up and down; somebody laid it under the microscope that way."
    if not keeps.get("stained a little more weakly"):
        return "stained more weakly: laboratories differ by more than that, and your network should not mind."
    if keeps.get("nuclei enlarged to twice their size"):
        return "enlarged: at one magnification the size of nuclei is a sign of a tumor. Such a zoom changes the label."
    if keeps.get("nuclei painted over"):
        return "painted over: then what the diagnosis rests on is gone, and the network is taught to guess."
    return Passed("Three keep it, two do not. For leaves, mail or X-rays the list is another one: it is yours to make.")
