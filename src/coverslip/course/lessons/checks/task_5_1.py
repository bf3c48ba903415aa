# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/05_a_result_you_can_defend.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

HINTS = (
    "Make two sets of names, one for each set of images, and compute their intersection.",
    "len(set(train_by_image.groups) & set(test_by_image.groups))",
)


def grade(in_both_sets, train, test):
    """The number of leaves with images in both sets."""
    if isinstance(in_both_sets, set):
        return "This is the set of their names; len(...) counts them."
    train_leaves, test_leaves = set(train.groups), set(test.groups)
    both = train_leaves & test_leaves
    if in_both_sets == sum(name in train_leaves for name in test.groups) != len(both):
        return "This counts images, but the task asks for leaves. Several images of the test set show the same leaf."
    if in_both_sets == len(train_leaves | test_leaves) != len(both):
        return "These are the leaves in either set; use & for the leaves that are in both."
    if in_both_sets != len(both):
        return f"{in_both_sets} is not correct. Compare the two sets of names."
    if not both:
        return Passed(
            "None: in this folder each image counts as its own leaf. If this is wrong, fill in `group` above."
        )
    return Passed(f"{len(both)} of the {len(test_leaves)} test leaves were used in training. This is not a valid test.")
