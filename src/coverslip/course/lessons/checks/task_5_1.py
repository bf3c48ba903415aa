# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/05_a_result_you_can_defend.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

HINTS = (
    "Make two sets of names, one of each part, and see what they have in common.",
    "len(set(train_by_image.groups) & set(test_by_image.groups))",
)


def judge(on_both_sides, train, test):
    """How many leaves have images in both parts."""
    if isinstance(on_both_sides, set):
        return "That is the set of their names; len(...) counts them."
    learned, asked = set(train.groups), set(test.groups)
    both = learned & asked
    if on_both_sides == sum(name in learned for name in test.groups) != len(both):
        return "Those are images; the leaves are asked for. Several images in the test set are of one leaf."
    if on_both_sides == len(learned | asked) != len(both):
        return "Those are the leaves on either side together; & gives those that are on both."
    if on_both_sides != len(both):
        return f"{on_both_sides} it is not. Compare the two sets of names."
    if not both:
        return Passed(
            "None: in this folder each image counts as its own leaf. If that is not so, fill in `group` above."
        )
    return Passed(f"{len(both)} of the {len(asked)} leaves of the test set were learned from. That is no test.")
