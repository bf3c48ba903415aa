# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/05_a_result_you_can_defend.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

HINTS = (
    "The built-in names look like tomato_healthy_leaf003_shot1.jpg: everything before _shot is the name of a leaf.",
    r'r"([a-z_]+leaf\d+)" matches small letters and underscores, then leaf and its number.',
)


def grade(pattern: str, dataset):
    """A pattern for the path whose parentheses match the name of a leaf."""
    import coverslip

    source = dataset.source / "images" if dataset.built_in else dataset.source
    if not pattern:
        if dataset.built_in:
            return "Each leaf was photographed three times; with an empty pattern every image counts as a leaf."
        return Passed("Then each image is a group of its own, and the report states that you said so.")
    if dataset.built_in and "(" not in pattern:
        return "It has no parentheses: they mark the part of the path that is the name."
    table = coverslip.scan(source, pattern)
    groups = table.groups(table.rows())
    count, expected = len(set(groups)), len(set(dataset.groups))
    if count == len(groups):
        return "With this pattern each image is a leaf by itself: the text in the parentheses differs for each shot."
    if not dataset.built_in:
        return Passed(f"{len(groups):,} images of {count:,} groups.")
    if count <= len(dataset.names):
        return f"With this pattern there are {count} leaves: a whole class is one leaf. Include the number of the leaf."
    if count < expected:
        return f"With this pattern there are {count} leaves: it joins leaves of other classes with the same number."
    if count != expected:
        return f"With this pattern there are {count} leaves, not {expected}: images that do not match it stand alone."
    return Passed(f"{len(groups)} images of {count} leaves. From now on no leaf is in two sets.")
