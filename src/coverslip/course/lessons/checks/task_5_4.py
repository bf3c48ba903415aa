# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/05_a_result_you_can_defend.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

HINTS = (
    "The built-in names look like tomato_healthy_leaf003_shot1.jpg: everything before _shot is the name of a leaf.",
    r'r"([a-z_]+leaf\d+)" takes small letters and underscores, then leaf and its number.',
)


def judge(pattern: str, mine):
    """A pattern on the path whose parentheses hold the name of a leaf."""
    import coverslip

    source = mine.source / "images" if mine.built_in else mine.source
    if not pattern:
        if mine.built_in:
            return "Each leaf was photographed three times, and with an empty pattern every image counts as a leaf."
        return Passed("Then each image stands for itself, and the report will say that you said so.")
    if mine.built_in and "(" not in pattern:
        return "There are no parentheses in it: they say which part of the path is the name."
    table = coverslip.scan(source, pattern)
    groups = table.groups(table.rows())
    count, wanted = len(set(groups)), len(set(mine.groups))
    if count == len(groups):
        return "By that pattern each image stands by itself: what the parentheses hold differs from shot to shot."
    if not mine.built_in:
        return Passed(f"{len(groups):,} images of {count:,} groups.")
    if count <= len(mine.names):
        return f"By that pattern there are {count} leaves: it takes a whole class for one. Where does the number end?"
    if count < wanted:
        return f"By that pattern there are {count} leaves: leaves of other classes with the same number are one."
    if count != wanted:
        return f"By that pattern there are {count} leaves and not {wanted}: images that it does not fit stand alone."
    return Passed(f"{len(groups)} images of {count} leaves. From here on no leaf is on two sides.")
